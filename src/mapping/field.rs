//! One column, compiled: where its value comes from and every step to the cell.
//!
//! The order is: read, trim, map, default, lookup, type. Null passes trim and map; the default stands in for it before
//! the lookup, never after.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono_tz::Tz;

use super::expr::Expr;
use super::lookup::Lookup;
use super::offence::Offence;
use super::{Answers, Reject, value};
use crate::record::{Record, Scalar};
use crate::row::{Cell, Type};

/// A compiled entry of `[job.fields]`.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) column: String,
    pub(super) source: Source,
    pub(super) ty: Type,
    pub(super) zone: Tz,
    pub(super) trim: bool,
    /// The literals of `map`, ready to store, or the texts to look up where a lookup follows.
    pub(super) map: Option<HashMap<String, Cell>>,
    /// As `map`.
    pub(super) default: Option<Cell>,
    pub(super) lookup: Option<Lookup>,
    /// The value is kept out of every sentence.
    pub(super) is_private: bool,
}

/// Where the value comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// The HQ field at `position` of the request.
    Field { name: String, position: usize },
    /// An expression over HQ fields.
    Expr(Expr),
    /// A constant, ready to store or to look up.
    Const(Cell),
}

/// A value after map and default.
enum Found<'a> {
    Sent(Scalar<'a>),
    Literal(&'a Cell),
}

impl Field {
    /// The cell that `record` gives this column.
    pub(super) fn cell(&self, record: Record<'_>, answers: &Answers) -> Result<Cell, Reject> {
        self.with_found(record, |found| match &self.lookup {
            Some(lookup) => found.text().map_or(Ok(Cell::Null), |text| lookup.take(&text, answers, self.ty, self.zone)),
            None => match found {
                Found::Sent(scalar) => value::read(scalar, self.ty, self.zone),
                Found::Literal(cell) => Ok(cell.clone()),
            },
        })
        .map_err(|offence| self.reject(&offence.sentence(self.is_private)))
    }

    /// Gives the value to look up to `wants`; a record that cannot be mapped so far wants nothing.
    pub(super) fn want(&self, record: Record<'_>, wants: impl FnOnce(&str)) {
        let Some(_) = self.lookup else { return };
        let asked = self.with_found(record, |found| Ok(found.text().map(|text| wants(&text))));
        // What went wrong here goes wrong again in `cell`, and is reported from there.
        asked.ok();
    }

    /// The HQ fields the value depends on.
    pub(super) fn needs(&self) -> &[String] {
        match &self.source {
            Source::Field { name, .. } => std::slice::from_ref(name),
            Source::Expr(expr) => expr.variables(),
            Source::Const(_) => &[],
        }
    }

    /// A sentence about this column.
    pub(super) fn reject(&self, offence: &str) -> Reject {
        let from = match &self.source {
            Source::Field { name, .. } => format!("HQ field {name}"),
            Source::Expr(_) => "expression".to_owned(),
            Source::Const(_) => "constant".to_owned(),
        };
        Reject::because(&format!("{} ({from}): {offence}", self.column))
    }

    fn with_found<T>(
        &self,
        record: Record<'_>,
        then: impl FnOnce(Found<'_>) -> Result<T, Offence>,
    ) -> Result<T, Offence> {
        match &self.source {
            Source::Field { position, .. } => then(self.settle(sent(record.raw(*position))?)?),
            Source::Expr(expr) => then(self.settle(expr.evaluate(record)?.scalar())?),
            Source::Const(cell) => then(Found::Literal(cell)),
        }
    }

    fn settle<'a>(&'a self, scalar: Scalar<'a>) -> Result<Found<'a>, Offence> {
        let scalar = if self.trim { trimmed(scalar) } else { scalar };
        if let Some(map) = &self.map {
            let key = match &scalar {
                Scalar::Null => None,
                Scalar::Bool(claim) => Some(if *claim { "true" } else { "false" }),
                Scalar::Number(text) | Scalar::Tree(text) => Some(*text),
                Scalar::Text(text) => Some(text.as_ref()),
            };
            match (key.and_then(|key| map.get(key)), key) {
                (Some(cell), _) => return Ok(Found::Literal(cell)),
                (None, Some(key)) if self.default.is_none() && !self.is_null(&scalar) => {
                    let (shown, known) = (value::quote(key), map.len());
                    let after = format!(" is not among the {known} keys of map; add it, or give a default");
                    return Err(Offence::of(shown, after));
                }
                (None, Some(_)) => return Ok(self.default.as_ref().map_or(Found::Sent(Scalar::Null), Found::Literal)),
                (None, None) => {}
            }
        }
        if !self.is_null(&scalar) {
            return Ok(Found::Sent(scalar));
        }
        Ok(self.default.as_ref().map_or(Found::Sent(Scalar::Null), Found::Literal))
    }

    /// Only a text column without a lookup can tell `""` from null: HQ stores an unset field as either.
    fn is_null(&self, scalar: &Scalar<'_>) -> bool {
        match (self.ty, &self.lookup) {
            (Type::Text { .. }, None) => matches!(scalar, Scalar::Null),
            _ => value::is_blank(scalar),
        }
    }
}

impl<'a> Found<'a> {
    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Sent(scalar) => value::as_text(scalar),
            Self::Literal(Cell::Text(text)) => Some(Cow::Borrowed(text)),
            Self::Literal(cell) => cell.text().map(Cow::Owned),
        }
    }
}

/// A text that cannot be unescaped (half of a surrogate pair) must not pass as its own JSON.
fn sent(raw: &str) -> Result<Scalar<'_>, Offence> {
    match Scalar::read(raw) {
        Scalar::Tree(raw) if raw.starts_with('"') => Err(Offence::of(value::quote(raw), " is no text in Unicode")),
        scalar @ (Scalar::Null | Scalar::Bool(_) | Scalar::Number(_) | Scalar::Text(_) | Scalar::Tree(_)) => Ok(scalar),
    }
}

/// White space is Unicode's, at both ends; what is not text has none.
fn trimmed(scalar: Scalar<'_>) -> Scalar<'_> {
    match scalar {
        Scalar::Text(Cow::Borrowed(text)) => Scalar::Text(Cow::Borrowed(text.trim())),
        Scalar::Text(Cow::Owned(text)) => Scalar::Text(Cow::Owned(text.trim().to_owned())),
        other @ (Scalar::Null | Scalar::Bool(_) | Scalar::Number(_) | Scalar::Tree(_)) => other,
    }
}
