//! What is done to one record's row: told by a dry run before, and by a run afterwards.
//!
//! Values are the texts that are stored. Nothing in it is of the moment or of the process, so that a dry run and the run
//! after it tell the same to the byte.

use indexmap::IndexMap;
use serde::Serialize;

/// What stands for a value that is shown nowhere.
pub const PRIVATE: &str = "(private)";

/// What is done to the row of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The job.
    pub job: String,
    /// HQ's `name`.
    pub name: String,
    /// The row's key after it, or the last it had; `None` where the record has no row.
    pub key: Option<String>,
    /// What is done.
    pub action: Action,
    /// Why, where a person may ask: of what is parked or decided by a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The columns that are given another value.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub columns: IndexMap<String, Sides<Text>>,
    /// The child tables whose rows are replaced.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub children: IndexMap<String, Sides<Vec<TextRow>>>,
}

/// A value as it is stored; `None` for null.
pub type Text = Option<String>;

/// A child row's values by their columns.
pub type TextRow = IndexMap<String, Text>;

/// Something before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sides<T> {
    /// As it was.
    pub before: T,
    /// As it is then.
    pub after: T,
}

/// What is done to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is made.
    Insert,
    /// Some columns get other values.
    Update,
    /// It gets another key, and perhaps other values.
    Move,
    /// Its mark of deletion is taken back.
    Restore,
    /// Only its child rows are replaced.
    Children,
    /// It is deleted, with its child rows.
    Delete,
    /// It is marked as deleted; the values stay.
    Mark,
    /// It stays as it is here, by the rule for what both sides changed.
    Keep,
    /// The record is put into quarantine.
    Park,
    /// The record waits for a person's decision.
    Conflict,
}

impl Action {
    /// The word of the list, as in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Move => "move",
            Self::Restore => "restore",
            Self::Children => "children",
            Self::Delete => "delete",
            Self::Mark => "mark",
            Self::Keep => "keep",
            Self::Park => "park",
            Self::Conflict => "conflict",
        }
    }

    /// The sign at the beginning of a line.
    #[must_use]
    pub fn sign(self) -> char {
        match self {
            Self::Insert => '+',
            Self::Update | Self::Move | Self::Restore | Self::Children => '~',
            Self::Delete | Self::Mark => '-',
            Self::Keep => '=',
            Self::Park | Self::Conflict => '!',
        }
    }
}

impl Change {
    /// A change without values.
    #[must_use]
    pub fn new(job: &str, name: &str, key: Option<String>, action: Action) -> Self {
        Self {
            job: job.to_owned(),
            name: name.to_owned(),
            key,
            action,
            reason: None,
            columns: IndexMap::new(),
            children: IndexMap::new(),
        }
    }
}
