//! Whole records of a stretch of HQ's list, one after the other instead of by name.

use serde_json::json;

use super::query::Query;
use super::{Fetched, Frappe, list};
use crate::config::Job;
use crate::record::{Mark, Stamp};
use crate::source::client::Meter;
use crate::source::error::Error;
use crate::source::page_size::PageSize;

/// Where a stretch of the list begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// The mark it begins at.
    pub from: Mark,
    /// Whether it begins with the record of that mark, or after it.
    pub is_with: bool,
    /// The last stamp of it; `None` where it goes on to the end of the list.
    pub upto: Option<Stamp>,
    /// Records asked for at most.
    pub most: usize,
}

impl Frappe {
    /// The whole records of a stretch that match the job's filters, in HQ's order; the first of them, as many as `size`
    /// allows.
    ///
    /// # Errors
    /// All of [`Error`].
    pub async fn stretch(
        &self,
        job: &Job,
        bounds: &Bounds,
        size: &mut PageSize,
        meter: &Meter,
    ) -> Result<Fetched, Error> {
        let fields = job.mapping.fields();
        let mut filters = job.filters.clone();
        filters.extend(bounds.upto.as_ref().map(|upto| json!(["modified", "<=", upto.as_str()])));
        let query =
            Query { filters, is_with: bounds.is_with, limit: bounds.most, ..list(&job.doctype, fields.names()) };
        self.keyset(query, "modified", Some(&bounds.from), fields, size, meter).await
    }
}
