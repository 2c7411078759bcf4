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

impl Work<'_> {
    /// Reads the child rows of the records in `page` that `is_wanted`, and again what was saved meanwhile.
    pub(super) async fn whole(&self, page: Page, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<Whole>, Error> {
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

    /// The whole records of these names that match the job's filters; smaller requests where the answer is too large.
    pub(super) async fn records(&self, names: &[&str]) -> Result<Page, Error> {
        let asking = self.engine.hq.records(self.job, names, self.meter);
        let asking = async { asking.await.map_err(Error::source("reading changed records")) };
        Ok(unless_stopped(self.stop, asking).await?.page)
    }

    async fn children_of(&self, page: &Page, is_wanted: &impl Fn(&str) -> bool) -> Result<Vec<Vec<Page>>, Error> {
        let parents: Vec<&str> = page.records().map(|record| record.name()).filter(|name| is_wanted(name)).collect();
        let mut children = Vec::with_capacity(self.job.mapping.children().len());
        for child in self.job.mapping.children() {
            let mut pages = Vec::with_capacity(1);
            if !parents.is_empty() {
                let step = || format!("reading child table {}", child.field);
                let doctype = self.engine.hq.child_doctype(&self.job.doctype, &child.field, self.meter).await;
                let doctype = doctype.map_err(Error::source(step()))?;
                let mut waiting = vec![parents.as_slice()];
                while let Some(some) = waiting.pop() {
                    let asking = self.engine.hq.children(self.job, &doctype, child, some, self.meter);
                    let asking = async { Ok(asking.await) };
                    match unless_stopped(self.stop, asking).await? {
                        Err(source::Error::TooLarge { .. }) if some.len() > 1 => {
                            let (left, right) = some.split_at(some.len() / 2);
                            waiting.extend([right, left]);
                        }
                        answer => pages.push(answer.map_err(Error::source(step()))?),
                    }
                }
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
