//! One transaction: a page, all of it or none.

use chrono::{DateTime, Utc};

use crate::config::DatabaseKind;
use crate::run::Counts;

use super::bind::Bind;
use super::connection::Connection;
use super::error::Error;
use super::line::moment_text;
use super::table::Table;
use super::{Store, runs};

/// One transaction. Dropped without [`PageTx::commit`] it leaves nothing behind, and its connection is closed.
///
/// After an error nothing of it can be committed, unless [`PageTx::undo`] goes back to before the failed statement.
#[derive(Debug)]
pub struct PageTx {
    pub(super) connection: Connection,
    /// References of the job's tables that were broken before; only SQLite lets them be.
    broken: u64,
}

impl Store {
    /// Opens a transaction; on SQLite it waits for the one writer.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn begin(&self) -> Result<PageTx, Error> {
        let connection = self.pools.transaction().await?;
        Ok(PageTx { connection, broken: 0 })
    }
}

impl PageTx {
    /// Makes sure that `holder` still has the job's lease, keeps it until `until`, and keeps others from taking it
    /// before this transaction ends. A dry run holds none.
    ///
    /// # Errors
    /// [`Error::Lost`] where somebody else has taken it.
    pub async fn hold_lease(&mut self, job: &str, holder: &str, until: DateTime<Utc>) -> Result<(), Error> {
        if self.connection.is_dry() {
            return Ok(());
        }
        let sql = self.connection.sql("UPDATE milkrun_leases SET expires_at = ? WHERE job = ? AND holder = ?");
        let binds = vec![Bind::owned(moment_text(until)), Bind::text(job), Bind::text(holder)];
        match self.connection.execute(sql, binds).await? {
            0 => Err(Error::Lost { job: job.to_owned() }),
            _ => Ok(()),
        }
    }

    /// Commits what there is and begins anew, which nobody should: [`crate::breakage`].
    ///
    /// # Errors
    /// The database's trouble.
    #[cfg(debug_assertions)]
    pub async fn sever(&mut self) -> Result<(), Error> {
        self.connection.commit().await?;
        self.connection.begin().await
    }

    /// Logs what the run has done so far, together with the page: a process that dies leaves the truth behind.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn save_counts(&mut self, run: i64, counts: &Counts) -> Result<(), Error> {
        runs::save_counts(&mut self.connection, run, counts).await
    }

    /// Has constraints that are deferred to the commit checked with each statement from now on, where the database can;
    /// on SQLite [`PageTx::check_deferred`] looks.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn check_at_once(&mut self, table: &Table) -> Result<(), Error> {
        match self.connection.kind() {
            DatabaseKind::Sqlite => self.broken = self.broken_references(table).await?,
            DatabaseKind::Postgres => {
                let sql = self.connection.sql("SET CONSTRAINTS ALL IMMEDIATE");
                self.connection.execute(sql, Vec::new()).await?;
            }
            DatabaseKind::Mysql => {}
        }
        Ok(())
    }

    /// Whether a deferred reference of the job's tables has been broken since [`PageTx::check_at_once`]. Looks through
    /// the tables.
    ///
    /// # Errors
    /// [`Error::Refused`] where one has; the database's trouble.
    pub async fn check_deferred(&mut self, table: &Table) -> Result<(), Error> {
        if self.connection.kind() == DatabaseKind::Sqlite && self.broken_references(table).await? > self.broken {
            let reason = "FOREIGN KEY constraint failed (it is deferred)".to_owned();
            return Err(Error::Refused { table: Some(table.name.clone()), reason });
        }
        Ok(())
    }

    async fn broken_references(&mut self, table: &Table) -> Result<u64, Error> {
        let names = std::iter::once(&table.name).chain(table.children.iter().map(|child| &child.name));
        let mut broken = 0;
        for name in names {
            let sql = self.connection.sql("SELECT count(*) FROM pragma_foreign_key_check(?)");
            let lines = self.connection.fetch(sql, vec![Bind::text(name)]).await?;
            let count = lines.first().map(|line| line.int(0, "a count")).transpose()?.unwrap_or_default();
            broken += u64::try_from(count).unwrap_or_default();
        }
        Ok(broken)
    }

    /// Marks the place that [`PageTx::undo`] goes back to; a further mark replaces it.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn mark(&mut self) -> Result<(), Error> {
        let sql = self.connection.sql("SAVEPOINT milkrun_mark");
        self.connection.execute(sql, Vec::new()).await?;
        Ok(())
    }

    /// Takes back everything since [`PageTx::mark`], a failed statement included; the mark stays.
    ///
    /// # Errors
    /// No mark was set, or the database has given up the whole transaction (a deadlock, a lost connection).
    pub async fn undo(&mut self) -> Result<(), Error> {
        let sql = self.connection.sql("ROLLBACK TO SAVEPOINT milkrun_mark");
        let undone = self.connection.execute(sql, Vec::new()).await;
        undone.map_err(Error::of_a_transaction_that_is_gone)?;
        self.connection.forget_failure();
        Ok(())
    }

    /// Commits.
    ///
    /// # Errors
    /// The database's trouble; also where a statement failed before and was not undone, as PostgreSQL would roll back
    /// and call it a success, and the others would keep a part. Nothing is kept then.
    pub async fn commit(mut self) -> Result<(), Error> {
        if self.connection.has_failed() {
            self.rollback().await?;
            return Err(Error::Unavailable(sqlx::Error::Protocol(
                "a statement of the transaction had failed; all of it was rolled back".to_owned(),
            )));
        }
        self.connection.commit().await
    }

    /// As [`PageTx::commit`], where what a crash of the server may lose is read again in any case. PostgreSQL then does not
    /// wait for its disk; whoever next commits in the ordinary way, as the end of a run does, has it wait for this, too.
    ///
    /// # Errors
    /// As [`PageTx::commit`].
    pub async fn commit_soon(mut self) -> Result<(), Error> {
        if self.connection.has_failed() { self.commit().await } else { self.connection.commit_soon().await }
    }

    /// Rolls back, and keeps the connection for others.
    ///
    /// # Errors
    /// The connection was lost; the database then rolls back by itself.
    pub async fn rollback(mut self) -> Result<(), Error> {
        self.connection.rollback().await
    }
}
