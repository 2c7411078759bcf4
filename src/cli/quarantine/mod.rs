//! `milkrun quarantine`: records that could not be taken: seen, tried again, or given up.

mod retry;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::json;

use super::listing::Listing;
use super::output::{self, Output, Usage};
use super::{Exit, ground, known_to, load, open, position, progress};
use crate::daemon::Ground;
use crate::quarantine::Parked;
use crate::record::Stamp;
use crate::store::Store;
use crate::sync::Error;

/// The longest reason in a list.
const REASON: usize = 80;

/// Records that are named in a sentence.
const NAMED: usize = 10;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// List the parked records, of one job or of all
    List {
        /// Only this job's
        #[arg(value_name = "JOB")]
        job: Option<String>,
        /// However many there are, also on a terminal
        #[arg(long)]
        all: bool,
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
    match action {
        Action::List { job, all } => list(&ground(config).await?, job.as_deref(), *all, output).await,
        Action::Show { job, name } => show(&ground(config).await?, job, name, output).await,
        Action::Retry { job, names } => {
            let config = load(config)?;
            Box::pin(retry::run(&config, (job, position(&config, job)?), names, output)).await
        }
        Action::Discard { job, names } => {
            let config = load(config)?;
            position(&config, job)?;
            let engine = open(&config, progress::watcher()).await?;
            let names = chosen(engine.store(), job, names).await?;
            engine.discard(job, &names).await?;
            engine.store().close().await;
            output.result(&json!({ "job": job, "discarded": names }), || given_up(job, &names))?;
            Ok(Exit::Ok)
        }
    }
}

/// The stamps of the versions that are parked, of those of these names.
async fn parked(store: &Store, job: &str, names: &[String]) -> Result<HashMap<String, Stamp>, Error> {
    let all = store.parked(Some(job)).await.map_err(Error::store("reading the quarantine"))?;
    let names: HashSet<&str> = names.iter().map(String::as_str).collect();
    let stamp = |one: Parked| names.contains(one.name.as_str()).then_some((one.name, one.modified));
    Ok(all.into_iter().filter_map(stamp).collect())
}

/// The named records, which must all be parked; all of the job's where none is named.
async fn chosen(store: &Store, job: &str, names: &[String]) -> anyhow::Result<Vec<String>> {
    if names.is_empty() {
        let all = store.parked(Some(job)).await.map_err(Error::store("reading the quarantine"))?;
        return Ok(all.into_iter().map(|one| one.name).collect());
    }
    let known = parked(store, job, names).await?;
    match names.iter().find(|name| !known.contains_key(*name)) {
        Some(stranger) => Err(not_parked(job, stranger).into()),
        None => Ok(names.to_vec()),
    }
}

/// What was given up, and when it comes again.
fn given_up(job: &str, names: &[String]) -> String {
    let named: Vec<String> = names.iter().take(NAMED).map(|name| output::plain(name)).collect();
    let rest = names.len().saturating_sub(NAMED);
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let (are, they, their, come) =
        if names.len() == 1 { ("is", "it", "its", "comes") } else { ("are", "they", "their", "come") };
    format!(
        "{}{rest} of job {job} {are} given up: {they} left the quarantine, {their} rows here stay as they are, and {they} \
         {come} again with HQ's next version, or when everything is read again (a changed mapping, `milkrun sync {job} \
         --full`)",
        named.join(", ")
    )
}

fn not_parked(job: &str, name: &str) -> Usage {
    Usage(format!("job {job:?} has no record {name:?} in quarantine; `milkrun quarantine list {job}` lists them"))
}

async fn list(ground: &Ground, job: Option<&str>, all: bool, output: &Output) -> anyhow::Result<Exit> {
    if let Some(job) = job {
        known_to(ground, job)?;
    }
    let reading = || Error::store("reading the quarantine");
    let store = Store::open(&ground.local).await.map_err(Error::store("opening the local database"))?;
    let zone = ground.time_zone;
    let mut listing = Listing::new(output, &["JOB", "NAME", "SINCE", "TRIES", "NEXT TRY", "REASON"], all)?;
    let mut last: Option<(String, String)> = None;
    while let Some(number) = listing.wanted() {
        let after = last.as_ref().map(|(job, name)| (job.as_str(), name.as_str()));
        let found = store.parked_after(job, after, Some(number)).await.map_err(reading())?;
        last = found.last().map(|one| (one.job.clone(), one.name.clone()));
        let is_last = found.len() < number;
        listing.print(found.iter().map(|one| (as_json(one, false), cells(one, zone))).collect())?;
        if is_last {
            break;
        }
    }
    let counts = store.count_parked().await.map_err(reading())?;
    store.close().await;
    let total = counts
        .iter()
        .filter(|(of, _)| job.is_none_or(|job| job == of.as_str()))
        .map(|(_, count)| count)
        .sum();
    listing.end(total, zone, ("nothing is in quarantine", "--all shows them"))?;
    Ok(Exit::Ok)
}

fn cells(one: &Parked, zone: Tz) -> Vec<String> {
    let at = |moment: DateTime<Utc>| moment.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string();
    vec![
        one.job.clone(),
        output::plain(&one.name),
        at(one.first_at),
        one.tries.to_string(),
        one.next_at.map(at).unwrap_or_default(),
        output::shortened(&one.reason, REASON),
    ]
}

async fn show(ground: &Ground, job: &str, name: &str, output: &Output) -> anyhow::Result<Exit> {
    known_to(ground, job)?;
    let store = Store::open(&ground.local).await.map_err(Error::store("opening the local database"))?;
    let found = store.parked_record(job, name).await.map_err(Error::store("reading the quarantine"))?;
    store.close().await;
    let Some(one) = found else { return Err(not_parked(job, name).into()) };
    let zone = ground.time_zone;
    output.result(&as_json(&one, true), || {
        let at = |moment: DateTime<Utc>| moment.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string();
        let payload = serde_json::to_string_pretty(&one.payload_json()).unwrap_or_else(|_| one.payload.clone());
        let tries = output::count(u64::from(one.tries), "time", "times");
        let next = one.next_at.map_or_else(|| "by hand only".to_owned(), at);
        format!(
            "record    {} of job {}, HQ's version of {}\nreason    {}\nparked    {} ({})\ntried     {tries}, last {}\n\
             next try  {next}, or earlier: when HQ has a newer version, when the mapping changes, when a row that it \
             waits for is there\npayload   {payload}",
            one.name,
            one.job,
            one.modified,
            one.reason,
            at(one.first_at),
            zone.name(),
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
