//! Promise 5, for a whole fleet: 500 outlets at one HQ, by a virtual clock. Schedule, splay, gate, backoff and the tries
//! of failed runs are milkrun's own; HQ and the shape of a round are modelled.

mod hq;
mod outlet;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use milkrun::config;

use crate::support::say;
use hq::{Answer, Hq, RateLimit};
use outlet::{Outlet, Wish};

const OUTLETS: usize = 500;
const WORKERS: usize = 8;

/// One way to or from HQ.
const LINE: Duration = Duration::from_millis(25);

/// The people at HQ: one request of 80 ms a second.
const PEOPLE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(80));

/// 30 minutes of server time an hour, of which outlets leave a tenth alone. The fleet in step takes 12 of them, the people
/// at HQ under 5, and six hours of news about as many as the fleet in step.
const HOURLY: RateLimit = RateLimit { budget: minutes(30), window: minutes(60) };

const EVERY_FIVE_MINUTES: [&str; 5] = ["0 */5 * * * *"; 5];
const HOURLY_AND_NIGHTLY: [&str; 2] = ["0 0 * * * *", "0 0 2 * * *"];

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// The outlets' clock: the simulation begins at eight in the evening.
fn wall(at: Duration) -> DateTime<Utc> {
    DateTime::from_timestamp(1_798_833_600, 0).unwrap() + TimeDelta::from_std(at).unwrap()
}

/// Dice that fall the same way for one seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn unit(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap()) / f64::from(u32::MAX)
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.next() % (to - from))
    }
}

#[derive(Clone)]
struct Scenario {
    seed: u64,
    jobs: &'static [&'static str],
    splay: &'static str,
    limit: RateLimit,
    away: Range<Duration>,
    end: Duration,
}

impl Scenario {
    /// In step from 20:00 on, HQ away for six hours; it comes back at another minute for each seed.
    fn new(seed: u64, jobs: &'static [&'static str], splay: &'static str) -> Self {
        let away = minutes(130 + 7 * seed);
        let back = away + minutes(6 * 60) + Duration::from_secs(13 * seed);
        Self { seed, jobs, splay, limit: HOURLY, away: away..back, end: back + minutes(30) }
    }

    fn config(&self) -> config::Config {
        let mut text = format!(
            "[site]\nname = \"outlet\"\ntime_zone = \"UTC\"\n[hq]\nurl = \"https://hq.example.com\"\n\
             auth = {{ kind = \"token\", api_key = \"k\", api_secret = \"s\" }}\ntime_zone = \"UTC\"\n\
             [local]\nurl = \"sqlite://outlet.db\"\n[daemon]\nsplay = \"{}\"\n",
            self.splay
        );
        for (at, schedule) in self.jobs.iter().enumerate() {
            text.push_str(&format!(
                "[[job]]\nname = \"job{at}\"\ndoctype = \"Type {at}\"\nschedule = \"{schedule}\"\n\
                 table = \"table{at}\"\nkey = \"name\"\n[job.fields]\nname = \"name\"\n"
            ));
        }
        config::parse("sync.toml", &text, Path::new("."), &config::Environment::new()).unwrap()
    }
}

/// What HQ saw.
#[derive(Debug, Default)]
struct Seen {
    /// Requests of the outlets in each minute.
    minutes: Vec<u32>,
    too_many: Vec<Duration>,
    overflowed: u32,
    longest_queue: usize,
    /// People who were told to wait.
    people_held: u32,
    in_step_at: Duration,
    stragglers: usize,
}

impl Seen {
    fn between(&self, from: Duration, to: Duration) -> &[u32] {
        let minute = |at: Duration| usize::try_from(at.as_secs() / 60).unwrap();
        &self.minutes[minute(from)..minute(to)]
    }
}

fn mean(minutes: &[u32]) -> f64 {
    f64::from(minutes.iter().sum::<u32>()) / f64::from(u32::try_from(minutes.len()).unwrap())
}

fn peak(minutes: &[u32]) -> u32 {
    minutes.iter().copied().max().unwrap()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Look(usize),
    Ask(usize),
    Arrive(usize, Duration),
    Answer(usize),
    Person,
}

/// Runs the fleet; the events of one moment in the order in which they were planned.
struct World {
    queue: BinaryHeap<Reverse<(Duration, u64, What)>>,
    planned: u64,
    outlets: Vec<Outlet>,
    /// The answers under way.
    answers: Vec<Option<Answer>>,
    /// The looks that are planned.
    looks: Vec<Duration>,
    hq: Hq,
    dice: Dice,
    seen: Seen,
}

impl World {
    fn new(scenario: &Scenario) -> Self {
        let mut config = scenario.config();
        let outlet = |at: usize| {
            config.site.name = format!("outlet-{}-{at:03}", scenario.seed);
            Outlet::new(&config)
        };
        let outlets: Vec<_> = (0..OUTLETS).map(outlet).collect();
        let mut world = Self {
            queue: BinaryHeap::new(),
            planned: 0,
            outlets,
            answers: vec![None; OUTLETS],
            looks: vec![Duration::ZERO; OUTLETS],
            hq: Hq::new(WORKERS, scenario.limit, scenario.away.clone()),
            dice: Dice(scenario.seed),
            seen: Seen::default(),
        };
        world.seen.minutes = vec![0; usize::try_from(scenario.end.as_secs() / 60).unwrap() + 1];
        world.plan(PEOPLE.0, What::Person);
        for at in 0..OUTLETS {
            world.plan(world.outlets[at].look_at, What::Look(at));
        }
        world
    }

    fn plan(&mut self, at: Duration, what: What) {
        self.planned += 1;
        self.queue.push(Reverse((at, self.planned, what)));
    }

    fn run(mut self, end: Duration) -> Seen {
        while let Some(Reverse((now, _, what))) = self.queue.pop()
            && now < end
        {
            self.happens(now, what);
        }
        self.seen.overflowed = self.hq.overflowed;
        self.seen.longest_queue = self.hq.longest_queue;
        self.seen.in_step_at = self.outlets.iter().map(|outlet| outlet.in_step_at).max().unwrap();
        self.seen.stragglers = self.outlets.iter().filter(|outlet| !outlet.is_in_step()).count();
        self.seen
    }

    fn happens(&mut self, now: Duration, what: What) {
        let (at, wish) = match what {
            What::Person => {
                if let (_, Answer::TooMany(_)) = self.hq.take(now, PEOPLE.1) {
                    self.seen.people_held += 1;
                }
                return self.plan(now + PEOPLE.0, What::Person);
            }
            What::Arrive(at, cost) => {
                self.seen.minutes[usize::try_from(now.as_secs() / 60).unwrap()] += 1;
                let (answered, answer) = self.hq.take(now, cost);
                if let Answer::TooMany(_) = answer {
                    self.seen.too_many.push(now);
                }
                self.answers[at] = Some(answer);
                return self.plan(answered + LINE, What::Answer(at));
            }
            // One that was planned before the plan changed.
            What::Look(at) if self.outlets[at].look_at != now => return,
            What::Look(at) => (at, self.outlets[at].look(now)),
            What::Ask(at) => (at, self.outlets[at].ask(now, &mut self.dice)),
            What::Answer(at) => {
                let answer = self.answers[at].take().unwrap();
                (at, self.outlets[at].answered(now, answer, &mut self.dice))
            }
        };
        match wish {
            Wish::Ask(then) => self.plan(then, What::Ask(at)),
            Wish::Send(cost) => self.plan(now + LINE, What::Arrive(at, cost)),
            Wish::Rest => {}
        }
        let look_at = self.outlets[at].look_at;
        if self.looks[at] != look_at {
            self.looks[at] = look_at;
            self.plan(look_at, What::Look(at));
        }
    }
}

/// What the fleet did before, during and after the outage.
struct Figures {
    steady: (f64, u32),
    away: (f64, u32),
    back: u32,
    held_in_step: usize,
    held_after: usize,
    /// From HQ's return until the last job had its run.
    behind: Duration,
    seen: Seen,
}

fn figures(scenario: &Scenario) -> Figures {
    let seen = World::new(scenario).run(scenario.end);
    let Range { start: gone, end: back } = scenario.away;
    let both = |minutes: &[u32]| (mean(minutes), peak(minutes));
    let figures = Figures {
        steady: both(seen.between(minutes(10), minutes(130))),
        away: both(seen.between(gone + minutes(6), back)),
        back: peak(seen.between(back, scenario.end)),
        held_in_step: seen.too_many.iter().filter(|at| **at < gone).count(),
        held_after: seen.too_many.iter().filter(|at| **at >= back).count(),
        behind: seen.in_step_at.saturating_sub(back),
        seen,
    };
    let Figures { steady, away, back, held_in_step, held_after, behind, seen } = &figures;
    say!(
        "{} jobs, splay {:>3}, seed {} | in step {:>4.0}/min, peak {:>4}, 429: {held_in_step} | away {:>3.0}/min, peak {:>4} | \
         back: peak {back:>4}, 429: {held_after}, 502: {}, queue {:>3}, all in step after {:>4.1} min",
        scenario.jobs.len(),
        scenario.splay,
        scenario.seed,
        steady.0,
        steady.1,
        away.0,
        away.1,
        seen.overflowed,
        seen.longest_queue,
        behind.as_secs_f64() / 60.0,
    );
    figures
}

/// HQ is not overrun and holds nobody back, and all come in step in time.
fn assert_no_second_outage(figures: &Figures) {
    assert_eq!(figures.held_in_step + figures.held_after, 0, "429");
    assert_eq!((figures.seen.overflowed, figures.seen.people_held), (0, 0), "502, and people who had to wait");
    assert_eq!(figures.seen.stragglers, 0);
    assert!(figures.behind > Duration::ZERO && figures.behind <= minutes(15), "{:?}", figures.behind);
}

fn assert_jobs_of_every_five_minutes(seed: u64) {
    let figures = figures(&Scenario::new(seed, &EVERY_FIVE_MINUTES, "5m"));
    assert_no_second_outage(&figures);
    let (mean, peak) = figures.steady;
    assert!(mean > 590.0 && f64::from(peak) <= 2.0 * mean, "{peak} of {mean}");
    // One probe an outlet in five minutes, and some that a draw of the gate put off.
    assert!(figures.away.0 <= 110.0 && figures.away.1 <= 150, "{:?}", figures.away);
    assert!(f64::from(figures.back) <= 5.0 * mean, "{}", figures.back);
}

#[test]
fn a_fleet_is_never_told_to_wait_and_comes_back_after_an_outage_without_another() {
    assert_jobs_of_every_five_minutes(1);
}

#[test]
fn so_does_a_fleet_of_other_names_and_hours() {
    assert_jobs_of_every_five_minutes(2);
}

#[test]
fn hourly_and_nightly_jobs_are_in_step_a_quarter_of_an_hour_after_an_outage() {
    for seed in [1, 4] {
        let figures = figures(&Scenario::new(seed, &HOURLY_AND_NIGHTLY, "5m"));
        assert_no_second_outage(&figures);
        assert!(figures.away.0 <= 150.0, "{:?}", figures.away);
    }
}

// What comes after an outage is said, not claimed: so many at once are more than these workers and their queue take.
#[test]
fn with_the_default_splay_a_fleet_in_step_comes_in_half_a_minute_of_each_five() {
    let figures = figures(&Scenario::new(1, &EVERY_FIVE_MINUTES, "30s"));
    assert_eq!(figures.held_in_step, 0);
    let (mean, peak) = figures.steady;
    assert!((4.0 * mean..=6.0 * mean).contains(&f64::from(peak)), "{peak} of {mean}");
}
