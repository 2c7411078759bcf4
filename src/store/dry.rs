//! The database of a dry run: all is done as in a real one, by one connection, and nothing of it stays.
//!
//! On the servers that connection is in one transaction from beginning to end, and what would be a transaction of its own
//! is a stretch of it behind a savepoint; on SQLite it has a copy of the file to itself (`copy`). Invariant: nothing is
//! ever committed; where the transaction is lost, as by a deadlock, the dry run ends.
//!
//! A task that holds the connection must ask for it nowhere else; one that does is told so, after a while.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Executor as _;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use crate::config::{DatabaseKind, Local};

use super::bind::Bind;
use super::connection::Connection;
use super::driver::Driver;
use super::error::Error;
use super::pools::{Pools, Room};
use super::sql::{Sql, TypeName};
use super::{copy, migrate, mysql, postgres};

/// Longer than any statement may take.
const PATIENCE: Duration = Duration::from_secs(150);

/// The one connection of a dry run.
#[derive(Debug, Clone)]
pub(super) struct Dry {
    kind: DatabaseKind,
    room: Room,
    lent: Arc<Mutex<Lent>>,
}

/// What a dry run's connection is lent with.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) driver: Driver,
    turn: Turn,
    /// Has the constraints of this database that are deferred by themselves deferred again; `None` where it has none.
    deferred: Option<Sql>,
}

/// What the last who had the connection left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// No savepoint: the transaction of the dry run is not open yet.
    Outside,
    /// Nobody had it yet.
    First,
    /// All that it did is to be there for those who follow.
    Kept,
    /// All that it did is to be taken back.
    Unfinished,
    /// The transaction, or the line.
    Lost,
}

/// Opens the database for a dry run, with milkrun's own tables up to date in it.
pub(super) async fn open(local: &Local) -> Result<Pools, Error> {
    let dry = match local.kind {
        DatabaseKind::Sqlite => Dry::new(Driver::Sqlite(copy::open(&local.url).await?), Room::SQLITE),
        DatabaseKind::Postgres => Dry::on(&postgres::open(&local.url).await?).await?,
        DatabaseKind::Mysql => {
            let pools = mysql::open(&local.url).await?;
            // DDL commits by itself here. Tables of an older version are brought up to date, as by every command; where
            // there are none, the dry run gets temporary ones.
            if migrate::has_begun(&mut pools.writer().await?).await? {
                migrate::run(&pools).await?;
            }
            Dry::on(&pools).await?
        }
    };
    dry.begin().await?;
    Ok(Pools::Dry(dry))
}

impl Dry {
    fn new(mut driver: Driver, room: Room) -> Self {
        driver.close_on_drop();
        let kind = driver.kind();
        Self { kind, room, lent: Arc::new(Mutex::new(Lent { driver, turn: Turn::Outside, deferred: None })) }
    }

    async fn on(pools: &Pools) -> Result<Self, Error> {
        Ok(Self::new(pools.driver().await?, pools.room()))
    }

    /// Makes milkrun's own tables where they are missing, and opens the transaction; in this order where the one would
    /// end the other.
    async fn begin(&self) -> Result<(), Error> {
        match self.kind {
            DatabaseKind::Sqlite => migrate::rehearse(&mut self.connection().await?).await,
            DatabaseKind::Postgres => {
                self.lent.lock().await.open(&BEGIN_POSTGRES).await?;
                migrate::rehearse(&mut self.connection().await?).await?;
                let deferred = deferred(&mut self.connection().await?).await?;
                let mut lent = self.lent.lock().await;
                (lent.deferred, lent.turn) = (deferred, Turn::First);
                Ok(())
            }
            DatabaseKind::Mysql => {
                migrate::rehearse(&mut self.connection().await?).await?;
                let mut lent = self.lent.lock().await;
                lent.open(&BEGIN_MYSQL).await?;
                lent.turn = Turn::First;
                Ok(())
            }
        }
    }

    async fn connection(&self) -> Result<Connection, Error> {
        Pools::Dry(self.clone()).writer().await
    }

    /// Which database it is.
    pub(super) fn kind(&self) -> DatabaseKind {
        self.kind
    }

    /// Bytes that one statement may take.
    pub(super) fn room(&self) -> Room {
        self.room
    }

    /// Waits for the connection; what the last who had it left unfinished has been taken back.
    pub(super) async fn lend(&self) -> Result<OwnedMutexGuard<Lent>, Error> {
        let lent = timeout(PATIENCE, Arc::clone(&self.lent).lock_owned()).await;
        let mut lent = lent.map_err(|_elapsed| broken("the dry run waits for its own connection"))?;
        lent.settle().await?;
        Ok(lent)
    }

    /// Takes all of it back.
    pub(super) async fn close(&self) {
        let mut lent = self.lent.lock().await;
        if matches!(lent.turn, Turn::First | Turn::Kept | Turn::Unfinished)
            && self.kind != DatabaseKind::Sqlite
            && let Err(error) = lent.run("ROLLBACK").await
        {
            tracing::debug!(%error, "the server rolls the dry run back by itself");
        }
        lent.turn = Turn::Lost;
    }
}

/// HQ is asked while the transaction is open, which may take longer than the patience with a page's.
const BEGIN_POSTGRES: [&str; 2] = ["SET idle_in_transaction_session_timeout = '1h'", "BEGIN"];

/// Without autocommit, what follows a transaction that was lost in a deadlock is not kept either.
const BEGIN_MYSQL: [&str; 4] = [
    "SET SESSION autocommit = 0",
    "SET SESSION wait_timeout = GREATEST(@@SESSION.wait_timeout, 3600)",
    "SET @milkrun_dry_run = 1 /*M!100300 , SESSION idle_transaction_timeout = 3600 */",
    "START TRANSACTION",
];

impl Lent {
    async fn open(&mut self, statements: &[&'static str]) -> Result<(), Error> {
        for statement in statements {
            self.run(statement).await?;
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), Error> {
        let left = std::mem::replace(&mut self.turn, Turn::Lost);
        if self.driver.kind() == DatabaseKind::Sqlite {
            match left {
                Turn::Lost => return Err(lost()),
                Turn::Unfinished => {
                    // A trigger may have rolled back already.
                    if let Err(error) = self.run("ROLLBACK").await {
                        tracing::debug!(%error, "the transaction had been rolled back");
                    }
                }
                Turn::Outside | Turn::First | Turn::Kept => {}
            }
            self.turn = Turn::Kept;
            return Ok(());
        }
        let statements: &[&'static str] = match left {
            Turn::Lost => return Err(lost()),
            Turn::Outside => {
                self.turn = Turn::Outside;
                return Ok(());
            }
            Turn::First => &["SAVEPOINT milkrun_turn"],
            Turn::Kept => &["RELEASE SAVEPOINT milkrun_turn", "SAVEPOINT milkrun_turn"],
            Turn::Unfinished => {
                &["ROLLBACK TO SAVEPOINT milkrun_turn", "RELEASE SAVEPOINT milkrun_turn", "SAVEPOINT milkrun_turn"]
            }
        };
        for statement in statements {
            if let Err(error) = self.run(statement).await {
                tracing::debug!(%error, "the dry run's transaction is gone");
                return Err(lost());
            }
        }
        self.turn = Turn::Kept;
        Ok(())
    }

    /// Nothing can be done with the connection any more.
    pub(super) fn lose(&mut self) {
        self.turn = Turn::Lost;
    }

    /// Notes what is left behind.
    pub(super) fn leave(&mut self, is_unfinished: bool) {
        if self.turn == Turn::Kept && is_unfinished {
            self.turn = Turn::Unfinished;
        }
    }

    /// What a commit would have the database look at.
    pub(super) fn checks_at_commit(&self) -> Vec<Sql> {
        let Some(deferred) = &self.deferred else { return Vec::new() };
        vec![Sql::new(self.driver.kind(), "SET CONSTRAINTS ALL IMMEDIATE"), deferred.clone()]
    }

    /// Runs a statement that has no values, and that not every server prepares.
    async fn run(&mut self, statement: &'static str) -> Result<(), Error> {
        let sql = sqlx::raw_sql(statement);
        match &mut self.driver {
            Driver::Sqlite(handle) => handle.get()?.execute(sql).await.map(|_done| ()),
            Driver::Postgres(loan) => loan.get()?.execute(sql).await.map(|_done| ()),
            Driver::Mysql(loan) => loan.get()?.execute(sql).await.map(|_done| ()),
        }
        .map_err(Error::from)
    }
}

/// PostgreSQL's constraints that wait for the commit unless told otherwise.
async fn deferred(connection: &mut Connection) -> Result<Option<Sql>, Error> {
    let sql = connection.sql(
        "SELECT format('%I.%I', n.nspname, c.conname)::text FROM pg_constraint c \
         JOIN pg_namespace n ON n.oid = c.connamespace WHERE c.condeferred ORDER BY 1",
    );
    let lines = connection.fetch(sql, Vec::new()).await?;
    let names: Vec<TypeName> =
        lines.into_iter().filter_map(|mut line| line.take(0)).map(TypeName::from_catalog).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let mut sql = connection.sql("SET CONSTRAINTS ");
    sql.list(", ", &names, |sql, name| {
        sql.type_name(name);
    });
    sql.push(" DEFERRED");
    Ok(Some(sql))
}

/// MariaDB's and MySQL's tables that keep what is written to them whatever becomes of the transaction: those of a job, and
/// where one of them has a trigger, all of the database.
pub(super) async fn check_engines(connection: &mut Connection, tables: &[&str]) -> Result<(), Error> {
    let mut sql = connection.sql(
        "SELECT CAST(t.table_name AS CHAR) FROM information_schema.tables AS t \
         JOIN information_schema.engines AS e ON e.engine = t.engine \
         WHERE t.table_schema = DATABASE() AND t.table_type = 'BASE TABLE' AND COALESCE(e.transactions, 'NO') <> 'YES' \
         AND (t.table_name IN (",
    );
    let list = |sql: &mut Sql| {
        sql.list(", ", tables, |sql, _| {
            sql.push("?");
        });
    };
    list(&mut sql);
    sql.push(
        ") OR EXISTS (SELECT 1 FROM information_schema.triggers AS g WHERE g.event_object_schema = DATABASE() \
         AND g.event_object_table IN (",
    );
    list(&mut sql);
    sql.push("))) ORDER BY 1");
    let binds: Vec<Bind<'_>> = tables.iter().chain(tables).map(|table| Bind::text(table)).collect();
    let lines = connection.fetch(sql, binds).await?;
    let findings: Vec<String> = lines
        .iter()
        .filter_map(|line| line.text(0))
        .map(|table| {
            format!(
                "Table {table} has an engine without transactions: what a dry run writes to it would stay. Turn it to \
                 InnoDB (`ALTER TABLE {table} ENGINE = InnoDB`)."
            )
        })
        .collect();
    if findings.is_empty() { Ok(()) } else { Err(Error::Schema(findings)) }
}

fn lost() -> Error {
    broken("the dry run has lost its transaction, as by a deadlock or a broken line; nothing was written")
}

fn broken(what: &str) -> Error {
    Error::Unavailable(sqlx::Error::Protocol(what.to_owned()))
}
