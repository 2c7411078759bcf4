//! The site's clock and the text form of its times.
//!
//! Frappe stamps `creation` and `modified` with the wall time of the site's zone, without a zone marker (recording
//! 401): in a zone with daylight saving the stamps go back by an hour every autumn (recording 409).

use std::time::{Duration, Instant};

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _, Utc};
use chrono_tz::Tz;

/// Wall time of the site's zone in microseconds, as if it were UTC.
pub(super) type Stamp = i64;

/// What the site takes for the present: running on from an instant, or standing still.
#[derive(Debug)]
pub(super) struct Clock {
    zone: Tz,
    base: DateTime<Utc>,
    /// When `base` was set on the machine's own clock; `None` while the clock stands still.
    since: Option<Instant>,
    /// How far a standing clock moves with every stamp it gives.
    step: Duration,
}

impl Clock {
    /// A clock that shows the machine's time in `zone`.
    #[expect(clippy::disallowed_methods, reason = "a simulated HQ starts at the real time, read once, here")]
    pub(super) fn real(zone: Tz) -> Self {
        Self { zone, base: Utc::now(), since: Some(Instant::now()), step: Duration::ZERO }
    }

    /// Sets the present and lets it run on.
    pub(super) fn set(&mut self, now: DateTime<Utc>) {
        self.base = now;
        self.since = self.since.map(|_| Instant::now());
    }

    /// Stops the clock at `now`; each stamp given moves it on by `step`.
    pub(super) fn freeze(&mut self, now: DateTime<Utc>, step: Duration) {
        (self.base, self.since, self.step) = (now, None, step);
    }

    /// Moves the present by `by`, running or not.
    pub(super) fn advance(&mut self, by: Duration) {
        self.base += by;
    }

    /// The present, without moving it.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.base + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Moves the site to another zone.
    pub(super) fn set_zone(&mut self, zone: Tz) {
        self.zone = zone;
    }

    /// The zone stamps are written in.
    pub(super) fn zone(&self) -> Tz {
        self.zone
    }

    /// A stamp for a write done now.
    pub(super) fn stamp(&mut self) -> Stamp {
        let stamp = self.now().with_timezone(&self.zone).naive_local().and_utc().timestamp_micros();
        if self.since.is_none() {
            self.base += self.step;
        }
        stamp
    }
}

/// Writes a stamp as MariaDB prints it: without a fraction when it is zero (recordings 209, 223).
pub(super) fn print(stamp: Stamp) -> String {
    let mut text = Vec::with_capacity(26);
    print_into(&mut text, stamp);
    String::from_utf8_lossy(&text).into_owned()
}

/// As [`print`], appended. Digit by digit, as a list of many records is mostly this.
pub(super) fn print_into(out: &mut Vec<u8>, stamp: Stamp) {
    let time = DateTime::from_timestamp_micros(stamp).unwrap_or_default().naive_utc();
    for (before, figure, width) in [
        (None, time.year().unsigned_abs(), 1_000),
        (Some(b'-'), time.month(), 10),
        (Some(b'-'), time.day(), 10),
        (Some(b' '), time.hour(), 10),
        (Some(b':'), time.minute(), 10),
        (Some(b':'), time.second(), 10),
    ] {
        out.extend(before);
        digits(out, figure, width);
    }
    let micros = time.nanosecond() / 1_000;
    if micros != 0 {
        out.push(b'.');
        digits(out, micros, 100_000);
    }
}

/// The digits of a figure, the first of them worth `highest`.
fn digits(out: &mut Vec<u8>, figure: u32, highest: u32) {
    let mut worth = highest;
    while worth > 0 {
        out.extend(u8::try_from(figure / worth % 10).map(|digit| b'0' + digit));
        worth /= 10;
    }
}

/// Reads a time as MariaDB does: a blank or a `T`, a fraction or none, any zone suffix ignored (recordings 209-216).
pub(super) fn parse(text: &str) -> Option<Stamp> {
    let text = text.trim();
    let date = NaiveDate::parse_from_str(text.get(..10)?, "%Y-%m-%d").ok()?;
    let time = text.get(10..).unwrap_or_default();
    if time.is_empty() {
        return Some(NaiveDateTime::new(date, NaiveTime::MIN).and_utc().timestamp_micros());
    }
    let time = time.strip_prefix([' ', 'T'])?;
    let end = time.find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.')).unwrap_or(time.len());
    let time = NaiveTime::parse_from_str(time.get(..end)?, "%H:%M:%S%.f").ok()?;
    Some(NaiveDateTime::new(date, time).and_utc().timestamp_micros())
}

/// Whether a text is a date without a time, which `between` takes for the whole day (recording 221).
pub(super) fn is_bare_date(text: &str) -> bool {
    let text = text.trim();
    text.len() == 10 && parse(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_printed_without_a_fraction_when_it_has_none() {
        for text in [
            "2024-05-05 10:00:00",
            "2024-05-05 10:00:00.000001",
            "0001-01-01 00:00:00",
            "1969-12-31 23:59:59.999999",
            "9999-12-31 23:59:59.900000",
        ] {
            assert_eq!(print(parse(text).unwrap()), text);
        }
    }

    #[test]
    fn a_zone_suffix_is_ignored() {
        let plain = parse("2024-05-05 10:00:00.5");
        for text in ["2024-05-05T10:00:00.500000", "2024-05-05T10:00:00.5Z", "2024-05-05 10:00:00.5+05:30"] {
            assert_eq!(parse(text), plain, "{text}");
        }
        assert_eq!(parse("yesterday"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn stamps_go_back_an_hour_in_autumn() {
        let mut clock = Clock::real(chrono_tz::Europe::Berlin);
        clock.freeze("2024-10-27T00:59:59.5Z".parse().unwrap(), Duration::ZERO);
        let before = clock.stamp();
        clock.freeze("2024-10-27T01:10:00Z".parse().unwrap(), Duration::ZERO);
        assert_eq!(print(before), "2024-10-27 02:59:59.500000");
        assert_eq!(print(clock.stamp()), "2024-10-27 02:10:00");
    }
}
