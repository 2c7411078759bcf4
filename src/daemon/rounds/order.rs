//! Jobs that wait for those that they come after: what `after` means between rounds. Within one the engine sees to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

/// A job waits no longer than this for one that it comes after: that may never end, or begin anew whenever another that it
/// comes after ends. Without what it looks up its records are parked, and land later.
pub(super) const HOLD: Duration = Duration::from_secs(3_600);

/// The jobs that are due and wait for others, and since when.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeMap<usize, Instant>);

impl Held {
    /// Parts these jobs, which are due, into those that may start and those that wait.
    pub(super) fn part(&mut self, due: Vec<usize>, waits: impl Fn(usize) -> bool) -> (Vec<usize>, Vec<usize>) {
        let now = Instant::now();
        let is_patient = |job: &usize| self.0.get(job).is_none_or(|since| now.duration_since(*since) < HOLD);
        let (held, free): (Vec<usize>, Vec<usize>) = due.into_iter().partition(|job| is_patient(job) && waits(*job));
        self.0.retain(|job, _| held.contains(job));
        for job in &held {
            self.0.entry(*job).or_insert(now);
        }
        (free, held)
    }

    /// When the first of them has waited for long enough; `None` where none waits.
    pub(super) fn until(&self) -> Option<Instant> {
        self.0.values().min().map(|since| *since + HOLD)
    }
}

/// All jobs that a job comes after, by whatever others; `after` gives those that it names itself.
pub(super) fn all_before(job: usize, after: impl Fn(usize) -> Vec<usize>) -> BTreeSet<usize> {
    let (mut found, mut open) = (BTreeSet::new(), after(job));
    while let Some(before) = open.pop() {
        if found.insert(before) {
            open.extend(after(before));
        }
    }
    found
}
