//! Two clocks and a zone: what may be said of HQ's wall clock between two looks at it.
//!
//! HQ's stamps are wall time without a zone. Beside them there are the outlet's clock and HQ's own, which every answer
//! tells in UTC (`Date`). Either may be set at any time; what both agree on is believed.

use chrono::{DateTime, Duration, NaiveDateTime, Offset as _, TimeZone as _, Timelike as _, Utc};
use chrono_tz::Tz;

/// Clocks that went apart by more than this between two looks: one of them was set. An answer of 5 MB on a line of
/// 1 Mbit/s takes 40 s, and servers behind one name differ by some seconds.
pub(super) const TOLERANCE: Duration = Duration::minutes(5);

/// Clocks as far apart as this are not both right.
const PLAUSIBLE: Duration = Duration::days(1);

/// `Date` has whole seconds.
const DATE_GRAIN: Duration = Duration::seconds(1);

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// On the outlet's clock.
    pub outlet: DateTime<Utc>,
    /// On HQ's clock, as its `Date` header tells it.
    pub hq: DateTime<Utc>,
}

/// What HQ's clock did between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// It went as the outlet's did.
    Steady,
    /// One of the two was set; HQ's showed nothing below the first look.
    Set,
    /// HQ's was set back, at most to this moment; `None` where there is no telling how far.
    Back(Option<DateTime<Utc>>),
}

impl Clocks {
    /// The moment at which the outlet's clock showed `outlet`, not long ago.
    #[must_use]
    pub fn back_to(self, outlet: DateTime<Utc>) -> Self {
        Self { outlet, hq: self.hq - (self.outlet - outlet).max(Duration::zero()) }
    }

    /// The time gone by since `then`: the smaller of what the two clocks say, so that one which jumps ahead shortens
    /// no wait.
    #[must_use]
    pub fn elapsed_since(self, then: Self) -> Duration {
        (self.outlet - then.outlet).min(self.hq - then.hq + DATE_GRAIN)
    }

    pub(super) fn course_since(self, then: Self) -> Course {
        let (outlet, hq) = (self.outlet - then.outlet, self.hq - then.hq);
        let has_gone_back = hq < -TOLERANCE;
        if (hq - outlet).abs() <= TOLERANCE && !has_gone_back {
            return Course::Steady;
        }
        // An outlet that woke up in 1970 and has found the time since has no idea how long that took.
        let is_believable = (hq - outlet).abs() <= PLAUSIBLE || self.are_near() == then.are_near();
        let is_known = outlet > Duration::zero() && is_believable;
        match (hq < outlet, is_known, has_gone_back) {
            (true, true, _) => Course::Back(Some(self.hq - outlet)),
            (true, false, true) | (false, _, true) => Course::Back(None),
            (true, false, false) | (false, _, false) => Course::Set,
        }
    }

    fn are_near(self) -> bool {
        (self.outlet - self.hq).abs() <= PLAUSIBLE
    }
}

/// The zone HQ stamps in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone {
    /// The zone.
    pub tz: Tz,
    /// HQ itself named it; otherwise it is `hq.time_zone`, which may be wrong.
    pub is_told: bool,
    /// When HQ was asked for it.
    pub asked: Clocks,
}

impl Zone {
    /// The same, as it was kept: HQ's clock may have gone below the moment of asking since.
    pub(super) fn as_kept(self, kept: Option<Self>) -> Self {
        let is_same = |kept: &Self| kept.tz == self.tz && kept.asked.outlet == self.asked.outlet;
        kept.filter(is_same).map_or(self, |kept| self.asked_by(kept.asked.hq))
    }

    /// The same, asked for at or before a moment on HQ's clock.
    pub(super) fn asked_by(self, hq: DateTime<Utc>) -> Self {
        Self { asked: Clocks { hq: self.asked.hq.min(hq), ..self.asked }, ..self }
    }

    /// HQ's wall clock at a moment.
    #[must_use]
    pub fn wall(self, at: DateTime<Utc>) -> NaiveDateTime {
        at.with_timezone(&self.tz).naive_local()
    }

    /// How far the wall clock may fall or leap without the zone's knowing: a zone that HQ did not name may have other
    /// nights of daylight saving, or none.
    pub(super) fn doubt(self) -> Duration {
        if self.is_told { Duration::zero() } else { Duration::hours(1) }
    }

    /// The lowest that the wall clock showed between two moments.
    pub(super) fn lowest(self, from: DateTime<Utc>, to: DateTime<Utc>) -> NaiveDateTime {
        let start = self.wall(from);
        self.fell_to(from, to).map_or(start, |fell_to| fell_to.min(start))
    }

    /// The lowest that the wall clock fell back to between two moments, if it fell back at all.
    pub(super) fn fell_to(self, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<NaiveDateTime> {
        let offset =
            |at: DateTime<Utc>| i64::from(self.tz.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc());
        let mut lowest: Option<NaiveDateTime> = None;
        let mut day = from;
        while day < to {
            let next = (day + Duration::days(1)).min(to);
            if offset(next) < offset(day) {
                let (mut before, mut after) = (day, next);
                while after - before > Duration::seconds(1) {
                    let middle = before + (after - before) / 2;
                    if offset(middle) == offset(day) { before = middle } else { after = middle }
                }
                // `after` lies less than a second behind the change.
                let fell_to = self.wall(after) - Duration::seconds(1);
                let fell_to = fell_to.with_nanosecond(0).unwrap_or(fell_to);
                lowest = Some(lowest.map_or(fell_to, |known| known.min(fell_to)));
            }
            day = next;
        }
        lowest
    }
}
