//! How far a job has come, and where the next run must start. Arithmetic only.
//!
//! `modified` is stamped when a transaction writes and seen when it commits, up to `overlap` later (recordings 406-408),
//! and it is wall time: it goes back by an hour in autumn, and wherever HQ's clock or zone is set back.
//!
//! **Invariant: every record that HQ stamped before `settled_as_of` with a stamp at or below `settled` has been read.**
//! So a run has to read what lies above the lower of `settled` and the lowest that HQ's wall clock has shown since
//! ([`Watermark::resume`]); and when it has, `settled` may rise to the lowest that the wall clock showed within the last
//! `overlap`, as nothing stamped earlier is still uncommitted ([`Watermark::settle`]). How much time went by is the
//! smaller of what the outlet's clock and HQ's `Date` say; where they disagree, nothing settles until both have gone on
//! together for an `overlap`.
//!
//! What this cannot see is reconcile's to find: a commit later than `overlap`; HQ's clock set back and forth again
//! between two looks; both clocks set ahead between two looks; and HQ's clock set ahead within the `overlap` before the
//! first load. Steps of less than five minutes count as none, and are covered by an `overlap` of more than that.

mod clocks;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use clocks::{Clocks, Zone};

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime};

use self::clocks::{Course, TOLERANCE};
use crate::breakage::{self, Breakage};
use crate::record::{Mark, Stamp};

/// What is kept of a job's (or of the deletes') progress.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watermark {
    /// The highest mark applied.
    pub seen: Option<Mark>,
    /// A moment by which HQ's wall clock had passed `seen`, not to fall below it since; at best that of the page that
    /// reached it. `None` while the wall clock is below.
    pub seen_at: Option<Clocks>,
    /// The mark at or below which nothing can still turn up.
    pub settled: Option<Mark>,
    /// The claim of `settled` is about what HQ stamped before this moment.
    pub settled_as_of: Option<Clocks>,
    /// When the clocks were last found to have been set, or HQ's wall clock to have fallen back.
    pub unsteady_at: Option<Clocks>,
    /// The zone in which `settled` was reckoned.
    pub zone: Option<Zone>,
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
    pub started: Clocks,
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

/// A claim that has only become this much younger is not worth a write.
const YOUNGER: chrono::Duration = chrono::Duration::minutes(10);

impl Progress {
    /// Whether this is worth keeping in place of `kept`: what a quiet HQ adds, minute after minute, is that all is as it was.
    /// An older claim stays true, and is only looked at over a longer time.
    #[must_use]
    pub fn says_more_than(&self, kept: &Self) -> bool {
        let (now, then) = (self.watermark.settled_as_of, kept.watermark.settled_as_of);
        let is_younger = match (now, then) {
            (Some(now), Some(then)) => {
                let apart = (now.outlet - then.outlet).abs().max((now.hq - then.hq).abs());
                apart >= YOUNGER
            }
            (now, then) => now != then,
        };
        let as_kept = Watermark { settled_as_of: then, ..self.watermark.clone() };
        is_younger || as_kept != kept.watermark || (&self.pass, self.mapping) != (&kept.pass, kept.mapping)
    }
}

/// A stamp this far ahead of HQ's clock is still taken for the present: HQ's `Date` header has whole seconds.
pub const FUTURE_SLACK: chrono::Duration = chrono::Duration::minutes(1);

impl Watermark {
    /// The watermark as a run that begins `now` must take it: `settled`, below which it need not read, lowered to
    /// where HQ's wall clock may have been since the last look. `None` there: from the beginning.
    #[must_use]
    pub fn resume(&self, now: Clocks, zone: Zone) -> Self {
        let zone = zone.as_kept(self.zone);
        let mut resumed = Self { zone: Some(zone), ..self.clone() };
        let is_past = |seen: &Mark| zone.wall(now.hq) >= seen.modified.moment();
        let renewed = self.seen.as_ref().filter(|seen| is_past(seen)).map(|_| now);
        let Some(as_of) = self.settled_as_of else {
            resumed.seen_at = self.seen_at.or(renewed);
            return resumed;
        };
        let course = now.course_since(as_of);
        // A zone that HQ changed may have been in force ever since HQ was last asked.
        let old = self.zone.filter(|known| known.tz != zone.tz);
        let moved_since = old.map(|old| old.asked.hq.min(as_of.hq));
        // Whatever brought it there: HQ stamps below it now.
        let present = zone.wall(now.hq) + FUTURE_SLACK;
        let is_ahead = self.settled.as_ref().is_some_and(|settled| settled.modified.moment() > present);
        let since = match course {
            Course::Steady | Course::Set => as_of.hq,
            Course::Back(to) => {
                // Whatever HQ's zone turns out to have been meanwhile, its clock showed this.
                let to = to.unwrap_or(DateTime::UNIX_EPOCH);
                resumed.zone = Some(zone.asked_by(to));
                to
            }
        };
        let since = moved_since.map_or(since, |moved| moved.min(since)).min(now.hq) - TOLERANCE;
        // Before it was set back, HQ's clock may have gone on as the outlet's did, over the end of summer time.
        let until = match course {
            Course::Back(Some(_)) => now.hq.max(as_of.hq + (now.outlet - as_of.outlet)),
            Course::Steady | Course::Set | Course::Back(None) => now.hq,
        } + TOLERANCE;
        let fell_to = zone.fell_to(since, until);
        let is_steady = course == Course::Steady && moved_since.is_none() && fell_to.is_none() && !is_ahead;
        if is_steady {
            resumed.seen_at = self.seen_at.or(renewed);
            return resumed;
        }
        resumed.seen_at = renewed;
        resumed.unsteady_at = Some(now);
        let has_gone_back = matches!(course, Course::Back(_)) || moved_since.is_some() || is_ahead;
        if course == Course::Back(None) {
            resumed.settled = None;
        } else if has_gone_back {
            resumed.lower(zone.lowest(since, until));
            // Until it was changed, the old zone may have had its end of summer time.
            if let Some(old) = old {
                resumed.lower(old.lowest(since, until));
            }
        } else if let Some(fell_to) = fell_to {
            resumed.lower(fell_to);
        }
        resumed
    }

    /// The watermark after a page that ended at `mark`, was read at `read`, and before which HQ's wall clock showed
    /// `hq_now`. Never moves back, and never to a stamp ahead of HQ's clock: a record stamped in the future is
    /// applied, but what is stamped until then must still be found.
    #[must_use]
    pub fn after(&self, mark: &Mark, read: Clocks, hq_now: NaiveDateTime) -> Self {
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
        let seen_at = if is_same_stamp { self.seen_at } else { Some(read) };
        Self { seen: Some(mark.clone()), seen_at, ..self.clone() }
    }

    /// The watermark after a run that went through everything from `begun.settled` to the end of HQ's list.
    ///
    /// `begun` is the resumed watermark the run began with, `started` when that was, and `newest` a stamp that HQ had
    /// given out when the first answer came. `settled` rises to the higher of two:
    /// - what HQ's wall clock showed, at its lowest, within the `overlap` before the run, unless it was set in that
    ///   time; and no higher than `overlap` below the newest stamp, which holds in whatever zone HQ stamps. (The end
    ///   of a long run would be too high: its early pages were read before.)
    /// - what the run went through and what had been seen `overlap` before it started.
    #[must_use]
    pub fn settle(&self, begun: &Self, started: Clocks, newest: Option<&Stamp>, overlap: Duration) -> Self {
        let mut settled = Self { settled_as_of: Some(started), ..self.clone() };
        let Some(zone) = begun.zone else { return settled };
        let overlap = chrono::Duration::from_std(overlap).ok();
        let Some(patience) = overlap.and_then(|overlap| overlap.checked_add(&zone.doubt())) else { return settled };
        let has_gone_by = |since: Clocks| started.elapsed_since(since) >= patience;
        let newest = begun.seen.as_ref().map(|seen| &seen.modified).max(newest);
        let newest = newest.min(self.seen.as_ref().map(|seen| &seen.modified));
        // What was set by less than the tolerance was not noticed.
        let trail = patience.checked_add(&TOLERANCE).unwrap_or(chrono::Duration::MAX);
        let below_newest = newest.and_then(|stamp| stamp.moment().checked_sub_signed(trail));
        let by_clock = started.hq.checked_sub_signed(trail);
        if let (Some(below), Some(from), true) = (below_newest, by_clock, begun.unsteady_at.is_none_or(has_gone_by)) {
            let below = below.min(zone.lowest(from, started.hq));
            settled.raise(Mark { modified: Stamp::at(below), name: String::new() });
        }
        if let (Some(reached), Some(_)) = (&begun.seen, begun.seen_at.filter(|at| has_gone_by(*at))) {
            settled.raise(reached.clone());
        }
        if let (true, Some(seen)) = (breakage::is(Breakage::NoOverlap), &self.seen) {
            settled.raise(seen.clone());
        }
        settled
    }

    fn raise(&mut self, mark: Mark) {
        let is_raised = match &self.settled {
            // Of two marks of one stamp the one with a name was reached by a run and is the higher.
            Some(settled) if settled.modified == mark.modified => !mark.name.is_empty(),
            Some(settled) => mark.modified > settled.modified,
            None => true,
        };
        if is_raised {
            self.settled = Some(mark);
        }
    }

    fn lower(&mut self, wall: NaiveDateTime) {
        if self.settled.as_ref().is_some_and(|settled| settled.modified.moment() > wall) {
            self.settled = Some(Mark { modified: Stamp::at(wall), name: String::new() });
        }
    }
}
