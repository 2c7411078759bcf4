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

/// What an example expects and the mapping does not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The column of `expect`; `None` where it is what is given that is at fault.
    pub column: Option<String>,
    /// What is wrong, in a sentence.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Mapping {
    /// Maps the record `given` and compares the columns of `expect`; one mismatch for each that does not agree.
    ///
    /// Only the columns asked for are worked out, so `given` needs no more than the fields they come from. Texts of
    /// `expect` are compared with a cell's canonical text, numbers and booleans by value.
    #[must_use]
    pub fn example(&self, given: &Map<String, Value>, expect: &Map<String, Value>) -> Vec<Mismatch> {
        let page = match self.page_of(given) {
            Ok(page) => page,
            Err(what) => return vec![Mismatch { column: None, what, remedy: "mend what is given".to_owned() }],
        };
        let Some(record) = page.record(0) else { return Vec::new() };
        expect
            .iter()
            .filter_map(|(column, expected)| self.mismatch(column, expected, given, record))
            .collect()
    }

    /// The columns whose values are shown nowhere, each with the HQ fields that it is made of.
    pub fn private_parts(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.compiled
            .iter()
            .filter(|field| field.is_private)
            .map(|field| (field.column.as_str(), field.needs()))
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
    ) -> Option<Mismatch> {
        let of = |what: String, remedy: String| Some(Mismatch { column: Some(column.to_owned()), what, remedy });
        let Some(field) = self.compiled.iter().find(|field| field.column == column) else {
            return of(format!("no column {column:?} is mapped"), "leave it out of expect".to_owned());
        };
        if field.lookup.is_some() {
            let what = format!("{column} is looked up in the outlet's database, which an example does without");
            return of(what, "leave it out of expect".to_owned());
        }
        if let Some(absent) = absent(field, given) {
            let what = format!("given lacks {}, which {column} comes from", absent.join(", "));
            let remedy = format!("add {} = … to given", absent.first().copied().unwrap_or_default());
            return Some(Mismatch { column: None, what, remedy });
        }
        let expected_text = shown(expected, field);
        match field.cell(record, &Answers::default()) {
            Err(reject) => match reject.0.split_once("; ") {
                Some((what, remedy)) => of(what.to_owned(), remedy.to_owned()),
                None => {
                    of(reject.0, format!("the example expects {expected_text}: mend the mapping, or what is given"))
                }
            },
            Ok(cell) if agrees(&cell, expected) => None,
            Ok(cell) => {
                let got = match (&cell, cell.text()) {
                    (_, Some(_)) if field.is_private => PRIVATE.to_owned(),
                    (Cell::Bool(claim), _) => claim.to_string(),
                    (_, Some(text)) => value::quote(&text),
                    (_, None) => "null".to_owned(),
                };
                let remedy = match &cell {
                    Cell::Datetime(_) => "the column holds UTC: mend its mapping, or what the example expects",
                    Cell::Null
                    | Cell::Bool(_)
                    | Cell::Int(_)
                    | Cell::Float(_)
                    | Cell::Decimal(_)
                    | Cell::Text(_)
                    | Cell::Date(_)
                    | Cell::Time(_)
                    | Cell::Json(_) => "mend its mapping, or what the example expects",
                };
                of(format!("{column} is {got}, where the example expects {expected_text}"), remedy.to_owned())
            }
        }
    }
}

/// The fields that the column comes from and that are not given.
fn absent<'f>(field: &'f Field, given: &Map<String, Value>) -> Option<Vec<&'f str>> {
    let is_there = |name: &String| given.contains_key(name) || ALWAYS.iter().any(|(known, _)| known == name);
    let absent: Vec<&str> = field.needs().iter().filter(|name| !is_there(name)).map(String::as_str).collect();
    (!absent.is_empty()).then_some(absent)
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
