//! The daemon's side of the engine: it is opened, rounds are run by it, the jobs' state is read from its database.

use std::collections::HashMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::inbox::Inbox;
use super::notify::Manager;
use super::outlet::{Outlet, Page};
use super::pulse::Pulse;
use super::report::{Report, Trouble};
use super::retries::{COUNTED, Retries, Standing};
use super::rounds::{End, Outcome};
use super::schedule::Schedule;
use super::shutdown::stop_on_signals;
use super::snapshot::{JobSnapshot, Snapshot, Status};
use super::status::{Read, Totals};
use crate::clock::Clock;
use crate::config::Config;
use crate::retry::Backoff;
use crate::run::{self, Run, Trigger};
use crate::store::{self, LastRuns, Store};
use crate::sync::{self, Concern, Engine, Error, Event, Mode, Order, Watcher};

/// Between two looks at a database that is not there yet, as after a start of the machine. They never end.
const OPENING: Backoff =
    Backoff { max_attempts: u32::MAX, first_delay: Duration::from_secs(1), max_delay: Duration::from_secs(60) };

/// How long the database's connections may take to close when the daemon ends.
const CLOSING: Duration = Duration::from_secs(1);

/// The ends of runs as the engine tells them: a job need not wait for its whole round, the log is told of them, and
/// `/metrics` adds them up.
#[derive(Debug)]
pub struct Ends {
    ended: Inbox<End>,
    totals: Arc<Totals>,
    report: Arc<Report>,
}

impl Ends {
    /// What the engine is to be opened with so that the daemon hears of its runs; `watcher` hears of them too.
    #[must_use]
    pub fn heard(config: &Config, watcher: Watcher) -> (Watcher, Self) {
        let names: Vec<String> = config.jobs.iter().map(|job| job.name.clone()).collect();
        let ends = Self { ended: Inbox::default(), totals: Arc::default(), report: Arc::default() };
        let (ended, totals, report) = (ends.ended.clone(), Arc::clone(&ends.totals), Arc::clone(&ends.report));
        let hearing: Watcher = Arc::new(move |event| {
            watcher(event);
            match event {
                Event::Ended(run, concern) => {
                    totals.add(run);
                    report.ended(run, *concern);
                    if let Some(job) = names.iter().position(|name| *name == run.job) {
                        let at = run.ended_at.unwrap_or(run.started_at);
                        ended.put(job, End { at, outcome: outcome(run.status, *concern) });
                    }
                }
                Event::Started { .. }
                | Event::Page { .. }
                | Event::Total { .. }
                | Event::Walked { .. }
                | Event::Changes(_) => {}
            }
        });
        (hearing, ends)
    }
}

fn outcome(status: run::Status, concern: Option<Concern>) -> Outcome {
    match (status, concern) {
        (_, Some(Concern::Stop)) => Outcome::Calm,
        (run::Status::Failed, _) => Outcome::Failed,
        (run::Status::Blocked, _) => Outcome::Blocked,
        (run::Status::Running | run::Status::Ok | run::Status::Quarantine | run::Status::Conflict, _) => Outcome::Calm,
    }
}

/// The daemon of the configuration in the file `path`: waits for the local database where it must, and keeps the outlet in step until SIGTERM or SIGINT.
///
/// # Errors
/// The status page's address is taken, or the local database needs a person. What goes wrong later is logged.
pub async fn run(config: Arc<Config>, path: &Path) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    stop_on_signals(&stop);
    let manager = Manager::of_process();
    manager.hears_of(&stop);
    let (watcher, ends) = Ends::heard(&config, manager.watcher());
    let clock = Clock::system();
    let shown = Shown::default();
    let page = Page::open(config.daemon.listen, shown.read(), Arc::clone(&ends.totals), &stop).await?;
    let opening = || async {
        let opened = Engine::open(Arc::clone(&config), clock.clone(), Arc::clone(&watcher)).await;
        opened.map(|engine| engine.guarded(path))
    };
    match Box::pin(opened(opening, &shown, &manager, &stop)).await {
        Ok(Some((engine, look))) => {
            let pulse = Pulse::default();
            manager.is_ready(&look.snapshot);
            manager.is_fed(pulse.clone(), shown.touch(), &stop);
            kept(&engine, look, ends, pulse, &stop).await?;
            page.close().await;
            if timeout(CLOSING, engine.store().close()).await.is_err() {
                tracing::warn!("the local database did not let go in time; what was not committed is rolled back");
            }
        }
        Ok(None) => page.close().await,
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Keeps the outlet in step, with an engine that is open and by its clock, until told to stop.
///
/// # Errors
/// The status page's address is taken, or the local database cannot be read. What goes wrong later is logged.
pub async fn run_until(engine: Arc<Engine>, ends: Ends, stop: CancellationToken) -> anyhow::Result<()> {
    let shown = Shown::default();
    shown.set(Ok(Arc::clone(&engine)));
    let page = Page::open(engine.config().daemon.listen, shown.read(), Arc::clone(&ends.totals), &stop).await?;
    let look = look(engine.config(), engine.store(), engine.clock().now()).await?;
    Box::pin(kept(&engine, look, ends, Pulse::default(), &stop)).await?;
    page.close().await;
    Ok(())
}

/// Opens the engine and takes the first look at the jobs, as often as it takes; `None` where told to stop before.
async fn opened<Opening: Future<Output = Result<Engine, Error>>>(
    open: impl Fn() -> Opening,
    shown: &Shown,
    manager: &Manager,
    stop: &CancellationToken,
) -> Result<Option<(Arc<Engine>, Look)>, Error> {
    let mut failed: u32 = 0;
    loop {
        let opening = async {
            let engine = Arc::new(open().await?);
            let look = look(engine.config(), engine.store(), engine.clock().now()).await?;
            Ok::<_, Error>((engine, look))
        };
        let error = match stop.run_until_cancelled(opening).await {
            None => return Ok(None),
            Some(Ok((engine, look))) => {
                if failed > 0 {
                    tracing::info!(tries = failed + 1, "the local database is open");
                }
                shown.set(Ok(Arc::clone(&engine)));
                return Ok(Some((engine, look)));
            }
            Some(Err(error)) if error.status() == run::Status::Blocked => return Err(error),
            Some(Err(error)) => error,
        };
        failed = failed.saturating_add(1);
        let (chain, remedy) = (error.chain(), error.remedy());
        shown.set(Err(chain.clone()));
        manager.waits(&chain);
        // At growing distances, as the same is tried for as long as it takes.
        if failed.is_power_of_two() {
            tracing::warn!(tries = failed, error = chain, remedy, "waiting for the local database");
        }
        let wait = OPENING.wait(failed, None, rand::random()).unwrap_or(OPENING.max_delay);
        if stop.run_until_cancelled(sleep(wait)).await.is_none() {
            return Ok(None);
        }
    }
}

async fn kept(
    engine: &Arc<Engine>,
    look: Look,
    ends: Ends,
    pulse: Pulse,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let (running, report, told_to_stop) = (Arc::clone(engine), ends.report, stop.clone());
    let outlet = Outlet {
        schedules: Schedule::all(engine.config()),
        reconciles: Schedule::reconciles(engine.config()),
        retries: look.retries,
        snapshot: look.snapshot,
        round: move |jobs, trigger| {
            round(Arc::clone(&running), Arc::clone(&report), jobs, trigger, told_to_stop.clone())
        },
        ended: ends.ended,
        clock: engine.clock().clone(),
        pulse,
    };
    Box::pin(outlet.keep(stop)).await
}

/// What the status page shows: the engine, or why there is none yet.
#[derive(Debug, Clone)]
struct Shown(Arc<Mutex<Result<Arc<Engine>, String>>>);

impl Default for Shown {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Err("milkrun is starting".to_owned()))))
    }
}

impl Shown {
    fn set(&self, engine: Result<Arc<Engine>, String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = engine;
    }

    /// Asks the local database of the engine a small question; whatever it answers is an answer.
    fn touch(&self) -> impl Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + use<> {
        let shown = self.clone();
        move || {
            let engine = shown.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Box::pin(async move {
                let Ok(engine) = engine else { return };
                if let Err(error) = engine.store().aside().lease("").await {
                    tracing::debug!(%error, "the local database, asked for a sign of life, said no");
                }
            })
        }
    }

    fn read(&self) -> Read {
        let shown = Arc::clone(&self.0);
        Arc::new(move || {
            let engine = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Box::pin(async move {
                let engine = engine?;
                let snapshot = read(engine.config(), &engine.store().aside(), engine.clock().now()).await;
                snapshot.map_err(|error| error.chain())
            })
        })
    }
}

/// How the jobs stand, from the run log.
///
/// # Errors
/// The local database cannot be read.
pub async fn read(config: &Config, store: &Store, now: DateTime<Utc>) -> Result<Snapshot, Error> {
    Ok(look(config, store, now).await?.snapshot)
}

/// How the jobs stand, and what is to be tried again.
#[derive(Debug)]
struct Look {
    snapshot: Snapshot,
    retries: Retries,
}

async fn look(config: &Config, store: &Store, now: DateTime<Utc>) -> Result<Look, Error> {
    let mut retries = Retries::of(config);
    let parked = store.count_parked().await.map_err(trouble("counting the quarantine"))?;
    let conflicts = store.count_conflicts().await.map_err(trouble("counting the conflicts"))?;
    let mut jobs = Vec::with_capacity(config.jobs.len());
    let schedules = Schedule::all(config).into_iter().zip(Schedule::reconciles(config));
    for (at, (job, (schedule, reconcile))) in config.jobs.iter().zip(schedules).enumerate() {
        let last = store.last_runs(&job.name).await.map_err(trouble("reading the run log"))?;
        let (last_run, last_ok) = match last {
            Some(LastRuns { mut latest, good }) => {
                sync::tell_the_dead(store, std::slice::from_mut(&mut latest), now).await?;
                (Some(latest), good.map(|good| good.started_at))
            }
            None => (None, None),
        };
        if let Some(last_run) = &last_run {
            retries.stands(at, standing(last_run, store).await?);
        }
        let count = |counts: &HashMap<String, u64>| counts.get(&job.name).copied().unwrap_or_default();
        let (parked, conflicts) = (count(&parked), count(&conflicts));
        let rows = store.count_entries(&job.name).await.map_err(trouble("counting the ledger"))?;
        let reconciled = store.reconciled(&job.name).await.map_err(trouble("reading what reconciles came to"))?;
        let zone = config.site.time_zone;
        let sentence = reconciled.as_ref().map(|reconciled| reconciled.sentence(&job.name, zone, now));
        let status = Status::of(last_run.as_ref(), last_ok, (parked, conflicts), &schedule, now);
        jobs.push(JobSnapshot {
            name: job.name.clone(),
            doctype: job.doctype.clone(),
            table: job.table.clone(),
            schedule: job.schedule.text.clone(),
            status: status.after(reconciled.as_ref()),
            last_run,
            last_ok,
            next_run: schedule.next(now),
            rows: Some(rows),
            parked,
            next_reconcile: reconcile.and_then(|schedule| schedule.next(now)),
            reconciled,
            sentence,
            conflicts,
        });
    }
    for (at, job) in jobs.iter_mut().enumerate() {
        // One that is over was not made: no daemon runs.
        let retry = retries.next(at).filter(|retry| *retry > now);
        job.next_run = [retry, job.next_run].into_iter().flatten().min();
    }
    let answered = store.last_answered().await.map_err(trouble("reading the run log"))?;
    let snapshot = Snapshot {
        site: config.site.name.clone(),
        time_zone: config.site.time_zone,
        now,
        jobs,
        hq_answered_at: answered.map(|run| run.ended_at.unwrap_or(run.started_at)),
    };
    Ok(Look { snapshot, retries })
}

/// How the latest run leaves the job. What a person ran is that person's to run again.
async fn standing(latest: &Run, store: &Store) -> Result<Standing, Error> {
    match latest.status {
        run::Status::Blocked => Ok(Standing::Blocked),
        run::Status::Failed if latest.trigger.is_daemons() => {
            let recent = store.runs(Some(&latest.job), false, COUNTED).await;
            let recent = recent.map_err(trouble("reading the run log"))?;
            let failed = recent.iter().take_while(|run| run.status == run::Status::Failed).count();
            let times = u32::try_from(failed).unwrap_or(COUNTED).max(1);
            Ok(Standing::Failed { times, at: latest.ended_at.unwrap_or(latest.started_at) })
        }
        run::Status::Failed
        | run::Status::Running
        | run::Status::Ok
        | run::Status::Quarantine
        | run::Status::Conflict => Ok(Standing::Calm),
    }
}

fn trouble(step: &str) -> impl FnOnce(store::Error) -> Error {
    move |cause| Error::Store { step: step.to_owned(), cause }
}

/// One round. What keeps its runs from being logged is told here, and the daemon goes on.
async fn round(
    engine: Arc<Engine>,
    report: Arc<Report>,
    jobs: Vec<usize>,
    trigger: Trigger,
    stop: CancellationToken,
) -> Outcome {
    let mode = match trigger {
        Trigger::Reconcile => Mode::Reconcile { all_values: false, has_confirmed_restore: false },
        Trigger::Schedule
        | Trigger::Start
        | Trigger::Retry
        | Trigger::Sync
        | Trigger::Full
        | Trigger::Since
        | Trigger::Name
        | Trigger::Quarantine => Mode::Changes,
    };
    let order = Order { jobs, mode, trigger, has_confirmed_deletes: false };
    let Err(error) = engine.round(&order, &stop).await else { return Outcome::Calm };
    let (concern, status) = (error.concern(), error.status());
    let config = engine.config();
    let names: Vec<&str> =
        order.jobs.iter().filter_map(|job| config.jobs.get(*job)).map(|job| job.name.as_str()).collect();
    let (chain, remedy) = (error.chain(), error.remedy());
    report.broken_off(&names, Trouble { concern, status, error: &chain, remedy: &remedy }, engine.clock().now());
    outcome(status, Some(concern))
}
