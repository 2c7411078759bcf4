//! What HQ sent, decoded but not yet judged: stamps, marks, and pages of records.
//!
//! A page keeps HQ's answer as one text and remembers where each value lies in it, so a value is copied only when
//! the mapping turns it into a cell. This module knows nothing of HTTP, of mappings or of databases.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize, de};
use serde_json::value::RawValue;

/// A moment as HQ prints it: wall time of HQ's zone, without a zone marker, kept as the text HQ sent.
///
/// HQ leaves the fraction out when it is zero (recording 223); both spellings order as the same moment.
#[derive(Clone)]
pub struct Stamp {
    text: Box<str>,
    moment: NaiveDateTime,
}

/// The text is not a moment as HQ prints one; sent back as a filter it would match the whole table (recording 217).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a timestamp like \"2024-05-05 10:00:00.000001\"")]
pub struct BadStamp(pub String);

impl Stamp {
    /// Reads `YYYY-MM-DD HH:MM:SS[.ffffff]` (or with a `T`); at most six digits of fraction.
    ///
    /// # Errors
    /// Anything else, a zone suffix included: HQ would ignore it in silence (recordings 215 and 216).
    pub fn parse(text: &str) -> Result<Self, BadStamp> {
        let bad = || BadStamp(text.chars().take(60).collect());
        let fraction = text.get(19..).unwrap_or_default();
        let is_plain = text.is_ascii()
            && (fraction.is_empty()
                || (fraction.starts_with('.')
                    && (2..=7).contains(&fraction.len())
                    && fraction.bytes().skip(1).all(|b| b.is_ascii_digit())));
        let whole = text.get(..19).filter(|_| is_plain).ok_or_else(bad)?;
        let format = if whole.as_bytes().get(10) == Some(&b'T') { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        let moment = NaiveDateTime::parse_from_str(whole, format).ok().ok_or_else(bad)?;
        let micros = if fraction.is_empty() {
            0
        } else {
            format!("{:0<6}", fraction.trim_start_matches('.')).parse::<i64>().ok().ok_or_else(bad)?
        };
        let moment = moment.checked_add_signed(chrono::Duration::microseconds(micros)).ok_or_else(bad)?;
        Ok(Self { text: text.into(), moment })
    }

    /// The stamp of a moment on HQ's wall clock, printed as HQ prints it.
    #[must_use]
    pub fn at(moment: NaiveDateTime) -> Self {
        let text = if moment.and_utc().timestamp_subsec_micros() == 0 {
            moment.format("%Y-%m-%d %H:%M:%S").to_string()
        } else {
            moment.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
        };
        Self { text: text.into(), moment }
    }

    /// The text as HQ sent it; what is sent back to HQ.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The moment on HQ's wall clock.
    #[must_use]
    pub fn moment(&self) -> NaiveDateTime {
        self.moment
    }
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Self) -> bool {
        self.moment == other.moment
    }
}
impl Eq for Stamp {}
impl PartialOrd for Stamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Stamp {
    fn cmp(&self, other: &Self) -> Ordering {
        self.moment.cmp(&other.moment)
    }
}
impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl Serialize for Stamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// A place in HQ's order: `(modified, name)`.
///
/// Names have no order here on purpose: HQ orders them by its database's collation (recording 201), so two marks
/// are never compared by name on the outlet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// HQ's `modified`.
    pub modified: Stamp,
    /// HQ's `name`; empty where only the stamp matters (everything of that stamp still lies ahead).
    pub name: String,
}

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
    /// A record has no usable `modified` or `name`.
    #[error("record {name:?}: {reason}")]
    Record {
        /// The record's name, as far as it could be read.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// One row of a list as HQ sends it: an object, or an array in the order of the request (recording 111).
enum RawRow<'a> {
    Array(Vec<&'a RawValue>),
    Object(Vec<(Cow<'a, str>, &'a RawValue)>),
}

impl<'de> Deserialize<'de> for RawRow<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowVisitor;
        impl<'de> de::Visitor<'de> for RowVisitor {
            type Value = RawRow<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::with_capacity(seq.size_hint().unwrap_or(16));
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(RawRow::Array(values))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::with_capacity(16);
                while let Some(entry) = map.next_entry()? {
                    values.push(entry);
                }
                Ok(RawRow::Object(values))
            }
        }
        deserializer.deserialize_any(RowVisitor)
    }
}

impl Page {
    /// Reads the JSON list `body`, whose rows hold `fields`.
    ///
    /// # Errors
    /// A shape that is not a list of records, a field that is missing, or a record without `name` or `modified`.
    pub fn decode(body: Arc<str>, fields: &Fields) -> Result<Self, BadPage> {
        let mut page = Self { fields: fields.clone(), body: Arc::clone(&body), cells: Vec::new(), marks: Vec::new() };
        let rows: Vec<RawRow<'_>> = serde_json::from_str(&body).map_err(|error| BadPage::Shape(error.to_string()))?;
        page.cells.reserve_exact(rows.len() * fields.names().len());
        page.marks.reserve_exact(rows.len());
        for row in rows {
            page.push(&body, row)?;
        }
        Ok(page)
    }

    fn push(&mut self, body: &str, row: RawRow<'_>) -> Result<(), BadPage> {
        let start = self.cells.len();
        let names = self.fields.names();
        match row {
            RawRow::Array(values) => {
                if values.len() != names.len() {
                    return Err(BadPage::Width { asked: names.len(), got: values.len() });
                }
                self.cells.extend(values.iter().map(|value| place(body, value)));
            }
            RawRow::Object(values) => {
                let mut missing = Vec::new();
                for name in names {
                    match values.iter().find(|(key, _)| key == name) {
                        Some((_, value)) => self.cells.push(place(body, value)),
                        None => missing.push(name.clone()),
                    }
                }
                if !missing.is_empty() {
                    return Err(BadPage::Missing(missing));
                }
            }
        }
        let mark = self.mark_of(start)?;
        self.marks.push(mark);
        Ok(())
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
            Scalar::Null | Scalar::Bool(_) | Scalar::Number(_) | Scalar::Tree(_) => {
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

    /// The whole record as a JSON object, for quarantine and messages.
    #[must_use]
    pub fn payload(&self) -> String {
        let fields = self.page.fields.names().iter().enumerate();
        let pairs = fields.map(|(at, name)| format!("{}:{}", serde_json::Value::from(name.as_str()), self.raw(at)));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
    }
}

/// One JSON value, read no further than its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as the text HQ sent: money is never read through a binary float.
    Number(&'a str),
    /// A string, unescaped.
    Text(Cow<'a, str>),
    /// A list or an object, as JSON text.
    Tree(&'a str),
}

impl<'a> Scalar<'a> {
    /// Reads a valid JSON value.
    #[must_use]
    pub fn read(raw: &'a str) -> Self {
        match raw.as_bytes().first() {
            Some(b'"') => match raw.get(1..raw.len().saturating_sub(1)) {
                Some(inner) if !inner.contains('\\') => Self::Text(Cow::Borrowed(inner)),
                _ => serde_json::from_str(raw).map_or(Self::Tree(raw), |text: String| Self::Text(Cow::Owned(text))),
            },
            Some(b'{' | b'[') => Self::Tree(raw),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') | None => Self::Null,
            Some(_) => Self::Number(raw),
        }
    }
}

fn place(body: &str, value: &RawValue) -> Range<u32> {
    let text = value.get();
    let start = text.as_ptr() as usize - body.as_ptr() as usize;
    // A body is bounded far below 4 GiB by the client (`source::client::MAX_BODY`).
    let bound = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    bound(start)..bound(start + text.len())
}

fn short(raw: &str) -> String {
    raw.chars().take(60).collect()
}
