//! Records into rows without anybody being asked: what of a page can be done beside the writing of the page before.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{NaiveDateTime, TimeZone as _, Utc};
use xxhash_rust::xxh3::xxh3_64;

use super::incoming::{Children, Judged, Offence, Refusal, awaited, in_order, name_of, oversized};
use super::run::Work;
use crate::config::{DatabaseKind, Job};
use crate::conflict::Incoming;
use crate::ledger::{Base, Spelt, Values};
use crate::mapping::{Answers, ChildRows, children_hash};
use crate::record::{Page, Record, Stamp};
use crate::row::{Cell, Row};
use crate::store::Table;
use crate::watermark::Zone;

/// Fewer records are mapped where they are written.
const WORTH_A_THREAD: usize = 500;

/// What makes a job's rows: its mapping, how its table spells values, and the zone of HQ's stamps.
#[derive(Debug, Clone)]
pub(super) struct Mapper {
    job: Arc<Job>,
    table: Arc<Table>,
    kind: DatabaseKind,
    zone: Zone,
}

impl Work<'_> {
    pub(super) fn mapper(&self) -> Mapper {
        Mapper {
            job: Arc::clone(self.job),
            table: Arc::clone(&self.table),
            kind: self.engine.store.kind(),
            zone: self.zone,
        }
    }
}

impl Mapper {
    /// Whether rows are made of a page's records alone.
    pub(super) fn is_plain(&self) -> bool {
        !self.job.mapping.has_lookups() && self.job.mapping.children().is_empty()
    }

    /// The rows of a page's records, each record once, made by a thread that has nothing else to do; `None` where other
    /// tables or child rows have a part in them.
    pub(super) async fn aside(&self, page: Page) -> (Page, Option<Judged>) {
        if page.len() < WORTH_A_THREAD || !self.is_plain() {
            return (page, None);
        }
        let page = Arc::new(page);
        let (mapper, theirs) = (self.clone(), Arc::clone(&page));
        let judging = move || mapper.judge(&once(theirs.records()), &Answers::default(), &mut []);
        // A thread that died has made no rows; they are made again, and what killed it shows.
        let judged = tokio::task::spawn_blocking(judging).await.ok();
        (Arc::unwrap_or_clone(page), judged)
    }

    /// The records' rows, with what other tables answered and the child rows that were mapped.
    pub(super) fn judge(
        &self,
        records: &[Record<'_>],
        answers: &Answers,
        tables: &mut [HashMap<String, Children>],
    ) -> Judged {
        let mapping = &self.job.mapping;
        let mut judged = Judged { incoming: Vec::with_capacity(records.len()), refused: Vec::new() };
        for record in records {
            let mapped = match mapping.map(*record, answers) {
                Ok(mapped) => oversized(&mapped.row, mapping.columns()).map_or(Ok(mapped), Err),
                Err(reject) => Err(reject.0),
            };
            let own = mapped.map_err(|reason| {
                let awaits = awaited(None, &mapping.wanted(&record.alone()), answers, |lookup| {
                    let of_lookup =
                        (0..).zip(mapping.columns()).filter(|(at, _)| mapping.lookup_of(*at) == Some(lookup));
                    of_lookup.into_iter().any(|(_, column)| column.is_private)
                });
                Offence { reason, awaits }
            });
            let children: Result<Vec<ChildRows>, Offence> = tables
                .iter_mut()
                .map(|table| table.remove(record.name()).map_or(Ok(Vec::new()), in_order))
                .collect();
            let modified = record.modified().clone();
            match own.and_then(|mapped| Ok((mapped, children?))) {
                Ok((mapped, children)) => judged.incoming.push(Incoming {
                    base: self.base_of(&mapped.row),
                    modified_at: self.job.rules.local_modified.as_ref().and_then(|_| self.in_utc(&modified)),
                    hq_name: name_of(*record, &mapped.key_text),
                    modified,
                    mapped,
                    children_hash: children_hash(&children),
                    children,
                }),
                Err(Offence { reason, awaits }) => {
                    judged.refused.push(Refusal { name: record.name().to_owned(), modified, reason, awaits });
                }
            }
        }
        judged
    }

    /// What the ledger is to keep of a row that takes HQ's version.
    fn base_of(&self, row: &Row) -> Base {
        let mapping = &self.job.mapping;
        if !self.job.rules.keeps_base {
            return Base::Hash(self.version_of(row));
        }
        let mut values = Values::default();
        for at in mapping.synced() {
            if let (Some(column), Some(cell)) = (mapping.columns().get(*at), row.get(*at)) {
                values.set(&column.name, self.spelt(*at, cell), None);
            }
        }
        Base::Values(values)
    }

    /// Fingerprint of a row's columns that HQ owns, as the database spells them.
    pub(super) fn version_of(&self, row: &Row) -> i64 {
        self.table.version(self.kind, row, self.job.mapping.synced())
    }

    /// A cell as the database spells it; a private one only by its fingerprint.
    pub(super) fn spelt(&self, at: usize, cell: &Cell) -> Spelt {
        match self.table.spelling(self.kind, at, cell) {
            None => Spelt::Null,
            Some(text) if self.job.mapping.columns().get(at).is_some_and(|column| column.is_private) => {
                Spelt::Hash(xxh3_64(text.as_bytes()).cast_signed())
            }
            Some(text) => Spelt::Text(text),
        }
    }

    /// A stamp of HQ's in UTC; `None` for a record that has none.
    pub(super) fn in_utc(&self, stamp: &Stamp) -> Option<NaiveDateTime> {
        if *stamp == Stamp::never() {
            return None;
        }
        let wall = stamp.moment();
        // In the repeated hour the later of the two, so that a tie is HQ's; in the skipped one as if it were there.
        let moment = self.zone.tz.from_local_datetime(&wall).latest();
        let moment = moment.or_else(|| {
            let before = self.zone.tz.from_local_datetime(&(wall - chrono::Duration::hours(1))).latest()?;
            Some(before + chrono::Duration::hours(1))
        });
        moment.map(|moment| moment.with_timezone(&Utc).naive_utc())
    }
}

/// A record that stands twice in one answer is one record.
pub(super) fn once<'p>(records: impl Iterator<Item = Record<'p>>) -> Vec<Record<'p>> {
    let mut records: Vec<Record<'p>> = records.collect();
    let mut taken = std::collections::HashSet::with_capacity(records.len());
    records.retain(|record| taken.insert(record.name()));
    records
}
