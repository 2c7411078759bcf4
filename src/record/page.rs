//! The records of one answer.
//!
//! A page keeps HQ's answer as one text and remembers where each value lies in it, so a value is copied only when the
//! mapping turns it into a cell.

mod list;

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserializer as _;

use self::list::{Envelope, List};
use super::{Mark, Scalar, Stamp};

/// The HQ fields asked for, in the order of the request; `name` and the stamp that orders the list come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields(Arc<[String]>);

impl Fields {
    /// `name`, `modified`, then each of `wanted` once, in the order given.
    pub fn new(wanted: impl IntoIterator<Item = String>) -> Self {
        Self::stamped_by("modified", wanted)
    }

    /// As [`Fields::new`], for a list ordered by another stamp (`Deleted Document` goes by `creation`, recording 732).
    pub fn stamped_by(stamp: &str, wanted: impl IntoIterator<Item = String>) -> Self {
        let mut all = vec!["name".to_owned(), stamp.to_owned()];
        for field in wanted {
            if !all.contains(&field) {
                all.push(field);
            }
        }
        Self(all.into())
    }

    /// Where `field` stands in the request.
    #[must_use]
    pub fn position(&self, field: &str) -> Option<usize> {
        self.0.iter().position(|f| f == field)
    }

    /// The field names in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// The records of one request.
#[derive(Debug, Clone)]
pub struct Page {
    fields: Fields,
    body: Arc<str>,
    cells: Vec<Range<u32>>,
    marks: Vec<Mark>,
}

/// HQ's answer cannot be read as records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPage {
    /// The job's fields are not all there: renamed, deleted, or no longer readable (recording 813).
    #[error("HQ's answer lacks the field{} {}", if .0.len() == 1 { "" } else { "s" }, .0.join(", "))]
    Missing(Vec<String>),
    /// Rows came as arrays with another number of values than fields asked for; which one is missing is not known.
    #[error("HQ sent {got} values a record where {asked} fields were asked for")]
    Width {
        /// How many fields were asked for.
        asked: usize,
        /// How many values came.
        got: usize,
    },
    /// The JSON has another shape than a list of records.
    #[error("HQ's answer is not a list of records: {0}")]
    Shape(String),
    /// The answer is no JSON, or breaks off.
    #[error("HQ's answer is damaged: {0}")]
    Damaged(String),
    /// A record has no usable `modified` or `name`.
    #[error("record {name:?}: {reason}")]
    Record {
        /// The record's name, as far as it could be read.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Page {
    /// A page of no records.
    #[must_use]
    pub fn empty(fields: &Fields) -> Self {
        Self { fields: fields.clone(), body: Arc::from(""), cells: Vec::new(), marks: Vec::new() }
    }

    /// Reads the JSON list `body`, whose rows hold `fields`.
    ///
    /// # Errors
    /// A shape that is not a list of records, a field that is missing, or a record without a usable `name` or stamp.
    pub fn decode(body: Arc<str>, fields: &Fields) -> Result<Self, BadPage> {
        let (mut page, mut failed) = (Self { body: Arc::clone(&body), ..Self::empty(fields) }, None);
        let mut reader = serde_json::Deserializer::from_str(&body);
        let list = List { page: &mut page, body: &body, failed: &mut failed };
        let read = reader.deserialize_seq(list).and_then(|_| reader.end());
        match (read, failed) {
            (_, Some(failed)) => Err(failed),
            (Err(error), None) => Err(BadPage::Shape(error.to_string())),
            (Ok(()), None) => Ok(page),
        }
    }

    /// As [`Page::decode`], for a list that is the value of one of `members` in the object `body`. Read in one go.
    ///
    /// # Errors
    /// As [`Page::decode`]; [`BadPage::Damaged`] for what is no such object.
    pub fn decode_member(body: Arc<str>, members: &[&'static str], fields: &Fields) -> Result<Self, BadPage> {
        let (mut page, mut failed) = (Self { body: Arc::clone(&body), ..Self::empty(fields) }, None);
        let mut is_met = false;
        let mut reader = serde_json::Deserializer::from_str(&body);
        let list = List { page: &mut page, body: &body, failed: &mut failed };
        let envelope = Envelope { members, list, is_met: &mut is_met };
        let read = reader.deserialize_map(envelope).and_then(|is_there| reader.end().map(|()| is_there));
        match (read, failed) {
            // Of an answer that was cut off, no row counts.
            (Err(error), _) if !error.is_data() || !is_met => Err(BadPage::Damaged(error.to_string())),
            (_, Some(failed)) => Err(failed),
            (Err(error), None) => Err(BadPage::Shape(error.to_string())),
            (Ok(false), None) => Err(BadPage::Shape(format!("it has neither `{}`", members.join("` nor `")))),
            (Ok(true), None) => Ok(page),
        }
    }

    fn mark_of(&self, start: usize) -> Result<Mark, BadPage> {
        let bad = |name: &str, reason: String| BadPage::Record { name: name.to_owned(), reason };
        let name = match Scalar::read(self.raw(start)) {
            Scalar::Text(text) => text.into_owned(),
            // DocTypes numbered by the database print their name as a number (recording 918).
            Scalar::Number(number) => number.to_owned(),
            Scalar::Null | Scalar::Bool(_) | Scalar::Tree(_) => {
                return Err(bad("", format!("`name` is {}", short(self.raw(start)))));
            }
        };
        if name.is_empty() {
            return Err(bad("", "`name` is empty".to_owned()));
        }
        match Scalar::read(self.raw(start + 1)) {
            Scalar::Text(text) => match Stamp::parse(&text) {
                Ok(modified) => Ok(Mark { modified, name }),
                Err(error) => Err(bad(&name, format!("`modified`: {error}"))),
            },
            Scalar::Null => Ok(Mark { modified: Stamp::never(), name }),
            Scalar::Bool(_) | Scalar::Number(_) | Scalar::Tree(_) => {
                Err(bad(&name, format!("`modified` is {}", short(self.raw(start + 1)))))
            }
        }
    }

    fn raw(&self, cell: usize) -> &str {
        self.cells
            .get(cell)
            .and_then(|place| self.body.get(place.start as usize..place.end as usize))
            .unwrap_or("null")
    }

    /// This page's records and then those of `other`, which must hold the same fields.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let shift = u32::try_from(self.body.len()).unwrap_or(u32::MAX);
        let moved = other.cells.iter().map(|place| place.start.saturating_add(shift)..place.end.saturating_add(shift));
        Self {
            fields: self.fields.clone(),
            body: format!("{}{}", self.body, other.body).into(),
            cells: self.cells.iter().cloned().chain(moved).collect(),
            marks: self.marks.iter().chain(&other.marks).cloned().collect(),
        }
    }

    /// The records of these names only: HQ's `in` also finds names that are equal under its collation
    /// (recording 206).
    #[must_use]
    pub fn only(mut self, names: &[&str]) -> Self {
        let wanted: HashSet<&str> = names.iter().copied().collect();
        let is_wanted: Vec<bool> = self.marks.iter().map(|mark| wanted.contains(mark.name.as_str())).collect();
        if is_wanted.iter().all(|is_wanted| *is_wanted) {
            return self;
        }
        let width = self.fields.names().len();
        let kept = self.cells.chunks(width).zip(&is_wanted).filter(|(_, is_wanted)| **is_wanted);
        self.cells = kept.flat_map(|(cells, _)| cells.to_vec()).collect();
        let mut keep = is_wanted.into_iter();
        self.marks.retain(|_| keep.next().unwrap_or(false));
        self
    }

    /// All records but the first.
    #[must_use]
    pub fn without_first(mut self) -> Self {
        if !self.marks.is_empty() {
            self.marks.remove(0);
            self.cells.drain(..self.fields.names().len().min(self.cells.len()));
        }
        self
    }

    /// The length of the answers that the records stand in.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// How many records the page holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether the page holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// The fields every record of the page holds.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The marks of the records, in HQ's order.
    #[must_use]
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// The records, in HQ's order.
    pub fn records(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        self.marks.iter().enumerate().map(|(index, mark)| Record { page: self, mark, index })
    }

    /// The record at `index`, in HQ's order.
    #[must_use]
    pub fn record(&self, index: usize) -> Option<Record<'_>> {
        self.marks.get(index).map(|mark| Record { page: self, mark, index })
    }
}

/// One document of HQ's.
#[derive(Debug, Clone, Copy)]
pub struct Record<'p> {
    page: &'p Page,
    mark: &'p Mark,
    index: usize,
}

impl<'p> Record<'p> {
    /// HQ's `name`.
    #[must_use]
    pub fn name(&self) -> &'p str {
        &self.mark.name
    }

    /// Name and stamp.
    #[must_use]
    pub fn mark(&self) -> &'p Mark {
        self.mark
    }

    /// HQ's `modified`.
    #[must_use]
    pub fn modified(&self) -> &'p Stamp {
        &self.mark.modified
    }

    /// The value of the field at `position` of the page's [`Fields`], as JSON text.
    #[must_use]
    pub fn raw(&self, position: usize) -> &'p str {
        self.page.raw(self.index * self.page.fields.names().len() + position)
    }

    /// The value of `field` as text; empty where it is not a text or not in the page.
    #[must_use]
    pub fn text(&self, field: &str) -> Cow<'p, str> {
        let Some(position) = self.page.fields.position(field) else { return Cow::Borrowed("") };
        match Scalar::read(self.raw(position)) {
            Scalar::Text(text) => text,
            Scalar::Number(number) => Cow::Borrowed(number),
            Scalar::Null | Scalar::Bool(_) | Scalar::Tree(_) => Cow::Borrowed(""),
        }
    }

    /// A page of this record alone.
    #[must_use]
    pub fn alone(&self) -> Page {
        let width = self.page.fields.names().len();
        let start = self.index * width;
        Page {
            fields: self.page.fields.clone(),
            body: Arc::clone(&self.page.body),
            cells: self.page.cells.get(start..start + width).map(<[_]>::to_vec).unwrap_or_default(),
            marks: vec![self.mark.clone()],
        }
    }

    /// The whole record as a JSON object, for quarantine and messages.
    #[must_use]
    pub fn payload(&self) -> String {
        let fields = self.page.fields.names().iter().enumerate();
        let pairs = fields.map(|(at, name)| format!("{}:{}", serde_json::Value::from(name.as_str()), self.raw(at)));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
    }
}

fn short(raw: &str) -> String {
    raw.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &str) -> Result<Page, BadPage> {
        Page::decode(body.into(), &Fields::new(["price".to_owned()]))
    }

    #[test]
    fn arrays_and_objects_read_alike() {
        let array = decode(r#"[["A", "2024-05-05 10:00:00", 80.50]]"#).unwrap();
        let object = decode(r#"[{"price": 80.50, "x": [1], "modified": "2024-05-05 10:00:00", "name": "A"}]"#).unwrap();
        for page in [array, object] {
            let record = page.record(0).unwrap();
            assert_eq!((record.name(), record.raw(2)), ("A", "80.50"));
            assert_eq!(record.payload(), r#"{"name":"A","modified":"2024-05-05 10:00:00","price":80.50}"#);
        }
    }

    #[test]
    fn a_missing_field_is_never_null() {
        let named = decode(r#"[{"name": "A", "modified": "2024-05-05 10:00:00"}]"#).unwrap_err();
        assert_eq!(named.to_string(), "HQ's answer lacks the field price");
        let counted = decode(r#"[["A", "2024-05-05 10:00:00"]]"#).unwrap_err();
        assert_eq!(counted, BadPage::Width { asked: 3, got: 2 });
        let null = decode(r#"[["A", "2024-05-05 10:00:00", null]]"#).unwrap();
        assert_eq!(null.record(0).unwrap().raw(2), "null");
    }

    #[test]
    fn what_is_no_list_of_records_is_refused() {
        for body in
            ["{}", "null", "[1]", "[\"a\"]", "[", "[[\"A\", \"soon\", 1]]", "[[\"\", \"2024-05-05 10:00:00\", 1]]"]
        {
            assert!(decode(body).is_err(), "{body}");
        }
        let unstamped = decode("[[7, null, 1]]").unwrap();
        assert_eq!((unstamped.marks()[0].name.as_str(), &unstamped.marks()[0].modified), ("7", &Stamp::never()));
    }

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let fields = Fields::new(["price".to_owned()]);
        let read = |body: &str| Page::decode_member(body.into(), &["data", "message"], &fields);
        for body in [
            r#"{"data": [["A", "2024-05-05 10:00:00", 1]]}"#,
            r#"{"x": {"data": 1}, "message": [{"name": "A", "modified": "2024-05-05 10:00:00", "price": 1}], "y": []}"#,
        ] {
            assert_eq!(read(body).unwrap().record(0).unwrap().raw(2), "1", "{body}");
        }
        let damaged = |body: &str| matches!(read(body), Err(BadPage::Damaged(_)));
        for body in [
            r#"{"data": [["A", "2024-05-05 10:00:00", 1]"#,
            // Cut off after a row that is none.
            r#"{"data": [["A", 1], ["B""#,
            r#"{"data": []} x"#,
            "[]",
            "",
        ] {
            assert!(damaged(body), "{body}: {:?}", read(body));
        }
        for body in ["{}", r#"{"data": [], "data": []}"#, r#"{"data": null}"#, r#"{"data": 7}"#, r#"{"data": [7]}"#] {
            assert!(matches!(read(body), Err(BadPage::Shape(_))), "{body}: {:?}", read(body));
        }
        let short = read(r#"{"data": [["A", "2024-05-05 10:00:00"], ["B", "2024-05-05 10:00:00", 1]]}"#);
        assert_eq!(short.unwrap_err(), BadPage::Width { asked: 3, got: 2 });
    }

    #[test]
    fn pages_join_and_narrow_without_mixing_their_values() {
        let one = decode(r#"[["A", "2024-05-05 10:00:00", 1], ["a", "2024-05-05 10:00:00", 2]]"#).unwrap();
        let two = decode(r#"[["B", "2024-05-05 10:00:00", 3]]"#).unwrap();
        let joined = one.joined(&two).only(&["a", "B"]);
        let values: Vec<(&str, &str)> = joined.records().map(|record| (record.name(), record.raw(2))).collect();
        assert_eq!(values, [("a", "2"), ("B", "3")]);
        let rest = joined.without_first();
        assert_eq!(rest.records().map(|record| (record.name(), record.raw(2))).collect::<Vec<_>>(), [("B", "3")]);
        assert!(rest.without_first().without_first().is_empty());
    }
}
