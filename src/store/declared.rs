//! What a column of SQLite's declares. SQLite itself takes any text into any column (outside STRICT tables), which whoever
//! reads the column finds out; the other databases refuse, and so does this.

use crate::config::DatabaseKind;
use crate::row::{Cell, Row};

use super::bind::canonical;
use super::catalog::{Kind, Stored};
use super::error::Error;
use super::table::TableColumn;

/// Refuses the first text that its column's declaration does not allow.
///
/// # Errors
/// [`Error::Refused`] with the column and what it is declared as.
pub(super) fn check<'r>(
    kind: DatabaseKind,
    columns: &[TableColumn],
    rows: impl IntoIterator<Item = &'r Row>,
) -> Result<(), Error> {
    if kind != DatabaseKind::Sqlite {
        return Ok(());
    }
    let is_strict = |stored: &Stored| match stored.kind {
        Kind::Int | Kind::Float | Kind::Decimal => true,
        Kind::Text => stored.length.is_some(),
        Kind::Bool | Kind::Date | Kind::Datetime | Kind::Time | Kind::Json | Kind::Other => false,
    };
    let strict: Vec<_> = columns.iter().enumerate().filter(|(_, column)| is_strict(&column.stored)).collect();
    for row in rows {
        for (at, column) in &strict {
            if let Some(what) = row.get(*at).and_then(|cell| offence(cell, &column.stored)) {
                let reason = format!("column {} is declared {}, and {what}", column.name, column.stored.full_type);
                return Err(Error::Refused { table: None, reason });
            }
        }
    }
    Ok(())
}

fn offence(cell: &Cell, stored: &Stored) -> Option<String> {
    let Cell::Text(text) = cell else { return None };
    match stored.kind {
        // As another database would read it: SQLite's own reading takes anything.
        Kind::Int | Kind::Float | Kind::Decimal => canonical(DatabaseKind::Postgres, text, stored)
            .is_none()
            .then(|| "the text is no such number".to_owned()),
        Kind::Text => {
            let most = stored.length.filter(|most| text.len() > *most)?;
            let length = text.chars().count();
            (length > most).then(|| format!("the text has {length} characters"))
        }
        Kind::Bool | Kind::Date | Kind::Datetime | Kind::Time | Kind::Json | Kind::Other => None,
    }
}

/// The length in a declaration such as `varchar(20)`.
pub(super) fn length(declared: &str) -> Option<usize> {
    let (_, rest) = declared.split_once('(')?;
    rest.split_once(')')?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::TypeName;

    fn stored(full_type: &str, kind: Kind) -> Stored {
        let length = length(full_type);
        Stored { type_name: TypeName::from("text"), full_type: full_type.to_owned(), kind, length }
    }

    #[test]
    fn a_text_must_be_what_the_column_is_declared_as() {
        let short = stored("VARCHAR( 3 )", Kind::Text);
        let number = stored("INTEGER", Kind::Int);
        let money = stored("DECIMAL(12, 2)", Kind::Decimal);
        let text = |text: &str| Cell::Text(text.into());
        for (cell, stored, is_fine) in [
            (text("äöü"), &short, true),
            (text("äöüß"), &short, false),
            (text("12"), &number, true),
            (text("seven"), &number, false),
            (text("12.50"), &money, true),
            (text("12,50"), &money, false),
            (Cell::Null, &number, true),
            (text("anything at all"), &stored("TEXT", Kind::Text), true),
        ] {
            assert_eq!(offence(&cell, stored).is_none(), is_fine, "{cell} into {}", stored.full_type);
        }
    }
}
