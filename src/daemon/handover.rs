//! From one version of the configuration to the next: where the jobs have gone, and which run at once.

use super::outlet::missed;
use super::roster::Roster;
use super::rounds::Left;
use super::snapshot::Snapshot;
use super::ticker::Times;

impl Times {
    /// Of a roster.
    pub(super) fn of(roster: &Roster) -> Self {
        Self { schedules: roster.schedules(), reconciles: roster.reconciles() }
    }
}

/// Where the jobs of one roster are in another; jobs are the same by their name.
#[derive(Debug)]
pub(super) struct Moved(Vec<Option<usize>>);

impl Moved {
    /// From the one to the other.
    pub(super) fn between(before: &Roster, after: &Roster) -> Self {
        Self(before.jobs.iter().map(|job| after.position(&job.name)).collect())
    }

    /// Where the job at this position is now; `None` where it is no more.
    pub(super) fn to(&self, job: usize) -> Option<usize> {
        self.0.get(job).copied().flatten()
    }
}

/// What is to run at once by the new version, beside what was due by the old one: jobs that are new, jobs that have missed
/// a time which is new, and those that were `stuck`, as the edit may be what they needed. In another database every job is
/// new.
pub(super) fn at_once(
    (before, after): (&Roster, &Roster),
    snapshot: &Snapshot,
    is_same_database: bool,
    stuck: impl IntoIterator<Item = usize>,
) -> Left {
    let mut left = missed(&Times::of(after), snapshot);
    if is_same_database {
        // Who keeps his time has missed nothing: the daemon was there.
        left.due.retain(|job, _| !after.keeps_time_of(before, *job));
        left.reconciles.retain(|job| !after.reconciles_when(before, *job));
    }
    let moved = Moved::between(before, after);
    for job in stuck.into_iter().filter_map(|job| moved.to(job)) {
        left.add(job, super::ticker::Due::Retry);
    }
    left
}

/// What has changed, in words for the log: jobs that are new, and jobs that are no more.
pub(super) fn told(before: &Roster, after: &Roster) -> (Vec<String>, Vec<String>) {
    let missing = |from: &Roster, of: &Roster| {
        let jobs = of.jobs.iter().filter(|job| from.position(&job.name).is_none());
        jobs.map(|job| job.name.clone()).collect()
    };
    (missing(before, after), missing(after, before))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono_tz::Asia::Kolkata;

    use super::super::roster::Entry;
    use super::super::schedule::tests::{at, cron};
    use super::super::snapshot::{JobSnapshot, Status};
    use super::*;
    use crate::config::Cron;

    const PATTERN: &str = "0 */2 * * * *";

    fn roster(site: &str, splay: Duration) -> Roster {
        let schedule = Cron { text: PATTERN.to_owned(), pattern: cron(PATTERN) };
        let job = Entry {
            name: "items".to_owned(),
            doctype: "Item".to_owned(),
            table: "items".to_owned(),
            reconcile: Some(schedule.clone()),
            schedule,
            after: Vec::new(),
        };
        Roster { site: site.to_owned(), time_zone: Kolkata, splay, jobs: vec![job] }
    }

    /// The job as it ran last, looked at after its pattern's moment and before its own by a splay.
    fn snapshot() -> Snapshot {
        let job = JobSnapshot {
            name: "items".to_owned(),
            doctype: "Item".to_owned(),
            table: "items".to_owned(),
            schedule: PATTERN.to_owned(),
            status: Status::Ok,
            last_run: None,
            last_ok: Some(at("2027-01-01T17:55:50Z")),
            next_run: None,
            rows: None,
            parked: 0,
            next_reconcile: None,
            reconciled: None,
            sentence: None,
            conflicts: 0,
        };
        Snapshot {
            site: "outlet-042".to_owned(),
            time_zone: Kolkata,
            now: at("2027-01-01T17:56:12Z"),
            jobs: vec![job],
            version: None,
            hq_answered_at: None,
        }
    }

    #[test]
    fn a_job_whose_splay_alone_has_changed_runs_at_once_where_its_moment_has_passed_by_the_new_one() {
        let before = roster("outlet-042", Duration::from_secs(50));
        let at_once = |after: &Roster| super::at_once((&before, after), &snapshot(), true, []);
        assert_eq!(at_once(&before), Left::default());
        let mut expected = Left::at_once([0]);
        expected.add(0, super::super::ticker::Due::Reconcile);
        assert_eq!(at_once(&roster("outlet-042", Duration::ZERO)), expected);
    }
}
