//! The run log.

use chrono::{DateTime, Utc};

use crate::run::{Counts, Run, Status, Trigger};

use super::Store;
use super::bind::Bind;
use super::connection::Connection;
use super::error::Error;
use super::line::{Line, moment_text};
use super::sql::Sql;

/// A job's latest runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRuns {
    /// The latest that was to read more than chosen records; the latest of all where there is none.
    pub latest: Run,
    /// The latest that brought the table up to date: it came to its end, and read more than chosen records.
    pub good: Option<Run>,
    /// Where the latest is still going on, the latest before it that is not, and that read more than chosen records.
    pub before: Option<Run>,
}

/// What is said of a run whose process is no more.
pub const ABANDONED: &str =
    "the process ended before the run did; what it had committed is kept, the next run goes on from there";

/// What is said of a run whose process lives, and has left it.
pub const CUT_OFF: &str = "the run was cut off, or how it ended could not be kept; what it had committed is kept, the next run goes on from there";

const COLUMNS: [&str; 19] = [
    "id",
    "job",
    "trigger_kind",
    "started_at",
    "ended_at",
    "status",
    "fetched",
    "inserted",
    "updated",
    "unchanged",
    "deleted",
    "quarantined",
    "requests",
    "bytes",
    "retries",
    "watermark_before",
    "watermark_after",
    "error",
    "remedy",
];

const TRIGGERS: [(Trigger, &str); 9] = [
    (Trigger::Schedule, "schedule"),
    (Trigger::Start, "start"),
    (Trigger::Retry, "retry"),
    (Trigger::Sync, "sync"),
    (Trigger::Full, "full"),
    (Trigger::Since, "since"),
    (Trigger::Name, "name"),
    (Trigger::Quarantine, "quarantine"),
    (Trigger::Reconcile, "reconcile"),
];

const STATUSES: [(Status, &str); 6] = [
    (Status::Running, "running"),
    (Status::Ok, "ok"),
    (Status::Quarantine, "quarantine"),
    (Status::Conflict, "conflict"),
    (Status::Failed, "failed"),
    (Status::Blocked, "blocked"),
];

impl Store {
    /// Logs that a run starts; gives its number, 0 in a dry run, of which the log is not to know.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn start_run(
        &self,
        job: &str,
        trigger: Trigger,
        now: DateTime<Utc>,
        watermark_before: Option<&str>,
    ) -> Result<i64, Error> {
        if self.is_dry_run() {
            return Ok(0);
        }
        start(&mut self.pools.writer().await?, job, trigger, now, watermark_before).await
    }

    /// Logs how a run went, or goes: its end, status, counts, watermark and error.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn finish_run(&self, run: &Run) -> Result<(), Error> {
        if self.is_dry_run() {
            return Ok(());
        }
        finish(&mut self.pools.writer().await?, run).await
    }

    /// Logs a run that is over before it has begun, and numbers it; a death in between leaves nothing of it. Of one that
    /// `made_way` for another of the same job it is the other that tells how the job stands.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn log_run(&self, run: &mut Run, made_way: bool) -> Result<(), Error> {
        if self.is_dry_run() {
            return Ok(());
        }
        let mut connection = self.pools.transaction().await?;
        let before = run.watermark_before.as_deref();
        run.id = start(&mut connection, &run.job, run.trigger, run.started_at, before).await?;
        finish(&mut connection, run).await?;
        if made_way {
            let sql = connection.sql("UPDATE milkrun_runs SET never_began = 1 WHERE id = ?");
            connection.execute(sql, vec![Bind::Int(Some(run.id))]).await?;
        }
        connection.commit().await
    }

    /// The newest `limit` runs, newest first: of one job or of all, and perhaps only those that failed or are blocked.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn runs(&self, job: Option<&str>, failed_only: bool, limit: u32) -> Result<Vec<Run>, Error> {
        self.runs_since(job, failed_only, None, limit).await
    }

    /// As [`Store::runs`], of those that had not ended at this moment.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn runs_since(
        &self,
        job: Option<&str>,
        failed_only: bool,
        since: Option<DateTime<Utc>>,
        limit: u32,
    ) -> Result<Vec<Run>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = select(&connection);
        sql.push(" WHERE 1 = 1");
        let mut binds = Vec::new();
        if let Some(job) = job {
            sql.push(" AND job = ?");
            binds.push(Bind::text(job));
        }
        if failed_only {
            sql.push(" AND status IN ('failed', 'blocked')");
        }
        if let Some(since) = since {
            sql.push(" AND (ended_at IS NULL OR ended_at >= ?)");
            binds.push(Bind::owned(moment_text(since)));
        }
        sql.push(" ORDER BY milkrun_runs.id DESC LIMIT ")
            .count(usize::try_from(limit).unwrap_or(usize::MAX));
        read(&mut connection, sql, binds).await
    }

    /// One run.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn run(&self, id: i64) -> Result<Option<Run>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = select(&connection);
        sql.push(" WHERE id = ?");
        Ok(read(&mut connection, sql, vec![Bind::Int(Some(id))]).await?.pop())
    }

    /// The job's latest runs that began, each by one step into an index; `None` before the first.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn last_runs(&self, job: &str) -> Result<Option<LastRuns>, Error> {
        let mut connection = self.pools.reader().await?;
        let latest = match newest(&mut connection, job, &[], true).await? {
            Some(whole) => Some(whole),
            None => newest(&mut connection, job, &[], false).await?,
        };
        let Some(latest) = latest else { return Ok(None) };
        let is_good = latest.status.is_done() && latest.trigger.is_whole();
        let good = if is_good { Some(latest.clone()) } else { newest(&mut connection, job, &GOOD, true).await? };
        let before = match latest.status {
            Status::Running => newest(&mut connection, job, &ENDED, true).await?,
            Status::Ok | Status::Quarantine | Status::Conflict | Status::Failed | Status::Blocked => None,
        };
        Ok(Some(LastRuns { latest, good, before }))
    }

    /// The newest run, of any job, that came to its end and asked HQ: HQ answered then.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn last_answered(&self) -> Result<Option<Run>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = select(&connection);
        sql.push(" WHERE status IN ").tuples(1, GOOD.len()).push(" AND requests > retries");
        sql.push(" ORDER BY milkrun_runs.id DESC LIMIT 1");
        let binds = GOOD.iter().map(|status| Bind::text(word(&STATUSES, *status))).collect();
        Ok(read(&mut connection, sql, binds).await?.pop())
    }

    /// Whether a run of the job has not ended. Asked by who holds the job's lease, it tells of a process that died.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn has_open_run(&self, job: &str) -> Result<bool, Error> {
        Ok(self.open_run_of(job).await?.is_some())
    }

    /// The newest run of the job that has not ended.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn open_run_of(&self, job: &str) -> Result<Option<Run>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = select(&connection);
        sql.push(" WHERE job = ? AND status = 'running' ORDER BY milkrun_runs.id DESC LIMIT 1");
        Ok(read(&mut connection, sql, vec![Bind::text(job)]).await?.pop())
    }

    /// Ends the runs of the job that were left running, with `said` as their error. Only for who holds the job's lease.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn abandon_runs(&self, job: &str, said: &'static str, now: DateTime<Utc>) -> Result<u64, Error> {
        if self.is_dry_run() {
            return Ok(0);
        }
        let mut connection = self.pools.writer().await?;
        let sql = connection.sql(
            "UPDATE milkrun_runs SET status = 'failed', ended_at = ?, error = ? WHERE job = ? AND status = 'running'",
        );
        connection
            .execute(sql, vec![Bind::owned(moment_text(now)), Bind::text(said), Bind::text(job)])
            .await
    }
}

/// The runs that came to their end, and those that did not.
pub(super) const GOOD: [Status; 3] = [Status::Ok, Status::Quarantine, Status::Conflict];
pub(super) const BAD: [Status; 2] = [Status::Failed, Status::Blocked];

const ENDED: [Status; 5] = [Status::Ok, Status::Quarantine, Status::Conflict, Status::Failed, Status::Blocked];

/// The job's newest run that began and ended so (in any way, where none is named); with `whole`, that was to read more
/// than chosen records.
pub(super) async fn newest(
    connection: &mut Connection,
    job: &str,
    statuses: &[Status],
    whole: bool,
) -> Result<Option<Run>, Error> {
    let mut sql = select(connection);
    sql.push(" WHERE job = ? AND never_began IS NULL");
    let mut binds = vec![Bind::text(job)];
    if !statuses.is_empty() {
        sql.push(" AND status IN ").tuples(1, statuses.len());
        binds.extend(statuses.iter().map(|status| Bind::text(word(&STATUSES, *status))));
    }
    if whole {
        let chosen: Vec<_> = TRIGGERS.iter().filter(|(trigger, _)| !trigger.is_whole()).collect();
        sql.push(" AND trigger_kind NOT IN ").tuples(1, chosen.len());
        binds.extend(chosen.into_iter().map(|(_, word)| Bind::text(word)));
    }
    sql.push(" ORDER BY milkrun_runs.id DESC LIMIT 1");
    Ok(read(connection, sql, binds).await?.pop())
}

/// As [`Store::start_run`].
pub(super) async fn start(
    connection: &mut Connection,
    job: &str,
    trigger: Trigger,
    now: DateTime<Utc>,
    watermark_before: Option<&str>,
) -> Result<i64, Error> {
    let sql = connection.sql(
        "INSERT INTO milkrun_runs (job, trigger_kind, started_at, status, watermark_before, \
         fetched, inserted, updated, unchanged, deleted, quarantined, requests, bytes, retries) \
         VALUES (?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
    );
    let binds = vec![
        Bind::text(job),
        Bind::text(word(&TRIGGERS, trigger)),
        Bind::owned(moment_text(now)),
        Bind::text(word(&STATUSES, Status::Running)),
        Bind::Text(watermark_before.map(Into::into)),
    ];
    connection.insert_numbered(sql, binds).await
}

/// As [`Store::finish_run`].
pub(super) async fn finish(connection: &mut Connection, run: &Run) -> Result<(), Error> {
    let mut sql = connection.sql("UPDATE milkrun_runs SET ");
    sql.list(", ", COLUMNS.into_iter().skip(4), |sql, column| {
        sql.push(column).push(" = ?");
    });
    sql.push(" WHERE id = ?");
    let text = |text: &'_ Option<String>| Bind::Text(text.clone().map(Into::into));
    let mut binds =
        vec![Bind::Text(run.ended_at.map(|ended| moment_text(ended).into())), Bind::text(word(&STATUSES, run.status))];
    binds.extend(counts(&run.counts));
    binds.extend([&run.watermark_before, &run.watermark_after, &run.error, &run.remedy].map(text));
    binds.push(Bind::Int(Some(run.id)));
    connection.execute(sql, binds).await?;
    Ok(())
}

pub(super) async fn save_counts(connection: &mut Connection, run: i64, so_far: &Counts) -> Result<(), Error> {
    if connection.is_dry() {
        return Ok(());
    }
    let mut sql = connection.sql("UPDATE milkrun_runs SET ");
    sql.list(", ", COLUMNS.into_iter().skip(6).take(9), |sql, column| {
        sql.push(column).push(" = ?");
    });
    sql.push(" WHERE id = ?");
    let mut binds = Vec::from(counts(so_far));
    binds.push(Bind::Int(Some(run)));
    connection.execute(sql, binds).await?;
    Ok(())
}

fn select(connection: &Connection) -> Sql {
    let mut sql = connection.sql("SELECT ");
    sql.reads(COLUMNS).push(" FROM milkrun_runs");
    sql
}

async fn read(connection: &mut Connection, sql: Sql, binds: Vec<Bind<'_>>) -> Result<Vec<Run>, Error> {
    connection.fetch(sql, binds).await?.into_iter().map(run).collect()
}

fn run(mut line: Line) -> Result<Run, Error> {
    let count =
        |at: usize| line.int(at, "a count of milkrun_runs").map(|count| u64::try_from(count).unwrap_or_default());
    let counts = Counts {
        fetched: count(6)?,
        inserted: count(7)?,
        updated: count(8)?,
        unchanged: count(9)?,
        deleted: count(10)?,
        quarantined: count(11)?,
        requests: count(12)?,
        bytes: count(13)?,
        retries: count(14)?,
    };
    let started_at = line.moment(3, "milkrun_runs.started_at")?;
    Ok(Run {
        id: line.int(0, "milkrun_runs.id")?,
        job: line.required(1, "milkrun_runs.job")?.to_owned(),
        trigger: meaning(&TRIGGERS, line.required(2, "milkrun_runs.trigger_kind")?)?,
        started_at: started_at.ok_or_else(|| Error::Damaged("milkrun_runs.started_at is null".to_owned()))?,
        ended_at: line.moment(4, "milkrun_runs.ended_at")?,
        status: meaning(&STATUSES, line.required(5, "milkrun_runs.status")?)?,
        counts,
        watermark_before: line.take(15),
        watermark_after: line.take(16),
        error: line.take(17),
        remedy: line.take(18),
    })
}

/// In the order of the columns.
fn counts<'a>(counts: &Counts) -> [Bind<'a>; 9] {
    let Counts { fetched, inserted, updated, unchanged, deleted, quarantined, requests, bytes, retries } = *counts;
    [fetched, inserted, updated, unchanged, deleted, quarantined, requests, bytes, retries]
        .map(|count| Bind::Int(Some(i64::try_from(count).unwrap_or(i64::MAX))))
}

fn word<T: PartialEq>(words: &[(T, &'static str)], meant: T) -> &'static str {
    words.iter().find(|(meaning, _)| *meaning == meant).map_or("unknown", |(_, word)| word)
}

fn meaning<T: Copy>(words: &[(T, &'static str)], found: &str) -> Result<T, Error> {
    let known = words.iter().find(|(_, word)| *word == found);
    known
        .map(|(meaning, _)| *meaning)
        .ok_or_else(|| Error::Damaged(format!("milkrun_runs holds the word {found:?}")))
}
