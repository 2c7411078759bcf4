//! The frame of a run: the transaction that opens it, a look at what waits for it, and the transaction that closes it. A run
//! that finds nothing to do writes nothing else.
//!
//! Invariant: the lease goes with the line in the run log. Who takes a lease that was given back need not look for runs that
//! their process left open.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::crash::{self, Point};
use crate::run::{Run, Trigger};
use crate::watermark::Progress;

use super::bind::Bind;
use super::error::Error;
use super::lease::{self, Lease};
use super::table::Table;
use super::tombstones::{self, ABSENT, BURIED, REFUSED};
use super::{Store, Stream, runs, watermarks};

/// What is to be opened.
#[derive(Debug, Clone, Copy)]
pub struct Start<'s> {
    /// The job.
    pub job: &'s str,
    /// What started the run.
    pub trigger: Trigger,
    /// When it was started.
    pub started: DateTime<Utc>,
    /// Another text for every process.
    pub holder: &'s str,
    /// The outlet's clock.
    pub now: DateTime<Utc>,
    /// How long the lease lasts without being renewed.
    pub ttl: Duration,
    /// Runs that a dead process left open were seen to.
    pub is_cleared: bool,
}

/// What asking to open a run came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Opening {
    /// The lease is ours, and the run is in the log.
    Open(Box<Opened>),
    /// The lease is ours and was not given back before: runs may have been left open. Nothing is logged yet.
    Left,
    /// The same, and it was we who did not give it back.
    Kept,
    /// Another process runs the job.
    Busy {
        /// Who.
        holder: String,
        /// When its lease runs out unless it is renewed.
        until: DateTime<Utc>,
    },
}

/// A run that is open, and how far its job has come.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Opened {
    /// The run's number.
    pub run: i64,
    /// Of the job's records.
    pub records: Option<Progress>,
    /// Of the job's deletes.
    pub deletes: Option<Progress>,
}

/// What waits for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    /// The job's table is empty although the ledger says that rows were written: it was dropped and made anew, emptied, or
    /// is another table than before.
    pub is_hollow: bool,
    /// Records are in quarantine.
    pub has_parked: bool,
    /// Conflicts wait for a decision, or for being carried out.
    pub has_conflicts: bool,
    /// Records are noted as none of the job's, in the version that was looked at.
    pub has_absent: bool,
    /// A record's row has another key than the record's name.
    pub has_own_keys: bool,
    /// Rows of records that are gone are still there, as the database refused to let them go.
    pub has_refused: bool,
}

impl Store {
    /// Takes the job's lease as [`Store::acquire_lease`] does and logs that a run starts, both or none.
    ///
    /// # Errors
    /// The database's trouble, or a stored watermark that cannot be read.
    pub async fn open_run(&self, start: &Start<'_>) -> Result<Opening, Error> {
        let Start { job, trigger, started, holder, now, ttl, is_cleared } = *start;
        let mut connection = self.pools.transaction().await?;
        match lease::acquire(&mut connection, job, holder, now, ttl).await? {
            Lease::Busy { holder, until } => {
                connection.rollback().await?;
                return Ok(Opening::Busy { holder, until });
            }
            Lease::Left if !is_cleared => {
                connection.commit().await?;
                return Ok(Opening::Left);
            }
            Lease::Kept if !is_cleared => {
                connection.commit().await?;
                return Ok(Opening::Kept);
            }
            Lease::Left | Lease::Kept | Lease::Held => {}
        }
        crash::point(Point::LeaseTaken);
        let (records, deletes) = watermarks::load_both(&mut connection, job).await?;
        let seen = records.as_ref().and_then(|progress| progress.watermark.seen.as_ref()).map(ToString::to_string);
        let run = runs::start(&mut connection, job, trigger, started, seen.as_deref()).await?;
        connection.commit().await?;
        Ok(Opening::Open(Box::new(Opened { run, records, deletes })))
    }

    /// What waits for a run of the job.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn outlook(&self, job: &str, table: &Table) -> Result<Outlook, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT CASE WHEN EXISTS (SELECT 1 FROM milkrun_ledger WHERE job = ?)");
        sql.push(" AND NOT EXISTS (SELECT 1 FROM ").name(table.name()).push(") THEN '1' ELSE '0' END");
        sql.push(", CASE WHEN EXISTS (SELECT 1 FROM milkrun_quarantine WHERE job = ?) THEN '1' ELSE '0' END");
        sql.push(", CASE WHEN EXISTS (SELECT 1 FROM milkrun_conflicts WHERE job = ? AND resolved_at IS NULL)");
        sql.push(" THEN '1' ELSE '0' END");
        sql.push(
            ", CASE WHEN EXISTS (SELECT 1 FROM milkrun_tombstones WHERE job = ? AND kind = ?) THEN '1' ELSE '0' END",
        );
        sql.push(", CASE WHEN EXISTS (SELECT 1 FROM milkrun_ledger WHERE job = ? AND local_key IS NOT NULL)");
        sql.push(" THEN '1' ELSE '0' END");
        sql.push(
            ", CASE WHEN EXISTS (SELECT 1 FROM milkrun_tombstones WHERE job = ? AND kind = ?) THEN '1' ELSE '0' END",
        );
        let binds = [job, job, job, job, ABSENT, job, job, REFUSED].map(Bind::text).to_vec();
        let lines = connection.fetch(sql, binds).await?;
        let is_so = |at| lines.first().and_then(|line| line.text(at)) == Some("1");
        Ok(Outlook {
            is_hollow: is_so(0),
            has_parked: is_so(1),
            has_conflicts: is_so(2),
            has_absent: is_so(3),
            has_own_keys: is_so(4),
            has_refused: is_so(5),
        })
    }

    /// Keeps how far the job has come, logs how the run went, and gives the lease back: all of it or nothing.
    ///
    /// # Errors
    /// [`Error::Lost`] where the lease is no longer ours; the database's trouble.
    pub async fn close_run(
        &self,
        holder: &str,
        run: &Run,
        progress: &[(Stream, &Progress)],
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let job = run.job.as_str();
        let mut connection = self.pools.transaction().await?;
        let is_dry = connection.is_dry();
        if !is_dry && !lease::release(&mut connection, job, holder).await? {
            connection.rollback().await?;
            return Err(Error::Lost { job: job.to_owned() });
        }
        for (stream, progress) in progress {
            watermarks::save(&mut connection, job, *stream, progress, now).await?;
            // What lies below `settled` is not listed again, so it need not be remembered.
            if let Some(settled) = &progress.watermark.settled {
                let kind = match stream {
                    Stream::Records => ABSENT,
                    Stream::Deletes => BURIED,
                };
                tombstones::forget(&mut connection, job, kind, &settled.modified).await?;
            }
        }
        if !is_dry {
            runs::finish(&mut connection, run).await?;
        }
        connection.commit().await
    }
}
