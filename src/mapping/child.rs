//! A child table: its rows belong to one parent record and are replaced together with it, in HQ's order.

use super::field::Field;
use super::private::Private;
use super::{Answers, Column, LookupSpec, Reject, Wanted, lookup};
use crate::record::{Fields, Page, Record, Scalar};
use crate::row::Row;

/// A child table and how its rows are filled.
#[derive(Debug)]
pub struct ChildTable {
    /// The Table field of the parent DocType.
    pub field: String,
    /// The local table.
    pub table: String,
    /// The column that holds the parent row's key (single-column keys only).
    pub parent_key: String,
    /// The child's columns, `parent_key` left out.
    pub columns: Vec<Column>,
    /// The child DocType's fields to ask for: `name`, `modified`, then `parent`, `idx`, then the mapped ones.
    pub fields: Fields,
    pub(super) compiled: Vec<Field>,
    pub(super) lookups: Vec<LookupSpec>,
    pub(super) private: Private,
}

/// A child record as the outlet will store it.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildRow {
    /// The `name` of the parent record at HQ.
    pub parent: String,
    /// Its place among its parent's rows.
    pub idx: i64,
    /// The cells in the order of [`ChildTable::columns`].
    pub row: Row,
}

/// Where `parent` and `idx` stand in a child table's [`Fields`], after `name` and `modified`.
const PARENT: usize = 2;
const IDX: usize = 3;

impl ChildTable {
    /// The child table's own lookups.
    #[must_use]
    pub fn lookups(&self) -> &[LookupSpec] {
        &self.lookups
    }

    /// The lookup that fills the column at `column`, as its position in [`ChildTable::lookups`].
    #[must_use]
    pub fn lookup_of(&self, column: usize) -> Option<usize> {
        self.compiled.get(column)?.lookup.as_ref().map(|lookup| lookup.index)
    }

    /// What the page, decoded with [`ChildTable::fields`], needs from other local tables.
    #[must_use]
    pub fn wanted(&self, page: &Page) -> Vec<Wanted> {
        lookup::wanted(&self.compiled, self.lookups.len(), page)
    }

    /// The row of one child record.
    ///
    /// # Errors
    /// A value that a column does not take; the whole parent record then cannot be stored.
    pub fn map(&self, record: Record<'_>, answers: &Answers) -> Result<ChildRow, Reject> {
        self.mapped(record, answers).map_err(|reject| Reject::because(&format!("{}: {reject}", self.field)))
    }

    fn mapped(&self, record: Record<'_>, answers: &Answers) -> Result<ChildRow, Reject> {
        let parent = match Scalar::read(record.raw(PARENT)) {
            Scalar::Text(text) => text.into_owned(),
            // Parents numbered by the database print their name as a number (recording 918).
            Scalar::Number(digits) => digits.to_owned(),
            Scalar::Null | Scalar::Bool(_) | Scalar::Tree(_) => return Err(Reject::because("parent: no name")),
        };
        let idx = match Scalar::read(record.raw(IDX)) {
            Scalar::Number(digits) => digits.parse().ok(),
            Scalar::Null | Scalar::Bool(_) | Scalar::Text(_) | Scalar::Tree(_) => None,
        };
        let idx = idx.ok_or_else(|| Reject::because("idx: no whole number"))?;
        let row = self.compiled.iter().map(|field| field.cell(record, answers)).collect::<Result<_, _>>()?;
        Ok(ChildRow { parent, idx, row })
    }
}
