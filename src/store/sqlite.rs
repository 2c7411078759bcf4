//! SQLite: the embedded default. Values are bound natively and read back by what the row really holds.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Arguments as _, ConnectOptions as _, Row as _, Sqlite, TypeInfo as _, ValueRef as _};

use crate::config::Secret;

use super::bind::Bind;
use super::connection::Pools;
use super::error::Error;
use super::line::Line;
use super::sql::Sql;

/// How long a statement waits for another process's transaction: a page is far shorter, a backup may not be.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait for a connection of the pool; longer than the longest wait for a lock, or it would hide it.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(40);

/// Connections that read, for the status page beside the runs.
const READERS: u32 = 4;

/// Statements kept prepared on each connection: a few shapes for each table of each job.
const PREPARED: usize = 256;

/// How often a first connection is tried: while another process turns a new file to WAL, SQLite says "locked" at once.
const FIRST_TRIES: u32 = 50;

/// Opens the file, making it where it is missing.
///
/// WAL lets others read while a page is written. With `synchronous = NORMAL` a power cut may take the last
/// transactions with it, but never tears one: the watermark goes with its page, so those pages are just read again.
pub(super) async fn open(url: &Secret) -> Result<Pools, Error> {
    let options: SqliteConnectOptions = url.expose_secret().parse()?;
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(PREPARED)
        .pragma("temp_store", "MEMORY")
        .optimize_on_close(true, None)
        .disable_statement_logging();
    check_place(&options)?;
    let pool = || {
        SqlitePoolOptions::new()
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .max_lifetime(None)
    };
    let write = pool().max_connections(1).idle_timeout(None).connect_lazy_with(options.clone());
    let mut tries = 1;
    loop {
        match write.acquire().await.map_err(Error::from) {
            Ok(_) => break,
            Err(Error::Unavailable(_)) if tries < FIRST_TRIES => tries += 1,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let read = pool().max_connections(READERS).connect_lazy_with(options.create_if_missing(false));
    Ok(Pools::Sqlite { write, read })
}

/// SQLite itself would only say "unable to open database file".
fn check_place(options: &SqliteConnectOptions) -> Result<(), Error> {
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

pub(super) async fn execute(connection: &mut SqliteConnection, sql: Sql, binds: Vec<Bind<'_>>) -> Result<u64, Error> {
    let done = sqlx::query_with(sql.into_safe(), arguments(binds)?).execute(connection).await?;
    Ok(done.rows_affected())
}

pub(super) async fn fetch(
    connection: &mut SqliteConnection,
    sql: Sql,
    binds: Vec<Bind<'_>>,
) -> Result<Vec<Line>, Error> {
    let rows = sqlx::query_with(sql.into_safe(), arguments(binds)?).fetch_all(connection).await?;
    rows.iter().map(line).collect()
}

fn arguments(binds: Vec<Bind<'_>>) -> Result<SqliteArguments, Error> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(binds.len(), 0);
    for bind in binds {
        match bind {
            Bind::Int(number) => arguments.add(number),
            Bind::Float(number) => arguments.add(number),
            Bind::Text(Some(text)) => arguments.add(text.into_owned()),
            Bind::Text(None) => arguments.add(None::<i64>),
            Bind::Texts(texts) => texts.into_iter().try_for_each(|text| arguments.add(text.map(String::from))),
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
