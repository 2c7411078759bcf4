//! What the ledger keeps of a row, and what both sides changed since.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Error;
use super::run::Work;
use crate::conflict::{Care, Changed, Changes, Held, Incoming, LocalRow, Plan, Rule};
use crate::ledger::{Base, Entry, Value, Values};
use crate::row::{Cell, Key, Row};
use crate::store::{HeldRow, PageTx};

impl Work<'_> {
    /// Fingerprint of a row's columns that HQ owns, as the database spells them.
    pub(super) fn version_of(&self, row: &Row) -> i64 {
        self.mapper().version_of(row)
    }

    pub(super) fn local_row(&self, held: HeldRow) -> LocalRow {
        LocalRow {
            version: self.version_of(&held.row),
            row: held.row,
            is_marked: held.is_marked,
            edited: held.edited,
            former: held.former,
        }
    }

    /// What both sides changed of a record since the ledger took it.
    pub(super) fn changes(&self, entry: &Entry, record: &Incoming, local: &LocalRow) -> Changes {
        let at_hq = match &entry.base {
            // Another mapping may make the same values of it for other columns.
            _ if entry.row_hash == record.mapped.hash && !self.may_be_former(&entry.hq_name) => Changed::Nothing,
            Base::Unknown | Base::Hash(_) => Changed::Somewhere,
            Base::Values(values) => Changed::Columns(self.changed_at_hq(values, &record.mapped.row)),
        };
        Changes { at_hq, here: self.edited(entry, local) }
    }

    /// What was changed here since the ledger took the record.
    pub(super) fn edited(&self, entry: &Entry, local: &LocalRow) -> Changed {
        match &entry.base {
            // Of entries that an older milkrun made.
            Base::Unknown if self.job.rules.job == Rule::HqWins && !self.job.rules.keeps_base => Changed::Unknown,
            Base::Unknown => Changed::Somewhere,
            Base::Hash(hash) if *hash == local.version => Changed::Nothing,
            Base::Hash(hash) if self.may_be_former(&entry.hq_name) => self.edited_since_former(*hash, local),
            Base::Hash(_) => Changed::Somewhere,
            Base::Values(values) => Changed::Columns(self.edited_columns(values, local)),
        }
    }

    /// The columns in which HQ's record differs from the base.
    fn changed_at_hq(&self, base: &Values, row: &Row) -> Vec<usize> {
        let differs = |at: usize, name: &str, cell: &Cell| match base.get(name) {
            Some(base) => !self.is_same_value(at, &base.hq, &self.mapper().spelt(at, cell)),
            // A column that is newly mapped is filled from HQ, whatever default it was made with.
            None => true,
        };
        self.columns_where(row, differs)
    }

    /// The columns in which a row differs from what it read when the base was taken.
    fn edited_columns(&self, base: &Values, local: &LocalRow) -> Vec<usize> {
        let differs = |at: usize, name: &str, cell: &Cell| {
            let Some(before) = base.get(name).map(Value::here) else { return false };
            !self.is_same_value(at, before, &self.mapper().spelt(at, cell))
                && !self.reads_as_before(name, before, local)
        };
        self.columns_where(&local.row, differs)
    }

    fn columns_where(&self, row: &Row, differs: impl Fn(usize, &str, &Cell) -> bool) -> Vec<usize> {
        let columns = self.job.mapping.columns();
        let differs = |at: &usize| {
            let (Some(column), Some(cell)) = (columns.get(*at), row.get(*at)) else { return false };
            differs(*at, &column.name, cell)
        };
        self.job.mapping.synced().iter().copied().filter(differs).collect()
    }

    /// Notes in the entries what the columns that were written read now, as a database or a trigger may make something
    /// else of a value, which is no edit. Columns that were not written keep what was known of them.
    pub(super) async fn mend_bases(
        &self,
        tx: &mut PageTx,
        incoming: &[Incoming],
        plan: &mut Plan,
        held: &Held,
        care: Care,
    ) -> Result<(), Error> {
        // A fingerprint is of what HQ has, as reading back what is written would cost each page a query; where a repair
        // has shown that the row differs all the same, it is of what the row reads.
        if !self.job.rules.keeps_base && care == Care::News {
            return Ok(());
        }
        // Nothing is there that could have been something else than what HQ has.
        if self.table.is_verbatim() && held.entries.is_empty() && plan.updates.is_empty() {
            return Ok(());
        }
        let record = |at: usize| incoming.get(at);
        let inserted = plan.inserts.iter().filter_map(|at| Some((record(*at)?, None)));
        let updated = plan.updates.iter().filter_map(|update| Some((record(update.at)?, update.columns.as_deref())));
        let written: Written<'_> = inserted
            .chain(updated)
            .map(|(record, columns)| (record.hq_name.as_ref(), (record, columns.map(<[usize]>::to_vec))))
            .collect();
        let keys: Vec<Key> = written.values().map(|(record, _)| record.mapped.key.clone()).collect();
        let rows = tx.rows(&self.table, &keys).await.map_err(Error::store("reading what was written"))?;
        if self.job.rules.keeps_base {
            self.mend_values(plan, held, &written, &rows);
        } else {
            self.mend_fingerprints(plan, &written, &rows);
        }
        Ok(())
    }

    fn mend_fingerprints(&self, plan: &mut Plan, written: &Written<'_>, rows: &HashMap<Arc<str>, HeldRow>) {
        let bases = written.values().filter_map(|(record, _)| {
            let row = rows.get(&record.mapped.key_text)?;
            Some(Entry { base: Base::Hash(self.version_of(&row.row)), ..record.entry() })
        });
        let mut bases: HashMap<Arc<str>, Entry> = bases.map(|entry| (entry.hq_name.clone(), entry)).collect();
        for entry in &mut plan.entries {
            if let Some(base) = bases.remove(&entry.hq_name) {
                *entry = base;
            }
        }
        plan.entries.extend(bases.into_values());
    }

    fn mend_values(&self, plan: &mut Plan, held: &Held, written: &Written<'_>, rows: &HashMap<Arc<str>, HeldRow>) {
        let columns = self.job.mapping.columns();
        // Where nothing but what the database makes of a value has changed, the ledger holds all but that already.
        let known: HashSet<Arc<str>> = plan.entries.iter().map(|entry| entry.hq_name.clone()).collect();
        let others = written.iter().filter(|(name, _)| !known.contains(**name)).map(|(_, (record, _))| record.entry());
        let mut others: Vec<Entry> = others.collect();
        for entry in plan.entries.iter_mut().chain(&mut others) {
            let Base::Values(values) = &mut entry.base else { continue };
            let before = held.entries.get(&entry.hq_name).map(|entry| &entry.base);
            let row = written
                .get(entry.hq_name.as_ref())
                .and_then(|(record, columns)| Some((rows.get(&record.mapped.key_text)?, columns.as_deref())));
            for at in self.job.mapping.synced() {
                let Some(name) = columns.get(*at).map(|column| column.name.as_str()) else { continue };
                let Some(hq) = values.get(name).map(|value| value.hq.clone()) else { continue };
                let is_written = |columns: Option<&[usize]>| columns.is_none_or(|columns| columns.contains(at));
                let here = match (row, before) {
                    (Some((row, columns)), _) if is_written(columns) => {
                        row.row.get(*at).map(|cell| self.mapper().spelt(*at, cell))
                    }
                    (_, Some(Base::Values(before))) => before
                        .get(name)
                        .filter(|before| self.is_same_value(*at, &before.hq, &hq))
                        .and_then(|before| before.here.clone()),
                    (_, Some(Base::Unknown | Base::Hash(_)) | None) => None,
                };
                values.set(name, hq, here);
            }
        }
        others.retain(|entry| held.entries.get(&entry.hq_name).is_none_or(|before| before.base != entry.base));
        plan.entries.extend(others);
    }
}

/// The records whose row was written, by name, with the columns that were; `None` for all.
type Written<'r> = HashMap<&'r str, (&'r Incoming, Option<Vec<usize>>)>;
