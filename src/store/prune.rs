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
const PRUNED_AT_ONCE: u32 = 500;

impl Store {
    /// Deletes some of the job's oldest runs that need not be kept, in one short statement; gives their number, and
    /// zero when there are no more. The latest run, the last good one and the last that failed stay at any age.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn prune_runs(&self, job: &str, keep: Keep) -> Result<u64, Error> {
        let mut connection = self.pools.writer().await?;
        let mut sql = connection.sql("SELECT ");
        sql.read("id")
            .push(" FROM milkrun_runs WHERE job = ? ORDER BY milkrun_runs.id DESC LIMIT 1 OFFSET ");
        sql.count(keep.newest as usize);
        let too_many = connection.fetch(sql, vec![Bind::text(job)]).await?;
        let too_many = too_many.first().map(|line| line.int(0, "milkrun_runs.id")).transpose()?;
        let mut kept = Vec::new();
        for statuses in [&[] as &[Status], &GOOD, &BAD] {
            kept.extend(newest(&mut connection, job, statuses, false).await?.map(|run| run.id));
        }
        kept.extend(newest(&mut connection, job, &GOOD, true).await?.map(|run| run.id));

        let mut sql = connection.sql("SELECT ");
        sql.read("id").push(" FROM milkrun_runs WHERE job = ? AND (id <= ? OR started_at < ?)");
        let mut binds = vec![Bind::text(job), Bind::Int(Some(too_many.unwrap_or(i64::MIN)))];
        binds.push(Bind::owned(moment_text(keep.since)));
        if !kept.is_empty() {
            sql.push(" AND id NOT IN ").tuples(1, kept.len());
            binds.extend(kept.into_iter().map(|id| Bind::Int(Some(id))));
        }
        sql.push(" ORDER BY milkrun_runs.id LIMIT ").count(PRUNED_AT_ONCE as usize);
        let old = connection.fetch(sql, binds).await?;
        let old = old.iter().map(|line| line.int(0, "milkrun_runs.id")).collect::<Result<Vec<_>, _>>()?;
        if old.is_empty() {
            return Ok(0);
        }
        let mut sql = connection.sql("DELETE FROM milkrun_runs WHERE id IN ");
        sql.tuples(1, old.len());
        connection.execute(sql, old.into_iter().map(|id| Bind::Int(Some(id))).collect()).await
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
