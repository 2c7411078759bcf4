//! From what was found to what is to be done: one decision a record, pure, with no database in sight.
//!
//! The ledger is the base of every decision: what HQ's record and the local row differ in from it is what either side
//! changed. `state.rs` holds the table of cases for one record, `rule.rs` the rules; here a page's records are put
//! together, as two of them may claim one row.

mod log;
mod rule;
mod state;

pub use log::{Conflict, LIMIT, Resolution};
pub use rule::{Rule, Rules};
pub use state::{Changed, Edited, Kind, Ruling, Side, Sides, Terms, Verdict};

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::NaiveDateTime;

use crate::breakage::{self, Breakage};
use crate::ledger::{Base, Entry};
use crate::mapping::{ChildRows, Mapped};
use crate::record::Stamp;
use crate::row::{Key, Row};

/// One record of HQ's, mapped.
#[derive(Debug)]
pub struct Incoming {
    /// HQ's `name`.
    pub hq_name: Arc<str>,
    /// HQ's `modified`.
    pub modified: Stamp,
    /// The row it makes.
    pub mapped: Mapped,
    /// Its child rows, for each child table of the mapping in order.
    pub children: Vec<ChildRows>,
    /// Fingerprint of the child rows.
    pub children_hash: i64,
    /// `modified` in UTC; `None` where no rule asks for it.
    pub modified_at: Option<NaiveDateTime>,
    /// What the ledger is to keep of the row.
    pub base: Base,
}

impl Incoming {
    /// Whether its row has another key than its name.
    #[must_use]
    pub fn has_own_key(&self) -> bool {
        self.hq_name != self.mapped.key_text
    }

    /// What the ledger is to hold of it.
    #[must_use]
    pub fn entry(&self) -> Entry {
        Entry {
            hq_name: Arc::clone(&self.hq_name),
            local_key: Arc::clone(&self.mapped.key_text),
            hq_modified: self.modified.clone(),
            row_hash: self.mapped.hash,
            children_hash: self.children_hash,
            base: self.base.clone(),
        }
    }
}

/// A local row as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalRow {
    /// Its mapped cells.
    pub row: Row,
    /// Whether it is marked as deleted.
    pub is_marked: bool,
    /// When the outlet last edited it; [`Edited::Never`] where no rule asks for it.
    pub edited: Edited,
    /// Fingerprint of the columns that HQ owns, as the database spells them.
    pub version: i64,
    /// The row as each mapping of before reads it, where the ledger may still hold what one of those took.
    pub former: Vec<Row>,
}

/// What both sides changed of a record since the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// At HQ.
    pub at_hq: Changed,
    /// Here.
    pub here: Changed,
}

/// What an operator said of a conflict: it holds for the versions that he was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Whose version is taken.
    pub side: Side,
    /// HQ's version, as [`Mapped::hash`].
    pub hq_version: i64,
    /// The outlet's version, as [`LocalRow::version`]; 0 for a row that is not there.
    pub local_version: i64,
}

impl Told {
    /// The side, where these are the versions.
    #[must_use]
    pub fn of(told: Option<&Self>, hq_version: i64, local_version: i64) -> Option<Side> {
        told.filter(|told| told.hq_version == hq_version && told.local_version == local_version)
            .map(|told| told.side)
    }
}

/// What the outlet holds of a page's records.
#[derive(Debug, Default)]
pub struct Held {
    /// The ledger's entries, by HQ name.
    pub entries: HashMap<Arc<str>, Entry>,
    /// HQ names by the local key they own, as far as the page's keys are concerned.
    pub owners: HashMap<Arc<str>, Arc<str>>,
    /// The local rows, by key text.
    pub rows: HashMap<Arc<str>, LocalRow>,
    /// The local child rows by parent key text, for each child table; `None` where they were not needed.
    pub children: Option<Vec<HashMap<Arc<str>, ChildRows>>>,
    /// HQ names that are known to be gone at HQ although the ledger has them.
    pub dead: HashSet<String>,
    /// HQ names that HQ was seen to have.
    pub alive: HashSet<String>,
    /// What both sides changed, by HQ name: of records that have an entry and a row; others have no base.
    pub changes: HashMap<Arc<str>, Changes>,
    /// What an operator said of conflicts, by HQ name.
    pub told: HashMap<String, Told>,
}

/// What is to be written for one page. Rows are positions into the page's [`Incoming`] list.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Rows to make.
    pub inserts: Vec<usize>,
    /// Rows to change.
    pub updates: Vec<Update>,
    /// Rows whose key changed at HQ: from, to.
    pub rekeys: Vec<(Arc<str>, Key)>,
    /// Records whose child rows are to be replaced.
    pub children: Vec<usize>,
    /// Ledger entries to write.
    pub entries: Vec<Entry>,
    /// Ledger entries of which only the stamp is to be written.
    pub restamped: Vec<Entry>,
    /// Ledger entries to drop, because another record took over their row.
    pub dropped: Vec<Arc<str>>,
    /// Records whose row already had the values.
    pub unchanged: u64,
    /// Decisions, each with the position of its record.
    pub rulings: Vec<(usize, Ruling)>,
    /// Records that wait for an operator; nothing is written for them.
    pub waiting: Vec<usize>,
    /// Records of which it cannot be told who wins, and why; nothing is written for them.
    pub undecidable: Vec<(usize, String)>,
    /// Records that claim a key which another one has; nothing is written for them.
    pub clashes: Vec<Clash>,
}

/// A row to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Position of its record.
    pub at: usize,
    /// The columns that take HQ's value; `None` for all that HQ owns.
    pub columns: Option<Vec<usize>>,
}

/// Two HQ records map to one local key; writing both would have them overwrite each other for ever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("HQ's records {holder:?} and {claimant:?} both map to the local key {key:?}")]
pub struct Clash {
    /// The key.
    pub key: Arc<str>,
    /// The record that has the row.
    pub holder: Arc<str>,
    /// The record that would take it.
    pub claimant: Arc<str>,
    /// Whether both are known to be alive at HQ; if not, the holder may have been renamed or deleted without a trace.
    pub is_certain: bool,
}

/// Whether the local row of an unchanged record is looked at, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Trust the ledger: a record that maps as it did last time is left alone.
    News,
    /// Compare every record with its row, and write HQ's values where they differ.
    Repair,
}

/// Decides for every record of a page; of two that claim one local key, the one that has it keeps it.
#[must_use]
pub fn plan(incoming: &[Incoming], held: &Held, terms: &Terms<'_>) -> Plan {
    let mut plan = Plan::default();
    let mut claimed: HashMap<&str, &Arc<str>> = HashMap::with_capacity(incoming.len());
    for (at, record) in incoming.iter().enumerate() {
        let key = &record.mapped.key_text;
        let (clashing, claimant) = (|| Arc::clone(key), || Arc::clone(&record.hq_name));
        if let Some(holder) = claimed.get(key.as_ref()).map(|holder| Arc::clone(holder)) {
            plan.clashes.push(Clash { key: clashing(), holder, claimant: claimant(), is_certain: true });
            continue;
        }
        if let Some(owner) = held.owners.get(key).filter(|owner| **owner != record.hq_name) {
            if !held.dead.contains(owner.as_ref()) {
                let (holder, is_certain) = (Arc::clone(owner), held.alive.contains(owner.as_ref()));
                plan.clashes.push(Clash { key: clashing(), holder, claimant: claimant(), is_certain });
                continue;
            }
            plan.dropped.push(Arc::clone(owner));
        }
        plan.decide(at, record, key, held, terms);
        claimed.insert(key, &record.hq_name);
    }
    plan
}

/// What is done about the row of one record.
#[derive(Debug)]
enum RowPlan {
    /// It stays as it is.
    Stays,
    /// It stays removed.
    StaysGone,
    /// It is made.
    Insert,
    /// These columns are written; `None` for all that HQ owns.
    Update(Option<Vec<usize>>),
}

impl Plan {
    fn decide(&mut self, at: usize, record: &Incoming, key: &Arc<str>, held: &Held, terms: &Terms<'_>) {
        let base = held.entries.get(&record.hq_name);
        let moved_from = base.filter(|entry| entry.local_key != *key).map(|entry| Arc::clone(&entry.local_key));
        let old_row = moved_from.as_ref().and_then(|from| held.rows.get(from));
        let local = old_row.or_else(|| held.rows.get(key));
        // Without a base there is nothing to compare with, other than for a job that has no child tables.
        let is_same_children =
            base.map_or(record.children.is_empty(), |entry| entry.children_hash == record.children_hash);
        let row = match self.decide_row(at, record, base, (moved_from.is_some(), is_same_children), local, held, terms)
        {
            Ok(Some(row)) => row,
            Ok(None) => {
                self.waiting.push(at);
                return;
            }
            Err(reason) => {
                self.undecidable.push((at, reason));
                return;
            }
        };
        let children_stay = match &held.children {
            Some(found) => has_children(found, moved_from.as_ref().unwrap_or(key), &record.children),
            None => is_same_children,
        };
        let mut has_new_children = !children_stay || moved_from.is_some();
        match row {
            RowPlan::StaysGone => {
                self.unchanged += 1;
                has_new_children = false;
            }
            RowPlan::Stays if has_new_children => {}
            RowPlan::Stays => self.unchanged += 1,
            RowPlan::Insert => {
                self.inserts.push(at);
                // A row that is made anew gets its children, whatever the ledger says of the old ones.
                has_new_children |= !record.children.is_empty();
            }
            RowPlan::Update(columns) => {
                if let Some(from) = moved_from.clone().filter(|_| old_row.is_some()) {
                    self.rekeys.push((from, record.mapped.key.clone()));
                }
                self.updates.push(Update { at, columns });
            }
        }
        if has_new_children {
            self.children.push(at);
        }
        let mut entry = record.entry();
        // The fingerprint of a row that HQ did not change may be of what a database or a trigger made of it.
        if let Some(base) = base.filter(|base| base.row_hash == entry.row_hash)
            && matches!((&base.base, &entry.base), (Base::Hash(_), Base::Hash(_)))
        {
            entry.base = base.base.clone();
        }
        let is_stale = breakage::is(Breakage::StaleBase) && self.rulings.iter().any(|(of, _)| *of == at);
        match base.filter(|base| is_alike(base, &entry)) {
            _ if is_stale => {}
            None => self.entries.push(entry),
            Some(base) if base.hq_modified.as_str() != entry.hq_modified.as_str() => self.restamped.push(entry),
            Some(_) => {}
        }
    }

    /// `None` where an operator has to decide.
    #[expect(clippy::too_many_arguments, reason = "what was found of one record, from its only caller")]
    fn decide_row(
        &mut self,
        at: usize,
        record: &Incoming,
        base: Option<&Entry>,
        (is_moved, is_same_children): (bool, bool),
        local: Option<&LocalRow>,
        held: &Held,
        terms: &Terms<'_>,
    ) -> Result<Option<RowPlan>, String> {
        // Other child rows alone are a change at HQ, too: they have no place where the row was removed here.
        let is_same = is_same_children && !is_moved && base.is_some_and(|entry| entry.row_hash == record.mapped.hash);
        if is_same && terms.care == Care::News {
            return Ok(Some(RowPlan::Stays));
        }
        let version = local.map_or(0, |local| local.version);
        let told = Told::of(held.told.get(record.hq_name.as_ref()), record.mapped.hash, version);
        let Some(base) = base else {
            return match local {
                None => Ok(Some(RowPlan::Insert)),
                // It was HQ's before, and comes back.
                Some(local) if local.is_marked => Ok(Some(RowPlan::Update(None))),
                Some(local) => {
                    let unknown = Changes { at_hq: Changed::Somewhere, here: Changed::Somewhere };
                    let sides = Sides { told, is_new: true, ..sides(record, local, &unknown) };
                    Ok(self.ruled(at, terms.judge(sides)?, false))
                }
            };
        };
        let at_hq = if base.row_hash == record.mapped.hash { Changed::Nothing } else { Changed::Somewhere };
        match local.filter(|local| !local.is_marked) {
            None => {
                let at_hq = if is_same { Changed::Nothing } else { Changed::Somewhere };
                let verdict = terms.judge_removed(&at_hq, told);
                let is_marked = local.is_some();
                let row = self.ruled(at, verdict, false);
                Ok(row.map(|row| match row {
                    RowPlan::Stays | RowPlan::Update(_) | RowPlan::Insert if is_marked => RowPlan::Update(None),
                    RowPlan::Stays | RowPlan::Update(_) | RowPlan::Insert => RowPlan::Insert,
                    RowPlan::StaysGone => RowPlan::StaysGone,
                }))
            }
            Some(local) => {
                let unknown = Changes { at_hq, here: Changed::Somewhere };
                let changes = held.changes.get(&record.hq_name).unwrap_or(&unknown);
                let sides = Sides { told, ..sides(record, local, changes) };
                Ok(self.ruled(at, terms.judge(sides)?, is_moved))
            }
        }
    }

    /// Notes the decisions; `None` where an operator has to make one.
    fn ruled(&mut self, at: usize, verdict: Verdict, is_moved: bool) -> Option<RowPlan> {
        self.rulings.extend(verdict.rulings.into_iter().map(|ruling| (at, ruling)));
        match verdict {
            Verdict { waits: true, .. } => None,
            Verdict { stays_gone: true, .. } => Some(RowPlan::StaysGone),
            Verdict { written, .. } if written.is_empty() && !is_moved => Some(RowPlan::Stays),
            Verdict { written, .. } => Some(RowPlan::Update(Some(written))),
        }
    }
}

fn sides<'s>(record: &'s Incoming, local: &'s LocalRow, changes: &'s Changes) -> Sides<'s> {
    Sides {
        hq: &record.mapped.row,
        hq_modified: record.modified_at,
        local,
        at_hq: &changes.at_hq,
        here: &changes.here,
        is_new: false,
        told: None,
    }
}

/// Whether the ledger says already what it is to say, but for the stamp.
fn is_alike(have: &Entry, want: &Entry) -> bool {
    let is_same_base = match (&have.base, &want.base) {
        // What a column reads here is found out only where it is written.
        (Base::Values(have), Base::Values(want)) => have.is_of(want),
        (have, want) => have == want,
    };
    is_same_base
        && (&have.local_key, have.row_hash, have.children_hash) == (&want.local_key, want.row_hash, want.children_hash)
}

fn has_children(found: &[HashMap<Arc<str>, ChildRows>], key: &str, children: &[ChildRows]) -> bool {
    let none = ChildRows::new();
    found.iter().zip(children).all(|(found, wanted)| found.get(key).unwrap_or(&none) == wanted)
}

#[cfg(test)]
mod tests;
