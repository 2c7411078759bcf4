//! Random histories of an HQ and an outlet: whatever the clocks and zones do, a record that commits within `overlap` is
//! listed by the first poll after its commit.
//!
//! HQ's list is all that is committed above the start; the glue here does what `sync/poll.rs` does. Each history has a
//! seed, which a failure names.

use chrono::{DateTime, Duration, NaiveDateTime, Utc};
use chrono_tz::Tz;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::{Clocks, Progress, Watermark, Zone};
use crate::record::{Mark, Stamp};

/// A failure found with more of them (`MILKRUN_TEST_HISTORIES`) is worth a test of its own.
const HISTORIES: u64 = 250;

/// Zones, and moments at or beside which their clocks change.
const SCENES: [(Tz, &str); 8] = [
    (Tz::Europe__Berlin, "2025-10-26T01:00:00Z"),
    (Tz::Europe__Berlin, "2025-03-30T01:00:00Z"),
    (Tz::America__New_York, "2025-11-02T06:00:00Z"),
    (Tz::America__New_York, "2025-03-09T07:00:00Z"),
    (Tz::Australia__Lord_Howe, "2026-04-04T15:00:00Z"),
    (Tz::America__Sao_Paulo, "2018-02-18T02:00:00Z"),
    (Tz::Africa__Casablanca, "2025-02-23T02:00:00Z"),
    (Tz::Asia__Kolkata, "2025-10-26T01:00:00Z"),
];

/// What may go wrong in a history.
#[derive(Clone, Copy, Default)]
struct Troubles {
    /// HQ does not tell its zone, and the configured one is another.
    is_zone_wrong: bool,
    /// HQ's zone is changed once.
    has_zone_changed: bool,
    /// The outlet's clock is set.
    is_outlet_set: bool,
    /// HQ's clock is set ahead.
    is_hq_set_ahead: bool,
    /// HQ's clock is set back.
    is_hq_set_back: bool,
}

struct Record {
    mark: Mark,
    committed: i64,
    is_listed: bool,
}

/// Seconds of true time; what each clock is off by from then on.
struct History {
    base: DateTime<Utc>,
    zones: Vec<(i64, Tz)>,
    hq_off: Vec<(i64, i64)>,
    outlet_off: Vec<(i64, i64)>,
    configured: Tz,
    is_told: bool,
    overlap: i64,
    records: Vec<Record>,
    polls: Vec<i64>,
    listed: usize,
}

fn last<T: Copy>(steps: &[(i64, T)], at: i64) -> T {
    steps.iter().rev().find(|(from, _)| *from <= at).unwrap().1
}

impl History {
    fn clocks(&self, at: i64) -> Clocks {
        let shown = |off: &[(i64, i64)]| self.base + Duration::seconds(at + last(off, at));
        Clocks { outlet: shown(&self.outlet_off), hq: shown(&self.hq_off) }
    }

    fn wall(&self, at: i64) -> NaiveDateTime {
        self.clocks(at).hq.with_timezone(&last(&self.zones, at)).naive_local()
    }

    fn random(seed: u64, troubles: Troubles) -> Self {
        let random = &mut StdRng::seed_from_u64(seed);
        let (zone, change) = *SCENES.choose(random).unwrap();
        let other = |random: &mut StdRng| SCENES.choose(random).unwrap().0;
        let overlap = *[10, 30, 45].choose(random).unwrap() * 60;
        let before = random.random_range(0..6 * 3600);
        let length = random.random_range(3 * 3600..15 * 3600);
        let base = change.parse::<DateTime<Utc>>().unwrap() - Duration::seconds(before);
        let longest_gap = *[600, 1800, 3 * 3600, 12 * 3600].choose(random).unwrap();
        let mut polls = vec![0];
        while *polls.last().unwrap() < length {
            polls.push(polls.last().unwrap() + random.random_range(30..=longest_gap));
        }
        // Twice more after a day, for a zone that is asked for once a day.
        polls.extend([polls.last().unwrap() + 25 * 3600, polls.last().unwrap() + 6 * 86_400]);
        let mut history = Self {
            base,
            zones: vec![(i64::MIN, zone)],
            hq_off: vec![(i64::MIN, 0)],
            outlet_off: vec![(i64::MIN, random.random_range(-200..200))],
            configured: if troubles.is_zone_wrong { other(random) } else { zone },
            is_told: !troubles.is_zone_wrong,
            overlap,
            records: Vec::new(),
            polls,
            listed: 0,
        };
        history.set_clocks(random, troubles, length);
        if troubles.has_zone_changed {
            let to = other(random);
            history.zones.push((random.random_range(1..length), to));
        }
        history.write(random, length);
        history
    }

    /// Sets clocks, one of the two at most between two polls.
    fn set_clocks(&mut self, random: &mut StdRng, troubles: Troubles, length: i64) {
        let size = |random: &mut StdRng| *[60, 240, 900, 3600, 5 * 3600, 86_400, 3 * 86_400].choose(random).unwrap();
        let mut gaps: Vec<(i64, i64)> = self.polls.windows(2).map(|pair| (pair[0], pair[1])).collect();
        gaps.retain(|(_, to)| *to <= length);
        let mut small = 0;
        for (from, to) in gaps {
            if !random.random_bool(0.15) {
                continue;
            }
            let at = random.random_range(from + 1..=to);
            let mut by = size(random);
            // More than one unnoticed step is more than the tolerance.
            small += i64::from(by < 300);
            if by < 300 && small > 1 {
                by = 900;
            }
            let kinds = [troubles.is_outlet_set, troubles.is_hq_set_ahead, troubles.is_hq_set_back];
            let kinds: Vec<usize> = (0..3).filter(|kind| kinds[*kind]).collect();
            match kinds.choose(random) {
                Some(0) => {
                    let years = if random.random_bool(0.2) { 50 * 365 * 86_400 } else { 0 };
                    let by = if random.random_bool(0.5) { by + years } else { -by - years };
                    self.outlet_off.push((at, last(&self.outlet_off, at) + by));
                }
                Some(1) => self.hq_off.push((at, last(&self.hq_off, at) + by)),
                Some(_) => self.hq_off.push((at, last(&self.hq_off, at) - by)),
                None => {}
            }
        }
    }

    /// Records, some of one stamp, most of them committed at once and some late.
    fn write(&mut self, random: &mut StdRng, length: i64) {
        let pace = *[120, 600, 3600].choose(random).unwrap();
        let mut at = -2 * 3600;
        while at < length {
            at += random.random_range(1..=2 * pace);
            let many = if random.random_bool(0.1) { 5 } else { 1 };
            for _ in 0..many {
                let late = if random.random_bool(0.4) { random.random_range(0..=self.overlap) } else { 0 };
                // Before the first load no clock was set.
                let ahead = if self.is_told && random.random_bool(0.02) { 86_400 } else { 0 };
                let modified = Stamp::at(self.wall(at) + Duration::seconds(ahead));
                let mark = Mark { modified, name: format!("{:05}", random.random_range(0..100_000)) };
                self.records.push(Record { mark, committed: at + late, is_listed: false });
            }
        }
        self.records.sort_by(|a, b| (&a.mark.modified, &a.mark.name).cmp(&(&b.mark.modified, &b.mark.name)));
    }

    fn zone(&self, kept: Option<Zone>, at: i64) -> Zone {
        let now = self.clocks(at);
        let age = |zone: Zone| now.outlet - zone.asked.outlet;
        match kept {
            Some(zone) if age(zone) >= Duration::zero() && age(zone) < Duration::hours(24) => zone,
            _ if self.is_told => Zone { tz: last(&self.zones, at), is_told: true, asked: now },
            _ => Zone { tz: self.configured, is_told: false, asked: now },
        }
    }

    /// All that is committed above a mark, in HQ's order; each becomes listed.
    fn list(&mut self, from: Option<&Mark>, at: i64) -> Vec<Mark> {
        let is_above = |mark: &Mark| match from {
            None => true,
            Some(from) if from.name.is_empty() => mark.modified >= from.modified,
            Some(from) => mark.modified > from.modified || mark.modified == from.modified && mark.name > from.name,
        };
        let mut found = Vec::new();
        let start = self.records.partition_point(|record| !is_above(&record.mark));
        for record in self.records[start..].iter_mut().filter(|record| record.committed <= at) {
            record.is_listed = true;
            found.push(record.mark.clone());
        }
        self.listed += found.len();
        found
    }

    fn first_load(&mut self, at: i64) -> Watermark {
        let (now, zone) = (self.clocks(at), self.zone(None, at));
        let found = self.list(None, at);
        let hq_now = zone.wall(now.hq);
        let newest = found.iter().rev().map(|mark| &mark.modified).find(|stamp| stamp.moment() <= hq_now);
        let mut watermark = Watermark { zone: Some(zone), ..Watermark::default() };
        for mark in &found {
            watermark = watermark.after(mark, now, hq_now);
        }
        watermark.settle(&Watermark { seen: None, ..watermark.clone() }, now, newest, self.patience())
    }

    fn poll(&mut self, before: &Watermark, at: i64) -> Watermark {
        let (now, zone) = (self.clocks(at), self.zone(before.zone, at));
        let begun = before.resume(now, zone);
        let found = self.list(begun.settled.as_ref(), at);
        let hq_now = zone.wall(now.hq);
        let newest = found.iter().rev().map(|mark| &mark.modified).find(|stamp| stamp.moment() <= hq_now);
        let mut watermark = begun.clone();
        for mark in found.iter().step_by(3).chain(found.last()) {
            watermark = watermark.after(mark, now, hq_now);
        }
        let mut settled = watermark.settle(&begun, now, newest, self.patience());
        let is_ahead = found.last().is_some_and(|mark| mark.modified.moment() > hq_now + super::FUTURE_SLACK);
        if let (Some(zone), true) = (&mut settled.zone, is_ahead) {
            zone.asked.outlet = DateTime::UNIX_EPOCH;
        }
        settled
    }

    fn patience(&self) -> std::time::Duration {
        Duration::seconds(self.overlap).to_std().unwrap()
    }

    /// Plays the history; every record must be listed by the first poll after its commit, or, where HQ's zone has
    /// changed unasked, by the last.
    fn play(mut self, what: &str) -> usize {
        let may_wait = self.zones.len() > 1;
        let polls = self.polls.clone();
        let mut watermark = self.first_load(polls[0]);
        for (nth, at) in polls.iter().enumerate().skip(1) {
            let polled = self.poll(&watermark, *at);
            let progress = |watermark: &Watermark| Progress { watermark: watermark.clone(), ..Progress::default() };
            if progress(&polled).says_more_than(&progress(&watermark)) {
                watermark = polled;
            }
            if may_wait && nth + 1 < polls.len() {
                continue;
            }
            if let Some(missed) = self.records.iter().find(|record| record.committed <= *at && !record.is_listed) {
                let polls: Vec<String> = polls.iter().map(|at| format!("{at}={}", self.wall(*at))).collect();
                panic!(
                    "{what}: {} committed at {} s was not listed by poll {nth} at {at} s\nzones {:?}, configured {}\n\
                     HQ off {:?}\noutlet off {:?}\npolls {polls:?}\n{watermark:#?}",
                    missed.mark.modified, missed.committed, self.zones, self.configured, self.hq_off, self.outlet_off
                );
            }
        }
        self.listed
    }
}

#[track_caller]
fn nothing_is_missed(what: &str, troubles: Troubles) {
    let many = std::env::var("MILKRUN_TEST_HISTORIES").ok().map_or(HISTORIES, |many| many.parse().unwrap());
    for seed in 0..many {
        History::random(seed, troubles).play(&format!("{what}, seed {seed}"));
    }
}

#[test]
fn nothing_is_missed_through_summer_time_both_ways() {
    nothing_is_missed("told zone", Troubles::default());
}

#[test]
fn nothing_is_missed_where_the_configured_zone_is_wrong_and_hq_does_not_tell() {
    nothing_is_missed("wrong zone", Troubles { is_zone_wrong: true, ..Troubles::default() });
    let troubles = Troubles { is_zone_wrong: true, is_outlet_set: true, is_hq_set_ahead: true, ..Troubles::default() };
    nothing_is_missed("wrong zone and clocks", troubles);
}

#[test]
fn nothing_is_missed_when_the_outlets_clock_is_set() {
    nothing_is_missed("outlet's clock", Troubles { is_outlet_set: true, ..Troubles::default() });
}

#[test]
fn nothing_is_missed_when_hqs_clock_is_set_ahead_or_back() {
    nothing_is_missed("HQ's clock ahead", Troubles { is_hq_set_ahead: true, ..Troubles::default() });
    nothing_is_missed("HQ's clock back", Troubles { is_hq_set_back: true, ..Troubles::default() });
}

#[test]
fn nothing_is_missed_when_all_of_it_happens_and_hqs_zone_moves() {
    let clocks = Troubles { is_outlet_set: true, is_hq_set_ahead: true, is_hq_set_back: true, ..Troubles::default() };
    nothing_is_missed("all clocks", clocks);
    nothing_is_missed("zone changed", Troubles { has_zone_changed: true, ..Troubles::default() });
    nothing_is_missed("all clocks and zone", Troubles { has_zone_changed: true, ..clocks });
}

#[test]
fn a_busy_hq_is_not_listed_over_and_over() {
    let mut history = History::random(7, Troubles::default());
    history.polls = (0..200).map(|n| n * 300).collect();
    history.records.clear();
    history.overlap = 1800;
    for at in -3600..57_000_i64 {
        let mark = Mark { modified: Stamp::at(history.wall(at)), name: format!("{at:06}") };
        history.records.push(Record { mark, committed: at, is_listed: false });
    }
    history.records.sort_by(|a, b| a.mark.modified.cmp(&b.mark.modified));
    let listed = history.play("busy");
    // Each poll lists the last 5 + 30 + 5 minutes, and in an autumn night an hour or two more.
    assert!(listed < 200 * 2_800, "{listed}");
}
