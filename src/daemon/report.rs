//! What is told of the runs, and how often: an outage is a few lines, however many runs fail in it.
//!
//! Trouble that has one cause for all jobs (HQ, the local database) is told once for all of them; a job's own once for
//! that job. Then come reminders in growing distances, and one line when all that it hit run well again. Trouble that comes
//! and goes is one outage: it is told no more often than one that stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::run::{Run, Status};
use crate::sync::Concern;

/// When an outage is told of again, after its begin; then every [`AT_LAST_EVERY`].
const REMINDERS: [TimeDelta; 2] = [TimeDelta::minutes(10), TimeDelta::hours(1)];

/// The last distance between reminders.
const AT_LAST_EVERY: TimeDelta = TimeDelta::hours(6);

/// Trouble that comes back within this time is the same outage.
const SAME: TimeDelta = TimeDelta::hours(1);

/// Tells of the runs of one daemon; any thread may hand one in.
#[derive(Debug, Default)]
pub(super) struct Report(Mutex<Memory>);

impl Report {
    /// A run has ended, by trouble of this kind if not well.
    pub(super) fn ended(&self, run: &Run, concern: Option<Concern>) {
        let now = run.ended_at.unwrap_or(run.started_at);
        let word = self.memory().ended(run, concern, now);
        tell_of(run, &word);
    }

    /// A round ended before these jobs' runs could be logged.
    pub(super) fn broken_off(&self, jobs: &[&str], trouble: Trouble<'_>, now: DateTime<Utc>) {
        let key = (trouble.concern, Own::default(), trouble.status);
        let mut word = Word::Nothing;
        for job in jobs {
            let said = self.memory().failed(job, key.clone(), now);
            word = if matches!(word, Word::Nothing) { said } else { word };
        }
        let Trouble { error, remedy, .. } = trouble;
        match word {
            Word::Begins => tracing::error!(?jobs, error, remedy, "the round was broken off"),
            Word::Goes(outage) => outage.remind(error, Some(remedy)),
            Word::Nothing | Word::Quiet | Word::Over(_) => tracing::debug!(?jobs, error, "the round was broken off"),
        }
    }

    /// There are these jobs alone from now on: an outage waits for no other to run well.
    pub(super) fn only(&self, names: &[&str]) {
        self.memory().only(names);
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a round was broken off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trouble<'e> {
    pub(super) concern: Concern,
    pub(super) status: Status,
    pub(super) error: &'e str,
    pub(super) remedy: &'e str,
}

/// What is told once: whose trouble, of which job where it is that job's own, and whether it passes by itself.
type Key = (Concern, Own, Status);

/// A job's own trouble; empty where it is everybody's. Another remedy is other trouble.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Own {
    job: String,
    remedy: String,
}

#[derive(Debug, Default)]
struct Memory {
    outages: BTreeMap<Key, Outage>,
    /// The jobs that ended well at least once: an idle run is news only before that.
    known: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct Outage {
    since: DateTime<Utc>,
    last: DateTime<Utc>,
    /// Runs that failed.
    runs: u64,
    /// The jobs that have not run well since.
    jobs: BTreeSet<String>,
    /// All jobs that it hit.
    hit: BTreeSet<String>,
    /// When it is told of next.
    remind_at: DateTime<Utc>,
    /// Somebody was told, and has not been told that it is over.
    is_told: bool,
}

/// What is to be said of an end.
#[derive(Debug)]
enum Word {
    /// It ended well, and something changed, or it is the first one.
    Nothing,
    /// Nothing that needs saying.
    Quiet,
    /// An outage begins.
    Begins,
    /// It goes on, and was not told of for long.
    Goes(Outage),
    /// It ended well, and with it these outages.
    Over(Vec<(Concern, Outage)>),
}

impl Memory {
    fn ended(&mut self, run: &Run, concern: Option<Concern>, now: DateTime<Utc>) -> Word {
        match concern {
            // The job waited for is told of; one that was stopped has no trouble.
            Some(Concern::Predecessor | Concern::Stop) => Word::Quiet,
            Some(concern) => {
                let own = Own { job: run.job.clone(), remedy: run.remedy.clone().unwrap_or_default() };
                let own = if concern == Concern::Job { own } else { Own::default() };
                self.failed(&run.job, (concern, own, run.status), now)
            }
            None => {
                let is_first = self.known.insert(run.job.clone());
                let counts = run.counts;
                let is_idle = counts.inserted + counts.updated + counts.deleted + counts.quarantined == 0;
                let over = self.left(&run.job, None, now);
                match (over.is_empty(), is_idle && !is_first) {
                    (false, _) => Word::Over(over),
                    (true, true) => Word::Quiet,
                    (true, false) => Word::Nothing,
                }
            }
        }
    }

    /// Forgets the jobs that are none of these. An outage that hit no other is over with nothing to tell: its jobs' end is
    /// told.
    fn only(&mut self, names: &[&str]) {
        let is_meant = |job: &String| names.contains(&job.as_str());
        self.known.retain(is_meant);
        self.outages.retain(|_, outage| {
            let was_empty = outage.jobs.is_empty();
            outage.jobs.retain(is_meant);
            was_empty || !outage.jobs.is_empty()
        });
    }

    fn failed(&mut self, job: &str, key: Key, now: DateTime<Utc>) -> Word {
        // Trouble of another kind says nothing of whether the first is over; it is not told as if it were.
        self.left(job, Some(&key), now);
        let outage = self.outages.entry(key).or_insert_with(|| Outage {
            since: now,
            last: now,
            runs: 0,
            jobs: BTreeSet::new(),
            hit: BTreeSet::new(),
            remind_at: now,
            is_told: false,
        });
        outage.jobs.insert(job.to_owned());
        outage.hit.insert(job.to_owned());
        outage.runs += 1;
        outage.last = now;
        if now < outage.remind_at {
            return Word::Quiet;
        }
        let passed = now - outage.since;
        let next = REMINDERS.into_iter().find(|reminder| *reminder > passed);
        outage.remind_at = next.map_or(now + AT_LAST_EVERY, |next| outage.since + next);
        outage.is_told = true;
        if outage.runs == 1 { Word::Begins } else { Word::Goes(outage.clone()) }
    }

    /// Takes the job out of all outages but that of `key`; gives those that are over by that and were told of.
    fn left(&mut self, job: &str, but: Option<&Key>, now: DateTime<Utc>) -> Vec<(Concern, Outage)> {
        let mut over = Vec::new();
        self.outages.retain(|key, outage| {
            let was_in = but != Some(key) && outage.jobs.remove(job);
            if was_in && but.is_some() {
                // It does not run well when this is over.
                outage.hit.remove(job);
            }
            if outage.jobs.is_empty() && was_in && outage.is_told && but.is_none() {
                outage.is_told = false;
                over.push((key.0, outage.clone()));
            }
            !outage.jobs.is_empty() || now - outage.last < SAME
        });
        over
    }
}

impl Outage {
    fn remind(&self, error: &str, remedy: Option<&str>) {
        let jobs = self.named();
        let (since, runs) = (self.since.format("%Y-%m-%d %H:%M:%S UTC"), self.runs);
        tracing::error!(%since, runs, jobs, error, remedy, "still the same trouble");
    }

    fn named(&self) -> String {
        self.hit.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// Logs a run that came to its end.
pub fn ended_well(run: &Run) {
    let crate::run::Counts { fetched, inserted, updated, unchanged, deleted, quarantined, requests, .. } = run.counts;
    let (job, id) = (&run.job, run.id);
    tracing::info!(
        job,
        run = id,
        fetched,
        inserted,
        updated,
        unchanged,
        deleted,
        quarantined,
        requests,
        "run ended well"
    );
}

fn tell_of(run: &Run, word: &Word) {
    let crate::run::Counts { fetched, inserted, updated, unchanged, deleted, requests, .. } = run.counts;
    let (job, id, status) = (&run.job, run.id, run.status);
    // A run that is done says what is parked, which is no early end.
    let error = run.error.as_ref().filter(|_| !run.status.is_done());
    match (word, error) {
        (Word::Begins, Some(error)) => tracing::error!(
            job,
            run = id,
            ?status,
            fetched,
            inserted,
            updated,
            unchanged,
            deleted,
            requests,
            error,
            remedy = run.remedy,
            "run ended early"
        ),
        (Word::Goes(outage), error) => {
            outage.remind(error.map(String::as_str).unwrap_or_default(), run.remedy.as_deref())
        }
        (Word::Quiet | Word::Nothing | Word::Over(_), Some(error)) => {
            tracing::debug!(
                job,
                run = id,
                ?status,
                fetched,
                inserted,
                updated,
                deleted,
                requests,
                error,
                "run ended early"
            );
        }
        (Word::Nothing | Word::Begins, None) => ended_well(run),
        (Word::Quiet, None) => tracing::debug!(job, run = id, unchanged, requests, "run ended well, nothing new"),
        (Word::Over(outages), None) => {
            ended_well(run);
            let now = run.ended_at.unwrap_or(run.started_at);
            for (concern, outage) in outages {
                let (after, runs, jobs) = (length(now - outage.since), outage.runs, outage.named());
                match concern {
                    Concern::Hq => tracing::info!(after, runs, jobs, "HQ is back; all jobs that had failed run well"),
                    Concern::Database => tracing::info!(after, runs, jobs, "the local database is back"),
                    Concern::Job | Concern::Predecessor | Concern::Stop => {
                        tracing::info!(after, runs, jobs, "the job runs well again");
                    }
                }
            }
        }
    }
}

/// `2 min`, `6 h 2 min`, `3 days 4 h`.
fn length(length: TimeDelta) -> String {
    let minutes = length.num_minutes().max(0);
    match minutes {
        0..60 => format!("{minutes} min"),
        60..2_880 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} days {} h", minutes / 1_440, minutes % 1_440 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::tests::at;
    use super::super::snapshot::tests::ended;
    use super::*;
    use crate::run::Counts;

    const START: &str = "2027-01-01T00:00:00Z";

    /// What was said of a stretch of runs.
    #[derive(Default)]
    struct Said {
        memory: Memory,
        words: Vec<String>,
    }

    impl Said {
        fn run(&mut self, job: &str, minute: i64, concern: Option<Concern>) {
            let status = if concern.is_some() { Status::Failed } else { Status::Ok };
            let run = Run { job: job.to_owned(), ..ended(status, START) };
            let word = match self.memory.ended(&run, concern, at(START) + TimeDelta::minutes(minute)) {
                Word::Quiet => return,
                Word::Nothing => "well".to_owned(),
                Word::Begins => format!("{job} fails"),
                Word::Goes(outage) => format!("still, {} runs of {}", outage.runs, outage.named()),
                Word::Over(over) => {
                    over.iter().map(|(concern, outage)| format!("{concern:?} over, {} runs", outage.runs)).collect()
                }
            };
            self.words.push(format!("{minute}: {word}"));
        }
    }

    #[test]
    fn twelve_hours_without_hq_for_five_jobs_are_six_lines() {
        let mut said = Said::default();
        let jobs = ["a", "b", "c", "d", "e"];
        jobs.iter().for_each(|job| said.run(job, -5, None));
        said.words.clear();
        for minute in (0..720).step_by(5) {
            jobs.iter().for_each(|job| said.run(job, minute, Some(Concern::Hq)));
        }
        jobs.iter().for_each(|job| said.run(job, 720, None));
        jobs.iter().for_each(|job| said.run(job, 725, None));
        let expected = [
            "0: a fails",
            "10: still, 11 runs of a, b, c, d, e",
            "60: still, 61 runs of a, b, c, d, e",
            "420: still, 421 runs of a, b, c, d, e",
            "720: Hq over, 720 runs",
        ];
        assert_eq!(said.words, expected);
        assert!(said.memory.outages.len() <= 1);
    }

    #[test]
    fn trouble_that_comes_and_goes_is_told_no_more_often_than_trouble_that_stays() {
        let mut said = Said::default();
        for minute in (0..720).step_by(10) {
            said.run("a", minute, Some(Concern::Hq));
            said.run("a", minute + 5, None);
        }
        assert!(said.words.len() <= 10, "{:#?}", said.words);
        // Long after, it is news again.
        said.words.clear();
        said.run("a", 1_000, Some(Concern::Hq));
        assert_eq!(said.words, ["1000: a fails"]);
    }

    #[test]
    fn a_jobs_own_trouble_is_told_beside_hqs_and_who_waits_for_it_says_nothing() {
        let mut said = Said::default();
        said.run("a", 0, Some(Concern::Job));
        said.run("b", 0, Some(Concern::Predecessor));
        said.run("c", 1, Some(Concern::Hq));
        said.run("a", 2, Some(Concern::Hq));
        said.run("a", 3, Some(Concern::Stop));
        said.run("a", 4, None);
        said.run("c", 5, None);
        assert_eq!(said.words, ["0: a fails", "1: c fails", "4: well", "5: Hq over, 2 runs"]);
    }

    #[test]
    fn other_trouble_of_a_job_is_told_and_the_first_that_comes_back_is_not_news() {
        let mut memory = Memory::default();
        let mut said = |minute, remedy: &str| {
            let remedy = Some(remedy.to_owned());
            let run = Run { job: "a".to_owned(), remedy, ..ended(Status::Blocked, START) };
            memory.ended(&run, Some(Concern::Job), at(START) + TimeDelta::minutes(minute))
        };
        assert!(matches!(said(0, "add the column"), Word::Begins));
        assert!(matches!(said(1, "add the column"), Word::Quiet));
        assert!(matches!(said(2, "confirm the deletes"), Word::Begins));
        assert!(matches!(said(3, "add the column"), Word::Quiet));
    }

    #[test]
    fn an_outage_waits_for_no_job_that_is_no_more() {
        let mut said = Said::default();
        said.run("a", 0, Some(Concern::Hq));
        said.run("b", 0, Some(Concern::Hq));
        said.run("c", 0, Some(Concern::Hq));
        said.run("b", 1, Some(Concern::Job));
        said.memory.only(&["a"]);
        said.run("a", 2, None);
        said.run("b", 3, Some(Concern::Job));
        assert_eq!(said.words, ["0: a fails", "1: b fails", "2: Hq over, 3 runs", "3: b fails"]);
    }

    #[test]
    fn idle_runs_are_told_once_and_busy_ones_each_time() {
        let mut said = Said::default();
        for minute in 0..100 {
            said.run("a", minute, None);
        }
        assert_eq!(said.words, ["0: well"]);
        let counts = Counts { updated: 1, ..Counts::default() };
        let busy = Run { job: "a".to_owned(), counts, ..ended(Status::Ok, START) };
        assert!(matches!(said.memory.ended(&busy, None, at(START)), Word::Nothing));
    }

    #[test]
    fn a_length_is_told_in_two_units() {
        let told = |minutes| length(TimeDelta::minutes(minutes));
        assert_eq!([told(2), told(362), told(4_560)], ["2 min", "6 h 2 min", "3 days 4 h"]);
    }
}
