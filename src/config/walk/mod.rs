//! The tree against the schema: unknown keys, wrong kinds, bad words and missing keys, all of them at once, and what
//! is left as values for the `config` crate.
//!
//! A value that is wrong is left out of the result, so that the checks that follow find everything else that is wrong.

mod leaf;
mod misplaced;
mod remedy;
mod unknown;

use ::config::{Map, Value, ValueKind};

use super::findings::Findings;
use super::keys::{FIELD, FILE};
use super::path::Path;
use super::said::{Code, Said};
use super::schema::{Key, Kind, Section};
use super::substitute::Substitution;
use super::syntax;
use super::toml::{Entry, Node, Shape};

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
            let at = path.key(key.name);
            if self.findings.is_overridden(&at) {
                // The environment gives it, or keys below it, of which others may be missing.
                if let Kind::Table(below) = key.kind {
                    let table = self.section(&at, &[], below);
                    values.insert(key.name.to_owned(), value_of(table));
                }
            } else if key.is_required {
                self.missing(&at, key, section);
            }
        }
        values
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
                        self.wrong(&path.index(index), node, kind, "a table");
                        // Its neighbours keep their position.
                        Map::new()
                    }
                };
                Some(list_of(nodes.iter().enumerate().map(each).map(value_of).collect()))
            }
            (Kind::Tables(section), Shape::Table(entries)) if are_named(entries, section) => {
                for entry in entries {
                    let header = section.title.trim_matches(['[', ']']);
                    let what = format!("[{header}.{}] is no section: the tables of a list have no names", entry.key);
                    let said = Said::new(Code::MisplacedKey, what);
                    self.findings.at_key(&path.key(&entry.key), said.near(Some(section.title.to_owned())));
                }
                None
            }
            (Kind::Tables(section), Shape::Table(entries)) => {
                let what = format!("{} stands in two brackets on each side, as there may be several", section.title);
                self.brackets(path, what, section.title);
                Some(list_of(vec![value_of(self.section(&path.index(0), entries, section))]))
            }
            (Kind::Table(section), Shape::List(nodes)) if section.title.starts_with('[') => {
                let entries = only_table(nodes)?;
                self.brackets(path, format!("there is one {} only", section.title), section.title);
                Some(value_of(self.section(path, entries, section)))
            }
            (Kind::Fields(_), Shape::Table(entries)) => Some(value_of(self.fields(path, entries))),
            (Kind::Fields(header), Shape::List(nodes)) if only_table(nodes).is_some() => {
                self.brackets(path, "there is one table of fields only".to_owned(), header);
                Some(value_of(self.fields(path, only_table(nodes)?)))
            }
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

    /// A header with one bracket too few or too many on each side.
    fn brackets(&mut self, path: &Path, what: String, header: &str) {
        self.findings.at_value(path, Said::new(Code::WrongType, what).near(Some(header.to_owned())));
    }

    fn fields(&mut self, path: &Path, entries: &[Entry]) -> Map<String, Value> {
        let mut fields = Map::new();
        for entry in entries {
            let Entry { key, node, .. } = entry;
            let at = path.key(key);
            if self.is_misplaced(path, entry) {
                continue;
            }
            if let Err(fault) = syntax::column(key) {
                self.findings.at_key(&at, fault.said(&format!("{key:?}"), true));
            }
            let field = match &node.shape {
                Shape::Text(_) => {
                    let from = self.value(&at, node, &Kind::HqField);
                    from.map(|from| ("from".to_owned(), from)).into_iter().collect()
                }
                Shape::Table(entries) => self.section(&at, entries, &FIELD),
                Shape::Int(_) | Shape::Float(_) | Shape::Bool(_) | Shape::Date | Shape::List(_) => {
                    let kind = &Kind::HqField;
                    self.wrong(&at, node, kind, "an HQ field's name or a table such as { from = \"item_name\" }");
                    Map::new()
                }
            };
            // One that is wrong stays as a column, or the key and the lookups would seem to miss it.
            fields.insert(key.clone(), value_of(field));
        }
        fields
    }
}

/// Whether the tables of a list were given names, as in `[job.items]`.
fn are_named(entries: &[Entry], section: &Section) -> bool {
    let is_one = |entry: &Entry| section.key(&entry.key).is_none() && matches!(entry.node.shape, Shape::Table(_));
    !entries.is_empty() && entries.iter().all(is_one)
}

/// The tables of a list that has nothing else, if any: the entries of the first.
fn only_table(nodes: &[Node]) -> Option<&[Entry]> {
    match nodes.first().map(|node| &node.shape) {
        Some(Shape::Table(entries)) => Some(entries),
        Some(Shape::Text(_) | Shape::Int(_) | Shape::Float(_) | Shape::Bool(_) | Shape::Date | Shape::List(_))
        | None => None,
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
