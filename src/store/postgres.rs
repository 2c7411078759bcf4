//! PostgreSQL: everything is bound as text and cast to the column's own type, so any column type works, exactly.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use sqlx::Connection as _;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPoolOptions, PgRow};
use sqlx::{Arguments as _, ConnectOptions as _, Row as _};

use crate::config::Secret;

use super::bind::Bind;
use super::connection::{IDLE_TIMEOUT, PING_TIMEOUT, Pools};
use super::error::Error;
use super::line::Line;
use super::sql::Sql;

/// Connections at most: some jobs at once and the status page.
const CONNECTIONS: u32 = 8;

/// How long to wait for a connection, a new one included.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(20);

/// Connects, with a session whose texts read the same everywhere: zone UTC, ISO dates, standard strings.
pub(super) async fn open(url: &Secret) -> Result<Pools, Error> {
    let options: PgConnectOptions = url.expose_secret().parse()?;
    let options = options.application_name("milkrun").disable_statement_logging();
    // The pool would try for its whole patience and then say only that it timed out.
    let first = tokio::time::timeout(ACQUIRE_TIMEOUT, PgConnection::connect_with(&options)).await;
    first.map_err(|_elapsed| sqlx::Error::PoolTimedOut)??.close().await?;
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
            Box::pin(async move {
                // A statement, not a start-up option, as poolers refuse those. A lock held for a minute is an operator's
                // open transaction: the page is given up and tried again. A process of ours that stands still in the
                // middle of a page must not keep its locks for longer than its lease. A plan kept from when a table was empty would
                // read all of it for every page of a first load.
                sqlx::query(
                    "SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO, YMD', false), \
                     set_config('IntervalStyle', 'postgres', false), set_config('lock_timeout', '60s', false), \
                     set_config('idle_in_transaction_session_timeout', '60s', false), \
                     set_config('plan_cache_mode', 'force_custom_plan', false), \
                     set_config('default_transaction_isolation', 'read committed', false)",
                )
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await?;
    Ok(Pools::Postgres(pool))
}

pub(super) async fn execute(connection: &mut PgConnection, sql: Sql, binds: Vec<Bind<'_>>) -> Result<u64, Error> {
    let done = sqlx::query_with(sql.into_safe(), arguments(&binds)?).execute(connection).await?;
    Ok(done.rows_affected())
}

pub(super) async fn fetch(connection: &mut PgConnection, sql: Sql, binds: Vec<Bind<'_>>) -> Result<Vec<Line>, Error> {
    let rows = sqlx::query_with(sql.into_safe(), arguments(&binds)?).fetch_all(connection).await?;
    rows.iter().map(line).collect()
}

fn arguments(binds: &[Bind<'_>]) -> Result<PgArguments, Error> {
    let mut arguments = PgArguments::default();
    for bind in binds {
        bind.check_nul()?;
        match bind {
            Bind::Int(number) => arguments.add(*number),
            Bind::Float(number) => arguments.add(*number),
            Bind::Text(text) => arguments.add(text.as_deref()),
            Bind::Texts(texts) => arguments.add(texts.iter().map(Option::as_deref).collect::<Vec<_>>()),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn line(row: &PgRow) -> Result<Line, Error> {
    let values = (0..row.len()).map(|at| row.try_get::<Option<String>, _>(at));
    Ok(Line(values.collect::<Result<_, _>>()?))
}
