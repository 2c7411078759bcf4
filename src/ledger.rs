//! What milkrun last took from HQ for each record; the base of every later decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::record::Stamp;

/// The ledger's knowledge of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// HQ's `name`.
    pub hq_name: Arc<str>,
    /// The local row's key as [`crate::row::Key::text`].
    pub local_key: Arc<str>,
    /// HQ's `modified` of the version last taken.
    pub hq_modified: Stamp,
    /// Fingerprint of the mapped columns that HQ owns, as last taken.
    pub row_hash: i64,
    /// Fingerprint of the mapped child rows, as last taken; 0 where the job has no child tables.
    pub children_hash: i64,
    /// What the row was like then, so that an edit made here is recognised.
    pub base: Base,
}

/// What a row was like when HQ's version was last taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Base {
    /// Not known: the entry is of a milkrun that did not keep it.
    #[default]
    Unknown,
    /// Fingerprint of the columns that HQ owns, as the database spells them; for jobs in which HQ wins whatever was
    /// edited here.
    Hash(i64),
    /// The values themselves.
    Values(Values),
}

/// HQ's values of a record by local column, as the database spells them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Values(BTreeMap<String, Value>);

/// One column's base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// What HQ had.
    pub hq: Spelt,
    /// What the column read when that was written, where the database or a trigger made something else of it.
    pub here: Option<Spelt>,
}

/// A value as the database spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spelt {
    /// No value.
    Null,
    /// Its text.
    Text(String),
    /// The fingerprint of a private text.
    Hash(i64),
}

impl Value {
    /// What the column reads as long as nobody edits it here.
    #[must_use]
    pub fn here(&self) -> &Spelt {
        self.here.as_ref().unwrap_or(&self.hq)
    }
}

impl Spelt {
    fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Text(text) => Json::from(text.as_str()),
            Self::Hash(hash) => Json::from(*hash),
        }
    }

    fn from_json(json: &Json) -> Option<Self> {
        match json {
            Json::Null => Some(Self::Null),
            Json::String(text) => Some(Self::Text(text.clone())),
            Json::Number(number) => number.as_i64().map(Self::Hash),
            Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
        }
    }
}

impl Values {
    /// The base of a column; `None` where the column was not mapped then.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.0.get(column)
    }

    /// Sets what HQ has in a column, and what the column reads, where that is something else.
    pub fn set(&mut self, column: &str, hq: Spelt, here: Option<Spelt>) {
        self.0.insert(column.to_owned(), Value { here: here.filter(|here| *here != hq), hq });
    }

    /// Whether HQ had the same values in the same columns.
    #[must_use]
    pub fn is_of(&self, other: &Self) -> bool {
        let hqs = |values: &Self| values.0.iter().map(|(column, value)| (column.clone(), value.hq.clone())).collect();
        let (one, another): (Vec<_>, Vec<_>) = (hqs(self), hqs(other));
        one == another
    }

    /// The text that the ledger keeps.
    #[must_use]
    pub fn text(&self) -> String {
        let json = |value: &Value| match &value.here {
            None => value.hq.to_json(),
            Some(here) => serde_json::json!({ "hq": value.hq.to_json(), "here": here.to_json() }),
        };
        let all: Map<String, Json> = self.0.iter().map(|(column, value)| (column.clone(), json(value))).collect();
        Json::Object(all).to_string()
    }

    /// Reads back what [`Values::text`] printed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all: Map<String, Json> = serde_json::from_str(text).ok()?;
        let value = |json: &Json| match json {
            Json::Object(pair) => {
                Some(Value { hq: Spelt::from_json(pair.get("hq")?)?, here: Some(Spelt::from_json(pair.get("here")?)?) })
            }
            plain @ (Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_)) => {
                Some(Value { hq: Spelt::from_json(plain)?, here: None })
            }
        };
        all.iter()
            .map(|(column, json)| Some((column.clone(), value(json)?)))
            .collect::<Option<_>>()
            .map(Self)
    }
}

/// What is known of a name without reading it again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// The record is here, in the version of this stamp.
    pub present: Option<Stamp>,
    /// The version of this stamp was found not to belong here: it left the filter, was deleted, or was given up.
    pub absent: Option<Stamp>,
}

impl Known {
    /// Whether the version of this stamp needs no reading.
    #[must_use]
    pub fn covers(&self, stamp: &Stamp) -> bool {
        self.present.as_ref() == Some(stamp) || self.absent.as_ref() == Some(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_values_read_back_as_they_were_written() {
        let mut values = Values::default();
        values.set("price", Spelt::Text("80.00".to_owned()), None);
        values.set("title", Spelt::Text("cone".to_owned()), Some(Spelt::Text("CONE".to_owned())));
        values.set("note", Spelt::Null, Some(Spelt::Null));
        values.set("phone", Spelt::Hash(-7), None);
        assert_eq!(values.text(), r#"{"note":null,"phone":-7,"price":"80.00","title":{"hq":"cone","here":"CONE"}}"#);
        assert_eq!(Values::parse(&values.text()), Some(values.clone()));
        assert_eq!(values.get("title").unwrap().here(), &Spelt::Text("CONE".to_owned()));
        assert_eq!(values.get("price").unwrap().here(), &Spelt::Text("80.00".to_owned()));
    }

    #[test]
    fn a_base_that_cannot_be_read_is_none() {
        for text in ["", "[]", "{\"a\":true}", "{\"a\":{\"hq\":1}}", "{\"a\":1.5}"] {
            assert_eq!(Values::parse(text), None, "{text}");
        }
    }
}
