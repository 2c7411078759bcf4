//! `milkrun reconcile`: compares all of HQ with all of the outlet, repairs, and says in one sentence how they compare.

use std::path::Path;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::diff::{self, Telling};
use super::output::Output;
use super::sync::line;
use super::{Exit, chosen, load, open_to_run, progress};
use crate::daemon;
use crate::reconciled::Reconciled;
use crate::run::{Run, Trigger};
use crate::sync::{Error, Mode, Order};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The jobs to compare; all, each after those it waits for, where none is named
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,
    /// Compare the values of all records, beyond the job's `reconcile_requests`
    #[arg(long)]
    values: bool,
    /// Let rows go that are gone or hidden at HQ, even above the job's `delete_limit`, this once
    #[arg(long)]
    confirm_deletes: bool,
    /// HQ was restored from a backup: take it as it is now
    #[arg(long)]
    confirm_restore: bool,
    #[command(flatten)]
    telling: Telling,
}

/// A run, and what the reconcile in it came to.
#[derive(Debug, Serialize)]
struct Told {
    #[serde(flatten)]
    run: Run,
    reconciled: Option<Reconciled>,
    sentence: Option<String>,
}

pub(super) async fn run(options: &Options, config: &Path, output: &Output) -> anyhow::Result<Exit> {
    let path = config;
    let config = load(path)?;
    let jobs = chosen(&config, &options.jobs)?;
    let mode = Mode::Reconcile { all_values: options.values, has_confirmed_restore: options.confirm_restore };
    let order = Order { jobs, mode, trigger: Trigger::Reconcile, has_confirmed_deletes: options.confirm_deletes };
    if options.telling.is_wanted() {
        return Box::pin(diff::round((&config, path), &order, options.telling, output)).await;
    }
    let engine = open_to_run(&config, path, progress::watcher()).await?.telling_totals(progress::totals());
    let stop = CancellationToken::new();
    daemon::stop_on_signals(&stop);
    let runs = super::in_time(&stop, engine.round(&order, &stop)).await?;
    let mut told = Vec::with_capacity(runs.len());
    for run in runs {
        let last = engine.store().reconciled(&run.job).await;
        let last = last.map_err(Error::store("reading what the reconcile came to"))?;
        // A run that came to no end leaves the report of the one before.
        let reconciled = last.filter(|reconciled| reconciled.run == run.id);
        let now = engine.clock().now();
        let sentence = reconciled.as_ref().map(|last| last.sentence(&run.job, config.site.time_zone, now));
        told.push(Told { run, reconciled, sentence });
    }
    engine.store().close().await;
    output.result(&told, || told.iter().map(text).collect())?;
    Ok(Exit::of(told.iter().map(|told| told.run.status)))
}

fn text(told: &Told) -> String {
    let mut text = line(&told.run);
    if let Some(sentence) = &told.sentence {
        text.push_str(&format!("    {sentence}\n"));
    }
    text
}
