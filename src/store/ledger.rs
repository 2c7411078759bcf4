//! The ledger: what was last taken from HQ for each record.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::config::DatabaseKind;
use crate::ledger::{Base, Entry, Known, Values};
use crate::record::Stamp;

use super::Store;
use super::batch::{self, Batch, among};
use super::bind::Bind;
use super::catalog::Stored;
use super::changed::Touched;
use super::connection::Connection;
use super::error::Error;
use super::line::Line;
use super::seek::Seek;
use super::tombstones::{self, ABSENT};
use super::tx::PageTx;

/// The ledger's table.
const LEDGER: &str = "milkrun_ledger";

/// What an entry is read from.
const ENTRY: [&str; 7] = ["hq_name", "local_key", "hq_modified", "row_hash", "children_hash", "local_hash", "base"];

impl Store {
    /// What is known of these names without reading the records again; where there is none `absent` among them, the notes of
    /// such are not looked at. Up to 100,000 names at once.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn known(&self, job: &str, names: &[&str], absent: bool) -> Result<HashMap<String, Known>, Error> {
        let mut connection = self.pools.reader().await?;
        let asked = if absent { names } else { &[] };
        let absent = tombstones::noted(&mut connection, job, ABSENT, asked).await?;
        let outside = |(name, stamp)| (name, Known { absent: Some(stamp), present: None });
        let mut known: HashMap<String, Known> = absent.into_iter().map(outside).collect();
        for (name, stamp) in stamps(&mut connection, job, names).await? {
            known.entry(name).or_default().present = Some(stamp);
        }
        Ok(known)
    }

    /// The stamps that the ledger holds of these names.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn stamps(&self, job: &str, names: &[&str]) -> Result<HashMap<String, Stamp>, Error> {
        stamps(&mut self.pools.reader().await?, job, names).await
    }

    /// How many records the ledger holds for the job.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn count_entries(&self, job: &str) -> Result<u64, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        match sql.kind() {
            DatabaseKind::Sqlite => sql.push("count(*)"),
            DatabaseKind::Postgres => sql.push("count(*)::text"),
            DatabaseKind::Mysql => sql.push("CAST(count(*) AS CHAR)"),
        };
        sql.push(" FROM milkrun_ledger WHERE job = ?");
        let lines = connection.fetch(sql, vec![Bind::text(job)]).await?;
        let count = lines.first().map(|line| line.int(0, "a count")).transpose()?.unwrap_or_default();
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

impl Store {
    /// The entries of these records, by name, outside of any page.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn entries(&self, job: &str, names: &[&str]) -> Result<HashMap<Arc<str>, Entry>, Error> {
        let mut connection = self.pools.reader().await?;
        let lines = among_names(&mut connection, job, "hq_name", &ENTRY, names).await?;
        lines.iter().map(|line| entry(line).map(|entry| (Arc::clone(&entry.hq_name), entry))).collect()
    }
}

impl PageTx {
    /// The entries of these records, and those whose local row has one of these keys ([`crate::row::Key::text`]). Where no
    /// record of the job has a key other than its name, they are found by their names alone.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn entries(
        &mut self,
        job: &str,
        names: &[&str],
        key_texts: &[&str],
        has_own_keys: bool,
    ) -> Result<Vec<Entry>, Error> {
        // An entry without `local_key` has the key that its name is, so keys are asked for as names, too.
        let (names, key_texts) = (sorted(names.to_vec()), sorted(key_texts.to_vec()));
        let either = sorted([names.as_slice(), key_texts.as_slice()].concat());
        let mut lines = among_names(&mut self.connection, job, "hq_name", &ENTRY, &either).await?;
        if has_own_keys {
            lines.extend(of_own_keys(&mut self.connection, job, &key_texts).await?);
        }
        let mut found = Vec::with_capacity(lines.len());
        for line in lines {
            let entry = entry(&line)?;
            let is_among = |asked: &[&str], text: &Arc<str>| asked.binary_search(&text.as_ref()).is_ok();
            if is_among(&names, &entry.hq_name) || is_among(&key_texts, &entry.local_key) {
                found.push(entry);
            }
        }
        found.sort_unstable_by(|a, b| a.hq_name.cmp(&b.hq_name));
        found.dedup_by(|a, b| a.hq_name == b.hq_name);
        Ok(found)
    }

    /// Writes what was taken from HQ; each record once in `entries`.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn upsert_entries(&mut self, job: &str, entries: &[Entry]) -> Result<(), Error> {
        self.upsert_touched(job, entries, None).await
    }

    /// As [`PageTx::upsert_entries`], and notes which of their rows the run made or changed.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn upsert_touched(
        &mut self,
        job: &str,
        entries: &[Entry],
        touched: Option<&Touched<'_>>,
    ) -> Result<(), Error> {
        let tail = match self.connection.kind() {
            DatabaseKind::Sqlite | DatabaseKind::Postgres => {
                " ON CONFLICT (job, hq_name) DO UPDATE SET local_key = excluded.local_key, \
                 hq_modified = excluded.hq_modified, row_hash = excluded.row_hash, children_hash = excluded.children_hash, \
                 local_hash = excluded.local_hash, base = excluded.base, \
                 made_in = COALESCE(excluded.made_in, milkrun_ledger.made_in), \
                 changed_in = COALESCE(excluded.changed_in, milkrun_ledger.changed_in)"
            }
            DatabaseKind::Mysql => {
                " ON DUPLICATE KEY UPDATE local_key = VALUES(local_key), hq_modified = VALUES(hq_modified), \
                 row_hash = VALUES(row_hash), children_hash = VALUES(children_hash), local_hash = VALUES(local_hash), \
                 base = VALUES(base), made_in = COALESCE(VALUES(made_in), made_in), \
                 changed_in = COALESCE(VALUES(changed_in), changed_in)"
            }
        };
        self.write_entries(job, entries, touched, tail).await
    }

    /// As [`PageTx::upsert_entries`], of records that the ledger does not have.
    ///
    /// # Errors
    /// [`Error::Refused`] where it has one.
    pub async fn insert_entries(&mut self, job: &str, entries: &[Entry]) -> Result<(), Error> {
        self.write_entries(job, entries, None, "").await
    }

    async fn write_entries(
        &mut self,
        job: &str,
        entries: &[Entry],
        touched: Option<&Touched<'_>>,
        tail: &'static str,
    ) -> Result<(), Error> {
        let (text, int) = (Stored::text(), Stored::int());
        let mut columns = vec![
            ("job", &text),
            ("hq_name", &text),
            ("hq_modified", &text),
            ("row_hash", &int),
            ("children_hash", &int),
        ];
        // What no entry has is null by being left out.
        let has_own_key = |entry: &Entry| entry.local_key != entry.hq_name;
        let has_own_keys = entries.iter().any(has_own_key);
        let has_hashes = entries.iter().any(|entry| matches!(entry.base, Base::Hash(_)));
        let has_values = entries.iter().any(|entry| matches!(entry.base, Base::Values(_)));
        columns.extend(has_own_keys.then_some(("local_key", &text)));
        columns.extend(has_hashes.then_some(("local_hash", &int)));
        columns.extend(has_values.then_some(("base", &text)));
        if touched.is_some() {
            columns.extend([("made_in", &int), ("changed_in", &int)]);
        }
        // In the order of the ledger's tree.
        let mut entries: Vec<&Entry> = entries.iter().collect();
        entries.sort_unstable_by(|a, b| a.hq_name.cmp(&b.hq_name));
        let job: Arc<str> = job.into();
        let batches = entries.chunks(batch::piece(self.connection.kind())).map(|entries| {
            let mut batch = Batch::of_rows(columns.len(), entries.len());
            for entry in entries {
                batch.extend([
                    Bind::Shared(Arc::clone(&job)),
                    Bind::Shared(Arc::clone(&entry.hq_name)),
                    Bind::Shared(entry.hq_modified.shared()),
                    Bind::Int(Some(entry.row_hash)),
                    Bind::Int(Some(entry.children_hash)),
                ]);
                let (hash, values) = match &entry.base {
                    Base::Unknown => (None, None),
                    Base::Hash(hash) => (Some(*hash), None),
                    Base::Values(values) => (None, Some(values.text().into())),
                };
                let own_key = || has_own_key(entry).then(|| entry.local_key.as_ref().into());
                batch.extend(has_own_keys.then(|| Bind::Text(own_key())));
                batch.extend(has_hashes.then_some(Bind::Int(hash)));
                batch.extend(has_values.then_some(Bind::Text(values)));
                if let Some((made, changed)) = touched.map(|touched| touched.runs(&entry.hq_name)) {
                    batch.extend([Bind::Int(made), Bind::Int(changed)]);
                }
            }
            batch
        });
        batch::insert_each(&mut self.connection, LEDGER, &columns, batches, tail).await
    }

    /// Forgets all records of the job.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn drop_all_entries(&mut self, job: &str) -> Result<(), Error> {
        let sql = self.connection.sql("DELETE FROM milkrun_ledger WHERE job = ?");
        self.connection.execute(sql, vec![Bind::text(job)]).await?;
        Ok(())
    }

    /// Forgets records.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn drop_entries(&mut self, job: &str, names: &[&str]) -> Result<(), Error> {
        let text = Stored::text();
        let kind = self.connection.kind();
        for (rows, mut binds) in lists(kind, names) {
            let mut sql = self.connection.sql("DELETE FROM milkrun_ledger WHERE job = ? AND ");
            among(&mut sql, &[("hq_name", &text)], rows);
            binds.insert(0, Bind::text(job));
            self.connection.execute(sql, binds).await?;
        }
        Ok(())
    }
}

async fn has_own_keys(connection: &mut Connection, job: &str) -> Result<bool, Error> {
    let mut sql = connection.sql("SELECT ");
    sql.reads(["hq_name"]);
    sql.push(" FROM milkrun_ledger WHERE job = ? AND local_key IS NOT NULL LIMIT 1");
    Ok(!connection.fetch(sql, vec![Bind::text(job)]).await?.is_empty())
}

/// Which of these keys a row of the job's has.
pub(super) async fn held_keys(connection: &mut Connection, job: &str, keys: &[&str]) -> Result<HashSet<String>, Error> {
    let keys = sorted(keys.to_vec());
    let mut lines = among_names(connection, job, "hq_name", &ENTRY, &keys).await?;
    if has_own_keys(connection, job).await? {
        lines.extend(of_own_keys(connection, job, &keys).await?);
    }
    lines.iter().map(|line| Ok(entry(line)?.local_key.as_ref().to_owned())).collect()
}

/// Which of these records have a row of the job's.
pub(super) async fn held_names(
    connection: &mut Connection,
    job: &str,
    names: &[&str],
) -> Result<HashSet<String>, Error> {
    let lines = among_names(connection, job, "hq_name", &["hq_name"], &sorted(names.to_vec())).await?;
    Ok(lines.into_iter().filter_map(|mut line| line.take(0)).collect())
}

async fn stamps(connection: &mut Connection, job: &str, names: &[&str]) -> Result<HashMap<String, Stamp>, Error> {
    let lines = among_names(connection, job, "hq_name", &["hq_name", "hq_modified"], names).await?;
    let read = |mut line: Line| Ok((line.take(0).unwrap_or_default(), stamp(&line, 1)?));
    lines.into_iter().map(read).collect()
}

/// Lines of the ledger whose `column` is among `names`.
async fn among_names(
    connection: &mut Connection,
    job: &str,
    column: &'static str,
    select: &[&'static str],
    names: &[&str],
) -> Result<Vec<Line>, Error> {
    let seek = Seek { table: LEDGER, fixed: &[("job", job)], key: &[(column, &Stored::text())], index: None, lock: "" };
    found(connection, &seek, select, names).await
}

/// Lines of the ledger whose own local key is among `keys`.
///
/// SQLite has no statistics of a table that is being filled, and would go by the primary key's first column and read all of
/// the job for each page.
async fn of_own_keys(connection: &mut Connection, job: &str, keys: &[&str]) -> Result<Vec<Line>, Error> {
    let key = &[("local_key", &Stored::text())];
    let seek = Seek { table: LEDGER, fixed: &[("job", job)], key, index: Some("milkrun_ledger_local_key"), lock: "" };
    found(connection, &seek, &ENTRY, keys).await
}

async fn found(
    connection: &mut Connection,
    seek: &Seek<'_>,
    select: &[&'static str],
    keys: &[&str],
) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::new();
    for (rows, binds) in lists(connection.kind(), keys) {
        let mut sql = connection.sql("SELECT ");
        match connection.kind() {
            DatabaseKind::Sqlite => sql.packed(select.iter().copied()),
            DatabaseKind::Postgres | DatabaseKind::Mysql => sql.reads(select.iter().copied()),
        };
        let binds = seek.finish(&mut sql, rows, binds);
        let found = connection.fetch(sql, binds).await?;
        match connection.kind() {
            DatabaseKind::Sqlite => {
                for line in found {
                    lines.extend(line.unpacked()?);
                }
            }
            DatabaseKind::Postgres | DatabaseKind::Mysql => lines.extend(found),
        }
    }
    Ok(lines)
}

/// Names as `IN` lists.
pub(super) fn lists<'a>(kind: DatabaseKind, names: &[&'a str]) -> Vec<(usize, Vec<Bind<'a>>)> {
    let mut batch = Batch::new(1);
    batch.extend(names.iter().map(|name| Bind::text(name)));
    batch.cut_lists(kind)
}

/// Each once, in order.
pub(super) fn sorted(mut texts: Vec<&str>) -> Vec<&str> {
    texts.sort_unstable();
    texts.dedup();
    texts
}

fn entry(line: &Line) -> Result<Entry, Error> {
    let hq_name: Arc<str> = line.required(0, "milkrun_ledger.hq_name")?.into();
    let hash = line.optional_int(5, "milkrun_ledger.local_hash")?;
    let base = match (line.text(6), hash) {
        (Some(text), _) => {
            let values = Values::parse(text);
            Base::Values(values.ok_or_else(|| Error::Damaged(format!("milkrun_ledger.base of {hq_name:?}")))?)
        }
        (None, Some(hash)) => Base::Hash(hash),
        (None, None) => Base::Unknown,
    };
    Ok(Entry {
        local_key: line.text(1).map_or_else(|| Arc::clone(&hq_name), Arc::from),
        hq_modified: stamp(line, 2)?,
        row_hash: line.int(3, "milkrun_ledger.row_hash")?,
        children_hash: line.int(4, "milkrun_ledger.children_hash")?,
        base,
        hq_name,
    })
}

fn stamp(line: &Line, at: usize) -> Result<Stamp, Error> {
    let what = "milkrun_ledger.hq_modified";
    line.stamp(at, what)?.ok_or_else(|| Error::Damaged(format!("{what} is null")))
}
