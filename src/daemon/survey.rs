//! What anybody but the daemon makes of its word and of the file as it is: how the jobs stand, by the version in force.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep};

use super::engine::look;
use super::roster::Roster;
use super::snapshot::Snapshot;
use super::version::{Daemon, Kept, OnDisk, Version, Why, judge};
use crate::clock::Clock;
use crate::config::{self, Local, Problems};
use crate::store::Store;
use crate::sync::Error;

/// How often the daemon's word is looked at by who waits for it.
const LOOK: Duration = Duration::from_millis(200);

/// The daemon reads the file within moments; one that says nothing for so long does not hear.
const HEARING: Duration = Duration::from_secs(20);

/// Runs may go on for half a minute, and for some seconds more at their page; after that a version is in force.
const MAKING_WAY: Duration = Duration::from_secs(60);

/// Where an outlet's state is to be found, by its file, whatever else may be wrong with that.
#[derive(Debug, Clone)]
pub struct Place {
    path: PathBuf,
    /// The outlet's database.
    pub local: Local,
}

impl Place {
    /// The place that the file at `path` names.
    ///
    /// # Errors
    /// The file does not check, and does not even say which database is meant.
    pub fn of(path: &Path) -> Result<Self, Problems> {
        Self::found(path, &OnDisk::read(path))
    }

    pub(super) fn found(path: &Path, disk: &OnDisk) -> Result<Self, Problems> {
        let local = match &disk.config {
            Ok(config) => config.local.clone(),
            Err(problems) => {
                let text = config::read(path).or_else(|gone| beside(path).ok_or(gone))?;
                let found = config::database_of(&text, &config::folder_of(path), &config::environment());
                found.ok_or_else(|| problems.clone())?
            }
        };
        Ok(Self { path: path.to_owned(), local })
    }
}

/// What a file that is gone will have said of its database, where one alone lies beside it: a run of milkrun's leaves a small
/// file with each.
fn beside(path: &Path) -> Option<String> {
    let folder = config::folder_of(path);
    let databases = std::fs::read_dir(&folder).ok()?.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let database = name.strip_suffix(".milkrun")?;
        folder.join(database).is_file().then(|| database.to_owned())
    });
    match databases.collect::<Vec<_>>().as_slice() {
        [one] => Some(format!("[local]\nurl = {}\n", serde_json::json!(format!("sqlite://{one}")))),
        [] | [_, _, ..] => None,
    }
}

/// How the jobs stand and which version is in force, from the database and the file alone: true also when no daemon runs,
/// and while the file is broken. Without a database it is as before the first run.
///
/// # Errors
/// The file does not check, and nothing else says which jobs there are; or the database cannot be read.
pub async fn survey(place: &Place, store: Option<&Store>, now: DateTime<Utc>) -> anyhow::Result<Snapshot> {
    let path = &place.path;
    let disk = OnDisk::read(path);
    let Some(store) = store else {
        let snapshot = Snapshot::before_the_first_run(disk.config.as_ref().map_err(Clone::clone)?, now);
        return Ok(Snapshot { version: Some(judge(None, path, &disk, now)), ..snapshot });
    };
    let kept = kept(store).await?.filter(|(_, kept)| disk.id.is_some() || is_of(kept, path));
    let version = judge(kept.as_ref(), path, &disk, now);
    // The version in force says which jobs there are; where none is, the file does, or the last that was.
    let in_force = kept.as_ref().map(|(_, kept)| &kept.roster);
    let roster = match (&version.in_force, &disk.config, in_force) {
        (Some(_), _, Some(roster)) | (None, Err(_), Some(roster)) => roster.clone(),
        (_, Ok(config), _) => Roster::of(config),
        (_, Err(problems), None) => return Err(problems.clone().into()),
    };
    let snapshot = look(&roster, store, now).await?.snapshot;
    Ok(Snapshot { version: Some(version), ..snapshot })
}

/// Whether a daemon that has left this word went by the file of this name; without the file only its word tells.
fn is_of(kept: &Kept, path: &Path) -> bool {
    Path::new(&kept.file).file_name() == path.file_name()
}

/// The jobs of the version that the daemon has in force, or went by last; `None` where none has left word.
///
/// # Errors
/// The database cannot be read.
pub async fn jobs_in_force(store: &Store) -> Result<Option<Vec<String>>, Error> {
    let kept = kept(store).await?;
    Ok(kept.map(|(_, kept)| kept.roster.jobs.into_iter().map(|job| job.name).collect()))
}

pub(super) async fn kept(store: &Store) -> Result<Option<(String, Kept)>, Error> {
    let daemon = store.daemon().await.map_err(Error::store("reading what the daemon says of itself"))?;
    // What another version of milkrun says in other words is not understood, and so not said.
    Ok(daemon.and_then(|(holder, state)| Some((holder, serde_json::from_str(&state).ok()?))))
}

/// What became of asking the daemon to look at the file.
#[derive(Debug)]
pub enum Asked {
    /// No daemon runs here; which version a command goes by is what the file says.
    Nobody(Version),
    /// No daemon has ever written to the database that the file names; one may run by an older file, which names another.
    Unwritten(Version),
    /// It has looked, and this is how things are.
    Answered {
        /// Which version is in force now.
        version: Version,
        /// It was before.
        is_same: bool,
    },
    /// It was asked and has not answered in time, or its runs have not made way yet.
    Late(Version),
}

/// Asks the daemon of this outlet to look at the file at once, and waits for what comes of it.
///
/// # Errors
/// The daemon may not be asked; the file or the database as for [`survey`].
pub async fn ask_to_reload(path: &Path, clock: &Clock) -> anyhow::Result<Asked> {
    let local = Place::of(path)?.local;
    let store = Store::open(&local).await.map_err(Error::store("opening the local database"))?;
    let asked = ask(path, &store, clock).await;
    store.close().await;
    asked
}

async fn ask(path: &Path, store: &Store, clock: &Clock) -> anyhow::Result<Asked> {
    let read = async || -> anyhow::Result<(Option<u64>, Version)> {
        let kept = kept(store).await?;
        let version = judge(kept.as_ref(), path, &OnDisk::read(path), clock.now());
        Ok((kept.map(|(_, kept)| kept.answered), version))
    };
    let (before, version) = read().await?;
    let was = version.in_force.clone();
    let Some(before) = before else { return Ok(Asked::Unwritten(version)) };
    let Daemon::Runs { pid, .. } = version.daemon else { return Ok(Asked::Nobody(version)) };
    hang_up(pid)?;
    let began = Instant::now();
    loop {
        sleep(LOOK).await;
        let (answered, version) = read().await?;
        if !matches!(version.daemon, Daemon::Runs { .. }) {
            return Ok(Asked::Nobody(version));
        }
        // Good and waiting for the runs; or edited again since the daemon looked, which it sees within seconds.
        let is_coming = version.newer.as_ref().is_some_and(|newer| match newer.why {
            Why::Waiting | Why::Unseen => true,
            Why::Refused => false,
        });
        match (answered > Some(before), is_coming) {
            (true, false) => return Ok(Asked::Answered { is_same: version.in_force == was, version }),
            (true, true) if began.elapsed() > MAKING_WAY => return Ok(Asked::Late(version)),
            (false, _) if began.elapsed() > HEARING => return Ok(Asked::Late(version)),
            (true, true) | (false, _) => {}
        }
    }
}

fn hang_up(pid: i32) -> anyhow::Result<()> {
    let process = rustix::process::Pid::from_raw(pid).context("the daemon's process has no number")?;
    rustix::process::kill_process(process, rustix::process::Signal::HUP)
        .with_context(|| format!("process {pid} cannot be told: run this as the user that runs the daemon, or as root"))
}
