//! The rows of one DocType, indexed as MariaDB indexes them: by name, by `modified`, and child rows by parent.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::clock::Stamp;
use super::collation;
use super::doctype::DocType;
use super::row::Row;

/// Place of a row in its table; rows keep theirs for life.
pub(super) type RowId = usize;
/// A place in the index on `modified`; NULL sorts first (recording 413).
pub(super) type Mark = (Option<Stamp>, Arc<[u8]>);

/// The rows of one DocType.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) doctype: Arc<DocType>,
    rows: Vec<Option<Row>>,
    by_name: BTreeMap<Arc<[u8]>, RowId>,
    /// Only for DocTypes that are not children: Frappe has no such index there.
    by_modified: BTreeMap<Mark, RowId>,
    by_parent: BTreeMap<Vec<u8>, BTreeSet<RowId>>,
    /// The last number given by a series or autoincrement naming.
    pub(super) counter: i64,
}

impl Table {
    pub(super) fn new(doctype: DocType) -> Self {
        Self {
            doctype: Arc::new(doctype),
            rows: Vec::new(),
            by_name: BTreeMap::new(),
            by_modified: BTreeMap::new(),
            by_parent: BTreeMap::new(),
            counter: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn get(&self, id: RowId) -> Option<&Row> {
        self.rows.get(id)?.as_ref()
    }

    pub(super) fn find(&self, key: &[u8]) -> Option<RowId> {
        self.by_name.get(key).copied()
    }

    /// The row of that name, found as MariaDB finds it: case and accents do not count.
    pub(super) fn named(&self, name: &str) -> Option<RowId> {
        self.find(&collation::key(name)).or_else(|| {
            let number: i64 = name.parse().ok()?;
            self.find(&number.to_be_bytes())
        })
    }

    /// Adds a row; gives it back if its name is taken (recordings 833, 834).
    pub(super) fn add(&mut self, row: Row) -> Result<RowId, Box<Row>> {
        if self.by_name.contains_key(&row.key) {
            return Err(Box::new(row));
        }
        let id = self.rows.len();
        self.index(id, &row);
        self.rows.push(Some(row));
        Ok(id)
    }

    /// Takes a row out.
    pub(super) fn remove(&mut self, id: RowId) -> Option<Row> {
        let row = self.rows.get_mut(id)?.take()?;
        self.unindex(id, &row);
        Some(row)
    }

    /// Changes a row in place, indexes included.
    pub(super) fn change(&mut self, id: RowId, change: impl FnOnce(&mut Row)) {
        let Some(mut row) = self.rows.get_mut(id).and_then(Option::take) else {
            return;
        };
        self.unindex(id, &row);
        change(&mut row);
        self.index(id, &row);
        if let Some(slot) = self.rows.get_mut(id) {
            *slot = Some(row);
        }
    }

    fn index(&mut self, id: RowId, row: &Row) {
        self.by_name.insert(Arc::clone(&row.key), id);
        if !self.doctype.is_child {
            self.by_modified.insert((row.modified, Arc::clone(&row.key)), id);
        }
        if let Some(parent) = &row.parent {
            self.by_parent.entry(collation::key(&parent.name)).or_default().insert(id);
        }
    }

    fn unindex(&mut self, id: RowId, row: &Row) {
        self.by_name.remove(&row.key);
        self.by_modified.remove(&(row.modified, Arc::clone(&row.key)));
        if let Some(parent) = &row.parent {
            let key = collation::key(&parent.name);
            if let Some(ids) = self.by_parent.get_mut(&key) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.by_parent.remove(&key);
                }
            }
        }
    }

    /// All rows in the order of the primary key, from a bound on.
    pub(super) fn in_name_order(&self, from: Bound<Arc<[u8]>>) -> impl DoubleEndedIterator<Item = RowId> {
        self.by_name.range((from, Bound::Unbounded)).map(|(_, id)| *id)
    }

    /// All rows in the order of `modified`, then name, from a bound on.
    pub(super) fn in_modified_order(&self, from: Bound<Mark>) -> impl DoubleEndedIterator<Item = RowId> {
        self.by_modified.range((from, Bound::Unbounded)).map(|(_, id)| *id)
    }

    /// The child rows of any of these parents, of whatever DocType the parents are.
    pub(super) fn under(&self, parents: &[Vec<u8>]) -> Vec<RowId> {
        let parents: BTreeSet<&Vec<u8>> = parents.iter().collect();
        parents.into_iter().filter_map(|parent| self.by_parent.get(parent)).flatten().copied().collect()
    }

    /// The rows of one table field of one parent, in their order.
    pub(super) fn children(&self, doctype: &str, parent: &str, field: &str) -> Vec<RowId> {
        let mut ids: Vec<(i64, RowId)> = self
            .under(&[collation::key(parent)])
            .into_iter()
            .filter_map(|id| Some((id, self.get(id)?)))
            .filter(|(_, row)| row.parent.as_ref().is_some_and(|of| &*of.doctype == doctype && &*of.field == field))
            .map(|(id, row)| (row.idx, id))
            .collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }
}
