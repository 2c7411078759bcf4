//! What a reconcile asks of HQ: names and stamps under the filters, names by the list, counts, and traces of renames.

use serde_json::{Value, json};

use super::super::client::{Meter, Request};
use super::super::error::Error;
use super::super::page_size::PageSize;
use super::query::Query;
use super::{Fetched, Frappe, decode, list};
use crate::config::Job;
use crate::record::{Fields, Mark};

/// What HQ notes on a record under its new name (recording 724).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The record it stands on.
    pub on: String,
    /// HTML in HQ's language: `renamed from <strong>OLD</strong> to <strong>NEW</strong>`.
    pub content: String,
}

impl Frappe {
    /// `name` and `modified` of the records that match the job's filters, after `from` in HQ's order.
    ///
    /// # Errors
    /// All of [`Error`].
    pub async fn listing(
        &self,
        job: &Job,
        from: Option<&Mark>,
        size: &mut PageSize,
        meter: &Meter,
    ) -> Result<Fetched, Error> {
        let fields = Fields::new([]);
        let query = Query { filters: job.filters.clone(), ..list(&job.doctype, fields.names()) };
        self.keyset(query, "modified", from, &fields, size, meter).await
    }

    /// The marks that HQ shows for these names under `filters`. `in` matches by collation (recording 206), so others
    /// may be among them.
    ///
    /// # Errors
    /// All of [`Error`].
    pub async fn shown(
        &self,
        doctype: &str,
        filters: &[Value],
        names: &[&str],
        meter: &Meter,
    ) -> Result<Vec<Mark>, Error> {
        let fields = Fields::new([]);
        let mut filters = filters.to_vec();
        filters.push(json!(["name", "in", names]));
        let query = Query { filters, ..list(doctype, fields.names()) };
        Ok(self.ask_once(query, &fields, meter).await?.page.marks().to_vec())
    }

    /// How many records HQ has that match `filters`, whether or not this user may see them: the method asks for no
    /// permission and ignores User Permissions (recordings 1604 and 1703).
    ///
    /// # Errors
    /// All of [`Error`]; another version may refuse it.
    pub async fn count(&self, doctype: &str, filters: &[Value], meter: &Meter) -> Result<u64, Error> {
        let request = Request {
            path: "/api/method/frappe.client.get_count".to_owned(),
            body: Some(json!({"doctype": doctype, "filters": filters}).to_string()),
            what: doctype.to_owned(),
        };
        decode::value(&self.client.send(&request, meter).await?.body)
    }

    /// What HQ remarked on these records when it renamed or merged them, oldest first (recordings 724 and 728).
    ///
    /// # Errors
    /// [`Error::Forbidden`] where the user may not read Comment; all of [`Error`].
    pub async fn remarks(&self, doctype: &str, names: &[&str], meter: &Meter) -> Result<Vec<Remark>, Error> {
        let fields = Fields::stamped_by("creation", ["reference_name".to_owned(), "content".to_owned()]);
        let filters = vec![
            json!(["reference_doctype", "=", doctype]),
            json!(["comment_type", "=", "Edit"]),
            json!(["reference_name", "in", names]),
        ];
        let query = Query { filters, order_by: "creation asc, name asc", ..list("Comment", fields.names()) };
        let page = self.ask_once(query, &fields, meter).await?.page;
        let remark = |record: crate::record::Record<'_>| Remark {
            on: record.text("reference_name").into_owned(),
            content: record.text("content").into_owned(),
        };
        Ok(page.records().map(remark).collect())
    }
}
