//! The daemon's side of the engine: it is opened, rounds are run by it, the jobs' state is read from its database.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::inbox::Inbox;
use super::report::{Report, Trouble};
use super::retries::{COUNTED, Retries, Standing};
use super::roster::Roster;
use super::rounds::{End, Outcome};
use super::snapshot::{JobSnapshot, Snapshot, Status};
use super::status::Totals;
use crate::config::Config;
use crate::retry::Teller;
use crate::run::{self, Run, Trigger};
use crate::store::{self, LastRuns, Store};
use crate::sync::{self, Concern, Engine, Error, Event, Mode, Order, Watcher};

/// The ends of runs as the engine tells them: a job need not wait for its whole round, the log is told of them, and
/// `/metrics` adds them up.
#[derive(Debug)]
pub struct Ends {
    pub(super) ended: Inbox<End>,
    pub(super) totals: Arc<Totals>,
    pub(super) report: Arc<Report>,
}

impl Ends {
    /// What the engine is to be opened with so that the daemon hears of its runs; `watcher` hears of them too.
    #[must_use]
    pub fn heard(config: &Config, watcher: Watcher) -> (Watcher, Self) {
        Self { ended: Inbox::default(), totals: Arc::default(), report: Arc::default() }.again(config, watcher)
    }

    /// As [`Ends::heard`], for an engine that takes over: its ends come by themselves, as positions are its own, and what is
    /// added up and told goes on.
    pub(super) fn again(&self, config: &Config, watcher: Watcher) -> (Watcher, Self) {
        let names: Vec<String> = config.jobs.iter().map(|job| job.name.clone()).collect();
        let ends = Self { ended: Inbox::default(), totals: Arc::clone(&self.totals), report: Arc::clone(&self.report) };
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
        (_, Some(Concern::Stop)) => Outcome::Stopped,
        (run::Status::Failed, _) => Outcome::Failed,
        (run::Status::Blocked, _) => Outcome::Blocked,
        (run::Status::Running | run::Status::Ok | run::Status::Quarantine | run::Status::Conflict, _) => Outcome::Calm,
    }
}

/// How the jobs stand, from the run log.
///
/// # Errors
/// The local database cannot be read.
pub async fn read(config: &Config, store: &Store, now: DateTime<Utc>) -> Result<Snapshot, Error> {
    Ok(look(&Roster::of(config), store, now).await?.snapshot)
}

/// How the jobs stand, and what is to be tried again.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) snapshot: Snapshot,
    pub(super) retries: Retries,
    /// The jobs that are to be reconciled whatever their schedule says: their filters let in less than before.
    pub(super) owed: Vec<usize>,
}

impl Look {
    /// By this engine, which is to run the jobs.
    pub(super) async fn by(engine: &Engine, roster: &Roster) -> Result<Self, Error> {
        let look = look(roster, engine.store(), engine.clock().now()).await?;
        Ok(Self { owed: engine.owed_reconciles().await?, ..look })
    }
}

pub(super) async fn look(roster: &Roster, store: &Store, now: DateTime<Utc>) -> Result<Look, Error> {
    let mut retries = Retries::of_roster(roster);
    let parked = store.count_parked().await.map_err(trouble("counting the quarantine"))?;
    let conflicts = store.count_conflicts().await.map_err(trouble("counting the conflicts"))?;
    let mut jobs = Vec::with_capacity(roster.jobs.len());
    let schedules = roster.schedules().into_iter().zip(roster.reconciles());
    for (at, (job, (schedule, reconcile))) in roster.jobs.iter().zip(schedules).enumerate() {
        let last = store.last_runs(&job.name).await.map_err(trouble("reading the run log"))?;
        let (mut last_run, last_ok, before) = match last {
            Some(LastRuns { mut latest, good, before }) => {
                sync::tell_the_dead(store, std::slice::from_mut(&mut latest), now).await?;
                (Some(latest), good.map(|good| good.started_at), before)
            }
            None => (None, None, None),
        };
        if let Some(last_run) = &last_run {
            retries.stands(at, standing(last_run, store).await?);
        }
        let count = |counts: &HashMap<String, u64>| counts.get(&job.name).copied().unwrap_or_default();
        let (parked, conflicts) = (count(&parked), count(&conflicts));
        let rows = store.count_entries(&job.name).await.map_err(trouble("counting the ledger"))?;
        let reconciled = store.reconciled(&job.name).await.map_err(trouble("reading what reconciles came to"))?;
        let zone = roster.time_zone;
        let sentence = reconciled.as_ref().map(|reconciled| reconciled.sentence(&job.name, zone, now));
        let of = |run: Option<&Run>| Status::of(run, last_ok, (parked, conflicts), &schedule, now);
        let mut status = of(last_run.as_ref());
        // What waits for a person does so while the next run goes on, too.
        if let Some(before) = before.filter(|_| status == Status::Running)
            && of(Some(&before)) > Status::Never
        {
            (status, last_run) = (of(Some(&before)), Some(before));
        }
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
        site: roster.site.clone(),
        time_zone: roster.time_zone,
        now,
        jobs,
        version: None,
        hq_answered_at: answered.map(|run| run.ended_at.unwrap_or(run.started_at)),
    };
    Ok(Look { snapshot, retries, owed: Vec::new() })
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
pub(super) async fn round(
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
    let Err(error) = engine.round(&order, &stop).await else {
        // Jobs that had not begun have said no end.
        return if stop.is_cancelled() { Outcome::Stopped } else { Outcome::Calm };
    };
    let (concern, status) = (error.concern(), error.status());
    let config = engine.config();
    let names: Vec<&str> =
        order.jobs.iter().filter_map(|job| config.jobs.get(*job)).map(|job| job.name.as_str()).collect();
    let (chain, remedy) = (error.chain(), error.remedy(Teller::Daemon));
    report.broken_off(&names, Trouble { concern, status, error: &chain, remedy: &remedy }, engine.clock().now());
    outcome(status, Some(concern))
}
