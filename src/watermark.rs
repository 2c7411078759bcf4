//! How far a job has come, and where the next run must start. Arithmetic only.
//!
//! Invariant: nothing at or below `settled` can still turn up at HQ, other than in the repeated hour of an autumn
//! night, for which [`Watermark::start`] goes back. `modified` is stamped when a transaction writes and seen when it
//! commits (recordings 406-408), so `settled` trails `seen` by the overlap.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Offset as _, TimeZone as _, Timelike as _, Utc};
use chrono_tz::Tz;

use crate::record::{Mark, Stamp};

/// What is kept of a job's (or of the deletes') progress.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watermark {
    /// The highest mark applied.
    pub seen: Option<Mark>,
    /// When the page that reached `seen` was read, on the outlet's clock.
    pub seen_at: Option<DateTime<Utc>>,
    /// The mark at or below which nothing can still turn up.
    pub settled: Option<Mark>,
    /// The claim of `settled` holds for everything committed at HQ before this moment.
    pub settled_as_of: Option<DateTime<Utc>>,
}

/// A reading of the whole DocType that is under way: the first load, or a full re-read. It survives a crash and goes
/// on from its cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// The last mark whose page was committed; `None` before the first page.
    pub cursor: Option<Mark>,
    /// HQ's newest stamp when the pass began.
    pub newest: Option<Stamp>,
    /// When the pass began.
    pub started_at: DateTime<Utc>,
    /// Compare every record with its local row, also where the ledger says that nothing changed.
    pub is_repair: bool,
}

/// All that is kept of how far a job has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// The watermark.
    pub watermark: Watermark,
    /// A whole reading under way.
    pub pass: Option<Pass>,
    /// Fingerprint of the mapping and filters in force at the last complete pass; `None` before the first.
    pub mapping: Option<i64>,
}

/// Clocks of two machines differ; transitions this far around a moment are counted in.
const CLOCK_SLACK: chrono::Duration = chrono::Duration::hours(1);

/// A stamp this far ahead of HQ's clock is still taken for the present: HQ's `Date` header has whole seconds.
const FUTURE_SLACK: chrono::Duration = chrono::Duration::minutes(1);

impl Watermark {
    /// Where the next run starts reading: `settled`, or earlier where HQ's stamps went back by an hour since.
    /// `None`: from the beginning.
    #[must_use]
    pub fn start(&self, zone: Tz, now: DateTime<Utc>) -> Option<Mark> {
        let settled = self.settled.clone()?;
        let since = self.settled_as_of.unwrap_or(now) - CLOCK_SLACK;
        let earliest = lowest_stamp_between(zone, since, now + CLOCK_SLACK);
        match earliest {
            Some(lowest) if lowest < settled.modified.moment() => {
                Some(Mark { modified: Stamp::at(lowest), name: String::new() })
            }
            Some(_) | None => Some(settled),
        }
    }

    /// The watermark after a page that ended at `mark` and was read at `read_at`. Never moves back, and never to a
    /// stamp ahead of `hq_now` (HQ's wall clock): a record stamped in the future is applied, but what is stamped
    /// until then must still be found.
    #[must_use]
    pub fn after(&self, mark: &Mark, read_at: DateTime<Utc>, hq_now: NaiveDateTime) -> Self {
        if mark.modified.moment() > hq_now + FUTURE_SLACK {
            return self.clone();
        }
        let is_higher = match &self.seen {
            // Marks of one stamp are reached in HQ's own order, so the later one is the higher one.
            Some(seen) => mark.modified >= seen.modified && mark != seen,
            None => true,
        };
        if !is_higher {
            return self.clone();
        }
        // How late a record may come counts from its stamp: more of one stamp begins no new wait.
        let is_same_stamp = self.seen.as_ref().is_some_and(|seen| seen.modified == mark.modified);
        let seen_at = if is_same_stamp { self.seen_at.or(Some(read_at)) } else { Some(read_at) };
        Self { seen: Some(mark.clone()), seen_at, ..self.clone() }
    }

    /// The watermark after a run that went through everything from its start to the end of HQ's list.
    ///
    /// `at_start` is the watermark the run began with, `started` when it began, and `newest_at_start` a stamp that HQ
    /// had given out by then: what lies `overlap` below it was committed before the run read anything. (The end of a
    /// long run would be too high: its early pages were read before.) What the run went through is settled, too, if
    /// the run started at least `overlap` after the page that reached it was read. The higher of the two counts.
    #[must_use]
    pub fn settle(
        &self,
        at_start: &Self,
        started: DateTime<Utc>,
        newest_at_start: Option<&Stamp>,
        overlap: Duration,
        zone: Tz,
    ) -> Self {
        let overlap = chrono::Duration::from_std(overlap).unwrap_or(chrono::Duration::MAX);
        let mut settled = self.clone();
        let newest = at_start.seen.as_ref().map(|seen| &seen.modified).max(newest_at_start);
        let bound = newest.min(self.seen.as_ref().map(|seen| &seen.modified));
        if let Some(below) = bound.and_then(|stamp| stamp.moment().checked_sub_signed(overlap)) {
            let mark = Mark { modified: Stamp::at(below), name: String::new() };
            settled.raise(mark, earliest_instant(zone, below));
        }
        if let (Some(reached), Some(read_at)) = (&at_start.seen, at_start.seen_at) {
            let as_of = started.checked_sub_signed(overlap);
            if let Some(as_of) = as_of.filter(|as_of| *as_of >= read_at) {
                settled.raise(reached.clone(), as_of);
            }
        }
        settled
    }

    fn raise(&mut self, mark: Mark, as_of: DateTime<Utc>) {
        let is_raised = match &self.settled {
            Some(settled) if settled.modified == mark.modified => {
                // Of two marks of one stamp the one with a name was reached by a run and is the higher.
                !mark.name.is_empty()
            }
            Some(settled) => mark.modified > settled.modified,
            None => true,
        };
        if is_raised {
            self.settled = Some(mark);
            self.settled_as_of = Some(as_of);
        }
    }
}

/// The first instant at which clocks in `zone` showed `wall`. A wall time skipped in spring is read as the moment
/// of the jump, at the earliest.
fn earliest_instant(zone: Tz, wall: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&wall) {
        chrono::LocalResult::Single(at) | chrono::LocalResult::Ambiguous(at, _) => at.with_timezone(&Utc),
        chrono::LocalResult::None => {
            let before = wall - chrono::Duration::hours(3);
            let offset = zone.offset_from_utc_datetime(&before).fix();
            (wall - offset).and_utc() - chrono::Duration::hours(1)
        }
    }
}

/// The lowest wall time that clocks in `zone` fell back to between two instants, if they fell back at all.
fn lowest_stamp_between(zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<NaiveDateTime> {
    let offset = |at: DateTime<Utc>| i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc());
    let mut lowest: Option<NaiveDateTime> = None;
    let mut day = from;
    while day < to {
        let next = (day + chrono::Duration::days(1)).min(to);
        if offset(next) < offset(day) {
            let (mut before, mut after) = (day, next);
            while after - before > chrono::Duration::seconds(1) {
                let middle = before + (after - before) / 2;
                if offset(middle) == offset(day) { before = middle } else { after = middle }
            }
            // `after` lies less than a second behind the change.
            let fell_to = after.with_timezone(&zone).naive_local() - chrono::Duration::seconds(1);
            let fell_to = fell_to.with_nanosecond(0).unwrap_or(fell_to);
            lowest = Some(lowest.map_or(fell_to, |known| known.min(fell_to)));
        }
        day = next;
    }
    lowest
}

#[cfg(test)]
mod tests {
    use chrono_tz::Asia::Kolkata;
    use chrono_tz::Europe::Berlin;

    use super::*;

    fn stamp(text: &str) -> Stamp {
        Stamp::parse(text).unwrap()
    }

    fn mark(text: &str, name: &str) -> Mark {
        Mark { modified: stamp(text), name: name.to_owned() }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    const OVERLAP: Duration = Duration::from_secs(30 * 60);

    #[test]
    fn a_page_moves_seen_forward_and_never_back() {
        let now = stamp("2024-05-05 12:00:00").moment();
        let first = Watermark::default().after(&mark("2024-05-05 10:00:00", "b"), at("2024-05-05T05:00:00Z"), now);
        assert_eq!(first.seen, Some(mark("2024-05-05 10:00:00", "b")));
        let lower = first.after(&mark("2024-05-05 09:59:59.999999", "z"), at("2024-05-05T05:01:00Z"), now);
        assert_eq!(lower, first);
        // Within one stamp HQ's own order counts, whatever the bytes say.
        let same = first.after(&mark("2024-05-05 10:00:00", "A"), at("2024-05-05T05:01:00Z"), now);
        assert_eq!(same.seen, Some(mark("2024-05-05 10:00:00", "A")));
    }

    #[test]
    fn a_stamp_of_the_future_does_not_move_it() {
        let now = stamp("2024-05-05 12:00:00").moment();
        let moved = Watermark::default().after(&mark("2024-05-05 12:02:00", "a"), at("2024-05-05T06:30:00Z"), now);
        assert_eq!(moved, Watermark::default());
    }

    #[test]
    fn settled_trails_the_newest_stamp_known_when_the_run_began() {
        let seen = Watermark { seen: Some(mark("2024-05-05 13:00:00", "x")), ..Watermark::default() };
        // A long run: HQ's newest was 12:00 when it began, 13:00 when it ended. Something stamped 12:10 may have been
        // committed at 12:35, after the run had passed its place.
        let newest = stamp("2024-05-05 12:00:00");
        let settled = seen.settle(&Watermark::default(), at("2024-05-05T06:30:00Z"), Some(&newest), OVERLAP, Kolkata);
        assert_eq!(settled.settled, Some(mark("2024-05-05 11:30:00", "")));
        assert_eq!(settled.settled_as_of, Some(at("2024-05-05T06:00:00Z")));
    }

    #[test]
    fn a_quiet_hq_comes_to_rest_once_the_overlap_has_gone_by() {
        let reached = mark("2024-05-05 10:00:00", "x");
        let before = Watermark {
            seen: Some(reached.clone()),
            seen_at: Some(at("2024-05-05T05:00:00Z")),
            ..Watermark::default()
        };
        let early = before.settle(&before, at("2024-05-05T05:29:59Z"), None, OVERLAP, Kolkata);
        assert_eq!(early.settled, Some(mark("2024-05-05 09:30:00", "")));
        let later = before.settle(&before, at("2024-05-05T05:30:00Z"), None, OVERLAP, Kolkata);
        assert_eq!(later.settled, Some(reached.clone()));
        assert_eq!(later.start(Kolkata, at("2024-05-05T05:31:00Z")), later.seen);
        // And it stays there.
        let again = later.settle(&later, at("2024-05-06T05:30:00Z"), None, OVERLAP, Kolkata);
        assert_eq!(again.settled, Some(reached));
    }

    #[test]
    fn the_start_goes_back_with_the_clocks_in_autumn_until_the_hour_is_settled() {
        let settled = |as_of: &str| Watermark {
            seen: Some(mark("2025-10-26 02:59:59", "x")),
            seen_at: Some(at("2025-10-26T00:59:59Z")),
            settled: Some(mark("2025-10-26 02:59:59", "x")),
            settled_as_of: Some(at(as_of)),
        };
        let start = |as_of: &str, now: &str| settled(as_of).start(Berlin, at(now)).unwrap().modified.to_string();
        // Clocks go from 03:00 back to 02:00 at 01:00 UTC.
        assert_eq!(start("2025-10-26T00:59:59Z", "2025-10-26T01:10:00Z"), "2025-10-26 01:59:59");
        assert_eq!(start("2025-10-26T00:59:59Z", "2025-10-30T12:00:00Z"), "2025-10-26 01:59:59");
        assert_eq!(start("2025-10-26T03:00:00Z", "2025-10-30T12:00:00Z"), "2025-10-26 02:59:59");
        // In spring, and where there is no daylight saving, it stays.
        let spring = Watermark { settled: Some(mark("2025-03-30 01:59:59", "x")), ..settled("2025-03-30T00:59:59Z") };
        assert_eq!(spring.start(Berlin, at("2025-03-30T05:00:00Z")).unwrap().name, "x");
        let none = settled("2025-10-26T00:59:59Z").start(Kolkata, at("2025-10-30T12:00:00Z")).unwrap();
        assert_eq!(none.name, "x");
    }

    #[test]
    fn every_autumn_since_is_gone_back_to_after_years_of_silence() {
        let old = Watermark {
            settled: Some(mark("2021-10-31 02:30:00", "x")),
            settled_as_of: Some(at("2021-10-31T00:20:00Z")),
            ..Watermark::default()
        };
        let start = old.start(Berlin, at("2026-11-01T00:00:00Z")).unwrap();
        assert_eq!(start.modified.to_string(), "2021-10-31 01:59:59");
    }
}
