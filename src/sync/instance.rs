//! Whether the outlet's database is the one of last time: not restored from a backup, not another outlet's copy.
//!
//! The database holds a token and an epoch, which rises whenever a process begins to run jobs, and each hour that it goes
//! on. A small file beside the database, or beside `sync.toml` for a server's, keeps both. The database is raised first and
//! for good, the file follows when the round is over: whatever dies in between leaves the file behind, never ahead. So a
//! file that is ahead tells of a database that went back.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{Engine, Error};
use crate::store::{Instance, Stream, file_of};

/// How often a process that goes on raises the epoch: a backup that is older is recognised.
const EVERY: TimeDelta = TimeDelta::hours(1);

/// What the file keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    token: String,
    epoch: i64,
}

/// Why a database is not taken for the one of last time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// It has been begun less often than the file remembers.
    #[error(
        "the outlet's database is older than it was: it was restored from a backup, or is an old copy ({kept} starts and \
         hours were noted in {file}, it knows of {epoch})"
    )]
    Restored {
        /// What the database says.
        epoch: i64,
        /// What the file says.
        kept: i64,
        /// The file.
        file: String,
    },
    /// It has another token than the file.
    #[error("the outlet's database is another one than last time, by what was noted in {file}")]
    Another {
        /// The file.
        file: String,
    },
    /// It says that it is another outlet's.
    #[error("the outlet's database is that of site {theirs:?}, and site.name is {ours:?}: a copy of another outlet's")]
    OfAnotherSite {
        /// Its site.
        theirs: String,
        /// The site of `sync.toml`.
        ours: String,
    },
}

/// Looks after the database of one process.
#[derive(Debug)]
pub(super) struct Guard {
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the process itself has seen last, and when.
    seen: Option<(Kept, DateTime<Utc>)>,
    /// The file is to be written.
    is_owed: bool,
    has_warned: bool,
}

impl Engine {
    /// Has the engine look after its database: what a process of its own does, with the path of its `sync.toml`.
    #[must_use]
    pub fn guarded(mut self, config: &Path) -> Self {
        let file = match file_of(&self.config.local) {
            Some(file) => {
                let mut name = file.into_os_string();
                name.push(".milkrun");
                PathBuf::from(name)
            }
            None => {
                let of = xxh3_64(self.config.local.shown().as_bytes());
                state_folder(config).join(format!(".milkrun-instance-{of:016x}"))
            }
        };
        self.guard = Some(Arc::new(Guard { file, state: Mutex::default() }));
        self
    }

    /// Whether the database is the one of last time; then this process has begun.
    pub(super) async fn check_instance(&self) -> Result<(), Error> {
        let Some(guard) = &self.guard else { return Ok(()) };
        let now = self.clock.now();
        let seen = guard.state().seen.clone();
        if seen.as_ref().is_some_and(|(_, at)| (now - *at).abs() < EVERY) {
            return Ok(());
        }
        let step = || Error::store("looking which database this is");
        // The file first: another process raises the database before it notes that, and must not come in between.
        let noted = guard.read();
        let instance = self.store.instance().await.map_err(step())?;
        let kept = latest(noted, seen.map(|(kept, _)| kept));
        let site = &self.config.site.name;
        judge(instance.as_ref(), kept.as_ref(), site, &guard.file).map_err(Error::Foreign)?;
        let token = uuid::Uuid::now_v7().to_string();
        let begun = self.store.begin_epoch(&token, site).await.map_err(step())?;
        let mut state = guard.state();
        state.seen = Some((Kept { token: begun.token, epoch: begun.epoch }, now));
        state.is_owed = true;
        Ok(())
    }

    /// What the database is known by: as this process has seen it, which needs no login that may have ended, or as it says.
    pub(super) async fn token(&self) -> Result<Option<String>, Error> {
        let seen = self.guard.as_ref().and_then(|guard| guard.state().seen.clone());
        if let Some((kept, _)) = seen {
            return Ok(Some(kept.token));
        }
        let instance = self.store.instance().await.map_err(Error::store("looking which database this is"))?;
        Ok(instance.map(|instance| instance.token))
    }

    /// Whether the database is the one of last time, by a look that changes nothing.
    ///
    /// # Errors
    /// It is not; or the database's trouble.
    pub async fn recognise(&self) -> Result<(), Error> {
        let Some(guard) = &self.guard else { return Ok(()) };
        let kept = latest(guard.read(), guard.state().seen.clone().map(|(kept, _)| kept));
        let instance = self.store.instance().await.map_err(Error::store("looking which database this is"))?;
        let site = &self.config.site.name;
        judge(instance.as_ref(), kept.as_ref(), site, &guard.file).map_err(Error::Foreign)
    }

    /// Notes in the file how far the database is.
    pub(super) fn note_instance(&self) {
        // What a dry run did to the epoch is taken back with all else.
        let Some(guard) = self.guard.as_ref().filter(|_| !self.store.is_dry_run()) else { return };
        let (seen, is_owed) = {
            let mut state = guard.state();
            (state.seen.clone(), std::mem::take(&mut state.is_owed))
        };
        let Some((seen, _)) = seen.filter(|_| is_owed) else { return };
        // Another process may have begun since, and have noted that.
        let newest = guard.read().filter(|kept| kept.token == seen.token && kept.epoch > seen.epoch).unwrap_or(seen);
        if let Err(error) = guard.write(&newest)
            && !std::mem::replace(&mut guard.state().has_warned, true)
        {
            tracing::warn!(
                file = %guard.file.display(),
                %error,
                "what tells a restored or copied database cannot be kept here; all else works"
            );
        }
    }

    /// Takes the database for this outlet's, whatever it was: it gets a token of its own, and the next run of each job
    /// reads everything again and repairs.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn confirm_database(&self) -> Result<(), Error> {
        let step = || Error::store("confirming the database");
        let token = uuid::Uuid::now_v7().to_string();
        self.store.renew_instance(&token, &self.config.site.name).await.map_err(step())?;
        for job in &self.config.jobs {
            let held = self.take_lease(&job.name).await?;
            let again = self.read_again(&job.name).await;
            self.give_back(held).await;
            again?;
        }
        if let Some(guard) = &self.guard {
            *guard.state() = State::default();
            guard.forget();
        }
        Ok(())
    }

    /// Has the next run of the job be a reading of everything that repairs.
    async fn read_again(&self, job: &str) -> Result<(), Error> {
        let step = || Error::store("confirming the database");
        let Some(mut progress) = self.store.progress(job, Stream::Records).await.map_err(step())? else {
            return Ok(());
        };
        // No mapping has this fingerprint.
        progress.mapping = progress.mapping.map(|mapping| !mapping);
        progress.pass = None;
        let mut tx = self.begin_held(job).await?;
        tx.save_progress(job, Stream::Records, &progress, self.clock.now()).await.map_err(step())?;
        tx.commit().await.map_err(step())
    }
}

impl Guard {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was noted; nothing where there is no such file (a new machine or container), or none that can be read.
    fn read(&self) -> Option<Kept> {
        serde_json::from_slice(&fs::read(&self.file).ok()?).ok()
    }

    /// Writes the file whole, or leaves the old one.
    fn write(&self, kept: &Kept) -> std::io::Result<()> {
        let mut name = self.file.clone().into_os_string();
        name.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(name);
        let written = fs::File::create(&beside).and_then(|mut file| {
            file.write_all(serde_json::to_string(kept)?.as_bytes())?;
            file.sync_all()
        });
        let moved = written.and_then(|()| fs::rename(&beside, &self.file));
        if moved.is_err() {
            fs::remove_file(&beside).ok();
        }
        moved
    }

    fn forget(&self) {
        fs::remove_file(&self.file).ok();
    }
}

/// Where the file of a server's database lies: beside `sync.toml`; for one in `/etc/NAME`, which a service may not write, in
/// `/var/lib/NAME` where there is that. Not by a variable of the service: every process must find the same file.
fn state_folder(config: &Path) -> PathBuf {
    let folder = config.parent().unwrap_or(Path::new(""));
    let state = folder.strip_prefix("/etc").ok().filter(|name| !name.as_os_str().is_empty());
    let state = state.map(|name| Path::new("/var/lib").join(name)).filter(|state| state.is_dir());
    state.unwrap_or_else(|| folder.to_owned())
}

/// Of what the file says and what this process has seen, the later; another token in the file is another process's word.
fn latest(noted: Option<Kept>, seen: Option<Kept>) -> Option<Kept> {
    match (noted, seen) {
        (Some(noted), Some(seen)) if noted.token == seen.token && seen.epoch > noted.epoch => Some(seen),
        (Some(noted), _) => Some(noted),
        (None, seen) => seen,
    }
}

/// Whether the database is the one that was noted.
fn judge(instance: Option<&Instance>, kept: Option<&Kept>, site: &str, file: &Path) -> Result<(), Foreign> {
    // A database that nothing has run in yet has nothing to lose.
    let Some(instance) = instance else { return Ok(()) };
    let file = || file.display().to_string();
    match kept {
        // The same database under another name: the site was renamed.
        Some(kept) if kept.token == instance.token && kept.epoch <= instance.epoch => Ok(()),
        Some(kept) if kept.token == instance.token => {
            Err(Foreign::Restored { epoch: instance.epoch, kept: kept.epoch, file: file() })
        }
        _ if instance.site != site => {
            Err(Foreign::OfAnotherSite { theirs: instance.site.clone(), ours: site.to_owned() })
        }
        Some(_) => Err(Foreign::Another { file: file() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_server_s_database_lies_beside_the_configuration_or_where_a_service_keeps_its_state() {
        assert_eq!(state_folder(Path::new("/srv/shop/sync.toml")), Path::new("/srv/shop"));
        assert_eq!(state_folder(Path::new("sync.toml")), Path::new(""));
        assert_eq!(state_folder(Path::new("/etc/sync.toml")), Path::new("/etc"));
        assert_eq!(state_folder(Path::new("/etc/no-such-name/sync.toml")), Path::new("/etc/no-such-name"));
        // Every Debian has both.
        if Path::new("/var/lib/dpkg").is_dir() {
            assert_eq!(state_folder(Path::new("/etc/dpkg/sync.toml")), Path::new("/var/lib/dpkg"));
        }
    }

    #[test]
    fn a_database_is_the_one_of_last_time_unless_it_went_back_or_is_anothers() {
        let instance =
            |token: &str, site: &str, epoch| Instance { token: token.to_owned(), site: site.to_owned(), epoch };
        let kept = |token: &str, epoch| Kept { token: token.to_owned(), epoch };
        let verdict = |instance: Option<Instance>, kept: Option<Kept>| {
            let judged = judge(instance.as_ref(), kept.as_ref(), "ours", Path::new("f"));
            judged.map_or_else(
                |foreign| format!("{foreign:?}").split(' ').next().unwrap().to_owned(),
                |()| "ok".to_owned(),
            )
        };
        let ours = |epoch| Some(instance("a", "ours", epoch));
        let cases = [
            (None, None, "ok"),
            (None, Some(kept("a", 7)), "ok"),
            (ours(7), None, "ok"),
            (ours(7), Some(kept("a", 7)), "ok"),
            (ours(8), Some(kept("a", 7)), "ok"),
            (ours(6), Some(kept("a", 7)), "Restored"),
            (ours(9), Some(kept("b", 7)), "Another"),
            (Some(instance("a", "theirs", 9)), None, "OfAnotherSite"),
            (Some(instance("a", "theirs", 9)), Some(kept("b", 7)), "OfAnotherSite"),
            (Some(instance("a", "before", 9)), Some(kept("a", 9)), "ok"),
        ];
        for (instance, kept, expected) in cases {
            assert_eq!(verdict(instance.clone(), kept.clone()), expected, "{instance:?} {kept:?}");
        }
    }
}
