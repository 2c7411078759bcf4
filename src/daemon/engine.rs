//! The daemon's side of the engine: rounds are run by it, the jobs' state is read from its database.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::outlet::Outlet;
use super::schedule::Schedule;
use super::shutdown::stop_on_signals;
use super::snapshot::{JobSnapshot, Snapshot, Status, is_good, is_whole};
use super::status::Totals;
use crate::clock::Clock;
use crate::config::{Config, Job};
use crate::run::{Run, Trigger};
use crate::store::{self, LastRuns, Store};
use crate::sync::{self, Engine, Error, Event, Mode, Order, Watcher};

/// Runs that are looked through for a good one, where the latest are not.
const LOOK_BACK: u32 = 100;

/// The ends of runs as the engine tells them: a job need not wait for its whole round, and `/metrics` adds them up.
#[derive(Debug)]
pub struct Ends {
    ended: UnboundedReceiver<usize>,
    totals: Arc<Totals>,
}

impl Ends {
    /// What the engine is to be opened with so that the daemon hears of its runs; `watcher` hears of them too.
    #[must_use]
    pub fn heard(config: &Config, watcher: Watcher) -> (Watcher, Self) {
        let names: Vec<String> = config.jobs.iter().map(|job| job.name.clone()).collect();
        let (ending, ended) = unbounded_channel();
        let totals: Arc<Totals> = Arc::default();
        let adding = Arc::clone(&totals);
        let hearing: Watcher = Arc::new(move |event| {
            watcher(event);
            match event {
                Event::Ended(run) => {
                    adding.add(run);
                    let job = names.iter().position(|name| *name == run.job);
                    if job.is_some_and(|job| ending.send(job).is_err()) {
                        tracing::debug!(job = run.job, "a run ended after the daemon had");
                    }
                }
                Event::Started { .. } | Event::Page { .. } => {}
            }
        });
        (hearing, Self { ended, totals })
    }
}

/// Keeps the outlet in step until SIGTERM or SIGINT, then waits for what is running.
///
/// # Errors
/// The status page's address is taken, or the local database cannot be read. What goes wrong later is logged.
pub async fn run(engine: Arc<Engine>, ends: Ends) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    stop_on_signals(&stop);
    run_until(engine, ends, stop).await
}

/// Keeps the outlet in step until told to stop, then waits for what is running.
///
/// # Errors
/// As [`run`].
pub async fn run_until(engine: Arc<Engine>, ends: Ends, stop: CancellationToken) -> anyhow::Result<()> {
    let (clock, config) = (Clock::system(), Arc::clone(engine.config()));
    let (reading, reading_clock) = (Arc::clone(&engine), clock.clone());
    let running = stop.clone();
    let outlet = Outlet {
        schedules: Schedule::all(&config),
        listen: config.daemon.listen,
        round: move |jobs, trigger| round(Arc::clone(&engine), jobs, trigger, running.clone()),
        read: move || snapshot(Arc::clone(&reading), reading_clock.now()),
        ended: ends.ended,
        totals: ends.totals,
        clock,
    };
    outlet.keep(&stop).await
}

/// How the jobs stand, from the run log.
///
/// # Errors
/// The local database cannot be read.
pub async fn read(config: &Config, store: &Store, now: DateTime<Utc>) -> Result<Snapshot, Error> {
    let mut last = store.last_runs().await.map_err(trouble("reading the run log"))?;
    for last in &mut last {
        sync::tell_the_dead(store, std::slice::from_mut(&mut last.latest), now).await?;
    }
    let mut jobs = Vec::with_capacity(config.jobs.len());
    for (job, schedule) in config.jobs.iter().zip(Schedule::all(config)) {
        let last = last.iter().find(|last| last.latest.job == job.name);
        jobs.push(stands(job, &schedule, last, store, now).await?);
    }
    Ok(Snapshot { site: config.site.name.clone(), time_zone: config.site.time_zone, now, jobs })
}

async fn stands(
    job: &Job,
    schedule: &Schedule,
    last: Option<&LastRuns>,
    store: &Store,
    now: DateTime<Utc>,
) -> Result<JobSnapshot, Error> {
    let last_ok = match last {
        Some(last) => last_good(last, store).await?,
        None => None,
    };
    let last_run = match last {
        Some(last) => Some(last_whole(last, store, now).await?),
        None => None,
    };
    let rows = store.count_entries(&job.name).await.map_err(trouble("counting the ledger"))?;
    Ok(JobSnapshot {
        name: job.name.clone(),
        doctype: job.doctype.clone(),
        table: job.table.clone(),
        schedule: job.schedule.text.clone(),
        status: Status::of(last_run.as_ref(), last_ok, schedule, now),
        last_run,
        last_ok,
        next_run: schedule.next(now),
        rows: Some(rows),
    })
}

/// The run that tells how the job stands: the latest that was to read more than chosen records.
async fn last_whole(last: &LastRuns, store: &Store, now: DateTime<Utc>) -> Result<Run, Error> {
    if is_whole(&last.latest) {
        return Ok(last.latest.clone());
    }
    let recent = store.runs(Some(&last.latest.job), false, LOOK_BACK).await;
    let mut recent = recent.map_err(trouble("reading the run log"))?;
    sync::tell_the_dead(store, &mut recent, now).await?;
    Ok(recent.into_iter().find(is_whole).unwrap_or_else(|| last.latest.clone()))
}

/// When the last good run started. One with parked records is good, one of chosen records is not, so that the log is
/// looked through where its latest run does not settle it.
async fn last_good(last: &LastRuns, store: &Store) -> Result<Option<DateTime<Utc>>, Error> {
    if is_good(&last.latest) {
        return Ok(Some(last.latest.started_at));
    }
    let recent = store.runs(Some(&last.latest.job), false, LOOK_BACK).await;
    let recent = recent.map_err(trouble("reading the run log"))?;
    let good = recent.iter().chain(&last.ok).find(|run| is_good(run));
    Ok(good.map(|run| run.started_at))
}

fn trouble(step: &str) -> impl FnOnce(store::Error) -> Error {
    move |cause| Error::Store { step: step.to_owned(), cause }
}

async fn snapshot(engine: Arc<Engine>, now: DateTime<Utc>) -> Result<Snapshot, String> {
    read(engine.config(), engine.store(), now).await.map_err(|error| error.chain())
}

/// One round. What keeps its runs from being logged is logged here, and the daemon goes on.
async fn round(engine: Arc<Engine>, jobs: Vec<usize>, trigger: Trigger, stop: CancellationToken) {
    let order = Order { jobs, mode: Mode::Changes, trigger, has_confirmed_deletes: false };
    if let Err(error) = engine.round(&order, &stop).await {
        tracing::error!(error = error.chain(), remedy = error.remedy(), "the round was broken off");
    }
}
