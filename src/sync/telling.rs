//! What is done to rows, for who wants to be told: gathered where it is done, told once it is committed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::conflicts::Log;
use super::incoming::Refusal;
use super::run::Work;
use super::{Error, Event};
use crate::change::{Action, Change, PRIVATE, Sides, Text, TextRow};
use crate::config::Deletes;
use crate::conflict::{Conflict, Held, Incoming, LocalRow, Plan, Resolution, Update};
use crate::ledger::Entry;
use crate::mapping::{ChildRows, Column};
use crate::record::Record;
use crate::row::{Cell, Key, Row};
use crate::store::PageTx;

impl Work<'_> {
    /// Tells what is committed.
    pub(super) fn tell_changes(&self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.engine.tell(&Event::Changes(changes));
        }
    }

    /// What a plan does to the rows of a page's records.
    pub(super) async fn planned(
        &self,
        tx: &mut PageTx,
        incoming: &[Incoming],
        held: &Held,
        plan: &Plan,
    ) -> Result<Vec<Change>, Error> {
        if !self.engine.tells_changes {
            return Ok(Vec::new());
        }
        let moves: HashMap<Arc<str>, &str> = plan.rekeys.iter().map(|(from, to)| (to.text(), from.as_ref())).collect();
        let inserts: HashSet<usize> = plan.inserts.iter().copied().collect();
        let replaced: HashSet<usize> = plan.children.iter().copied().collect();
        let updates: HashMap<usize, &Update> = plan.updates.iter().map(|update| (update.at, update)).collect();
        let mut changes: Vec<Change> = Vec::with_capacity(inserts.len() + updates.len());
        let mut parents: Vec<Parent<'_>> = Vec::with_capacity(replaced.len());
        for (at, record) in incoming.iter().enumerate() {
            let key = Arc::clone(&record.mapped.key_text);
            let from = moves.get(&key).copied();
            let local = held.rows.get(from.unwrap_or(&key));
            let is_marked = local.is_some_and(|local| local.is_marked);
            let update = updates.get(&at);
            let action = match (inserts.contains(&at), update, replaced.contains(&at)) {
                (true, _, _) => Action::Insert,
                (false, Some(_), _) if from.is_some() => Action::Move,
                (false, Some(_), _) if is_marked => Action::Restore,
                (false, Some(_), _) => Action::Update,
                (false, None, true) => Action::Children,
                (false, None, false) => continue,
            };
            let mut change = self.change(&record.hq_name, &key, action);
            let after = match (local, update) {
                (None, _) => Some(record.mapped.row.clone()),
                (Some(local), Some(update)) => Some(self.written(&local.row, &record.mapped.row, update)),
                (Some(_), None) => None,
            };
            if let Some(after) = after.filter(|_| action != Action::Children) {
                change.columns = self.sides(local.map(|local| &local.row), Some(&after));
            }
            if replaced.contains(&at) {
                let key = from.and_then(|from| self.key(from)).unwrap_or_else(|| record.mapped.key.clone());
                parents.push(Parent { key, place: changes.len(), children: &record.children });
            }
            changes.push(change);
        }
        self.add_children(tx, &parents, &mut changes).await?;
        Ok(changes)
    }

    /// What an update leaves of a row: HQ's value in the columns that are written, and its key.
    fn written(&self, local: &Row, hq: &Row, update: &Update) -> Row {
        let mapping = &self.job.mapping;
        let is_written = |at: usize| match &update.columns {
            Some(columns) => columns.contains(&at),
            None => mapping.columns().get(at).is_some_and(|column| column.owner.is_hqs()),
        };
        let cells = local.iter().zip(hq).enumerate();
        cells
            .map(|(at, (local, hq))| if is_written(at) || mapping.key().contains(&at) { hq } else { local }.clone())
            .collect()
    }

    /// Adds the child rows that are replaced; the old ones are read for nothing else.
    async fn add_children(&self, tx: &mut PageTx, parents: &[Parent<'_>], changes: &mut [Change]) -> Result<(), Error> {
        let keys: Vec<Key> = parents.iter().map(|parent| parent.key.clone()).collect();
        let none = ChildRows::new();
        for (at, child) in self.job.mapping.children().iter().enumerate() {
            let found = tx.child_rows(&self.table, at, &keys).await.map_err(Error::store("reading local rows"))?;
            for parent in parents {
                let before = found.get(&parent.key.text()).unwrap_or(&none);
                let after = parent.children.get(at).unwrap_or(&none);
                if let Some(change) = changes.get_mut(parent.place).filter(|_| before != after) {
                    let rows = |rows: &ChildRows| rows.iter().map(|row| text_row(row, &child.columns)).collect();
                    change.children.insert(child.table.clone(), Sides { before: rows(before), after: rows(after) });
                }
            }
        }
        Ok(())
    }

    /// The row of a record that is gone at HQ, as it goes.
    pub(super) fn going(&self, entry: &Entry, local: &LocalRow) -> Option<Change> {
        let action = match self.job.deletes {
            Deletes::Delete => Action::Delete,
            Deletes::Mark => Action::Mark,
            Deletes::Keep => return None,
        };
        self.engine.tells_changes.then(|| {
            let mut change = self.change(&entry.hq_name, &entry.local_key, action);
            if action == Action::Delete {
                change.columns = self.sides(Some(&local.row), None);
            }
            change
        })
    }

    /// A page's changes, what it parked and what was decided, in the order of its records: the same wherever the page
    /// began.
    pub(super) fn in_order_of(
        &self,
        records: &[Record<'_>],
        changes: Vec<Change>,
        refused: &[Refusal],
        log: &Log,
    ) -> Vec<Change> {
        let mut changes = self.with_decisions(changes, log);
        changes.extend(self.parked_changes(refused));
        if !changes.is_empty() {
            let places: HashMap<&str, usize> = records.iter().map(|record| record.name()).zip(0..).collect();
            changes.sort_by_key(|change| places.get(change.name.as_str()).copied());
        }
        changes
    }

    /// Adds what was decided between HQ and the outlet: to the change that comes of it, or as one of its own.
    pub(super) fn with_decisions(&self, mut changes: Vec<Change>, log: &Log) -> Vec<Change> {
        if !self.engine.tells_changes || log.lines.is_empty() {
            return changes;
        }
        let mut places: HashMap<String, usize> = changes.iter().map(|change| change.name.clone()).zip(0..).collect();
        for line in &log.lines {
            let place = *places.entry(line.name.clone()).or_insert_with(|| {
                let action = if line.resolution.is_none() { Action::Conflict } else { Action::Keep };
                changes.push(self.change(&line.name, &line.local_key, action));
                changes.len() - 1
            });
            if let Some(change) = changes.get_mut(place) {
                let why = decision(line);
                change.reason = Some(match change.reason.take() {
                    Some(reason) => format!("{reason}; {why}"),
                    None => why,
                });
            }
        }
        changes
    }

    /// Records that are parked, each with its reason.
    pub(super) fn parked_changes(&self, refused: &[Refusal]) -> Vec<Change> {
        if !self.engine.tells_changes {
            return Vec::new();
        }
        let parked = |refusal: &Refusal| {
            let change = Change::new(&self.job.name, &refusal.name, None, Action::Park);
            Change { reason: Some(refusal.reason.clone()), ..change }
        };
        refused.iter().map(parked).collect()
    }

    fn change(&self, name: &str, key: &str, action: Action) -> Change {
        let key = if self.job.mapping.has_private_key() { PRIVATE } else { key };
        Change::new(&self.job.name, name, Some(key.to_owned()), action)
    }

    /// The columns whose values differ; all of them where one side has no row.
    fn sides(&self, before: Option<&Row>, after: Option<&Row>) -> IndexMap<String, Sides<Text>> {
        let cell = |row: Option<&Row>, at: usize| row.and_then(|row| row.get(at)).cloned().unwrap_or(Cell::Null);
        let columns = self.job.mapping.columns().iter().enumerate().filter_map(|(at, column)| {
            let (before_cell, after_cell) = (cell(before, at), cell(after, at));
            let is_told = before.is_none() || after.is_none() || before_cell != after_cell;
            is_told.then(|| {
                let sides = Sides { before: told(&before_cell, column), after: told(&after_cell, column) };
                (column.name.clone(), sides)
            })
        });
        columns.collect()
    }
}

/// `edit of price, title: hq, by newest_wins`.
fn decision(line: &Conflict) -> String {
    let side = line.local.as_ref().or(line.hq.as_ref());
    let columns: Map<String, Value> = side.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let columns: Vec<&str> = columns.keys().map(String::as_str).collect();
    let end = line.resolution.map_or("waits for a decision", Resolution::word);
    format!("{} of {}: {end}, by {}", line.kind.word(), columns.join(", "), line.rule.word())
}

/// A record whose child rows are replaced.
struct Parent<'i> {
    /// Under which the old ones stand.
    key: Key,
    /// Its place in the list of changes.
    place: usize,
    /// The new ones.
    children: &'i [ChildRows],
}

fn text_row(row: &Row, columns: &[Column]) -> TextRow {
    row.iter().zip(columns).map(|(cell, column)| (column.name.clone(), told(cell, column))).collect()
}

/// The text that is stored, unless it is to be seen nowhere.
fn told(cell: &Cell, column: &Column) -> Text {
    let text = cell.text()?;
    Some(if column.is_private { PRIVATE.to_owned() } else { text })
}
