//! Where a job's reconcile stands, what the last one came to, and the ledger as a reconcile walks through it.

use std::collections::HashMap;

use crate::config::DatabaseKind;
use crate::reconciled::Reconciled;
use crate::record::{Mark, Stamp};

use super::Store;
use super::batch::among;
use super::bind::Bind;
use super::catalog::Stored;
use super::connection::Connection;
use super::error::Error;
use super::ledger::lists;
use super::line::Line;
use super::tx::PageTx;

/// What is kept between the pages of a reconcile, and from one to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// The walk under way, in the words of who walks.
    pub walk: Option<String>,
    /// How far whole records have been compared; `None` at the beginning of the table.
    pub compared_to: Option<Mark>,
}

/// What the ledger holds of a record, without what decisions are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// HQ's `name`.
    pub hq_name: String,
    /// The local row's key as [`crate::row::Key::text`].
    pub local_key: String,
    /// HQ's `modified` of the version last taken.
    pub hq_modified: Stamp,
    /// Fingerprint of the mapped columns.
    pub row_hash: i64,
    /// Fingerprint of the mapped child rows.
    pub children_hash: i64,
}

/// The stamp of a record that was renamed and has not been read under its new name yet: no record's, also not of one
/// without a stamp.
const RENAMED: &str = "0001-01-01 00:00:00.000001";

const TRACE: [&str; 5] = ["hq_name", "local_key", "hq_modified", "row_hash", "children_hash"];

impl Store {
    /// Where the job's reconcile stands.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn reconcile(&self, job: &str) -> Result<Standing, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        sql.reads(["walk", "values_modified", "values_name"]).push(" FROM milkrun_reconciles WHERE job = ?");
        let mut lines = connection.fetch(sql, vec![Bind::text(job)]).await?;
        let Some(line) = lines.first_mut() else { return Ok(Standing::default()) };
        Ok(Standing { compared_to: line.mark(1, "milkrun_reconciles.values_modified")?, walk: line.take(0) })
    }

    /// What the job's last reconcile came to; `None` before the first, or where an older version left other words.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn reconciled(&self, job: &str) -> Result<Option<Reconciled>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        sql.read("report").push(" FROM milkrun_reconciles WHERE job = ?");
        let lines = connection.fetch(sql, vec![Bind::text(job)]).await?;
        let report = lines.first().and_then(|line| line.text(0));
        Ok(report.and_then(|report| serde_json::from_str(report).ok()))
    }

    /// What the ledger holds of these names, by name.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn traces(&self, job: &str, names: &[&str]) -> Result<HashMap<String, Trace>, Error> {
        let mut connection = self.pools.reader().await?;
        let text = Stored::text();
        let mut found = HashMap::with_capacity(names.len());
        for (rows, mut binds) in lists(connection.kind(), names) {
            let mut sql = connection.sql("SELECT ");
            sql.reads(TRACE).push(" FROM milkrun_ledger WHERE job = ? AND ");
            among(&mut sql, &[("hq_name", &text)], rows);
            binds.insert(0, Bind::text(job));
            for line in connection.fetch(sql, binds).await? {
                let trace = trace(&line)?;
                found.insert(trace.hq_name.clone(), trace);
            }
        }
        Ok(found)
    }

    /// The ledger by name, `limit` records after `after`.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn traces_after(&self, job: &str, after: Option<&str>, limit: usize) -> Result<Vec<Trace>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        sql.reads(TRACE).push(" FROM milkrun_ledger WHERE job = ?");
        let mut binds = vec![Bind::text(job)];
        if let Some(after) = after {
            sql.push(" AND hq_name > ?");
            binds.push(Bind::text(after));
        }
        sql.push(" ORDER BY milkrun_ledger.hq_name LIMIT ").count(limit);
        connection.fetch(sql, binds).await?.iter().map(trace).collect()
    }

    /// Some of the records that the ledger holds at a stamp above this one, at most `limit`.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn traces_above(&self, job: &str, stamp: &Stamp, limit: usize) -> Result<Vec<Trace>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        // HQ's texts of stamps are in the order of the moments, with and without a fraction.
        sql.reads(TRACE).push(" FROM milkrun_ledger WHERE job = ? AND hq_modified > ? LIMIT ").count(limit);
        let binds = vec![Bind::text(job), Bind::text(stamp.as_str())];
        connection.fetch(sql, binds).await?.iter().map(trace).collect()
    }

    /// The records that the ledger holds at one of these stamps. Looks through the job's whole ledger.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn traces_at(&self, job: &str, stamps: &[&str]) -> Result<Vec<Trace>, Error> {
        let mut connection = self.pools.reader().await?;
        let text = Stored::text();
        let mut found = Vec::new();
        for (rows, mut binds) in lists(connection.kind(), stamps) {
            let mut sql = connection.sql("SELECT ");
            sql.reads(TRACE).push(" FROM milkrun_ledger WHERE job = ? AND ");
            among(&mut sql, &[("hq_modified", &text)], rows);
            binds.insert(0, Bind::text(job));
            for line in connection.fetch(sql, binds).await? {
                found.push(trace(&line)?);
            }
        }
        Ok(found)
    }

    /// Whether more than one record of the ledger carries this stamp.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn is_shared(&self, job: &str, stamp: &Stamp) -> Result<bool, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        sql.reads(["hq_name"]).push(" FROM milkrun_ledger WHERE job = ? AND hq_modified = ? LIMIT 2");
        let binds = vec![Bind::text(job), Bind::text(stamp.as_str())];
        Ok(connection.fetch(sql, binds).await?.len() > 1)
    }
}

impl PageTx {
    /// Keeps where the job's reconcile stands.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn save_reconcile(&mut self, job: &str, standing: &Standing) -> Result<(), Error> {
        let mark = standing.compared_to.as_ref();
        let values =
            [standing.walk.as_deref(), mark.map(|mark| mark.modified.as_str()), mark.map(|mark| mark.name.as_str())];
        save(&mut self.connection, job, &["walk", "values_modified", "values_name"], &values).await
    }

    /// Keeps what the job's reconcile came to.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn save_reconciled(&mut self, job: &str, reconciled: &Reconciled) -> Result<(), Error> {
        let report = serde_json::to_string(reconciled).unwrap_or_default();
        save(&mut self.connection, job, &["report"], &[Some(&report)]).await
    }

    /// Gives records of the ledger, and what waits for a decision, another name, as HQ renamed them; each keeps the key of
    /// its row, and is news at any stamp, or none, until it is read under its new name. Gives those that were renamed: a
    /// name that the ledger holds already is another record's.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn rename_entries(
        &mut self,
        job: &str,
        renames: Vec<(String, String)>,
    ) -> Result<Vec<(String, String)>, Error> {
        let mut renamed = Vec::with_capacity(renames.len());
        for (old, new) in renames {
            let mut sql = self.connection.sql("SELECT ");
            sql.reads(["hq_name"]).push(" FROM milkrun_ledger WHERE job = ? AND hq_name = ?");
            let binds = vec![Bind::text(job), Bind::text(&new)];
            if !self.connection.fetch(sql, binds).await?.is_empty() {
                continue;
            }
            let sql = self.connection.sql(
                "UPDATE milkrun_ledger SET local_key = COALESCE(local_key, hq_name), hq_modified = ? \
                 WHERE job = ? AND hq_name = ?",
            );
            let binds = vec![Bind::text(RENAMED), Bind::text(job), Bind::text(&old)];
            self.connection.execute(sql, binds).await?;
            let sql = self.connection.sql("UPDATE milkrun_ledger SET hq_name = ? WHERE job = ? AND hq_name = ?");
            let binds = vec![Bind::text(&new), Bind::text(job), Bind::text(&old)];
            self.connection.execute(sql, binds).await?;
            let sql = self
                .connection
                .sql("UPDATE milkrun_conflicts SET hq_name = ? WHERE job = ? AND hq_name = ? AND resolved_at IS NULL");
            let binds = vec![Bind::text(&new), Bind::text(job), Bind::text(&old)];
            self.connection.execute(sql, binds).await?;
            renamed.push((old, new));
        }
        Ok(renamed)
    }
}

async fn save(
    connection: &mut Connection,
    job: &str,
    columns: &[&'static str],
    values: &[Option<&str>],
) -> Result<(), Error> {
    let mut sql = connection.sql("INSERT INTO milkrun_reconciles (job, ");
    sql.names(columns.iter().copied()).push(") VALUES ").tuples(1, columns.len() + 1);
    match sql.kind() {
        DatabaseKind::Sqlite | DatabaseKind::Postgres => {
            sql.push(" ON CONFLICT (job) DO UPDATE SET ").list(", ", columns, |sql, column| {
                sql.push(column).push(" = excluded.").push(column);
            });
        }
        DatabaseKind::Mysql => {
            sql.push(" ON DUPLICATE KEY UPDATE ").list(", ", columns, |sql, column| {
                sql.push(column).push(" = VALUES(").push(column).push(")");
            });
        }
    }
    let mut binds = vec![Bind::text(job)];
    binds.extend(values.iter().map(|value| Bind::Text(value.map(Into::into))));
    connection.execute(sql, binds).await?;
    Ok(())
}

fn trace(line: &Line) -> Result<Trace, Error> {
    let hq_name = line.required(0, "milkrun_ledger.hq_name")?.to_owned();
    let what = "milkrun_ledger.hq_modified";
    Ok(Trace {
        local_key: line.text(1).unwrap_or(&hq_name).to_owned(),
        hq_modified: line.stamp(2, what)?.ok_or_else(|| Error::Damaged(format!("{what} is null")))?,
        row_hash: line.int(3, "milkrun_ledger.row_hash")?,
        children_hash: line.int(4, "milkrun_ledger.children_hash")?,
        hq_name,
    })
}
