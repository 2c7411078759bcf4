//! One row as it was read from the database: texts and nulls.

use chrono::{DateTime, NaiveDateTime, Utc};

use crate::record::{Mark, Stamp};

use super::error::Error;

/// The values of a row, in the order of the select list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line(pub(super) Vec<Option<String>>);

impl Line {
    /// The value at `at`; `None` for null.
    pub(super) fn text(&self, at: usize) -> Option<&str> {
        self.0.get(at).and_then(Option::as_deref)
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
