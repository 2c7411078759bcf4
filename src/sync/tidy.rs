//! Keeping the run log and the log of conflicts short, for a daemon that nobody looks after for years.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::store::Keep;

/// A week of a job that runs every five minutes, more than five years of a nightly one.
const NEWEST: u32 = 2_000;

/// Three months: what an operator may still ask about. The last good and the last failed run stay at any age.
const AGE: TimeDelta = TimeDelta::days(90);

/// Lines of a job's log of conflicts that are kept; those that wait stay whatever their number.
const DECIDED: usize = 10_000;

/// How often the log is looked through.
const EVERY: TimeDelta = TimeDelta::hours(1);

/// When the log was looked through last.
#[derive(Debug, Default)]
pub(super) struct Tidied(Mutex<Option<DateTime<Utc>>>);

impl Tidied {
    /// Whether it is time again, which is then noted. A clock that was set back makes it time.
    fn is_due(&self, now: DateTime<Utc>) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| (now - last).abs() >= EVERY);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

impl Engine {
    /// Deletes the old runs and decisions of all jobs, some at a time; what fails is tried again an hour later.
    pub(super) async fn tidy(&self, stop: &CancellationToken) {
        let now = self.clock.now();
        if self.store.is_dry_run() || !self.tidied.is_due(now) {
            return;
        }
        let keep = Keep { since: now - AGE, newest: NEWEST };
        for job in &self.config.jobs {
            while !stop.is_cancelled() {
                let pruned = match self.store.prune_runs(&job.name, keep).await {
                    Ok(0) => self.store.prune_conflicts(&job.name, now - AGE, DECIDED).await,
                    runs => runs,
                };
                match pruned {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "old lines could not be deleted from the logs; the next hour tries again");
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_looked_through_once_an_hour() {
        let (tidied, start) = (Tidied::default(), DateTime::UNIX_EPOCH);
        let minutes = [0, 5, 59, 60, 61, 119, 120, 10];
        let due = minutes.map(|minute| tidied.is_due(start + TimeDelta::minutes(minute)));
        assert_eq!(due, [true, false, false, true, false, false, true, true]);
    }
}
