//! Keeping the run log and the log of conflicts short, for a daemon that nobody looks after for years.

use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use super::Engine;
use crate::config::Job;
use crate::run::{Run, Status};
use crate::store::Keep;

/// A week of a job that runs every five minutes, more than five years of a nightly one.
const NEWEST: u32 = 2_000;

/// Three months: what an operator may still ask about. The last good and the last failed run stay at any age.
const AGE: TimeDelta = TimeDelta::days(90);

/// Lines of a job's log of conflicts that are kept; those that wait stay whatever their number.
pub(super) const DECIDED: usize = 10_000;

/// Rows of a job that went, at most, that are remembered.
const GONE: usize = 20_000;

/// How often the log is looked through.
const EVERY: TimeDelta = TimeDelta::hours(1);

/// Of a process that has just begun this is done for jobs that did something, and by chance for one in so many of the others:
/// cron may start it each minute.
const ONE_IN: u64 = 100;

/// When the log was looked through last.
#[derive(Debug, Default)]
pub(super) struct Tidied(Mutex<Option<DateTime<Utc>>>);

/// Whose logs are to be looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    None,
    /// Those of jobs that did something, and by chance others.
    Some,
    All,
}

impl Tidied {
    /// Whose logs it is time to look through, which is then noted. A clock that was set back makes it time.
    fn due(&self, now: DateTime<Utc>) -> Due {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = match *last {
            None => Due::Some,
            Some(last) if (now - last).abs() >= EVERY => Due::All,
            Some(_) => return Due::None,
        };
        *last = Some(now);
        due
    }
}

impl Engine {
    /// Deletes the old runs and decisions of jobs after these runs, some at a time; what fails is tried again an hour later.
    pub(super) async fn tidy(&self, runs: &[Run], stop: &CancellationToken) {
        let now = self.clock.now();
        if self.store.is_dry_run() {
            return;
        }
        let due = self.tidied.due(now);
        let keep = Keep { since: now - AGE, newest: NEWEST };
        let is_due = |job: &&Arc<Job>| match due {
            Due::None => false,
            Due::Some => runs.iter().any(|run| run.job == job.name && is_worth_it(run)),
            Due::All => true,
        };
        for job in self.config.jobs.iter().filter(is_due) {
            // Who lets no row go has none to forget, or forgets it within the hour.
            let has_let_go = runs.iter().any(|run| run.job == job.name && run.counts.deleted > 0);
            let is_due = due == Due::All || has_let_go;
            let forgotten = if is_due { self.store.prune_gone(&job.name, now - AGE, GONE).await } else { Ok(0) };
            if let Err(error) = forgotten {
                tracing::warn!(%error, "rows that went long ago could not be forgotten; the next hour tries again");
                return;
            }
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

fn is_worth_it(run: &Run) -> bool {
    let is_idle = run.status == Status::Ok && run.counts.fetched + run.counts.deleted == 0;
    !is_idle || xxh3_64(&run.id.to_le_bytes()).is_multiple_of(ONE_IN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_looked_through_once_an_hour() {
        let (tidied, start) = (Tidied::default(), DateTime::UNIX_EPOCH);
        let minutes = [0, 5, 59, 60, 61, 119, 120, 10];
        let due = minutes.map(|minute| tidied.due(start + TimeDelta::minutes(minute)));
        let (first, all, none) = (Due::Some, Due::All, Due::None);
        assert_eq!(due, [first, none, none, all, none, none, all, all]);
    }
}
