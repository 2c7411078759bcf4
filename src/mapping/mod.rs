//! From a record to a row: renames, types, expressions, lookups, child tables. Pure: no I/O, no clock.
//!
//! A [`Mapping`] is built once from the checked words of `sync.toml` and then applied to every record. What cannot be
//! mapped is a [`Reject`], which is data and not an error: the rest of the page goes on.

mod expr;
mod moment;
mod number;
mod spec;
mod value;
mod words;

pub use spec::{ChildSpec, FieldSpec, Literal, LookupSpec, Origin, Owner, Problem};

use std::collections::HashMap;

use chrono_tz::Tz;

use crate::record::{Fields, Page, Record};
use crate::row::{Cell, Key, Row, Type};

/// One column of the local table that the mapping fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The local column.
    pub name: String,
    /// What it stores.
    pub ty: Type,
    /// Who owns it after the row is made.
    pub owner: Owner,
}

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
}

/// The compiled mapping of a job.
#[derive(Debug)]
pub struct Mapping {
    // Further private fields are the mapping's own.
    columns: Vec<Column>,
    key: Vec<usize>,
    fields: Fields,
    lookups: Vec<LookupSpec>,
    children: Vec<ChildTable>,
    fingerprint: i64,
}

/// A record as the outlet will store it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapped {
    /// The cells in the order of [`Mapping::columns`].
    pub row: Row,
    /// The row's identity.
    pub key: Key,
    /// Fingerprint of the cells that HQ owns (xxh3 of their canonical texts); stable across versions and machines.
    pub hash: i64,
}

/// The child rows of one parent for one child table, in `idx` order.
pub type ChildRows = Vec<Row>;

/// Why a record could not be mapped; a sentence for the operator that names column, HQ field and what was found,
/// without the value of the field where it is long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Reject(pub String);

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
}
