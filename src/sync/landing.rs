//! Mapped records into their tables: hold what is there, decide, write. Of records that the database refuses, each is
//! found by writing the page in ever smaller parts, and set aside.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::Error;
use super::conflicts::Log;
use super::former::{is_of_former, leave_out};
use super::incoming::Refusal;
use super::run::Work;
#[cfg(debug_assertions)]
use crate::breakage::{self, Breakage};
use crate::change::Change;
use crate::conflict::{self, Care, Held, Incoming, LocalRow, Plan, Terms};
use crate::crash::{self, Point};
use crate::ledger::{Base, Entry};
use crate::mapping::ChildRows;
use crate::row::{Key, Row, Type};
use crate::run::Counts;
use crate::store::{self, PageTx};

/// How a page is written; each way costs more than the one before, and finds more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Manner {
    /// As a first load: neither entries nor rows are expected, so none is looked for; one that is there is found by its
    /// being refused.
    Unseen,
    /// As one, with look-ups.
    AsOne,
    /// In ever smaller parts, each under a savepoint, until each record that the database refuses stands alone.
    InParts,
    /// And deferred constraints are looked at after each part.
    Deferred,
}

/// What HQ said of records whose rows others claim.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    /// HQ has no such record any more.
    pub(super) dead: HashSet<String>,
    /// HQ has it.
    pub(super) alive: HashSet<String>,
}

/// What writing a page's records came to.
#[derive(Debug)]
pub(super) enum Landing {
    /// All but the refused are written.
    Landed {
        /// What was written.
        counts: Counts,
        /// What was not.
        refused: Vec<Refusal>,
        /// What was done to rows, where that is to be told.
        changes: Vec<Change>,
        /// What was decided between HQ and the outlet.
        log: Log,
    },
    /// HQ is to be asked whether it has these records, as others claim their rows.
    Doubts(Vec<String>),
    /// The database refuses one of the records; the transaction can only be taken back.
    Refused,
}

impl Work<'_> {
    /// Writes the records. Only [`Manner::InParts`] can those that the database refuses be told apart.
    pub(super) async fn land(
        &self,
        tx: &mut PageTx,
        incoming: &[Incoming],
        (care, manner): (Care, Manner),
        known: &Neighbours,
    ) -> Result<Landing, Error> {
        let is_careful = manner > Manner::AsOne;
        if manner == Manner::Deferred {
            tx.check_at_once(&self.table).await.map_err(Error::store("looking at deferred constraints"))?;
        }
        let mut counts = Counts::default();
        let mut refused = Vec::new();
        let mut changes = Vec::new();
        let mut log = Log::default();
        let mut waiting = vec![incoming];
        // Those of the parts before count, too.
        let has_own_keys = self.has_own_keys || incoming.iter().any(Incoming::has_own_key);
        while let Some(part) = waiting.pop() {
            if part.is_empty() {
                continue;
            }
            let held = match manner {
                Manner::Unseen => self.hold_unseen(tx, part, has_own_keys, known).await?,
                Manner::AsOne | Manner::InParts | Manner::Deferred => {
                    self.hold(tx, part, (care, has_own_keys), known).await?
                }
            };
            let mut plan = conflict::plan(part, &held, &self.terms(care));
            let doubts: Vec<String> = plan
                .clashes
                .iter()
                .filter(|clash| !clash.is_certain)
                .map(|clash| clash.holder.as_ref().to_owned())
                .collect();
            if !doubts.is_empty() {
                return Ok(Landing::Doubts(doubts));
            }
            let planned = self.planned(tx, part, &held, &plan).await?;
            if is_careful {
                tx.mark().await.map_err(Error::store("marking a place in the transaction"))?;
            }
            let mut applied = self.apply(tx, part, &mut plan, &held, (care, manner)).await;
            if manner == Manner::Deferred && applied.is_ok() {
                let checked = tx.check_deferred(&self.table).await;
                applied = checked.map_err(Error::store("looking at deferred constraints"));
            }
            match (applied, part) {
                (Ok(()), _) => {
                    changes.extend(planned);
                    counts.add(&counted(&plan, part.len()));
                    refused.extend(plan.clashes.iter().map(|clash| self.clashed(clash, part)));
                    let undecidable = |(at, why): &(usize, String)| Some(Refusal::of(part.get(*at)?, why.clone()));
                    refused.extend(plan.undecidable.iter().filter_map(undecidable));
                    log.add(self.log_of(part, &plan, &held));
                }
                (Err(Error::Store { cause: store::Error::Refused { .. }, .. }), _) if !is_careful => {
                    return Ok(Landing::Refused);
                }
                (Err(Error::Store { cause: cause @ store::Error::Refused { .. }, .. }), [only]) => {
                    tx.undo().await.map_err(Error::store("taking back a record"))?;
                    refused.push(Refusal::of(only, self.reason_without_private(&cause, only)));
                }
                (Err(Error::Store { cause: store::Error::Refused { .. }, .. }), many) => {
                    tx.undo().await.map_err(Error::store("taking back a part of a page"))?;
                    let (left, right) = many.split_at(many.len() / 2);
                    waiting.extend([right, left]);
                }
                (Err(error), _) => return Err(error),
            }
        }
        Ok(Landing::Landed { counts, refused, changes, log })
    }

    /// The terms under which the job's records are judged.
    pub(super) fn terms(&self, care: Care) -> Terms<'_> {
        let mapping = &self.job.mapping;
        Terms { columns: mapping.columns(), key: mapping.key(), rules: &self.job.rules, care }
    }

    /// What is held of records that are expected to be new: only who owns their keys, where keys are not names. A record
    /// or a row that is there all the same has a unique key of the ledger or the table against its being made again.
    async fn hold_unseen(
        &self,
        tx: &mut PageTx,
        incoming: &[Incoming],
        has_own_keys: bool,
        known: &Neighbours,
    ) -> Result<Held, Error> {
        let mut held = self.nothing_held(known);
        let reading = || Error::store("reading the ledger");
        if has_own_keys {
            let keys: Vec<&str> = incoming.iter().map(|record| record.mapped.key_text.as_ref()).collect();
            let owners = tx.entries(&self.job.name, &[], &keys, true).await.map_err(reading())?;
            held.owners = owners.into_iter().map(|entry| (entry.local_key, entry.hq_name)).collect();
        }
        Ok(held)
    }

    fn nothing_held(&self, known: &Neighbours) -> Held {
        Held { dead: known.dead.clone(), alive: known.alive.clone(), told: self.told(), ..Held::default() }
    }

    async fn hold(
        &self,
        tx: &mut PageTx,
        incoming: &[Incoming],
        (care, has_own_keys): (Care, bool),
        known: &Neighbours,
    ) -> Result<Held, Error> {
        let reading = || Error::store("reading local rows");
        let names: Vec<&str> = incoming.iter().map(|record| record.hq_name.as_ref()).collect();
        let keys: Vec<&Arc<str>> = incoming.iter().map(|record| &record.mapped.key_text).collect();
        let key_texts: Vec<&str> = keys.iter().map(|key| key.as_ref()).collect();
        let entries = tx.entries(&self.job.name, &names, &key_texts, has_own_keys).await;
        let entries = entries.map_err(Error::store("reading the ledger"))?;
        let mut held = self.nothing_held(known);
        for entry in entries {
            held.owners.insert(Arc::clone(&entry.local_key), Arc::clone(&entry.hq_name));
            held.entries.insert(Arc::clone(&entry.hq_name), entry);
        }
        let mut wanted: Vec<Key> = Vec::with_capacity(incoming.len());
        let mut former: Vec<Key> = Vec::new();
        for (record, key) in incoming.iter().zip(&keys) {
            let entry = held.entries.get(&record.hq_name);
            let is_settled = entry.is_some_and(|entry| {
                (entry.row_hash, entry.children_hash) == (record.mapped.hash, record.children_hash)
                    && entry.local_key == **key
            });
            if care == Care::Repair || !is_settled {
                wanted.push(record.mapped.key.clone());
            }
            let moved_from = entry.filter(|entry| entry.local_key != **key && !keys.contains(&&entry.local_key));
            former.extend(moved_from.and_then(|entry| self.key(&entry.local_key)));
        }
        wanted.extend(former.iter().cloned());
        let rows = tx.rows(&self.table, &wanted).await.map_err(reading())?;
        held.rows = rows.into_iter().map(|(key, row)| (key, self.local_row(row))).collect();
        let mut former_bases: Vec<Arc<str>> = Vec::new();
        for (record, key) in incoming.iter().zip(&keys) {
            let entry = held.entries.get(&record.hq_name);
            let from = entry.map_or(*key, |entry| &entry.local_key);
            let at = Arc::clone(if held.rows.contains_key(from) { from } else { key });
            let Some(local) = held.rows.get_mut(&at) else { continue };
            let mut changes = entry.map(|entry| self.changes(entry, record, local));
            self.agree(local, &record.mapped.row);
            if self.may_be_former(&record.hq_name) {
                if let Some(changes) = &mut changes {
                    self.respell(local, record, changes);
                    self.give_back(&record.hq_name, changes);
                }
                former_bases.extend(
                    entry.filter(|entry| is_of_former(entry, local.version)).map(|entry| entry.hq_name.clone()),
                );
            }
            held.changes.extend(changes.map(|changes| (Arc::clone(&record.hq_name), changes)));
        }
        // They were judged; from here on only the present mapping's count.
        for name in former_bases {
            if let Some(entry) = held.entries.get_mut(&name) {
                entry.base = Base::Unknown;
            }
        }
        let has_adopted =
            incoming.iter().any(|record| !held.entries.contains_key(&record.hq_name)) && !held.rows.is_empty();
        if !self.job.mapping.children().is_empty() && (care == Care::Repair || has_adopted) {
            let mut children = Vec::new();
            let all: Vec<Key> = incoming.iter().map(|record| record.mapped.key.clone()).chain(former).collect();
            for at in 0..self.job.mapping.children().len() {
                children.push(tx.child_rows(&self.table, at, &all).await.map_err(reading())?);
            }
            for (record, key) in incoming.iter().zip(&keys) {
                let is_other = |entry: &&Entry| entry.children_hash != record.children_hash;
                if let Some(entry) = held.entries.get(&record.hq_name).filter(is_other)
                    && self.may_be_former(&record.hq_name)
                {
                    let key = if entry.local_key == **key { key } else { &entry.local_key };
                    leave_out(&mut children, record, key);
                }
            }
            held.children = Some(children);
        }
        Ok(held)
    }

    /// Takes HQ's cell for the local one wherever the column's own type makes them one value (`80.0` in a column of
    /// two decimals reads back as `80.00`).
    fn agree(&self, local: &mut LocalRow, row: &Row) {
        let kind = self.engine.store.kind();
        for (at, (have, want)) in local.row.iter_mut().zip(row).enumerate() {
            if have != want && self.table.agrees(kind, at, want, have) {
                *have = want.clone();
            }
        }
    }

    async fn apply(
        &self,
        tx: &mut PageTx,
        incoming: &[Incoming],
        plan: &mut Plan,
        held: &Held,
        (care, manner): (Care, Manner),
    ) -> Result<(), Error> {
        let writing = || Error::store(format!("writing to table {}", self.job.table));
        let rows =
            |at: &[usize]| at.iter().filter_map(|at| incoming.get(*at)).map(|record| &record.mapped.row).collect();
        let dropped: Vec<&str> = plan.dropped.iter().map(AsRef::as_ref).collect();
        tx.drop_entries(&self.job.name, &dropped).await.map_err(Error::store("writing the ledger"))?;
        #[cfg(debug_assertions)]
        if breakage::is(Breakage::LedgerApart) {
            tx.upsert_entries(&self.job.name, &plan.entries).await.map_err(Error::store("writing the ledger"))?;
            tx.sever().await.map_err(Error::store("writing the ledger"))?;
        }
        for (from, to) in &plan.rekeys {
            let Some(from) = self.key(from) else { continue };
            for child in 0..self.job.mapping.children().len() {
                tx.replace_children(&self.table, child, &[(from.clone(), Vec::new())]).await.map_err(writing())?;
            }
            tx.rekey(&self.table, &from, to).await.map_err(writing())?;
        }
        // In the order of the table's tree.
        let key = |at: &usize| incoming.get(*at).map(|record| &record.mapped.key_text);
        plan.inserts.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        let inserts: Vec<_> = rows(&plan.inserts);
        tx.insert(&self.table, &inserts).await.map_err(writing())?;
        // Most write all columns; those that leave some are put together by which.
        let mut updates: BTreeMap<Option<&[usize]>, Vec<usize>> = BTreeMap::new();
        for update in &plan.updates {
            updates.entry(update.columns.as_deref()).or_default().push(update.at);
        }
        for (columns, at) in updates {
            tx.update(&self.table, &rows(&at), columns).await.map_err(writing())?;
        }
        for (at, child) in self.job.mapping.children().iter().enumerate() {
            let parents = plan.children.iter().filter_map(|at| incoming.get(*at));
            let rows: Vec<(Key, ChildRows)> = parents
                .map(|parent| (parent.mapped.key.clone(), parent.children.get(at).cloned().unwrap_or_default()))
                .collect();
            let replaced = tx.replace_children(&self.table, at, &rows).await;
            replaced.map_err(Error::store(format!("writing to table {}", child.table)))?;
        }
        self.mend_bases(tx, incoming, plan, held, care).await?;
        crash::point(Point::RowsWritten);
        let restamped = tx.restamp_entries(&self.job.name, &plan.restamped).await;
        restamped.map_err(Error::store("writing the ledger"))?;
        let touched = self.touched(incoming, plan);
        let written = match manner {
            Manner::Unseen => tx.insert_entries(&self.job.name, &plan.entries).await,
            Manner::AsOne | Manner::InParts | Manner::Deferred => {
                tx.upsert_touched(&self.job.name, &plan.entries, touched.as_ref()).await
            }
        };
        written.map_err(Error::store("writing the ledger"))?;
        match touched {
            Some(touched) => self.note_the_rest(tx, incoming, plan, &touched).await,
            None => Ok(()),
        }
    }

    /// The key that a text of the ledger stands for; `None` where the job's key has been given other types since.
    pub(super) fn key(&self, text: &str) -> Option<Key> {
        let columns = self.job.mapping.columns();
        let types: Vec<Type> =
            self.job.mapping.key().iter().filter_map(|at| columns.get(*at)).map(|column| column.ty).collect();
        Key::from_text(text, &types)
    }

    fn clashed(&self, clash: &conflict::Clash, part: &[Incoming]) -> Refusal {
        let modified =
            part.iter().find(|record| record.hq_name == clash.claimant).map(|record| record.modified.clone());
        Refusal {
            name: clash.claimant.as_ref().to_owned(),
            modified: modified.unwrap_or_else(crate::record::Stamp::never),
            reason: self.clash_without_private(clash),
            awaits: Vec::new(),
        }
    }
}

fn counted(plan: &Plan, records: usize) -> Counts {
    let (inserted, unchanged) = (plan.inserts.len() as u64, plan.unchanged);
    let left_out = plan.clashes.len() + plan.waiting.len() + plan.undecidable.len();
    let updated = (records - left_out) as u64 - inserted - unchanged;
    Counts { inserted, updated, unchanged, ..Counts::default() }
}
