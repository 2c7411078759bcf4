//! `milkrun sync`: runs jobs now, and says how each went.

use std::path::Path;

use super::diff::{self, Telling};
use super::output::{self, Output, Usage};
use super::{Exit, chosen, load, open_to_run, progress, stamp};
use crate::run::{Run, Status, Trigger};
use crate::sync::{Mode, Order};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The jobs to run; all, each after those it waits for, where none is named
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,
    /// Read everything, compare it with the local rows and repair them
    #[arg(long, conflicts_with_all = ["since", "name"])]
    full: bool,
    /// Read again what HQ stamped at or after this moment (HQ's wall time, "2024-05-05 10:00:00")
    #[arg(long, value_name = "TS", conflicts_with = "name")]
    since: Option<String>,
    /// Read these records again, by their name at HQ
    #[arg(long, value_name = "NAME", num_args = 1.., requires = "jobs")]
    name: Vec<String>,
    /// Let rows go that are gone at HQ, even above the job's `delete_limit`, this once
    #[arg(long)]
    confirm_deletes: bool,
    #[command(flatten)]
    telling: Telling,
    /// The local database was restored or copied: take it for this outlet's, and read everything again
    #[arg(long, conflicts_with_all = ["since", "name", "dry_run"])]
    confirm_database: bool,
}

pub(super) async fn run(options: &Options, config: &Path, output: &Output) -> anyhow::Result<Exit> {
    let path = config;
    let config = load(path)?;
    let (mode, trigger) = mode(options)?;
    let jobs = chosen(&config, &options.jobs)?;
    if matches!(mode, Mode::Names(_)) && jobs.len() != 1 {
        return Err(Usage("--name needs exactly one job: names are of one DocType".to_owned()).into());
    }
    if options.confirm_database {
        let engine = open_to_run(&config, path, progress::watcher()).await?;
        engine.confirm_database().await?;
        engine.store().close().await;
    }
    let order = Order { jobs, mode, trigger, has_confirmed_deletes: options.confirm_deletes };
    Box::pin(diff::round((&config, path), &order, options.telling, output)).await
}

fn mode(options: &Options) -> anyhow::Result<(Mode, Trigger)> {
    if let Some(since) = &options.since {
        let stamp = stamp(since).map_err(|error| Usage(format!("--since: {error}")))?;
        return Ok((Mode::Since(stamp), Trigger::Since));
    }
    if !options.name.is_empty() {
        return Ok((Mode::Names(options.name.clone()), Trigger::Name));
    }
    if options.full {
        return Ok((Mode::Full, Trigger::Full));
    }
    Ok((Mode::Changes, Trigger::Sync))
}

/// One run in a line or a few: what it did, what it cost, and what is to be done if it did not end well.
pub(super) fn line(run: &Run) -> String {
    let counts = &run.counts;
    let took = run.ended_at.map(|ended| (ended - run.started_at).num_milliseconds().max(0)).unwrap_or_default();
    let mut text = format!(
        "{:<20} {:<8} {} inserted, {} updated, {} unchanged, {} deleted  ({}, {}, {}.{} s)\n",
        run.job,
        word(run.status),
        counts.inserted,
        counts.updated,
        counts.unchanged,
        counts.deleted,
        output::count(counts.requests, "request", "requests"),
        output::bytes(counts.bytes),
        took / 1_000,
        took % 1_000 / 100,
    );
    if let Some(error) = &run.error {
        text.push_str(&format!("    {error}\n"));
    }
    if let Some(remedy) = &run.remedy {
        text.push_str(&format!("    do: {remedy}\n"));
    }
    text
}

/// The word for a status, as everywhere.
pub(super) fn word(status: Status) -> &'static str {
    match status {
        Status::Running => "running",
        Status::Ok => "ok",
        Status::Quarantine => "quarantine",
        Status::Conflict => "conflict",
        Status::Failed => "failed",
        Status::Blocked => "blocked",
    }
}
