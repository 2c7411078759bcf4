//! Mappings that a job had before: what the ledger took under one of them is held against the row as that one reads it.
//!
//! An entry is of the mapping that was in force when its record was last taken. Until a pass has read everything under
//! the present one, and for records that are parked or wait even longer, that may be another; a price of three digits
//! is no edit of one that was taken with two.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Error;
use super::outline::Outline;
use super::run::Work;
use crate::conflict::{Changed, Changes, Incoming, LocalRow};
use crate::ledger::{Base, Entry, Spelt};
use crate::mapping::{ChildRows, type_of};
use crate::row::{Cell, Type};
use crate::store::Stream;

/// Mappings that are remembered: more than one only where a pass was cut by the next edit, or for records that are
/// parked or wait.
const REMEMBERED: usize = 8;

/// A mapping's columns, as far as the ledger's bases are made of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Form {
    /// The mapping's.
    fingerprint: i64,
    /// Its columns that HQ owns, without the key's, by name, and the words of their types.
    columns: Vec<(String, String)>,
}

impl Form {
    fn of(outline: &Outline) -> Self {
        let is_synced = |name: &String| !outline.key.contains(name);
        let synced = outline
            .columns
            .iter()
            .filter(|(name, words)| is_synced(name) && words.get("owner").is_none_or(|owner| owner != "once"));
        let columns = synced.map(|(name, words)| (name.clone(), words.get("type").cloned().unwrap_or_default()));
        Self { fingerprint: outline.fingerprint, columns: columns.collect() }
    }

    fn typed(&self) -> Option<Vec<(String, Type)>> {
        self.columns.iter().map(|(name, words)| Some((name.clone(), type_of(words)?))).collect()
    }
}

impl Outline {
    /// The mappings before the one of this fingerprint, this one among them if it is another; the latest last. One more than are
    /// remembered at the most.
    pub(super) fn forms_before(&self, fingerprint: i64) -> Vec<Form> {
        let own = Some(Form::of(self)).filter(|own| own.fingerprint != fingerprint);
        let mut forms: Vec<Form> = Vec::new();
        for form in self.former.iter().cloned().chain(own).filter(|form| form.fingerprint != fingerprint) {
            forms.retain(|known| known.fingerprint != form.fingerprint);
            forms.push(form);
        }
        forms
    }

    /// Takes over what is known of the mapping before.
    pub(super) fn follow(&mut self, kept: &Self) {
        self.owes_reconcile = kept.owes_reconcile_by(&self.filters);
        let filled = |lost: &[(String, String)]| -> Vec<(String, String)> {
            lost.iter().filter(|(table, column)| self.has_filled(table, column)).cloned().collect()
        };
        (self.lost, self.lost_to_waiting) = (filled(&kept.lost), filled(&kept.lost_to_waiting));
        self.former = kept.forms_before(self.fingerprint);
        let forgotten = self.former.len().saturating_sub(REMEMBERED);
        self.former.drain(..forgotten);
        self.follows_unknown |= forgotten > 0;
    }

    /// Whether rows may be there that these filters leave out.
    pub(super) fn owes_reconcile_by(&self, filters: &[Value]) -> bool {
        self.owes_reconcile || self.filters != filters
    }

    /// Whether it is the mapping of this fingerprint, or comes after it.
    fn knows(&self, fingerprint: i64) -> bool {
        self.fingerprint == fingerprint || self.former.iter().any(|form| form.fingerprint == fingerprint)
    }
}

impl Work<'_> {
    /// Has rows read as the mappings before read them, too, where the ledger may hold what was taken under those:
    /// everywhere until all has been read under the present one, and after that in records that wait.
    pub(super) async fn recall(&mut self, has_waiting: bool) -> Result<(), Error> {
        self.is_converting = !self.is_loaded();
        if !self.is_converting && !has_waiting {
            return Ok(());
        }
        let kept = self.engine.outline(&self.job.name).await?;
        let is_known = kept
            .as_ref()
            .is_some_and(|kept| !kept.follows_unknown && self.progress.mapping.is_none_or(|known| kept.knows(known)));
        if let Some(kept) = &kept {
            self.lost = self.places_of(&kept.lost);
            self.lost_to_waiting = self.places_of(&kept.lost_to_waiting);
        }
        let forms = kept.map(|kept| kept.forms_before(self.fingerprint())).unwrap_or_default();
        let typed: Vec<_> = forms.iter().filter_map(Form::typed).collect();
        let is_other_version = typed.len() < forms.len();
        let mut is_lost = false;
        if !typed.is_empty() {
            let recalled = self.engine.store.recall(&self.table, &typed).await;
            let (table, lost) = recalled.map_err(Error::store(format!("table {}", self.job.table)))?;
            (self.table, is_lost) = (Arc::new(table), lost);
        }
        self.is_former_known = is_known && !is_other_version && !is_lost;
        Ok(())
    }

    /// Where these columns are in the job's own table; those of its child tables follow HQ whatever they hold.
    fn places_of(&self, lost: &[(String, String)]) -> Vec<usize> {
        let is_lost = |name: &str| lost.iter().any(|(table, column)| *table == self.job.table && column == name);
        let columns = self.job.mapping.columns().iter().enumerate();
        columns.filter(|(_, column)| is_lost(&column.name)).map(|(at, _)| at).collect()
    }

    /// Keeps the mapping in words, with those before it that the ledger may still be of, and how far the job has come by it:
    /// the two are never of different mappings.
    pub(super) async fn keep_former(&self, has_entries: bool) -> Result<(), Error> {
        let mut outline = Outline::of(self.job);
        if has_entries {
            outline.follows_unknown = !self.is_former_known;
            if let Some(kept) = self.engine.outline(&self.job.name).await? {
                outline.follow(&kept);
            }
        }
        let (job, keeping) = (&self.job.name, || Error::store("keeping the mapping in force"));
        let mut tx = self.engine.begin_held(job).await?;
        tx.save_outline(job, &outline.text()).await.map_err(keeping())?;
        let now = self.engine.clock.now();
        tx.save_progress(job, Stream::Records, &self.progress, now).await.map_err(keeping())?;
        tx.commit().await.map_err(keeping())
    }

    /// Has it forgotten that a reconcile was owed, after one by the mapping in force.
    pub(super) async fn has_reconciled(&self) -> Result<(), Error> {
        let is_settled = |kept: &Outline| kept.owes_reconcile && kept.fingerprint == self.fingerprint();
        let Some(kept) = self.engine.outline(&self.job.name).await?.filter(is_settled) else { return Ok(()) };
        self.engine.keep_outline(&Outline { owes_reconcile: false, ..kept }, self.job).await
    }

    /// Whether what the ledger holds of the record may have been taken under a mapping before.
    pub(super) fn may_be_former(&self, name: &str) -> bool {
        self.is_converting || self.parked.contains_key(name) || self.open.contains_key(name)
    }

    /// What was changed here of a row whose fingerprint is not the ledger's.
    pub(super) fn edited_since_former(&self, hash: i64, local: &LocalRow) -> Changed {
        let mapping = &self.job.mapping;
        if self.table.former_versions(self.engine.store.kind(), &local.former).contains(&hash) {
            return Changed::Nothing;
        }
        if !self.is_former_known {
            return Changed::Unknown;
        }
        // What no mapping filled before holds nothing of HQ's that could have been edited.
        let had = |at: &usize| mapping.columns().get(*at).is_some_and(|column| self.table.had(&column.name));
        Changed::Columns(mapping.synced().iter().copied().filter(had).collect())
    }

    /// Whether the column still reads what it read when the record was taken, to a mapping of before.
    pub(super) fn reads_as_before(&self, column: &str, before: &Spelt, local: &LocalRow) -> bool {
        let spelt = self.table.former_spellings(self.engine.store.kind(), column, &local.former);
        spelt.into_iter().any(|spelt| match (before, spelt) {
            (Spelt::Null, None) => true,
            (Spelt::Text(before), Some(text)) => *before == text,
            (Spelt::Hash(before), Some(text)) => *before == hash(&text),
            (Spelt::Null, Some(_)) | (Spelt::Text(_) | Spelt::Hash(_), None) => false,
        })
    }

    /// Whether two spellings are of one value in the column at `at`, the first perhaps from when it had another type,
    /// or was private or not.
    pub(super) fn is_same_value(&self, at: usize, before: &Spelt, now: &Spelt) -> bool {
        let respelt = |text: &str| self.table.respelt(self.engine.store.kind(), at, text);
        match (before, now) {
            (Spelt::Text(before), Spelt::Text(now)) => before == now || respelt(before).as_ref() == Some(now),
            (Spelt::Text(before), Spelt::Hash(now)) => {
                hash(before) == *now || respelt(before).is_some_and(|before| hash(&before) == *now)
            }
            (Spelt::Hash(before), Spelt::Text(now)) => *before == hash(now),
            (Spelt::Null | Spelt::Hash(_), _) | (Spelt::Text(_), Spelt::Null) => before == now,
        }
    }

    /// Has numbers written whose digits the present mapping spells otherwise, in columns that keep them as they are
    /// written: `80` where a scale of two makes it `80.00`.
    pub(super) fn respell(&self, local: &mut LocalRow, record: &Incoming, changes: &mut Changes) {
        let kind = self.engine.store.kind();
        for at in self.job.mapping.synced() {
            let (Some(have), Some(want)) = (local.row.get_mut(*at), record.mapped.row.get(*at)) else { continue };
            let is_number = matches!((&*have, want), (Cell::Decimal(_), Cell::Decimal(_)));
            if is_number && have == want && have.text() != want.text() && self.table.keeps_digits(kind, *at) {
                *have = have.text().map_or(Cell::Null, |text| Cell::Text(text.into()));
                self.give_to_hq(*at, changes);
            }
        }
    }

    /// Takes a column whose value is one on both sides for changed at HQ alone.
    pub(super) fn give_to_hq(&self, at: usize, changes: &mut Changes) {
        let all = || self.job.mapping.synced().iter().copied();
        match &mut changes.at_hq {
            Changed::Nothing => changes.at_hq = Changed::Columns(vec![at]),
            Changed::Columns(columns) if !columns.contains(&at) => columns.push(at),
            Changed::Columns(_) | Changed::Somewhere | Changed::Unknown => {}
        }
        match &mut changes.here {
            Changed::Columns(columns) => columns.retain(|column| *column != at),
            Changed::Somewhere => changes.here = Changed::Columns(all().filter(|column| *column != at).collect()),
            Changed::Nothing | Changed::Unknown => {}
        }
    }
}

/// Whether the entry's fingerprint is not one of the row under the present mapping; it may be none of it under any.
pub(super) fn is_of_former(entry: &Entry, version: i64) -> bool {
    matches!(entry.base, Base::Hash(hash) if hash != version)
}

/// Leaves those child rows out that HQ's replace, as they were taken under a mapping that may have spelt them otherwise.
pub(super) fn leave_out(children: &mut [HashMap<Arc<str>, ChildRows>], record: &Incoming, key: &str) {
    for (found, wanted) in children.iter_mut().zip(&record.children) {
        if !wanted.is_empty() {
            found.remove(key);
        }
    }
}

/// As of a private text.
fn hash(text: &str) -> i64 {
    xxhash_rust::xxh3::xxh3_64(text.as_bytes()).cast_signed()
}
