//! When a job that failed is tried again before its next tick. Arithmetic only.
//!
//! A run that failed by something that passes (`failed`, not `blocked`) is tried again after about 1, 2, 4, … minutes, up
//! to every ten, until it ends well or the schedule comes. The wait is drawn by the site's name and the number of
//! failures in place of a dice, so that the daemon, its page and `milkrun status` agree on it without keeping it, while
//! the outlets that failed together do not come back together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use xxhash_rust::xxh3::xxh3_64;

use super::roster::Roster;
use super::schedule::Schedule;
use crate::config::Config;
use crate::retry::Backoff;

/// Between runs. The attempts never end: the schedule takes over. The longest wait and that between two probes of the
/// gate, 5 minutes, are what a job of the night is late by at most once HQ is back; while HQ is known to be down, most
/// tries send nothing.
const BACKOFF: Backoff =
    Backoff { max_attempts: u32::MAX, first_delay: Duration::from_secs(60), max_delay: Duration::from_secs(10 * 60) };

/// A tick this soon after the failure is as good as a try of its own, so that a job of every five minutes just keeps its schedule.
const NEAR: TimeDelta = TimeDelta::minutes(5);

/// Jobs whose try is due within this time of another's come along: one round is one request for all their deletes.
const COMPANY: TimeDelta = TimeDelta::seconds(30);

/// A clock that is this far before the moment of a failure was set back, and the wait was reckoned by a wrong one.
const SET_BACK: TimeDelta = TimeDelta::minutes(1);

/// Failures in a row that are counted. Beyond, the minute of the failure draws in place of their number, as one number
/// that happens to draw next to nothing would have HQ asked without a pause.
pub(super) const COUNTED: u32 = 12;

/// No wait beyond the counted ones is shorter.
const LEAST: TimeDelta = TimeDelta::seconds(10);

/// How a job's latest run ended, as far as trying again goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It ended well, was stopped, has not run, or runs now.
    Calm,
    /// It failed, so many times in a row, the last time at this moment.
    Failed {
        /// Failures in a row.
        times: u32,
        /// When the last of them ended.
        at: DateTime<Utc>,
    },
    /// It needs a person.
    Blocked,
}

/// The tries of all jobs, in the order of the file.
#[derive(Debug, Clone)]
pub struct Retries {
    site: String,
    jobs: Vec<Job>,
}

#[derive(Debug, Clone)]
struct Job {
    schedule: Schedule,
    after: Vec<usize>,
    standing: Standing,
    /// Failures in a row; kept while the next try runs.
    times: u32,
}

impl Retries {
    /// Nothing is to be tried again yet.
    #[must_use]
    pub fn new(site: &str, jobs: impl IntoIterator<Item = (Schedule, Vec<usize>)>) -> Self {
        let job = |(schedule, after)| Job { schedule, after, standing: Standing::Calm, times: 0 };
        Self { site: site.to_owned(), jobs: jobs.into_iter().map(job).collect() }
    }

    /// For the jobs of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self::of_roster(&Roster::of(config))
    }

    /// For the jobs of a roster.
    #[must_use]
    pub fn of_roster(roster: &Roster) -> Self {
        let after = roster.jobs.iter().map(|job| job.after.clone());
        Self::new(&roster.site, roster.schedules().into_iter().zip(after))
    }

    /// With what is known of the jobs in `before`, each of which `to` gives another position, or none.
    #[must_use]
    pub(super) fn succeeding(mut self, before: &Self, to: impl Fn(usize) -> Option<usize>) -> Self {
        for (at, known) in before.jobs.iter().enumerate() {
            if let Some(job) = to(at).and_then(|at| self.jobs.get_mut(at)) {
                (job.standing, job.times) = (known.standing, known.times);
            }
        }
        self
    }

    /// The jobs that the job comes after, as it names them.
    pub(super) fn after(&self, job: usize) -> Vec<usize> {
        self.jobs.get(job).map(|job| job.after.clone()).unwrap_or_default()
    }

    /// The jobs of which this is so.
    pub(super) fn standing(&self, is_meant: impl Fn(Standing) -> bool) -> Vec<usize> {
        let jobs = self.jobs.iter().enumerate();
        jobs.filter(|(_, job)| is_meant(job.standing)).map(|(at, _)| at).collect()
    }

    /// Takes over how a job stands.
    pub fn stands(&mut self, job: usize, standing: Standing) {
        let Some(job) = self.jobs.get_mut(job) else { return };
        job.standing = standing;
        job.times = match standing {
            Standing::Failed { times, .. } => times,
            Standing::Calm | Standing::Blocked => 0,
        };
    }

    /// A run of the job, or its try, is on its way.
    pub fn begins(&mut self, job: usize) {
        if let Some(job) = self.jobs.get_mut(job) {
            job.standing = Standing::Calm;
        }
    }

    /// The job failed once more.
    pub fn fails(&mut self, job: usize, at: DateTime<Utc>) {
        let times = self.jobs.get(job).map_or(0, |job| job.times).saturating_add(1).min(COUNTED);
        self.stands(job, Standing::Failed { times, at });
    }

    /// When the job is tried again, if that is before its next tick.
    #[must_use]
    pub fn next(&self, job: usize) -> Option<DateTime<Utc>> {
        self.planned(job).map(|(due, _)| due)
    }

    /// The jobs to be tried now, each given once: those that are due, and those that are about to be.
    pub fn take_due(&mut self, now: DateTime<Utc>) -> Vec<usize> {
        let planned = |job| self.planned(job).map(|(due, failed_at)| (job, due, failed_at));
        let planned: Vec<_> = (0..self.jobs.len()).filter_map(planned).collect();
        let is_due = |due: DateTime<Utc>, failed_at: DateTime<Utc>| due <= now || failed_at - now > SET_BACK;
        if !planned.iter().any(|(_, due, failed_at)| is_due(*due, *failed_at)) {
            return Vec::new();
        }
        let company = planned.iter().filter(|(_, due, failed_at)| is_due(*due - COMPANY, *failed_at));
        let due: Vec<usize> = company.map(|(job, ..)| *job).collect();
        for job in &due {
            self.begins(*job);
        }
        due
    }

    /// When the job is tried again, and when what it waits out happened.
    fn planned(&self, at: usize) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let job = self.jobs.get(at)?;
        let Standing::Failed { at: failed_at, .. } = job.standing else { return None };
        let due = self.due(at, &mut vec![None; self.jobs.len()])?;
        let is_worth_it = job.schedule.next(failed_at).is_none_or(|tick| tick - failed_at > NEAR && due < tick);
        is_worth_it.then_some((due, failed_at))
    }

    /// A job waits for those before it: it is tried when they are, and not while one of them needs a person. `known`
    /// holds what has been worked out, as many jobs may wait for one.
    fn due(&self, at: usize, known: &mut [Option<Option<DateTime<Utc>>>]) -> Option<DateTime<Utc>> {
        if let Some(known) = known.get(at).copied().flatten() {
            return known;
        }
        // The configuration has no cycles; were there one, nobody would be tried before the tick.
        *known.get_mut(at)? = Some(None);
        let due = self.due_after(at, known);
        *known.get_mut(at)? = Some(due);
        due
    }

    fn due_after(&self, at: usize, known: &mut [Option<Option<DateTime<Utc>>>]) -> Option<DateTime<Utc>> {
        let job = self.jobs.get(at)?;
        let Standing::Failed { times, at: failed_at } = job.standing else { return None };
        let mut due = None;
        for before in &job.after {
            match self.jobs.get(*before).map(|before| before.standing) {
                Some(Standing::Blocked) => return None,
                Some(Standing::Failed { .. }) => due = due.max(Some(self.due(*before, known)?)),
                Some(Standing::Calm) | None => {}
            }
        }
        due.or_else(|| {
            let wait = TimeDelta::from_std(BACKOFF.wait(times, None, self.drawn(times, failed_at))?).ok()?;
            Some(failed_at + if times < COUNTED { wait } else { wait.max(LEAST) })
        })
    }

    /// A share of a wait, the same for all jobs of the site that failed together, so that they are tried together.
    fn drawn(&self, times: u32, at: DateTime<Utc>) -> f64 {
        let turn = if times < COUNTED { i64::from(times) } else { at.timestamp() / 60 };
        let hash = xxh3_64(format!("{turn} {}", self.site).as_bytes());
        f64::from(u32::try_from(hash >> 32_u32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
    }
}

/// The tries as the ticking, the rounds and their ends share them.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<Retries>>);

impl Shared {
    pub(super) fn new(retries: Retries) -> Self {
        Self(Arc::new(Mutex::new(retries)))
    }

    /// Looks into it or changes it.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Retries) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use chrono_tz::Asia::Kolkata;

    use super::super::schedule::tests::{at, cron};
    use super::*;

    fn plain(pattern: &str) -> Schedule {
        Schedule::new(cron(pattern), Kolkata, Duration::ZERO)
    }

    /// Jobs of these patterns, each after those named.
    pub(crate) fn retries(site: &str, jobs: &[(&str, &[usize])]) -> Retries {
        Retries::new(site, jobs.iter().map(|(pattern, after)| (plain(pattern), after.to_vec())))
    }

    // 20:30Z is 02:00 in Kolkata.
    const NIGHTLY: &str = "0 0 2 * * *";
    const FAILED: &str = "2027-01-01T20:30:10Z";

    #[test]
    fn a_nightly_job_is_tried_again_in_growing_distances_up_to_ten_minutes_until_its_next_tick() {
        let mut retries = retries("outlet-042", &[(NIGHTLY, &[])]);
        let (mut now, mut waits) = (at(FAILED), Vec::new());
        while let Some(due) = {
            retries.fails(0, now);
            retries.next(0)
        } {
            waits.push((due - now).as_seconds_f64() / 60.0);
            now = due;
        }
        for (wait, bound) in waits.iter().zip([1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]) {
            assert!((0.0..=bound).contains(wait), "{waits:?}");
        }
        assert!(waits.iter().all(|wait| *wait <= 10.0));
        // It goes on for the whole day, and leaves the last minutes to the tick.
        assert!(waits.len() > 200, "{}", waits.len());
        assert!(now > at("2027-01-02T20:15:00Z") && now < at("2027-01-02T20:30:00Z"), "{now}");
    }

    #[test]
    fn no_site_draws_so_badly_that_it_asks_without_a_pause() {
        for site in 0..300 {
            let mut retries = retries(&format!("outlet-{site:03}"), &[(NIGHTLY, &[])]);
            let (mut now, mut tries) = (at(FAILED), 0);
            while let Some(due) = {
                retries.fails(0, now);
                retries.next(0)
            } {
                now = due;
                tries += 1;
            }
            // A day of waits of five minutes on the mean.
            assert!((220..=400).contains(&tries), "outlet-{site:03}: {tries}");
        }
    }

    #[test]
    fn a_job_of_every_five_minutes_keeps_its_schedule() {
        let mut retries = retries("outlet-042", &[("0 */5 * * * *", &[])]);
        for _ in 0..10 {
            retries.fails(0, at(FAILED));
            assert_eq!(retries.next(0), None);
        }
    }

    #[test]
    fn outlets_that_failed_together_do_not_come_back_together() {
        let due: Vec<_> = (0..600)
            .map(|site| {
                let mut retries = retries(&format!("outlet-{site:03}"), &[(NIGHTLY, &[])]);
                retries.stands(0, Standing::Failed { times: 6, at: at(FAILED) });
                (retries.next(0).unwrap() - at(FAILED)).num_minutes()
            })
            .collect();
        // Ten minutes for 600 outlets: 60 a minute on the mean.
        assert!((0..10).all(|minute| (36..=84).contains(&due.iter().filter(|due| **due == minute).count())));
    }

    #[test]
    fn what_is_due_is_given_once_with_those_that_are_about_to_be() {
        let mut retries = retries("outlet-042", &[(NIGHTLY, &[]), (NIGHTLY, &[]), ("0 0 * * * *", &[])]);
        retries.fails(0, at(FAILED));
        retries.fails(1, at(FAILED) + TimeDelta::seconds(20));
        let due = retries.next(0).unwrap();
        assert_eq!(retries.take_due(due - TimeDelta::seconds(1)), [0; 0]);
        assert_eq!(retries.take_due(due), [0, 1]);
        assert_eq!(retries.take_due(due + TimeDelta::hours(1)), [0; 0]);
        assert_eq!(retries.next(0), None);
    }

    #[test]
    fn who_waits_for_a_failed_job_follows_it_and_not_while_that_needs_a_person() {
        let mut retries = retries("outlet-042", &[(NIGHTLY, &[]), (NIGHTLY, &[0]), (NIGHTLY, &[1])]);
        retries.stands(0, Standing::Failed { times: 6, at: at(FAILED) });
        retries.fails(1, at(FAILED));
        retries.fails(2, at(FAILED));
        assert_eq!([retries.next(1), retries.next(2)], [retries.next(0); 2]);
        assert_eq!(retries.take_due(retries.next(0).unwrap()), [0, 1, 2]);
        retries.stands(0, Standing::Blocked);
        retries.fails(1, at(FAILED));
        retries.fails(2, at(FAILED));
        assert_eq!([0, 1, 2].map(|job| retries.next(job)), [None; 3]);
        retries.stands(0, Standing::Calm);
        assert!(retries.next(1).is_some());
    }

    #[test]
    fn a_try_that_was_reckoned_by_a_wrong_clock_is_made_at_once() {
        let mut retries = retries("outlet-042", &[(NIGHTLY, &[])]);
        retries.fails(0, at(FAILED));
        assert_eq!(retries.take_due(at(FAILED) - TimeDelta::seconds(30)), [0; 0]);
        assert_eq!(retries.take_due(at(FAILED) - TimeDelta::hours(5)), [0]);
    }

    #[test]
    fn what_ends_well_is_not_tried_again_and_begins_anew_when_it_fails() {
        let mut retries = retries("outlet-042", &[(NIGHTLY, &[])]);
        for _ in 0..8 {
            retries.fails(0, at(FAILED));
        }
        retries.stands(0, Standing::Calm);
        assert_eq!(retries.next(0), None);
        retries.fails(0, at(FAILED));
        assert!(retries.next(0).unwrap() - at(FAILED) <= TimeDelta::minutes(1));
    }
}
