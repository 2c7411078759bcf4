//! How far a job has come, and where the next run must start. Arithmetic only.
//!
//! Invariant: nothing at or below `settled` can still turn up at HQ, other than in the repeated hour of an autumn
//! night, for which [`Watermark::start`] goes back. `modified` is stamped when a transaction writes and seen when it
//! commits (recordings 406-408), so `settled` trails `seen` by the overlap.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Offset as _, TimeZone as _, Utc};
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

    /// Whether everything up to `seen` is settled, so that a poll from `start` re-reads nothing.
    #[must_use]
    pub fn is_settled(&self, start: Option<&Mark>) -> bool {
        start == self.seen.as_ref()
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
        Self { seen: Some(mark.clone()), seen_at: Some(read_at), ..self.clone() }
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
            let fell_to = after.with_timezone(&zone).naive_local() - chrono::Duration::seconds(1);
            lowest = Some(lowest.map_or(fell_to, |known| known.min(fell_to)));
        }
        day = next;
    }
    lowest
}
