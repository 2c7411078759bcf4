//! What is deleted from milkrun's own tables so that they do not grow for years: old runs, and rows that went long ago.

use chrono::{DateTime, Utc};

use crate::run::Status;

use super::Store;
use super::bind::Bind;
use super::error::Error;
use super::line::moment_text;
use super::runs::{BAD, GOOD, newest};

/// How much of the run log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// No run that started before this moment.
    pub since: DateTime<Utc>,
    /// Of each job no more than so many.
    pub newest: u32,
}

/// Rows deleted by one statement: a short one, so that nobody waits for it.
const PRUNED_AT_ONCE: usize = 500;

/// Runs of a job that stay at any age, at most.
const STAYING: usize = 4;

impl Store {
    /// Deletes some of the job's oldest runs that need not be kept, in one short statement; gives their number, and
    /// zero when there are no more. The latest run, the last good one and the last that failed stay at any age.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn prune_runs(&self, job: &str, keep: Keep) -> Result<u64, Error> {
        let mut connection = self.pools.writer().await?;
        let mut sql = connection.sql("SELECT ");
        sql.read("id").push(" FROM milkrun_runs WHERE job = ? AND (started_at < ? OR id <= ");
        sql.push("(SELECT id FROM milkrun_runs WHERE job = ? ORDER BY id DESC LIMIT 1 OFFSET ");
        sql.count(keep.newest as usize).push(")) ORDER BY milkrun_runs.id LIMIT ");
        // Some of the oldest may be such that stay.
        sql.count(PRUNED_AT_ONCE + STAYING);
        let binds = vec![Bind::text(job), Bind::owned(moment_text(keep.since)), Bind::text(job)];
        let old = connection.fetch(sql, binds).await?;
        let old = old.iter().map(|line| line.int(0, "milkrun_runs.id")).collect::<Result<Vec<_>, _>>()?;
        if old.is_empty() {
            return Ok(0);
        }
        let mut kept = Vec::with_capacity(STAYING);
        for (statuses, whole) in [(&[] as &[Status], false), (&GOOD, false), (&BAD, false), (&GOOD, true)] {
            kept.extend(newest(&mut connection, job, statuses, whole).await?.map(|run| run.id));
        }
        let old = old.into_iter().filter(|id| !kept.contains(id)).take(PRUNED_AT_ONCE);
        let old: Vec<_> = old.map(|id| Bind::Int(Some(id))).collect();
        if old.is_empty() {
            return Ok(0);
        }
        let mut sql = connection.sql("DELETE FROM milkrun_runs WHERE id IN ");
        sql.tuples(1, old.len());
        connection.execute(sql, old).await
    }

    /// Forgets rows of the job that went before `since`, or that are beyond the newest `newest`.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn prune_gone(&self, job: &str, since: DateTime<Utc>, newest: usize) -> Result<u64, Error> {
        let mut connection = self.pools.writer().await?;
        let mut sql = connection.sql("SELECT ");
        sql.read("gone_at")
            .push(" FROM milkrun_gone WHERE job = ? ORDER BY milkrun_gone.gone_at DESC LIMIT 1 OFFSET ");
        sql.count(newest);
        let bound = connection.fetch(sql, vec![Bind::text(job)]).await?;
        let bound = bound.first().and_then(|line| line.text(0)).unwrap_or_default().to_owned();
        let sql = connection.sql("DELETE FROM milkrun_gone WHERE job = ? AND (gone_at < ? OR gone_at <= ?)");
        let binds = vec![Bind::text(job), Bind::owned(moment_text(since)), Bind::owned(bound)];
        connection.execute(sql, binds).await
    }
}
