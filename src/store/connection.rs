//! One connection to whichever database the outlet has: statements in, rows of texts out.
//!
//! Everything above is written once, for this. Invariant: a connection never goes back to its pool inside a
//! transaction; one that is dropped there, by an error or a cancelled task, is closed, and its server rolls back.

use sqlx::pool::PoolConnection;
use sqlx::{MySql, MySqlPool, PgPool, Postgres, Sqlite, SqlitePool};

use crate::config::DatabaseKind;

use super::bind::Bind;
use super::error::Error;
use super::line::Line;
use super::sql::Sql;
use super::{mysql, postgres, sqlite};

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
    },
    /// PostgreSQL.
    Postgres(PgPool),
    /// MariaDB or MySQL.
    Mysql(MySqlPool),
}

impl Pools {
    /// Which database it is.
    pub(super) fn kind(&self) -> DatabaseKind {
        match self {
            Self::Sqlite { .. } => DatabaseKind::Sqlite,
            Self::Postgres(_) => DatabaseKind::Postgres,
            Self::Mysql(_) => DatabaseKind::Mysql,
        }
    }

    /// A connection for statements that write.
    pub(super) async fn writer(&self) -> Result<Connection, Error> {
        let driver = match self {
            Self::Sqlite { write, .. } => Driver::Sqlite(write.acquire().await?),
            Self::Postgres(pool) => Driver::Postgres(pool.acquire().await?),
            Self::Mysql(pool) => Driver::Mysql(pool.acquire().await?),
        };
        Ok(Connection { driver, is_open: false, has_failed: false })
    }

    /// A connection for statements that only read.
    pub(super) async fn reader(&self) -> Result<Connection, Error> {
        match self {
            Self::Sqlite { read, .. } => {
                let driver = Driver::Sqlite(read.acquire().await?);
                Ok(Connection { driver, is_open: false, has_failed: false })
            }
            Self::Postgres(_) | Self::Mysql(_) => self.writer().await,
        }
    }

    /// Waits for the connections to come back and closes them.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
            Self::Mysql(pool) => pool.close().await,
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
}

impl Connection {
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
        let done = match &mut self.driver {
            Driver::Sqlite(connection) => sqlite::execute(connection, sql, binds).await,
            Driver::Postgres(connection) => postgres::execute(connection, sql, binds).await,
            Driver::Mysql(connection) => mysql::execute(connection, sql, binds).await,
        };
        self.has_failed |= done.is_err();
        done
    }

    /// Runs a query. Every column must be selected by [`Sql::read`] or be a text.
    pub(super) async fn fetch(&mut self, sql: Sql, binds: Vec<Bind<'_>>) -> Result<Vec<Line>, Error> {
        let done = match &mut self.driver {
            Driver::Sqlite(connection) => sqlite::fetch(connection, sql, binds).await,
            Driver::Postgres(connection) => postgres::fetch(connection, sql, binds).await,
            Driver::Mysql(connection) => mysql::fetch(connection, sql, binds).await,
        };
        self.has_failed |= done.is_err();
        done
    }

    /// Opens a transaction. On SQLite it takes the write lock at once, as one that asks for it later is refused
    /// without waiting.
    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        self.is_open = true;
        self.has_failed = false;
        let sql = match self.kind() {
            DatabaseKind::Sqlite => self.sql("BEGIN IMMEDIATE"),
            DatabaseKind::Postgres => self.sql("BEGIN"),
            DatabaseKind::Mysql => self.sql("START TRANSACTION"),
        };
        self.execute(sql, Vec::new()).await?;
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
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.is_open {
            match &mut self.driver {
                Driver::Sqlite(connection) => connection.close_on_drop(),
                Driver::Postgres(connection) => connection.close_on_drop(),
                Driver::Mysql(connection) => connection.close_on_drop(),
            }
        }
    }
}
