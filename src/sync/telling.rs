//! What is done to rows, for who wants to be told: gathered where it is done, told once it is committed.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use super::incoming::Refusal;
use super::run::Work;
use super::{Error, Event};
use crate::change::{Action, Change, PRIVATE, Sides, Text, TextRow};
use crate::conflict::{Held, Incoming, Plan};
use crate::mapping::{ChildRows, Column};
use crate::record::Record;
use crate::row::{Cell, Key, Row};
use crate::store::{HeldRow, PageTx};

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
        let moves: HashMap<String, &str> = plan.rekeys.iter().map(|(from, to)| (to.text(), from.as_str())).collect();
        let [inserts, updates, replaced] =
            [&plan.inserts, &plan.updates, &plan.children].map(|places| places.iter().copied().collect::<HashSet<_>>());
        let mut changes: Vec<Change> = Vec::with_capacity(inserts.len() + updates.len());
        let mut parents: Vec<Parent<'_>> = Vec::with_capacity(replaced.len());
        for (at, record) in incoming.iter().enumerate() {
            let key = record.mapped.key.text();
            let from = moves.get(&key).copied();
            let local = held.rows.get(from.unwrap_or(&key));
            let is_marked = local.is_some_and(|local| local.is_marked);
            let action = match (inserts.contains(&at), updates.contains(&at), replaced.contains(&at)) {
                (true, _, _) => Action::Insert,
                (false, true, _) if from.is_some() => Action::Move,
                (false, true, _) if is_marked => Action::Restore,
                (false, true, _) => Action::Update,
                (false, false, true) => Action::Children,
                (false, false, false) => continue,
            };
            let mut change = self.change(&record.hq_name, &key, action);
            let before = local.map(|local| &local.row);
            let after = before.map_or_else(|| record.mapped.row.clone(), |row| self.written(row, &record.mapped.row));
            if action != Action::Children {
                change.columns = self.columns(before, Some(&after));
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

    /// HQ's columns of a row over the local ones: what an update leaves.
    fn written(&self, local: &Row, hq: &Row) -> Row {
        let columns = self.job.mapping.columns().iter().zip(local.iter().zip(hq));
        columns
            .map(|(column, (local, hq))| if column.owner.is_hqs() { hq } else { local }.clone())
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

    /// The rows that go, by HQ's names and their keys' texts.
    pub(super) fn going(&self, names: &[(&str, &str)], rows: &HashMap<String, HeldRow>, action: Action) -> Vec<Change> {
        if !self.engine.tells_changes {
            return Vec::new();
        }
        let gone = |(name, key): &(&str, &str)| {
            let row = rows.get(*key)?;
            let mut change = self.change(name, key, action);
            if action == Action::Delete {
                change.columns = self.columns(Some(&row.row), None);
            }
            Some(change)
        };
        names.iter().filter_map(gone).collect()
    }

    /// A page's changes and what it parked, in the order of its records: the same wherever the page began.
    pub(super) fn in_order_of(&self, records: &[Record<'_>], changes: Vec<Change>, refused: &[Refusal]) -> Vec<Change> {
        let mut changes: Vec<Change> = changes.into_iter().chain(self.parked_changes(refused)).collect();
        if !changes.is_empty() {
            let places: HashMap<&str, usize> = records.iter().map(|record| record.name()).zip(0..).collect();
            changes.sort_by_key(|change| places.get(change.name.as_str()).copied());
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
    fn columns(&self, before: Option<&Row>, after: Option<&Row>) -> IndexMap<String, Sides<Text>> {
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
