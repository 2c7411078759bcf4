//! One connection to whichever database the outlet has: statements in, rows of texts out.
//!
//! Everything above is written once, for this. Invariant: a connection never goes back to its pool inside a
//! transaction; one that is dropped there, by an error or a cancelled task, is closed, and its server rolls back. No
//! statement waits for a server for ever.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{MySql, MySqlPool, PgPool, Postgres, Sqlite, SqlitePool};
use tokio::time::{Instant, timeout};

use crate::config::DatabaseKind;

use super::bind::Bind;
use super::error::Error;
use super::line::Line;
use super::sql::Sql;
use super::turns::Turns;
use super::{mysql, postgres, sqlite};

/// A server that has not answered a statement by now is gone, or its line is. Longer than any lock is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// What a statement takes beside its text and values.
const STATEMENT_HEAD: usize = 4 << 10;

/// How long an idle connection has to show that it is alive.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// Idle connections are closed before a firewall forgets them.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The pools of one database.
#[derive(Debug, Clone)]
pub(super) enum Pools {
    /// One connection that writes and some that read: SQLite has one writer at a time, and waiting in line here is
    /// fairer than its busy handler.
    Sqlite {
        /// The writer.
        write: SqlitePool,
        /// The readers.
        read: SqlitePool,
        /// What is left to other writers of the file.
        turns: Turns,
    },
    /// PostgreSQL.
    Postgres(PgPool),
    /// MariaDB or MySQL.
    Mysql {
        /// The connections.
        pool: MySqlPool,
        /// `max_allowed_packet`: what one statement may take; more would cost the connection.
        packet: usize,
    },
}

impl Pools {
    /// Which database it is.
    pub(super) fn kind(&self) -> DatabaseKind {
        match self {
            Self::Sqlite { .. } => DatabaseKind::Sqlite,
            Self::Postgres(_) => DatabaseKind::Postgres,
            Self::Mysql { .. } => DatabaseKind::Mysql,
        }
    }

    /// A connection for statements that write.
    pub(super) async fn writer(&self) -> Result<Connection, Error> {
        let driver = match self {
            Self::Sqlite { write, .. } => Driver::Sqlite(write.acquire().await?),
            Self::Postgres(pool) => Driver::Postgres(pool.acquire().await?),
            Self::Mysql { pool, .. } => Driver::Mysql(pool.acquire().await?),
        };
        let turns = match self {
            Self::Sqlite { turns, .. } => Some(turns.clone()),
            Self::Postgres(_) | Self::Mysql { .. } => None,
        };
        Ok(Connection { driver, is_open: false, has_failed: false, room: self.room(), turns, begun: None })
    }

    /// A connection for statements that only read.
    pub(super) async fn reader(&self) -> Result<Connection, Error> {
        match self {
            Self::Sqlite { read, .. } => {
                let driver = Driver::Sqlite(read.acquire().await?);
                let (is_open, has_failed, turns, begun) = (false, false, None, None);
                Ok(Connection { driver, is_open, has_failed, room: self.room(), turns, begun })
            }
            Self::Postgres(_) | Self::Mysql { .. } => self.writer().await,
        }
    }

    fn room(&self) -> usize {
        match self {
            Self::Sqlite { .. } | Self::Postgres(_) => usize::MAX,
            Self::Mysql { packet, .. } => *packet,
        }
    }

    /// Waits for the connections to come back and closes them.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { write, read, .. } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
            Self::Mysql { pool, .. } => pool.close().await,
        }
    }
}

#[derive(Debug)]
enum Driver {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
    Mysql(PoolConnection<MySql>),
}

/// A connection taken from its pool.
#[derive(Debug)]
pub(super) struct Connection {
    driver: Driver,
    /// Inside a transaction, or perhaps so.
    is_open: bool,
    /// A statement of the open transaction failed.
    has_failed: bool,
    /// Bytes that one statement may take.
    room: usize,
    /// Where others wait for the lock, too: their turns.
    turns: Option<Turns>,
    /// When the open transaction took the lock.
    begun: Option<Instant>,
}

impl Connection {
    /// Bytes that one statement may take.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// Which database it is.
    pub(super) fn kind(&self) -> DatabaseKind {
        match self.driver {
            Driver::Sqlite(_) => DatabaseKind::Sqlite,
            Driver::Postgres(_) => DatabaseKind::Postgres,
            Driver::Mysql(_) => DatabaseKind::Mysql,
        }
    }

    /// Starts a statement for this database.
    pub(super) fn sql(&self, literal: &'static str) -> Sql {
        Sql::new(self.kind(), literal)
    }

    /// Runs a statement; gives the number of rows it found to write.
    pub(super) async fn execute(&mut self, sql: Sql, binds: Vec<Bind<'_>>) -> Result<u64, Error> {
        self.check_room(&sql, &binds)?;
        let done = match &mut self.driver {
            Driver::Sqlite(connection) => Ok(sqlite::execute(connection, sql, binds).await),
            Driver::Postgres(connection) => timeout(ANSWER_TIMEOUT, postgres::execute(connection, sql, binds)).await,
            Driver::Mysql(connection) => timeout(ANSWER_TIMEOUT, mysql::execute(connection, sql, binds)).await,
        };
        self.answered(done)
    }

    /// Runs a query. Every column must be selected by [`Sql::read`] or be a text.
    pub(super) async fn fetch(&mut self, sql: Sql, binds: Vec<Bind<'_>>) -> Result<Vec<Line>, Error> {
        self.check_room(&sql, &binds)?;
        let done = match &mut self.driver {
            Driver::Sqlite(connection) => Ok(sqlite::fetch(connection, sql, binds).await),
            Driver::Postgres(connection) => timeout(ANSWER_TIMEOUT, postgres::fetch(connection, sql, binds)).await,
            Driver::Mysql(connection) => timeout(ANSWER_TIMEOUT, mysql::fetch(connection, sql, binds)).await,
        };
        self.answered(done)
    }

    /// A statement beyond `max_allowed_packet` is the fault of its values, and would end as a lost connection.
    fn check_room(&mut self, sql: &Sql, binds: &[Bind<'_>]) -> Result<(), Error> {
        if self.room == usize::MAX {
            return Ok(());
        }
        let size = sql.text().len() + binds.iter().map(Bind::size).sum::<usize>() + STATEMENT_HEAD;
        if size <= self.room {
            return Ok(());
        }
        self.has_failed = true;
        let reason =
            format!("the values take {size} bytes, more than the server's max_allowed_packet of {} allows", self.room);
        Err(Error::Refused { table: None, reason })
    }

    fn answered<T>(&mut self, done: Result<Result<T, Error>, tokio::time::error::Elapsed>) -> Result<T, Error> {
        let done = done.unwrap_or_else(|_elapsed| {
            // The answer may still come; nobody must take it for that of another statement.
            self.is_open = true;
            let what = format!("the server has not answered for {} s", ANSWER_TIMEOUT.as_secs());
            Err(Error::Unavailable(std::io::Error::new(std::io::ErrorKind::TimedOut, what).into()))
        });
        self.has_failed |= done.is_err();
        done
    }

    /// Opens a transaction. On SQLite it takes the write lock at once, as one that asks for it later is refused
    /// without waiting.
    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        if let (Some(turns), Driver::Sqlite(connection)) = (&self.turns, &mut self.driver) {
            turns.wait().await;
            turns.bound_wal(connection).await?;
        }
        self.is_open = true;
        self.has_failed = false;
        let sql = match self.kind() {
            DatabaseKind::Sqlite => self.sql("BEGIN IMMEDIATE"),
            DatabaseKind::Postgres => self.sql("BEGIN"),
            DatabaseKind::Mysql => self.sql("START TRANSACTION"),
        };
        self.execute(sql, Vec::new()).await?;
        self.begun = Some(Instant::now());
        Ok(())
    }

    /// Whether a statement failed since the transaction, or the savepoint last returned to, began.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Takes failed statements as undone, after a return to a savepoint.
    pub(super) fn forget_failure(&mut self) {
        self.has_failed = false;
    }

    /// Ends the transaction with `sql`.
    pub(super) async fn end(&mut self, sql: Sql) -> Result<(), Error> {
        self.execute(sql, Vec::new()).await?;
        self.is_open = false;
        self.leave();
        Ok(())
    }
}

impl Connection {
    /// Notes the end of the transaction for those who wait.
    fn leave(&mut self) {
        if let (Some(turns), Some(begun)) = (&self.turns, self.begun.take()) {
            turns.ended(begun);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.leave();
        if self.is_open {
            match &mut self.driver {
                Driver::Sqlite(connection) => connection.close_on_drop(),
                Driver::Postgres(connection) => connection.close_on_drop(),
                Driver::Mysql(connection) => connection.close_on_drop(),
            }
        }
    }
}
