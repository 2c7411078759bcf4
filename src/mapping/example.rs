//! `[[job.test]]`: an example of the mapping, worked without HQ and without a database.

use std::str::FromStr as _;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::field::Field;
use super::offence::PRIVATE;
use super::{Answers, Mapping, value};
use crate::record::{Page, Record};
use crate::row::{self, Cell};

/// What an example need not give: every record has them.
const ALWAYS: [(&str, &str); 2] = [("name", "EXAMPLE"), ("modified", "2000-01-01 00:00:00")];

impl Mapping {
    /// Maps the record `given` and compares the columns of `expect`; one sentence for each that does not agree.
    ///
    /// Only the columns asked for are worked out, so `given` needs no more than the fields they come from. Texts of
    /// `expect` are compared with a cell's canonical text, numbers and booleans by value.
    #[must_use]
    pub fn example(&self, given: &Map<String, Value>, expect: &Map<String, Value>) -> Vec<String> {
        let page = match self.page_of(given) {
            Ok(page) => page,
            Err(offence) => return vec![offence],
        };
        let Some(record) = page.record(0) else { return Vec::new() };
        expect
            .iter()
            .filter_map(|(column, expected)| self.mismatch(column, expected, given, record))
            .collect()
    }

    /// A page of one record; what is not given is null there, and never looked at.
    fn page_of(&self, given: &Map<String, Value>) -> Result<Page, String> {
        let mut whole: Map<String, Value> = Map::new();
        for name in self.fields.names() {
            let always = ALWAYS.iter().find(|(known, _)| known == name).map(|(_, text)| Value::from(*text));
            whole.insert(name.clone(), given.get(name).cloned().or(always).unwrap_or(Value::Null));
        }
        let body: Arc<str> = Value::Array(vec![Value::Object(whole)]).to_string().into();
        Page::decode(body, &self.fields).map_err(|error| format!("given: {error}"))
    }

    fn mismatch(
        &self,
        column: &str,
        expected: &Value,
        given: &Map<String, Value>,
        record: Record<'_>,
    ) -> Option<String> {
        let Some(field) = self.compiled.iter().find(|field| field.column == column) else {
            return Some(format!("{column}: the mapping has no such column"));
        };
        if field.lookup.is_some() {
            let message =
                "is looked up in the outlet's database, which an example does without; leave it out of expect";
            return Some(format!("{column}: {message}"));
        }
        if let Some(sentence) = missing(field, given) {
            return Some(sentence);
        }
        match field.cell(record, &Answers::default()) {
            Err(reject) => Some(format!("{reject} (expected {})", shown(expected, field))),
            Ok(cell) if agrees(&cell, expected) => None,
            Ok(cell) => {
                let got = match cell.text() {
                    Some(_) if field.is_private => PRIVATE.to_owned(),
                    Some(text) => value::quote(&text),
                    None => "null".to_owned(),
                };
                Some(format!("{column}: expected {}, got {got}", shown(expected, field)))
            }
        }
    }
}

fn missing(field: &Field, given: &Map<String, Value>) -> Option<String> {
    let is_there = |name: &String| given.contains_key(name) || ALWAYS.iter().any(|(known, _)| known == name);
    let absent: Vec<&str> = field.needs().iter().filter(|name| !is_there(name)).map(String::as_str).collect();
    (!absent.is_empty()).then(|| format!("{}: given lacks {}, which it comes from", field.column, absent.join(", ")))
}

fn agrees(cell: &Cell, expected: &Value) -> bool {
    let Some(text) = cell.text() else { return expected.is_null() };
    match expected {
        Value::Null => false,
        Value::String(wanted) => *wanted == text,
        Value::Bool(wanted) => text == if *wanted { "1" } else { "0" },
        Value::Number(wanted) => {
            let wanted = wanted.to_string();
            match (row::decimal(&wanted), Decimal::from_str(&text)) {
                (Some(wanted), Ok(found)) => wanted == found,
                (None, _) | (_, Err(_)) => wanted == text,
            }
        }
        Value::Array(_) | Value::Object(_) => {
            serde_json::from_str::<Value>(&text).is_ok_and(|found| found == *expected)
        }
    }
}

/// What was expected; of a private field the file's own words are not repeated either.
fn shown(expected: &Value, field: &Field) -> String {
    match expected {
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_)
            if field.is_private =>
        {
            PRIVATE.to_owned()
        }
        Value::String(text) => value::quote(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => expected.to_string(),
        Value::Array(_) | Value::Object(_) => value::quote(&expected.to_string()),
    }
}
