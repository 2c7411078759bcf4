//! A Frappe/ERPNext HQ: what milkrun asks of it, one method a question.
//!
//! Every list names its order, as Frappe has none by itself (recording 101), and goes by keyset, never by offset
//! (recordings 301-304): what is asked for ahead by its place has to prove itself (`beyond.rs`).

mod beyond;
#[cfg(debug_assertions)]
mod broken;
mod compare;
mod decode;
mod describe;
mod query;
mod stretch;

pub use compare::Remark;
pub use stretch::Bounds;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use self::query::Query;
use super::client::{Answer, Client, Meter, Request};
use super::error::Error;
use super::lead::LONG;
use super::page_size::{Came, PageSize};
#[cfg(debug_assertions)]
use crate::breakage::{self, Breakage};
use crate::clock::Clock;
use crate::config::{Hq, Job};
use crate::mapping::ChildTable;
use crate::record::{BadPage, Fields, Mark, Page, Stamp};
use crate::watermark::Clocks;

const BY_STAMP: &str = "modified asc, name asc";

/// The DocType that holds one tombstone a delete (recordings 703 and 704).
pub const DELETED_DOCUMENT: &str = "Deleted Document";

/// A page and when it was read.
#[derive(Debug)]
pub struct Fetched {
    /// The records.
    pub page: Page,
    /// How many records, or records of how many names, were asked for.
    pub asked: usize,
    /// When the answer came.
    pub read: Clocks,
    /// How it came.
    pub came: Came,
    /// Whether it was asked for before the page before it had come.
    pub is_ahead: bool,
}

/// The HQ of this outlet.
#[derive(Debug)]
pub struct Frappe {
    client: Client,
    clock: Clock,
    child_doctypes: Mutex<HashMap<(String, String), String>>,
}

impl Frappe {
    /// The HQ of the configuration; connects to nothing yet.
    ///
    /// # Errors
    /// See [`Client::new`].
    pub fn new(hq: &Hq, site: &str, clock: Clock) -> Result<Self, Error> {
        let client = Client::new(hq, site, clock.clone())?;
        Ok(Self { client, clock, child_doctypes: Mutex::default() })
    }

    /// As [`Frappe::new`], in the place of another: what HQ has asked for goes on holding, as far as it is the same HQ.
    ///
    /// # Errors
    /// See [`Client::new`].
    pub fn after(other: &Self, hq: &Hq, site: &str) -> Result<Self, Error> {
        let client = Client::after(&other.client, hq, site)?;
        Ok(Self { client, clock: other.clock.clone(), child_doctypes: Mutex::default() })
    }

    /// Whole records that match the job's filters, after `from` in HQ's order.
    ///
    /// # Errors
    /// All of [`Error`].
    pub async fn page(
        &self,
        job: &Job,
        from: Option<&Mark>,
        size: &mut PageSize,
        meter: &Meter,
    ) -> Result<Fetched, Error> {
        let fields = job.mapping.fields();
        let query = Query { filters: job.filters.clone(), ..list(&job.doctype, fields.names()) };
        #[cfg(debug_assertions)]
        if breakage::is(Breakage::OffsetPaging) {
            return self.by_offset(query, from, fields, size, meter).await;
        }
        self.keyset(query, "modified", from, fields, size, meter).await
    }

    /// `name` and `modified` of the first record after `from` that matches the job's filters.
    ///
    /// # Errors
    /// All of [`Error`].
    pub async fn mark_after(&self, job: &Job, from: Option<&Mark>, meter: &Meter) -> Result<Fetched, Error> {
        let fields = Fields::new([]);
        let query = Query { filters: job.filters.clone(), ..list(&job.doctype, fields.names()) };
        self.keyset(query, "modified", from, &fields, &mut PageSize::fixed(1), meter).await
    }

    /// Whole records without a `modified` (loaded by SQL), after `name` in HQ's order. They match no filter on
    /// `modified` and sort before all others (recordings 412 and 413). Their marks are [`Stamp::never`].
    ///
    /// # Errors
    /// All of [`Error`].
    pub async fn unstamped(&self, job: &Job, name: &str, size: &mut PageSize, meter: &Meter) -> Result<Fetched, Error> {
        let fields = job.mapping.fields();
        let mut filters = job.filters.clone();
        filters.push(json!(["modified", "is", "not set"]));
        if !name.is_empty() {
            filters.push(json!(["name", ">", name]));
        }
        let query = Query { filters, order_by: "name asc", ..list(&job.doctype, fields.names()) };
        self.ask(&|limit| (Query { limit, ..query.clone() }, limit), fields, &in_any_order, size, meter)
            .await
    }

    /// `name` and `modified` of every record after `from`, or also of that one, whether or not it matches the job's
    /// filters.
    ///
    /// # Errors
    /// All of [`Error`].
    pub async fn changes(
        &self,
        job: &Job,
        from: Option<&Mark>,
        is_with: bool,
        size: &mut PageSize,
        meter: &Meter,
    ) -> Result<Fetched, Error> {
        let fields = Fields::new([]);
        let query = Query { is_with, ..list(&job.doctype, fields.names()) };
        self.keyset(query, "modified", from, &fields, size, meter).await
    }

    /// The whole records of the first of these names, as many as `size` allows, as far as they match the job's filters,
    /// in HQ's order. [`Fetched::asked`] tells how many names that were.
    ///
    /// `in` matches by collation (recording 206), so other records may come along; they are left out.
    ///
    /// # Errors
    /// All of [`Error`].
    pub async fn records(
        &self,
        job: &Job,
        names: &[&str],
        size: &mut PageSize,
        meter: &Meter,
    ) -> Result<Fetched, Error> {
        let fields = job.mapping.fields();
        let query = |size| {
            let some = first(names, size);
            let mut filters = job.filters.clone();
            filters.push(json!(["name", "in", some]));
            (Query { filters, ..list(&job.doctype, fields.names()) }, some.len())
        };
        self.ask(&query, fields, &in_any_order, size, meter).await
    }

    /// The child rows of the first of these parents, as many as `size` allows, ordered by parent and `idx`.
    /// [`Fetched::asked`] tells how many parents that were.
    ///
    /// # Errors
    /// All of [`Error`].
    pub async fn children(
        &self,
        job: &Job,
        child_doctype: &str,
        child: &ChildTable,
        parents: &[&str],
        size: &mut PageSize,
        meter: &Meter,
    ) -> Result<Fetched, Error> {
        let query = |size| {
            let some = first(parents, size);
            let filters = vec![
                json!(["parent", "in", some]),
                // `parent` checks only the permission; rows of other parents' types would come too (recording 530a).
                json!(["parenttype", "=", job.doctype]),
                json!(["parentfield", "=", child.field]),
            ];
            let query = Query {
                parent: Some(&job.doctype),
                filters,
                order_by: "parent asc, idx asc, name asc",
                ..list(child_doctype, child.fields.names())
            };
            (query, some.len())
        };
        self.ask(&query, &child.fields, &in_any_order, size, meter).await
    }

    /// The mark of the newest record of a DocType that matches `filters`, stamped at or before `upto`.
    ///
    /// # Errors
    /// All of [`Error`].
    pub async fn newest(
        &self,
        doctype: &str,
        filters: &[Value],
        stamp: &str,
        upto: Option<&Stamp>,
        meter: &Meter,
    ) -> Result<(Option<Mark>, Fetched), Error> {
        let fields = Fields::stamped_by(stamp, []);
        let order_by = format!("{stamp} desc, name desc");
        // Records loaded by SQL may have no stamp; they match no filter on it (recording 412).
        let mut filters = filters.to_vec();
        filters.push(json!([stamp, ">=", Stamp::never().as_str()]));
        filters.extend(upto.map(|upto| json!([stamp, "<=", upto.as_str()])));
        let query = Query { order_by: &order_by, limit: 1, filters, ..list(doctype, fields.names()) };
        let fetched = self.ask_once(query, &fields, meter).await?;
        Ok((fetched.page.marks().first().cloned(), fetched))
    }

    /// Tombstones of these DocTypes after `from`, ordered by `(creation, name)` (recording 732). The page's fields
    /// are `name`, `creation`, `deleted_doctype`, `deleted_name`.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where the user is no System Manager (recording 705); all of [`Error`].
    pub async fn tombstones(
        &self,
        doctypes: &[&str],
        from: Option<&Mark>,
        limit: usize,
        meter: &Meter,
    ) -> Result<Fetched, Error> {
        let fields = Fields::stamped_by("creation", ["deleted_doctype".to_owned(), "deleted_name".to_owned()]);
        let query = Query {
            filters: vec![json!(["deleted_doctype", "in", doctypes])],
            order_by: "creation asc, name asc",
            ..list(DELETED_DOCUMENT, fields.names())
        };
        self.keyset(query, "creation", from, &fields, &mut PageSize::fixed(limit), meter).await
    }

    /// Which of these names HQ has a record of, to the byte.
    ///
    /// # Errors
    /// All of [`Error`].
    pub async fn living(&self, doctype: &str, names: &[&str], meter: &Meter) -> Result<HashSet<String>, Error> {
        let fields = Fields::new([]);
        let query = Query { filters: vec![json!(["name", "in", names])], ..list(doctype, fields.names()) };
        let page = self.ask_once(query, &fields, meter).await?.page;
        Ok(page.marks().iter().map(|mark| mark.name.clone()).collect())
    }

    /// The user the credentials belong to.
    ///
    /// # Errors
    /// All of [`Error`].
    pub async fn user(&self, meter: &Meter) -> Result<String, Error> {
        let answer = self
            .get("/api/method/frappe.auth.get_logged_user", "method frappe.auth.get_logged_user", meter)
            .await?;
        decode::value(&answer.body)
    }

    /// The zone HQ writes its stamps in, by its own word, and both clocks (recording 410).
    ///
    /// # Errors
    /// All of [`Error`].
    pub async fn time_zone(&self, meter: &Meter) -> Result<(String, Clocks), Error> {
        #[derive(Deserialize)]
        struct Zone {
            time_zone: String,
        }
        let answer = self
            .get("/api/method/frappe.client.get_time_zone", "method frappe.client.get_time_zone", meter)
            .await?;
        let zone: Zone = decode::value(&answer.body)?;
        Ok((zone.time_zone, self.read(answer.date)))
    }

    async fn get(&self, path: &str, what: &str, meter: &Meter) -> Result<Answer, Error> {
        let request = Request { path: path.to_owned(), body: None, what: what.to_owned() };
        self.client.send(&request, meter).await
    }

    /// A page after `from`. One that is not in the order asked for, or begins before `from`, would lead the cursor
    /// astray, so it is refused: a server or cache that ignores part of the query is not to be read on from.
    async fn keyset(
        &self,
        query: Query<'_>,
        stamp: &str,
        from: Option<&Mark>,
        fields: &Fields,
        size: &mut PageSize,
        meter: &Meter,
    ) -> Result<Fetched, Error> {
        let query = query.after(stamp, from);
        // A query of its own limit is bounded by that too.
        let limited = |size| if query.limit == 0 { size } else { query.limit.min(size) };
        let asking = |size| (Query { limit: limited(size), ..query.clone() }, limited(size));
        self.ask(&asking, fields, &|page| in_order(page, from), size, meter).await
    }

    /// The moment of an answer. Without a `Date` HQ's clock is taken to agree with the outlet's.
    fn read(&self, date: Option<DateTime<Utc>>) -> Clocks {
        let outlet = self.clock.now();
        Clocks { outlet, hq: date.unwrap_or(outlet) }
    }

    /// The page of an answer, if it passes `check`.
    fn fetched(
        &self,
        answer: Answer,
        asked: usize,
        fields: &Fields,
        check: &impl Fn(&Page) -> Result<(), Error>,
    ) -> Result<Fetched, Error> {
        let page = decode::page(&answer.body, fields)?;
        check(&page)?;
        let Answer { took, by_hq, on_line, .. } = answer;
        let patience = self.client.patience();
        let is_far = self.way().is_some_and(|way| way >= LONG);
        let came = Came { asked, rows: page.len(), bytes: answer.body.len(), took, by_hq, on_line, is_far, patience };
        Ok(Fetched { page, asked, read: self.read(answer.date), came, is_ahead: false })
    }

    /// Whether HQ's time budget, where it tells of one, has room for so many requests at once.
    #[must_use]
    pub fn has_room_for(&self, requests: u32) -> bool {
        self.client.has_room_for(requests)
    }

    /// How long a request and an answer of no length take, as far as it is known.
    #[must_use]
    pub fn way(&self) -> Option<Duration> {
        self.client.way()
    }

    async fn ask_once(&self, query: Query<'_>, fields: &Fields, meter: &Meter) -> Result<Fetched, Error> {
        let asked = query.limit;
        self.ask(&|_size| (query.clone(), asked), fields, &in_any_order, &mut PageSize::fixed(1), meter)
            .await
    }

    /// Asks what `query` makes of a size, which is also how many records or names that asks for, and takes the page that
    /// passes `check`.
    async fn ask<'q>(
        &self,
        query: &impl Fn(usize) -> (Query<'q>, usize),
        fields: &Fields,
        check: &impl Fn(&Page) -> Result<(), Error>,
        size: &mut PageSize,
        meter: &Meter,
    ) -> Result<Fetched, Error> {
        let read = |answer: Answer, size| self.fetched(answer, query(size).1, fields, check);
        match self.client.ask(size, |size| query(size).0.request(), read, meter).await {
            Ok(fetched) => {
                size.came(&fetched.came);
                Ok(fetched)
            }
            // Arrays do not say which field is missing; objects do.
            Err(error @ Error::Page(BadPage::Width { .. })) => {
                let named = Query { is_compact: false, limit: 1, ..query(1).0 };
                let answer = self.client.send(&named.request(), meter).await?;
                decode::page(&answer.body, fields)?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether a page after `from` is in the order asked for.
fn in_order(page: &Page, from: Option<&Mark>) -> Result<(), Error> {
    let stamps = || page.marks().iter().map(|mark| &mark.modified);
    if stamps().is_sorted() && from.zip(stamps().next()).is_none_or(|(from, first)| *first >= from.modified) {
        return Ok(());
    }
    let from = from.map_or_else(|| "the beginning".to_owned(), |from| from.modified.to_string());
    Err(BadPage::Shape(format!("the list after {from} is not in the order asked for")).into())
}

fn in_any_order(_page: &Page) -> Result<(), Error> {
    Ok(())
}

fn first<'n, 's>(names: &'s [&'n str], size: usize) -> &'s [&'n str] {
    names.get(..size).unwrap_or(names)
}

fn list<'a>(doctype: &'a str, fields: &'a [String]) -> Query<'a> {
    Query {
        doctype,
        parent: None,
        fields,
        filters: Vec::<Value>::new(),
        or_filters: Vec::new(),
        order_by: BY_STAMP,
        start: 0,
        limit: 0,
        is_compact: true,
        is_with: false,
    }
}
