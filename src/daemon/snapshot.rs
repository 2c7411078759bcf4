//! How the jobs stand at one moment: what the status page, the metrics and `milkrun status` all show.

use std::fmt;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Serialize;

use super::schedule::Schedule;
use super::version::Version;
use crate::config::Config;
use crate::reconciled::Reconciled;
use crate::run::{self, Run};

/// The outlet at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// `site.name`.
    pub site: String,
    /// `site.time_zone`, for showing moments.
    pub time_zone: Tz,
    /// The moment.
    pub now: DateTime<Utc>,
    /// The jobs, in the order of `sync.toml`.
    pub jobs: Vec<JobSnapshot>,
    /// When HQ last answered, as the run log has it; `None` where no run was told anything yet.
    pub hq_answered_at: Option<DateTime<Utc>>,
    /// Which version of `sync.toml` is in force, and whether a daemon runs; `None` where there is no file, as in the demo.
    pub version: Option<Version>,
}

/// One job at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobSnapshot {
    /// Name of the job.
    pub name: String,
    /// HQ's DocType.
    pub doctype: String,
    /// The local table.
    pub table: String,
    /// The cron pattern as written.
    pub schedule: String,
    /// How it stands.
    pub status: Status,
    /// The latest run, which may be going on.
    pub last_run: Option<Run>,
    /// When the last good run started: the table shows HQ as it was then, or newer.
    pub last_ok: Option<DateTime<Utc>>,
    /// When it starts next: by its schedule, splay included, or sooner because it failed.
    pub next_run: Option<DateTime<Utc>>,
    /// Rows that came from HQ; `None` where they were not counted.
    pub rows: Option<u64>,
    /// Records in quarantine.
    pub parked: u64,
    /// When it is compared with all of HQ next, by its `reconcile`.
    pub next_reconcile: Option<DateTime<Utc>>,
    /// What the last such comparing came to.
    pub reconciled: Option<Reconciled>,
    /// The same in a sentence.
    pub sentence: Option<String>,
    /// Records that wait for a decision between HQ's version and the one here.
    pub conflicts: u64,
}

impl Snapshot {
    /// As it is before any run has made the database.
    #[must_use]
    pub fn before_the_first_run(config: &Config, now: DateTime<Utc>) -> Self {
        let schedules = Schedule::all(config).into_iter().zip(Schedule::reconciles(config));
        let jobs = config.jobs.iter().zip(schedules).map(|(job, (schedule, reconcile))| JobSnapshot {
            name: job.name.clone(),
            doctype: job.doctype.clone(),
            table: job.table.clone(),
            schedule: job.schedule.text.clone(),
            status: Status::Never,
            last_run: None,
            last_ok: None,
            next_run: schedule.next(now),
            rows: None,
            parked: 0,
            next_reconcile: reconcile.and_then(|schedule| schedule.next(now)),
            reconciled: None,
            sentence: None,
            conflicts: 0,
        });
        let (site, time_zone) = (config.site.name.clone(), config.site.time_zone);
        Self { site, time_zone, now, jobs: jobs.collect(), version: None, hq_answered_at: None }
    }
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The last run read every planned page, nothing is parked.
    Ok,
    /// A run is going on.
    Running,
    /// No run yet.
    Never,
    /// The last run is done, some records are parked.
    Quarantine,
    /// The last run is done, some records wait for a decision.
    Conflict,
    /// No good run for longer than the schedule promises: is the daemon running?
    Stale,
    /// The last run could not be finished; it is tried again by itself.
    Failed,
    /// The last run needs a person.
    Blocked,
}

impl Status {
    /// All of them, best first.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Running,
        Self::Never,
        Self::Quarantine,
        Self::Conflict,
        Self::Stale,
        Self::Failed,
        Self::Blocked,
    ];

    /// The status after these runs, with so many records parked, and so many waiting for a decision, now: a person may
    /// have seen to them since. What failed says more than that it is old; a run that goes on while the last good one has
    /// become too old may never end, so it does not hide that.
    #[must_use]
    pub fn of(
        last_run: Option<&Run>,
        last_ok: Option<DateTime<Utc>>,
        (parked, conflicts): (u64, u64),
        schedule: &Schedule,
        now: DateTime<Utc>,
    ) -> Self {
        let Some(last_run) = last_run else { return Self::Never };
        let stale_at = last_ok.and_then(|last_ok| schedule.stale_at(last_ok));
        let or_stale = |status| if stale_at.is_some_and(|stale_at| stale_at <= now) { Self::Stale } else { status };
        match last_run.status {
            run::Status::Running => or_stale(Self::Running),
            run::Status::Ok | run::Status::Quarantine | run::Status::Conflict => or_stale(match (parked, conflicts) {
                (0, 0) => Self::Ok,
                (_, 0) => Self::Quarantine,
                (_, _) => Self::Conflict,
            }),
            run::Status::Failed => Self::Failed,
            run::Status::Blocked => Self::Blocked,
        }
    }

    /// The status of a job whose last reconcile left something to a person: runs that end well since do not undo that.
    #[must_use]
    pub fn after(self, reconciled: Option<&Reconciled>) -> Self {
        let waits = reconciled.is_some_and(|reconciled| reconciled.error.is_some());
        if waits { self.max(Self::Blocked) } else { self }
    }

    /// The word that users see.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Running => "running",
            Self::Never => "never",
            Self::Quarantine => "quarantine",
            Self::Conflict => "conflict",
            Self::Stale => "stale",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// How far `then` is from `now`, roughly and in words: `12 s ago`, `3 min ago`, `in 5 h`.
#[must_use]
pub fn distance(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = now.signed_duration_since(then).num_seconds();
    let size = match seconds.unsigned_abs() {
        0 => return "now".to_owned(),
        size @ 1..120 => format!("{size} s"),
        size @ 120..7_200 => format!("{} min", size / 60),
        size @ 7_200..172_800 => format!("{} h", size / 3_600),
        size @ 172_800.. => format!("{} days", size / 86_400),
    };
    if seconds > 0 { format!("{size} ago") } else { format!("in {size}") }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use chrono_tz::Asia::Kolkata;

    use super::super::schedule::tests::{at, cron};
    use super::*;
    use crate::run::{Counts, Trigger};

    pub(crate) fn ended(status: run::Status, started_at: &str) -> Run {
        Run {
            id: 7,
            job: "items".to_owned(),
            trigger: Trigger::Schedule,
            started_at: at(started_at),
            ended_at: Some(at(started_at) + Duration::from_secs(2)),
            status,
            counts: Counts::default(),
            watermark_before: None,
            watermark_after: None,
            error: None,
            remedy: None,
        }
    }

    fn status(last: Option<run::Status>, last_ok: Option<&str>) -> Status {
        let schedule = Schedule::new(cron("0 */5 * * * *"), Kolkata, Duration::ZERO);
        let last = last.map(|status| ended(status, "2027-01-01T00:11:00Z"));
        Status::of(last.as_ref(), last_ok.map(at), (0, 0), &schedule, at("2027-01-01T00:12:00Z"))
    }

    #[test]
    fn a_job_stands_as_its_last_run_ended_unless_its_last_good_run_is_too_old() {
        use run::Status as Ended;
        // Two starts went by since the old one (00:05 and 00:10), one since the fresh one.
        let (fresh, old) = (Some("2027-01-01T00:05:01Z"), Some("2027-01-01T00:04:59Z"));
        assert_eq!(status(None, None), Status::Never);
        for (last, when_fresh, when_old) in [
            (Ended::Ok, Status::Ok, Status::Stale),
            (Ended::Quarantine, Status::Ok, Status::Stale),
            (Ended::Conflict, Status::Ok, Status::Stale),
            (Ended::Running, Status::Running, Status::Stale),
            (Ended::Failed, Status::Failed, Status::Failed),
            (Ended::Blocked, Status::Blocked, Status::Blocked),
        ] {
            assert_eq!((status(Some(last), fresh), status(Some(last), old)), (when_fresh, when_old), "{last:?}");
        }
        assert_eq!(status(Some(Ended::Running), None), Status::Running);
        let schedule = Schedule::new(cron("0 */5 * * * *"), Kolkata, Duration::ZERO);
        let last = ended(Ended::Ok, "2027-01-01T00:11:00Z");
        let parked = Status::of(Some(&last), Some(last.started_at), (1, 0), &schedule, at("2027-01-01T00:12:00Z"));
        assert_eq!(parked, Status::Quarantine);
        let open = Status::of(Some(&last), Some(last.started_at), (1, 1), &schedule, at("2027-01-01T00:12:00Z"));
        assert_eq!(open, Status::Conflict);
    }

    #[test]
    fn the_word_is_the_one_that_json_has() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.word());
        }
        assert!(Status::ALL.is_sorted());
    }

    #[test]
    fn a_distance_is_told_in_one_unit() {
        let now = at("2027-01-10T00:00:00Z");
        let told = |moment| distance(at(moment), now);
        assert_eq!(told("2027-01-10T00:00:00Z"), "now");
        assert_eq!(told("2027-01-09T23:59:00Z"), "60 s ago");
        assert_eq!(told("2027-01-09T23:57:59Z"), "2 min ago");
        assert_eq!(told("2027-01-09T21:00:00Z"), "3 h ago");
        assert_eq!(told("2027-01-02T00:00:00Z"), "8 days ago");
        assert_eq!(told("2027-01-10T00:05:00Z"), "in 5 min");
    }
}
