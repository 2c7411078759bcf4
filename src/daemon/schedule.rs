//! When a job is due: cron in the site's zone, later by the site's share of `daemon.splay`. Arithmetic only.
//!
//! Daylight saving: a time that the clocks skip runs once, right after the gap; a fixed time that they repeat runs
//! once, the first time; a job that runs every few minutes or hours keeps running through the repeated hour.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use xxhash_rust::xxh3::xxh3_64;

use crate::config;

/// A clock that went back by no more than this was set right a little, and nothing is due twice; one that went back
/// further was wrong before (a dead battery), and what was planned by it is worth nothing.
const SMALL_STEP_BACK: TimeDelta = TimeDelta::minutes(5);

/// The first moment after `after` that the pattern names, read in `zone`; `None` if there is none.
#[must_use]
pub fn next_run(pattern: &croner::Cron, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let next = pattern.find_next_occurrence(&after.with_timezone(&zone), false).ok()?;
    Some(next.with_timezone(&Utc))
}

/// How much later than its schedule an outlet starts: a share of `bound` that the site's name fixes for ever.
///
/// A thousand outlets on the same cron minute spread over it. In whole milliseconds, less than `bound`.
#[must_use]
pub fn splay(site: &str, bound: Duration) -> Duration {
    let share = bound.as_millis().saturating_mul(u128::from(xxh3_64(site.as_bytes()))) >> 64_u32;
    Duration::from_millis(u64::try_from(share).unwrap_or(u64::MAX))
}

/// A job's schedule as this outlet keeps it.
#[derive(Debug, Clone)]
pub struct Schedule {
    pattern: croner::Cron,
    zone: Tz,
    splay: TimeDelta,
}

impl Schedule {
    /// The pattern, read in `zone`, and started `splay` later.
    #[must_use]
    pub fn new(pattern: croner::Cron, zone: Tz, splay: Duration) -> Self {
        // A splay that no calendar holds is none; the configuration allows nothing near it.
        Self { pattern, zone, splay: TimeDelta::from_std(splay).unwrap_or_default() }
    }

    /// The schedules of all jobs, in the order of the file.
    #[must_use]
    pub fn all(config: &config::Config) -> Vec<Self> {
        let splay = splay(&config.site.name, config.daemon.splay);
        let of = |job: &config::Job| Self::new(job.schedule.pattern.clone(), config.site.time_zone, splay);
        config.jobs.iter().map(of).collect()
    }

    /// When the job starts next after `after`.
    #[must_use]
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let due = next_run(&self.pattern, self.zone, after.checked_sub_signed(self.splay)?)?;
        due.checked_add_signed(self.splay)
    }

    /// Whether the job should have started since its last good run, or never had one.
    #[must_use]
    pub fn was_missed(&self, last_ok: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
        last_ok.is_none_or(|last_ok| self.next(last_ok).is_some_and(|due| due <= now))
    }

    /// From when on the last good run is older than the schedule promises: two starts have passed it by.
    #[must_use]
    pub fn stale_at(&self, last_ok: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.next(self.next(last_ok)?)
    }
}

/// What is due next, for all jobs. However many starts of a job went by unnoticed, it is due once.
#[derive(Debug)]
pub(super) struct Timetable {
    jobs: Vec<(Schedule, Option<DateTime<Utc>>)>,
    read_at: DateTime<Utc>,
}

impl Timetable {
    /// Nothing is due yet; what was missed before `now` is the caller's to decide.
    pub(super) fn new(schedules: Vec<Schedule>, now: DateTime<Utc>) -> Self {
        let planned = |schedule: Schedule| {
            let next = schedule.next(now);
            (schedule, next)
        };
        Self { jobs: schedules.into_iter().map(planned).collect(), read_at: now }
    }

    /// The positions of the jobs that are due, each of which is then planned anew.
    pub(super) fn take_due(&mut self, now: DateTime<Utc>) -> Vec<usize> {
        if self.read_at.signed_duration_since(now) > SMALL_STEP_BACK {
            tracing::warn!(before = %self.read_at, %now, "the clock went back; every job is planned anew");
            for (schedule, next) in &mut self.jobs {
                *next = schedule.next(now);
            }
        }
        self.read_at = now;
        let mut due = Vec::new();
        for (job, (schedule, next)) in self.jobs.iter_mut().enumerate() {
            if next.is_some_and(|next| next <= now) {
                *next = schedule.next(now);
                due.push(job);
            }
        }
        due
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashSet;

    use chrono_tz::{Asia::Kolkata, Europe::Berlin};
    use croner::parser::{CronParser, Seconds};

    use super::*;

    pub(crate) fn cron(pattern: &str) -> croner::Cron {
        CronParser::builder().seconds(Seconds::Required).build().parse(pattern).unwrap()
    }

    pub(crate) fn at(moment: &str) -> DateTime<Utc> {
        moment.parse().unwrap()
    }

    fn plain(pattern: &str) -> Schedule {
        Schedule::new(cron(pattern), Kolkata, Duration::ZERO)
    }

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
        let half_hourly = runs("0 */30 * * * *", Berlin, "2027-03-28T00:10:00Z", 4);
        assert_eq!(half_hourly, ["28 00:30", "28 01:00", "28 01:30", "28 02:00"]);
    }

    #[test]
    fn a_time_that_the_clocks_repeat_runs_once_and_a_frequent_job_runs_on() {
        // 2026-10-25: 03:00 CEST (01:00Z) becomes 02:00 CET.
        let daily = runs("0 30 2 * * *", Berlin, "2026-10-23T12:00:00Z", 4);
        assert_eq!(daily, ["24 00:30", "25 00:30", "26 01:30", "27 01:30"]);
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
    fn the_next_run_lies_after_the_moment_itself() {
        let every_second = cron("* * * * * *");
        assert_eq!(next_run(&every_second, Kolkata, at("2027-01-01T00:00:00Z")), Some(at("2027-01-01T00:00:01Z")));
        assert_eq!(next_run(&every_second, Kolkata, at("2027-01-01T00:00:00.4Z")), Some(at("2027-01-01T00:00:01Z")));
    }

    #[test]
    fn a_site_always_has_the_same_splay_and_sites_differ() {
        let bound = Duration::from_secs(30);
        assert_eq!(splay("outlet-042", bound), Duration::from_millis(20_525));
        assert_eq!(splay("outlet-042", Duration::ZERO), Duration::ZERO);
        let splays: Vec<_> = (0..1000).map(|site| splay(&format!("outlet-{site:03}"), bound)).collect();
        assert!(splays.iter().all(|splay| *splay < bound));
        // No second takes more than twice its share of a thousand outlets.
        let in_second = |second| splays.iter().filter(|splay| splay.as_secs() == second).count();
        assert!((0..30).all(|second| (10..=67).contains(&in_second(second))));
        assert!(splays.iter().collect::<HashSet<_>>().len() > 950);
    }

    #[test]
    fn a_splayed_job_starts_that_much_later_each_time() {
        let schedule = Schedule::new(cron("0 */5 * * * *"), Kolkata, Duration::from_secs(20));
        let first = schedule.next(at("2027-01-01T00:04:00Z"));
        assert_eq!(first, Some(at("2027-01-01T00:05:20Z")));
        assert_eq!(schedule.next(at("2027-01-01T00:05:10Z")), first);
        assert_eq!(schedule.next(at("2027-01-01T00:05:20Z")), Some(at("2027-01-01T00:10:20Z")));
    }

    #[test]
    fn a_run_is_missed_when_a_start_went_by_since_the_last_good_one() {
        let schedule = plain("0 */5 * * * *");
        let last_ok = Some(at("2027-01-01T00:05:01Z"));
        assert!(schedule.was_missed(None, at("2027-01-01T00:00:00Z")));
        assert!(!schedule.was_missed(last_ok, at("2027-01-01T00:09:59Z")));
        assert!(schedule.was_missed(last_ok, at("2027-01-01T00:10:00Z")));
        assert!(schedule.was_missed(last_ok, at("2027-01-03T00:00:00Z")));
    }

    #[test]
    fn a_job_is_stale_when_two_starts_went_by() {
        let hourly = plain("0 30 * * * *");
        assert_eq!(hourly.stale_at(at("2027-01-01T00:00:01Z")), Some(at("2027-01-01T02:00:00Z")));
    }

    #[test]
    fn starts_that_went_by_unnoticed_are_due_once() {
        let mut table = Timetable::new(vec![plain("*/10 * * * * *"), plain("0 0 0 1 1 *")], at("2027-02-01T00:00:01Z"));
        assert_eq!(table.take_due(at("2027-02-01T00:00:09Z")), [0; 0]);
        assert_eq!(table.take_due(at("2027-02-01T00:10:00Z")), [0]);
        assert_eq!(table.take_due(at("2027-02-01T00:10:00.5Z")), [0; 0]);
        assert_eq!(table.take_due(at("2027-02-01T00:10:10Z")), [0]);
    }

    #[test]
    fn a_clock_set_back_a_little_makes_nothing_due_twice_and_one_set_back_far_does_not_stop_a_job() {
        let mut table = Timetable::new(vec![plain("0 * * * * *")], at("2040-01-01T00:00:30Z"));
        assert_eq!(table.take_due(at("2040-01-01T00:01:00Z")), [0]);
        assert_eq!(table.take_due(at("2040-01-01T00:00:58Z")), [0; 0]);
        assert_eq!(table.take_due(at("2040-01-01T00:01:01Z")), [0; 0]);
        assert_eq!(table.take_due(at("2027-01-01T00:00:30Z")), [0; 0]);
        assert_eq!(table.take_due(at("2027-01-01T00:01:00Z")), [0]);
    }
}
