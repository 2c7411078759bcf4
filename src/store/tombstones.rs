//! News that records do not belong here, kept so that the same news costs nothing the next time.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::config::DatabaseKind;
use crate::record::Stamp;

use super::Store;
use super::batch::{self, Batch, among};
use super::bind::Bind;
use super::catalog::Stored;
use super::connection::Connection;
use super::error::Error;
use super::ledger::lists;
use super::line::{moment_text, stamp_text};
use super::seek::Seek;
use super::tx::PageTx;

/// The record was looked at in this version and does not belong here: outside the filters, or gone.
pub(super) const ABSENT: &str = "absent";

/// The delete of this stamp was processed.
pub(super) const BURIED: &str = "buried";

/// An operator gave the record up in this version; unlike one that is merely absent it is not taken by a reconcile either.
const GIVEN_UP: &str = "given_up";

/// The database refused to let the record's row go, when HQ had deleted it or it had left the filters at this stamp.
pub(super) const REFUSED: &str = "refused";

impl Store {
    /// Records whose rows the database refused to let go, with the stamps of their deletes; those first whose last try is
    /// the longest ago.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn refused(&self, job: &str, limit: usize) -> Result<Vec<(String, Stamp)>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        sql.reads(["hq_name", "hq_modified"]);
        sql.push(" FROM milkrun_tombstones WHERE job = ? AND kind = ?");
        // Not by the select list, whose texts PostgreSQL would sort by another collation.
        sql.push(" ORDER BY milkrun_tombstones.noted_at, milkrun_tombstones.hq_name LIMIT ").count(limit);
        let mut found = Vec::new();
        for mut line in connection.fetch(sql, [job, REFUSED].map(Bind::text).to_vec()).await? {
            if let Some(stamp) = line.stamp(1, "milkrun_tombstones.hq_modified")? {
                found.push((line.take(0).unwrap_or_default(), stamp));
            }
        }
        Ok(found)
    }

    /// The stamps of these names' deletes that were processed.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn buried(&self, job: &str, names: &[&str]) -> Result<HashMap<String, Stamp>, Error> {
        noted(&mut self.pools.reader().await?, job, BURIED, names).await
    }

    /// All records of the job that were given up, in these versions.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn given_up(&self, job: &str) -> Result<HashMap<String, Stamp>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        sql.reads(["hq_name", "hq_modified"]).push(" FROM milkrun_tombstones WHERE job = ? AND kind = ?");
        let lines = connection.fetch(sql, vec![Bind::text(job), Bind::text(GIVEN_UP)]).await?;
        let mut found = HashMap::new();
        for mut line in lines {
            if let Some(stamp) = line.stamp(1, "milkrun_tombstones.hq_modified")? {
                found.insert(line.take(0).unwrap_or_default(), stamp);
            }
        }
        Ok(found)
    }

    /// Forgets records noted as absent in versions older than `stamp`: what is settled is not asked for again.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn forget_absent_below(&self, job: &str, stamp: &Stamp) -> Result<(), Error> {
        forget(&mut self.pools.writer().await?, job, ABSENT, stamp).await
    }
}

impl PageTx {
    /// Notes that the records do not belong here in these versions.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn note_absent(&mut self, job: &str, names: &[(String, Stamp)], now: DateTime<Utc>) -> Result<(), Error> {
        note(&mut self.connection, job, ABSENT, names, now).await
    }

    /// Notes that the records were given up in these versions.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn note_given_up(
        &mut self,
        job: &str,
        names: &[(String, Stamp)],
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        note(&mut self.connection, job, ABSENT, names, now).await?;
        note(&mut self.connection, job, GIVEN_UP, names, now).await
    }

    /// Notes that the deletes of these stamps were processed.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn note_buried(&mut self, job: &str, names: &[(String, Stamp)], now: DateTime<Utc>) -> Result<(), Error> {
        note(&mut self.connection, job, BURIED, names, now).await
    }

    /// Notes that the database refused to let these records' rows go.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn note_refused(
        &mut self,
        job: &str,
        names: &[(String, Stamp)],
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        note(&mut self.connection, job, REFUSED, names, now).await
    }

    /// Forgets that the database refused to let these records' rows go.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn forget_refused(&mut self, job: &str, names: &[&str]) -> Result<(), Error> {
        let text = Stored::text();
        for (rows, binds) in lists(self.connection.kind(), names) {
            let mut sql = self.connection.sql("DELETE FROM milkrun_tombstones WHERE job = ? AND kind = ? AND ");
            among(&mut sql, &[("hq_name", &text)], rows);
            let binds = [job, REFUSED].map(Bind::text).into_iter().chain(binds).collect();
            self.connection.execute(sql, binds).await?;
        }
        Ok(())
    }

    /// As [`Store::forget_absent_below`].
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn forget_absent_below(&mut self, job: &str, stamp: &Stamp) -> Result<(), Error> {
        forget(&mut self.connection, job, ABSENT, stamp).await
    }

    /// Forgets deletes that were processed and stamped before `stamp`: what is settled is not told again.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn forget_buried_below(&mut self, job: &str, stamp: &Stamp) -> Result<(), Error> {
        forget(&mut self.connection, job, BURIED, stamp).await
    }
}

async fn note(
    connection: &mut Connection,
    job: &str,
    kind: &'static str,
    names: &[(String, Stamp)],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let text = Stored::text();
    let columns = ["job", "kind", "hq_name", "hq_modified", "noted_at"].map(|name| (name, &text));
    let now = moment_text(now);
    // One statement must not meet a name twice; the newest news of it counts.
    let mut newest: HashMap<&str, &Stamp> = HashMap::with_capacity(names.len());
    for (name, stamp) in names {
        let known = newest.entry(name).or_insert(stamp);
        *known = stamp.max(known);
    }
    let mut batch = Batch::new(columns.len());
    for (name, stamp) in newest {
        let stamp = Bind::owned(stamp_text(stamp));
        batch.extend([Bind::text(job), Bind::text(kind), Bind::text(name), stamp, Bind::text(&now)]);
    }
    let tail = match connection.kind() {
        DatabaseKind::Sqlite | DatabaseKind::Postgres => {
            " ON CONFLICT (job, kind, hq_name) DO UPDATE SET hq_modified = excluded.hq_modified, \
             noted_at = excluded.noted_at"
        }
        DatabaseKind::Mysql => {
            " ON DUPLICATE KEY UPDATE hq_modified = VALUES(hq_modified), noted_at = VALUES(noted_at)"
        }
    };
    batch::insert(connection, "milkrun_tombstones", &columns, batch, tail).await
}

/// The stamps noted for these names.
pub(super) async fn noted(
    connection: &mut Connection,
    job: &str,
    kind: &'static str,
    names: &[&str],
) -> Result<HashMap<String, Stamp>, Error> {
    let text = Stored::text();
    let mut found = HashMap::new();
    let (fixed, key) = ([("job", job), ("kind", kind)], [("hq_name", &text)]);
    let seek = Seek { table: "milkrun_tombstones", fixed: &fixed, key: &key, index: None, lock: "" };
    for (rows, binds) in lists(connection.kind(), names) {
        let mut sql = connection.sql("SELECT ");
        sql.reads(["hq_name", "hq_modified"]);
        let binds = seek.finish(&mut sql, rows, binds);
        for mut line in connection.fetch(sql, binds).await? {
            if let Some(stamp) = line.stamp(1, "milkrun_tombstones.hq_modified")? {
                found.insert(line.take(0).unwrap_or_default(), stamp);
            }
        }
    }
    Ok(found)
}

pub(super) async fn forget(
    connection: &mut Connection,
    job: &str,
    kind: &'static str,
    stamp: &Stamp,
) -> Result<(), Error> {
    let sql = connection.sql("DELETE FROM milkrun_tombstones WHERE job = ? AND kind = ? AND hq_modified < ?");
    let binds = vec![Bind::text(job), Bind::text(kind), Bind::owned(stamp_text(stamp))];
    connection.execute(sql, binds).await?;
    Ok(())
}
