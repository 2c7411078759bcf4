//! The page after one that has not come yet.
//!
//! Its mark is not known then, so it is asked for by its place: as the keyset query of the page before it, but from that
//! page's last record on. What comes is believed only where it begins with that very record. HQ then had, at that moment,
//! that record at that place, and what follows is what the keyset query from its mark would have given: an offset is never
//! trusted, and never deeper than one page.

use super::query::Query;
use super::{Fetched, Frappe, in_order, list};
use crate::breakage::{self, Breakage};
use crate::config::Job;
use crate::record::Mark;
use crate::source::client::Meter;

impl Frappe {
    /// The records after the first `of` that match the job's filters after `from`, `limit` of them; before them comes the
    /// last of those `of`. Asked once, and `None` where they do not come.
    pub async fn beyond(&self, job: &Job, from: &Mark, of: usize, limit: usize, meter: &Meter) -> Option<Fetched> {
        if breakage::is(Breakage::OffsetPaging) || breakage::is(Breakage::ClientOrder) {
            return None;
        }
        let fields = job.mapping.fields();
        let start = of.checked_sub(1)?;
        let query = Query {
            filters: job.filters.clone(),
            start,
            limit: limit.checked_add(1)?,
            ..list(&job.doctype, fields.names())
        };
        let query = query.after("modified", Some(from));
        let read = |answer| self.fetched(answer, query.limit, fields, &|page| in_order(page, Some(from)));
        self.client.ask_aside(&query.request(), read, meter).await
    }
}

impl Fetched {
    /// The records after `last`, if the page begins with that one and it stands there once.
    #[must_use]
    pub fn after(mut self, last: &Mark) -> Option<Self> {
        let mut marks = self.page.marks().iter();
        // A list that repeats records, as a filter on child rows does (recording 507), cuts where keyset would not.
        let is_proven = marks.next() == Some(last) && marks.next() != Some(last);
        if !is_proven && !breakage::is(Breakage::UnprovenPlace) {
            return None;
        }
        self.page = self.page.without_first();
        self.asked = self.asked.saturating_sub(1);
        self.came.asked = self.asked;
        self.came.rows = self.page.len();
        self.is_ahead = true;
        Some(self)
    }
}
