//! SQLite has one writer at a time, and the file may have other writers: the outlet's till.
//!
//! SQLite wakes nobody who waits for the lock; a waiter looks again, every 100 ms in the end, until its patience is over. One
//! transaction after another would leave it hardly a moment to find the lock free, so each is followed by a gap in
//! proportion to its length: of the some sixty looks that fit into a patience of five seconds, a quarter each may meet it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use tokio::time::Instant;

use super::error::Error;

/// The gap is this part of the transaction before it.
const SHARE: u32 = 3;

/// No gap is longer.
const LONGEST: Duration = Duration::from_millis(500);

/// What is left to others by shorter transactions adds up to a gap of this length: nobody who looks now and then would meet a
/// shorter one.
const LEAST: Duration = Duration::from_millis(5);

/// How large the write-ahead log may grow while a reader keeps it from being taken over into the file.
const WAL_LIMIT: u64 = 512 << 20;

/// When the lock was last given back and how soon it may be taken again; shared by all who write.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    wal: PathBuf,
    wal_limit: u64,
    last: Arc<Mutex<Last>>,
}

/// The last transaction.
#[derive(Debug, Default)]
struct Last {
    /// When it ended.
    ended: Option<Instant>,
    /// What is left to others from then on.
    owed: Duration,
}

impl Turns {
    /// For the database in `file`.
    pub(super) fn new(file: &std::path::Path) -> Self {
        let mut wal = file.as_os_str().to_owned();
        wal.push("-wal");
        Self { wal: wal.into(), wal_limit: WAL_LIMIT, last: Arc::default() }
    }

    /// Waits until others had their chance; called before the lock is taken.
    pub(super) async fn wait(&self) {
        let gap = {
            let mut last = self.last();
            let free_for = last.ended.map_or(Duration::MAX, |ended| ended.elapsed());
            last.owed = last.owed.saturating_sub(free_for);
            if last.owed >= LEAST { std::mem::take(&mut last.owed) } else { Duration::ZERO }
        };
        if !gap.is_zero() {
            tokio::time::sleep(gap).await;
        }
    }

    /// The lock that was taken at `begun` has been given back.
    pub(super) fn ended(&self, begun: Instant) {
        let now = Instant::now();
        let mut last = self.last();
        last.owed = (last.owed + now.saturating_duration_since(begun) / SHARE).min(LONGEST);
        last.ended = Some(now);
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses to write on while the log is too large and a reader holds it: it would grow until the disk is full.
    pub(super) async fn bound_wal(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        let size = std::fs::metadata(&self.wal).map(|file| file.len()).unwrap_or_default();
        if size <= self.wal_limit {
            return Ok(());
        }
        // Waits for readers a moment only, as writers wait meanwhile.
        sqlx::query("PRAGMA busy_timeout = 500").execute(&mut *connection).await?;
        let emptied: Result<(i64, i64, i64), _> =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await;
        let patience = super::sqlite::BUSY_TIMEOUT.as_millis();
        sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA busy_timeout = {patience}")))
            .execute(connection)
            .await?;
        match emptied? {
            (0, _, _) => Ok(()),
            (_, _, _) => Err(Error::Unavailable(sqlx::Error::Protocol(format!(
                "another program has kept a reading transaction open for so long that {} has grown to {} MiB; it is \
                 not let grow further: end that program",
                self.wal.display(),
                size >> 20
            )))),
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_transaction_is_followed_by_a_gap_of_a_third_of_its_length() {
        let turns = Turns::new("x".as_ref());
        turns.wait().await;
        let begun = Instant::now();
        tokio::time::advance(Duration::from_millis(300)).await;
        turns.ended(begun);
        let ended = Instant::now();
        turns.wait().await;
        assert!(ended.elapsed() >= Duration::from_millis(100) && ended.elapsed() < Duration::from_millis(110));
    }

    #[tokio::test]
    async fn a_log_that_a_reader_holds_is_not_let_grow_and_one_that_nobody_holds_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("outlet.db");
        let url = format!("sqlite://{}?mode=rwc", file.display());
        let mut writer = SqliteConnection::connect(&url).await.unwrap();
        let mut reader = SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
            .execute(&mut writer)
            .await
            .unwrap();
        let turns = Turns { wal_limit: 100_000, ..Turns::new(&file) };
        sqlx::raw_sql("BEGIN; SELECT * FROM t").execute(&mut reader).await.unwrap();
        turns.bound_wal(&mut writer).await.unwrap();
        sqlx::raw_sql("INSERT INTO t VALUES (randomblob(200000))").execute(&mut writer).await.unwrap();
        let refused = turns.bound_wal(&mut writer).await.unwrap_err();
        assert!(
            matches!(&refused, Error::Unavailable(cause) if cause.to_string().contains("outlet.db-wal")),
            "{refused:?}"
        );
        sqlx::raw_sql("COMMIT").execute(&mut reader).await.unwrap();
        turns.bound_wal(&mut writer).await.unwrap();
        assert_eq!(std::fs::metadata(&turns.wal).unwrap().len(), 0);
    }
}
