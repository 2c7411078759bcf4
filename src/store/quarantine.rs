//! Records that could not be mapped or written.

use std::collections::HashMap;

use crate::config::DatabaseKind;
use crate::quarantine::Parked;
use crate::record::Stamp;

use super::Store;
use super::batch::{self, Batch, among};
use super::bind::Bind;
use super::catalog::Stored;
use super::connection::Connection;
use super::counts;
use super::error::Error;
use super::ledger::lists;
use super::line::{Line, moment_text};
use super::sql::Sql;
use super::tx::PageTx;

const COLUMNS: [&str; 10] =
    ["job", "hq_name", "payload", "reason", "tries", "hq_modified", "first_at", "last_at", "next_at", "awaits"];

/// Where what a [`Parked`] costs stands in `COLUMNS`.
const PAYLOAD: usize = 2;

impl Store {
    /// The parked records of a job, or of all, ordered by job and name; without their payloads.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn parked(&self, job: Option<&str>) -> Result<Vec<Parked>, Error> {
        self.parked_after(job, None, None).await
    }

    /// As [`Store::parked`], `limit` of those that come after the record of this job and name.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn parked_after(
        &self,
        job: Option<&str>,
        last: Option<(&str, &str)>,
        limit: Option<usize>,
    ) -> Result<Vec<Parked>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        sql.list(", ", COLUMNS.iter().enumerate(), |sql, (at, column)| {
            if at == PAYLOAD {
                sql.push("''");
            } else {
                sql.read(column);
            }
        });
        sql.push(" FROM milkrun_quarantine WHERE 1 = 1");
        let mut binds = Vec::new();
        if let Some(job) = job {
            sql.push(" AND job = ?");
            binds.push(Bind::text(job));
        }
        if let Some((job, name)) = last {
            sql.push(" AND (job > ? OR (job = ? AND hq_name > ?))");
            binds.extend([job, job, name].map(Bind::text));
        }
        sql.push(" ORDER BY milkrun_quarantine.job, milkrun_quarantine.hq_name");
        if let Some(limit) = limit {
            sql.push(" LIMIT ").count(limit);
        }
        connection.fetch(sql, binds).await?.into_iter().map(parked).collect()
    }

    /// One parked record with its payload.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn parked_record(&self, job: &str, name: &str) -> Result<Option<Parked>, Error> {
        let mut connection = self.pools.reader().await?;
        let found = among_names(&mut connection, job, &[name]).await?;
        Ok(found.into_iter().next())
    }

    /// How many records are parked, by job.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn count_parked(&self) -> Result<HashMap<String, u64>, Error> {
        let mut connection = self.pools.reader().await?;
        counts::by_job(&mut connection, "milkrun_quarantine").await
    }
}

impl PageTx {
    /// These names' parked records.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn parked(&mut self, job: &str, names: &[&str]) -> Result<HashMap<String, Parked>, Error> {
        let found = among_names(&mut self.connection, job, names).await?;
        Ok(found.into_iter().map(|parked| (parked.name.clone(), parked)).collect())
    }

    /// Parks records, each once in `parked`; what was known of them is replaced.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn park(&mut self, parked: &[Parked]) -> Result<(), Error> {
        let (text, int) = (Stored::text(), Stored::int());
        let columns = COLUMNS.map(|name| (name, if name == "tries" { &int } else { &text }));
        let mut batch = Batch::new(columns.len());
        for one in parked {
            let awaits = (!one.awaits.is_empty()).then(|| serde_json::json!(one.awaits).to_string());
            batch.extend([
                Bind::text(&one.job),
                Bind::text(&one.name),
                Bind::text(&one.payload),
                Bind::text(&one.reason),
                Bind::Int(Some(i64::from(one.tries))),
                Bind::text(one.modified.as_str()),
                Bind::owned(moment_text(one.first_at)),
                Bind::owned(moment_text(one.last_at)),
                Bind::Text(one.next_at.map(|next| moment_text(next).into())),
                Bind::Text(awaits.map(Into::into)),
            ]);
        }
        let tail = match self.connection.kind() {
            DatabaseKind::Sqlite | DatabaseKind::Postgres => {
                " ON CONFLICT (job, hq_name) DO UPDATE SET payload = excluded.payload, reason = excluded.reason, \
                 tries = excluded.tries, hq_modified = excluded.hq_modified, first_at = excluded.first_at, \
                 last_at = excluded.last_at, next_at = excluded.next_at, awaits = excluded.awaits"
            }
            DatabaseKind::Mysql => {
                " ON DUPLICATE KEY UPDATE payload = VALUES(payload), reason = VALUES(reason), tries = VALUES(tries), \
                 hq_modified = VALUES(hq_modified), first_at = VALUES(first_at), last_at = VALUES(last_at), \
                 next_at = VALUES(next_at), awaits = VALUES(awaits)"
            }
        };
        batch::insert(&mut self.connection, "milkrun_quarantine", &columns, batch, tail).await
    }

    /// Takes records out of quarantine; those that are not there do not matter.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn unpark(&mut self, job: &str, names: &[&str]) -> Result<(), Error> {
        let text = Stored::text();
        for (rows, mut binds) in lists(self.connection.kind(), names) {
            let mut sql = self.connection.sql("DELETE FROM milkrun_quarantine WHERE job = ? AND ");
            among(&mut sql, &[("hq_name", &text)], rows);
            binds.insert(0, Bind::text(job));
            self.connection.execute(sql, binds).await?;
        }
        Ok(())
    }
}

async fn among_names(connection: &mut Connection, job: &str, names: &[&str]) -> Result<Vec<Parked>, Error> {
    let text = Stored::text();
    let mut found = Vec::new();
    for (rows, mut binds) in lists(connection.kind(), names) {
        let mut sql: Sql = connection.sql("SELECT ");
        sql.reads(COLUMNS).push(" FROM milkrun_quarantine WHERE job = ? AND ");
        among(&mut sql, &[("hq_name", &text)], rows);
        binds.insert(0, Bind::text(job));
        for line in connection.fetch(sql, binds).await? {
            found.push(parked(line)?);
        }
    }
    Ok(found)
}

fn parked(mut line: Line) -> Result<Parked, Error> {
    let null = |what: &str| Error::Damaged(format!("milkrun_quarantine.{what} is null"));
    let modified = line.stamp(5, "milkrun_quarantine.hq_modified")?.unwrap_or_else(Stamp::never);
    let first_at = line.moment(6, "milkrun_quarantine.first_at")?.ok_or_else(|| null("first_at"))?;
    let last_at = line.moment(7, "milkrun_quarantine.last_at")?.ok_or_else(|| null("last_at"))?;
    let tries = line.int(4, "milkrun_quarantine.tries")?;
    let awaits = match line.text(9) {
        Some(text) => {
            serde_json::from_str(text).map_err(|error| Error::Damaged(format!("milkrun_quarantine.awaits: {error}")))?
        }
        None => Vec::new(),
    };
    Ok(Parked {
        tries: u32::try_from(tries).unwrap_or(u32::MAX),
        next_at: line.moment(8, "milkrun_quarantine.next_at")?,
        job: line.take(0).ok_or_else(|| null("job"))?,
        name: line.take(1).ok_or_else(|| null("hq_name"))?,
        payload: line.take(PAYLOAD).ok_or_else(|| null("payload"))?,
        reason: line.take(3).ok_or_else(|| null("reason"))?,
        modified,
        first_at,
        last_at,
        awaits,
    })
}
