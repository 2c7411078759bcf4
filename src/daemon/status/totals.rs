//! What the jobs did since the process started: the counters of `/metrics`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::run::{Counts, Run, Status};

/// The sums of all jobs; any thread may add.
#[derive(Debug, Default)]
pub struct Totals(Mutex<BTreeMap<String, Total>>);

/// The sums of one job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Total {
    /// All counts of all runs.
    pub counts: Counts,
    /// Runs, by how they ended.
    pub runs: BTreeMap<Status, u64>,
}

impl Totals {
    /// Adds a run that has ended.
    pub fn add(&self, run: &Run) {
        // A sum is never left half-written: additions do not panic.
        let mut totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total = totals.entry(run.job.clone()).or_default();
        total.counts.add(&run.counts);
        *total.runs.entry(run.status).or_default() += 1;
    }

    /// The sums of a job; zeros before its first run.
    #[must_use]
    pub fn of(&self, job: &str) -> Total {
        let totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        totals.get(job).cloned().unwrap_or_default()
    }
}
