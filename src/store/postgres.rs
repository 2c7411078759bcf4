//! PostgreSQL: everything is bound as text and cast to the column's own type, so any column type works, exactly.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use sqlx::Connection as _;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{
    PgArgumentBuffer, PgArguments, PgConnectOptions, PgConnection, PgPoolOptions, PgRow, PgSslMode, PgTypeInfo,
};
use sqlx::{Arguments as _, ConnectOptions as _, Encode, Executor as _, Postgres, Row as _};

use crate::config::{DatabaseKind, Secret};

use super::bind::{Bind, Elements};
use super::driver::Done;
use super::error::Error;
use super::line::Line;
use super::loan::Lender;
use super::pools::{IDLE_TIMEOUT, PING_TIMEOUT, Pools};
use super::sql::Sql;

/// Connections at most: some jobs at once and the status page.
const CONNECTIONS: u32 = 8;

/// Bytes of one statement.
const PIECE: usize = 256 << 10;

/// Bytes of one statement over TLS. sqlx sends one TLS record after the other and leaves Nagle's algorithm on, so the tail
/// of a longer message waits for the server's delayed acknowledgement: 45 ms a statement at 24 KiB and more.
const PIECE_OVER_TLS: usize = 12 << 10;

/// How long to wait for a connection, a new one included.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(20);

/// Connects, with a session whose texts read the same everywhere: zone UTC, ISO dates, standard strings.
pub(super) async fn open(url: &Secret) -> Result<Pools, Error> {
    let options: PgConnectOptions = url.expose_secret().parse()?;
    let mut options = options.application_name("milkrun").disable_statement_logging();
    let absent = |error: sqlx::Error| {
        let mut statement = Sql::new(DatabaseKind::Postgres, "CREATE DATABASE ");
        // Where none is named, the server takes the user's name for it.
        statement.name(options.get_database().unwrap_or_else(|| options.get_username()));
        Error::from(error).made_by(&statement)
    };
    let mut first = if let Some(plain) = in_clear(&options) {
        match first_of(&plain).await {
            Ok(first) => {
                options = plain;
                first
            }
            // `pg_hba.conf` may ask for TLS even here.
            Err(sqlx::Error::Database(_)) => first_of(&options).await.map_err(absent)?,
            Err(error) => return Err(error.into()),
        }
    } else {
        first_of(&options).await.map_err(absent)?
    };
    first.execute(sqlx::raw_sql(SESSION)).await?;
    let piece = if matches!(options.get_ssl_mode(), PgSslMode::Disable) { PIECE } else { PIECE_OVER_TLS };
    let pool = PgPoolOptions::new()
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
    Ok(Pools::Postgres { pool: Lender::new(pool, first), piece })
}

/// What every session begins with: a statement, not a start-up option, as poolers refuse those. A lock held for a minute is
/// an operator's open transaction: the page is given up and tried again. A process of ours that stands still in the middle
/// of a page must not keep its locks for longer than its lease. A plan kept from when a table was empty would read all of it
/// for every page of a first load.
const SESSION: &str = "SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO, YMD', false), \
     set_config('IntervalStyle', 'postgres', false), set_config('lock_timeout', '60s', false), \
     set_config('idle_in_transaction_session_timeout', '60s', false), \
     set_config('plan_cache_mode', 'force_custom_plan', false), \
     set_config('default_transaction_isolation', 'read committed', false)";

/// The pool would try for its whole patience and then say only that it timed out.
async fn first_of(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let first = tokio::time::timeout(ACQUIRE_TIMEOUT, PgConnection::connect_with(options)).await;
    first.map_err(|_elapsed| sqlx::Error::PoolTimedOut)?
}

/// `sslmode=prefer`, the default, leaves it to us; on the machine itself TLS protects nothing and costs every page.
fn in_clear(options: &PgConnectOptions) -> Option<PgConnectOptions> {
    let is_here = options.get_socket().is_some() || matches!(options.get_host(), "localhost" | "127.0.0.1" | "::1");
    let is_ours = matches!(options.get_ssl_mode(), PgSslMode::Prefer | PgSslMode::Allow);
    (is_here && is_ours).then(|| options.clone().ssl_mode(PgSslMode::Disable))
}

pub(super) async fn execute(connection: &mut PgConnection, sql: Sql, values: PgArguments) -> Result<Done, Error> {
    // Without values there is nothing to prepare.
    let done = if values.len() == 0 {
        connection.execute(sqlx::raw_sql(sql.into_safe())).await?
    } else {
        sqlx::query_with(sql.into_safe(), values).execute(connection).await?
    };
    Ok(Done { rows: done.rows_affected(), number: None })
}

pub(super) async fn fetch(connection: &mut PgConnection, sql: Sql, values: PgArguments) -> Result<Vec<Line>, Error> {
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
pub(super) fn arguments(binds: &[Bind<'_>]) -> Result<PgArguments, Error> {
    let mut arguments = PgArguments::default();
    for bind in binds {
        bind.check_nul()?;
        match bind {
            Bind::Int(number) => arguments.add(*number),
            Bind::Float(number) => arguments.add(*number),
            Bind::Text(text) => arguments.add(text.as_deref()),
            Bind::Shared(text) => arguments.add(text.as_ref()),
            Bind::Printed(cell, tail) => arguments.add(cell.print() + tail),
            Bind::Column(elements, values) => arguments.add(Array(*elements, values)),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// A column of values as an array in the binary form (`array_recv` in PostgreSQL's `arrayfuncs.c`), each written straight
/// into the message.
struct Array<'a>(Elements, &'a [Bind<'a>]);

impl sqlx::Type<Postgres> for Array<'_> {
    fn type_info() -> PgTypeInfo {
        <Vec<String> as sqlx::Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Array<'_> {
    fn produces(&self) -> Option<PgTypeInfo> {
        Some(match self.0 {
            Elements::Texts => <Vec<String> as sqlx::Type<Postgres>>::type_info(),
            Elements::Ints => <Vec<i64> as sqlx::Type<Postgres>>::type_info(),
            Elements::Floats => <Vec<f64> as sqlx::Type<Postgres>>::type_info(),
        })
    }

    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let Self(elements, values) = self;
        // Fixed by `pg_type.dat`.
        let ty: u32 = match elements {
            Elements::Texts => 25,
            Elements::Ints => 20,
            Elements::Floats => 701,
        };
        let (dimensions, flags, lower_bound) = (1_i32, 0_i32, 1_i32);
        buf.extend_from_slice(&dimensions.to_be_bytes());
        buf.extend_from_slice(&flags.to_be_bytes());
        buf.extend_from_slice(&ty.to_be_bytes());
        buf.extend_from_slice(&i32::try_from(values.len())?.to_be_bytes());
        buf.extend_from_slice(&lower_bound.to_be_bytes());
        values.iter().try_for_each(|value| element(buf, *elements, value))?;
        Ok(IsNull::No)
    }
}

fn element(buf: &mut Vec<u8>, elements: Elements, value: &Bind<'_>) -> Result<(), BoxDynError> {
    let mut put = |bytes: &[u8]| -> Result<(), BoxDynError> {
        buf.extend_from_slice(&i32::try_from(bytes.len())?.to_be_bytes());
        buf.extend_from_slice(bytes);
        Ok(())
    };
    match (elements, value) {
        (_, Bind::Text(None) | Bind::Int(None)) => buf.extend_from_slice(&(-1_i32).to_be_bytes()),
        (Elements::Ints, Bind::Int(Some(number))) => put(&number.to_be_bytes())?,
        (Elements::Floats, Bind::Float(number)) => put(&number.to_be_bytes())?,
        (_, Bind::Text(Some(text))) => put(text.as_bytes())?,
        (_, Bind::Shared(text)) => put(text.as_bytes())?,
        (_, Bind::Printed(cell, tail)) => {
            let start = buf.len();
            buf.extend_from_slice(&[0; 4]);
            cell.append(buf);
            buf.extend_from_slice(tail.as_bytes());
            let length = i32::try_from(buf.len() - start - 4)?.to_be_bytes();
            if let Some(before) = buf.get_mut(start..start + 4) {
                before.copy_from_slice(&length);
            }
        }
        (_, Bind::Int(Some(_)) | Bind::Float(_) | Bind::Column(..)) => {
            put(value.clone().into_text().unwrap_or_default().as_bytes())?;
        }
    }
    Ok(())
}

fn line(row: &PgRow) -> Result<Line, Error> {
    let values = (0..row.len()).map(|at| row.try_get::<Option<String>, _>(at));
    Ok(Line(values.collect::<Result<_, _>>()?))
}
