//! When the jobs run: those that wait for each other together, the others apart, so that HQ is not asked for all at once.

use std::collections::HashMap;

use super::{Job, Present};

/// How often a job asks, in minutes: a price reaches the shop within five, and an idle poll costs HQ a few milliseconds.
const EVERY: usize = 5;

/// The hour of the site's night at which the first reconcile begins.
const NIGHT: usize = 3;

/// Minutes between two reconciles.
const APART: usize = 7;

/// A job's two patterns, with what they mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(super) schedule: String,
    pub(super) reconcile: String,
    /// Its round is that of the jobs it waits for, in the file already.
    pub(super) is_theirs: bool,
}

/// Sets the patterns.
pub(super) fn put(jobs: &mut [Job], present: &Present) {
    let groups = groups(jobs);
    let mut minutes: HashMap<usize, usize> = HashMap::new();
    let first = present.jobs.len();
    for (at, (job, group)) in jobs.iter_mut().zip(groups).enumerate() {
        let next = minutes.len();
        let minute = (*minutes.entry(group).or_insert(next) + first) % EVERY;
        let every = if minute == 0 { format!("*/{EVERY}") } else { format!("{minute}-59/{EVERY}") };
        let night = (first + at) * APART;
        let (hour, past) = ((NIGHT + night / 60) % 24, night % 60);
        // Jobs wait for each other only when they are due together.
        let theirs = job.after.iter().find_map(|name| present.jobs.iter().find(|other| other.name == *name));
        job.schedule = Times {
            schedule: theirs.map_or_else(|| format!("0 {every} * * * *"), |other| other.schedule.clone()),
            reconcile: format!("0 {past} {hour} * * *"),
            is_theirs: theirs.is_some(),
        };
    }
}

/// For each job a number that all jobs share which wait for each other, directly or not.
fn groups(jobs: &[Job]) -> Vec<usize> {
    let mut groups: Vec<usize> = (0..jobs.len()).collect();
    let place = |name: &String| jobs.iter().position(|job| job.name == *name);
    for (at, job) in jobs.iter().enumerate() {
        for other in job.after.iter().filter_map(place) {
            let (Some(one), Some(two)) = (groups.get(at).copied(), groups.get(other).copied()) else { continue };
            for group in &mut groups {
                if *group == one {
                    *group = two;
                }
            }
        }
    }
    groups
}
