//! Records that could not be mapped or written, kept aside so that the rest of their page lands.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::record::Stamp;
use crate::retry::Backoff;

/// Parked records of one job, at most. More of them are no bad records but a bad mapping: the job is blocked instead.
pub const LIMIT: usize = 10_000;

/// When a parked record is tried again by itself: at first soon, as a missing neighbour may be on its way, in the end
/// once a day. For ever, as only HQ or a person can mend it.
const BACKOFF: Backoff = Backoff {
    max_attempts: u32::MAX,
    first_delay: Duration::from_secs(5 * 60),
    max_delay: Duration::from_secs(24 * 60 * 60),
};

/// A record in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parked {
    /// The job.
    pub job: String,
    /// HQ's `name`.
    pub name: String,
    /// HQ's `modified` of the version that was tried last.
    pub modified: Stamp,
    /// Why it could not be taken, in a sentence.
    pub reason: String,
    /// The record as HQ sent it, JSON; long texts are cut and private ones left out.
    pub payload: String,
    /// How often this version was tried.
    pub tries: u32,
    /// When it was parked.
    pub first_at: DateTime<Utc>,
    /// When it was tried last.
    pub last_at: DateTime<Utc>,
    /// When it is tried again by itself, whatever else happens.
    pub next_at: Option<DateTime<Utc>>,
    /// The rows of other tables that it waits for.
    pub awaits: Vec<Awaited>,
}

/// A row of a lookup table that was not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// The child table whose lookup it is, by position; `None` for the record's own.
    pub child: Option<usize>,
    /// The lookup, by position.
    pub lookup: usize,
    /// The value that no row had.
    pub value: String,
}

impl Parked {
    /// The moment of the next try after the `tries`-th failed. `jitter` is in `0.0..1.0`.
    #[must_use]
    pub fn next_try(tries: u32, now: DateTime<Utc>, jitter: f64) -> Option<DateTime<Utc>> {
        let wait = BACKOFF.wait(tries, None, jitter).unwrap_or(BACKOFF.max_delay);
        now.checked_add_signed(chrono::Duration::from_std(wait).unwrap_or_default())
    }

    /// The payload as JSON, for showing.
    #[must_use]
    pub fn payload_json(&self) -> serde_json::Value {
        serde_json::from_str(&self.payload).unwrap_or_else(|_| serde_json::Value::String(self.payload.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_ever_more_rarely_but_for_ever() {
        let now: DateTime<Utc> = "2027-01-01T00:00:00Z".parse().unwrap();
        let minutes = |tries| (Parked::next_try(tries, now, 1.0).unwrap() - now).num_minutes();
        assert_eq!([1, 2, 3, 9, 10, 4_000_000].map(minutes), [5, 10, 20, 1280, 1440, 1440]);
    }
}
