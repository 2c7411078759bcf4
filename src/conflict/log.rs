//! One line of the log of conflicts: both sides of a decision, and who got his way.

use chrono::{DateTime, Utc};

use super::rule::Rule;
use super::state::{Kind, Side};
use crate::record::Stamp;

/// How a conflict ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// One side was taken, by the rule or by an operator's word.
    Taken(Side),
    /// The two sides came to agree by themselves, or the record is gone on both.
    Lapsed,
}

impl Resolution {
    /// Every resolution.
    pub const ALL: [Self; 3] = [Self::Taken(Side::Hq), Self::Taken(Side::Local), Self::Lapsed];

    /// The word of the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Taken(side) => side.word(),
            Self::Lapsed => "lapsed",
        }
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Its number; 0 before it is written.
    pub id: i64,
    /// The job.
    pub job: String,
    /// HQ's `name`.
    pub name: String,
    /// The key of the local row.
    pub local_key: String,
    /// What happened.
    pub kind: Kind,
    /// HQ's version; `None` where HQ has the record no more.
    pub modified: Option<Stamp>,
    /// The columns concerned as they were last taken from HQ, a JSON object; `None` where that is not known.
    pub base: Option<String>,
    /// The same as HQ has them; `None` where HQ has the record no more.
    pub hq: Option<String>,
    /// The same as they are here; `None` where the row is gone here.
    pub local: Option<String>,
    /// The rule that speaks of it.
    pub rule: Rule,
    /// The run that met it.
    pub run: i64,
    /// When it was met.
    pub raised_at: DateTime<Utc>,
    /// HQ's version, as [`crate::mapping::Mapped::hash`]; 0 where HQ has the record no more.
    pub hq_version: i64,
    /// The row's version, as [`super::LocalRow::version`]; 0 where the row is gone.
    pub local_version: i64,
    /// What an operator said; the next run carries it out.
    pub told: Option<Side>,
    /// When it was decided; `None` while it waits.
    pub resolved_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub resolution: Option<Resolution>,
}
