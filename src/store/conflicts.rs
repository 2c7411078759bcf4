//! The log of conflicts: lines that wait for an operator, and lines that say how it was decided.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::conflict::{Conflict, Kind, Resolution, Rule, Side};

use super::Store;
use super::batch::{self, Batch};
use super::bind::Bind;
use super::catalog::Stored;
use super::connection::Connection;
use super::counts;
use super::error::Error;
use super::line::{Line, moment_text};
use super::tx::PageTx;

const COLUMNS: [&str; 17] = [
    "job",
    "hq_name",
    "local_key",
    "kind",
    "hq_modified",
    "base",
    "hq",
    "local",
    "rule",
    "run",
    "raised_at",
    "hq_version",
    "local_version",
    "told",
    "resolved_at",
    "resolution",
    "id",
];

/// Those of `COLUMNS` that a line is written with: the database numbers them itself.
const WRITTEN: usize = 16;

/// Which of them are whole numbers.
const INTS: [&str; 3] = ["run", "hq_version", "local_version"];

/// Lines deleted by one statement: a short one, so that nobody waits for it.
const PRUNED_AT_ONCE: usize = 500;

const SIDES: [Side; 2] = [Side::Hq, Side::Local];

/// Which lines of the log are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'w> {
    /// Only this job's.
    pub job: Option<&'w str>,
    /// Only this record's.
    pub name: Option<&'w str>,
    /// Only those that wait for an operator, or for the run that does what he said.
    pub is_open: bool,
    /// Only those before this one.
    pub before: Option<i64>,
    /// So many at most, the newest.
    pub limit: Option<u32>,
}

impl Store {
    /// Lines of the log, the newest first.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn conflicts(&self, wanted: Wanted<'_>) -> Result<Vec<Conflict>, Error> {
        let mut connection = self.pools.reader().await?;
        read(&mut connection, wanted, None).await
    }

    /// One line of the log.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn conflict(&self, id: i64) -> Result<Option<Conflict>, Error> {
        let mut connection = self.pools.reader().await?;
        Ok(read(&mut connection, Wanted::default(), Some(id)).await?.pop())
    }

    /// How many conflicts wait, by job.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn count_conflicts(&self) -> Result<HashMap<String, u64>, Error> {
        let mut connection = self.pools.reader().await?;
        counts::by_job(&mut connection, "milkrun_conflicts WHERE resolved_at IS NULL").await
    }

    /// Notes what an operator said of a conflict that waits; false where it waits no more.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn tell_conflict(&self, id: i64, side: Side) -> Result<bool, Error> {
        let mut connection = self.pools.writer().await?;
        let sql = connection.sql("UPDATE milkrun_conflicts SET told = ? WHERE resolved_at IS NULL AND id = ?");
        Ok(connection.execute(sql, vec![Bind::text(side.word()), Bind::Int(Some(id))]).await? > 0)
    }

    /// Deletes some of the oldest lines that were decided before `since`, or that are beyond the newest `newest` of the
    /// job; gives their number, and zero when there are no more.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn prune_conflicts(&self, job: &str, since: DateTime<Utc>, newest: usize) -> Result<u64, Error> {
        let mut connection = self.pools.writer().await?;
        let mut sql = connection.sql("SELECT ");
        sql.read("id").push(" FROM milkrun_conflicts WHERE job = ? AND resolved_at IS NOT NULL");
        sql.push(" AND (resolved_at < ? OR id <= ");
        sql.push("(SELECT id FROM milkrun_conflicts WHERE job = ? ORDER BY id DESC LIMIT 1 OFFSET ");
        sql.count(newest).push(")) ORDER BY milkrun_conflicts.id LIMIT ").count(PRUNED_AT_ONCE);
        let binds = vec![Bind::text(job), Bind::owned(moment_text(since)), Bind::text(job)];
        let old = connection.fetch(sql, binds).await?;
        let old = old.iter().map(|line| line.int(0, "milkrun_conflicts.id")).collect::<Result<Vec<_>, _>>()?;
        delete(&mut connection, &old).await
    }
}

impl PageTx {
    /// The conflicts of these records that wait, by name.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn open_conflicts(&mut self, job: &str) -> Result<Vec<Conflict>, Error> {
        read(&mut self.connection, Wanted { job: Some(job), is_open: true, ..Wanted::default() }, None).await
    }

    /// Adds lines; their numbers are the database's to give.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn log_conflicts(&mut self, conflicts: &[Conflict]) -> Result<(), Error> {
        let (text, int) = (Stored::text(), Stored::int());
        let named = COLUMNS.iter().take(WRITTEN).map(|name| (*name, if INTS.contains(name) { &int } else { &text }));
        let columns: Vec<_> = named.collect();
        let mut batch = Batch::new(columns.len());
        let shared = |text: &'_ Option<String>| Bind::Text(text.clone().map(Into::into));
        for one in conflicts {
            batch.extend([
                Bind::text(&one.job),
                Bind::text(&one.name),
                Bind::text(&one.local_key),
                Bind::text(one.kind.word()),
                Bind::Text(one.modified.as_ref().map(|modified| modified.as_str().into())),
                shared(&one.base),
                shared(&one.hq),
                shared(&one.local),
                Bind::text(one.rule.word()),
                Bind::Int(Some(one.run)),
                Bind::owned(moment_text(one.raised_at)),
                Bind::Int(Some(one.hq_version)),
                Bind::Int(Some(one.local_version)),
                Bind::Text(one.told.map(|side| side.word().into())),
                Bind::Text(one.resolved_at.map(|at| moment_text(at).into())),
                Bind::Text(one.resolution.map(|resolution| resolution.word().into())),
            ]);
        }
        batch::insert(&mut self.connection, "milkrun_conflicts", &columns, batch, "").await
    }

    /// Closes a conflict that waited.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn close_conflict(&mut self, id: i64, how: Resolution, now: DateTime<Utc>) -> Result<(), Error> {
        let sql = self.connection.sql("UPDATE milkrun_conflicts SET resolved_at = ?, resolution = ? WHERE id = ?");
        let binds = vec![Bind::owned(moment_text(now)), Bind::text(how.word()), Bind::Int(Some(id))];
        self.connection.execute(sql, binds).await?;
        Ok(())
    }

    /// Takes out lines that others replace.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn forget_conflicts(&mut self, ids: &[i64]) -> Result<(), Error> {
        delete(&mut self.connection, ids).await?;
        Ok(())
    }
}

async fn delete(connection: &mut Connection, ids: &[i64]) -> Result<u64, Error> {
    let mut deleted = 0;
    for some in ids.chunks(PRUNED_AT_ONCE) {
        let mut sql = connection.sql("DELETE FROM milkrun_conflicts WHERE id IN (");
        sql.list(", ", some, |sql, _| {
            sql.push("?");
        });
        sql.push(")");
        deleted += connection.execute(sql, some.iter().map(|id| Bind::Int(Some(*id))).collect()).await?;
    }
    Ok(deleted)
}

async fn read(connection: &mut Connection, wanted: Wanted<'_>, id: Option<i64>) -> Result<Vec<Conflict>, Error> {
    let mut sql = connection.sql("SELECT ");
    sql.reads(COLUMNS).push(" FROM milkrun_conflicts WHERE 1 = 1");
    let mut binds = Vec::new();
    for (condition, text) in [(" AND job = ?", wanted.job), (" AND hq_name = ?", wanted.name)] {
        if let Some(text) = text {
            sql.push(condition);
            binds.push(Bind::text(text));
        }
    }
    if let Some(id) = id {
        sql.push(" AND id = ?");
        binds.push(Bind::Int(Some(id)));
    }
    if let Some(id) = wanted.before {
        sql.push(" AND id < ?");
        binds.push(Bind::Int(Some(id)));
    }
    if wanted.is_open {
        sql.push(" AND resolved_at IS NULL");
    }
    sql.push(" ORDER BY milkrun_conflicts.id DESC");
    if let Some(limit) = wanted.limit {
        sql.push(" LIMIT ").count(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    connection.fetch(sql, binds).await?.into_iter().map(conflict).collect()
}

fn conflict(mut line: Line) -> Result<Conflict, Error> {
    let null = |what: &str| Error::Damaged(format!("milkrun_conflicts.{what} is null"));
    let kind = word(&line, 3, "kind", &Kind::ALL, |kind| kind.word())?.ok_or_else(|| null("kind"))?;
    let rule = word(&line, 8, "rule", &Rule::ALL, |rule| rule.word())?.ok_or_else(|| null("rule"))?;
    let raised_at = line.moment(10, "milkrun_conflicts.raised_at")?.ok_or_else(|| null("raised_at"))?;
    Ok(Conflict {
        id: line.int(16, "milkrun_conflicts.id")?,
        modified: line.stamp(4, "milkrun_conflicts.hq_modified")?,
        run: line.optional_int(9, "milkrun_conflicts.run")?.unwrap_or_default(),
        hq_version: line.int(11, "milkrun_conflicts.hq_version")?,
        local_version: line.int(12, "milkrun_conflicts.local_version")?,
        told: word(&line, 13, "told", &SIDES, |side| side.word())?,
        resolved_at: line.moment(14, "milkrun_conflicts.resolved_at")?,
        resolution: word(&line, 15, "resolution", &Resolution::ALL, |resolution| resolution.word())?,
        kind,
        rule,
        raised_at,
        job: line.take(0).ok_or_else(|| null("job"))?,
        name: line.take(1).ok_or_else(|| null("hq_name"))?,
        local_key: line.take(2).unwrap_or_default(),
        base: line.take(5),
        hq: line.take(6),
        local: line.take(7),
    })
}

fn word<T: Copy>(
    line: &Line,
    at: usize,
    column: &str,
    all: &[T],
    of: impl Fn(T) -> &'static str,
) -> Result<Option<T>, Error> {
    let read = |text: &str| {
        let unknown = || Error::Damaged(format!("milkrun_conflicts.{column} reads {text:?}"));
        all.iter().copied().find(|one| of(*one) == text).ok_or_else(unknown)
    };
    line.text(at).map(read).transpose()
}
