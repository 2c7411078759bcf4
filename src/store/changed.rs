//! Which runs made and changed rows, and which rows went: what `milkrun changes` tells.
//!
//! What was made or changed stands beside the ledger's entry, so that it costs a page nothing but two columns; what went
//! is in a table of its own. A first load marks nothing: it would be all of the table.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::config::DatabaseKind;

use super::Store;
use super::batch::{self, Batch, among};
use super::bind::Bind;
use super::catalog::Stored;
use super::error::Error;
use super::ledger::{held_keys, held_names, lists};
use super::line::{Line, moment_text};
use super::tx::PageTx;

/// What a run did to the rows of some records, by their HQ names.
#[derive(Debug, Clone, Default)]
pub struct Touched<'t> {
    /// The run.
    pub run: i64,
    /// Rows that were made.
    pub made: HashSet<&'t str>,
    /// Rows that were changed.
    pub changed: HashSet<&'t str>,
}

impl Touched<'_> {
    /// What is to be noted as the run that made the record's row, and the one that changed it last.
    pub(super) fn runs(&self, name: &str) -> (Option<i64>, Option<i64>) {
        let is_made = self.made.contains(name);
        (is_made.then_some(self.run), (is_made || self.changed.contains(name)).then_some(self.run))
    }
}

/// A row that a run made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TouchedRow {
    /// HQ's `name`.
    pub name: Arc<str>,
    /// The row's key.
    pub key: Arc<str>,
    /// The run that made it; `None` where a first load did.
    pub made_in: Option<i64>,
    /// The run that made or changed it last.
    pub changed_in: i64,
}

/// A row that went, or a key that its row has no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoneRow {
    /// HQ's `name`.
    pub name: Arc<str>,
    /// The run.
    pub run: i64,
    /// The key; `None` where that is private.
    pub key: Option<Arc<str>>,
    /// The key that the row has been given instead.
    pub moved_to: Option<Arc<str>>,
}

/// Which runs are asked about: their numbers, both counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub first: i64,
    /// The last.
    pub last: i64,
}

impl Store {
    /// Rows that these runs made, or changed last, in the order of HQ's names, from above `after` on.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn touched(&self, job: &str, span: Span, after: &str, limit: usize) -> Result<Vec<TouchedRow>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        sql.reads(["hq_name", "local_key", "made_in", "changed_in"]);
        sql.push(" FROM milkrun_ledger WHERE job = ? AND hq_name > ? AND changed_in BETWEEN ? AND ?");
        // Not by the select list, whose texts PostgreSQL would sort by another collation.
        sql.push(" ORDER BY milkrun_ledger.hq_name LIMIT ").count(limit);
        let binds = vec![Bind::text(job), Bind::text(after), Bind::Int(Some(span.first)), Bind::Int(Some(span.last))];
        connection.fetch(sql, binds).await?.iter().map(touched).collect()
    }

    /// Rows that these runs let go, in the order of HQ's names and runs, from above `after` on; without those whose key
    /// a row has again.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn gone(
        &self,
        job: &str,
        span: Span,
        after: (&str, i64),
        limit: usize,
    ) -> Result<(Vec<GoneRow>, Option<(Arc<str>, i64)>), Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        sql.reads(["hq_name", "run", "local_key", "moved_to"]);
        sql.push(" FROM milkrun_gone WHERE job = ? AND (hq_name > ? OR (hq_name = ? AND run > ?))");
        sql.push(" AND run BETWEEN ? AND ?");
        // A record that went twice is told as it went last.
        sql.push(" AND NOT EXISTS (SELECT 1 FROM milkrun_gone AS later WHERE later.job = milkrun_gone.job");
        sql.push(" AND later.hq_name = milkrun_gone.hq_name AND (later.local_key = milkrun_gone.local_key");
        // A private key is not kept: there a record has one row.
        sql.push(" OR (later.local_key IS NULL AND milkrun_gone.local_key IS NULL))");
        sql.push(" AND later.run > milkrun_gone.run AND later.run <= ?)");
        sql.push(" ORDER BY milkrun_gone.hq_name, milkrun_gone.run LIMIT ").count(limit);
        let binds = vec![
            Bind::text(job),
            Bind::text(after.0),
            Bind::text(after.0),
            Bind::Int(Some(after.1)),
            Bind::Int(Some(span.first)),
            Bind::Int(Some(span.last)),
            Bind::Int(Some(span.last)),
        ];
        let mut rows: Vec<GoneRow> = connection.fetch(sql, binds).await?.iter().map(gone).collect::<Result<_, _>>()?;
        let last = rows.last().filter(|_| rows.len() == limit).map(|row| (Arc::clone(&row.name), row.run));
        let keys: Vec<&str> = rows.iter().filter_map(|row| row.key.as_deref()).collect();
        let held = held_keys(&mut connection, job, &keys).await?;
        let unkeyed: Vec<&str> = rows.iter().filter(|row| row.key.is_none()).map(|row| row.name.as_ref()).collect();
        let made_again = held_names(&mut connection, job, &unkeyed).await?;
        rows.retain(|row| match &row.key {
            Some(key) => !held.contains(key.as_ref()),
            None => !made_again.contains(row.name.as_ref()),
        });
        Ok((rows, last))
    }

    /// How many of the job's rows were made by this run and are still there.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn count_made(&self, job: &str, run: i64) -> Result<u64, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        match sql.kind() {
            DatabaseKind::Sqlite => sql.push("count(*)"),
            DatabaseKind::Postgres => sql.push("count(*)::text"),
            DatabaseKind::Mysql => sql.push("CAST(count(*) AS CHAR)"),
        };
        sql.push(" FROM milkrun_ledger WHERE job = ? AND made_in = ?");
        let lines = connection.fetch(sql, vec![Bind::text(job), Bind::Int(Some(run))]).await?;
        let count = lines.first().map(|line| line.int(0, "a count")).transpose()?.unwrap_or_default();
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Which of these runs of the job were first loads.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn first_loads(&self, job: &str, span: Span) -> Result<Vec<i64>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        sql.read("id").push(" FROM milkrun_runs WHERE job = ? AND id BETWEEN ? AND ? AND is_first_load = 1");
        sql.push(" ORDER BY milkrun_runs.id");
        let binds = vec![Bind::text(job), Bind::Int(Some(span.first)), Bind::Int(Some(span.last))];
        let lines = connection.fetch(sql, binds).await?;
        lines.iter().map(|line| line.int(0, "milkrun_runs.id")).collect()
    }

    /// Notes that the run is a first load, whose rows are not marked one by one.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn note_first_load(&self, run: i64) -> Result<(), Error> {
        if self.is_dry_run() {
            return Ok(());
        }
        let mut connection = self.pools.writer().await?;
        let sql = connection.sql("UPDATE milkrun_runs SET is_first_load = 1 WHERE id = ?");
        connection.execute(sql, vec![Bind::Int(Some(run))]).await?;
        Ok(())
    }
}

impl PageTx {
    /// Notes rows that go in this transaction, or get another key; each record once.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn note_gone(&mut self, job: &str, gone: &[GoneRow], now: DateTime<Utc>) -> Result<(), Error> {
        if gone.is_empty() {
            return Ok(());
        }
        let (text, int) = (Stored::text(), Stored::int());
        let columns = [
            ("job", &text),
            ("hq_name", &text),
            ("run", &int),
            ("local_key", &text),
            ("moved_to", &text),
            ("gone_at", &text),
        ];
        let mut batch = Batch::of_rows(columns.len(), gone.len());
        let now = moment_text(now);
        for row in gone {
            batch.extend([
                Bind::text(job),
                Bind::Shared(Arc::clone(&row.name)),
                Bind::Int(Some(row.run)),
                Bind::Text(row.key.as_deref().map(Into::into)),
                Bind::Text(row.moved_to.as_deref().map(Into::into)),
                Bind::text(&now),
            ]);
        }
        let tail = match self.connection.kind() {
            DatabaseKind::Sqlite | DatabaseKind::Postgres => {
                " ON CONFLICT (job, hq_name, run) DO UPDATE SET local_key = excluded.local_key, \
                 moved_to = excluded.moved_to, gone_at = excluded.gone_at"
            }
            DatabaseKind::Mysql => {
                " ON DUPLICATE KEY UPDATE local_key = VALUES(local_key), moved_to = VALUES(moved_to), \
                 gone_at = VALUES(gone_at)"
            }
        };
        batch::insert(&mut self.connection, "milkrun_gone", &columns, batch, tail).await
    }

    /// Notes rows that were changed while nothing else of their entries was.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn note_changed(&mut self, job: &str, run: i64, names: &[&str]) -> Result<(), Error> {
        for (rows, mut binds) in lists(self.connection.kind(), names) {
            let mut sql = self.connection.sql("UPDATE milkrun_ledger SET changed_in = ? WHERE job = ? AND ");
            among(&mut sql, &[("hq_name", &Stored::text())], rows);
            binds.splice(0..0, [Bind::Int(Some(run)), Bind::text(job)]);
            self.connection.execute(sql, binds).await?;
        }
        Ok(())
    }
}

fn touched(line: &Line) -> Result<TouchedRow, Error> {
    let name: Arc<str> = line.required(0, "milkrun_ledger.hq_name")?.into();
    Ok(TouchedRow {
        key: line.text(1).map_or_else(|| Arc::clone(&name), Arc::from),
        made_in: line.optional_int(2, "milkrun_ledger.made_in")?,
        changed_in: line.int(3, "milkrun_ledger.changed_in")?,
        name,
    })
}

fn gone(line: &Line) -> Result<GoneRow, Error> {
    Ok(GoneRow {
        name: line.required(0, "milkrun_gone.hq_name")?.into(),
        run: line.int(1, "milkrun_gone.run")?,
        key: line.text(2).map(Arc::from),
        moved_to: line.text(3).map(Arc::from),
    })
}
