//! SQLite: the embedded default. Values are bound natively and read back by what the row really holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous,
};
use sqlx::{Arguments as _, ConnectOptions as _, Row as _, Sqlite, TypeInfo as _, ValueRef as _};
use tokio_util::task::AbortOnDropHandle;

use crate::config::Secret;

use super::bind::Bind;
use super::driver::Done;
use super::error::Error;
use super::handles::{Handle, Handles};
use super::line::Line;
use super::pools::Pools;
use super::sql::Sql;
use super::turns::Turns;

/// How long a statement waits for another process's transaction: a page is far shorter, a backup may not be.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Pages of the write-ahead log before they are taken over into the file: 16 MiB. Each page of a tree that was written
/// more often than once since is taken over once only, and with two flushes for all of them.
const CHECKPOINT: &str = "4096";

/// Rows of an index that are looked at for its statistics when a connection closes.
const ANALYSED: u32 = 400;

/// Statements kept prepared on each connection: a few shapes for each table of each job.
pub(super) const PREPARED: usize = 256;

/// Rows that the connection's thread reads ahead of who takes them.
const ROWS: usize = 256;

/// How often a first connection is tried: while another process turns a new file to WAL, SQLite says "locked" at once.
const FIRST_TRIES: u32 = 50;

/// What the write-ahead log is cut back to once it was taken over into the file.
const WAL_SIZE: &str = "67108864";

/// How long a file is looked through after an unclean end: some gigabytes on a disk, less on an SD card.
const EXAMINATION: Duration = Duration::from_secs(60);

/// How long a look at the file waits for somebody's lock.
const LOOK: Duration = Duration::from_secs(5);

/// Steps of SQLite's machine between two looks at the time.
const STEPS: i32 = 10_000;

/// The file that a URL names.
pub(super) fn file(url: &Secret) -> Option<std::path::PathBuf> {
    let options: SqliteConnectOptions = url.expose_secret().parse().ok()?;
    Some(options.get_filename().to_owned()).filter(|file| file.is_absolute())
}

/// Opens the file, making it where it is missing.
///
/// WAL lets others read while a page is written. With `synchronous = NORMAL` the death of a process costs nothing; a
/// power cut may take the last transactions with it, but never tears one: the watermark goes with its page, so those
/// pages are just read again. `FULL` would cost a flush a page, and keep nothing that HQ does not have.
pub(super) async fn open(url: &Secret) -> Result<Pools, Error> {
    let options: SqliteConnectOptions = url.expose_secret().parse()?;
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(PREPARED)
        .row_buffer_size(ROWS)
        .pragma("temp_store", "MEMORY")
        .pragma("wal_autocheckpoint", CHECKPOINT)
        .pragma("journal_size_limit", WAL_SIZE)
        .optimize_on_close(true, ANALYSED)
        .disable_statement_logging();
    check_place(&options)?;
    let turns = Turns::new(options.get_filename());
    let handles = Handles::new(options);
    let mut tries = 1;
    loop {
        match handles.writer().await {
            Ok(_) => break,
            Err(Error::Unavailable(_)) if tries < FIRST_TRIES => tries += 1,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Pools::Sqlite { handles, turns })
}

/// Opens the file as it is, to look at it: nothing is made, and nothing written.
pub(super) fn open_to_look(url: &Secret) -> Result<Pools, Error> {
    let options: SqliteConnectOptions = url.expose_secret().parse()?;
    check_place(&options)?;
    let mut log = options.get_filename().as_os_str().to_owned();
    log.push("-wal");
    // Without a log nobody has the file open. SQLite would make one, for nothing.
    let is_alone = !std::path::Path::new(&log).exists();
    let options = options
        .create_if_missing(false)
        .read_only(true)
        .immutable(is_alone)
        .busy_timeout(LOOK)
        .disable_statement_logging();
    let turns = Turns::new(options.get_filename());
    Ok(Pools::Sqlite { handles: Handles::new(options), turns })
}

/// Looks through the file, beside whoever uses it.
pub(super) async fn examine(connection: &mut SqliteConnection) -> Result<(), Error> {
    if !examine_within(connection, EXAMINATION).await? {
        tracing::warn!(
            "the local database is too large to be looked through within {} s; `PRAGMA integrity_check` does it all",
            EXAMINATION.as_secs()
        );
    }
    Ok(())
}

/// As [`examine`], for so long at most; whether that was enough.
pub(super) async fn examine_within(connection: &mut SqliteConnection, limit: Duration) -> Result<bool, Error> {
    let is_over = Arc::new(AtomicBool::new(false));
    let (looking, ending) = (Arc::clone(&is_over), is_over);
    connection
        .lock_handle()
        .await?
        .set_progress_handler(STEPS, move || !looking.load(Ordering::Relaxed));
    let _timer = AbortOnDropHandle::new(tokio::spawn(async move {
        tokio::time::sleep(limit).await;
        ending.store(true, Ordering::Relaxed);
    }));
    let found = sqlx::query_scalar("PRAGMA quick_check(3)").fetch_all(&mut *connection).await;
    connection.lock_handle().await?.remove_progress_handler();
    let found: Vec<String> = match found {
        // SQLITE_INTERRUPT
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("9") => return Ok(false),
        found => found?,
    };
    match found.as_slice() {
        [only] if only == "ok" => Ok(true),
        problems => Err(Error::Damaged(problems.join("; "))),
    }
}

/// SQLite itself would only say "unable to open database file".
pub(super) fn check_place(options: &SqliteConnectOptions) -> Result<(), Error> {
    let file = options.get_filename();
    let problem = |text: String| Err(Error::Denied(sqlx::Error::Configuration(text.into())));
    let name = file.to_string_lossy();
    if name.is_empty() || name.contains(":memory:") || name.starts_with("file:sqlx-in-memory") {
        return problem("a database in memory forgets everything; name a file in `local.url`".to_owned());
    }
    if file.is_dir() {
        return problem(format!("{} is a folder; name a file in `local.url`", file.display()));
    }
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            problem(format!("the folder {} does not exist; make it, or change `local.url`", folder.display()))
        }
        Some(_) | None => Ok(()),
    }
}

pub(super) async fn execute(handle: &mut Handle, sql: Sql, values: SqliteArguments) -> Result<Done, Error> {
    let done = sqlx::query_with(sql.into_safe(), values).execute(handle.get()?).await;
    let done = done.map_err(|error| told(handle, error))?;
    Ok(Done { rows: done.rows_affected(), number: Some(done.last_insert_rowid()) })
}

pub(super) async fn fetch(handle: &mut Handle, sql: Sql, values: SqliteArguments) -> Result<Vec<Line>, Error> {
    let rows = sqlx::query_with(sql.into_safe(), values).fetch_all(handle.get()?).await;
    rows.map_err(|error| told(handle, error))?.iter().map(line).collect()
}

/// A connection whose thread is no more serves nobody after this.
fn told(handle: &mut Handle, error: sqlx::Error) -> sqlx::Error {
    if matches!(error, sqlx::Error::WorkerCrashed) {
        handle.close_on_drop();
    }
    error
}

/// Values in the driver's form.
///
/// # Errors
/// None could be written.
pub(super) fn arguments(binds: Vec<Bind<'_>>) -> Result<SqliteArguments, Error> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(binds.len(), 0);
    for bind in binds {
        match bind {
            Bind::Int(number) => arguments.add(number),
            Bind::Float(number) => arguments.add(number),
            Bind::Text(Some(text)) => arguments.add(Arc::<str>::from(text)),
            Bind::Shared(text) => arguments.add(text),
            Bind::Text(None) => arguments.add(None::<i64>),
            // Not for SQLite.
            Bind::Printed(..) | Bind::Column(..) => arguments.add(bind.into_text().map(String::from)),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn line(row: &SqliteRow) -> Result<Line, Error> {
    let values = (0..row.len()).map(|at| {
        let value = row.try_get_raw(at)?;
        if value.is_null() {
            return Ok(None);
        }
        let read = match value.type_info().name() {
            "INTEGER" => <i64 as sqlx::Decode<Sqlite>>::decode(value).map(|number| number.to_string()),
            "REAL" => <f64 as sqlx::Decode<Sqlite>>::decode(value).map(|number| number.to_string()),
            "TEXT" => <String as sqlx::Decode<Sqlite>>::decode(value),
            // A blob is the outlet's own affair; it only must not equal anything of HQ's.
            _ => {
                <&[u8] as sqlx::Decode<Sqlite>>::decode(value).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            }
        };
        read.map(Some).map_err(sqlx::Error::Decode)
    });
    Ok(Line(values.collect::<Result<_, _>>()?))
}
