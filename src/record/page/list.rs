//! HQ's JSON read in one go: where each value of each row lies in the answer.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::{Deserializer, de};
use serde_json::value::RawValue;

use super::{BadPage, Page};

/// Reads a list row by row, so that nothing is held beside the page.
pub(super) struct List<'p> {
    pub(super) page: &'p mut Page,
    pub(super) body: &'p str,
    /// What was wrong with a row; later rows are read over.
    pub(super) failed: &'p mut Option<BadPage>,
}

impl<'de> de::DeserializeSeed<'de> for List<'_> {
    /// Whether there was a list, not null.
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> de::Visitor<'de> for List<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_none<E: de::Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(mut self, mut seq: A) -> Result<bool, A::Error> {
        while seq.next_element_seed(Row(&mut self))?.is_some() {}
        Ok(true)
    }
}

/// One row of a list as HQ sends it: an object, or an array in the order of the request (recording 111).
struct Row<'l, 'p>(&'l mut List<'p>);

impl<'de> de::DeserializeSeed<'de> for Row<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for Row<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self(list) = self;
        let start = list.page.cells.len();
        while let Some(value) = seq.next_element::<&RawValue>()? {
            list.page.cells.push(place(list.body, value));
        }
        let (asked, got) = (list.page.fields.names().len(), list.page.cells.len() - start);
        let row = if got == asked { Ok(()) } else { Err(BadPage::Width { asked, got }) };
        list.end_row(start, row);
        Ok(())
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(list) = self;
        let mut values: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
        while let Some(entry) = map.next_entry()? {
            values.push(entry);
        }
        let start = list.page.cells.len();
        let mut missing = Vec::new();
        for name in list.page.fields.names() {
            match values.iter().find(|(key, _)| key == name) {
                Some((_, value)) => list.page.cells.push(place(list.body, value)),
                None => missing.push(name.clone()),
            }
        }
        let row = if missing.is_empty() { Ok(()) } else { Err(BadPage::Missing(missing)) };
        list.end_row(start, row);
        Ok(())
    }
}

impl List<'_> {
    /// Keeps the row whose cells begin at `start`, if it is one and none was wrong before it.
    fn end_row(&mut self, start: usize, row: Result<(), BadPage>) {
        let mark = row.and_then(|()| self.page.mark_of(start));
        match mark {
            Ok(mark) if self.failed.is_none() => self.page.marks.push(mark),
            Ok(_) => self.page.cells.truncate(start),
            Err(bad) => {
                self.page.cells.truncate(start);
                self.failed.get_or_insert(bad);
            }
        }
    }
}

/// An object of which one member is the list.
pub(super) struct Envelope<'p, 'n> {
    pub(super) members: &'n [&'static str],
    pub(super) list: List<'p>,
    /// Whether the list was met.
    pub(super) is_met: &'n mut bool,
}

impl<'de> de::Visitor<'de> for Envelope<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let Self { members, list: List { page, body, failed }, is_met } = self;
        let mut is_there = false;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match members.iter().find(|member| **member == key) {
                Some(member) if *is_met => return Err(de::Error::duplicate_field(member)),
                Some(_) => {
                    *is_met = true;
                    is_there = map.next_value_seed(List { page: &mut *page, body, failed: &mut *failed })?;
                }
                None => map.next_value::<de::IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(is_there)
    }
}

fn place(body: &str, value: &RawValue) -> Range<u32> {
    let text = value.get();
    let start = text.as_ptr() as usize - body.as_ptr() as usize;
    // A body is bounded far below 4 GiB by the client (`source::client::MAX_BODY`).
    let bound = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    bound(start)..bound(start + text.len())
}
