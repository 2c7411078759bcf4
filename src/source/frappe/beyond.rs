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

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::record::{Fields, Page, Stamp};
    use crate::source::page_size::Came;
    use crate::watermark::Clocks;

    /// Two seconds, A to C in the first.
    const STAMPS: [&str; 2] = ["2024-05-05 10:00:00", "2024-05-05 10:00:01"];

    fn mark(name: char) -> Mark {
        let stamp = STAMPS[usize::from(name > 'C')];
        Mark { modified: Stamp::parse(stamp).unwrap(), name: name.to_string() }
    }

    /// What came of `asked` records and the one before them.
    fn came(names: &str, asked: usize) -> Fetched {
        let row = |name| format!("[\"{}\", \"{}\"]", mark(name).name, mark(name).modified);
        let body = format!("[{}]", names.chars().map(row).collect::<Vec<_>>().join(","));
        let page = Page::decode(body.as_str().into(), &Fields::new([])).unwrap();
        let read = Clocks { outlet: DateTime::UNIX_EPOCH, hq: DateTime::UNIX_EPOCH };
        let came = Came { rows: page.len(), ..Came::of(asked + 1) };
        Fetched { page, asked: asked + 1, read, came, is_ahead: false }
    }

    fn proven(names: &str, last: char) -> Option<(String, usize)> {
        let fetched = came(names, 3).after(&mark(last))?;
        assert_eq!((fetched.came.asked, fetched.came.rows), (3, fetched.page.len()));
        assert!(fetched.is_ahead);
        Some((fetched.page.marks().iter().map(|mark| mark.name.as_str()).collect(), fetched.asked))
    }

    #[test]
    fn a_page_that_begins_with_the_last_record_is_what_follows_it() {
        assert_eq!(proven("BCDE", 'B'), Some(("CDE".to_owned(), 3)));
        assert_eq!(proven("BC", 'B'), Some(("C".to_owned(), 3)), "the end of the list");
        assert_eq!(proven("B", 'B'), Some((String::new(), 3)));
    }

    #[test]
    fn a_page_that_begins_with_another_proves_nothing() {
        assert_eq!(proven("CDE", 'B'), None, "one before it went or was saved again");
        assert_eq!(proven("ABCD", 'B'), None, "one was inserted before it, or the place was not heeded");
        assert_eq!(proven("", 'B'), None, "an answer that is empty by a fault");
        assert_eq!(proven("BBCD", 'B'), None, "the list repeats records");
    }

    #[test]
    fn the_same_name_of_another_stamp_is_another_record() {
        let saved_again = Mark { modified: Stamp::parse(STAMPS[1]).unwrap(), name: "B".to_owned() };
        assert!(came("BCDE", 3).after(&saved_again).is_none());
    }
}
