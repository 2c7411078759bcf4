//! When a job is due: cron in the site's zone, later by the site's share of `daemon.splay`. Arithmetic only.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use xxhash_rust::xxh3::xxh3_64;

use super::moments::next_run;
use super::roster::Roster;
use crate::config::Config;

/// A clock is read twice a second; one that goes by more between two readings is worth a line.
const NOTED_STEP: TimeDelta = TimeDelta::minutes(5);

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
    pub fn all(config: &Config) -> Vec<Self> {
        Roster::of(config).schedules()
    }

    /// When each job is reconciled, in the order of the file; `None` where that is done by hand only.
    #[must_use]
    pub fn reconciles(config: &Config) -> Vec<Option<Self>> {
        Roster::of(config).reconciles()
    }

    /// When the job starts next after `after`.
    #[must_use]
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let due = next_run(&self.pattern, self.zone, after.checked_sub_signed(self.splay)?)?;
        due.checked_add_signed(self.splay)
    }

    /// Whether the job should have started since its last good run, or never had one; also where that ran by a clock that
    /// was ahead, as nobody knows how old it is.
    #[must_use]
    pub fn was_missed(&self, last_ok: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
        last_ok.is_none_or(|last_ok| last_ok > now || self.next(last_ok).is_some_and(|due| due <= now))
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
    jobs: Vec<Planned>,
    read_at: DateTime<Utc>,
}

#[derive(Debug)]
struct Planned {
    schedule: Schedule,
    /// When the start before the next one was planned, or the job itself.
    since: DateTime<Utc>,
    next: Option<DateTime<Utc>>,
}

impl Planned {
    fn new(schedule: Schedule, now: DateTime<Utc>) -> Self {
        Self { next: schedule.next(now), since: now, schedule }
    }

    fn plan(&mut self, now: DateTime<Utc>) {
        (self.since, self.next) = (now, self.schedule.next(now));
    }

    /// Whether a clock that went back to `now` leaves the plan as good as it was. Within the job's own distance the
    /// next start comes a little late, and nothing is started twice; beyond it the job would be silent for long.
    fn stands(&self, now: DateTime<Utc>) -> bool {
        self.next.is_none_or(|next| self.since - now <= next - self.since)
    }
}

impl Timetable {
    /// Nothing is due yet; what was missed before `now` is the caller's to decide.
    pub(super) fn new(schedules: Vec<Schedule>, now: DateTime<Utc>) -> Self {
        Self { jobs: schedules.into_iter().map(|schedule| Planned::new(schedule, now)).collect(), read_at: now }
    }

    /// The positions of the jobs that are due, each of which is then planned anew.
    pub(super) fn take_due(&mut self, now: DateTime<Utc>) -> Vec<usize> {
        let step = now.signed_duration_since(self.read_at);
        if step < -NOTED_STEP || step > NOTED_STEP {
            tracing::info!(before = %self.read_at, %now, "the clock jumped, or this machine slept; what was missed runs once");
        }
        self.read_at = now;
        let mut due = Vec::new();
        for (at, job) in self.jobs.iter_mut().enumerate() {
            if !job.stands(now) {
                job.plan(now);
            }
            if job.next.is_some_and(|next| next <= now) {
                job.plan(now);
                due.push(at);
            }
        }
        due
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashSet;

    use chrono_tz::Asia::Kolkata;
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
        assert!(schedule.was_missed(last_ok, at("2026-12-31T00:00:00Z")), "by a clock that was ahead");
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
    fn a_machine_that_slept_or_a_clock_set_forward_makes_each_job_due_once() {
        let jobs = vec![plain("*/10 * * * * *"), plain("0 0 * * * *"), plain("0 0 0 1 1 *")];
        let mut table = Timetable::new(jobs, at("2027-02-01T00:00:01Z"));
        assert_eq!(table.take_due(at("2027-02-01T08:00:00Z")), [0, 1]);
        assert_eq!(table.take_due(at("2027-02-01T08:00:00.5Z")), [0; 0]);
        assert_eq!(table.take_due(at("2027-02-22T08:00:00.5Z")), [0, 1]);
    }

    #[test]
    fn a_clock_set_back_starts_nothing_twice_within_a_jobs_own_distance_and_silences_none_for_long() {
        let jobs = vec![plain("0 * * * * *"), plain("0 0 * * * *"), plain("0 0 0 * * *")];
        let mut table = Timetable::new(jobs, at("2027-01-01T18:29:30Z"));
        // Midnight in Kolkata: 18:30Z.
        assert_eq!(table.take_due(at("2027-01-01T18:30:00Z")), [0, 1, 2]);
        let mut starts = [0; 3];
        // Twenty minutes back, and then two hours on, second by second.
        for second in 0..7_200 {
            let now = at("2027-01-01T18:10:00Z") + TimeDelta::seconds(second);
            for job in table.take_due(now) {
                starts[job] += 1;
            }
        }
        // Each minute; on the hour at 19:30 only (the half hours of 18:30Z were had); the day's midnight was had.
        assert_eq!(starts, [119, 1, 0]);
    }

    #[test]
    fn a_clock_that_was_years_ahead_does_not_stop_a_job() {
        let mut table = Timetable::new(vec![plain("0 * * * * *")], at("2040-01-01T00:00:30Z"));
        assert_eq!(table.take_due(at("2040-01-01T00:01:00Z")), [0]);
        assert_eq!(table.take_due(at("2040-01-01T00:00:58Z")), [0; 0]);
        assert_eq!(table.take_due(at("2040-01-01T00:01:01Z")), [0; 0]);
        assert_eq!(table.take_due(at("2027-01-01T00:00:30Z")), [0; 0]);
        assert_eq!(table.take_due(at("2027-01-01T00:01:00Z")), [0]);
    }
}
