//! What the daemon makes known of itself: at once on its own page, and in the database for whoever asks there.
//!
//! Written when something changes, never as a sign of life: whether the process lives is seen by its number and the moment
//! it started.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::roster::Roster;
use super::version::{Daemon, InForce, Kept, Newer, Version, Why};
use crate::store::Store;
use crate::sync;

/// What one daemon says of itself.
#[derive(Debug)]
pub(super) struct Notice {
    holder: String,
    told: Mutex<Told>,
    /// One after another, so that the latest word is the last one written.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Told {
    kept: Kept,
    /// How often it has changed.
    changes: u64,
    /// How many of those changes the database has.
    written: u64,
}

impl Notice {
    /// Of a daemon that starts now, by this version of the file.
    pub(super) fn new(file: &Path, in_force: InForce, roster: Roster, now: DateTime<Utc>) -> Self {
        let file = file.display().to_string();
        let kept = Kept { file, started_at: now, stopped_at: None, in_force, newer: None, answered: 0, roster };
        Self {
            holder: sync::this_process(),
            told: Mutex::new(Told { kept, changes: 1, written: 0 }),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// A version is in force from now on. Where a newer one is known, that stays known. The same text, taken up again with the
    /// files that it names, is in force since it first was.
    pub(super) fn in_force(&self, in_force: InForce, roster: Roster) {
        self.change(|kept| {
            let is_same = kept.in_force.id == in_force.id;
            let in_force = if is_same { kept.in_force.clone() } else { in_force };
            kept.newer = kept.newer.take().filter(|newer| newer.id.as_ref() != Some(&in_force.id));
            (kept.in_force, kept.roster) = (in_force, roster);
        });
    }

    /// A good version waits for the runs that are going on.
    pub(super) fn waits(&self, id: &str, now: DateTime<Utc>) {
        self.newer(Some(Newer::without_problems(id.to_owned(), Why::Waiting, now)));
    }

    /// A version is refused; or, with `None`, the one in force is the newest.
    pub(super) fn newer(&self, newer: Option<Newer>) {
        self.change(|kept| kept.newer = newer);
    }

    /// Somebody had asked for a look at the file, and what came of it is said.
    pub(super) fn answered(&self) {
        self.change(|kept| kept.answered += 1);
    }

    /// Whether the database does not say the same yet.
    pub(super) fn is_owed(&self) -> bool {
        let told = self.told();
        told.changes != told.written
    }

    /// Has a database say that no daemon works with it any more.
    pub(super) async fn leave(&self, store: &Store, now: DateTime<Utc>) {
        let _turn = self.writing.lock().await;
        let left = Kept { stopped_at: Some(now), ..self.told().kept.clone() };
        let Ok(state) = serde_json::to_string(&left) else { return };
        if let Err(error) = store.save_daemon(&self.holder, &state).await {
            tracing::debug!(%error, "the database that was left could not be told");
        }
    }

    /// The daemon ends.
    pub(super) fn stopped(&self, now: DateTime<Utc>) {
        self.change(|kept| kept.stopped_at = Some(now));
    }

    /// The same, as a page shows it.
    pub(super) fn version(&self) -> Version {
        let Kept { file, started_at, in_force, newer, roster, .. } = self.told().kept.clone();
        let pid = i32::try_from(std::process::id()).unwrap_or_default();
        let daemon = Daemon::Runs { process: sync::process(&self.holder), pid, since: started_at };
        let on_disk = newer.as_ref().map_or_else(|| Some(in_force.id.clone()), |newer| newer.id.clone());
        let (in_force, unreadable_here, time_zone) = (Some(in_force), Vec::new(), roster.time_zone);
        Version { file, daemon, in_force, on_disk, newer, unreadable_here, time_zone }
    }

    /// Has the database say the same, where it does not yet. A database that is away is written to later, also where the
    /// waiting for it is given up.
    pub(super) async fn write(&self, store: &Store) {
        let _turn = self.writing.lock().await;
        let (changes, state) = {
            let told = self.told();
            if told.changes == told.written {
                return;
            }
            (told.changes, serde_json::to_string(&told.kept))
        };
        let written = match state {
            Ok(state) => store.save_daemon(&self.holder, &state).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match written {
            Ok(()) => self.told().written = changes,
            Err(error) => {
                tracing::debug!(
                    error,
                    "which version is in force could not be noted in the database; it is tried again"
                );
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Kept)) {
        let mut told = self.told();
        change(&mut told.kept);
        told.changes += 1;
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Every change is a few assignments.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
