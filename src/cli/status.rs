//! `milkrun status`: how the jobs stand, in one look. Freshness is worked out here, so that it grows also when the
//! daemon is dead.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::output::{self, Output};
use super::{Exit, load};
use crate::clock::Clock;
use crate::daemon::snapshot::{JobSnapshot, Snapshot, Status};
use crate::run;
use crate::store::Store;
use crate::sync::Error;

pub(super) async fn run(config: &Path, output: &Output) -> anyhow::Result<Exit> {
    let config = load(config)?;
    let store = Store::open(&config.local).await.map_err(Error::store("opening the local database"))?;
    let snapshot = crate::daemon::read(&config, &store, Clock::system().now()).await?;
    store.close().await;
    output.result(&snapshot, || text(&snapshot))?;
    Ok(exit(&snapshot))
}

fn text(snapshot: &Snapshot) -> String {
    let mut table = output::table(&["JOB", "STATUS", "AS OF", "NEXT RUN", "ROWS", "PARKED", "CONFLICTS", "LAST RUN"]);
    let time = |at: Option<DateTime<Utc>>| {
        let Some(at) = at.map(|at| at.with_timezone(&snapshot.time_zone)) else { return "-".to_owned() };
        let is_today = at.date_naive() == snapshot.now.with_timezone(&snapshot.time_zone).date_naive();
        at.format(if is_today { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" }).to_string()
    };
    for job in &snapshot.jobs {
        let as_of = match job.last_ok {
            Some(at) => format!("{}, {} ago", time(Some(at)), age(snapshot.now - at)),
            None => "never".to_owned(),
        };
        let last = job.last_run.as_ref().map(|run| {
            let counts = run.counts;
            format!("{} new, {} changed, {} gone", counts.inserted, counts.updated, counts.deleted)
        });
        table.add_row([
            job.name.clone(),
            job.status.to_string(),
            as_of,
            time(job.next_run),
            job.rows.map(|rows| rows.to_string()).unwrap_or_default(),
            job.parked.to_string(),
            job.conflicts.to_string(),
            last.unwrap_or_default(),
        ]);
    }
    let mut text = format!("{}\n\n{table}\n", snapshot.site);
    for job in &snapshot.jobs {
        let next = job.next_reconcile.map(|at| format!("next reconcile {}", time(Some(at))));
        let told = match (&job.sentence, next) {
            (Some(sentence), Some(next)) => format!("\n{sentence}; {next}\n"),
            (Some(sentence), None) => format!("\n{sentence}\n"),
            (None, Some(next)) => format!("\n{}: {next}\n", job.name),
            (None, None) => String::new(),
        };
        text.push_str(&told);
    }
    for job in &snapshot.jobs {
        text.push_str(&trouble(job, snapshot));
    }
    text
}

fn trouble(job: &JobSnapshot, snapshot: &Snapshot) -> String {
    let Some(run) = &job.last_run else { return String::new() };
    let mut text = String::new();
    let is_over = match run.status {
        run::Status::Quarantine | run::Status::Conflict => job.parked == 0 && job.conflicts == 0,
        run::Status::Running | run::Status::Ok | run::Status::Failed | run::Status::Blocked => false,
    };
    if let (Some(error), false) = (&run.error, is_over) {
        text.push_str(&format!("\n{}: {error}\n", job.name));
        if let Some(remedy) = &run.remedy {
            text.push_str(&format!("  do: {remedy}\n"));
        }
    }
    let left = job.reconciled.as_ref().filter(|reconciled| reconciled.run != run.id);
    if let Some((error, remedy)) = left.and_then(|left| left.error.as_ref().zip(left.remedy.as_ref())) {
        text.push_str(&format!("\n{}: {error}\n  do: {remedy}\n", job.name));
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
        text.push_str(&format!("\n{}: no good run for too long\n  do: {what}\n", job.name));
    }
    text
}

fn age(age: chrono::Duration) -> String {
    let seconds = age.num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn exit(snapshot: &Snapshot) -> Exit {
    match snapshot.jobs.iter().map(|job| job.status).max() {
        None | Some(Status::Ok | Status::Running | Status::Never) => Exit::Ok,
        Some(Status::Quarantine | Status::Conflict) => Exit::Parked,
        Some(Status::Stale | Status::Failed) => Exit::Failed,
        Some(Status::Blocked) => Exit::Blocked,
    }
}
