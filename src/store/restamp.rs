//! Entries of the ledger of which only the stamp changes, as after a bulk update at HQ: many at once.

use std::collections::BTreeMap;

use crate::ledger::Entry;
use crate::record::Stamp;

use super::batch::{Batch, among};
use super::bind::Bind;
use super::catalog::Stored;
use super::error::Error;
use super::ledger::{lists, sorted};
use super::tx::PageTx;

/// So many entries of one new stamp are written by that, not each by itself.
const ALIKE: usize = 20;

impl PageTx {
    /// Writes the stamps of entries of which nothing else has changed.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn restamp_entries(&mut self, job: &str, entries: &[Entry]) -> Result<(), Error> {
        let mut by_stamp: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            by_stamp.entry(entry.hq_modified.as_str()).or_default().push(entry);
        }
        let mut few = Vec::new();
        for (stamp, alike) in by_stamp {
            if alike.len() < ALIKE {
                few.extend(alike.into_iter().cloned());
                continue;
            }
            let names = sorted(alike.iter().map(|entry| entry.hq_name.as_ref()).collect());
            for (rows, mut binds) in lists(self.connection.kind(), &names) {
                let mut sql = self.connection.sql("UPDATE milkrun_ledger SET hq_modified = ? WHERE job = ? AND ");
                among(&mut sql, &[("hq_name", &Stored::text())], rows);
                binds.splice(0..0, [Bind::text(stamp), Bind::text(job)]);
                self.connection.execute(sql, binds).await?;
            }
        }
        self.upsert_entries(job, &few).await
    }

    /// Writes one stamp into the entries of these records as far as they hold what came: one of the fingerprints, no other key
    /// than the name, and the fingerprint of a local row. Whether that was all of them; if not, the transaction is best rolled
    /// back, and the page looked at record by record.
    ///
    /// The names are each given once. A fingerprint must be of a row with its key in it, so that no two records share one.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn restamp_alike(
        &mut self,
        job: &str,
        stamp: &Stamp,
        records: &[(&str, i64)],
        children_hash: i64,
    ) -> Result<bool, Error> {
        let kind = self.connection.kind();
        let mut records = records.to_vec();
        // In the order of the ledger's tree.
        records.sort_unstable();
        let names: Vec<&str> = records.iter().map(|(name, _)| *name).collect();
        let mut hashes = Batch::new(1);
        hashes.extend(records.iter().map(|(_, hash)| Bind::Int(Some(*hash))));
        let mut done = 0;
        for ((rows, names), (_, hashes)) in lists(kind, &names).into_iter().zip(hashes.cut_lists(kind)) {
            let mut sql = self.connection.sql("UPDATE milkrun_ledger SET hq_modified = ? WHERE job = ? AND ");
            among(&mut sql, &[("hq_name", &Stored::text())], rows);
            sql.push(" AND ");
            among(&mut sql, &[("row_hash", &Stored::int())], rows);
            sql.push(" AND children_hash = ? AND local_hash IS NOT NULL AND local_key IS NULL AND base IS NULL");
            let mut binds = vec![Bind::text(stamp.as_str()), Bind::text(job)];
            binds.extend(names.into_iter().chain(hashes));
            binds.push(Bind::Int(Some(children_hash)));
            done += self.connection.execute(sql, binds).await?;
        }
        Ok(done == records.len() as u64)
    }
}
