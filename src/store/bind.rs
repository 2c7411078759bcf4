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
    /// A column of texts, for `UNNEST`.
    Texts(Vec<Option<Cow<'a, str>>>),
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
            DatabaseKind::Postgres => Self::Text(postgres_text(cell, stored)),
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
                    Self::owned(cell.print())
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
            Self::Texts(texts) => texts.into_iter().next().flatten(),
        }
    }

    /// Roughly how many bytes go over the line.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Int(_) | Self::Float(_) => 8,
            Self::Text(text) => text.as_ref().map_or(1, |text| text.len()) + 4,
            Self::Shared(text) => text.len() + 4,
            Self::Texts(texts) => texts.iter().map(|text| text.as_ref().map_or(1, |text| text.len()) + 4).sum(),
        }
    }

    /// PostgreSQL's texts cannot hold the character U+0000; found before the statement breaks the transaction.
    pub(super) fn check_nul(&self) -> Result<(), Error> {
        let has_nul = |text: &Option<Cow<'_, str>>| text.as_ref().is_some_and(|text| text.contains('\0'));
        let is_refused = match self {
            Self::Int(_) | Self::Float(_) => false,
            Self::Text(text) => has_nul(text),
            Self::Shared(text) => text.contains('\0'),
            Self::Texts(texts) => texts.iter().any(has_nul),
        };
        if is_refused {
            let reason = "a text holds the character U+0000, which PostgreSQL cannot store".to_owned();
            return Err(Error::Refused { table: None, reason });
        }
        Ok(())
    }
}

fn postgres_text<'a>(cell: &'a Cell, stored: &Stored) -> Option<Cow<'a, str>> {
    match cell {
        Cell::Null => None,
        Cell::Text(text) | Cell::Json(text) => Some(Cow::Borrowed(text)),
        // The session's zone is UTC already; a pooler in between may have lost that.
        Cell::Datetime(_) if stored.kind == Kind::Datetime => Some(Cow::Owned(format!("{cell}+00"))),
        Cell::Int(_)
        | Cell::Float(_)
        | Cell::Decimal(_)
        | Cell::Bool(_)
        | Cell::Date(_)
        | Cell::Datetime(_)
        | Cell::Time(_) => Some(Cow::Owned(cell.print())),
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
