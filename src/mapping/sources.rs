//! Which HQ field fills which column, for who holds the mapping against HQ's own description.

use super::field::{Field, Source};
use super::{ChildTable, Mapping};
use crate::row::Type;

/// A column that takes one HQ field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken<'a> {
    /// The local column.
    pub column: &'a str,
    /// The HQ field.
    pub field: &'a str,
    /// What the column stores.
    pub ty: Type,
    /// A `map` or a `lookup` stands between the two.
    pub is_replaced: bool,
    /// White space is cut off.
    pub is_trimmed: bool,
    /// Its values are shown nowhere.
    pub is_private: bool,
}

impl Mapping {
    /// The columns of the parent that take one field each.
    pub fn taken(&self) -> impl Iterator<Item = Taken<'_>> {
        self.compiled.iter().filter_map(taken)
    }

    /// The fields that make up the key; `None` where a column of it is put together or replaced, so that records of
    /// different values may have one key.
    #[must_use]
    pub fn key_fields(&self) -> Option<Vec<Taken<'_>>> {
        let of = |at: &usize| self.compiled.get(*at).and_then(taken).filter(|taken| !taken.is_replaced);
        self.key.iter().map(of).collect()
    }
}

impl ChildTable {
    /// The columns that take one field each.
    pub fn taken(&self) -> impl Iterator<Item = Taken<'_>> {
        self.compiled.iter().filter_map(taken)
    }
}

fn taken(field: &Field) -> Option<Taken<'_>> {
    let Source::Field { name, .. } = &field.source else { return None };
    Some(Taken {
        column: &field.column,
        field: name,
        ty: field.ty,
        is_replaced: field.map.is_some() || field.lookup.is_some(),
        is_trimmed: field.trim,
        is_private: field.is_private,
    })
}
