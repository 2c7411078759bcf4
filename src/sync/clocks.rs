//! HQ's zone and both clocks, as a run needs them; and telling the operator where they are wrong.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Duration, NaiveDateTime, Utc};
use chrono_tz::Tz;

use super::run::{Work, unless_stopped};
use super::{Engine, Error};
use crate::record::Stamp;
use crate::source;
use crate::source::Meter;
use crate::source::frappe::Fetched;
use crate::watermark::{Clocks, FUTURE_SLACK, Zone};

/// HQ is asked for its zone once in this time, and sooner where stamps make it doubtful.
const ASK_AGAIN: Duration = Duration::hours(24);

/// Doubtful stamps have HQ asked again after this time.
const DOUBT_AGAIN: Duration = Duration::hours(1);

/// An operator at the terminal waits this long for HQ.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(15);

/// Clocks further apart than this are worth a word.
pub const CLOCK_TOLERANCE: Duration = Duration::minutes(2);

/// What all jobs of a process know of HQ's clock, and have said of it.
#[derive(Debug, Default)]
pub(super) struct Known {
    zone: Mutex<Option<Zone>>,
    has_said_zone: AtomicBool,
    has_said_apart: AtomicBool,
}

/// Whether two zones show the same wall time, now and at each season of the years around: HQ may use an older name.
#[must_use]
pub fn is_same_zone(one: Tz, other: Tz, now: DateTime<Utc>) -> bool {
    let days = (-400..=800).step_by(5).map(|days| now + Duration::days(days));
    one == other
        || days
            .into_iter()
            .all(|at| at.with_timezone(&one).naive_local() == at.with_timezone(&other).naive_local())
}

impl Engine {
    /// The zone that the configuration names; HQ has not been asked.
    pub(super) fn configured_zone(&self) -> Zone {
        let now = self.clock.now();
        Zone { tz: self.config.hq.time_zone, is_told: false, asked: Clocks { outlet: now, hq: now } }
    }

    /// The zone HQ stamps in, by its own word, asked for once a day; `hq.time_zone` where HQ does not tell.
    pub(super) async fn zone(&self, kept: Option<Zone>, meter: &Meter) -> Result<Zone, Error> {
        let now = self.clock.now();
        let is_fresh = |zone: &Zone| {
            let age = now - zone.asked.outlet;
            let is_ours = zone.is_told || zone.tz == self.config.hq.time_zone;
            is_ours && age >= Duration::zero() && age < ASK_AGAIN
        };
        let known = self.known.zone.lock().ok().and_then(|zone| *zone);
        // A doubtful one was put back to 1970; what another job has learned since is newer.
        let latest = [kept, known].into_iter().flatten().max_by_key(|zone| zone.asked.outlet);
        if let Some(zone) = latest.filter(is_fresh) {
            return Ok(zone);
        }
        let zone = self.ask_for_zone(meter).await?;
        if let Ok(mut known) = self.known.zone.lock() {
            *known = Some(zone);
        }
        Ok(zone)
    }

    pub(super) async fn ask_for_zone(&self, meter: &Meter) -> Result<Zone, Error> {
        match self.hq.time_zone(meter).await {
            Ok((name, asked)) => match name.parse() {
                Ok(tz) => Ok(Zone { tz, is_told: true, asked }),
                Err(_unknown) => Ok(Zone { asked, ..self.configured_zone() }),
            },
            Err(
                source::Error::Forbidden { .. }
                | source::Error::Unknown { .. }
                | source::Error::Refused { .. }
                | source::Error::Unreadable(_)
                | source::Error::Page(_),
            ) => Ok(self.configured_zone()),
            Err(cause) => Err(Error::source("asking HQ for its time zone")(cause)),
        }
    }

    /// HQ's zone and clock, by HQ's word; `hq.time_zone` and the outlet's own clock where HQ does not answer soon.
    pub(super) async fn zone_now(&self) -> Zone {
        let meter = Meter::default();
        let asked = tokio::time::timeout(PATIENCE, self.ask_for_zone(&meter)).await;
        asked.ok().and_then(Result::ok).unwrap_or_else(|| self.configured_zone())
    }

    /// Warns, once a process, where the configured zone is not HQ's.
    fn say_zone(&self, zone: Zone) {
        let configured = self.config.hq.time_zone;
        if zone.is_told
            && !is_same_zone(zone.tz, configured, zone.asked.hq)
            && !self.known.has_said_zone.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                hq_time_zone = %configured,
                told = %zone.tz,
                "HQ writes its stamps in another zone than hq.time_zone says: no record is missed, but stored datetimes \
                 are off; set hq.time_zone to the zone HQ told"
            );
        }
    }

    /// Warns, once a process, where the two clocks are far apart.
    pub(super) fn say_apart(&self, now: Clocks) {
        let apart = now.hq - now.outlet;
        if apart.abs() > CLOCK_TOLERANCE && !self.known.has_said_apart.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                seconds = apart.num_seconds().abs(),
                hq = %now.hq.format("%Y-%m-%d %H:%M:%S UTC"),
                here = %now.outlet.format("%Y-%m-%d %H:%M:%S UTC"),
                "HQ's clock and this machine's are apart: no record is missed, but schedules go by this machine's; set \
                 the one that is wrong"
            );
        }
    }
}

impl Work<'_> {
    /// Learns which zone HQ stamps in.
    pub(super) async fn learn_zone(&mut self) -> Result<(), Error> {
        let asking = self.engine.zone(self.progress.watermark.zone, self.meter);
        let zone = unless_stopped(self.stop, asking).await?;
        self.know_zone(zone);
        Ok(())
    }

    /// Takes in which zone HQ stamps in.
    pub(super) fn know_zone(&mut self, zone: Zone) {
        self.zone = zone;
        self.engine.say_zone(zone);
    }

    /// Whether HQ stamps in another zone than was known, by its own word, asked for now.
    pub(super) async fn has_moved_zone(&mut self) -> Result<bool, Error> {
        let told = unless_stopped(self.stop, self.engine.ask_for_zone(self.meter)).await?;
        let has_moved = told.is_told && !is_same_zone(told.tz, self.zone.tz, told.asked.hq);
        if has_moved {
            self.zone = told;
            self.engine.say_zone(told);
            if let Ok(mut known) = self.engine.known.zone.lock() {
                *known = Some(told);
            }
        }
        Ok(has_moved)
    }

    /// HQ's wall clock when it answered.
    pub(super) fn hq_now(&self, fetched: &Fetched) -> NaiveDateTime {
        self.zone.wall(fetched.read.hq)
    }

    /// Has HQ asked for its zone again by the next run, where stamps lie ahead of HQ's clock.
    pub(super) fn doubt_zone(&mut self) {
        let is_old = self.started - self.zone.asked.outlet > DOUBT_AGAIN;
        if let Some(zone) = self.progress.watermark.zone.as_mut().filter(|_| is_old) {
            zone.asked.outlet = DateTime::UNIX_EPOCH;
            if let Ok(mut known) = self.engine.known.zone.lock() {
                *known = None;
            }
        }
    }

    /// Whether a stamp lies ahead of HQ's clock.
    pub(super) fn is_ahead(&self, stamp: &Stamp, fetched: &Fetched) -> bool {
        stamp.moment() > self.hq_now(fetched) + FUTURE_SLACK
    }
}
