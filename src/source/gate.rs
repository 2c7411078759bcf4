//! When the next request may go to HQ: arithmetic without a clock, one for all jobs of the process.
//!
//! Four things are weighed: the configured pace, a wait that HQ asked for, HQ's time budget, and an outage. Frappe's
//! budget is server time for the whole site in a fixed window, all users together (recordings 870-873), so that an
//! outlet takes its share of it and leaves a reserve to the people at HQ. `X-RateLimit-Used` is what the answered
//! request itself cost (870: nothing of the limit was gone before, 29,508 µs were used), so what this outlet has taken
//! is the sum over its own answers, and needs no estimate.
//!
//! Every moment is a [`Duration`] since the gate was made, and every `jitter` lies in `0.0..1.0`; both are the caller's.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::pace::Pace;
use crate::config::Hq;

/// Of HQ's budget so much is left to others; below it the outlet waits for the next window.
const RESERVE: f64 = 0.1;

/// With less than so much of HQ's budget left, or of this outlet's share, nothing is asked for that can be done without.
const PLENTY: f64 = 0.5;

/// After a wait that all outlets were told of they come back within this time, or half the wait where that is shorter.
const SPREAD: Duration = Duration::from_secs(60);

/// Longer waits are cut to this: one request an hour is no burden, and a `Retry-After` of years is a mistake.
const LONGEST_HOLD: Duration = Duration::from_secs(3600);

/// An announced end of the window is this far off at most, as headers have whole seconds; a later one is another window.
const WINDOW_SLACK: Duration = Duration::from_secs(2);

/// The first probe after HQ went down; long enough for a restart of its web server.
const FIRST_PROBE: Duration = Duration::from_secs(15);

/// Probes are never further apart: a job that runs every five minutes notices at once that HQ is back.
const LAST_PROBE: Duration = Duration::from_secs(300);

/// What the gate keeps to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests within any second at most; `None` for no bound.
    pub max_requests_per_second: Option<u32>,
    /// The share of HQ's time budget that this outlet takes in a window, `0.0..=1.0`.
    pub budget_share: f64,
    /// A wait beyond this is refused: the run is better ended.
    pub max_wait: Duration,
    /// This site's place among all outlets, `0.0..1.0`, always the same: after a wait that all were told of, outlets come
    /// back one after another.
    pub place: f64,
}

impl Limits {
    /// The limits of the configuration.
    #[must_use]
    pub fn of(hq: &Hq, site: &str) -> Self {
        Self {
            max_requests_per_second: hq.max_requests_per_second,
            budget_share: hq.budget_share / 100.0,
            max_wait: hq.retry.max_delay,
            place: place(site),
        }
    }
}

/// The share of the unit interval that the site's name fixes for ever; not the one that its splay goes by.
#[must_use]
pub fn place(site: &str) -> f64 {
    let hash = xxh3_64(format!("gate of {site}").as_bytes()) >> 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float")]
    let (hash, whole) = (hash as f64, (1_u64 << 53) as f64);
    hash / whole
}

/// What the gate says to one who wants to send a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Turn {
    /// Send it now. A probe is the one request that finds out whether HQ is back; it is not repeated.
    Go {
        /// Whether it is a probe.
        is_probe: bool,
    },
    /// Ask again after this time.
    Wait(Duration),
    /// Send nothing; the run is to end, and a later one will ask again.
    Refused {
        /// Before which moment nothing may go.
        until: Duration,
        /// Why.
        why: Why,
    },
}

/// Why nothing may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// HQ's time budget is used up, by all of its users together.
    Budget,
    /// This outlet has used its share of HQ's time budget.
    Share,
    /// HQ or a proxy asked to wait.
    Asked,
    /// HQ is down since this moment.
    Down(Duration),
}

/// What an answer says about when the next request is welcome.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Notice {
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
    /// `X-RateLimit-*`.
    pub budget: Option<Budget>,
}

/// Frappe's `X-RateLimit-*` headers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Server time that the whole site allows in a window.
    pub limit: Duration,
    /// What was left of it before this request.
    pub remaining: Duration,
    /// What this request cost; a refused one says nothing.
    pub used: Option<Duration>,
    /// Until the window ends.
    pub reset: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Hold {
    until: Duration,
    why: Why,
}

#[derive(Debug, Clone, Copy)]
struct Outage {
    since: Duration,
    failed: u32,
    probe_at: Duration,
}

/// The gate.
#[derive(Debug, Clone)]
pub struct Gate {
    limits: Limits,
    pace: Pace,
    hold: Option<Hold>,
    window_end: Duration,
    own_use: Duration,
    /// There is little left of the budget, by the last answer.
    is_tight: bool,
    /// How many requests like the last one fit before there is; `None` where HQ tells of no budget.
    room: Option<u32>,
    outage: Option<Outage>,
}

impl Gate {
    /// A gate that knows nothing of HQ yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            pace: Pace::new(limits.max_requests_per_second),
            hold: None,
            window_end: Duration::ZERO,
            own_use: Duration::ZERO,
            is_tight: false,
            room: None,
            outage: None,
        }
    }

    /// The same gate, with other limits from now on.
    #[must_use]
    pub fn with_limits(&self, limits: Limits) -> Self {
        // A second's requests are soon forgotten: where the pace changes, it begins anew.
        let is_same_pace = limits.max_requests_per_second == self.limits.max_requests_per_second;
        let pace = if is_same_pace { self.pace.clone() } else { Pace::new(limits.max_requests_per_second) };
        Self { limits, pace, ..self.clone() }
    }

    /// Asks for leave to send one request now.
    pub fn turn(&mut self, now: Duration, jitter: f64) -> Turn {
        if let Some(outage) = self.outage.filter(|outage| now < outage.probe_at) {
            return Turn::Refused { until: outage.probe_at, why: Why::Down(outage.since) };
        }
        if let Some(hold) = self.hold.filter(|hold| now < hold.until) {
            let wait = hold.until.saturating_sub(now);
            return if wait > self.limits.max_wait {
                Turn::Refused { until: hold.until, why: hold.why }
            } else {
                Turn::Wait(wait)
            };
        }
        if let Err(wait) = self.pace.go(now) {
            return Turn::Wait(wait);
        }
        let is_probe = match &mut self.outage {
            Some(outage) => {
                // Whatever becomes of this one, the next goes no sooner.
                outage.probe_at = now + probe_interval(outage.failed, jitter);
                true
            }
            None => false,
        };
        Turn::Go { is_probe }
    }

    /// Asks for leave to send a request that can be done without: how long it has to wait, or `None` where HQ is down, has
    /// asked for no request now, or has little left of its budget.
    pub fn aside(&mut self, now: Duration) -> Option<Duration> {
        let is_held = self.hold.is_some_and(|hold| now < hold.until);
        if is_held || self.is_tight || self.outage.is_some() {
            None
        } else {
            Some(self.pace.go(now).err().unwrap_or_default())
        }
    }

    /// Whether so many requests may go at once, as if each cost what the last one did: there is plenty of HQ's budget left
    /// after them.
    #[must_use]
    pub fn has_room_for(&self, requests: u32) -> bool {
        self.room.is_none_or(|room| room >= requests)
    }

    /// Takes in what an answer says, whatever its status.
    pub fn noted(&mut self, now: Duration, notice: &Notice, jitter: f64) {
        if let Some(budget) = &notice.budget {
            self.note_budget(now, budget, jitter);
        }
        if let Some(after) = notice.retry_after {
            let why = if notice.budget.is_some() { Why::Budget } else { Why::Asked };
            self.hold(now, after, why, jitter);
        }
    }

    /// HQ has answered: if it was down, it is back.
    pub fn answered(&mut self) {
        self.outage = None;
    }

    /// A request has found HQ down, and its attempts are used up; `least` is what HQ asked to wait.
    pub fn found_down(&mut self, now: Duration, is_probe: bool, least: Option<Duration>, jitter: f64) {
        let known = self.outage;
        if known.is_some() && !is_probe {
            // It was under way when another one found out.
            return;
        }
        let failed = known.map_or(0, |outage| outage.failed).saturating_add(1);
        let wait = probe_interval(failed, jitter).max(least.unwrap_or_default().min(LONGEST_HOLD));
        self.outage = Some(Outage { since: known.map_or(now, |outage| outage.since), failed, probe_at: now + wait });
    }

    /// The outage that was just found began earlier: with the first of the attempts that found it.
    pub fn down_since(&mut self, since: Duration) {
        if let Some(outage) = self.outage.as_mut().filter(|outage| outage.failed == 1) {
            outage.since = outage.since.min(since);
        }
    }

    /// When HQ was found to be down and when the next probe may go; `None` while it is up.
    #[must_use]
    pub fn outage(&self) -> Option<(Duration, Duration)> {
        self.outage.map(|outage| (outage.since, outage.probe_at))
    }

    fn note_budget(&mut self, now: Duration, budget: &Budget, jitter: f64) {
        let end = now.saturating_add(budget.reset);
        if now >= self.window_end || end > self.window_end.saturating_add(WINDOW_SLACK) {
            self.own_use = Duration::ZERO;
            self.window_end = end;
        }
        self.own_use = self.own_use.saturating_add(budget.used.unwrap_or_default());
        let remaining = budget.remaining.saturating_sub(budget.used.unwrap_or_default());
        let share = budget.limit.mul_f64(self.limits.budget_share.clamp(0.0, 1.0));
        let (floor, ceiling) = (budget.limit.mul_f64(PLENTY), share.mul_f64(1.0 - PLENTY));
        self.is_tight = remaining < floor || self.own_use > ceiling;
        let spare = remaining.saturating_sub(floor).min(ceiling.saturating_sub(self.own_use));
        let used = budget.used.unwrap_or_default().as_micros().max(1);
        self.room = Some(u32::try_from(spare.as_micros() / used).unwrap_or(u32::MAX));
        if remaining < budget.limit.mul_f64(RESERVE) {
            self.hold(now, budget.reset, Why::Budget, jitter);
        } else if self.own_use >= share {
            self.hold(now, budget.reset, Why::Share, jitter);
        }
    }

    fn hold(&mut self, now: Duration, wait: Duration, why: Why, jitter: f64) {
        let wait = wait.min(LONGEST_HOLD);
        let place = 0.9 * self.limits.place + 0.1 * jitter;
        let until = now + wait + SPREAD.min(wait / 2).mul_f64(place.clamp(0.0, 1.0));
        if self.hold.is_none_or(|hold| hold.until < until) {
            self.hold = Some(Hold { until, why });
        }
    }
}

/// Doubles from the first to the last; drawn from the upper half, so that outlets part and none asks too soon.
fn probe_interval(failed: u32, jitter: f64) -> Duration {
    let doubled = FIRST_PROBE.saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1)));
    doubled.min(LAST_PROBE).mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GO: Turn = Turn::Go { is_probe: false };

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn gate() -> Gate {
        Gate::new(Limits { max_requests_per_second: None, budget_share: 0.05, max_wait: secs(120), place: 0.5 })
    }

    /// An answer that cost `used` ms of a budget of 100 s, of which `remaining` s were left.
    fn answer(remaining: u64, used: u64, reset: u64) -> Notice {
        let budget = Budget {
            limit: secs(100),
            remaining: secs(remaining),
            used: Some(Duration::from_millis(used)),
            reset: secs(reset),
        };
        Notice { budget: Some(budget), retry_after: None }
    }

    #[test]
    fn requests_keep_the_pace() {
        let mut gate = Gate::new(Limits { max_requests_per_second: Some(2), ..gate().limits });
        assert_eq!([secs(5), secs(5)].map(|now| gate.turn(now, 0.0)), [GO; 2]);
        assert_eq!(gate.turn(secs(5), 0.0), Turn::Wait(secs(1)));
        assert_eq!(gate.turn(secs(6), 0.0), GO);
    }

    #[test]
    fn a_wait_that_hq_asks_for_holds_everybody_back_each_to_a_place_of_its_own() {
        let asked = Notice { retry_after: Some(secs(60)), budget: None };
        let ends = [0.0, 0.5, 0.999].map(|place| {
            let mut gate = Gate::new(Limits { place, ..gate().limits });
            gate.noted(secs(10), &asked, 0.0);
            let Turn::Wait(wait) = gate.turn(secs(10), 0.0) else { panic!() };
            assert_eq!(gate.turn(secs(10) + wait, 0.0), GO);
            wait.as_secs()
        });
        assert_eq!(ends, [60, 73, 86]);
    }

    #[test]
    fn a_wait_longer_than_the_longest_is_refused_and_years_are_an_hour() {
        let mut gate = gate();
        gate.noted(secs(0), &Notice { retry_after: Some(secs(u64::from(u32::MAX))), budget: None }, 0.0);
        let until = Duration::from_millis(3_627_000);
        assert_eq!(gate.turn(secs(0), 0.0), Turn::Refused { until, why: Why::Asked });
        assert_eq!(gate.turn(until, 0.0), GO);
    }

    #[test]
    fn the_outlet_takes_its_share_of_a_window_and_no_more() {
        let mut gate = gate();
        for second in 0..4 {
            assert_eq!(gate.turn(secs(second), 0.0), GO);
            gate.noted(secs(second), &answer(100, 1_200, 3600 - second), 0.0);
        }
        // 4.8 of 5 s.
        assert_eq!(gate.turn(secs(4), 0.0), GO);
        gate.noted(secs(4), &answer(100, 1_200, 3596), 0.0);
        let refused = Turn::Refused { until: secs(3627), why: Why::Share };
        assert_eq!(gate.turn(secs(5), 0.0), refused);
        // The next window begins anew.
        assert_eq!(gate.turn(secs(3627), 0.0), GO);
        gate.noted(secs(3627), &answer(100, 4_900, 3573), 0.0);
        assert_eq!(gate.turn(secs(3628), 0.0), GO);
    }

    #[test]
    fn what_others_use_up_leaves_the_reserve_to_them() {
        let mut gate = gate();
        gate.noted(secs(0), &answer(11, 100, 30), 0.0);
        assert_eq!(gate.turn(secs(0), 0.0), GO);
        gate.noted(secs(0), &answer(10, 100, 30), 0.0);
        assert_eq!(gate.turn(secs(0), 0.0), Turn::Wait(Duration::from_millis(36_750)));
    }

    #[test]
    fn what_can_be_done_without_keeps_the_pace_and_asks_for_nothing_that_hq_does_not_welcome() {
        let mut gate = Gate::new(Limits { max_requests_per_second: Some(2), ..gate().limits });
        assert_eq!([0, 0, 0].map(|now| gate.aside(secs(now))), [Some(secs(0)), Some(secs(0)), Some(secs(1))]);
        gate.noted(secs(5), &Notice { retry_after: Some(secs(60)), budget: None }, 0.0);
        assert_eq!((gate.aside(secs(6)), gate.aside(secs(200))), (None, Some(secs(0))));
        // 2 of the 5 s that are its share, and more than half; and as soon as others have used up half of all.
        let told = [(99, 2_000), (97, 1_000), (49, 10)].map(|(remaining, used)| {
            gate.noted(secs(210), &answer(remaining, used, 50), 0.0);
            gate.aside(secs(220)).is_some()
        });
        assert_eq!(told, [true, false, false]);
        gate.found_down(secs(300), false, None, 0.0);
        assert_eq!(gate.aside(secs(400)), None, "the probe is one that matters");
    }

    #[test]
    fn as_many_go_at_once_as_leave_plenty_of_the_budget() {
        let mut gate = gate();
        assert!(gate.has_room_for(9), "nothing is told of a budget");
        // Of the 2.5 s that are half of its share 0.5 are used, and then 1.5.
        gate.noted(secs(0), &answer(99, 500, 50), 0.0);
        assert_eq!([4, 5].map(|requests| gate.has_room_for(requests)), [true, false]);
        gate.noted(secs(1), &answer(98, 1_000, 49), 0.0);
        assert_eq!([1, 2].map(|requests| gate.has_room_for(requests)), [true, false]);
        // All others leave 2 s above half.
        gate.noted(secs(60), &answer(52, 500, 50), 0.0);
        assert_eq!([3, 4].map(|requests| gate.has_room_for(requests)), [true, false]);
    }

    #[test]
    fn a_refusal_by_budget_says_so() {
        let mut gate = gate();
        let budget = Budget { limit: secs(1), remaining: secs(0), used: None, reset: secs(600) };
        gate.noted(secs(0), &Notice { retry_after: Some(secs(600)), budget: Some(budget) }, 0.0);
        assert!(matches!(gate.turn(secs(0), 0.0), Turn::Refused { why: Why::Budget, .. }));
    }

    #[test]
    fn when_hq_is_down_one_probe_goes_at_a_time_and_an_answer_ends_it() {
        let mut gate = gate();
        gate.found_down(secs(100), false, None, 0.0);
        let refused = |until: f64| Turn::Refused { until: Duration::from_secs_f64(until), why: Why::Down(secs(100)) };
        assert_eq!(gate.turn(secs(101), 0.0), refused(107.5));
        // One that was under way changes nothing.
        gate.found_down(secs(102), false, None, 0.0);
        assert_eq!(gate.turn(secs(102), 0.0), refused(107.5));
        assert_eq!(gate.turn(secs(108), 0.0), Turn::Go { is_probe: true });
        assert_eq!(gate.turn(secs(108), 0.0), refused(115.5));
        gate.found_down(secs(109), true, None, 0.0);
        assert_eq!(gate.turn(secs(110), 0.0), refused(124.0));
        assert_eq!(gate.turn(secs(124), 0.0), Turn::Go { is_probe: true });
        gate.answered();
        assert_eq!(gate.turn(secs(124), 0.0), GO);
    }

    #[test]
    fn probes_part_up_to_five_minutes() {
        let mut gate = gate();
        gate.found_down(secs(0), false, None, 1.0);
        let (mut now, mut waits) = (secs(0), Vec::new());
        for _ in 0..7 {
            let Turn::Refused { until, .. } = gate.turn(now, 1.0) else { panic!() };
            waits.push((until - now).as_secs());
            now = until;
            assert_eq!(gate.turn(now, 1.0), Turn::Go { is_probe: true });
            gate.found_down(now, true, None, 1.0);
        }
        assert_eq!(waits, [15, 30, 60, 120, 240, 300, 300]);
        assert_eq!(gate.outage().map(|(since, _)| since), Some(secs(0)));
    }

    #[test]
    fn places_are_stable_and_even() {
        assert!((place("outlet-042") - place("outlet-042")).abs() < f64::EPSILON);
        let lower = (0..1_000).filter(|n| place(&format!("outlet-{n:03}")) < 0.5).count();
        assert!((450..550).contains(&lower), "{lower}");
    }
}
