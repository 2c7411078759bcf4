//! `milkrun quarantine`: records that could not be taken: seen, tried again, or given up.

use std::path::Path;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::output::{self, Output, Usage};
use super::sync::line;
use super::{Exit, load, open, position, progress};
use crate::config::Config;
use crate::daemon;
use crate::quarantine::Parked;
use crate::run::Trigger;
use crate::store::Store;
use crate::sync::{Error, Mode, Order};

/// The longest reason in a list.
const REASON: usize = 80;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// List the parked records, of one job or of all
    List {
        /// Only this job's
        #[arg(value_name = "JOB")]
        job: Option<String>,
    },
    /// Show a parked record: why it is there, and what HQ sent
    Show {
        /// The job
        #[arg(value_name = "JOB")]
        job: String,
        /// The record's name at HQ
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Try parked records again now, all of the job or those named
    Retry {
        /// The job
        #[arg(value_name = "JOB")]
        job: String,
        /// The records' names at HQ
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Give parked records up: they are not tried again until HQ has a newer version
    Discard {
        /// The job
        #[arg(value_name = "JOB")]
        job: String,
        /// The records' names at HQ
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
}

pub(super) async fn run(action: &Action, config: &Path, output: &Output) -> anyhow::Result<Exit> {
    let config = load(config)?;
    match action {
        Action::List { job } => list(&config, job.as_deref(), output).await,
        Action::Show { job, name } => show(&config, job, name, output).await,
        Action::Retry { job, names } => {
            let job_at = position(&config, job)?;
            let engine = open(&config, progress::watcher()).await?;
            let names = chosen(engine.store(), job, names).await?;
            let stop = CancellationToken::new();
            daemon::stop_on_signals(&stop);
            let order = Order {
                jobs: vec![job_at],
                mode: Mode::Parked(names),
                trigger: Trigger::Quarantine,
                has_confirmed_deletes: false,
            };
            let runs = super::in_time(&stop, engine.round(&order, &stop)).await?;
            engine.store().close().await;
            let exit = Exit::of(runs.iter().map(|run| run.status));
            output.result(&runs, || runs.iter().map(line).collect())?;
            Ok(exit)
        }
        Action::Discard { job, names } => {
            position(&config, job)?;
            let engine = open(&config, progress::watcher()).await?;
            let names = chosen(engine.store(), job, names).await?;
            engine.discard(job, &names).await?;
            engine.store().close().await;
            output.result(&json!({ "job": job, "discarded": names }), || {
                let records = output::count(names.len() as u64, "record", "records");
                format!("{records} given up; they come again when HQ has a newer version of them")
            })?;
            Ok(Exit::Ok)
        }
    }
}

async fn parked(store: &Store, job: Option<&str>) -> Result<Vec<Parked>, Error> {
    store.parked(job).await.map_err(Error::store("reading the quarantine"))
}

/// The named records, which must all be parked; all of the job's where none is named.
async fn chosen(store: &Store, job: &str, names: &[String]) -> anyhow::Result<Vec<String>> {
    let parked: Vec<String> = parked(store, Some(job)).await?.into_iter().map(|one| one.name).collect();
    if names.is_empty() {
        return Ok(parked);
    }
    match names.iter().find(|name| !parked.contains(name)) {
        Some(stranger) => Err(not_parked(job, stranger).into()),
        None => Ok(names.to_vec()),
    }
}

fn not_parked(job: &str, name: &str) -> Usage {
    Usage(format!("job {job:?} has no record {name:?} in quarantine; `milkrun quarantine list {job}` lists them"))
}

async fn list(config: &Config, job: Option<&str>, output: &Output) -> anyhow::Result<Exit> {
    if let Some(job) = job {
        position(config, job)?;
    }
    let store = Store::open(&config.local).await.map_err(Error::store("opening the local database"))?;
    let parked = parked(&store, job).await?;
    store.close().await;
    let zone = config.site.time_zone;
    let json: Vec<_> = parked.iter().map(|one| as_json(one, false)).collect();
    output.result(&json, || {
        if parked.is_empty() {
            return "nothing is in quarantine".to_owned();
        }
        let mut table = output::table(&["JOB", "NAME", "SINCE", "TRIES", "NEXT TRY", "REASON"]);
        for one in &parked {
            let at = |moment: chrono::DateTime<chrono::Utc>| {
                moment.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string()
            };
            table.add_row([
                one.job.clone(),
                one.name.clone(),
                at(one.first_at),
                one.tries.to_string(),
                one.next_at.map(at).unwrap_or_default(),
                output::shortened(&one.reason, REASON),
            ]);
        }
        table.to_string()
    })?;
    Ok(Exit::Ok)
}

async fn show(config: &Config, job: &str, name: &str, output: &Output) -> anyhow::Result<Exit> {
    position(config, job)?;
    let store = Store::open(&config.local).await.map_err(Error::store("opening the local database"))?;
    let found = store.parked_record(job, name).await.map_err(Error::store("reading the quarantine"))?;
    store.close().await;
    let Some(one) = found else { return Err(not_parked(job, name).into()) };
    let zone = config.site.time_zone;
    output.result(&as_json(&one, true), || {
        let at =
            |moment: chrono::DateTime<chrono::Utc>| moment.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string();
        let payload = serde_json::to_string_pretty(&one.payload_json()).unwrap_or_else(|_| one.payload.clone());
        let tries = output::count(u64::from(one.tries), "time", "times");
        let next = one.next_at.map_or_else(|| "by hand only".to_owned(), at);
        format!(
            "record    {} of job {}, HQ's version of {}\nreason    {}\nparked    {}\ntried     {tries}, last {}\n\
             next try  {next}, or earlier: when HQ has a newer version, when the mapping changes, when a row that it \
             waits for is there\npayload   {payload}",
            one.name,
            one.job,
            one.modified,
            one.reason,
            at(one.first_at),
            at(one.last_at),
        )
    })?;
    Ok(Exit::Ok)
}

fn as_json(one: &Parked, with_payload: bool) -> serde_json::Value {
    let mut value = json!({
        "job": one.job, "name": one.name, "modified": one.modified, "reason": one.reason, "tries": one.tries,
        "first_at": one.first_at, "last_at": one.last_at, "next_at": one.next_at,
    });
    if let (true, Some(object)) = (with_payload, value.as_object_mut()) {
        object.insert("payload".to_owned(), one.payload_json());
    }
    value
}
