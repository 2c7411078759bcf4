//! Records with their child rows, read so that they belong together.
//!
//! Parents and children come by two requests, and a save may fall between them. Every save stamps all child rows
//! with the parent's new `modified` (recording 734), so a child newer than its parent tells that it did: that parent
//! is read again.

use std::collections::{HashMap, HashSet};

use super::Error;
use super::run::{Work, unless_stopped};
use crate::record::{Page, Record, Stamp};
use crate::source;

/// Parents whose child rows are asked for in one request, at most.
pub(super) const CHILDREN_SIZE: usize = 5_000;

/// How often a parent that is being saved all the time is read again; its next version comes by itself.
const ATTEMPTS: usize = 3;

/// Records and their child rows.
#[derive(Debug)]
pub(super) struct Whole {
    /// The records.
    pub(super) page: Page,
    /// For each child table of the mapping, in order, the pages that hold the child rows of these records.
    pub(super) children: Vec<Vec<Page>>,
    /// Names in `page` that are read again and stand in a later one.
    pub(super) superseded: HashSet<String>,
}

impl Whole {
    /// The records that count.
    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.page.records().filter(|record| !self.superseded.contains(record.name()))
    }
}

/// The records of the first of some names.
#[derive(Debug)]
pub(super) struct Batch {
    /// Those that came.
    pub(super) page: Page,
    /// The names of those that are too large to be had even alone.
    pub(super) too_large: Vec<String>,
    /// How many of the names were asked for.
    pub(super) asked: usize,
}

/// Answers are joined up to this many bytes: what had to be asked for in small pieces is not to be held as one.
const AT_ONCE: usize = 8 << 20;

impl Work<'_> {
    /// Reads the child rows of the records in `page` that `is_wanted`, and again what was saved meanwhile.
    pub(super) async fn whole(&mut self, page: Page, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<Whole>, Error> {
        let mut wholes = Vec::with_capacity(1);
        let mut page = page;
        let mut accepted: HashSet<String> = HashSet::new();
        for attempt in 1..=ATTEMPTS {
            let children = self.children_of(&page, &is_wanted).await?;
            let mut superseded = if attempt == ATTEMPTS { HashSet::new() } else { straddled(&page, &children) };
            superseded.retain(|name| !accepted.contains(name));
            if superseded.is_empty() {
                wholes.push(Whole { page, children, superseded });
                break;
            }
            let names: Vec<&str> = superseded.iter().map(String::as_str).collect();
            let again = self.records(&names).await?;
            // A parent that stands as before has children that were stamped on their own; reading on changes nothing.
            let before: HashMap<&str, &Stamp> = page.records().map(|r| (r.name(), r.modified())).collect();
            accepted.extend(
                again.records().filter(|r| before.get(r.name()) == Some(&r.modified())).map(|r| r.name().to_owned()),
            );
            wholes.push(Whole { page, children, superseded });
            page = again;
        }
        Ok(wholes)
    }

    /// The whole records of these names that match the job's filters, in as many requests as HQ and the line need.
    pub(super) async fn records(&mut self, names: &[&str]) -> Result<Page, Error> {
        let mut joined = Page::empty(self.job.mapping.fields());
        let mut rest = names;
        while !rest.is_empty() {
            let Batch { page, too_large, asked } = self.some_records(rest).await?;
            if !too_large.is_empty() {
                let cause = source::Error::TooLarge { limit: source::MAX_BODY };
                return Err(Error::source("reading changed records")(cause));
            }
            joined = joined.joined(&page);
            rest = rest.get(asked..).unwrap_or_default();
        }
        Ok(joined)
    }

    /// As [`Work::records`], of as many of the first names as memory should hold at once.
    pub(super) async fn some_records(&mut self, names: &[&str]) -> Result<Batch, Error> {
        let mut joined: Option<Page> = None;
        let mut too_large = Vec::new();
        let mut rest = names;
        while let Some((first, others)) = rest.split_first() {
            if joined.as_ref().is_some_and(|joined| joined.bytes() > AT_ONCE) {
                break;
            }
            let asking = self.engine.hq.records(self.job, rest, &mut self.page_size, self.meter);
            match unless_stopped(self.stop, async { Ok(asking.await) }).await? {
                Ok(fetched) => {
                    joined = Some(joined.map_or_else(|| fetched.page.clone(), |joined| joined.joined(&fetched.page)));
                    rest = rest.get(fetched.asked..).unwrap_or_default();
                }
                // The page has been made smaller until the first record stood alone.
                Err(source::Error::TooLarge { .. }) if self.page_size.get() == 1 => {
                    too_large.push((*first).to_owned());
                    rest = others;
                }
                Err(error) => return Err(Error::source("reading changed records")(error)),
            }
        }
        let page = joined.unwrap_or_else(|| Page::empty(self.job.mapping.fields()));
        Ok(Batch { page, too_large, asked: names.len() - rest.len() })
    }

    pub(super) async fn children_of(
        &mut self,
        page: &Page,
        is_wanted: &impl Fn(&str) -> bool,
    ) -> Result<Vec<Vec<Page>>, Error> {
        let parents: Vec<&str> = page.records().map(|record| record.name()).filter(|name| is_wanted(name)).collect();
        let (hq, job, meter) = (&self.engine.hq, self.job, self.meter);
        let mut children = Vec::with_capacity(job.mapping.children().len());
        for child in job.mapping.children() {
            let mut pages = Vec::with_capacity(1);
            let mut rest = parents.as_slice();
            while !rest.is_empty() {
                let step = || Error::source(format!("reading child table {}", child.field));
                let size = &mut self.children_size;
                let asking = async {
                    let doctype = hq.child_doctype(&job.doctype, &child.field, meter).await.map_err(step())?;
                    hq.children(job, &doctype, child, rest, size, meter).await.map_err(step())
                };
                let fetched = unless_stopped(self.stop, asking).await?;
                rest = rest.get(fetched.asked..).unwrap_or_default();
                pages.push(fetched.page);
            }
            children.push(pages);
        }
        Ok(children)
    }
}

/// Parents that have a child newer than themselves.
fn straddled(page: &Page, children: &[Vec<Page>]) -> HashSet<String> {
    let parents: HashMap<&str, &Stamp> = page.records().map(|record| (record.name(), record.modified())).collect();
    let mut straddled = HashSet::new();
    for child in children.iter().flatten().flat_map(Page::records) {
        let parent = child.text("parent");
        if parents.get(parent.as_ref()).is_some_and(|modified| child.modified() > *modified) {
            straddled.insert(parent.into_owned());
        }
    }
    straddled
}
