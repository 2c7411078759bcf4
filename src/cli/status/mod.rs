//! `milkrun status`: how the jobs stand, in one look. Freshness is worked out here, so that it grows also when the
//! daemon is dead.

mod keys;
mod probe;
mod text;
mod watch;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use self::probe::Probe;
use super::output::Output;
use super::{Exit, load};
use crate::clock::Clock;
use crate::daemon::answer::{Answer, Mood};
use crate::daemon::snapshot::{Snapshot, Status};
use crate::daemon::{self, Place};
use crate::store::{self, Store};
use crate::sync::Error;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Look again every so many seconds, in place on a terminal, until Ctrl-C or q
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    watch: Option<u64>,
    /// Ask HQ now whether it answers, by one small request
    #[arg(long, conflicts_with = "watch")]
    probe: bool,
}

/// What is found at one look.
#[derive(Debug, Serialize)]
struct Look {
    #[serde(flatten)]
    snapshot: Snapshot,
    /// The answer in a sentence.
    answer: String,
    #[serde(skip)]
    mood: Mood,
    /// Whether HQ answers now, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<Probe>,
}

pub(super) async fn run(options: &Options, config: &Path, output: &Output) -> anyhow::Result<Exit> {
    let place = Place::of(config).inspect_err(|_problems| {
        if !config.exists() {
            tracing::warn!(
                "a daemon that has read the file goes on by what it read; its log and its status page tell of it"
            );
        }
    })?;
    if let Some(seconds) = options.watch {
        return Box::pin(watch::run(&place, Duration::from_secs(seconds), output)).await;
    }
    let store = open(&place).await?;
    let mut look = look(&place, store.as_ref()).await?;
    if let Some(store) = store {
        store.close().await;
    }
    if options.probe {
        look.probe = Some(Probe::ask(&load(config)?).await);
    }
    output.result(&look, || text::text(&look))?;
    let is_away = look.probe.as_ref().is_some_and(|probe| !probe.answers);
    Ok(if is_away { exit(&look.snapshot).max(Exit::Failed) } else { exit(&look.snapshot) })
}

/// The outlet's database; `None` where no run has made it yet, as a look must not.
async fn open(place: &Place) -> Result<Option<Store>, Error> {
    if store::file_of(&place.local).is_some_and(|file| !file.exists()) {
        return Ok(None);
    }
    Ok(Some(Store::open(&place.local).await.map_err(Error::store("opening the local database"))?))
}

async fn look(place: &Place, store: Option<&Store>) -> anyhow::Result<Look> {
    let snapshot = daemon::survey(place, store, Clock::system().now()).await?;
    let Answer { mood, sentence } = Answer::of(&snapshot);
    Ok(Look { snapshot, answer: sentence, mood, probe: None })
}

fn exit(snapshot: &Snapshot) -> Exit {
    match snapshot.jobs.iter().map(|job| job.status).max() {
        None | Some(Status::Ok | Status::Running | Status::Never) => Exit::Ok,
        Some(Status::Quarantine | Status::Conflict) => Exit::Parked,
        Some(Status::Stale | Status::Failed) => Exit::Failed,
        Some(Status::Blocked) => Exit::Blocked,
    }
}
