//! How the database spells a value: the one form under which what was written and what is read back are the same.

use rust_decimal::Decimal;
use xxhash_rust::xxh3::xxh3_64;

use crate::config::DatabaseKind;
use crate::row::{Cell, Row, Type, append_decimal};

use super::bind::canonical;
use super::table::{Table, TableColumn};

/// Counts no text can have.
const NULL: u64 = u64::MAX;

impl Table {
    /// A value as the column at `at` spells it; `None` for null.
    #[must_use]
    pub fn spelling(&self, database: DatabaseKind, at: usize, cell: &Cell) -> Option<String> {
        spelling(database, self.columns.get(at)?, cell)
    }

    /// Fingerprint of the cells of `columns`, as the database spells them.
    #[must_use]
    pub fn version(&self, database: DatabaseKind, row: &Row, columns: &[usize]) -> i64 {
        version(database, columns.iter().filter_map(|at| Some((self.columns.get(*at)?, row.get(*at)?))))
    }
}

/// A value as a column spells it; `None` for null.
pub(super) fn spelling(database: DatabaseKind, column: &TableColumn, cell: &Cell) -> Option<String> {
    let mut text = Vec::new();
    // Only texts were written.
    spell(database, column, cell, &mut text).then(|| String::from_utf8(text).unwrap_or_default())
}

/// Fingerprint of cells in this order.
pub(super) fn version<'r>(database: DatabaseKind, cells: impl Iterator<Item = (&'r TableColumn, &'r Cell)>) -> i64 {
    let mut parts = Vec::with_capacity(64 * cells.size_hint().1.unwrap_or_default());
    for (column, cell) in cells {
        let before = parts.len();
        let length = if spell(database, column, cell, &mut parts) { (parts.len() - before) as u64 } else { NULL };
        parts.extend_from_slice(&length.to_le_bytes());
    }
    xxh3_64(&parts).cast_signed()
}

/// Appends the spelling of a cell; false for null, which has none.
fn spell(database: DatabaseKind, column: &TableColumn, cell: &Cell, out: &mut Vec<u8>) -> bool {
    use super::catalog::Kind;
    match (cell, column.stored.kind) {
        (Cell::Null, _) => return false,
        (Cell::Text(text) | Cell::Json(text), Kind::Text | Kind::Json | Kind::Other) => {
            out.extend_from_slice(text.as_bytes());
        }
        (Cell::Int(number), Kind::Int) => {
            Cell::Int(*number).append(out);
        }
        // In a text column, too: `80.5` and `80.50` are one price.
        (Cell::Decimal(number), _) => {
            append_decimal(out, in_one_form(*number, column.ty));
        }
        // Here the cell's own text is the one form already: a float prints its shortest digits and no exponent.
        (Cell::Date(_), Kind::Date | Kind::Text | Kind::Other)
        | (Cell::Datetime(_), Kind::Datetime | Kind::Text | Kind::Other)
        | (Cell::Time(_), Kind::Time | Kind::Text | Kind::Other)
        | (Cell::Float(_), Kind::Float | Kind::Decimal | Kind::Text | Kind::Other)
        | (Cell::Bool(_), Kind::Bool | Kind::Int | Kind::Text | Kind::Other)
        | (Cell::Int(_), Kind::Text | Kind::Other) => {
            cell.append(out);
        }
        (cell, _) => {
            let text = cell.to_string();
            let spelt = canonical(database, &text, &column.stored);
            out.extend_from_slice(spelt.as_deref().unwrap_or(&text).as_bytes());
        }
    }
    true
}

/// Equal numbers alike: with the digits that the column declares, or with none that say nothing.
fn in_one_form(number: Decimal, ty: Type) -> Decimal {
    let mut number = number.normalize();
    if let Type::Decimal { scale: Some(scale) } = ty
        && number.scale() < scale
    {
        number.rescale(scale);
    }
    number
}
