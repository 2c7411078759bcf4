//! One execution of a job: what the run log, the daemon and the command line all speak of.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The job's cron schedule, in the daemon.
    Schedule,
    /// The daemon's first run of the job after it started.
    Start,
    /// The daemon tries again, before the next tick, what failed.
    Retry,
    /// `milkrun sync`.
    Sync,
    /// `milkrun sync --full`, or a full re-read that a changed mapping made necessary.
    Full,
    /// `milkrun sync --since`.
    Since,
    /// `milkrun sync --name`.
    Name,
    /// `milkrun quarantine retry`.
    Quarantine,
    /// `milkrun reconcile`, or the job's `reconcile` schedule in the daemon.
    Reconcile,
}

/// How a run ended, or that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Still going on, or its process died.
    Running,
    /// Every planned page was read and nothing is parked.
    Ok,
    /// Done, some records parked.
    Quarantine,
    /// Done, some records wait for a decision.
    Conflict,
    /// Could not be finished; will be tried again by itself.
    Failed,
    /// Needs a person: credentials, permission, mapping, delete limit.
    Blocked,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 9] = [
        Self::Schedule,
        Self::Start,
        Self::Retry,
        Self::Sync,
        Self::Full,
        Self::Since,
        Self::Name,
        Self::Quarantine,
        Self::Reconcile,
    ];

    /// Whether the run is to read all that is new, not only chosen records.
    #[must_use]
    pub fn is_whole(self) -> bool {
        match self {
            Self::Schedule | Self::Start | Self::Retry | Self::Sync | Self::Full | Self::Reconcile => true,
            Self::Since | Self::Name | Self::Quarantine => false,
        }
    }

    /// Whether the daemon started the run by itself.
    #[must_use]
    pub fn is_daemons(self) -> bool {
        match self {
            Self::Schedule | Self::Start | Self::Retry => true,
            Self::Sync | Self::Full | Self::Since | Self::Name | Self::Quarantine | Self::Reconcile => false,
        }
    }
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 6] = [Self::Running, Self::Ok, Self::Quarantine, Self::Conflict, Self::Failed, Self::Blocked];

    /// Whether the run came to its end: all that was planned has been read.
    #[must_use]
    pub fn is_done(self) -> bool {
        match self {
            Self::Ok | Self::Quarantine | Self::Conflict => true,
            Self::Running | Self::Failed | Self::Blocked => false,
        }
    }
}

/// What a run did. All counts are records, except where the name says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Records that HQ sent whole.
    pub fetched: u64,
    /// Rows made.
    pub inserted: u64,
    /// Rows changed.
    pub updated: u64,
    /// Records whose row already had the values.
    pub unchanged: u64,
    /// Rows deleted or marked, as the job says.
    pub deleted: u64,
    /// Records parked in quarantine.
    pub quarantined: u64,
    /// Requests sent to HQ, repeated ones included.
    pub requests: u64,
    /// Bytes of HQ's answers as they came over the line (bodies).
    pub bytes: u64,
    /// Requests that were repeated.
    pub retries: u64,
}

impl Counts {
    /// Adds another count to this one.
    pub fn add(&mut self, other: &Self) {
        self.fetched += other.fetched;
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.deleted += other.deleted;
        self.quarantined += other.quarantined;
        self.requests += other.requests;
        self.bytes += other.bytes;
        self.retries += other.retries;
    }
}

/// One row of the run log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Number of the run in this outlet's log.
    pub id: i64,
    /// The job.
    pub job: String,
    /// What started it.
    pub trigger: Trigger,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it ended; `None` while it runs.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub status: Status,
    /// What it did.
    pub counts: Counts,
    /// `seen` before, as `modified name`.
    pub watermark_before: Option<String>,
    /// `seen` after, as `modified name`.
    pub watermark_after: Option<String>,
    /// Why it did not end well, with the chain of causes.
    pub error: Option<String>,
    /// What a person can do about it.
    pub remedy: Option<String>,
}
