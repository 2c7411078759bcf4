//! One connection to whichever database the outlet has: statements in, rows of texts out.
//!
//! Everything above is written once, for this. Invariant: a connection never goes back to its pool inside a
//! transaction; one that is dropped there, by an error or a cancelled task, is closed, and its server rolls back. No
//! statement waits for a server for ever.

use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use crate::config::DatabaseKind;

use super::bind::Bind;
use super::driver::{ANSWER_TIMEOUT, Done, Driver};
use super::dry::Lent;
use super::error::Error;
use super::line::Line;
use super::pools::Room;
use super::sql::Sql;
use super::turns::Turns;
use super::values::Values;

/// What a statement takes beside its text and values.
const STATEMENT_HEAD: usize = 4 << 10;

/// Where the connection is from.
#[derive(Debug)]
pub(super) enum Hold {
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
    pub(super) fn new(hold: Hold, room: Room, turns: Option<Turns>) -> Self {
        Self { hold, is_open: false, has_failed: false, room, turns, begun: None }
    }

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
        self.done_with(sql, values).await.map(|done| done.rows)
    }

    /// Makes one row, which the database numbers; gives the number, of its column `id`.
    pub(super) async fn insert_numbered(&mut self, mut sql: Sql, binds: Vec<Bind<'_>>) -> Result<i64, Error> {
        let number = match self.kind() {
            DatabaseKind::Postgres => {
                sql.push(" RETURNING ").read("id");
                let lines = self.fetch(sql, binds).await?;
                lines.first().map(|line| line.int(0, "the number of a new row")).transpose()?
            }
            DatabaseKind::Sqlite | DatabaseKind::Mysql => {
                let values = Values::new(self.kind(), binds);
                self.done_with(sql, values).await?.number.filter(|number| *number > 0)
            }
        };
        number.ok_or_else(|| Error::Damaged("a new row was given no number".to_owned()))
    }

    async fn done_with(&mut self, sql: Sql, values: Result<Values, Error>) -> Result<Done, Error> {
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
