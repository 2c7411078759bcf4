//! What it takes to read an outlet's logs, while the file is one that this process cannot read: by the version that the
//! daemon has in force, or went by last.

use std::path::Path;

use chrono_tz::Tz;

use super::survey::{Place, kept};
use super::version::{OnDisk, Version, judge};
use crate::clock::Clock;
use crate::config::{Config, Local, Problems};
use crate::store::{Store, file_of};

/// An outlet's database, its zone and its jobs.
#[derive(Debug)]
pub struct Ground {
    /// Its database.
    pub local: Local,
    /// `site.time_zone`.
    pub time_zone: Tz,
    /// Its jobs, by name.
    pub jobs: Vec<String>,
    /// By whose word, where it is not that of the file.
    pub version: Option<Version>,
}

impl Ground {
    /// By the file at `path`, or else by the version in force.
    ///
    /// # Errors
    /// The file does not check, and no daemon has left word of another version.
    pub async fn of(path: &Path) -> Result<Self, Problems> {
        let disk = OnDisk::read(path);
        match &disk.config {
            Ok(config) => Ok(Self::by(config)),
            Err(problems) => by_the_daemon(path, &disk).await.ok_or_else(|| problems.clone()),
        }
    }

    fn by(config: &Config) -> Self {
        Self {
            local: config.local.clone(),
            time_zone: config.site.time_zone,
            jobs: config.jobs.iter().map(|job| job.name.clone()).collect(),
            version: None,
        }
    }
}

/// Whatever keeps the daemon's word from being read, the file's problems are what is told.
async fn by_the_daemon(path: &Path, disk: &OnDisk) -> Option<Ground> {
    let local = Place::found(path, disk).ok()?.local;
    if file_of(&local).is_some_and(|file| !file.exists()) {
        return None;
    }
    let store = Store::open(&local).await.ok()?;
    let kept = kept(&store).await;
    store.close().await;
    let kept = kept.ok().flatten()?;
    let version = judge(Some(&kept), path, disk, Clock::system().now());
    let roster = kept.1.roster;
    let jobs = roster.jobs.into_iter().map(|job| job.name).collect();
    Some(Ground { local, time_zone: roster.time_zone, jobs, version: Some(version) })
}
