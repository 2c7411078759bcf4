//! A copy of a SQLite file for a dry run: made while others write, gone with the process however that ends.
//!
//! The copy is one consistent state of the file. As soon as it is open its name is removed, so that not even a
//! `kill -9` leaves it behind; what one left that came in between is removed by the next dry run.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::config::Secret;

use super::error::Error;
use super::handles::Handle;
use super::sqlite::{BUSY_TIMEOUT, PREPARED, check_place};

/// What is to be free beside the copy itself: it grows by what the dry run writes.
const RESERVE: u64 = 64 << 20;

/// How often a place for the copy is looked for: another dry run that clears up may take a new one for a left one.
const TRIES: u32 = 10;

/// Copies the file and opens the copy; an empty one where there is no file yet.
pub(super) async fn open(url: &Secret) -> Result<Handle, Error> {
    let options: SqliteConnectOptions = url.expose_secret().parse()?;
    check_place(&options)?;
    let file = options.get_filename().to_owned();
    let copy = if file.exists() {
        let source = options.clone().create_if_missing(false).busy_timeout(BUSY_TIMEOUT).disable_statement_logging();
        let mut source = source.connect().await?;
        let copy = Copy::make(&file, size(&mut source).await?)?;
        let done = sqlx::query("VACUUM INTO ?").bind(copy.name()).execute(&mut source).await;
        source.close().await?;
        done?;
        copy
    } else {
        Copy::make(&file, 0)?
    };
    // In memory is what takes back one page, and no file lies beside the copy.
    let options = options
        .filename(&copy.path)
        .create_if_missing(false)
        .locking_mode(SqliteLockingMode::Exclusive)
        .journal_mode(SqliteJournalMode::Memory)
        .synchronous(SqliteSynchronous::Off)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(PREPARED)
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging();
    let mut connection = options.connect().await?;
    // The file is opened by the first that reads it.
    sqlx::query("SELECT count(*) FROM sqlite_master").execute(&mut connection).await?;
    Ok(Handle::alone(connection))
}

/// Bytes that the copy takes at most.
async fn size(source: &mut SqliteConnection) -> Result<u64, Error> {
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *source).await?;
    let page: i64 = sqlx::query_scalar("PRAGMA page_size").fetch_one(source).await?;
    Ok(u64::try_from(pages.saturating_mul(page)).unwrap_or_default())
}

/// The copy's file while it has a name.
#[derive(Debug)]
struct Copy {
    path: PathBuf,
    /// Locked as long as the copy is wanted.
    _file: File,
}

impl Copy {
    /// Makes an empty file that only this user may read: beside the original, or where temporary files lie.
    fn make(original: &Path, size: u64) -> Result<Self, Error> {
        let beside = original.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let elsewhere = std::env::temp_dir();
        let prefix = prefix(original);
        let mut cause = None;
        for folder in [beside, &elsewhere] {
            clear_up(folder, &prefix);
            if free(folder).is_some_and(|free| free < size.saturating_add(RESERVE)) {
                continue;
            }
            match Self::make_in(folder, &prefix) {
                Ok(copy) => return Ok(copy),
                Err(error) => cause = Some(error),
            }
        }
        let folders = format!("{} and {}", beside.display(), elsewhere.display());
        Err(match cause {
            Some(cause) => Error::Denied(sqlx::Error::Configuration(
                format!("a dry run works on a copy of the database, and cannot make one in {folders}: {cause}").into(),
            )),
            None => Error::Full(sqlx::Error::Configuration(
                format!(
                    "a dry run works on a copy of the database, which takes {} MiB; neither of {folders} has as much free",
                    size.saturating_add(RESERVE) >> 20
                )
                .into(),
            )),
        })
    }

    fn make_in(folder: &Path, prefix: &str) -> io::Result<Self> {
        for _ in 0..TRIES {
            let path = folder.join(format!("{prefix}{}", uuid::Uuid::now_v7().simple()));
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let file = options.open(&path)?;
            file.lock()?;
            let copy = Self { path, _file: file };
            // Between its making and its lock another process may have taken it for one that was left.
            if copy.path.exists() {
                return Ok(copy);
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    fn name(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = %self.path.display(), "a dry run's copy could not be removed");
        }
    }
}

fn prefix(original: &Path) -> String {
    let name = original.file_name().map(|name| name.to_string_lossy().into_owned());
    format!("{}.dry-run-", name.unwrap_or_default())
}

/// Removes the copies of processes that are no more: nobody holds their locks.
fn clear_up(folder: &Path, prefix: &str) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let Ok(file) = OpenOptions::new().read(true).write(true).open(entry.path()) else { continue };
        if file.try_lock().is_ok()
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::debug!(%error, "the copy of a dry run that was killed could not be removed");
        }
    }
}

/// Bytes that are free to this user; `None` where the system does not tell.
fn free(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let found = rustix::fs::statvfs(folder).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }
    #[cfg(not(unix))]
    {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_was_left_is_removed_and_one_that_is_held_stays() {
        let folder = tempfile::tempdir().unwrap();
        let original = folder.path().join("outlet.db");
        let left = folder.path().join("outlet.db.dry-run-left");
        let other = folder.path().join("other.db.dry-run-left");
        for file in [&left, &other] {
            std::fs::write(file, "x").unwrap();
        }
        let held = Copy::make(&original, 0).unwrap();
        assert!(!left.exists() && other.exists());
        let second = Copy::make(&original, 0).unwrap();
        assert!(held.path.exists() && held.path != second.path);
        let path = held.path.clone();
        drop(held);
        assert!(!path.exists() && second.path.exists());
    }

    #[test]
    fn where_there_is_no_room_for_a_copy_none_is_begun() {
        let folder = tempfile::tempdir().unwrap();
        let refused = Copy::make(&folder.path().join("outlet.db"), 1 << 60).unwrap_err();
        assert!(matches!(&refused, Error::Full(cause) if cause.to_string().contains("MiB")), "{refused:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
