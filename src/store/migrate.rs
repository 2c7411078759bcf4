//! Brings milkrun's own tables up to date.
//!
//! What was applied is kept in `milkrun_migrations`, as the outlet's own software may use sqlx's usual table.

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::config::DatabaseKind;
use crate::crash::{self, Point};

use super::connection::Connection;
use super::driver::Driver;
use super::error::Error;
use super::pools::Pools;

const APPLIED: &str = "milkrun_migrations";

/// Applies what is missing; looks first, and takes a lock only where something is.
///
/// By `run_direct`, as the future of the migrator's `run` cannot be sent between threads.
pub(super) async fn run(pools: &Pools) -> Result<(), Error> {
    let mut migrator = migrator(pools.kind());
    if is_applied(&mut pools.writer().await?, &migrator).await? {
        return Ok(());
    }
    match pools {
        Pools::Dry(dry) => rehearse(&mut Pools::Dry(dry.clone()).writer().await?).await?,
        Pools::Sqlite { handles, .. } => {
            let mut handle = handles.writer().await?;
            // sqlx's migrator takes no lock on SQLite; inside this transaction its own become savepoints.
            let mut tx = handle.get()?.begin_with("BEGIN IMMEDIATE").await?;
            one_by_one(&migrator, &mut *tx).await?;
            tx.commit().await?;
        }
        Pools::Postgres { pool, .. } => {
            let mut loan = pool.lend().await?;
            // Its lock is the session's: after an error it goes with the connection.
            loan.close_on_drop();
            one_by_one(&migrator, loan.get()?).await?;
        }
        Pools::Mysql { pool, .. } => {
            // sqlx asks for its lock with a negative timeout, which MariaDB takes for none. Closed with the connection,
            // ours is given back in any case.
            migrator.set_locking(false);
            let mut loan = pool.lend().await?;
            loan.close_on_drop();
            let locked: Option<i64> = sqlx::query_scalar("SELECT GET_LOCK(MD5(CONCAT('milkrun ', DATABASE())), 60)")
                .fetch_one(loan.get()?)
                .await?;
            if locked != Some(1) {
                return Err(Error::Unavailable(sqlx::Error::PoolTimedOut));
            }
            // sqlx would refuse for ever to go on after one that was cut off; ours can be run again.
            if has_begun(&mut pools.writer().await?).await? {
                sqlx::query("DELETE FROM milkrun_migrations WHERE NOT success").execute(loan.get()?).await?;
            }
            one_by_one(&migrator, loan.get()?).await?;
        }
    }
    Ok(())
}

async fn one_by_one<C: Migrate>(migrator: &Migrator, connection: &mut C) -> Result<(), Error> {
    for migration in migrator.iter() {
        migrator.run_direct(Some(migration.version), connection, false).await?;
        crash::point(Point::BetweenMigrations);
    }
    Ok(())
}

pub(super) fn migrator(kind: DatabaseKind) -> Migrator {
    let mut migrator = match kind {
        DatabaseKind::Sqlite => sqlx::migrate!("migrations/sqlite"),
        DatabaseKind::Postgres => sqlx::migrate!("migrations/postgres"),
        DatabaseKind::Mysql => sqlx::migrate!("migrations/mysql"),
    };
    migrator.dangerous_set_table_name(APPLIED);
    migrator
}

/// Applies what is missing for a dry run: in its transaction or its copy, and on MariaDB, whose DDL would commit, to
/// temporary tables that nobody else sees. What was applied is not noted.
pub(super) async fn rehearse(connection: &mut Connection) -> Result<(), Error> {
    let applied = if has_begun(connection).await? { applied(connection).await? } else { Vec::new() };
    let migrator = migrator(connection.kind());
    let is_known = |version: &i64| migrator.iter().any(|migration| migration.version == *version);
    if let Some(unknown) = applied.iter().find(|version| !is_known(version)) {
        return Err(Error::Migrate(Box::new(MigrateError::VersionMissing(*unknown))));
    }
    for migration in migrator.iter().filter(|migration| !applied.contains(&migration.version)) {
        let text = migration.sql.as_str();
        match connection.driver() {
            Driver::Sqlite(handle) => handle.get()?.execute(sqlx::raw_sql(AssertSqlSafe(text))).await.map(|_done| ()),
            Driver::Postgres(loan) => loan.get()?.execute(sqlx::raw_sql(AssertSqlSafe(text))).await.map(|_done| ()),
            Driver::Mysql(loan) => {
                let text = text.replace("CREATE TABLE", "CREATE TEMPORARY TABLE");
                let text = text.replace("DROP TABLE", "DROP TEMPORARY TABLE");
                loan.get()?.execute(sqlx::raw_sql(AssertSqlSafe(text))).await.map(|_done| ())
            }
        }?;
    }
    Ok(())
}

/// Whether exactly the known migrations were applied. Anything else is for the migrator to do, or to refuse.
async fn is_applied(connection: &mut Connection, migrator: &Migrator) -> Result<bool, Error> {
    Ok(has_begun(connection).await?
        && migrator.iter().map(|migration| migration.version).eq(applied(connection).await?))
}

/// The versions that were applied.
pub(super) async fn applied(connection: &mut Connection) -> Result<Vec<i64>, Error> {
    let mut sql = connection.sql("SELECT ");
    sql.read("version").push(" FROM milkrun_migrations WHERE success ORDER BY version");
    let applied = connection.fetch(sql, Vec::new()).await?;
    applied.iter().map(|line| line.int(0, "a migration's version")).collect()
}

/// Whether the list of what was applied is there.
pub(super) async fn has_begun(connection: &mut Connection) -> Result<bool, Error> {
    let sql = match connection.kind() {
        DatabaseKind::Sqlite => {
            connection.sql("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'milkrun_migrations'")
        }
        DatabaseKind::Postgres => connection.sql("SELECT count(to_regclass('milkrun_migrations'))::text"),
        DatabaseKind::Mysql => connection.sql(
            "SELECT CAST(count(*) AS CHAR) FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_name = 'milkrun_migrations'",
        ),
    };
    let lines = connection.fetch(sql, Vec::new()).await?;
    Ok(lines.first().and_then(|line| line.text(0)) == Some("1"))
}
