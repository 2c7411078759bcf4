//! One outlet: the daemon's own deciding code, and around it the shape of a round and of a request's attempts.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use milkrun::config::Config;
use milkrun::daemon::retries::{Retries, Standing};
use milkrun::daemon::schedule::Schedule;
use milkrun::retry::Backoff;
use milkrun::source::gate::{Gate, Limits, Turn};

use super::hq::Answer;
use super::{Dice, wall};

/// Jobs that come due together are gathered for so long.
const GATHER: Duration = Duration::from_secs(1);

/// After so long a silence a job finds one page of news more.
const NEWS: Duration = Duration::from_secs(2 * 3600);

/// What the outlet wants to have done.
pub(super) enum Wish {
    /// To be asked again at this moment.
    Ask(Duration),
    /// A request that costs HQ so much.
    Send(Duration),
    /// Nothing, before it is looked at again.
    Rest,
}

/// A part of a round: the tombstones that all jobs share, or the pages of one.
struct Part {
    job: Option<usize>,
    requests: u32,
}

#[derive(Default)]
struct Round {
    parts: VecDeque<Part>,
    /// Failed attempts of the present request.
    failed: u32,
    is_probe: bool,
    /// The last attempt has failed, and a ping asks whether HQ is down altogether.
    pings: bool,
}

pub(super) struct Outlet {
    schedules: Vec<Schedule>,
    /// The schedules as written: of two that are alike one is reckoned.
    patterns: Vec<String>,
    ticks: Vec<DateTime<Utc>>,
    retries: Retries,
    /// When the first of those that failed is tried again.
    try_at: Option<DateTime<Utc>>,
    gate: Gate,
    backoff: Backoff,
    due: BTreeSet<usize>,
    round: Option<Round>,
    last_ok: Vec<Duration>,
    /// The jobs whose last run failed.
    behind: BTreeSet<usize>,
    /// When the last of them was so no more.
    pub(super) in_step_at: Duration,
    /// When it is to be looked at for what comes due.
    pub(super) look_at: Duration,
}

impl Outlet {
    pub(super) fn new(config: &Config) -> Self {
        let schedules = Schedule::all(config);
        let ticks: Vec<_> = schedules.iter().map(|schedule| schedule.next(wall(Duration::ZERO)).unwrap()).collect();
        let count = schedules.len();
        let patterns = config.jobs.iter().map(|job| job.schedule.pattern.pattern.to_string()).collect();
        let mut outlet = Self {
            schedules,
            patterns,
            ticks,
            retries: Retries::of(config),
            try_at: None,
            gate: Gate::new(Limits::of(&config.hq, &config.site.name)),
            backoff: config.hq.retry,
            due: BTreeSet::new(),
            round: None,
            last_ok: vec![Duration::ZERO; count],
            behind: BTreeSet::new(),
            in_step_at: Duration::ZERO,
            look_at: Duration::ZERO,
        };
        outlet.plan();
        outlet
    }

    pub(super) fn is_in_step(&self) -> bool {
        self.behind.is_empty()
    }

    /// Takes what has come due.
    pub(super) fn look(&mut self, now: Duration) -> Wish {
        let moment = wall(now);
        let due: Vec<_> = (0..self.ticks.len()).filter(|job| self.ticks[*job] <= moment).collect();
        for job in &due {
            let alike = due.iter().find(|other| *other < job && self.patterns[**other] == self.patterns[*job]);
            self.ticks[*job] = match alike {
                Some(other) => self.ticks[*other],
                None => self.schedules[*job].next(moment).unwrap(),
            };
        }
        self.due.extend(due);
        if self.try_at.is_some_and(|due| due <= moment) {
            self.due.extend(self.retries.take_due(moment));
        }
        if self.round.is_some() || !self.due.is_empty() {
            // What failed is planned when the round is over.
            self.try_at = None;
        }
        self.plan();
        if self.round.is_some() { Wish::Rest } else { self.begin(now) }
    }

    /// Asks the gate for leave to send what is next.
    pub(super) fn ask(&mut self, now: Duration, dice: &mut Dice) -> Wish {
        match self.gate.turn(now, dice.unit()) {
            Turn::Wait(wait) => Wish::Ask(now + wait),
            Turn::Refused { .. } => self.part_failed(now),
            Turn::Go { is_probe } => {
                let round = self.round.as_mut().unwrap();
                round.is_probe = is_probe;
                let is_first = round.parts[0].job.is_none() || round.parts[0].requests == 1;
                Wish::Send(if is_first { dice.millis(10, 30) } else { dice.millis(50, 150) })
            }
        }
    }

    pub(super) fn answered(&mut self, now: Duration, answer: Answer, dice: &mut Dice) -> Wish {
        if let Answer::Ok(notice) | Answer::TooMany(notice) = &answer {
            self.gate.noted(now, notice, dice.unit());
        }
        let round = self.round.as_mut().unwrap();
        let is_probe = round.is_probe;
        if round.pings {
            match answer {
                Answer::Ok(_) | Answer::TooMany(_) => self.gate.answered(),
                Answer::BadGateway | Answer::Refused => self.gate.found_down(now, is_probe, None, dice.unit()),
            }
            return self.part_failed(now);
        }
        if let Answer::Ok(_) = answer {
            self.gate.answered();
            return self.went_well(now);
        }
        round.failed += 1;
        if !is_probe && let Some(wait) = self.backoff.wait(round.failed, None, dice.unit()) {
            return Wish::Ask(now + wait);
        }
        match answer {
            Answer::BadGateway => {
                round.pings = true;
                return Wish::Send(Duration::from_millis(1));
            }
            Answer::Refused => self.gate.found_down(now, is_probe, None, dice.unit()),
            Answer::TooMany(_) | Answer::Ok(_) => self.gate.answered(),
        }
        self.part_failed(now)
    }

    fn begin(&mut self, now: Duration) -> Wish {
        if self.due.is_empty() {
            return Wish::Rest;
        }
        let jobs = std::mem::take(&mut self.due);
        let mut round = Round::default();
        round.parts.push_back(Part { job: None, requests: 1 });
        for job in jobs {
            self.retries.begins(job);
            let news = u32::try_from((now - self.last_ok[job]).as_secs() / NEWS.as_secs()).unwrap();
            round.parts.push_back(Part { job: Some(job), requests: 1 + news.min(4) });
        }
        self.round = Some(round);
        Wish::Ask(now + GATHER)
    }

    fn went_well(&mut self, now: Duration) -> Wish {
        let round = self.round.as_mut().unwrap();
        round.failed = 0;
        round.parts[0].requests -= 1;
        if round.parts[0].requests > 0 {
            return Wish::Ask(now);
        }
        if let Some(job) = round.parts.pop_front().unwrap().job {
            self.last_ok[job] = now;
            self.retries.stands(job, Standing::Calm);
            if self.behind.remove(&job) && self.behind.is_empty() {
                self.in_step_at = now;
            }
        }
        self.go_on(now)
    }

    /// HQ's trouble with the tombstones is every job's.
    fn part_failed(&mut self, now: Duration) -> Wish {
        let round = self.round.as_mut().unwrap();
        (round.failed, round.pings) = (0, false);
        let failed = match round.parts.pop_front().unwrap().job {
            Some(job) => vec![job],
            None => std::mem::take(&mut round.parts).into_iter().filter_map(|part| part.job).collect(),
        };
        for job in failed {
            self.retries.fails(job, wall(now));
            self.behind.insert(job);
        }
        self.go_on(now)
    }

    fn go_on(&mut self, now: Duration) -> Wish {
        if self.round.as_ref().is_some_and(|round| !round.parts.is_empty()) {
            return Wish::Ask(now);
        }
        self.round = None;
        self.try_at = (0..self.ticks.len()).filter_map(|job| self.retries.next(job)).min();
        self.plan();
        self.begin(now)
    }

    fn plan(&mut self) {
        let next = self.ticks.iter().copied().chain(self.try_at).min().unwrap();
        self.look_at = (next - wall(Duration::ZERO)).max(TimeDelta::zero()).to_std().unwrap();
    }
}
