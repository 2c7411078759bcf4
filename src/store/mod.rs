//! The outlet's own database: rows, and milkrun's own tables beside them.
//!
//! A [`Store`] is a handle to the database; a [`PageTx`] is one transaction, in which a page's rows, its ledger entries
//! and its watermark commit together or not at all. SQLite, PostgreSQL and MariaDB/MySQL behave the same from here on;
//! what differs is in `sqlite`, `postgres`, `mysql`, and in the texts of `sql`, `batch`, `create` and `catalog`.
//!
//! Invariants: every value is bound; every name is quoted by one function; a page costs a constant number of statements,
//! whatever its rows hold. This module does not know where records come from or why a row is written, and reads no clock.

mod batch;
mod bind;
mod catalog;
mod changed;
mod check;
mod children;
mod conflicts;
mod connection;
mod copy;
mod counts;
mod create;
mod declared;
mod driver;
mod dry;
mod error;
mod frame;
mod handles;
mod instance;
mod lease;
mod ledger;
mod line;
mod loan;
mod lookups;
mod migrate;
mod mysql;
mod pools;
mod postgres;
mod presence;
mod prune;
mod quarantine;
mod recall;
mod reconciles;
mod restamp;
mod rows;
mod runs;
mod seek;
mod spelling;
mod sql;
mod sqlite;
mod table;
mod temporary;
mod tombstones;
mod turns;
mod tx;
mod update;
mod values;
mod versions;
mod vitals;
mod watermarks;

#[cfg(test)]
mod tests;

pub use changed::{GoneRow, Span, Touched, TouchedRow};
pub use conflicts::Wanted as WantedConflicts;
pub use error::Error;
pub use frame::{Opened, Opening, Outlook, Start};
pub use instance::{Instance, file_of};
pub use lease::Lease;
pub use prune::Keep;
pub use reconciles::{Standing, Trace};
pub use rows::HeldRow;
pub use runs::{ABANDONED, CUT_OFF, LastRuns};
pub use table::Table;
pub use tx::PageTx;
pub use vitals::{OwnTables, Server};
pub use watermarks::Stream;

use std::collections::BTreeSet;

use crate::config::{DatabaseKind, Job, Local};

use driver::Driver;
use pools::Pools;
use table::Wish;

/// The outlet's database; clones share its connections.
///
/// On SQLite there is one connection that writes: a task that holds a [`PageTx`] must not also wait for a writing
/// method of the store (leases, the run log), as that waits for the transaction. Reading methods never wait for it.
#[derive(Debug, Clone)]
pub struct Store {
    pools: Pools,
    /// MariaDB's and MySQL's collation for texts that milkrun makes columns for.
    collation: &'static str,
}

impl Store {
    /// Connects and brings milkrun's own tables up to date; quick where there is nothing to do, and safe beside
    /// others that do the same.
    ///
    /// # Errors
    /// The database cannot be reached, lets nobody in, or holds tables of a newer milkrun.
    pub async fn open(local: &Local) -> Result<Self, Error> {
        let pools = match local.kind {
            DatabaseKind::Sqlite => sqlite::open(&local.url).await?,
            DatabaseKind::Postgres => postgres::open(&local.url).await?,
            DatabaseKind::Mysql => mysql::open(&local.url).await?,
        };
        let store = Self { collation: exact_collation(&pools).await?, pools };
        migrate::run(&store.pools).await?;
        Ok(store)
    }

    /// Opens the database for a dry run: all is done as in a real one and nothing of it stays, however the process ends.
    /// SQLite's file is copied; on the servers one transaction is open until [`Store::close`], and rolled back.
    ///
    /// Nobody who holds a [`PageTx`] of it may use another method of the store: there is one connection.
    ///
    /// # Errors
    /// As [`Store::open`]; no room for a copy.
    pub async fn dry_run(local: &Local) -> Result<Self, Error> {
        let pools = dry::open(local).await?;
        Ok(Self { collation: exact_collation(&pools).await?, pools })
    }

    /// Whether this is a dry run.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        matches!(self.pools, Pools::Dry(_))
    }

    /// The same database for who may read long, as for a page of status: nobody who writes waits for it.
    #[must_use]
    pub fn aside(&self) -> Self {
        Self { pools: self.pools.aside(), ..self.clone() }
    }

    /// Which database it is.
    #[must_use]
    pub fn kind(&self) -> DatabaseKind {
        self.pools.kind()
    }

    /// Looks whether the database survived an unclean end of milkrun or of the machine. Only a SQLite file is looked
    /// through, for a minute at most: the servers do so by themselves.
    ///
    /// # Errors
    /// [`Error::Damaged`], or the database's trouble.
    pub async fn examine(&self) -> Result<(), Error> {
        if self.kind() != DatabaseKind::Sqlite {
            return Ok(());
        }
        match self.pools.aside().reader().await?.driver() {
            Driver::Sqlite(handle) => sqlite::examine(handle.get()?).await,
            Driver::Postgres(_) | Driver::Mysql(_) => Ok(()),
        }
    }

    /// Closes all connections once they are free.
    pub async fn close(&self) {
        self.pools.close().await;
    }

    /// Makes the job's tables where it says so and they are missing, checks those that are there, and gives their
    /// layout.
    ///
    /// # Errors
    /// [`Error::Schema`] with all findings, or the database's trouble.
    pub async fn prepare(&self, job: &Job) -> Result<Table, Error> {
        self.prepare_wish(&Wish::from(job)).await
    }

    /// As [`Store::prepare`], but makes nothing: `None` where something is missing that it would make.
    ///
    /// # Errors
    /// [`Error::Schema`] with all findings, or the database's trouble.
    pub async fn lay_out(&self, job: &Job) -> Result<Option<Table>, Error> {
        table::lay_out(&mut self.pools.writer().await?, &Wish::from(job), self.collation).await
    }

    /// Mapped columns that the job's tables do not have, each with its table.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn absent_columns(&self, job: &Job) -> Result<Vec<(String, String)>, Error> {
        table::absent_columns(&mut self.pools.reader().await?, &Wish::from(job)).await
    }

    /// Tables that the job looks values up in and that are not there: another job may make them.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn absent_lookups(&self, job: &Job) -> Result<BTreeSet<String>, Error> {
        table::absent_lookups(&mut self.pools.reader().await?, &Wish::from(job)).await
    }

    /// The findings that would keep [`Store::prepare`] from its work; makes nothing.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn inspect(&self, job: &Job) -> Result<Vec<String>, Error> {
        self.inspect_wish(&Wish::from(job)).await
    }

    /// The statements by which [`Store::prepare`] would make what is missing; makes nothing.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn to_make(&self, job: &Job) -> Result<Vec<String>, Error> {
        table::to_make(&mut self.pools.reader().await?, &Wish::from(job), self.collation).await
    }

    async fn prepare_wish(&self, wish: &Wish<'_>) -> Result<Table, Error> {
        table::prepare(&mut self.pools.writer().await?, wish, self.collation).await
    }

    async fn inspect_wish(&self, wish: &Wish<'_>) -> Result<Vec<String>, Error> {
        table::inspect(&mut self.pools.reader().await?, wish, self.collation).await
    }
}

/// The collation under which texts are equal only if their bytes are: `a` and `a ` are one under `utf8mb4_bin`, so
/// MariaDB's and MySQL's own spelling of "without padding" is preferred.
async fn exact_collation(pools: &Pools) -> Result<&'static str, Error> {
    match pools.kind() {
        DatabaseKind::Sqlite | DatabaseKind::Postgres => Ok(""),
        DatabaseKind::Mysql => {
            let mut connection = pools.reader().await?;
            let sql = connection.sql(
                "SELECT CAST(collation_name AS CHAR) FROM information_schema.collations \
                 WHERE collation_name IN ('utf8mb4_nopad_bin', 'utf8mb4_0900_bin')",
            );
            let known = connection.fetch(sql, Vec::new()).await?;
            let known: Vec<_> = known.iter().filter_map(|line| line.text(0)).collect();
            let preferred = ["utf8mb4_nopad_bin", "utf8mb4_0900_bin"];
            Ok(preferred.into_iter().find(|name| known.contains(name)).unwrap_or("utf8mb4_bin"))
        }
    }
}
