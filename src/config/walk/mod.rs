//! The tree against the schema: unknown keys, wrong kinds, bad words and missing keys, all of them at once, and what
//! is left as values for the `config` crate.
//!
//! A value that is wrong is left out of the result, so that the checks that follow find everything else that is wrong.

mod leaf;

use ::config::{Map, Value, ValueKind};

use super::findings::Findings;
use super::keys::{FIELD, FILE};
use super::path::Path;
use super::schema::{Key, Kind, Section};
use super::substitute::Substitution;
use super::syntax;
use super::tree::{Entry, Node, Shape};
use super::words;

/// Walks the whole file; every problem goes to `findings`.
pub(super) fn file(tree: &Node, substitution: Substitution<'_>, findings: &mut Findings<'_>) -> Map<String, Value> {
    let mut walk = Walk { substitution, findings };
    match &tree.shape {
        Shape::Table(entries) => walk.section(&Path::default(), entries, &FILE),
        Shape::Text(_) | Shape::Int(_) | Shape::Float(_) | Shape::Bool(_) | Shape::Date | Shape::List(_) => Map::new(),
    }
}

struct Walk<'f, 't, 's> {
    substitution: Substitution<'s>,
    findings: &'f mut Findings<'t>,
}

impl Walk<'_, '_, '_> {
    fn section(&mut self, path: &Path, entries: &[Entry], section: &'static Section) -> Map<String, Value> {
        let mut values = Map::new();
        for entry in entries {
            match section.key(&entry.key) {
                Some(key) => {
                    let value = self.value(&path.key(key.name), &entry.node, &key.kind);
                    values.extend(value.map(|value| (key.name.to_owned(), value)));
                }
                None => self.unknown(path, entry, section),
            }
        }
        let is_missing = |key: &&Key| entries.iter().all(|entry| entry.key != key.name);
        let may_matter = |key: &&Key| key.is_required || self.findings.has_overrides();
        let missing: Vec<&Key> = section.keys.iter().filter(may_matter).filter(is_missing).collect();
        for key in missing {
            self.missing(&path.key(key.name), key, section, &mut values);
        }
        values
    }

    fn unknown(&mut self, path: &Path, entry: &Entry, section: &'static Section) {
        let at = path.key(&entry.key);
        if section.later.contains(&entry.key.as_str()) {
            return self.findings.at_key(&at, format!("{:?} is not supported yet", entry.key));
        }
        if matches!(entry.node.shape, Shape::Text(_)) && may_be_secret(&at) {
            // It may be a secret under a misspelt name.
            self.findings.star_out(entry.node.at.clone());
        }
        let hint = words::hint(&entry.key, section.names());
        self.findings.at_key(&at, format!("unknown key {:?} in {}{hint}", entry.key, section.title));
    }

    fn missing(&mut self, at: &Path, key: &Key, section: &Section, values: &mut Map<String, Value>) {
        if self.findings.is_overridden(at) {
            // The environment gives it, or keys below it, of which others may be missing.
            if let Kind::Table(below) = key.kind {
                let table = self.section(at, &[], below);
                values.insert(key.name.to_owned(), value_of(table));
            }
            return;
        }
        if !key.is_required {
            return;
        }
        let about = lower(key.about);
        let message = match key.kind.section() {
            Some(below) if section.title == FILE.title => {
                format!("{} is missing: {about}", below.title)
            }
            Some(_) | None => format!("{} needs the key {:?}: {about}", section.title, key.name),
        };
        self.findings.at_value(at, message);
    }

    fn value(&mut self, path: &Path, node: &Node, kind: &'static Kind) -> Option<Value> {
        match (kind, &node.shape) {
            (Kind::Table(section), Shape::Table(entries)) => Some(value_of(self.section(path, entries, section))),
            (Kind::Tables(section), Shape::List(nodes)) => {
                let each = |(index, node): (usize, &Node)| match &node.shape {
                    Shape::Table(entries) => self.section(&path.index(index), entries, section),
                    Shape::Text(_)
                    | Shape::Int(_)
                    | Shape::Float(_)
                    | Shape::Bool(_)
                    | Shape::Date
                    | Shape::List(_) => {
                        self.wrong(&path.index(index), node, "a table");
                        // Its neighbours keep their position.
                        Map::new()
                    }
                };
                Some(list_of(nodes.iter().enumerate().map(each).map(value_of).collect()))
            }
            (Kind::Fields, Shape::Table(entries)) => Some(value_of(self.fields(path, entries))),
            (Kind::Record, Shape::Table(_)) | (Kind::Json, _) => self.json(path, node),
            (Kind::Literals, Shape::Table(entries)) => {
                let each = |entry: &Entry| {
                    let value = self.literal(&path.key(&entry.key), &entry.node)?;
                    Some((entry.key.clone(), value))
                };
                Some(value_of(entries.iter().filter_map(each).collect()))
            }
            (Kind::Literal, _) => self.literal(path, node),
            (Kind::OneOrMore(each), Shape::Text(_)) => Some(list_of(vec![self.value(path, node, each)?])),
            (Kind::OneOrMore(each) | Kind::List(each), Shape::List(nodes)) => {
                let all = nodes.iter().enumerate();
                let values = all.map(|(index, node)| self.value(&path.index(index), node, each));
                // All are looked at before one that is wrong spoils the list.
                let values: Vec<Option<Value>> = values.collect();
                values.into_iter().collect::<Option<Vec<_>>>().map(list_of)
            }
            (kind, shape) => self.scalar(path, node, kind, shape),
        }
    }

    fn fields(&mut self, path: &Path, entries: &[Entry]) -> Map<String, Value> {
        let mut fields = Map::new();
        for Entry { key, node, .. } in entries {
            let at = path.key(key);
            if let Err(fault) = syntax::column(key) {
                self.findings.at_key(&at, fault.message(&format!("{key:?}"), true));
            }
            let field = match &node.shape {
                Shape::Text(_) => {
                    let from = self.value(&at, node, &Kind::HqField);
                    from.map(|from| ("from".to_owned(), from)).into_iter().collect()
                }
                Shape::Table(entries) => self.section(&at, entries, &FIELD),
                Shape::Int(_) | Shape::Float(_) | Shape::Bool(_) | Shape::Date | Shape::List(_) => {
                    self.wrong(&at, node, "an HQ field's name or a table such as { from = \"item_name\" }");
                    Map::new()
                }
            };
            // One that is wrong stays as a column, or the key and the lookups would seem to miss it.
            fields.insert(key.clone(), value_of(field));
        }
        fields
    }
}

fn lower(sentence: &str) -> String {
    // A word of capitals, as in "API", stays one.
    let is_word = |second: char| !second.is_uppercase();
    let rest: String = sentence.chars().skip(1).collect();
    let sentence = sentence.trim_end_matches('.');
    match sentence.chars().next() {
        Some(first) if rest.starts_with(is_word) => first.to_lowercase().chain(sentence.chars().skip(1)).collect(),
        Some(_) | None => sentence.to_owned(),
    }
}

/// Whether a value at `path` may be a secret in the wrong place; jobs, site and daemon have none.
fn may_be_secret(path: &Path) -> bool {
    !["job", "site", "daemon"].iter().any(|section| path.is_within(&Path::of([*section])))
}

fn value_of(table: Map<String, Value>) -> Value {
    Value::new(None, ValueKind::Table(table))
}

fn list_of(values: Vec<Value>) -> Value {
    Value::new(None, ValueKind::Array(values))
}
