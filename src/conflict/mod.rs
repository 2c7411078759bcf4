//! From what was found to what is to be done: one decision a record, pure, with no database in sight.
//!
//! The ledger's fingerprint stands for the base: where HQ's record maps to the same fingerprint as last time, HQ
//! changed nothing that is mapped, and the local row is left alone, whoever edited it. Where HQ changed the record,
//! HQ wins (`conflict = "hq_wins"`), and columns that the outlet owns are not compared.

mod rule;

pub use rule::{Rule, Rules};

use std::collections::{HashMap, HashSet};

use crate::ledger::Entry;
use crate::mapping::{ChildRows, Column, Mapped};
use crate::record::Stamp;
use crate::row::{Key, Row};

/// One record of HQ's, mapped.
#[derive(Debug)]
pub struct Incoming {
    /// HQ's `name`.
    pub hq_name: String,
    /// HQ's `modified`.
    pub modified: Stamp,
    /// The row it makes.
    pub mapped: Mapped,
    /// Its child rows, for each child table of the mapping in order.
    pub children: Vec<ChildRows>,
    /// Fingerprint of the child rows.
    pub children_hash: i64,
}

/// A local row as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalRow {
    /// Its mapped cells.
    pub row: Row,
    /// Whether it is marked as deleted.
    pub is_marked: bool,
}

/// What the outlet holds of a page's records.
#[derive(Debug, Default)]
pub struct Held {
    /// The ledger's entries, by HQ name.
    pub entries: HashMap<String, Entry>,
    /// HQ names by the local key they own, as far as the page's keys are concerned.
    pub owners: HashMap<String, String>,
    /// The local rows, by key text.
    pub rows: HashMap<String, LocalRow>,
    /// The local child rows by parent key text, for each child table; `None` where they were not needed.
    pub children: Option<Vec<HashMap<String, ChildRows>>>,
    /// HQ names that are known to be gone at HQ although the ledger has them.
    pub dead: HashSet<String>,
    /// HQ names that HQ was seen to have.
    pub alive: HashSet<String>,
}

/// What is to be written for one page. Rows are positions into the page's [`Incoming`] list.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Rows to make.
    pub inserts: Vec<usize>,
    /// Rows to change.
    pub updates: Vec<usize>,
    /// Rows whose key changed at HQ: from, to.
    pub rekeys: Vec<(String, Key)>,
    /// Records whose child rows are to be replaced.
    pub children: Vec<usize>,
    /// Ledger entries to write.
    pub entries: Vec<Entry>,
    /// Ledger entries to drop, because another record took over their row.
    pub dropped: Vec<String>,
    /// Records whose row already had the values.
    pub unchanged: u64,
    /// Records that claim a key which another one has; nothing is written for them.
    pub clashes: Vec<Clash>,
}

/// Two HQ records map to one local key; writing both would have them overwrite each other for ever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("HQ's records {holder:?} and {claimant:?} both map to the local key {key:?}")]
pub struct Clash {
    /// The key.
    pub key: String,
    /// The record that has the row.
    pub holder: String,
    /// The record that would take it.
    pub claimant: String,
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
pub fn plan(incoming: &[Incoming], held: &Held, columns: &[Column], care: Care) -> Plan {
    let mut plan = Plan::default();
    let mut claimed: HashMap<String, &str> = HashMap::with_capacity(incoming.len());
    for (at, record) in incoming.iter().enumerate() {
        let key = record.mapped.key.text();
        let claimant = || record.hq_name.clone();
        if let Some(holder) = claimed.get(&key).map(|holder| (*holder).to_owned()) {
            plan.clashes.push(Clash { key, holder, claimant: claimant(), is_certain: true });
            continue;
        }
        if let Some(owner) = held.owners.get(&key).filter(|owner| **owner != record.hq_name) {
            if !held.dead.contains(owner) {
                let (holder, is_certain) = (owner.clone(), held.alive.contains(owner));
                plan.clashes.push(Clash { key, holder, claimant: claimant(), is_certain });
                continue;
            }
            plan.dropped.push(owner.clone());
        }
        claimed.insert(key.clone(), &record.hq_name);
        plan.decide(at, record, key, held, columns, care);
    }
    plan
}

impl Plan {
    fn decide(&mut self, at: usize, record: &Incoming, key: String, held: &Held, columns: &[Column], care: Care) {
        let base = held.entries.get(&record.hq_name);
        let moved_from = base.filter(|entry| entry.local_key != key).map(|entry| entry.local_key.clone());
        let is_same_row = base.is_some_and(|entry| entry.row_hash == record.mapped.hash) && moved_from.is_none();
        // Without a base there is nothing to compare with, other than for a job that has no child tables.
        let is_same_children =
            base.map_or(record.children.is_empty(), |entry| entry.children_hash == record.children_hash);
        let old_row = moved_from.as_ref().and_then(|from| held.rows.get(from));
        let local = old_row.or_else(|| held.rows.get(&key));

        let row_stays = match (care, local) {
            (Care::News, _) if is_same_row => true,
            (Care::News | Care::Repair, Some(local)) => {
                moved_from.is_none() && has_values(local, &record.mapped.row, columns)
            }
            (Care::News | Care::Repair, None) => false,
        };
        let children_stay = match (&held.children, care) {
            (Some(found), _) => has_children(found, moved_from.as_ref().unwrap_or(&key), &record.children),
            (None, Care::News | Care::Repair) => is_same_children,
        };
        if !row_stays {
            if local.is_none() {
                self.inserts.push(at);
            } else {
                if let Some(from) = moved_from.clone().filter(|_| old_row.is_some()) {
                    self.rekeys.push((from, record.mapped.key.clone()));
                }
                self.updates.push(at);
            }
        } else if children_stay {
            self.unchanged += 1;
        }
        // A row that is made anew gets its children, whatever the ledger says of the old ones.
        if !children_stay || moved_from.is_some() || (!row_stays && local.is_none() && !record.children.is_empty()) {
            self.children.push(at);
        }
        let is_known = base.is_some_and(|entry| entry.hq_modified.as_str() == record.modified.as_str());
        if !(is_known && is_same_row && is_same_children) {
            self.entries.push(Entry {
                hq_name: record.hq_name.clone(),
                local_key: key,
                hq_modified: record.modified.clone(),
                row_hash: record.mapped.hash,
                children_hash: record.children_hash,
            });
        }
    }
}

fn has_values(local: &LocalRow, row: &Row, columns: &[Column]) -> bool {
    let mut cells = local.row.iter().zip(row).zip(columns);
    !local.is_marked && cells.all(|((have, want), column)| !column.owner.is_hqs() || have == want)
}

fn has_children(found: &[HashMap<String, ChildRows>], key: &str, children: &[ChildRows]) -> bool {
    let none = ChildRows::new();
    found.iter().zip(children).all(|(found, wanted)| found.get(key).unwrap_or(&none) == wanted)
}

#[cfg(test)]
mod tests;
