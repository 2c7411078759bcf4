//! The look as text: the answer first, then a line a job, then what is wrong and what to do.

use chrono::{DateTime, Utc};
use comfy_table::{Cell, Color};

use super::Look;
use crate::cli::{output, screen};
use crate::daemon::answer::{Mood, clock, told};
use crate::daemon::snapshot::{JobSnapshot, Snapshot, Status, distance};
use crate::run;

/// On a narrower terminal what the last run did is left out.
const WIDE: usize = 110;

pub(super) fn text(look: &Look) -> String {
    let snapshot = &look.snapshot;
    let style = match look.mood {
        Mood::Good => screen::good(),
        Mood::Note => screen::note(),
        Mood::Bad => screen::bad(),
    };
    let answer = style.bold().apply_to(&look.answer);
    let mut text = format!("{}: {answer}\n\n{}\n", screen::bold().apply_to(&snapshot.site), table(snapshot));
    let reports: Vec<String> = snapshot.jobs.iter().filter_map(|job| compared(job, snapshot)).collect();
    if !reports.is_empty() {
        text.push_str(&format!("\n{}\n", reports.join("\n")));
    }
    for job in &snapshot.jobs {
        text.push_str(&trouble(job, snapshot));
    }
    text.push_str(&format!("\n{}\n", hq(look)));
    if let Some(remedy) = look.probe.as_ref().and_then(|probe| probe.remedy.as_ref()) {
        text.push_str(&format!("  do: {remedy}\n"));
    }
    for sentence in snapshot.version.iter().flat_map(|version| version.sentences(|at| told(at, snapshot))) {
        text.push_str(&format!("{sentence}\n"));
    }
    text.push_str(&format!("{}\n", screen::dim().apply_to(output::times_of(snapshot.time_zone))));
    text
}

fn table(snapshot: &Snapshot) -> String {
    let is_wide = screen::width().is_none_or(|width| width >= WIDE);
    let mut header = vec!["JOB", "STATUS", "AS OF", "NEXT RUN", "ROWS", "PARKED", "CONFLICTS"];
    header.extend(is_wide.then_some("LAST RUN"));
    let mut table = output::table(&header);
    for job in &snapshot.jobs {
        let mut cells = vec![
            Cell::new(&job.name),
            status(job.status),
            Cell::new(job.last_ok.map_or_else(|| "never".to_owned(), |at| told(at, snapshot))),
            Cell::new(next(job.next_run, snapshot)),
            Cell::new(job.rows.map(output::grouped).unwrap_or_default()),
            Cell::new(job.parked),
            Cell::new(job.conflicts),
        ];
        cells.extend(is_wide.then(|| Cell::new(last_run(job))));
        table.add_row(cells);
    }
    table.to_string()
}

fn status(status: Status) -> Cell {
    let cell = Cell::new(status);
    if !console::colors_enabled() {
        return cell;
    }
    cell.fg(match status {
        Status::Ok => Color::Green,
        Status::Running | Status::Never | Status::Quarantine => Color::Yellow,
        Status::Conflict | Status::Stale | Status::Failed | Status::Blocked => Color::Red,
    })
}

/// `07:47, in 2 min`.
fn next(at: Option<DateTime<Utc>>, snapshot: &Snapshot) -> String {
    at.map_or_else(
        || "-".to_owned(),
        |at| format!("{}, {}", clock(at, snapshot.now, snapshot.time_zone), distance(at, snapshot.now)),
    )
}

fn last_run(job: &JobSnapshot) -> String {
    let Some(run) = &job.last_run else { return String::new() };
    let counts = run.counts;
    if counts.inserted + counts.updated + counts.deleted == 0 {
        return match run.status {
            run::Status::Ok | run::Status::Quarantine | run::Status::Conflict => "nothing new".to_owned(),
            run::Status::Running => "nothing yet".to_owned(),
            run::Status::Failed => "failed".to_owned(),
            run::Status::Blocked => "blocked".to_owned(),
        };
    }
    format!("{} new, {} changed, {} gone", counts.inserted, counts.updated, counts.deleted)
}

/// What the last reconcile came to, and when the next one is.
fn compared(job: &JobSnapshot, snapshot: &Snapshot) -> Option<String> {
    let at = job
        .next_reconcile
        .map(|at| format!("next reconcile {}", clock(at, snapshot.now, snapshot.time_zone)));
    match (&job.sentence, at) {
        (Some(sentence), Some(next)) => Some(format!("{sentence}; {next}")),
        (Some(sentence), None) => Some(sentence.clone()),
        (None, Some(next)) => Some(format!("{}: {next}", job.name)),
        (None, None) => None,
    }
}

fn trouble(job: &JobSnapshot, snapshot: &Snapshot) -> String {
    let Some(run) = &job.last_run else { return String::new() };
    let mut text = String::new();
    let name = screen::bold().apply_to(&job.name);
    let is_over = match run.status {
        run::Status::Quarantine | run::Status::Conflict => job.parked == 0 && job.conflicts == 0,
        run::Status::Running | run::Status::Ok | run::Status::Failed | run::Status::Blocked => false,
    };
    if let (Some(error), false) = (&run.error, is_over) {
        text.push_str(&format!("\n{name}: {error}\n"));
        if let Some(remedy) = &run.remedy {
            text.push_str(&format!("  do: {remedy}\n"));
        }
    }
    let left = job.reconciled.as_ref().filter(|reconciled| reconciled.run != run.id);
    if let Some((error, remedy)) = left.and_then(|left| left.error.as_ref().zip(left.remedy.as_ref())) {
        text.push_str(&format!("\n{name}: {error}\n  do: {remedy}\n"));
    }
    if job.status == Status::Stale {
        let is_at_work =
            |job: &&JobSnapshot| job.last_run.as_ref().is_some_and(|run| run.status == run::Status::Running);
        let at_work: Vec<&str> = snapshot.jobs.iter().filter(is_at_work).map(|job| job.name.as_str()).collect();
        let what = if at_work.is_empty() {
            "see whether `milkrun run` is running, and what its log says".to_owned()
        } else {
            format!("nothing, as long as {} goes on: its turn comes after (`milkrun runs` tells)", at_work.join(", "))
        };
        text.push_str(&format!("\n{name}: no good run for too long\n  do: {what}\n"));
    }
    text
}

/// Whether HQ answers, or when it last did.
fn hq(look: &Look) -> String {
    if let Some(probe) = &look.probe {
        let style = if probe.answers { screen::good() } else { screen::bad() };
        return style.apply_to(probe.sentence()).to_string();
    }
    match look.snapshot.hq_answered_at {
        Some(at) => format!("HQ last answered {}", told(at, &look.snapshot)),
        None if look.snapshot.jobs.iter().any(|job| job.last_run.is_some()) => {
            "no run has ended well yet; `milkrun status --probe` asks HQ whether it answers".to_owned()
        }
        None => "HQ has not been asked anything yet; `milkrun status --probe` asks".to_owned(),
    }
}
