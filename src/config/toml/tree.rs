//! The text of `sync.toml` as a tree whose every key and value knows the bytes it stands on.
//!
//! The only module that knows `toml_edit`; the first syntax error, or key written twice, ends the reading here.

use std::ops::Range;

use toml_edit::{Document, Item, TableLike, Value};

/// A value and where it stands.
#[derive(Debug)]
pub(in crate::config) struct Node {
    /// The bytes of the value; of its header for a `[table]`.
    pub(in crate::config) at: Range<usize>,
    /// What it is.
    pub(in crate::config) shape: Shape,
}

/// What a value is.
#[derive(Debug)]
pub(in crate::config) enum Shape {
    /// A string, unescaped, nothing substituted yet.
    Text(String),
    /// An integer.
    Int(i64),
    /// A float, as it was written but for underscores and a leading plus.
    Float(String),
    /// `true` or `false`.
    Bool(bool),
    /// A date, time or both, which TOML knows and `sync.toml` has no use for.
    Date,
    /// A list, or `[[tables]]`.
    List(Vec<Node>),
    /// A table, its keys in the order written.
    Table(Vec<Entry>),
}

/// A key, its value, and where the key stands.
#[derive(Debug)]
pub(in crate::config) struct Entry {
    pub(in crate::config) key: String,
    pub(in crate::config) key_at: Range<usize>,
    pub(in crate::config) node: Node,
}

impl Entry {
    /// Whether a header made it, `[key]` or `[[key]]`.
    pub(in crate::config) fn has_header(&self) -> bool {
        self.node.at.start <= self.key_at.start
    }
}

impl Shape {
    /// What it is, for a message.
    pub(in crate::config) fn noun(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Bool(_) => "a boolean",
            Self::Date => "a date or time",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// The first thing that is wrong with the text as TOML.
#[derive(Debug)]
pub(super) struct BadSyntax {
    pub(super) at: Range<usize>,
    pub(super) message: String,
    /// A key or section that is there already; the rest of the text may be well.
    pub(super) is_duplicate: bool,
}

/// Reads the text.
///
/// # Errors
/// The first syntax error, or a key that is written twice.
pub(super) fn parse(text: &str) -> Result<Node, BadSyntax> {
    match Document::parse(text) {
        Ok(document) => {
            let entries = Reader { text }.entries(document.as_table());
            Ok(Node { at: 0..0, shape: Shape::Table(entries) })
        }
        Err(error) => Err(BadSyntax {
            at: error.span().unwrap_or(text.len()..text.len()),
            message: error.message().trim().replace('\n', " "),
            is_duplicate: error.message() == "duplicate key",
        }),
    }
}

/// Reads the parsed document beside the text that it was parsed from.
struct Reader<'t> {
    text: &'t str,
}

impl Reader<'_> {
    fn entries(&self, table: &dyn TableLike) -> Vec<Entry> {
        let entry = |(name, item): (&str, &Item)| {
            let key_at = table.get_key_value(name).and_then(|(key, _)| key.span()).unwrap_or(0..0);
            let node = self.node(item, &key_at)?;
            Some(Entry { key: name.to_owned(), key_at, node })
        };
        table.iter().filter_map(entry).collect()
    }

    /// `None` for a key that `toml_edit` holds without a value, which parsing never makes.
    fn node(&self, item: &Item, key_at: &Range<usize>) -> Option<Node> {
        let at = item.span().unwrap_or_else(|| key_at.clone());
        let shape = match item {
            Item::None => return None,
            Item::Value(value) => return Some(self.value(value, key_at)),
            Item::Table(table) => Shape::Table(self.entries(table)),
            Item::ArrayOfTables(tables) => {
                let each = |table: &toml_edit::Table| Node {
                    at: table.span().unwrap_or_else(|| key_at.clone()),
                    shape: Shape::Table(self.entries(table)),
                };
                Shape::List(tables.iter().map(each).collect())
            }
        };
        Some(Node { at, shape })
    }

    fn value(&self, value: &Value, key_at: &Range<usize>) -> Node {
        let at = value.span().unwrap_or_else(|| key_at.clone());
        let shape = match value {
            Value::String(text) => Shape::Text(text.value().clone()),
            Value::Integer(number) => Shape::Int(*number.value()),
            Value::Float(number) => {
                let written = self.text.get(at.clone()).map(|text| text.replace('_', ""));
                let written = written.unwrap_or_else(|| number.value().to_string());
                Shape::Float(written.strip_prefix('+').unwrap_or(&written).to_owned())
            }
            Value::Boolean(claim) => Shape::Bool(*claim.value()),
            Value::Datetime(_) => Shape::Date,
            Value::Array(list) => Shape::List(list.iter().map(|each| self.value(each, &at)).collect()),
            Value::InlineTable(table) => Shape::Table(self.entries(table)),
        };
        Node { at, shape }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(node: &Node, text: &str, all: &mut Vec<(String, String)>) {
        match &node.shape {
            Shape::Table(entries) => {
                for entry in entries {
                    let value = text.get(entry.node.at.clone()).unwrap().to_owned();
                    all.push((text.get(entry.key_at.clone()).unwrap().to_owned(), value));
                    places(&entry.node, text, all);
                }
            }
            Shape::List(nodes) => nodes.iter().for_each(|node| places(node, text, all)),
            Shape::Text(_) | Shape::Int(_) | Shape::Float(_) | Shape::Bool(_) | Shape::Date => {}
        }
    }

    #[test]
    fn every_key_and_value_knows_its_bytes_however_it_is_written() {
        let text = "[hq]\nretry.first = 1\nauth = { \"kind\" = 'x' }\n[[job]]\nname = \"a\"\n[job.fields]\nb = [1, { c = 2.50 }]\n";
        let mut all = Vec::new();
        places(&parse(text).unwrap(), text, &mut all);
        let has = |key: &str, value: &str| {
            assert!(all.contains(&(key.to_owned(), value.to_owned())), "{key} {value}: {all:?}");
        };
        has("hq", "[hq]");
        has("first", "1");
        has("\"kind\"", "'x'");
        has("name", "\"a\"");
        has("b", "[1, { c = 2.50 }]");
        has("c", "2.50");
        has("fields", "[job.fields]");
    }

    #[test]
    fn a_key_written_twice_is_named() {
        let bad = parse("[hq]\nurl = 1\nurl = 2\n").unwrap_err();
        assert_eq!((bad.at, bad.is_duplicate), (13..16, true));
    }

    #[test]
    fn a_float_keeps_its_digits() {
        let tree = parse("a = +1_0.50").unwrap();
        let Shape::Table(entries) = tree.shape else { panic!("a table") };
        assert!(matches!(&entries[0].node.shape, Shape::Float(text) if text == "10.50"));
    }
}
