//! `milkrun runs`: the run log, newest first.

use std::path::Path;

use super::output::{self, Output};
use super::{Exit, load, position, sync::word};
use crate::clock::Clock;
use crate::store::Store;
use crate::sync::{self, Error};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Only this job's runs
    #[arg(value_name = "JOB")]
    job: Option<String>,
    /// Only runs that did not end well
    #[arg(long)]
    failed: bool,
    /// How many runs at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
}

pub(super) async fn run(options: &Options, config: &Path, output: &Output) -> anyhow::Result<Exit> {
    let config = load(config)?;
    if let Some(job) = &options.job {
        position(&config, job)?;
    }
    let store = Store::open(&config.local).await.map_err(Error::store("opening the local database"))?;
    let runs = store.runs(options.job.as_deref(), options.failed, options.limit).await;
    let mut runs = runs.map_err(Error::store("reading the run log"))?;
    sync::tell_the_dead(&store, &mut runs, Clock::system().now()).await?;
    store.close().await;
    let zone = config.site.time_zone;
    output.result(&runs, || {
        if runs.is_empty() {
            return "no runs yet".to_owned();
        }
        let header = [
            "RUN", "JOB", "TRIGGER", "STARTED", "STATUS", "FETCHED", "INSERTED", "UPDATED", "DELETED", "REQUESTS",
            "ERROR",
        ];
        let mut table = output::table(&header);
        for run in &runs {
            let trigger = serde_json::to_value(run.trigger).ok();
            table.add_row([
                run.id.to_string(),
                run.job.clone(),
                trigger.as_ref().and_then(|word| word.as_str()).unwrap_or_default().to_owned(),
                run.started_at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string(),
                word(run.status).to_owned(),
                run.counts.fetched.to_string(),
                run.counts.inserted.to_string(),
                run.counts.updated.to_string(),
                run.counts.deleted.to_string(),
                run.counts.requests.to_string(),
                run.error.clone().unwrap_or_default(),
            ]);
        }
        table.to_string()
    })?;
    Ok(Exit::Ok)
}
