//! `filters` in each form that Frappe takes, normalised to `[field, operator, value]`.

use serde_json::{Value, json};

use crate::config::findings::Findings;
use crate::config::path::Path;
use crate::config::said::{Code, Said};
use crate::config::schema::Kind;
use crate::config::{syntax, words};

/// Frappe's operators. `timespan`, `previous` and `next` are left out: what they select moves with HQ's clock, so
/// records would come and go without a change that a pull could see.
const OPERATORS: [&str; 17] = [
    "=",
    "!=",
    ">",
    ">=",
    "<",
    "<=",
    "in",
    "not in",
    "like",
    "not like",
    "between",
    "is",
    "descendants of",
    "ancestors of",
    "not descendants of",
    "not ancestors of",
    "descendants of (inclusive)",
];

/// What other languages call them.
const ELSEWHERE: [(&str, &str); 10] = [
    ("==", "="),
    ("eq", "="),
    ("equals", "="),
    ("<>", "!="),
    ("ne", "!="),
    ("=>", ">="),
    ("=<", "<="),
    ("gt", ">"),
    ("lt", "<"),
    ("contains", "like"),
];

/// The operators that are left out.
const MOVING: [&str; 3] = ["timespan", "previous", "next"];

/// How a filter is written, for messages.
const FORM: &str = "[[\"field\", \"=\", value], …]";

/// How one of them is written, for messages.
const FORM_OF_ONE: &str = "[\"field\", \"operator\", value]";

/// Reads the filters of a job on `doctype`; problems go to `findings`.
pub(super) fn filters(path: &Path, doctype: Option<&str>, value: &Value, findings: &mut Findings<'_>) -> Vec<Value> {
    let mut check = Check { job: path.parent().unwrap_or_default(), doctype, findings };
    match value {
        Value::Array(list) => {
            if list.first().is_some_and(Value::is_string) {
                let said = Said::new(Code::WrongType, "each filter is a list of its own");
                let help =
                    format!("write filters = [{}], with two brackets", right(list).unwrap_or(FORM_OF_ONE.to_owned()));
                check.findings.at_value(path, said.help(help));
                return Vec::new();
            }
            let all = list.iter().enumerate();
            all.filter_map(|(index, each)| check.listed(&path.index(index), each)).collect()
        }
        Value::Object(table) => {
            table.iter().filter_map(|(field, each)| check.keyed(&path.key(field), field, each)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let said = Said::new(Code::WrongType, "this is no list of filters");
            let is_json = value.as_str().is_some_and(|text| text.trim_start().starts_with(['[', '{']));
            let help = if is_json { "write it without the quotes around it: " } else { "write " };
            check.findings.at_value(path, said.help(format!("{help}filters = {FORM}")));
            Vec::new()
        }
    }
}

/// A filter as it was meant: without a value `=` is, and Frappe's own lists have a fifth part that says nothing.
fn right(parts: &[Value]) -> Option<String> {
    let is_operator =
        |part: &Value| part.as_str().is_some_and(|word| OPERATORS.contains(&word.to_lowercase().as_str()));
    let (field, operator, value) = match parts {
        [field, value] if !is_operator(value) => (field, Value::from("="), value),
        [field, operator, value] | [_, field, operator, value] | [_, field, operator, value, Value::Bool(_)]
            if is_operator(operator) =>
        {
            (field, operator.clone(), value)
        }
        _ => return None,
    };
    field.is_string().then(|| written(&Value::from(vec![field.clone(), operator, value.clone()])))
}

/// The value as `sync.toml` has it.
fn written(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("[{}]", list.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Object(table) => {
            let each = table.iter().map(|(key, value)| format!("{key} = {}", written(value)));
            format!("{{ {} }}", each.collect::<Vec<_>>().join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// A filter that is a table, `{ disabled = 0 }` or `{ field = "disabled", operator = "=", value = 0 }`, as a list.
fn listed(table: &serde_json::Map<String, Value>) -> Option<String> {
    let of = |names: &[&str]| names.iter().find_map(|name| table.get(*name));
    if let (Some(field), Some(value)) = (of(&["field", "fieldname"]), of(&["value"])) {
        let operator = of(&["operator", "op", "condition"]).cloned().unwrap_or(Value::from("="));
        return right(&[field.clone(), operator, value.clone()]);
    }
    let all: Option<Vec<String>> =
        table.iter().map(|(field, value)| right(&[Value::from(field.as_str()), value.clone()])).collect();
    all.filter(|all| !all.is_empty()).map(|all| all.join(", "))
}

/// A value of a filter with its place.
type Placed<'v> = (Path, &'v Value);

struct Check<'f, 't, 'd> {
    job: Path,
    doctype: Option<&'d str>,
    findings: &'f mut Findings<'t>,
}

impl Check<'_, '_, '_> {
    /// `[field, operator, value]` or `[DocType, field, operator, value]`.
    fn listed(&mut self, path: &Path, filter: &Value) -> Option<Value> {
        let parts = filter.as_array().map(Vec::as_slice).unwrap_or_default();
        let at = |index| path.index(index);
        match parts {
            [field, operator, value] => self.condition((at(0), field), (at(1), operator), (at(2), value)),
            [doctype, field, operator, value] => {
                self.own(&at(0), doctype)?;
                self.condition((at(1), field), (at(2), operator), (at(3), value))
            }
            _ => {
                let said = Said::new(Code::WrongType, format!("a filter has three parts, found {}", found(filter)));
                let right = filter.as_object().map_or_else(|| right(parts), listed);
                let right = right.unwrap_or_else(|| FORM_OF_ONE.to_owned());
                self.findings.at_value(path, said.help(format!("write {right}")));
                None
            }
        }
    }

    /// `field = value` or `field = [operator, value]`.
    fn keyed(&mut self, path: &Path, field: &str, filter: &Value) -> Option<Value> {
        let field = Value::from(field);
        match filter {
            Value::Array(parts) => match parts.as_slice() {
                [operator, value] if !is_value(operator) => {
                    self.condition((path.clone(), &field), (path.index(0), operator), (path.index(1), value))
                }
                _ => {
                    let said = Said::new(Code::WrongType, format!("found {} for a filter's value", found(filter)));
                    let name = field.as_str().unwrap_or_default();
                    let is_plain = !parts.is_empty() && scalars(filter).is_some_and(|all| all.iter().all(is_value));
                    let help = if is_plain {
                        format!("for any of them write {name} = [\"in\", {}]", written(filter))
                    } else {
                        "write field = value, or field = [\"operator\", value]".to_owned()
                    };
                    self.findings.at_value(path, said.help(help));
                    None
                }
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                let equal = Value::from("=");
                self.condition((path.clone(), &field), (path.clone(), &equal), (path.clone(), filter))
            }
        }
    }

    fn own(&mut self, path: &Path, doctype: &Value) -> Option<()> {
        let own = self.doctype?;
        if doctype.as_str() == Some(own) {
            return Some(());
        }
        let shown = self.findings.shown(path, doctype.as_str().unwrap_or_default());
        let own = self.findings.shown(&self.job.key("doctype"), own);
        let what = format!("a filter on another DocType than the job's ({own}) is not supported yet, found {shown}");
        self.findings
            .at_value(path, Said::new(Code::InvalidValue, what).help(format!("write {FORM_OF_ONE}")));
        None
    }

    fn condition(&mut self, field: Placed<'_>, operator: Placed<'_>, value: Placed<'_>) -> Option<Value> {
        let name = self.field(&field.0, field.1);
        let operator = self.operator(&operator.0, operator.1);
        let (name, operator) = (name?, operator?);
        let value = self.value(&value.0, &operator, value.1)?;
        Some(json!([name, operator, value]))
    }

    fn field(&mut self, path: &Path, field: &Value) -> Option<String> {
        let name = field.as_str().unwrap_or_default();
        match syntax::check(&Kind::HqField, name) {
            Ok(()) => Some(name.to_owned()),
            Err(fault) => {
                let shown = self.findings.shown(path, name);
                let is_showable = self.findings.is_showable(path);
                // `tabItem.disabled`, as SQL has it.
                let last = name.rsplit('.').next().unwrap_or_default().trim_matches('`');
                let near = (last != name && syntax::check(&Kind::HqField, last).is_ok()).then(|| last.to_owned());
                let fault = if near.is_some() { fault.near(near) } else { fault };
                self.findings.at_value(path, fault.said(&shown, is_showable));
                None
            }
        }
    }

    fn operator(&mut self, path: &Path, operator: &Value) -> Option<String> {
        let written = operator.as_str().unwrap_or_default();
        let word = written.trim().to_lowercase();
        if OPERATORS.contains(&word.as_str()) {
            return Some(word);
        }
        let shown = self.findings.shown(path, written);
        if MOVING.contains(&word.as_str()) {
            let what = format!("{shown} moves with the clock: records would leave it without a change at HQ");
            self.findings.at_value(path, Said::new(Code::InvalidValue, what).help("filter by a fixed value"));
            return None;
        }
        // Signs are a slip away from every other sign; only words are guessed.
        let words = OPERATORS.into_iter().filter(|known| known.len() > 2);
        let near = words::meant(&word.replace(' ', "_"), words.clone(), &ELSEWHERE).map(str::to_owned);
        let near = near.or_else(|| words::nearest(&word, words).map(str::to_owned));
        let near = near.filter(|_| self.findings.is_showable(path));
        let said = Said::new(Code::UnknownWord, format!("unknown operator {shown}"));
        self.findings
            .at_value(path, said.near(near).help(format!("expected {}", words::either(&OPERATORS))));
        None
    }

    /// The value as HQ should get it: true and false are 1 and 0 there.
    fn value(&mut self, path: &Path, operator: &str, value: &Value) -> Option<Value> {
        let expected = match operator {
            "in" | "not in" => match scalars(value).filter(|list| !list.is_empty()) {
                Some(list) => return Some(Value::Array(list)),
                None => "a list of values",
            },
            "between" => match scalars(value).filter(|list| list.len() == 2) {
                Some(list) => return Some(Value::Array(list)),
                None => "a list of two values",
            },
            "is" => match value.as_str() {
                Some("set" | "not set") => return Some(value.clone()),
                Some(_) | None => "\"set\" or \"not set\"",
            },
            "like" | "not like" => match value {
                Value::String(_) => return Some(value.clone()),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    "a string with % for any text"
                }
            },
            _ => match scalar(value) {
                Some(value) => return Some(value),
                None => "a string, a number, true or false",
            },
        };
        let what = format!("the operator {operator:?} wants {expected}, found {}", found(value));
        let example = match operator {
            "in" | "not in" => "[\"field\", \"in\", [\"one\", \"other\"]]",
            "between" => "[\"field\", \"between\", [1, 5]]",
            "is" => "[\"field\", \"is\", \"set\"]",
            "like" | "not like" => "[\"field\", \"like\", \"ICE-%\"]",
            _ => "[\"field\", \"=\", \"one\"]",
        };
        self.findings
            .at_value(path, Said::new(Code::WrongType, what).help(format!("write it as {example}")));
        None
    }
}

/// Whether it is none of the operators, nor meant as one.
fn is_value(part: &Value) -> bool {
    let word = part.as_str().map(|word| word.trim().to_lowercase().replace(' ', "_"));
    let signs = |word: &str| !word.contains(char::is_alphanumeric);
    word.is_none_or(|word| {
        let is_moving = MOVING.contains(&word.as_str());
        !signs(&word) && !is_moving && words::meant(&word, OPERATORS, &ELSEWHERE).is_none()
    })
}

/// What the value is, for a message.
fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(claim) => claim.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(list) => match list.len() {
            0 => "an empty list".to_owned(),
            1 => "a list of one value".to_owned(),
            many => format!("a list of {many} values"),
        },
        Value::Object(_) => "a table".to_owned(),
    }
}

fn scalar(value: &Value) -> Option<Value> {
    match value {
        Value::String(_) | Value::Number(_) => Some(value.clone()),
        Value::Bool(claim) => Some(Value::from(u8::from(*claim))),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn scalars(value: &Value) -> Option<Vec<Value>> {
    value.as_array()?.iter().map(scalar).collect()
}
