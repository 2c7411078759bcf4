//! Fingerprints of rows and of mappings: the same on every platform and in every version of milkrun.
//!
//! A part is written as its bytes and then their count, so the parts can be told apart from the end backwards, whatever
//! the bytes are. Counts no text can have stand for null and for the ends of rows and tables.

use xxhash_rust::xxh3::xxh3_64;

use super::field::{Field, Source};
use super::{ChildRows, Owner};
use crate::row::{Cell, Type};

const NULL: u64 = u64::MAX;
const ROW: u64 = u64::MAX - 1;
const TABLE: u64 = u64::MAX - 2;

/// Raised when a new version of milkrun reads the same mapping differently: every row is then read again.
const READING: &str = "milkrun mapping 1";

/// A list of parts, and their hash.
#[derive(Debug)]
pub(super) struct Parts(Vec<u8>);

impl Parts {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// The canonical text of a cell; null is not the empty text.
    pub(super) fn cell(&mut self, cell: &Cell) {
        match cell {
            Cell::Null => self.count(NULL),
            Cell::Text(text) | Cell::Json(text) => self.text(text),
            Cell::Int(_)
            | Cell::Float(_)
            | Cell::Decimal(_)
            | Cell::Bool(_)
            | Cell::Date(_)
            | Cell::Datetime(_)
            | Cell::Time(_) => {
                let before = self.0.len();
                cell.append(&mut self.0);
                self.count((self.0.len() - before) as u64);
            }
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
        self.count(text.len() as u64);
    }

    fn number(&mut self, number: Option<u64>) {
        self.text(&number.map_or_else(String::new, |number| number.to_string()));
    }

    fn count(&mut self, count: u64) {
        self.0.extend_from_slice(&count.to_le_bytes());
    }

    pub(super) fn hash(&self) -> i64 {
        xxh3_64(&self.0).cast_signed()
    }

    fn field(&mut self, field: &Field, owner: Owner) {
        self.text(&field.column);
        self.text(field.ty.word());
        match field.ty {
            Type::Text { max_length } => self.number(max_length.map(u64::from)),
            Type::Decimal { scale } => self.number(scale.map(u64::from)),
            Type::Int | Type::Float | Type::Bool | Type::Date | Type::Time | Type::Duration | Type::Json => {}
            Type::Datetime => self.text(field.zone.name()),
        }
        match &field.source {
            Source::Field { name, .. } => {
                self.text("field");
                self.text(name);
            }
            Source::Expr(expr) => {
                self.text("expr");
                self.text(expr.source());
            }
            Source::Const(cell) => {
                self.text("const");
                self.cell(cell);
            }
        }
        self.text(if field.trim { "trim" } else { "" });
        let mut pairs: Vec<_> = field.map.iter().flatten().collect();
        pairs.sort_unstable_by_key(|(key, _)| *key);
        self.number(field.map.as_ref().map(|map| map.len() as u64));
        for (key, cell) in pairs {
            self.text(key);
            self.cell(cell);
        }
        self.cell(field.default.as_ref().unwrap_or(&Cell::Null));
        let spec = field.lookup.as_ref().map(|lookup| &lookup.spec);
        for word in spec.map_or(["", "", ""], |spec| [&spec.table, &spec.match_column, &spec.take_column]) {
            self.text(word);
        }
        self.text(match owner {
            Owner::Hq => "hq",
            Owner::Once => "once",
            Owner::UntilEdited => "until_edited",
        });
        self.count(ROW);
    }
}

/// A table of the mapping: its name (`""` for the parent), its field and key columns, and its fields with their owners.
pub(super) struct Table<'m> {
    pub(super) words: Vec<&'m str>,
    pub(super) fields: Vec<(&'m Field, Owner)>,
}

/// Everything that decides what the rows of these tables hold.
pub(super) fn of_tables(tables: &[Table<'_>]) -> i64 {
    let mut parts = Parts::with_capacity(1024);
    parts.text(READING);
    for table in tables {
        for word in &table.words {
            parts.text(word);
        }
        for (field, owner) in &table.fields {
            parts.field(field, *owner);
        }
        parts.count(TABLE);
    }
    parts.hash()
}

/// Fingerprint of the child rows of one record, one entry per child table; 0 for a job without child tables.
#[must_use]
pub fn children_hash(tables: &[ChildRows]) -> i64 {
    if tables.is_empty() {
        return 0;
    }
    let mut parts = Parts::with_capacity(256);
    for rows in tables {
        for row in rows {
            row.iter().for_each(|cell| parts.cell(cell));
            parts.count(ROW);
        }
        parts.count(TABLE);
    }
    parts.hash()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Cell {
        Cell::Text(text.into())
    }

    fn hash(cells: &[Cell]) -> i64 {
        let mut parts = Parts::with_capacity(0);
        cells.iter().for_each(|cell| parts.cell(cell));
        parts.hash()
    }

    #[test]
    fn rows_that_differ_hash_apart() {
        let rows = [
            vec![],
            vec![Cell::Null],
            vec![text("")],
            vec![text("\0\0\0\0\0\0\0\0")],
            vec![text("ab"), text("c")],
            vec![text("a"), text("bc")],
            vec![text("abc")],
            vec![text(""), Cell::Null],
            vec![Cell::Null, text("")],
            vec![text("null")],
        ];
        let mut hashes: Vec<i64> = rows.iter().map(|row| hash(row)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), rows.len());
    }

    #[test]
    fn the_hash_of_a_row_never_changes_between_versions() {
        let cells = [
            text("ICE-001"),
            Cell::Null,
            Cell::Int(-5),
            Cell::Bool(true),
            Cell::Decimal(rust_decimal::Decimal::new(8000, 2)),
        ];
        assert_eq!(hash(&cells), -6_961_916_410_554_188_016);
    }

    #[test]
    fn child_rows_hash_by_table_row_and_order() {
        let rows = |rows: &[&[&str]]| {
            rows.iter().map(|row| row.iter().map(|cell| text(cell)).collect()).collect::<ChildRows>()
        };
        let cases = [
            vec![rows(&[])],
            vec![rows(&[]), rows(&[])],
            vec![rows(&[&["a", "b"]])],
            vec![rows(&[&["a"], &["b"]])],
            vec![rows(&[&["b"], &["a"]])],
            vec![rows(&[&["a"]]), rows(&[&["b"]])],
            vec![rows(&[&["a"], &["b"]]), rows(&[])],
        ];
        let mut hashes: Vec<i64> = cases.iter().map(|tables| children_hash(tables)).collect();
        hashes.push(children_hash(&[]));
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), cases.len() + 1);
        assert_eq!(children_hash(&[]), 0);
    }
}
