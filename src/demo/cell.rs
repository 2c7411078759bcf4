//! One stored value, kept small so that a million records fit in memory.

use serde_json::Value;

use super::clock::{self, Stamp};
use super::doctype::Kind;

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Whole(i64),
    Real(f64),
    Time(Stamp),
    Text(Box<str>),
}

impl Cell {
    /// What a column without a value holds: numbers are never null (recordings 1104, 1105).
    pub(super) fn empty(kind: Kind) -> Self {
        match kind {
            Kind::Whole | Kind::Check => Self::Whole(0),
            Kind::Real => Self::Real(0.0),
            Kind::Text | Kind::Date | Kind::Datetime | Kind::Table | Kind::Layout => Self::Null,
        }
    }

    /// Makes of a JSON value what the column stores (recordings 850, 1109, 1120). A `None` is a time HQ refuses.
    pub(super) fn from_json(kind: Kind, value: &Value) -> Option<Self> {
        if value.is_null() {
            return Some(Self::empty(kind));
        }
        Some(match kind {
            Kind::Whole => Self::Whole(whole(value)),
            Kind::Check => Self::Whole(i64::from(value.as_bool().unwrap_or_else(|| whole(value) != 0))),
            Kind::Real => Self::Real((real(value) * 1e9).round() / 1e9),
            Kind::Datetime => match text(value) {
                empty if empty.is_empty() => Self::Null,
                given if given.ends_with('Z') || given.contains('+') => return None,
                given => Self::Time(clock::parse(&given)?),
            },
            Kind::Date => match text(value) {
                empty if empty.is_empty() => Self::Null,
                given => Self::Text(given.get(..10).filter(|date| clock::is_bare_date(date))?.into()),
            },
            Kind::Text => Self::Text(text(value).into()),
            Kind::Table | Kind::Layout => Self::Null,
        })
    }

    /// The value as an answer holds it.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Whole(number) => Value::from(*number),
            Self::Real(number) => Value::from(*number),
            Self::Time(stamp) => Value::from(clock::print(*stamp)),
            Self::Text(text) => Value::from(&**text),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Whole(_) | Self::Real(_) | Self::Time(_) => None,
        }
    }

    /// The value as a number, as MariaDB casts it: the number a text begins with, or 0.
    #[expect(clippy::cast_precision_loss, reason = "MariaDB compares such values as doubles too")]
    pub(super) fn as_number(&self) -> f64 {
        match self {
            Self::Null | Self::Time(_) => 0.0,
            Self::Whole(number) => *number as f64,
            Self::Real(number) => *number,
            Self::Text(text) => leading_number(text),
        }
    }
}

/// The text of a JSON value: a string as it is, anything else in its JSON form.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// The number a JSON value stands for, 0 where it stands for none.
pub(super) fn real(value: &Value) -> f64 {
    match value {
        Value::Number(number) => number.as_f64().unwrap_or(0.0),
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::String(text) => leading_number(text),
        Value::Null | Value::Array(_) | Value::Object(_) => 0.0,
    }
}

/// Python's `cint`: whole numbers and the whole part of others; text that is not a number is 0 (recording 850).
#[expect(clippy::cast_possible_truncation, reason = "saturating is what is wanted")]
pub(super) fn whole(value: &Value) -> i64 {
    match value {
        Value::Number(number) => number.as_i64().unwrap_or_else(|| number.as_f64().unwrap_or(0.0) as i64),
        Value::Bool(flag) => i64::from(*flag),
        Value::String(text) => text.trim().parse::<f64>().map_or(0, |number| number as i64),
        Value::Null | Value::Array(_) | Value::Object(_) => 0,
    }
}

fn leading_number(text: &str) -> f64 {
    let text = text.trim_start();
    let end = text
        .char_indices()
        .find(|(at, c)| !(c.is_ascii_digit() || *c == '.' || (*at == 0 && matches!(c, '-' | '+'))))
        .map_or(text.len(), |(at, _)| at);
    text.get(..end).and_then(|number| number.parse().ok()).unwrap_or(0.0)
}
