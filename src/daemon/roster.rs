//! The jobs of one version of `sync.toml`, as far as it matters when they run.
//!
//! The daemon goes by it, and others need to know it to say how the jobs of the version in force stand while the file is
//! another one.

use std::time::Duration;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::schedule::{Schedule, splay};
use crate::config::{Config, Cron};

/// The jobs, in the order of the file, and when they run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Roster {
    /// `site.name`.
    pub site: String,
    /// `site.time_zone`.
    pub time_zone: Tz,
    /// `daemon.splay`.
    pub splay: Duration,
    /// `[[job]]`.
    pub jobs: Vec<Entry>,
}

/// One job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Name of the job.
    pub name: String,
    /// HQ's DocType.
    pub doctype: String,
    /// The local table.
    pub table: String,
    /// When it runs.
    pub schedule: Cron,
    /// When it is compared with all of HQ.
    pub reconcile: Option<Cron>,
    /// The jobs that it waits for, by position.
    pub after: Vec<usize>,
}

impl Roster {
    /// Of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let entry = |job: &std::sync::Arc<crate::config::Job>| Entry {
            name: job.name.clone(),
            doctype: job.doctype.clone(),
            table: job.table.clone(),
            schedule: job.schedule.clone(),
            reconcile: job.reconcile.clone(),
            after: job.after.clone(),
        };
        Self {
            site: config.site.name.clone(),
            time_zone: config.site.time_zone,
            splay: config.daemon.splay,
            jobs: config.jobs.iter().map(entry).collect(),
        }
    }

    /// The schedules of all jobs, in the order of the file.
    #[must_use]
    pub fn schedules(&self) -> Vec<Schedule> {
        self.jobs.iter().map(|job| self.schedule(&job.schedule)).collect()
    }

    /// When each job is reconciled, in the order of the file; `None` where that is done by hand only.
    #[must_use]
    pub fn reconciles(&self) -> Vec<Option<Schedule>> {
        self.jobs.iter().map(|job| job.reconcile.as_ref().map(|cron| self.schedule(cron))).collect()
    }

    /// The position of the job of this name.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.jobs.iter().position(|job| job.name == name)
    }

    /// Whether the job was there in the other one, to be run at the same times.
    pub(super) fn keeps_time_of(&self, other: &Self, job: usize) -> bool {
        self.both(other, job).is_some_and(|(mine, theirs)| mine.schedule.text == theirs.schedule.text)
            && self.is_timed_as(other)
    }

    /// Whether the job was there in the other one, to be compared with all of HQ at the same times.
    pub(super) fn reconciles_when(&self, other: &Self, job: usize) -> bool {
        let text = |entry: &Entry| entry.reconcile.as_ref().map(|cron| cron.text.clone());
        self.both(other, job).is_some_and(|(mine, theirs)| text(mine) == text(theirs)) && self.is_timed_as(other)
    }

    /// Whether a pattern means the same moments in both.
    fn is_timed_as(&self, other: &Self) -> bool {
        self.time_zone == other.time_zone && self.share() == other.share()
    }

    /// How much later than its pattern each job starts.
    fn share(&self) -> Duration {
        splay(&self.site, self.splay)
    }

    fn both<'r>(&'r self, other: &'r Self, job: usize) -> Option<(&'r Entry, &'r Entry)> {
        let mine = self.jobs.get(job)?;
        Some((mine, other.jobs.get(other.position(&mine.name)?)?))
    }

    fn schedule(&self, cron: &Cron) -> Schedule {
        Schedule::new(cron.pattern.clone(), self.time_zone, self.share())
    }
}
