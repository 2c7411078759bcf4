//! Values without fixed keys of their own: checked by themselves, substituted, and made values of the `config` crate.

use ::config::Value;

use super::{Walk, list_of, may_be_secret, remedy, value_of};
use crate::config::check::tls::PEM_MARK;
use crate::config::path::Path;
use crate::config::private;
use crate::config::said::{Code, Said};
use crate::config::schema::Kind;
use crate::config::syntax::{self, Fault};
use crate::config::toml::{Entry, Node, Shape};

impl Walk<'_, '_, '_> {
    pub(super) fn scalar(&mut self, path: &Path, node: &Node, kind: &'static Kind, shape: &Shape) -> Option<Value> {
        let is_text = !matches!(kind, Kind::Bool | Kind::Integer { .. } | Kind::Number { .. });
        match (kind, shape) {
            (Kind::Bool, Shape::Bool(claim)) => Some(Value::new(None, *claim)),
            (Kind::Integer { least, most }, Shape::Int(number)) => {
                let verdict = syntax::integer(*least, *most, *number);
                self.accept(path, &number.to_string(), true, verdict).then(|| Value::new(None, *number))
            }
            (Kind::Number { least, most }, Shape::Int(_) | Shape::Float(_)) => {
                let text = match shape {
                    Shape::Int(number) => number.to_string(),
                    Shape::Float(text) => text.clone(),
                    Shape::Text(_) | Shape::Bool(_) | Shape::Date | Shape::List(_) | Shape::Table(_) => return None,
                };
                let number: f64 = text.parse().ok()?;
                let verdict = syntax::number(*least, *most, number);
                self.accept(path, &text, true, verdict).then(|| Value::new(None, number))
            }
            (Kind::Table(_) | Kind::Tables(_) | Kind::Fields(_) | Kind::Record | Kind::Literals | Kind::List(_), _) => {
                self.wrong(path, node, kind, expected(kind));
                None
            }
            (kind, Shape::Text(written)) if is_text => self.text(path, node, kind, written),
            (kind, _) => {
                self.wrong(path, node, kind, expected(kind));
                None
            }
        }
    }

    /// A text after substitution, checked.
    fn text(&mut self, path: &Path, node: &Node, kind: &'static Kind, written: &str) -> Option<Value> {
        // `kind = "token KEY:SECRET"` is a whole header in the place of a word.
        let is_header = private::is_near(path) && matches!(kind, Kind::Word(_)) && written.contains([' ', ':']);
        let is_private = is_private(kind) || is_header;
        // What is but a substitution names no more than where the secret is.
        let may_show = private::is_substitution(written)
            || matches!(kind, Kind::HqUrl if !written.contains(['@', '?']))
            || matches!(kind, Kind::LocalUrl if written.starts_with("sqlite:"))
            || matches!(kind, Kind::Pem if !written.contains(PEM_MARK));
        if is_private && !may_show {
            self.findings.star_out(node.at.clone());
        }
        if self.findings.is_overridden(path) {
            // The environment gives the value; what the file says may well be unset here.
            return None;
        }
        let hidden_from = if is_private { Path::default() } else { path.clone() };
        let text = self.substitute(path, &hidden_from, written)?;
        match syntax::check(kind, &text) {
            Err(fault) if is_private => {
                // A hint at a misspelt scheme is no secret; a URL's own text may be one.
                let is_showable = self.findings.is_showable(path) && !matches!(kind, Kind::Secret);
                let shown = if self.findings.is_showable(path) {
                    "the value".to_owned()
                } else {
                    self.findings.shown(path, &text)
                };
                self.findings.at_value(path, fault.said(&shown, is_showable));
                None
            }
            verdict => self.accept(path, &text, false, verdict).then(|| Value::new(None, text)),
        }
    }

    fn substitute(&mut self, path: &Path, hidden_from: &Path, written: &str) -> Option<String> {
        match self.substitution.apply(written) {
            Ok(done) => {
                if !done.taken.is_empty() {
                    self.findings.substituted(path, written);
                }
                for (value, name) in &done.taken {
                    self.findings.hide(hidden_from, value, name);
                }
                Some(done.text)
            }
            Err(reasons) => {
                for reason in reasons {
                    let (what, help) = reason.split_once("; ").unwrap_or((&reason, ""));
                    let said = Said::new(Code::Substitution, what);
                    self.findings.at_value(path, if help.is_empty() { said } else { said.help(help) });
                }
                None
            }
        }
    }

    /// A literal as a table of one key that names its type: a float must keep its digits.
    pub(super) fn literal(&mut self, path: &Path, node: &Node) -> Option<Value> {
        let (tag, value) = match &node.shape {
            Shape::Text(written) => ("text", Value::new(None, self.substitute(path, path, written)?)),
            Shape::Int(number) => ("int", Value::new(None, *number)),
            Shape::Float(text) if is_finite(text) => ("float", Value::new(None, text.as_str())),
            Shape::Bool(claim) => ("bool", Value::new(None, *claim)),
            Shape::Float(_) | Shape::Date | Shape::List(_) | Shape::Table(_) => {
                self.wrong(path, node, &Kind::Literal, "a string, a number, true or false");
                return None;
            }
        };
        Some(value_of([(tag.to_owned(), value)].into_iter().collect()))
    }

    pub(super) fn json(&mut self, path: &Path, node: &Node) -> Option<Value> {
        match &node.shape {
            Shape::Text(written) => Some(Value::new(None, self.substitute(path, path, written)?)),
            Shape::Int(number) => Some(Value::new(None, *number)),
            Shape::Float(text) if is_finite(text) => Some(Value::new(None, text.parse::<f64>().ok()?)),
            Shape::Bool(claim) => Some(Value::new(None, *claim)),
            Shape::Float(_) => {
                self.wrong(path, node, &Kind::Json, "a finite number");
                None
            }
            Shape::Date => {
                self.wrong(path, node, &Kind::Json, "a string as HQ writes it, such as \"2024-05-05 10:00:00\"");
                None
            }
            Shape::List(nodes) => {
                let all = nodes.iter().enumerate();
                let values: Vec<Option<Value>> = all.map(|(index, node)| self.json(&path.index(index), node)).collect();
                values.into_iter().collect::<Option<Vec<_>>>().map(list_of)
            }
            Shape::Table(entries) => {
                let each = |entry: &Entry| Some((entry.key.clone(), self.json(&path.key(&entry.key), &entry.node)?));
                Some(value_of(entries.iter().filter_map(each).collect()))
            }
        }
    }

    fn accept(&mut self, path: &Path, text: &str, is_number: bool, verdict: Result<(), Fault>) -> bool {
        match verdict {
            Ok(()) => true,
            Err(fault) => {
                let is_showable = self.findings.is_showable(path);
                // In a lookup people name the DocType.
                let is_looked_up =
                    path.parent().is_some_and(|above| above.ends_with("lookup")) && path.ends_with("table");
                let table = if is_looked_up { self.findings.table_of(text) } else { None };
                let fault = if table.is_some() { fault.near(table) } else { fault };
                // A number is quoted without marks.
                let shown = if is_number { text.to_owned() } else { self.findings.shown(path, text) };
                self.findings.at_value(path, fault.said(&shown, is_showable));
                false
            }
        }
    }

    /// Stars out the value, and of a table each key and value, as their header says no more than the section's name.
    fn star_all(&mut self, node: &Node) {
        match &node.shape {
            Shape::Table(entries) => {
                for entry in entries {
                    self.findings.star_out(entry.key_at.clone());
                    self.star_all(&entry.node);
                }
            }
            Shape::List(nodes) => {
                self.findings.star_out(node.at.clone());
                nodes.iter().for_each(|node| self.star_all(node));
            }
            Shape::Text(_) | Shape::Int(_) | Shape::Float(_) | Shape::Bool(_) | Shape::Date => {
                self.findings.star_out(node.at.clone());
            }
        }
    }

    pub(super) fn wrong(&mut self, path: &Path, node: &Node, kind: &Kind, expected: &str) {
        if is_private(kind) {
            // A secret in the wrong form, as a number or within a list, is one all the same.
            self.star_all(node);
        } else if matches!(node.shape, Shape::Text(_) | Shape::List(_)) && may_be_secret(path) {
            // `auth = "KEY:SECRET"` is not what is expected, but it is a secret.
            self.findings.star_out(node.at.clone());
        }
        let said = Said::new(Code::WrongType, format!("expected {expected}, found {}", node.shape.noun()));
        self.findings.at_value(path, remedy::of(said, kind, &node.shape));
    }
}

/// Whether a value of that kind is, or may hold, a secret.
fn is_private(kind: &Kind) -> bool {
    matches!(kind, Kind::Secret | Kind::HqUrl | Kind::LocalUrl | Kind::Pem)
}

/// What a value of that kind is, for a message.
fn expected(kind: &Kind) -> &'static str {
    match kind {
        Kind::Duration { .. } => "a length of time in quotes such as \"30s\"",
        Kind::Bool => "true or false",
        Kind::Integer { .. } => "an integer",
        Kind::Number { .. } => "a number",
        Kind::OneOrMore(_) => "a string or a list of strings",
        Kind::List(_) => "a list of strings",
        Kind::Tables(_) => "a list of tables",
        Kind::Table(_) | Kind::Record => "a table",
        Kind::Literals => "a table such as { Nos = \"each\" }",
        Kind::Fields(_) => "a table from local columns to HQ fields",
        Kind::Text
        | Kind::Line
        | Kind::Secret
        | Kind::HqUrl
        | Kind::LocalUrl
        | Kind::Pem
        | Kind::Zone
        | Kind::Listen
        | Kind::Cron
        | Kind::JobName
        | Kind::LocalTable
        | Kind::Column
        | Kind::HqField
        | Kind::Word(_) => "a string",
        Kind::Literal => "a string, a number, true or false",
        Kind::Json => "a list or a table",
    }
}

fn is_finite(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}
