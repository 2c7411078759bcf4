//! Values on their way into a statement.

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::DatabaseKind;
use crate::row::{Cell, Type, decimal};

use super::catalog::{Kind, Stored};
use super::error::Error;

/// One bound value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bind<'a> {
    /// An integer; PostgreSQL wants to know the type of a null, too.
    Int(Option<i64>),
    /// A float.
    Float(f64),
    /// A text.
    Text(Option<Cow<'a, str>>),
    /// A text that a cell holds: SQLite's own thread takes part in it instead of a copy.
    Shared(Arc<str>),
    /// A cell that is printed where the statement is put together, for a server; and what is written after it.
    Printed(&'a Cell, &'static str),
    /// A column of values, for `UNNEST`.
    Column(Elements, Vec<Bind<'a>>),
}

/// What an array of PostgreSQL's is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elements {
    Texts,
    Ints,
    Floats,
}

impl<'a> Bind<'a> {
    /// A text.
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text(Some(Cow::Borrowed(text)))
    }

    /// A text that was made for this statement.
    pub(super) fn owned(text: String) -> Self {
        Self::Text(Some(Cow::Owned(text)))
    }

    /// The value of a cell, for a column stored as `stored`.
    ///
    /// Whole numbers go natively where they can, as MariaDB compares texts with numbers as floats and fills a BIT from
    /// a text's bytes. A float goes natively, except into SQLite's text columns, where SQLite would print it with
    /// fifteen digits. All else goes as its canonical text, which every column type reads exactly.
    pub(super) fn cell(kind: DatabaseKind, cell: &'a Cell, stored: &Stored) -> Self {
        Self::printed(kind, cell, stored, &mut Vec::new())
    }

    /// As [`Bind::cell`], for many cells: what has to be printed for SQLite is so in `scratch`.
    pub(super) fn printed(kind: DatabaseKind, cell: &'a Cell, stored: &Stored, scratch: &mut Vec<u8>) -> Self {
        match kind {
            DatabaseKind::Postgres => for_postgres(cell, stored),
            DatabaseKind::Sqlite | DatabaseKind::Mysql => match cell {
                Cell::Null => Self::Text(None),
                Cell::Int(number) => Self::Int(Some(*number)),
                Cell::Bool(claim) => Self::Int(Some(i64::from(*claim))),
                Cell::Float(number) if stored.kind != Kind::Text => Self::Float(*number),
                Cell::Text(text) => match (stored.kind, kind) {
                    (Kind::Int, _) => text.parse().map_or_else(|_| Self::text(text), |number| Self::Int(Some(number))),
                    (_, DatabaseKind::Sqlite) => Self::Shared(Arc::clone(text)),
                    _ => Self::text(text),
                },
                Cell::Json(text) if kind == DatabaseKind::Sqlite => Self::Shared(Arc::clone(text)),
                Cell::Json(text) => Self::text(text),
                Cell::Float(_) | Cell::Decimal(_) | Cell::Date(_) | Cell::Datetime(_) | Cell::Time(_)
                    if kind == DatabaseKind::Sqlite =>
                {
                    scratch.clear();
                    cell.append(scratch);
                    // Only texts were appended.
                    Self::Shared(str::from_utf8(scratch).unwrap_or_default().into())
                }
                Cell::Float(_) | Cell::Decimal(_) | Cell::Date(_) | Cell::Datetime(_) | Cell::Time(_) => {
                    Self::Printed(cell, "")
                }
            },
        }
    }

    /// The value as a text.
    pub(super) fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Int(number) => number.map(|number| Cow::Owned(number.to_string())),
            Self::Float(number) => Some(Cow::Owned(number.to_string())),
            Self::Text(text) => text,
            Self::Shared(text) => Some(Cow::Owned(text.as_ref().to_owned())),
            Self::Printed(cell, tail) => Some(Cow::Owned(cell.print() + tail)),
            Self::Column(_, values) => values.into_iter().next().and_then(Self::into_text),
        }
    }

    /// Values as one array, of their own type where that is one for all.
    pub(super) fn column(values: Vec<Self>) -> Self {
        let is_all = |is_such: fn(&Self) -> bool| {
            values.iter().any(is_such) && values.iter().all(|value| is_such(value) || *value == Self::Text(None))
        };
        let elements = if is_all(|value| matches!(value, Self::Int(_))) {
            Elements::Ints
        } else if is_all(|value| matches!(value, Self::Float(_))) {
            Elements::Floats
        } else {
            Elements::Texts
        };
        Self::Column(elements, values)
    }

    /// PostgreSQL's name of the array's type.
    pub(super) fn array_type(&self) -> &'static str {
        match self {
            Self::Column(Elements::Ints, _) => "int8[]",
            Self::Column(Elements::Floats, _) => "float8[]",
            Self::Column(Elements::Texts, _)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::Shared(_)
            | Self::Printed(..) => "text[]",
        }
    }

    /// Roughly how many bytes go over the line.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Int(_) | Self::Float(_) => 8,
            Self::Text(text) => text.as_ref().map_or(1, |text| text.len()) + 4,
            Self::Shared(text) => text.len() + 4,
            // A float of many digits is printed with all of its zeros.
            Self::Printed(Cell::Float(number), _) if !(1e-9..1e15).contains(&number.abs()) => 340,
            Self::Printed(..) => 36,
            Self::Column(_, values) => values.iter().map(Self::size).sum(),
        }
    }

    /// PostgreSQL's texts cannot hold the character U+0000; found before the statement breaks the transaction.
    pub(super) fn check_nul(&self) -> Result<(), Error> {
        let is_refused = match self {
            Self::Int(_) | Self::Float(_) | Self::Printed(..) => false,
            Self::Text(text) => text.as_ref().is_some_and(|text| text.contains('\0')),
            Self::Shared(text) => text.contains('\0'),
            Self::Column(_, values) => return values.iter().try_for_each(Self::check_nul),
        };
        if is_refused {
            let reason = "a text holds the character U+0000, which PostgreSQL cannot store".to_owned();
            return Err(Error::Refused { table: None, reason });
        }
        Ok(())
    }
}

/// Whole numbers and floats go as what they are into columns of just that; all else is a text that the column's type reads.
fn for_postgres<'a>(cell: &'a Cell, stored: &Stored) -> Bind<'a> {
    match cell {
        Cell::Null => Bind::Text(None),
        Cell::Text(text) | Cell::Json(text) => Bind::text(text),
        Cell::Int(number) if stored.kind == Kind::Int => Bind::Int(Some(*number)),
        // Into a `real` by way of a double it would be rounded twice.
        Cell::Float(number) if stored.full_type == "double precision" => Bind::Float(*number),
        // The session's zone is UTC already; a pooler in between may have lost that.
        Cell::Datetime(_) if stored.kind == Kind::Datetime => Bind::Printed(cell, "+00"),
        Cell::Int(_)
        | Cell::Float(_)
        | Cell::Decimal(_)
        | Cell::Bool(_)
        | Cell::Date(_)
        | Cell::Datetime(_)
        | Cell::Time(_) => Bind::Printed(cell, ""),
    }
}

/// The one spelling under which equal values of a column meet (`1.50` and `1.5000`, `007` and `7`).
/// `None` where no row of the column can hold the value, so that asking for it would only be an error.
pub(super) fn canonical(database: DatabaseKind, text: &str, stored: &Stored) -> Option<String> {
    let typed = |ty| Cell::from_text(text, ty).and_then(|cell| cell.text());
    let found = match stored.kind {
        Kind::Int => text.parse::<i64>().ok().map(|number| number.to_string()),
        Kind::Decimal | Kind::Float => {
            decimal(text).map(|number| number.normalize().to_string()).or_else(|| typed(Type::Float))
        }
        Kind::Bool => typed(Type::Bool),
        Kind::Date => typed(Type::Date),
        Kind::Datetime => typed(Type::Datetime),
        Kind::Time => typed(Type::Time),
        Kind::Text | Kind::Json | Kind::Other => Some(text.to_owned()),
    };
    match database {
        // Any column of SQLite's may hold any text.
        DatabaseKind::Sqlite => found.or_else(|| Some(text.to_owned())),
        DatabaseKind::Postgres | DatabaseKind::Mysql => found,
    }
}
