//! `milkrun reload`: has the running daemon read `sync.toml` again, waits, and says what came of it.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::output::Output;
use super::{Exit, load};
use crate::clock::Clock;
use crate::daemon::version::{Daemon, InForce, Version, Why};
use crate::daemon::{Asked, Place, ask_to_reload, survey};
use crate::store::Store;
use crate::sync::Error;

/// What a version starts at once may be blocked within moments; who reloads does not wait for more.
const AT_ONCE: Duration = Duration::from_secs(3);

/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(200);

/// What came of it, for programs.
#[derive(Debug, Serialize)]
struct Answer<'v> {
    result: &'static str,
    /// Nothing was taken up: that version was in force before.
    is_unchanged: bool,
    version: &'v Version,
    /// The jobs that cannot run by it.
    blocked: &'v [Blocked],
}

/// A job that cannot run by the version in force.
#[derive(Debug, Serialize)]
struct Blocked {
    job: String,
    /// Why, and what to do.
    message: String,
}

pub(super) async fn run(config: &Path, output: &Output) -> anyhow::Result<Exit> {
    let asked = Box::pin(ask_to_reload(config, &Clock::system())).await?;
    let (result, version, exit) = match &asked {
        Asked::Answered { version, .. } => match version.newer.as_ref().map(|newer| newer.why) {
            None => ("in_force", version, Exit::Ok),
            Some(Why::Refused) => ("refused", version, Exit::Usage),
            Some(Why::Unseen | Why::Waiting) => ("late", version, Exit::Failed),
        },
        Asked::Nobody(version) | Asked::Unwritten(version) => ("no_daemon", version, Exit::Failed),
        Asked::Late(version) => ("late", version, Exit::Failed),
    };
    let is_unchanged = matches!(asked, Asked::Answered { is_same: true, .. });
    let blocked = match (&version.in_force, exit) {
        (Some(in_force), Exit::Ok) => Box::pin(blocked(config, in_force, is_unchanged)).await?,
        (None | Some(_), _) => Vec::new(),
    };
    let exit = if blocked.is_empty() { exit } else { Exit::Blocked };
    output.result(&Answer { result, is_unchanged, version, blocked: &blocked }, || text(&asked, &blocked))?;
    Ok(exit)
}

/// The jobs that the version in force blocks: by the tables as they are, and by the runs that it began with.
async fn blocked(path: &Path, in_force: &InForce, is_unchanged: bool) -> anyhow::Result<Vec<Blocked>> {
    // What the daemon could read, this shell may lack.
    let Ok(config) = load(path) else { return Ok(Vec::new()) };
    let store = Store::open(&config.local).await.map_err(Error::store("opening the local database"))?;
    let mut blocked = Vec::new();
    for job in &config.jobs {
        let findings = store.inspect(job).await.map_err(Error::store(format!("table {}", job.table)))?;
        blocked.extend(findings.into_iter().map(|message| Blocked { job: job.name.clone(), message }));
    }
    if !is_unchanged {
        let (place, began) = (Place::of(path)?, Instant::now());
        loop {
            sleep(LOOK).await;
            let jobs = Box::pin(survey(&place, Some(&store), Clock::system().now())).await?.jobs;
            let runs = jobs.iter().filter_map(|job| job.last_run.as_ref());
            let runs = runs.filter(|run| run.started_at >= in_force.loaded_at);
            if runs.clone().any(|run| run.ended_at.is_none()) && began.elapsed() < AT_ONCE {
                continue;
            }
            for run in runs.filter(|run| run.status == crate::run::Status::Blocked) {
                if blocked.iter().any(|one| one.job == run.job) {
                    continue;
                }
                let said = [&run.error, &run.remedy].into_iter().flatten().map(String::as_str);
                let message = said.collect::<Vec<_>>().join("; ");
                blocked.push(Blocked { job: run.job.clone(), message });
            }
            break;
        }
    }
    store.close().await;
    Ok(blocked)
}

fn text(asked: &Asked, blocked: &[Blocked]) -> String {
    match asked {
        Asked::Nobody(version) => nobody(version),
        Asked::Unwritten(_) => {
            "no daemon has written to this database; one that runs by an older local.url takes over by \
                                itself within seconds\n"
                .to_owned()
        }
        Asked::Late(version) => {
            let mut text = lines(version);
            text.push_str("not done yet; `milkrun status` tells when it is, and the daemon's log what it waits for\n");
            text
        }
        Asked::Answered { version, is_same } => match (&version.newer, &version.in_force) {
            (None, Some(InForce { id, loaded_at })) => {
                let (file, at) = (&version.file, shown(*loaded_at, version));
                let mut text = match is_same {
                    true => format!("{file} is unchanged: version {id} is in force since {at}\n"),
                    false => format!("version {id} of {file} is in force since {at}\n"),
                };
                for Blocked { job, message } in blocked {
                    text.push_str(&format!("  but it blocks {job}: {message}\n"));
                }
                text
            }
            (Some(_), _) | (None, None) => lines(version),
        },
    }
}

/// A moment in the outlet's zone, which is named.
fn shown(at: chrono::DateTime<chrono::Utc>, version: &Version) -> String {
    let zone = version.time_zone;
    format!("{} {}", at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S"), zone.name())
}

fn lines(version: &Version) -> String {
    let said = version.sentences(|at| shown(at, version));
    said.into_iter().map(|sentence| format!("{sentence}\n")).collect()
}

fn nobody(version: &Version) -> String {
    match &version.daemon {
        Daemon::Unseen { process, .. } => format!(
            "the daemon of this outlet is {process}, which cannot be reached from here: run this there; it notices an edit \
             by itself, too\n"
        ),
        Daemon::Stopped { .. } | Daemon::Never | Daemon::Runs { .. } => {
            "no daemon runs for this outlet, so nothing was told; commands and the next `milkrun run` go by the file as it \
             is\n"
                .to_owned()
        }
    }
}
