//! Several jobs one after another, each after those it waits for, sharing one request for tombstones.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

use super::gone::Tombstones;
use super::run::unless_stopped;
use super::{Engine, Error, Mode};
use crate::run::{Run, Trigger};
use crate::source::Meter;

/// What is to be run, and under which conditions.
#[derive(Debug, Clone)]
pub struct Order {
    /// Positions of the jobs in the configuration.
    pub jobs: Vec<usize>,
    /// What to read.
    pub mode: Mode,
    /// Who asked.
    pub trigger: Trigger,
    /// The operator has said that deletes above `delete_limit` are right, this once.
    pub has_confirmed_deletes: bool,
}

impl Engine {
    /// Runs the jobs and logs each run. A job whose predecessor in the same round read not everything is not started.
    ///
    /// # Errors
    /// Only what keeps a run from being logged; how the runs ended stands in them.
    pub async fn round(&self, order: &Order, stop: &CancellationToken) -> Result<Vec<Run>, Error> {
        let jobs = self.in_order(&order.jobs);
        let meter = Meter::default();
        let known = self.check_instance().await;
        let tombstones = match order.mode {
            _ if known.is_err() => Ok(Tombstones::none()),
            Mode::Changes | Mode::Full | Mode::Reconcile { .. } => {
                unless_stopped(stop, self.tombstones(&jobs, &meter)).await
            }
            Mode::Since(_) | Mode::Names(_) | Mode::Parked(_) => Ok(Tombstones::none()),
        };
        let tombstones = known.and(tombstones);
        // HQ's trouble with the tombstones is every job's trouble; each says so in its own run.
        let tombstones = tombstones.map_err(std::sync::Arc::new);
        let mut incomplete: BTreeSet<usize> = BTreeSet::new();
        let mut runs = Vec::with_capacity(jobs.len());
        for job in jobs {
            // A job that has not begun when milkrun is told to stop leaves no trace.
            if stop.is_cancelled() && !runs.is_empty() {
                break;
            }
            let Some(checked) = self.config.jobs.get(job) else { continue };
            let awaited = checked.after.iter().find(|other| incomplete.contains(*other));
            let waits_for = awaited.and_then(|other| self.config.jobs.get(*other)).map(|other| other.name.clone());
            // The first run carries what the shared request cost.
            let run = Box::pin(self.run(checked, order, waits_for, tombstones.as_ref(), &meter, stop));
            let (run, is_complete) = run.await?;
            if !is_complete {
                incomplete.insert(job);
            }
            runs.push(run);
        }
        self.note_instance();
        self.tidy(&runs, stop).await;
        Ok(runs)
    }

    /// The jobs, each after those of them that it waits for; otherwise in the order of the file.
    fn in_order(&self, chosen: &[usize]) -> Vec<usize> {
        let mut waiting: Vec<usize> = chosen.to_vec();
        waiting.sort_unstable();
        waiting.dedup();
        let mut ordered = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let is_free = |job: &usize| {
                let after = self.config.jobs.get(*job).map(|job| job.after.as_slice()).unwrap_or_default();
                !after.iter().any(|other| waiting.contains(other))
            };
            // The configuration has no cycles; were there one, the file's order is as good as any.
            let next = waiting.iter().position(is_free).unwrap_or(0);
            ordered.push(waiting.remove(next));
        }
        ordered
    }
}
