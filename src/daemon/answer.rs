//! How an outlet stands, in one sentence: can the shop be opened?

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::snapshot::{JobSnapshot, Snapshot, Status, distance};

/// Jobs that are named in the sentence.
const NAMED: usize = 4;

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How it is to be taken.
    pub mood: Mood,
    /// In words, without the outlet's name.
    pub sentence: String,
}

/// How an answer is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mood {
    /// All is well.
    Good,
    /// Something is worth a look, and keeps nobody from work.
    Note,
    /// Something needs a person, or is not up to date.
    Bad,
}

impl Answer {
    /// The answer of a snapshot.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let all = snapshot.jobs.len();
        let of =
            |kind: Kind| -> Vec<&JobSnapshot> { snapshot.jobs.iter().filter(|job| Kind::of(job) == kind).collect() };
        let (waiting, behind, new) = (of(Kind::Waiting), of(Kind::Behind), of(Kind::New));
        let mut clauses = Vec::new();
        if !waiting.is_empty() {
            clauses.push(format!("{} you: {}", some(&waiting, all, "needs", "need"), names(&waiting)));
        }
        if !behind.is_empty() {
            clauses.push(format!("{} not up to date: {}", some(&behind, all, "is", "are"), names(&behind)));
        }
        if !clauses.is_empty() {
            return Self { mood: Mood::Bad, sentence: clauses.join("; ") };
        }
        if all == 0 {
            return Self { mood: Mood::Note, sentence: "no job is configured".to_owned() };
        }
        if !new.is_empty() {
            let is_any_at_work = new.iter().any(|job| job.status == Status::Running);
            let sentence = match (new.len() == all, is_any_at_work) {
                (true, false) => "nothing has run here yet".to_owned(),
                (_, true) => format!("{} loaded for the first time: {}", some(&new, all, "is", "are"), names(&new)),
                (false, false) => format!("{} not run yet: {}", some(&new, all, "has", "have"), names(&new)),
            };
            return Self { mood: Mood::Note, sentence };
        }
        let fresh =
            if all == 1 { "the job is up to date".to_owned() } else { format!("all {all} jobs are up to date") };
        let oldest = snapshot.jobs.iter().filter_map(|job| job.last_ok).min();
        let as_of = oldest.map(|oldest| format!(" (as of {})", told(oldest, snapshot))).unwrap_or_default();
        let parked: u64 = snapshot.jobs.iter().map(|job| job.parked).sum();
        match parked {
            0 => Self { mood: Mood::Good, sentence: format!("{fresh}{as_of}") },
            1 => Self { mood: Mood::Note, sentence: format!("{fresh} but for 1 record in quarantine{as_of}") },
            _ => Self { mood: Mood::Note, sentence: format!("{fresh} but for {parked} records in quarantine{as_of}") },
        }
    }
}

/// What a job's status comes to for who opens a shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It shows HQ as it should.
    Fresh,
    /// It does not.
    Behind,
    /// It has never shown HQ.
    New,
    /// A person has to do something.
    Waiting,
}

impl Kind {
    fn of(job: &JobSnapshot) -> Self {
        match job.status {
            Status::Running if job.last_ok.is_none() => Self::New,
            Status::Ok | Status::Running | Status::Quarantine => Self::Fresh,
            Status::Never => Self::New,
            Status::Stale | Status::Failed => Self::Behind,
            Status::Conflict | Status::Blocked => Self::Waiting,
        }
    }
}

/// `2 of 5 jobs need`, `the job needs`.
fn some(jobs: &[&JobSnapshot], all: usize, one: &str, many: &str) -> String {
    match (jobs.len(), all) {
        (_, 1) => format!("the job {one}"),
        (1, _) => format!("1 of {all} jobs {one}"),
        (some, _) => format!("{some} of {all} jobs {many}"),
    }
}

fn names(jobs: &[&JobSnapshot]) -> String {
    let named: Vec<&str> = jobs.iter().take(NAMED).map(|job| job.name.as_str()).collect();
    match jobs.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        rest => format!("{} and {rest} more", named.join(", ")),
    }
}

/// `07:42, 3 min ago`.
#[must_use]
pub fn told(then: DateTime<Utc>, snapshot: &Snapshot) -> String {
    format!("{}, {}", clock(then, snapshot.now, snapshot.time_zone), distance(then, snapshot.now))
}

/// The time of day, with the date where that is not today.
#[must_use]
pub fn clock(then: DateTime<Utc>, now: DateTime<Utc>, zone: Tz) -> String {
    let (then, now) = (then.with_timezone(&zone), now.with_timezone(&zone));
    let form = if then.date_naive() == now.date_naive() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    then.format(form).to_string()
}

#[cfg(test)]
mod tests {
    use chrono_tz::Asia::Kolkata;

    use super::super::schedule::tests::at;
    use super::*;

    fn answer(jobs: &[(&str, Status, u64)]) -> (Mood, String) {
        let job = |(name, status, parked): &(&str, Status, u64)| JobSnapshot {
            name: (*name).to_owned(),
            doctype: String::new(),
            table: String::new(),
            schedule: String::new(),
            status: *status,
            last_run: None,
            last_ok: (*status != Status::Never).then(|| at("2027-01-01T02:12:00Z")),
            next_run: None,
            rows: None,
            parked: *parked,
            next_reconcile: None,
            reconciled: None,
            sentence: None,
            conflicts: 0,
        };
        let now = at("2027-01-01T02:15:00Z");
        let jobs = jobs.iter().map(job).collect();
        let snapshot =
            Snapshot { site: String::new(), time_zone: Kolkata, now, jobs, version: None, hq_answered_at: None };
        let Answer { mood, sentence } = Answer::of(&snapshot);
        (mood, sentence)
    }

    #[test]
    fn the_answer_says_first_what_needs_a_person() {
        use Status::{Blocked, Conflict, Failed, Never, Ok, Quarantine, Running, Stale};
        for (jobs, mood, sentence) in [
            (&[("a", Ok, 0), ("b", Running, 0)][..], Mood::Good, "all 2 jobs are up to date (as of 07:42, 3 min ago)"),
            (&[("a", Ok, 0)], Mood::Good, "the job is up to date (as of 07:42, 3 min ago)"),
            (
                &[("a", Ok, 0), ("b", Quarantine, 3)],
                Mood::Note,
                "all 2 jobs are up to date but for 3 records in quarantine (as of 07:42, 3 min ago)",
            ),
            (&[("a", Never, 0), ("b", Never, 0)], Mood::Note, "nothing has run here yet"),
            (&[("a", Never, 0), ("b", Ok, 0)], Mood::Note, "1 of 2 jobs has not run yet: a"),
            (&[("a", Blocked, 0), ("b", Conflict, 0), ("c", Ok, 0)], Mood::Bad, "2 of 3 jobs need you: a, b"),
            (
                &[("a", Blocked, 0), ("b", Stale, 0), ("c", Failed, 0)],
                Mood::Bad,
                "1 of 3 jobs needs you: a; 2 of 3 jobs are not up to date: b, c",
            ),
            (&[("a", Failed, 0)], Mood::Bad, "the job is not up to date: a"),
            (&[], Mood::Note, "no job is configured"),
        ] {
            assert_eq!(answer(jobs), (mood, sentence.to_owned()), "{jobs:?}");
        }
    }

    #[test]
    fn another_days_time_has_its_date() {
        let now = at("2027-01-01T02:15:00Z");
        assert_eq!(clock(at("2026-12-31T18:31:00Z"), now, Kolkata), "00:01");
        assert_eq!(clock(at("2026-12-31T18:29:00Z"), now, Kolkata), "2026-12-31 23:59");
    }
}
