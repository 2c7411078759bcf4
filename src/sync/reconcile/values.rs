//! Values under an equal stamp: whole records through the mapping, and their fingerprints against the ledger's. The
//! outlet's table is not touched; what differs is fetched and goes the way of a page.

use std::collections::HashMap;

use super::walk::Walk;
use crate::conflict::Care;
use crate::mapping::{ChildRows, children_hash};
use crate::record::{Mark, Page};
use crate::row::Row;
use crate::run::Counts;
use crate::source::PageSize;
use crate::source::frappe::Fetched;
use crate::store::Trace;
use crate::sync::Error;
use crate::sync::run::Work;

/// Records of one page, at least where the line is weak, and at most.
const RECORDS: (usize, usize) = (100, 25_000);

/// Bytes of one page; with its places and the child rows beside it, it takes some five times that.
const BYTES: usize = 12 << 20;

/// What a field of a record takes, as long as nothing of it has been seen.
const FIELD: usize = 100;

/// Records looked up in the ledger at once.
const LOOKUP_SIZE: usize = 5_000;

/// The child rows of one parent with their `idx`; `None` where one of them cannot be mapped.
type Children = Option<Vec<(i64, Row)>>;

impl Work<'_> {
    /// The size of the next page of whole records, after what the last one weighed.
    pub(super) fn value_size(&self, last: Option<&Fetched>) -> PageSize {
        let each = match last {
            Some(last) => last.page.bytes() / last.page.len().max(1),
            None => self.job.mapping.fields().names().len() * FIELD,
        };
        let most = (BYTES / each.max(1)).clamp(RECORDS.0, RECORDS.1);
        PageSize::between(RECORDS.0.min(most), most)
    }

    /// Compares a page's records with the ledger's fingerprints, and repairs those that differ.
    pub(super) async fn compare_values(&mut self, walk: &mut Walk, page: &Page) -> Result<(), Error> {
        self.children_size = PageSize::between(1, RECORDS.1);
        let (before, _, _) = self.meter.so_far();
        let children = self.children_of(page, &|_| true).await?;
        walk.spent += self.meter.so_far().0.saturating_sub(before);
        let differing = self.of_other_values(page, &children).await?;
        drop(children);
        walk.compared += page.len() as u64;
        walk.repaired.silent += differing.len() as u64;
        let (fetched, unchanged) = (page.len() as u64, (page.len() - differing.len()) as u64);
        self.counts.add(&Counts { fetched, unchanged, ..Counts::default() });
        self.take(&differing, Care::Repair).await?;
        Ok(())
    }

    async fn of_other_values(&self, page: &Page, children: &[Vec<Page>]) -> Result<Vec<Mark>, Error> {
        let looking = || Error::store("looking up local rows");
        let mapping = &self.job.mapping;
        let lookups = self.engine.store.lookups(&self.table, None, &mapping.wanted(page)).await;
        let answers = lookups.map_err(looking())?;
        let mut tables = self.mapped_children(children).await?;
        let mut differing = Vec::new();
        let records: Vec<_> = page.records().collect();
        for some in records.chunks(LOOKUP_SIZE) {
            let names: Vec<&str> = some.iter().map(|record| record.name()).collect();
            let traces = self.engine.store.traces(&self.job.name, &names).await;
            let traces: HashMap<String, Trace> = traces.map_err(Error::store("reading the ledger"))?;
            for record in some {
                let rows: Option<Vec<ChildRows>> = tables
                    .iter_mut()
                    .map(|table| table.remove(record.name()).map_or(Some(Vec::new()), in_order))
                    .collect();
                let Some(trace) = traces.get(record.name()) else { continue };
                let is_parked = self.parked.get(record.name()) == Some(record.modified())
                    || self.is_waiting(record.name(), record.modified());
                // Of another stamp, it is fetched for that.
                if trace.hq_modified != *record.modified() || is_parked {
                    continue;
                }
                let is_alike = match (mapping.map(*record, &answers), rows) {
                    (Ok(mapped), Some(rows)) => {
                        mapped.hash == trace.row_hash
                            && children_hash(&rows) == trace.children_hash
                            && *mapped.key_text == *trace.local_key
                    }
                    (Ok(_), None) | (Err(_), _) => false,
                };
                if !is_alike {
                    differing.push(record.mark().clone());
                }
            }
        }
        Ok(differing)
    }

    /// The mapped child rows by the parent's HQ name, for each child table.
    async fn mapped_children(&self, children: &[Vec<Page>]) -> Result<Vec<HashMap<String, Children>>, Error> {
        let mut tables = Vec::with_capacity(children.len());
        for (at, (child, pages)) in self.job.mapping.children().iter().zip(children).enumerate() {
            let mut rows: HashMap<String, Children> = HashMap::new();
            for page in pages {
                let answers = self.engine.store.lookups(&self.table, Some(at), &child.wanted(page)).await;
                let answers = answers.map_err(Error::store("looking up local rows"))?;
                for record in page.records() {
                    match child.map(record, &answers) {
                        Ok(mapped) => {
                            let so_far = rows.entry(mapped.parent).or_insert_with(|| Some(Vec::new()));
                            if let Some(so_far) = so_far {
                                so_far.push((mapped.idx, mapped.row));
                            }
                        }
                        Err(_reject) => {
                            rows.insert(record.text("parent").into_owned(), None);
                        }
                    }
                }
            }
            tables.push(rows);
        }
        Ok(tables)
    }
}

fn in_order(rows: Children) -> Option<ChildRows> {
    let mut rows = rows?;
    rows.sort_by_key(|(idx, _)| *idx);
    Some(rows.into_iter().map(|(_, row)| row).collect())
}
