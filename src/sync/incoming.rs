//! A page's records through the mapping: the rows they make, and those that make none.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Error;
use super::run::Work;
use super::whole::Whole;
use crate::conflict::Incoming;
use crate::mapping::{Answers, ChildRows, Column, Wanted};
use crate::quarantine::Awaited;
use crate::record::{Record, Stamp};
use crate::row::{Cell, Row};
use crate::store::PageTx;

/// The longest text of one column, in bytes: what is larger is a file that strayed into a field, and no database takes
/// it in every configuration.
const MAX_VALUE: usize = 8 << 20;

/// Missing rows of other tables that a parked record is said to wait for, at most.
const MAX_AWAITED: usize = 20;

/// A page's records after the mapping.
#[derive(Debug)]
pub(super) struct Judged {
    /// Those that make a row.
    pub(super) incoming: Vec<Incoming>,
    /// Those that do not.
    pub(super) refused: Vec<Refusal>,
}

/// A record that is not written, and why.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// HQ's `name`.
    pub(super) name: String,
    /// HQ's `modified`.
    pub(super) modified: Stamp,
    /// A sentence for the operator.
    pub(super) reason: String,
    /// Rows of other tables whose coming would mend it.
    pub(super) awaits: Vec<Awaited>,
}

/// The child rows of one parent so far, with their `idx`, or why the parent cannot be taken.
pub(super) type Children = Result<Vec<(i64, Row)>, Offence>;

#[derive(Debug, Clone)]
pub(super) struct Offence {
    pub(super) reason: String,
    pub(super) awaits: Vec<Awaited>,
}

impl Refusal {
    /// The refusal of a record that was mapped.
    pub(super) fn of(record: &Incoming, reason: String) -> Self {
        Self { name: record.hq_name.as_ref().to_owned(), modified: record.modified.clone(), reason, awaits: Vec::new() }
    }
}

impl Work<'_> {
    /// Maps the records, with what other tables answer; without a transaction nothing is looked up.
    pub(super) async fn judge(
        &self,
        mut tx: Option<&mut PageTx>,
        whole: &Whole,
        records: &[Record<'_>],
    ) -> Result<Judged, Error> {
        let mapping = &self.job.mapping;
        let answers = self.answers(tx.as_deref_mut(), None, || mapping.wanted(&whole.page)).await?;
        let mut tables = self.children(tx, whole).await?;
        Ok(self.mapper().judge(records, &answers, &mut tables))
    }

    async fn answers(
        &self,
        tx: Option<&mut PageTx>,
        child: Option<usize>,
        wanted: impl FnOnce() -> Vec<Wanted>,
    ) -> Result<Answers, Error> {
        let Some(tx) = tx else { return Ok(Answers::default()) };
        tx.lookups(&self.table, child, &wanted()).await.map_err(Error::store("looking up local rows"))
    }

    /// The mapped child rows by the parent's HQ name, for each child table.
    async fn children(
        &self,
        mut tx: Option<&mut PageTx>,
        whole: &Whole,
    ) -> Result<Vec<HashMap<String, Children>>, Error> {
        let mut tables = Vec::with_capacity(whole.children.len());
        for (at, (child, pages)) in self.job.mapping.children().iter().zip(&whole.children).enumerate() {
            let mut rows: HashMap<String, Children> = HashMap::new();
            // A row that stands twice in one answer is one row.
            let mut taken: HashSet<&str> = HashSet::new();
            for page in pages {
                let answers = self.answers(tx.as_deref_mut(), Some(at), || child.wanted(page)).await?;
                for record in page.records() {
                    if !taken.insert(record.name()) {
                        continue;
                    }
                    let mapped = match child.map(record, &answers) {
                        Ok(mapped) => oversized(&mapped.row, &child.columns).map_or(Ok(mapped), Err),
                        Err(reject) => Err(reject.0),
                    };
                    match mapped {
                        Ok(mapped) => {
                            let so_far = rows.entry(mapped.parent).or_insert_with(|| Ok(Vec::new()));
                            if let Ok(so_far) = so_far {
                                so_far.push((mapped.idx, mapped.row));
                            }
                        }
                        Err(reason) => {
                            let awaits = awaited(Some(at), &child.wanted(&record.alone()), &answers, |lookup| {
                                let of_lookup =
                                    (0..).zip(&child.columns).filter(|(at, _)| child.lookup_of(*at) == Some(lookup));
                                of_lookup.into_iter().any(|(_, column)| column.is_private)
                            });
                            let parent = record.text("parent").into_owned();
                            rows.insert(parent, Err(Offence { reason, awaits }));
                        }
                    }
                }
            }
            tables.push(rows);
        }
        Ok(tables)
    }
}

/// The record's name; the key's own text where that is the name, as it mostly is.
pub(super) fn name_of(record: Record<'_>, key: &Arc<str>) -> Arc<str> {
    if **key == *record.name() { Arc::clone(key) } else { record.name().into() }
}

pub(super) fn in_order(rows: Children) -> Result<ChildRows, Offence> {
    let mut rows = rows?;
    rows.sort_by_key(|(idx, _)| *idx);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// What was looked up for one record and found nowhere; private values are not kept.
pub(super) fn awaited(
    child: Option<usize>,
    wanted: &[Wanted],
    answers: &Answers,
    is_private: impl Fn(usize) -> bool,
) -> Vec<Awaited> {
    let missing = |want: &Wanted| {
        let known = answers.0.get(want.lookup);
        let values = want.values.iter().filter(|value| known.is_none_or(|known| !known.contains_key(*value)));
        values.map(|value| Awaited { child, lookup: want.lookup, value: value.clone() }).collect::<Vec<_>>()
    };
    wanted.iter().filter(|want| !is_private(want.lookup)).flat_map(missing).take(MAX_AWAITED).collect()
}

/// Says which column would get a text that is too large.
pub(super) fn oversized(row: &Row, columns: &[Column]) -> Option<String> {
    let (column, length) = row.iter().zip(columns).find_map(|(cell, column)| match cell {
        Cell::Text(text) | Cell::Json(text) => Some((column, text.len())).filter(|(_, length)| *length > MAX_VALUE),
        Cell::Null
        | Cell::Int(_)
        | Cell::Float(_)
        | Cell::Decimal(_)
        | Cell::Bool(_)
        | Cell::Date(_)
        | Cell::Datetime(_)
        | Cell::Time(_) => None,
    })?;
    let (mebibytes, most) = (length.div_ceil(1 << 20), MAX_VALUE >> 20);
    Some(format!(
        "{}: a text of {mebibytes} MiB, where milkrun takes {most} MiB; leave the field out of the mapping",
        column.name
    ))
}
