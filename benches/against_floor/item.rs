//! One item as HQ lists it, read into the types it has, without a tree in between and without a copy where JSON needs
//! none. How the floor reads a page, and how a page is read that rows are checked against.

use std::borrow::Cow;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::http::encode;

/// What is asked for, in the order of [`Item`]: a list as arrays has no other names.
pub(crate) const FIELDS: [&str; 13] = [
    "name",
    "title",
    "category",
    "description",
    "colour",
    "rate",
    "cost",
    "weight",
    "shelf_life",
    "disabled",
    "launched_on",
    "counted_at",
    "modified",
];

/// An item, from an array or an object.
#[derive(Debug, Deserialize)]
pub(crate) struct Item<'a> {
    #[serde(borrow, rename = "name")]
    pub(crate) code: Text<'a>,
    pub(crate) title: Text<'a>,
    pub(crate) category: Text<'a>,
    pub(crate) description: Text<'a>,
    pub(crate) colour: Option<Text<'a>>,
    /// As HQ wrote it: a float would change it.
    pub(crate) rate: &'a RawValue,
    pub(crate) cost: &'a RawValue,
    pub(crate) weight: f64,
    pub(crate) shelf_life: i64,
    pub(crate) disabled: u8,
    pub(crate) launched_on: &'a str,
    pub(crate) counted_at: &'a str,
    pub(crate) modified: &'a str,
}

impl<'a> Item<'a> {
    /// Of the text it was read from, what is mapped: all but the `modified` at its end.
    pub(crate) fn values(&self, text: &'a str) -> &'a str {
        let end = text.len().saturating_sub(self.modified.len() + r#","""]"#.len());
        text.get(..end).unwrap_or(text)
    }
}

/// A child row, in the order of [`CHILD_FIELDS`].
#[derive(Debug, Deserialize)]
pub(crate) struct Barcode<'a> {
    #[serde(borrow)]
    pub(crate) parent: Text<'a>,
    pub(crate) idx: i64,
    pub(crate) barcode: Text<'a>,
    pub(crate) packs: i64,
}

/// What is asked for of a child row.
pub(crate) const CHILD_FIELDS: [&str; 4] = ["parent", "idx", "barcode", "packs"];

/// The question for the child rows of some items, or of all.
pub(crate) fn children_of(doctype: &str, parents: Option<&[&str]>) -> String {
    let mut filters = vec![json!(["parenttype", "=", doctype]), json!(["parentfield", "=", "barcodes"])];
    filters.extend(parents.map(|parents| json!(["parent", "in", parents])));
    let question = json!({
        "doctype": "Bench Barcode", "parent": doctype, "fields": CHILD_FIELDS, "filters": filters,
        "order_by": "parent asc, idx asc, name asc", "limit_page_length": 0, "as_dict": false,
    });
    question.to_string()
}

/// Where that question is asked.
pub(crate) const LIST: &str = "/api/method/frappe.client.get_list";

/// A text, borrowed where it holds no escape.
#[derive(Debug, Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Where a page begins: after this stamp and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) modified: String,
    pub(crate) name: String,
}

/// The path of the page after a cursor.
pub(crate) fn path(doctype: &str, after: Option<&Cursor>, size: usize) -> String {
    let mut path = format!("/api/resource/{}?fields={}", encode(doctype), encode(&json!(FIELDS).to_string()));
    if let Some(Cursor { modified, name }) = after {
        let filters = json!([["modified", ">=", modified]]).to_string();
        let or_filters = json!([["modified", ">", modified], ["name", ">", name]]).to_string();
        path.push_str(&format!("&filters={}&or_filters={}", encode(&filters), encode(&or_filters)));
    }
    path.push_str(&format!("&order_by=modified%20asc%2C%20name%20asc&limit_page_length={size}&as_dict=false"));
    path
}

/// The array of rows in an answer's envelope, without its outer brackets.
pub(crate) fn rows(body: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(body)?;
    let inner = text.strip_prefix("{\"data\":[").or_else(|| text.strip_prefix("{\"message\":["));
    inner.and_then(|inner| inner.strip_suffix("]}")).context("HQ answered no list")
}

/// Calls `take` for each row of a list, with the text it was read from; gives how many there were.
pub(crate) fn each<'a, T: Deserialize<'a>>(
    rows: &'a str,
    mut take: impl FnMut(T, &'a str) -> Result<()>,
) -> Result<usize> {
    let (mut rest, mut count) = (rows, 0);
    while !rest.is_empty() {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<T>();
        let row = values.next().context("a row was expected")??;
        let (text, after) = rest.split_at(values.byte_offset());
        take(row, text)?;
        count += 1;
        rest = match after.strip_prefix(',') {
            Some(after) => after,
            None => {
                ensure!(after.is_empty(), "rows are separated by commas");
                after
            }
        };
    }
    Ok(count)
}

/// The cursor after a list, found from its end: who fetches needs not read what the writer will.
pub(crate) fn last(rows: &str) -> Option<Cursor> {
    let mut end = rows.len();
    loop {
        let at = rows.get(..end)?.rfind("],[");
        let row = rows.get(at.map_or(0, |at| at + 2)..)?;
        match serde_json::from_str::<Item<'_>>(row) {
            Ok(item) => {
                return Some(Cursor { modified: item.modified.to_owned(), name: item.code.0.into_owned() });
            }
            // The brackets stood within a text.
            Err(_) => end = at?,
        }
    }
}

/// HQ's wall time, which is India's, in UTC.
pub(crate) fn to_utc(local: &str, into: &mut String) -> Result<()> {
    let two = |range: std::ops::Range<usize>| local.get(range).and_then(|digits| digits.parse::<i32>().ok());
    let minutes = two(11..13).zip(two(14..16)).map(|(hours, minutes)| hours * 60 + minutes - (5 * 60 + 30));
    let minutes = minutes.context("HQ sent no time")?;
    let (date, seconds) = (local.get(..10).unwrap_or_default(), local.get(16..).unwrap_or_default());
    into.clear();
    if minutes < 0 {
        let day = chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d")?;
        write!(into, "{}", day.pred_opt().context("a day before all others")?)?;
    } else {
        into.push_str(date);
    }
    let minutes = minutes.rem_euclid(24 * 60);
    Ok(write!(into, " {:02}:{:02}{seconds}", minutes / 60, minutes % 60)?)
}
