//! Values that another local table stands in for: what a page wants to know, and what is made of the answers.

use std::collections::HashSet;

use chrono_tz::Tz;

use super::field::Field;
use super::offence::Offence;
use super::{Answers, LookupSpec, Wanted, value};
use crate::record::{Page, Scalar};
use crate::row::{Cell, Type};

/// A column's lookup: which of the mapping's lookups answers it, and its words for sentences.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) index: usize,
    pub(super) spec: LookupSpec,
}

impl Lookup {
    /// What was taken for `text`, as a value of `ty`.
    pub(super) fn take(&self, text: &str, answers: &Answers, ty: Type, zone: Tz) -> Result<Cell, Offence> {
        let LookupSpec { table, match_column, take_column } = &self.spec;
        let Some(taken) = answers.0.get(self.index).and_then(|known| known.get(text)) else {
            return Err(Offence::of(value::quote(text), "").after(&format!("no row in {table} has {match_column} = ")));
        };
        converted(taken, ty, zone).map_err(|offence| offence.after(&format!("{take_column} of {table}: ")))
    }
}

/// The store hands over a cell of the column's own type; only its canonical text is read as another.
fn converted(taken: &Cell, ty: Type, zone: Tz) -> Result<Cell, Offence> {
    match (taken, ty) {
        (Cell::Null, _) => Ok(Cell::Null),
        (Cell::Int(_), Type::Int)
        | (Cell::Float(_), Type::Float | Type::Duration)
        | (Cell::Bool(_), Type::Bool)
        | (Cell::Date(_), Type::Date)
        | (Cell::Datetime(_), Type::Datetime)
        | (Cell::Time(_), Type::Time)
        | (Cell::Json(_), Type::Json) => Ok(taken.clone()),
        // A stored moment is in UTC already; read as HQ's it would move.
        (_, Type::Datetime) => value::read(Scalar::Text(taken.to_string().into()), ty, Tz::UTC),
        _ => value::read(Scalar::Text(taken.to_string().into()), ty, zone),
    }
}

/// The distinct values that `fields` want for `page`, in the order they turn up; lookups that want nothing are left out.
pub(super) fn wanted(fields: &[Field], lookups: usize, page: &Page) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for lookup in 0..lookups {
        let asking = || fields.iter().filter(|field| field.lookup.as_ref().is_some_and(|own| own.index == lookup));
        let mut seen = HashSet::new();
        let mut values = Vec::new();
        for record in page.records() {
            for field in asking() {
                field.want(record, |text| {
                    if !seen.contains(text) {
                        seen.insert(text.to_owned());
                        values.push(text.to_owned());
                    }
                });
            }
        }
        if !values.is_empty() {
            wanted.push(Wanted { lookup, values });
        }
    }
    wanted
}
