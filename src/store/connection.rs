//! One connection to whichever database the outlet has: statements in, rows of texts out.
//!
//! Everything above is written once, for this. Invariant: a connection never goes back to its pool inside a
//! transaction; one that is dropped there, by an error or a cancelled task, is closed, and its server rolls back. No
//! statement waits for a server for ever.

use std::time::Duration;

use sqlx::{MySql, Postgres};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use crate::config::DatabaseKind;

use super::bind::Bind;
use super::driver::{ANSWER_TIMEOUT, Driver};
use super::dry::{Dry, Lent};
use super::error::Error;
use super::handles::Handles;
use super::line::Line;
use super::loan::Lender;
use super::sql::Sql;
use super::turns::Turns;
use super::values::Values;

/// Bytes of one statement: a quarter of MariaDB's default `max_allowed_packet`.
const BYTES: usize = 4 << 20;

/// What a statement takes beside its text and values.
const STATEMENT_HEAD: usize = 4 << 10;

/// How long an idle connection has to show that it is alive.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// Idle connections are closed before a firewall forgets them.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The pools of one database.
#[derive(Debug, Clone)]
pub(super) enum Pools {
    /// One connection that writes and some that read.
    Sqlite {
        /// The connections.
        handles: Handles,
        /// What is left to other writers of the file.
        turns: Turns,
    },
    /// PostgreSQL.
    Postgres {
        /// The connections.
        pool: Lender<Postgres>,
        /// Bytes of values that one statement of a batch best takes.
        piece: usize,
    },
    /// MariaDB or MySQL.
    Mysql {
        /// The connections.
        pool: Lender<MySql>,
        /// `max_allowed_packet`: what one statement may take; more would cost the connection.
        packet: usize,
    },
    /// The one connection of a dry run, whatever the database.
    Dry(Dry),
}

impl Pools {
    /// Which database it is.
    pub(super) fn kind(&self) -> DatabaseKind {
        match self {
            Self::Sqlite { .. } => DatabaseKind::Sqlite,
            Self::Postgres { .. } => DatabaseKind::Postgres,
            Self::Mysql { .. } => DatabaseKind::Mysql,
            Self::Dry(dry) => dry.kind(),
        }
    }

    /// A connection for statements that write.
    pub(super) async fn writer(&self) -> Result<Connection, Error> {
        let turns = match self {
            Self::Sqlite { turns, .. } => Some(turns.clone()),
            Self::Postgres { .. } | Self::Mysql { .. } | Self::Dry(_) => None,
        };
        let hold = match self {
            Self::Dry(dry) => Hold::Lent(dry.lend().await?),
            Self::Sqlite { .. } | Self::Postgres { .. } | Self::Mysql { .. } => Hold::Own(self.driver().await?),
        };
        Ok(Connection { hold, is_open: false, has_failed: false, room: self.room(), turns, begun: None })
    }

    /// A connection of its own, that writes.
    pub(super) async fn driver(&self) -> Result<Driver, Error> {
        Ok(match self {
            Self::Sqlite { handles, .. } => Driver::Sqlite(handles.writer().await?),
            Self::Postgres { pool, .. } => Driver::Postgres(pool.lend().await?),
            Self::Mysql { pool, .. } => Driver::Mysql(pool.lend().await?),
            Self::Dry(_) => return Err(Error::Unavailable(sqlx::Error::PoolClosed)),
        })
    }

    /// A connection for statements that only read.
    pub(super) async fn reader(&self) -> Result<Connection, Error> {
        match self {
            Self::Sqlite { handles, .. } => {
                let hold = Hold::Own(Driver::Sqlite(handles.reader().await?));
                let (is_open, has_failed, turns, begun) = (false, false, None, None);
                Ok(Connection { hold, is_open, has_failed, room: self.room(), turns, begun })
            }
            Self::Postgres { .. } | Self::Mysql { .. } | Self::Dry(_) => self.writer().await,
        }
    }

    /// The same for who may read long: no writer waits for it.
    pub(super) fn aside(&self) -> Self {
        match self {
            Self::Sqlite { handles, turns } => Self::Sqlite { handles: handles.aside(), turns: turns.clone() },
            Self::Postgres { .. } | Self::Mysql { .. } | Self::Dry(_) => self.clone(),
        }
    }

    /// Bytes that one statement takes.
    pub(super) fn room(&self) -> Room {
        match self {
            Self::Sqlite { .. } => Room::SQLITE,
            Self::Postgres { piece, .. } => Room { most: usize::MAX, piece: *piece },
            Self::Mysql { packet, .. } => Room { most: *packet, piece: BYTES.min(*packet / 2) },
            Self::Dry(dry) => dry.room(),
        }
    }

    /// Waits for the connections to come back and closes them.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { handles, .. } => handles.close().await,
            Self::Postgres { pool, .. } => pool.close().await,
            Self::Mysql { pool, .. } => pool.close().await,
            Self::Dry(dry) => dry.close().await,
        }
    }
}

/// Bytes that one statement takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// At most; the server refuses more.
    most: usize,
    /// Where a batch is cut.
    pub(super) piece: usize,
}

impl Room {
    /// SQLite's, which takes what fits into memory.
    pub(super) const SQLITE: Self = Self { most: usize::MAX, piece: BYTES };
}

/// Where the connection is from.
#[derive(Debug)]
enum Hold {
    /// From a pool.
    Own(Driver),
    /// A dry run's, given back when this is dropped.
    Lent(OwnedMutexGuard<Lent>),
}

/// A connection taken from its pool.
#[derive(Debug)]
pub(super) struct Connection {
    hold: Hold,
    /// Inside a transaction, or perhaps so.
    is_open: bool,
    /// A statement of the open transaction failed.
    has_failed: bool,
    /// Bytes that one statement takes.
    room: Room,
    /// Where others wait for the lock, too: their turns.
    turns: Option<Turns>,
    /// When the open transaction took the lock.
    begun: Option<Instant>,
}

impl Connection {
    /// Bytes at which a batch is cut into statements; a single row beyond it is the database's to refuse.
    pub(super) fn piece(&self) -> usize {
        self.room.piece
    }

    /// Which database it is.
    pub(super) fn kind(&self) -> DatabaseKind {
        match &self.hold {
            Hold::Own(driver) => driver.kind(),
            Hold::Lent(lent) => lent.driver.kind(),
        }
    }

    /// Whether it is a dry run's: nothing that it does will stay.
    pub(super) fn is_dry(&self) -> bool {
        matches!(self.hold, Hold::Lent(_))
    }

    /// Whether a dry run's transactions are stretches of one that never commits; on SQLite they are a copy's own.
    fn is_within(&self) -> bool {
        self.is_dry() && self.kind() != DatabaseKind::Sqlite
    }

    /// The database's own connection.
    pub(super) fn driver(&mut self) -> &mut Driver {
        match &mut self.hold {
            Hold::Own(driver) => driver,
            Hold::Lent(lent) => &mut lent.driver,
        }
    }

    /// Starts a statement for this database.
    pub(super) fn sql(&self, literal: &'static str) -> Sql {
        Sql::new(self.kind(), literal)
    }

    /// Runs a statement; gives the number of rows it found to write.
    pub(super) async fn execute(&mut self, sql: Sql, binds: Vec<Bind<'_>>) -> Result<u64, Error> {
        let values = Values::new(self.kind(), binds);
        self.execute_with(sql, values).await
    }

    /// As [`Connection::execute`], with values that were written into the driver's form before.
    pub(super) async fn execute_with(&mut self, sql: Sql, values: Result<Values, Error>) -> Result<u64, Error> {
        let values = self.fitting(&sql, values)?;
        let done = self.driver().execute(sql, values).await;
        self.answered(done)
    }

    /// Runs a query. Every column must be selected by [`Sql::read`] or be a text.
    pub(super) async fn fetch(&mut self, sql: Sql, binds: Vec<Bind<'_>>) -> Result<Vec<Line>, Error> {
        let values = Values::new(self.kind(), binds);
        let values = self.fitting(&sql, values)?;
        let done = self.driver().fetch(sql, values).await;
        self.answered(done)
    }

    /// A statement beyond `max_allowed_packet` is the fault of its values, and would end as a lost connection.
    fn fitting(&mut self, sql: &Sql, values: Result<Values, Error>) -> Result<Values, Error> {
        let most = self.room.most;
        let fitting = values.and_then(|values| {
            let size = sql.text().len() + values.size + STATEMENT_HEAD;
            if size <= most {
                return Ok(values);
            }
            let reason =
                format!("the values take {size} bytes, more than the server's max_allowed_packet of {most} allows");
            Err(Error::Refused { table: None, reason })
        });
        self.has_failed |= fitting.is_err();
        fitting
    }

    fn answered<T>(&mut self, done: Result<Result<T, Error>, Elapsed>) -> Result<T, Error> {
        let done = done.unwrap_or_else(|_elapsed| {
            // The answer may still come; nobody must take it for that of another statement.
            self.is_open = true;
            if let Hold::Lent(lent) = &mut self.hold {
                lent.lose();
            }
            let what = format!("the server has not answered for {} s", ANSWER_TIMEOUT.as_secs());
            Err(Error::Unavailable(std::io::Error::new(std::io::ErrorKind::TimedOut, what).into()))
        });
        self.has_failed |= done.is_err();
        let is_doubtful = self.has_failed;
        self.driver().doubt(is_doubtful);
        done
    }

    /// Opens a transaction. On SQLite it takes the write lock at once, as one that asks for it later is refused
    /// without waiting.
    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        if let (Some(turns), Hold::Own(Driver::Sqlite(handle))) = (&self.turns, &mut self.hold) {
            turns.wait().await;
            turns.bound_wal(handle.get()?).await?;
        }
        self.is_open = true;
        self.has_failed = false;
        if self.is_within() {
            // It began with the savepoint that was set when the connection was lent.
            return Ok(());
        }
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

    /// Commits.
    pub(super) async fn commit(&mut self) -> Result<(), Error> {
        if !self.is_within() {
            return self.end("COMMIT").await;
        }
        // What the commit would look at, the dry run looks at now.
        let Hold::Lent(lent) = &self.hold else { return Ok(()) };
        for check in lent.checks_at_commit() {
            self.execute(check, Vec::new()).await?;
        }
        self.is_open = false;
        Ok(())
    }

    /// Commits; PostgreSQL writes it to its disk within a moment, or with the next ordinary commit.
    pub(super) async fn commit_soon(&mut self) -> Result<(), Error> {
        if self.is_within() || self.kind() != DatabaseKind::Postgres {
            return self.commit().await;
        }
        // One message for both.
        let done = self.driver().run("SET LOCAL synchronous_commit = off; COMMIT").await;
        self.answered(done)?;
        self.is_open = false;
        Ok(())
    }

    /// Rolls back.
    pub(super) async fn rollback(&mut self) -> Result<(), Error> {
        if !self.is_within() {
            return self.end("ROLLBACK").await;
        }
        let sql = self.sql("ROLLBACK TO SAVEPOINT milkrun_turn");
        self.execute(sql, Vec::new()).await?;
        (self.is_open, self.has_failed) = (false, false);
        Ok(())
    }

    async fn end(&mut self, literal: &'static str) -> Result<(), Error> {
        let sql = self.sql(literal);
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
        let is_unfinished = self.is_open || self.has_failed;
        match &mut self.hold {
            Hold::Own(driver) if self.is_open => driver.close_on_drop(),
            Hold::Own(_) => {}
            Hold::Lent(lent) => lent.leave(is_unfinished),
        }
    }
}
