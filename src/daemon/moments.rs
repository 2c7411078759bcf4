//! The moments that a cron pattern names in a zone, daylight saving included. Arithmetic only.
//!
//! A pattern names wall times, and is read as if there were no zones; what a wall time means is decided here, as croner
//! drops a time of several (`0 0,30 2 * * *`) in a gap, repeats it in the repeated hour, and gives up at a skipped day.
//!
//! - A time that the clocks skip is due right after the gap, together with all others of the gap.
//! - A time that they repeat is due once, the first time; but a pattern that names every hour means "every so often", and
//!   keeps its pace through the repeated hour.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset as _, TimeZone as _, Utc};
use chrono_tz::Tz;

/// No zone was ever further from UTC than this, in seconds.
const FURTHEST: i64 = 26 * 3_600;

/// The first moment after `after` that the pattern names, read in `zone`; `None` if there is none.
#[must_use]
pub(super) fn next_run(pattern: &croner::Cron, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let wall = wall(zone, after);
    let MappedLocalTime::Ambiguous(first, second) = zone.from_local_datetime(&wall) else {
        return Some(moment(zone, following(pattern, wall)?));
    };
    let repeated = Repeated::between(zone, first.to_utc(), second.to_utc());
    match (is_steady(pattern), after >= repeated.turn) {
        (false, false) => Some(moment(zone, following(pattern, wall)?)),
        (false, true) => Some(moment(zone, at_or_following(pattern, repeated.end)?)),
        (true, true) => Some(repeated.second(zone, following(pattern, wall)?)),
        (true, false) => {
            let next = moment(zone, following(pattern, wall)?);
            let again = repeated.second(zone, at_or_following(pattern, repeated.start)?);
            Some(next.min(again))
        }
    }
}

/// Whether the pattern names every hour.
fn is_steady(pattern: &croner::Cron) -> bool {
    (0..24).all(|hour| pattern.pattern.hour_match(hour).unwrap_or(false))
}

fn following(pattern: &croner::Cron, wall: NaiveDateTime) -> Option<NaiveDateTime> {
    pattern.find_next_occurrence(&wall.and_utc(), false).ok().map(|next| next.naive_utc())
}

fn at_or_following(pattern: &croner::Cron, wall: NaiveDateTime) -> Option<NaiveDateTime> {
    pattern.find_next_occurrence(&wall.and_utc(), true).ok().map(|next| next.naive_utc())
}

fn wall(zone: Tz, moment: DateTime<Utc>) -> NaiveDateTime {
    moment.with_timezone(&zone).naive_local()
}

/// The moment of a wall time: the first of two, or the end of the gap that it lies in.
fn moment(zone: Tz, due: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&due) {
        MappedLocalTime::Single(moment) | MappedLocalTime::Ambiguous(moment, _) => moment.to_utc(),
        MappedLocalTime::None => {
            let near = due.and_utc().timestamp();
            first(near - FURTHEST, near + FURTHEST, |moment| wall(zone, moment) > due)
        }
    }
}

/// The stretch of wall time that the clocks show twice.
#[derive(Debug)]
struct Repeated {
    /// Its first and the one after its last wall time.
    start: NaiveDateTime,
    end: NaiveDateTime,
    /// When the clocks go back from `end` to `start`.
    turn: DateTime<Utc>,
}

impl Repeated {
    /// Around two moments of one wall time.
    fn between(zone: Tz, first_time: DateTime<Utc>, second_time: DateTime<Utc>) -> Self {
        let offset = |moment: &DateTime<Utc>| zone.offset_from_utc_datetime(&moment.naive_utc()).fix();
        let (before, after) = (offset(&first_time), offset(&second_time));
        let turn = first(first_time.timestamp(), second_time.timestamp(), |moment| offset(&moment) == after);
        Self { start: (turn.naive_utc() + after), end: (turn.naive_utc() + before), turn }
    }

    /// The moment of a wall time, the second one where it lies in this stretch.
    fn second(&self, zone: Tz, due: NaiveDateTime) -> DateTime<Utc> {
        match zone.from_local_datetime(&due) {
            MappedLocalTime::Ambiguous(_, second) if (self.start..self.end).contains(&due) => second.to_utc(),
            MappedLocalTime::Ambiguous(..) | MappedLocalTime::Single(_) | MappedLocalTime::None => moment(zone, due),
        }
    }
}

/// The first second after `low`, up to `high`, of which something is so that stays so.
fn first(mut low: i64, mut high: i64, is_so: impl Fn(DateTime<Utc>) -> bool) -> DateTime<Utc> {
    let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if is_so(at(middle)) {
            high = middle;
        } else {
            low = middle;
        }
    }
    at(high)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use chrono::TimeDelta;
    use chrono_tz::{Africa::Casablanca, America::Sao_Paulo, Asia::Kolkata, Australia::Lord_Howe, Europe::Berlin};
    use chrono_tz::{America::New_York, Pacific::Apia};
    use proptest::prelude::*;

    use super::super::schedule::tests::{at, cron};
    use super::*;

    /// The next runs after a moment, as `dd hh:mm` in UTC.
    fn runs(pattern: &str, zone: Tz, after: &str, count: usize) -> Vec<String> {
        let pattern = cron(pattern);
        let following = |last: &DateTime<Utc>| next_run(&pattern, zone, *last);
        let runs = std::iter::successors(Some(at(after)), following).skip(1).take(count);
        runs.map(|run| run.format("%d %H:%M").to_string()).collect()
    }

    #[test]
    fn a_time_that_the_clocks_skip_runs_once_after_the_gap() {
        // 2027-03-28: 02:00 CET (01:00Z) becomes 03:00 CEST.
        let daily = runs("0 30 2 * * *", Berlin, "2027-03-26T12:00:00Z", 4);
        assert_eq!(daily, ["27 01:30", "28 01:00", "29 00:30", "30 00:30"]);
        let several = runs("0 15,45 2 * * *", Berlin, "2027-03-27T12:00:00Z", 3);
        assert_eq!(several, ["28 01:00", "29 00:15", "29 00:45"]);
        let half_hourly = runs("0 */30 * * * *", Berlin, "2027-03-28T00:10:00Z", 4);
        assert_eq!(half_hourly, ["28 00:30", "28 01:00", "28 01:30", "28 02:00"]);
    }

    #[test]
    fn a_time_that_the_clocks_repeat_runs_once_and_a_steady_job_runs_on() {
        // 2026-10-25: 03:00 CEST (01:00Z) becomes 02:00 CET.
        let daily = runs("0 30 2 * * *", Berlin, "2026-10-23T12:00:00Z", 4);
        assert_eq!(daily, ["24 00:30", "25 00:30", "26 01:30", "27 01:30"]);
        let several = runs("0 0 */2 * * *", Berlin, "2026-10-24T21:00:00Z", 4);
        assert_eq!(several, ["24 22:00", "25 00:00", "25 03:00", "25 05:00"]);
        let half_hourly = runs("0 */30 * * * *", Berlin, "2026-10-24T23:45:00Z", 6);
        assert_eq!(half_hourly, ["25 00:00", "25 00:30", "25 01:00", "25 01:30", "25 02:00", "25 02:30"]);
    }

    #[test]
    fn a_daily_job_keeps_its_wall_time_over_the_change() {
        let spring = runs("0 0 6 * * *", Berlin, "2027-03-26T12:00:00Z", 3);
        assert_eq!(spring, ["27 05:00", "28 04:00", "29 04:00"]);
        let autumn = runs("0 0 6 * * *", Berlin, "2026-10-23T12:00:00Z", 3);
        assert_eq!(autumn, ["24 04:00", "25 05:00", "26 05:00"]);
    }

    #[test]
    fn a_zone_of_half_hours_is_read_as_such() {
        assert_eq!(runs("0 30 3 * * *", Kolkata, "2026-10-24T12:00:00Z", 2), ["24 22:00", "25 22:00"]);
        assert_eq!(runs("0 0 */6 * * *", Kolkata, "2027-03-27T18:00:00Z", 3), ["27 18:30", "28 00:30", "28 06:30"]);
    }

    #[test]
    fn clocks_that_change_by_half_an_hour_at_midnight_or_by_a_day_are_followed() {
        // Lord Howe, 2026-04-05: 02:00 (+11) becomes 01:30 (+10:30) at 15:00Z; back on 2026-10-04.
        let autumn = runs("0 45 1 * * *", Lord_Howe, "2026-04-03T20:00:00Z", 2);
        assert_eq!(autumn, ["04 14:45", "05 15:15"]);
        let spring = runs("0 15 2 * * *", Lord_Howe, "2026-10-02T20:00:00Z", 2);
        assert_eq!(spring, ["03 15:30", "04 15:15"]);
        // São Paulo, 2018-11-04: midnight (03:00Z) becomes 01:00.
        let midnight = runs("0 0 0 * * *", Sao_Paulo, "2018-11-03T04:00:00Z", 2);
        assert_eq!(midnight, ["04 03:00", "05 02:00"]);
        // Apia had no 2011-12-30: the 29th ended at 10:00Z.
        let skipped = runs("0 0 6 * * *", Apia, "2011-12-29T12:00:00Z", 3);
        assert_eq!(skipped, ["29 16:00", "30 10:00", "30 16:00"]);
        // Casablanca leaves its summer time for Ramadan: 2026-02-15 03:00 (+1, 02:00Z) becomes 02:00.
        let ramadan = runs("0 30 2 * * *", Casablanca, "2026-02-14T12:00:00Z", 2);
        assert_eq!(ramadan, ["15 01:30", "16 02:30"]);
    }

    #[test]
    fn the_next_run_lies_after_the_moment_itself() {
        let every_second = cron("* * * * * *");
        assert_eq!(next_run(&every_second, Kolkata, at("2027-01-01T00:00:00Z")), Some(at("2027-01-01T00:00:01Z")));
        assert_eq!(next_run(&every_second, Kolkata, at("2027-01-01T00:00:00.4Z")), Some(at("2027-01-01T00:00:01Z")));
    }

    /// What a pattern of whole minutes should give from `from` to `to`, by looking at every minute of the stretch.
    fn by_hand(pattern: &croner::Cron, zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> BTreeSet<DateTime<Utc>> {
        let minutes = |from: DateTime<Utc>, to| {
            std::iter::successors(Some(from), |last| Some(*last + TimeDelta::minutes(1))).take_while(move |at| *at < to)
        };
        // A few days more on both sides, so that what the clocks skip or repeat at an edge is seen whole.
        let margin = TimeDelta::days(2);
        let mut shown: BTreeMap<NaiveDateTime, Vec<DateTime<Utc>>> = BTreeMap::new();
        for moment in minutes(from - margin, to + margin) {
            shown.entry(wall(zone, moment)).or_default().push(moment);
        }
        let (lowest, highest) = (*shown.keys().next().unwrap(), *shown.keys().last().unwrap());
        let mut due = BTreeSet::new();
        for time in minutes(lowest.and_utc(), highest.and_utc()) {
            if !pattern.is_time_matching(&time).unwrap() {
                continue;
            }
            match shown.get(&time.naive_utc()) {
                Some(moments) if is_steady(pattern) => due.extend(moments),
                Some(moments) => due.extend(moments.first()),
                None => due.extend(shown.range(time.naive_utc()..).next().and_then(|(_, moments)| moments.first())),
            }
        }
        due.retain(|moment| *moment > from && *moment < to);
        due
    }

    fn field(values: std::ops::Range<u32>) -> impl Strategy<Value = String> {
        prop_oneof![
            2 => Just("*".to_owned()),
            3 => values.clone().prop_map(|value| value.to_string()),
            1 => (1..8_u32).prop_map(|step| format!("*/{step}")),
            2 => prop::collection::btree_set(values, 2..4).prop_map(|set| {
                set.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
            }),
        ]
    }

    /// Zones that change by an hour, by half of one, at midnight, by a day, four times a year, and never, each with
    /// days on which they do.
    fn change() -> impl Strategy<Value = (Tz, &'static str)> {
        prop::sample::select(vec![
            (Berlin, "2026-10-25"),
            (Berlin, "2027-03-28"),
            (New_York, "2026-11-01"),
            (New_York, "2026-03-08"),
            (Lord_Howe, "2026-04-04"),
            (Lord_Howe, "2026-10-03"),
            (Sao_Paulo, "2018-02-18"),
            (Sao_Paulo, "2018-11-04"),
            (Apia, "2011-12-30"),
            (Apia, "2011-04-02"),
            (Casablanca, "2026-02-15"),
            (Casablanca, "2026-03-22"),
            (Kolkata, "2026-10-25"),
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn every_wall_time_is_due_once_and_in_order(
            (zone, day) in change(), minute in field(0..60), hour in field(0..24), weekday in field(0..7), early in 0..3_000_i64
        ) {
            let pattern = cron(&format!("0 {minute} {hour} * * {weekday}"));
            let day = at(&format!("{day}T00:00:00Z"));
            let (from, to) = (day - TimeDelta::minutes(early), day + TimeDelta::days(3));
            let starts = std::iter::successors(Some(from), |last| next_run(&pattern, zone, *last)).skip(1);
            let starts: Vec<_> = starts.take_while(|start| *start < to).collect();
            prop_assert!(starts.windows(2).all(|pair| pair[0] < pair[1]));
            let wanted: Vec<_> = by_hand(&pattern, zone, from, to).into_iter().collect();
            prop_assert_eq!(starts, wanted, "{} in {}", pattern.pattern.as_str(), zone);
        }

        #[test]
        fn a_time_after_any_other_is_never_before_it((zone, day) in change(), seconds in 0..172_800_i64, hour in field(0..24)) {
            let pattern = cron(&format!("0 30 {hour} * * *"));
            let moment = at(&format!("{day}T00:00:00Z")) - TimeDelta::days(1) + TimeDelta::seconds(seconds);
            let next = next_run(&pattern, zone, moment).unwrap();
            prop_assert!(next > moment);
            let before = next_run(&pattern, zone, moment - TimeDelta::hours(1)).unwrap();
            prop_assert!(before <= next);
        }
    }
}
