//! Dates, times of day and moments, as HQ prints them: wall time of HQ's zone, without a zone marker (recording 401).
//!
//! A moment is turned into UTC here. In the hour that the autumn clock shows twice the earlier of the two instants is
//! taken; a time that the spring clock skips is read with the offset in force before the gap, which moves it on by the
//! gap's length. A time zone at the end of the text (a REST source) is honoured.

use chrono::{FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Offset as _, TimeDelta, TimeZone as _};
use chrono_tz::Tz;

use super::offence::Offence;
use super::value::quote;

/// `YYYY-MM-DD`; a date and time is taken only where the time is midnight, so nothing is cut in silence.
pub(super) fn date(text: &str) -> Result<NaiveDate, Offence> {
    let Some((date, rest)) = leading_date(text) else {
        return Err(no_date(text, "a date (YYYY-MM-DD)"));
    };
    match rest.strip_prefix([' ', 'T']).and_then(leading_clock) {
        _ if rest.is_empty() => Ok(date),
        Some((clock, "")) if clock.time() == Some(NaiveTime::MIN) => Ok(date),
        Some(_) => Err(Offence::of(quote(text), " has a time of day: use type = \"datetime\"")),
        None => Err(no_date(text, "a date (YYYY-MM-DD)")),
    }
}

/// `YYYY-MM-DD HH:MM:SS[.ffffff]`, also with `T`, also with `Z` or an offset at the end; a bare date is its midnight.
pub(super) fn datetime(text: &str, zone: Tz) -> Result<NaiveDateTime, Offence> {
    let bad = || no_date(text, "a date and time (YYYY-MM-DD HH:MM:SS[.ffffff])");
    let (date, rest) = leading_date(text).ok_or_else(bad)?;
    if rest.is_empty() {
        return utc(date.and_time(NaiveTime::MIN), zone).ok_or_else(bad);
    }
    let (clock, rest) = rest.strip_prefix([' ', 'T']).and_then(leading_clock).ok_or_else(bad)?;
    let wall = date.and_time(clock.time().filter(|_| clock.has_seconds).ok_or_else(bad)?);
    match rest.trim_start() {
        "" => utc(wall, zone).ok_or_else(bad),
        suffix => offset(suffix).and_then(|offset| wall.checked_sub_offset(offset)).ok_or_else(bad),
    }
}

/// `H:M[:S[.ffffff]]` with or without padding: HQ prints `7:05:09` and even `7:5:9.25` (recordings 102 and 1102); a split
/// second as Python prints a float, `7:05:1e-06` (`format_timedelta` in frappe/utils/data.py).
pub(super) fn time(text: &str) -> Result<NaiveTime, Offence> {
    let bad = || Offence::of(quote(text), " is not a time of day (HH:MM:SS)");
    let (clock, rest) = leading_clock(text.strip_prefix('-').unwrap_or(text)).ok_or_else(bad)?;
    if !rest.is_empty() {
        return Err(bad());
    }
    if clock.hours >= 24 || text.starts_with('-') {
        // HQ itself takes such a value and then fails to save the document again (recording 1120).
        return Err(Offence::of(quote(text), " is outside one day: use type = \"text\""));
    }
    clock.time().ok_or_else(bad)
}

/// Wall time of `zone` as UTC.
fn utc(wall: NaiveDateTime, zone: Tz) -> Option<NaiveDateTime> {
    if let Some(instant) = zone.from_local_datetime(&wall).earliest() {
        return Some(instant.naive_utc());
    }
    // In a gap: the last wall time before it has the offset that was in force. Zones have skipped up to a whole day.
    (1..=100).find_map(|quarters| {
        let before = wall.checked_sub_signed(TimeDelta::minutes(15 * quarters))?;
        let offset = zone.from_local_datetime(&before).latest()?.offset().fix();
        wall.checked_sub_offset(offset)
    })
}

fn offset(suffix: &str) -> Option<FixedOffset> {
    if matches!(suffix, "Z" | "z") {
        return FixedOffset::east_opt(0);
    }
    let (sign, rest) = match suffix.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, suffix.strip_prefix('-')?),
    };
    let (hours, rest) = digits(rest, 2, 2)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = if rest.is_empty() { (0, rest) } else { digits(rest, 2, 2)? };
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    FixedOffset::east_opt(sign * seconds).filter(|_| rest.is_empty() && minutes < 60)
}

struct Clock {
    hours: u32,
    minutes: u32,
    seconds: u32,
    micros: u32,
    has_seconds: bool,
}

impl Clock {
    fn time(&self) -> Option<NaiveTime> {
        NaiveTime::from_hms_micro_opt(self.hours, self.minutes, self.seconds, self.micros)
    }
}

fn leading_date(text: &str) -> Option<(NaiveDate, &str)> {
    let (year, rest) = digits(text, 4, 4)?;
    let (month, rest) = digits(rest.strip_prefix('-')?, 2, 2)?;
    let (day, rest) = digits(rest.strip_prefix('-')?, 2, 2)?;
    let year = i32::try_from(year).ok().filter(|year| *year > 0)?;
    Some((NaiveDate::from_ymd_opt(year, month, day)?, rest))
}

fn leading_clock(text: &str) -> Option<(Clock, &str)> {
    let (hours, rest) = digits(text, 1, 4)?;
    let (minutes, rest) = digits(rest.strip_prefix(':')?, 1, 2)?;
    let mut clock = Clock { hours, minutes, seconds: 0, micros: 0, has_seconds: false };
    let Some(rest) = rest.strip_prefix(':') else { return Some((clock, rest)) };
    let (seconds, rest) = digits(rest, 1, 2)?;
    clock.seconds = seconds;
    clock.has_seconds = true;
    let mut rest = rest;
    if let Some(fraction) = rest.strip_prefix('.') {
        let (value, behind) = digits(fraction, 1, 6)?;
        let written = u32::try_from(fraction.len() - behind.len()).ok()?;
        clock.micros = value * 10_u32.checked_pow(6_u32.checked_sub(written)?)?;
        rest = behind;
    }
    if let Some(exponent) = rest.strip_prefix("e-") {
        let (places, behind) = digits(exponent, 1, 2)?;
        let (micros, shrunk) = (clock.seconds * 1_000_000 + clock.micros, 10_u32.checked_pow(places)?);
        if micros % shrunk != 0 {
            return None;
        }
        (clock.seconds, clock.micros) = (0, micros / shrunk);
        rest = behind;
    }
    Some((clock, rest))
}

/// The number of `least` to `most` digits at the start, and what follows it.
fn digits(text: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(count).filter(|_| count >= least)?;
    Some((digits.parse().ok()?, rest))
}

fn no_date(text: &str, what: &str) -> Offence {
    if text.starts_with("0000-00-00") {
        Offence::of(quote(text), " is MariaDB's zero date, which names no day")
    } else {
        Offence::of(quote(text), format!(" is not {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_date_or_a_midnight() {
        for text in ["2024-02-29", "2024-02-29 00:00:00", "2024-02-29T00:00:00.000000"] {
            assert_eq!(date(text).map(|d| d.to_string()), Ok("2024-02-29".to_owned()), "{text}");
        }
        for text in
            ["2023-02-29", "29-02-2024", "2024-2-9", "2024-02-29 00:00:01", "2024-02-29 00:00:00Z", "0000-01-01"]
        {
            assert!(date(text).is_err(), "{text}");
        }
        assert!(date("0000-00-00").is_err_and(|offence| offence.to_string().contains("zero date")));
    }

    #[test]
    fn a_moment_is_read_in_hqs_zone_and_stored_in_utc() {
        let cases = [
            (Tz::Asia__Kolkata, "2024-05-05 10:00:00.000001", "2024-05-05 04:30:00.000001"),
            (Tz::Asia__Kolkata, "2024-05-05T10:00:00", "2024-05-05 04:30:00"),
            (Tz::Asia__Kolkata, "2024-05-05 10:00:00.25", "2024-05-05 04:30:00.250"),
            (Tz::Asia__Kolkata, "2024-05-05", "2024-05-04 18:30:00"),
            (Tz::Asia__Kolkata, "2024-05-05T10:00:00Z", "2024-05-05 10:00:00"),
            (Tz::Asia__Kolkata, "2024-05-05T10:00:00.5+02:00", "2024-05-05 08:00:00.500"),
            (Tz::Asia__Kolkata, "2024-05-05 10:00:00 -0330", "2024-05-05 13:30:00"),
            // Autumn: 02:30 happens twice; the earlier one is summer time (+02:00).
            (Tz::Europe__Berlin, "2024-10-27 02:30:00", "2024-10-27 00:30:00"),
            (Tz::Europe__Berlin, "2024-10-27 03:00:00", "2024-10-27 02:00:00"),
            // Spring: 02:30 does not happen; it is 03:30 summer time.
            (Tz::Europe__Berlin, "2024-03-31 02:30:00", "2024-03-31 01:30:00"),
            (Tz::Europe__Berlin, "2024-03-31 03:30:00", "2024-03-31 01:30:00"),
            // A gap of half an hour, and one of a whole day.
            (Tz::Australia__Lord_Howe, "2024-10-06 02:15:00", "2024-10-05 15:45:00"),
            (Tz::Pacific__Apia, "2011-12-30 12:00:00", "2011-12-30 22:00:00"),
            (Tz::UTC, "9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999"),
        ];
        for (zone, text, expected) in cases {
            assert_eq!(datetime(text, zone).map(|m| m.to_string()), Ok(expected.to_owned()), "{text} in {zone}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        let cases = [
            "2024-05-05 10:00",
            "2024-05-05 25:00:00",
            "2024-05-05 10:00:60",
            "2024-05-05 10:00:00.1234567",
            "2024-05-05 10:00:00.",
            "2024-05-05 10:00:00 IST",
            "2024-05-05 10:00:00+25:00",
            "2024-05-05 10:00:00+01:99",
            "05.05.2024 10:00:00",
            "2024-13-05 10:00:00",
            "0000-00-00 00:00:00",
            "tomorrow",
        ];
        for text in cases {
            assert!(datetime(text, Tz::UTC).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_of_day_needs_no_padding() {
        let cases =
            [("7:05:09", "07:05:09"), ("7:5:9.25", "07:05:09.250"), ("07:05", "07:05:00"), ("23:59:59", "23:59:59")];
        for (text, expected) in cases {
            assert_eq!(time(text).map(|t| t.to_string()), Ok(expected.to_owned()), "{text}");
        }
        for (text, expected) in [("12:00:1e-06", "12:00:00.000001"), ("12:00:2.5e-05", "12:00:00.000025")] {
            assert_eq!(time(text).map(|t| t.to_string()), Ok(expected.to_owned()), "{text}");
        }
        for text in ["24:00:00", "838:59:59", "-1:00:00"] {
            assert!(time(text).is_err_and(|offence| offence.to_string().contains("outside one day")), "{text}");
        }
        for text in ["7", "7:60:00", "7:00:60", "7:00:00.1234567", "7:00:00 pm", "7:00:1e-07", "7:00:1e6", ""] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_wall_time_has_its_instant(seconds in -62_135_596_800_i64..253_402_300_800, zone in 0..chrono_tz::TZ_VARIANTS.len()) {
            let zone = chrono_tz::TZ_VARIANTS[zone];
            let wall = chrono::DateTime::from_timestamp(seconds, 0).expect("in range").naive_utc();
            let text = format!("{:04}-{}", chrono::Datelike::year(&wall), wall.format("%m-%d %H:%M:%S"));
            let instant = datetime(&text, zone).expect("a moment");
            let shown = zone.from_utc_datetime(&instant).naive_local();
            // Only a wall time that a gap skips comes out later, by no more than a day.
            let moved = shown - wall;
            let is_skipped = zone.from_local_datetime(&wall).earliest().is_none();
            assert!(if is_skipped { moved > TimeDelta::zero() && moved <= TimeDelta::days(1) } else { moved.is_zero() });
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[-0-9: T.Z+é]{0,30}") {
            // A text is at most one of the three, but for a date, which is also a moment.
            assert!(date(&text).is_err() || time(&text).is_err());
            assert!(datetime(&text, Tz::Asia__Kolkata).is_err() || time(&text).is_err());
        }
    }
}
