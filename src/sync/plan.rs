//! What a `sync.toml` would do that is not in force yet, to the database as it is and with HQ as it is: nothing is written.
//!
//! Whether a job reads everything again is told by the same fingerprint that its next run goes by; what that costs is
//! reckoned from HQ's count and from what earlier runs took.

use std::time::Duration;

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::Value;

use super::outline::{Change, Outline, fingerprint};
use super::{Concern, Engine, Error};
use crate::config::Job;
use crate::run::Run;
use crate::source::{Meter, PageSize};
use crate::store::Stream;

/// Runs that are looked at for how fast the job is read.
const LOOKED_AT: u32 = 200;

/// A run of fewer records says little of how long many take.
const TELLING: u64 = 100;

/// Records a second where no run has told: a modest HQ on a modest line.
const GUESSED_PACE: f64 = 1_000.0;

/// What will become of one job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The job.
    pub job: String,
    /// Its table; empty where that is not known any more.
    pub table: String,
    /// What happens to it.
    pub what: What,
    /// What the edit changes in it.
    pub changes: Vec<Change>,
    /// Statements that the next run carries out before it reads: tables that it makes.
    pub makes: Vec<String>,
    /// What keeps it from running until a person has seen to it, each with its remedy: columns to be added, fields that
    /// HQ does not have.
    pub needs: Vec<String>,
    /// Rows that came from HQ, as of now.
    pub rows: u64,
    /// What the next run reads, where it reads everything.
    pub reading: Option<Reading>,
    /// Rows whose records no longer match the filters; `None` where that did not change, or HQ could not say.
    pub leaving: Option<Leaving>,
}

/// What happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It has not run yet; its first run reads everything.
    New,
    /// Its mapping or its filters changed; its next run reads everything again and repairs.
    Changed,
    /// It goes on where it is.
    Unchanged,
    /// It is in the file no more; its rows stay.
    Removed,
}

/// A reading of everything.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reading {
    /// Records, by HQ's count; `None` where HQ could not say.
    pub records: Option<u64>,
    /// Requests, about.
    pub requests: u64,
    /// Seconds, about.
    pub seconds: u64,
    /// The pace is that of an earlier run, and not a guess.
    pub is_measured: bool,
}

/// Rows that leave with the filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Leaving {
    /// How many.
    pub rows: u64,
    /// So many are not let go without an operator's word: `delete_limit`.
    pub is_beyond_limit: bool,
}

impl Plan {
    /// Whether nothing is to be done for the job.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.what == What::Unchanged && self.needs.is_empty() && self.makes.is_empty()
    }

    /// One sentence of a job that reads everything again because of an edit: `this edit reads 12418 records of items again: 9
    /// requests, about 40 s`.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        let reading = self.reading.filter(|_| self.what == What::Changed)?;
        Some(format!("this edit reads {} of {} again: {}", reading.what(), self.job, reading.cost()))
    }
}

impl Reading {
    /// What is read: `12418 records`.
    #[must_use]
    pub fn what(&self) -> String {
        self.records.map_or_else(|| "all records".to_owned(), |records| counted(records, "record"))
    }

    /// What it costs: `9 requests, about 40 s`.
    #[must_use]
    pub fn cost(&self) -> String {
        if self.records.is_none() {
            return "HQ does not say how many there are".to_owned();
        }
        let time = match self.seconds {
            seconds @ 0..120 => format!("{seconds} s"),
            seconds @ 120..7_200 => format!("{} min", seconds.div_ceil(60)),
            seconds => format!("{} h", seconds.div_ceil(3_600)),
        };
        let guess = if self.is_measured { "" } else { ", by a guess as no run has told yet" };
        format!("{}, about {time}{guess}", counted(self.requests, "request"))
    }
}

fn counted(count: u64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

impl Engine {
    /// What the configuration of this engine would do, job by job; the jobs that it no longer has come last.
    ///
    /// # Errors
    /// The local database's trouble, or HQ's as a whole. What HQ cannot say of one job is left out.
    pub async fn plan(&self) -> Result<Vec<Plan>, Error> {
        let meter = Meter::default();
        let mut plans = Vec::with_capacity(self.config.jobs.len());
        for job in &self.config.jobs {
            plans.push(Box::pin(self.plan_of(job, &meter)).await?);
        }
        let known = self.store.jobs().await.map_err(Error::store("reading which jobs there were"))?;
        for job in known.into_iter().filter(|known| !self.config.jobs.iter().any(|job| job.name == *known)) {
            let rows = self.rows(&job).await?;
            let table = self.outline(&job).await?.map(|kept| kept.table).unwrap_or_default();
            plans.push(Plan { rows, ..Plan::of(job, &table, What::Removed) });
        }
        Ok(plans)
    }

    /// As [`Engine::plan`], of the jobs alone that read everything again because of an edit: HQ is asked about no others.
    ///
    /// # Errors
    /// As [`Engine::plan`].
    pub async fn edits(&self) -> Result<Vec<Plan>, Error> {
        let meter = Meter::default();
        let mut plans = Vec::new();
        for job in &self.config.jobs {
            let progress = self.store.progress(&job.name, Stream::Records).await;
            let known = progress.map_err(Error::store("reading the watermark"))?.and_then(|progress| progress.mapping);
            if known.is_some_and(|known| known != fingerprint(job)) {
                plans.push(Box::pin(self.plan_of(job, &meter)).await?);
            }
        }
        Ok(plans)
    }

    /// The jobs that may still hold rows which other filters let in, by position: only a reconcile finds them.
    ///
    /// # Errors
    /// The local database's trouble.
    pub async fn owed_reconciles(&self) -> Result<Vec<usize>, Error> {
        let mut owed = Vec::new();
        for (at, job) in self.config.jobs.iter().enumerate() {
            let kept = self.outline(&job.name).await?;
            if kept.is_some_and(|kept| kept.owes_reconcile_by(&job.filters)) && self.rows(&job.name).await? > 0 {
                owed.push(at);
            }
        }
        Ok(owed)
    }

    async fn plan_of(&self, job: &Job, meter: &Meter) -> Result<Plan, Error> {
        let progress = self.store.progress(&job.name, Stream::Records).await;
        let progress = progress.map_err(Error::store("reading the watermark"))?.unwrap_or_default();
        let (new, rows) = (Outline::of(job), self.rows(&job.name).await?);
        let (what, changes) = match progress.mapping {
            None if rows == 0 => (What::New, Vec::new()),
            None => (What::Changed, Vec::new()),
            Some(known) if known == new.fingerprint => (What::Unchanged, Vec::new()),
            Some(known) => (What::Changed, self.changes(job, known, &new).await?),
        };
        let step = || Error::store(format!("table {}", job.table));
        let needs = self.store.inspect(job).await.map_err(step())?;
        let makes = if needs.is_empty() { self.store.to_make(job).await.map_err(step())? } else { Vec::new() };
        let mut plan = Plan { changes, needs, makes, rows, ..Plan::of(job.name.clone(), &job.table, what) };
        match what {
            What::New => plan.reading = Some(self.reading(job, meter).await?),
            What::Changed => {
                plan.reading = Some(self.reading(job, meter).await?);
                plan.leaving = self.leaving(job, &plan, meter).await?;
            }
            // A pass that was cut goes on; what is left of it is not counted.
            What::Unchanged | What::Removed => {}
        }
        Ok(plan)
    }

    pub(super) async fn rows(&self, job: &str) -> Result<u64, Error> {
        self.store.count_entries(job).await.map_err(Error::store("counting the ledger"))
    }

    pub(super) async fn outline(&self, job: &str) -> Result<Option<Outline>, Error> {
        let kept = self.store.outline(job).await.map_err(Error::store("reading the mapping in force"))?;
        // Another version's words are none.
        Ok(kept.and_then(|kept| serde_json::from_str(&kept).ok()))
    }

    async fn changes(&self, job: &Job, known: i64, new: &Outline) -> Result<Vec<Change>, Error> {
        let kept = self.outline(&job.name).await?.filter(|kept| kept.fingerprint == known);
        Ok(kept.map_or_else(|| vec![Change::Something], |kept| kept.changes_to(new)))
    }

    /// What reading everything comes to.
    async fn reading(&self, job: &Job, meter: &Meter) -> Result<Reading, Error> {
        let records = self.count(job, &job.filters, meter).await?;
        let runs = self.store.runs(Some(&job.name), false, LOOKED_AT).await;
        let runs = runs.map_err(Error::store("reading the run log"))?;
        let pace = runs.iter().filter_map(pace).max_by(|one, other| one.records.total_cmp(&other.records));
        let rows = records.unwrap_or_default();
        let pages = PageSize::pages(job.page_size as usize, rows);
        // The deletes, the zone, the newest record and the end of the list; with filters the poll that comes after. Each page
        // once more for each child table.
        let aside = 4 + 2 * u64::from(!job.filters.is_empty());
        let requests = pages * (1 + job.mapping.children().len() as u64) + aside;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let by_pace = rows as f64 / pace.as_ref().map_or(GUESSED_PACE, |pace| pace.per_second);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let by_rate = self.config.hq.max_requests_per_second.map_or(0.0, |most| requests as f64 / f64::from(most));
        let took = Duration::try_from_secs_f64(by_pace.max(by_rate).ceil()).unwrap_or_default();
        Ok(Reading { records, requests, seconds: took.as_secs().max(1), is_measured: pace.is_some() })
    }

    /// How many rows the filters leave out that they let in before.
    async fn leaving(&self, job: &Job, plan: &Plan, meter: &Meter) -> Result<Option<Leaving>, Error> {
        let is_filters = |change: &Change| matches!(change, Change::Job { key, .. } if key == "filters");
        let Some(kept) = self.outline(&job.name).await?.filter(|_| plan.changes.iter().any(is_filters)) else {
            return Ok(None);
        };
        let both: Vec<Value> = kept.filters.iter().chain(&job.filters).cloned().collect();
        let Some(staying) = self.count(job, &both, meter).await? else { return Ok(None) };
        let rows = plan.rows.saturating_sub(staying);
        Ok(Some(Leaving { rows, is_beyond_limit: job.delete_limit.is_passed(rows, plan.rows) }))
    }

    /// HQ's count; `None` where it does not give one of this job, which is its mistake to be told by who looks at the job.
    async fn count(&self, job: &Job, filters: &[Value], meter: &Meter) -> Result<Option<u64>, Error> {
        let counted = self.hq.count(&job.doctype, filters, meter).await;
        match counted.map_err(Error::source("asking HQ how many records there are")) {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.concern() == Concern::Hq => Err(error),
            Err(error) => {
                tracing::debug!(job = job.name, error = error.chain(), "HQ does not say how many records there are");
                Ok(None)
            }
        }
    }

    /// Keeps in words by which mapping the job is read from now on, with those before that the ledger may still be of.
    pub(super) async fn keep_outline(&self, outline: &Outline, job: &Job) -> Result<(), Error> {
        self.store
            .save_outline(&job.name, &outline.text())
            .await
            .map_err(Error::store("keeping the mapping in force"))
    }

    /// Keeps in words by which mapping each job was read, where a version before this one has read it.
    ///
    /// # Errors
    /// The local database's trouble.
    pub async fn keep_outlines(&self) -> Result<(), Error> {
        for job in &self.config.jobs {
            let progress = self.store.progress(&job.name, Stream::Records).await;
            let progress = progress.map_err(Error::store("reading the watermark"))?.unwrap_or_default();
            let kept = self.outline(&job.name).await?;
            let is_known = kept.as_ref().is_some_and(|kept| Some(kept.fingerprint) == progress.mapping);
            if !is_known && progress.mapping == Some(fingerprint(job)) {
                let mut outline = Outline::of(job);
                if let Some(kept) = kept {
                    outline.follows_unknown = kept.follows_unknown;
                    outline.follow(&kept);
                }
                self.keep_outline(&outline, job).await?;
            }
        }
        Ok(())
    }
}

impl Plan {
    fn of(job: String, table: &str, what: What) -> Self {
        let (changes, makes, needs) = (Vec::new(), Vec::new(), Vec::new());
        Self { job, table: table.to_owned(), what, changes, makes, needs, rows: 0, reading: None, leaving: None }
    }
}

/// How fast a run read.
struct Pace {
    records: f64,
    per_second: f64,
}

fn pace(run: &Run) -> Option<Pace> {
    if run.counts.fetched < TELLING || !run.status.is_done() {
        return None;
    }
    let took: TimeDelta = run.ended_at? - run.started_at;
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let records = run.counts.fetched as f64;
    Some(Pace { records, per_second: records / took.as_seconds_f64().max(0.1) })
}
