//! MariaDB and MySQL: whole numbers and floats are bound natively, the rest as text, under a strict `sql_mode`.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use sqlx::Connection as _;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlPoolOptions, MySqlRow, MySqlTypeInfo};
use sqlx::{Arguments as _, ConnectOptions as _, Encode, Executor as _, MySql, Row as _};

use crate::config::{DatabaseKind, Secret};
use crate::row::Cell;

use super::bind::Bind;
use super::driver::Done;
use super::error::Error;
use super::line::Line;
use super::loan::Lender;
use super::pools::{IDLE_TIMEOUT, PING_TIMEOUT, Pools};
use super::sql::Sql;

/// Connections at most: some jobs at once and the status page.
const CONNECTIONS: u32 = 8;

/// How long to wait for a connection, a new one included.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(20);

/// Connects, with a strict session: a value that does not fit is refused, never cut or zeroed.
///
/// READ COMMITTED, so that what is read inside a page is what its locks protect, and looking for rows that are not
/// there locks no gaps others insert into.
pub(super) async fn open(url: &Secret) -> Result<Pools, Error> {
    let options: MySqlConnectOptions = url.expose_secret().parse()?;
    let options = options
        .charset("utf8mb4")
        .timezone(Some("+00:00".to_owned()))
        .pipes_as_concat(false)
        .no_engine_substitution(true)
        .disable_statement_logging();
    // The pool would try for its whole patience and then say only that it timed out.
    let first = tokio::time::timeout(ACQUIRE_TIMEOUT, MySqlConnection::connect_with(&options)).await;
    let first = first.map_err(|_elapsed| sqlx::Error::PoolTimedOut)?;
    let mut first = first.map_err(|error| {
        let mut statement = Sql::new(DatabaseKind::Mysql, "CREATE DATABASE ");
        statement.name(options.get_database().unwrap_or_default()).push(" CHARACTER SET utf8mb4");
        Error::from(error).made_by(&statement)
    })?;
    first.execute(sqlx::raw_sql(SESSION)).await?;
    let packet = first.fetch_one(sqlx::raw_sql("SELECT CAST(@@max_allowed_packet AS CHAR)")).await?;
    let packet = line(&packet)?.int(0, "max_allowed_packet")?;
    let pool = MySqlPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, _| {
            Box::pin(
                async move { Ok(matches!(tokio::time::timeout(PING_TIMEOUT, connection.ping()).await, Ok(Ok(())))) },
            )
        })
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(sqlx::raw_sql(SESSION)).await.map(drop) })
        })
        .connect_lazy_with(options);
    Ok(Pools::Mysql { pool: Lender::new(pool, first), packet: usize::try_from(packet).unwrap_or(usize::MAX) })
}

/// What every session begins with. Waiting for a table that is being altered has a limit of a day. A process of ours that
/// stands still in the middle of a page must not keep its locks for longer than its lease; only MariaDB knows how.
const SESSION: &str = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,\
     NO_ENGINE_SUBSTITUTION,NO_ZERO_DATE,NO_ZERO_IN_DATE'; \
     SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
     SET SESSION lock_wait_timeout = 60 /*M!100300 , SESSION idle_transaction_timeout = 60 */";

pub(super) async fn execute(connection: &mut MySqlConnection, sql: Sql, values: MySqlArguments) -> Result<Done, Error> {
    // Without values there is nothing to prepare.
    let done = if values.len() == 0 {
        connection.execute(sqlx::raw_sql(sql.into_safe())).await?
    } else {
        sqlx::query_with(sql.into_safe(), values).execute(connection).await?
    };
    Ok(Done { rows: done.rows_affected(), number: i64::try_from(done.last_insert_id()).ok() })
}

pub(super) async fn fetch(
    connection: &mut MySqlConnection,
    sql: Sql,
    values: MySqlArguments,
) -> Result<Vec<Line>, Error> {
    let rows = if values.len() == 0 {
        connection.fetch_all(sqlx::raw_sql(sql.into_safe())).await?
    } else {
        sqlx::query_with(sql.into_safe(), values).fetch_all(connection).await?
    };
    rows.iter().map(line).collect()
}

/// Values in the driver's form.
///
/// # Errors
/// One could not be written.
pub(super) fn arguments(binds: &[Bind<'_>]) -> Result<MySqlArguments, Error> {
    let mut arguments = MySqlArguments::default();
    arguments.reserve(binds.len(), binds.len() * 12);
    for bind in binds {
        match bind {
            Bind::Int(number) => arguments.add(*number),
            Bind::Float(number) => arguments.add(*number),
            Bind::Text(text) => arguments.add(text.as_deref()),
            Bind::Shared(text) => arguments.add(text.as_ref()),
            Bind::Printed(cell, tail) => arguments.add(Printed(cell, tail)),
            // Not for MariaDB.
            Bind::Column(..) => arguments.add(bind.clone().into_text()),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// A cell and what follows it, as one text.
struct Printed<'a>(&'a Cell, &'static str);

impl sqlx::Type<MySql> for Printed<'_> {
    fn type_info() -> MySqlTypeInfo {
        <str as sqlx::Type<MySql>>::type_info()
    }
}

impl Encode<'_, MySql> for Printed<'_> {
    fn encode_by_ref(&self, buf: &mut Vec<u8>) -> Result<IsNull, BoxDynError> {
        let start = buf.len();
        // A text's length stands before it, in one byte if it is below 251, as it is but for the strangest floats.
        buf.push(0);
        self.0.append(buf);
        buf.extend_from_slice(self.1.as_bytes());
        match (u8::try_from(buf.len() - start - 1), buf.get_mut(start)) {
            (Ok(length @ 0..=250), Some(before)) => {
                *before = length;
                Ok(IsNull::No)
            }
            (Ok(_) | Err(_), _) => {
                buf.truncate(start);
                <&str as Encode<MySql>>::encode(&(self.0.print() + self.1), buf)
            }
        }
    }
}

fn line(row: &MySqlRow) -> Result<Line, Error> {
    // A BINARY or BLOB column is the outlet's own affair; it only must not equal anything of HQ's.
    let read = |at| -> Result<Option<String>, sqlx::Error> {
        let bytes = row.try_get_unchecked::<Option<Vec<u8>>, _>(at)?;
        Ok(bytes.map(|bytes| match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }))
    };
    Ok(Line((0..row.len()).map(read).collect::<Result<_, _>>()?))
}
