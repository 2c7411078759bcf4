//! From a record to a row: renames, types, expressions, lookups, child tables. Pure: no I/O, no clock.
//!
//! A [`Mapping`] is built once from the checked words of `sync.toml` and then applied to every record. What cannot be
//! mapped is a [`Reject`], which is data and not an error: the rest of the page goes on.

mod build;
mod child;
mod example;
mod expr;
mod field;
mod fingerprint;
mod hints;
mod lookup;
mod moment;
mod number;
mod offence;
mod outline;
mod private;
mod sources;
mod spec;
mod value;
mod words;

#[cfg(test)]
mod tests;

pub use child::{ChildRow, ChildTable};
pub use example::Mismatch;
pub use fingerprint::children_hash;
pub use outline::{Outline, type_of};
pub use sources::Taken;
pub use spec::{ChildSpec, FieldSpec, Literal, LookupSpec, Origin, Owner, Problem};

use std::collections::HashMap;
use std::sync::Arc;

use crate::record::{Fields, Page, Record};
use crate::row::{Cell, Key, Row, Type};
use field::Field;
use fingerprint::Parts;
use private::Private;

/// One column of the local table that the mapping fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The local column.
    pub name: String,
    /// What it stores.
    pub ty: Type,
    /// Who owns it after the row is made.
    pub owner: Owner,
    /// Its values are shown nowhere: the mapping says so, or they come from an HQ field of which it says so.
    pub is_private: bool,
}

/// The compiled mapping of a job.
#[derive(Debug)]
pub struct Mapping {
    columns: Vec<Column>,
    key: Vec<usize>,
    fields: Fields,
    lookups: Vec<LookupSpec>,
    children: Vec<ChildTable>,
    private: Private,
    fingerprint: i64,
    compiled: Vec<Field>,
    /// The columns that HQ owns, in the order in which they are hashed.
    hashed: Vec<usize>,
    /// Those of them that are no part of the key.
    synced: Vec<usize>,
}

/// A record as the outlet will store it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapped {
    /// The cells in the order of [`Mapping::columns`].
    pub row: Row,
    /// The row's identity.
    pub key: Key,
    /// The same as [`Key::text`].
    pub key_text: Arc<str>,
    /// Fingerprint of the cells that HQ owns (xxh3 of their canonical texts, by column name); stable across versions
    /// and machines.
    pub hash: i64,
}

/// The child rows of one parent for one child table, in `idx` order.
pub type ChildRows = Vec<Row>;

/// Why a record could not be mapped; a sentence for the operator that names column, HQ field and what was found,
/// without the value where it is long or private.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Reject(pub String);

/// The longest sentence of a [`Reject`], in characters: names of columns and fields can be long too.
const SENTENCE: usize = 220;

impl Reject {
    fn because(sentence: &str) -> Self {
        Self(sentence.chars().take(SENTENCE).collect())
    }
}

/// What the page needs from one lookup table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Index into [`Mapping::lookups`].
    pub lookup: usize,
    /// The distinct values to match, as HQ sent them.
    pub values: Vec<String>,
}

/// The answers to all [`Wanted`] of a page: per lookup, from the matched value to what was taken.
#[derive(Debug, Clone, Default)]
pub struct Answers(pub Vec<HashMap<String, Cell>>);

impl Mapping {
    /// The parent's columns, in the order of every [`Row`].
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }
    /// Positions of the key columns in [`Mapping::columns`], in the order of `key`.
    #[must_use]
    pub fn key(&self) -> &[usize] {
        &self.key
    }
    /// Positions of the columns that HQ owns, other than the key's, by name: what a row and its record can differ in.
    #[must_use]
    pub fn synced(&self) -> &[usize] {
        &self.synced
    }
    /// The HQ fields to ask for.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }
    /// The lookups into other local tables.
    #[must_use]
    pub fn lookups(&self) -> &[LookupSpec] {
        &self.lookups
    }
    /// Whether a row, or a child row, takes values from other local tables.
    #[must_use]
    pub fn has_lookups(&self) -> bool {
        !self.lookups.is_empty() || self.children.iter().any(|child| !child.lookups().is_empty())
    }
    /// The lookup that fills the column at `column`, as its position in [`Mapping::lookups`].
    #[must_use]
    pub fn lookup_of(&self, column: usize) -> Option<usize> {
        self.compiled.get(column)?.lookup.as_ref().map(|lookup| lookup.index)
    }
    /// The child tables.
    #[must_use]
    pub fn children(&self) -> &[ChildTable] {
        &self.children
    }
    /// Changes whenever the mapping would fill a row differently.
    #[must_use]
    pub fn fingerprint(&self) -> i64 {
        self.fingerprint
    }

    /// What the page, decoded with [`Mapping::fields`], needs from other local tables; a lookup that needs nothing is
    /// left out.
    #[must_use]
    pub fn wanted(&self, page: &Page) -> Vec<Wanted> {
        lookup::wanted(&self.compiled, self.lookups.len(), page)
    }

    /// The row of one record of a page decoded with [`Mapping::fields`].
    ///
    /// # Errors
    /// A value that a column does not take, a lookup without an answer, or a key that is null: the record is parked.
    pub fn map(&self, record: Record<'_>, answers: &Answers) -> Result<Mapped, Reject> {
        let mut row = Row::with_capacity(self.compiled.len());
        for field in &self.compiled {
            row.push(field.cell(record, answers)?);
        }
        let key = self.key_of(&row)?;
        let mut parts = Parts::with_capacity(64 * self.hashed.len());
        self.hashed.iter().filter_map(|at| row.get(*at)).for_each(|cell| parts.cell(cell));
        Ok(Mapped { key_text: key.text(), key, hash: parts.hash(), row })
    }

    fn key_of(&self, row: &[Cell]) -> Result<Key, Reject> {
        let mut cells = Vec::with_capacity(self.key.len());
        for at in &self.key {
            match (row.get(*at), self.compiled.get(*at)) {
                (Some(cell), _) if !cell.is_null() => cells.push(cell.clone()),
                (_, Some(field)) => return Err(field.reject("the key of the row is null")),
                (_, None) => return Err(Reject::because("the key of the row is not mapped")),
            }
        }
        Ok(Key(cells))
    }
}
