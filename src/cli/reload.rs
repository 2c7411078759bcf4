//! `milkrun reload`: has the running daemon read `sync.toml` again, waits, and says what came of it.

use std::path::Path;

use serde::Serialize;

use super::Exit;
use super::output::Output;
use crate::clock::Clock;
use crate::daemon::version::{Daemon, InForce, Version, Why};
use crate::daemon::{Asked, ask_to_reload};

/// What came of it, for programs.
#[derive(Debug, Serialize)]
struct Answer<'v> {
    result: &'static str,
    version: &'v Version,
}

pub(super) async fn run(config: &Path, output: &Output) -> anyhow::Result<Exit> {
    let asked = Box::pin(ask_to_reload(config, &Clock::system())).await?;
    let (result, version, exit) = match &asked {
        Asked::Answered(version) => match version.newer.as_ref().map(|newer| newer.why) {
            None => ("in_force", version, Exit::Ok),
            Some(Why::Refused) => ("refused", version, Exit::Usage),
            Some(Why::Unseen | Why::Waiting) => ("late", version, Exit::Failed),
        },
        Asked::Nobody(version) | Asked::Unwritten(version) => ("no_daemon", version, Exit::Failed),
        Asked::Late(version) => ("late", version, Exit::Failed),
    };
    output.result(&Answer { result, version }, || text(&asked))?;
    Ok(exit)
}

fn text(asked: &Asked) -> String {
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
        Asked::Answered(version) => match (&version.newer, &version.in_force) {
            (None, Some(InForce { id, loaded_at })) => {
                format!(
                    "version {id} of {} is in force since {}\n",
                    version.file,
                    loaded_at.format("%Y-%m-%d %H:%M:%S UTC")
                )
            }
            (Some(_), _) | (None, None) => lines(version),
        },
    }
}

fn lines(version: &Version) -> String {
    let said = version.sentences(|at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string());
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
