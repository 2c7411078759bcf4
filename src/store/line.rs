//! One row as it was read from the database: texts and nulls.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Deserializer, de};

use crate::record::{Mark, Stamp};

use super::error::Error;

/// The values of a row, in the order of the select list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line(pub(super) Vec<Option<String>>);

/// A value of a packed row.
struct Unpacked(String);

impl<'de> Deserialize<'de> for Unpacked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl de::Visitor<'_> for Value {
            type Value = Unpacked;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a whole number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Unpacked, E> {
                Ok(Unpacked(text.to_owned()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Unpacked, E> {
                Ok(Unpacked(number.to_string()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Unpacked, E> {
                Ok(Unpacked(number.to_string()))
            }
        }
        deserializer.deserialize_any(Value)
    }
}

impl Line {
    /// The value at `at`; `None` for null.
    pub(super) fn text(&self, at: usize) -> Option<&str> {
        self.0.get(at).and_then(Option::as_deref)
    }

    /// The rows that [`super::sql::Sql::packed`] made one value of.
    pub(super) fn unpacked(&self) -> Result<Vec<Self>, Error> {
        let packed = self.text(0).unwrap_or("[]");
        let lines: Vec<Vec<Option<Unpacked>>> = serde_json::from_str(packed)
            .map_err(|error| Error::Damaged(format!("what SQLite made of several rows cannot be read: {error}")))?;
        let line =
            |line: Vec<Option<Unpacked>>| Self(line.into_iter().map(|value| value.map(|value| value.0)).collect());
        Ok(lines.into_iter().map(line).collect())
    }

    /// Moves the value at `at` out.
    pub(super) fn take(&mut self, at: usize) -> Option<String> {
        self.0.get_mut(at).and_then(Option::take)
    }

    /// A value that milkrun never leaves null.
    pub(super) fn required(&self, at: usize, what: &str) -> Result<&str, Error> {
        self.text(at).ok_or_else(|| Error::Damaged(format!("{what} is null")))
    }

    /// A whole number of milkrun's own.
    pub(super) fn int(&self, at: usize, what: &str) -> Result<i64, Error> {
        self.optional_int(at, what)?.ok_or_else(|| Error::Damaged(format!("{what} is null")))
    }

    /// A whole number of milkrun's own, or null.
    pub(super) fn optional_int(&self, at: usize, what: &str) -> Result<Option<i64>, Error> {
        let read = |text: &str| text.parse().ok().ok_or_else(|| unreadable(what, text));
        self.text(at).map(read).transpose()
    }

    /// A moment of milkrun's own, or null.
    pub(super) fn moment(&self, at: usize, what: &str) -> Result<Option<DateTime<Utc>>, Error> {
        let read = |text: &str| {
            let moment = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok();
            moment.map(|moment| moment.and_utc()).ok_or_else(|| unreadable(what, text))
        };
        self.text(at).map(read).transpose()
    }

    /// A stamp of HQ's, or null.
    pub(super) fn stamp(&self, at: usize, what: &str) -> Result<Option<Stamp>, Error> {
        let read = |text: &str| Stamp::parse(text).ok().ok_or_else(|| unreadable(what, text));
        self.text(at).map(read).transpose()
    }

    /// A mark: a stamp at `at` and a name after it.
    pub(super) fn mark(&self, at: usize, what: &str) -> Result<Option<Mark>, Error> {
        let name = self.text(at + 1).unwrap_or_default().to_owned();
        Ok(self.stamp(at, what)?.map(|modified| Mark { modified, name }))
    }
}

/// A moment as milkrun's own tables hold it: UTC, of fixed width, so that texts sort as moments do.
pub(super) fn moment_text(moment: DateTime<Utc>) -> String {
    moment.naive_utc().format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

/// A stamp of HQ's at fixed width, where stamps are compared by the database.
pub(super) fn stamp_text(stamp: &Stamp) -> String {
    stamp.moment().format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

fn unreadable(what: &str, text: &str) -> Error {
    Error::Damaged(format!("{what} reads {:?}", text.chars().take(60).collect::<String>()))
}
