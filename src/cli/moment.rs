//! A moment as an operator types it, in the outlet's zone: `8h`, `18:00`, `yesterday`, `2026-11-25 18:00`.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;

use super::output::Usage;

/// What can be typed.
const FORMS: &str = "write how long ago (\"8h\", \"90m\", \"2d\"), \"today\", \"yesterday\", a time of day (\"18:00\", the last \
                     one), or a moment (\"2026-11-25\", \"2026-11-25 18:00\")";

/// The moment that is meant.
pub(super) fn moment(text: &str, now: DateTime<Utc>, zone: Tz) -> Result<DateTime<Utc>, Usage> {
    let found = read(text.trim(), now, zone).ok_or_else(|| Usage(format!("{text:?} is no moment: {FORMS}")))?;
    if found > now {
        return Err(Usage(format!("{text:?} is still to come: it is {} now", at(now, zone))));
    }
    Ok(found)
}

/// A moment by the outlet's clock.
fn at(moment: DateTime<Utc>, zone: Tz) -> String {
    moment.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string()
}

fn read(text: &str, now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
    if let Ok(exact) = DateTime::parse_from_rfc3339(text) {
        return Some(exact.with_timezone(&Utc));
    }
    if let Some(ago) = length(text) {
        return now.checked_sub_signed(ago);
    }
    let today = now.with_timezone(&zone).date_naive();
    if let Some(date) = date(text, today) {
        return here(date.and_time(NaiveTime::MIN), zone);
    }
    if let Some(time) = time(text) {
        let last = here(today.and_time(time), zone).filter(|moment| *moment <= now);
        return last.or_else(|| here(today.checked_sub_days(Days::new(1))?.and_time(time), zone));
    }
    let (day, of_day) = text.split_once([' ', 'T'])?;
    here(date(day, today)?.and_time(time(of_day.trim())?), zone)
}

/// A moment of the wall clock; the first of two in the autumn hour, and in the spring gap what comes after it.
fn here(wall: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let found = zone.from_local_datetime(&wall).earliest();
    let found = found.or_else(|| zone.from_local_datetime(&(wall + TimeDelta::hours(1))).earliest());
    found.map(|moment| moment.with_timezone(&Utc))
}

fn date(text: &str, today: NaiveDate) -> Option<NaiveDate> {
    match text {
        "today" => Some(today),
        "yesterday" => today.checked_sub_days(Days::new(1)),
        _ => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok(),
    }
}

fn time(text: &str) -> Option<NaiveTime> {
    ["%H:%M", "%H:%M:%S", "%H:%M:%S%.f"]
        .into_iter()
        .find_map(|form| NaiveTime::parse_from_str(text, form).ok())
}

fn length(text: &str) -> Option<TimeDelta> {
    let unit_at = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let number: i64 = number.parse().ok()?;
    match unit.trim() {
        "s" => TimeDelta::try_seconds(number),
        "m" | "min" => TimeDelta::try_minutes(number),
        "h" => TimeDelta::try_hours(number),
        "d" | "day" | "days" => TimeDelta::try_days(number),
        "w" => TimeDelta::try_weeks(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::{Asia::Kolkata, Europe::Berlin};

    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_moment_is_read_as_people_write_it() {
        // 09:30 in Kolkata.
        let now = utc("2026-11-26T04:00:00Z");
        for (typed, meant) in [
            ("8h", "2026-11-25T20:00:00Z"),
            ("90m", "2026-11-26T02:30:00Z"),
            ("2 d", "2026-11-24T04:00:00Z"),
            ("today", "2026-11-25T18:30:00Z"),
            ("yesterday", "2026-11-24T18:30:00Z"),
            ("yesterday 18:00", "2026-11-25T12:30:00Z"),
            ("09:00", "2026-11-26T03:30:00Z"),
            ("18:00", "2026-11-25T12:30:00Z"),
            ("2026-11-25", "2026-11-24T18:30:00Z"),
            ("2026-11-25 18:00", "2026-11-25T12:30:00Z"),
            ("2026-11-25T18:00:01.5", "2026-11-25T12:30:01.500Z"),
            ("2026-11-25T18:00:00Z", "2026-11-25T18:00:00Z"),
        ] {
            assert_eq!(moment(typed, now, Kolkata).unwrap(), utc(meant), "{typed}");
        }
        for bad in ["", "soon", "8", "8 parsecs", "2026-13-01", "25:00", "tomorrow", "10:00 yesterday", "-8h", "8é"] {
            assert!(moment(bad, now, Kolkata).unwrap_err().0.contains("yesterday"), "{bad}");
        }
        assert!(
            moment("2026-11-27", now, Kolkata)
                .unwrap_err()
                .0
                .contains("still to come: it is 2026-11-26 09:30:00")
        );
    }

    #[test]
    fn a_wall_clock_that_jumps_still_gives_a_moment() {
        let now = utc("2026-11-26T04:00:00Z");
        assert_eq!(moment("2026-10-25 02:30", now, Berlin).unwrap(), utc("2026-10-25T00:30:00Z"));
        assert_eq!(moment("2026-03-29 02:30", now, Berlin).unwrap(), utc("2026-03-29T01:30:00Z"));
    }
}
