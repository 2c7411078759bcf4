//! Progress of runs that somebody asked for: bars on a terminal, a line now and then where stderr is piped and it takes
//! long, and with `-v` their ends. All of it goes to stderr.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use super::output::{count, grouped};
use crate::run::Run;
use crate::sync::{Event, Totals, Watcher};

/// Without a bar, a line comes this often.
const EVERY: Duration = Duration::from_secs(10);

/// Or when so many per cent more are done, if this long has passed.
const PERCENT: u64 = 10;
const AT_LEAST: Duration = Duration::from_secs(2);

/// How often a bar is drawn while nothing happens.
const TICK: Duration = Duration::from_millis(120);

/// Of a job of which it is known how many records there are, and of one of which it is not.
const BAR: &str = "{spinner} {prefix:<18} {bar:24} {human_pos} of {human_len} ({percent} %), {pace}, {eta} left";
const SPINNER: &str = "{spinner} {prefix:<18} {human_pos} records, {pace}, {elapsed}";

/// The bars on the terminal, which logs must not run into.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Whether HQ is to be asked how many records there are.
pub(super) fn totals() -> Totals {
    match (is_wanted(), io::stderr().is_terminal()) {
        (false, _) => Totals::Unwanted,
        (true, true) => Totals::AtOnce,
        (true, false) => Totals::AfterAWhile,
    }
}

fn is_wanted() -> bool {
    tracing::enabled!(target: "milkrun::progress", tracing::Level::INFO)
}

/// Writes to stderr while no bar stands there.
pub(super) fn beside_bars<T>(write: impl FnOnce() -> T) -> T {
    match BARS.get() {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}

/// A bar or lines for each running job: what it did so far, how fast, and how long it will take.
pub(super) fn watcher() -> Watcher {
    match totals() {
        Totals::Unwanted => without_bars(),
        Totals::AfterAWhile => lines(),
        Totals::AtOnce => bars(),
    }
}

fn bars() -> Watcher {
    let all = BARS.get_or_init(MultiProgress::new);
    let bars: Mutex<HashMap<String, ProgressBar>> = Mutex::default();
    Arc::new(move |event| {
        let mut bars = bars.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started { job, .. } => {
                let bar = all.add(ProgressBar::new_spinner().with_prefix(job.clone()));
                styled(&bar, SPINNER);
                bar.enable_steady_tick(TICK);
                bars.insert(job.clone(), bar);
            }
            Event::Total { job, records } => {
                if let Some(bar) = bars.get(job) {
                    bar.set_length(*records);
                    styled(bar, BAR);
                }
            }
            Event::Page { job, counts } => {
                if let Some(bar) = bars.get(job) {
                    reached(bar, counts.fetched);
                }
            }
            Event::Walked { job, records } => {
                if let Some(bar) = bars.get(job) {
                    reached(bar, *records);
                }
            }
            Event::Changes(_) => {}
            Event::Ended(run, _) => {
                if let Some(bar) = bars.remove(&run.job) {
                    bar.finish_and_clear();
                    all.remove(&bar);
                }
                log(run);
            }
        }
    })
}

/// HQ's count may be too low a moment later; a bar is never more than full, nor does it go back.
fn reached(bar: &ProgressBar, records: u64) {
    if bar.length().is_some_and(|length| length < records) {
        bar.set_length(records);
    }
    bar.set_position(records.max(bar.position()));
}

fn styled(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        let pace = |state: &ProgressState, to: &mut dyn fmt::Write| {
            // Writing to a line of text cannot fail.
            write!(to, "{:.0} a second", state.per_sec()).unwrap_or_default();
        };
        bar.set_style(style.progress_chars("━╸ ").with_key("pace", pace));
    }
}

fn lines() -> Watcher {
    let jobs: Mutex<HashMap<String, Pace>> = Mutex::default();
    Arc::new(move |event| {
        let now = Instant::now();
        let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let (job, line) = match event {
            Event::Started { job, .. } => {
                jobs.insert(job.clone(), Pace::new(now));
                return;
            }
            Event::Total { job, records } => {
                if let Some(pace) = jobs.get_mut(job) {
                    pace.total = Some(*records);
                }
                return;
            }
            Event::Page { job, counts } => (job, jobs.get_mut(job).and_then(|pace| pace.line(now, counts.fetched))),
            Event::Walked { job, records } => (job, jobs.get_mut(job).and_then(|pace| pace.line(now, *records))),
            Event::Changes(_) => return,
            Event::Ended(run, _) => {
                jobs.remove(&run.job);
                log(run);
                return;
            }
        };
        if let Some(line) = line {
            tracing::info!(target: "milkrun::progress", "{job}: {line}");
        }
    })
}

/// No bars, as where what is printed meanwhile would run into them.
pub(super) fn without_bars() -> Watcher {
    Arc::new(|event| {
        if let Event::Ended(run, _) = event {
            log(run);
        }
    })
}

/// How far a job has come, and when that was last said.
#[derive(Debug)]
struct Pace {
    began: Instant,
    said: Instant,
    said_percent: u64,
    done: u64,
    total: Option<u64>,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { began: now, said: now, said_percent: 0, done: 0, total: None }
    }

    /// What is to be said now, if it is time: `4,000 of 12,418 records (32 %), 400 a second, 21 s left`.
    fn line(&mut self, now: Instant, done: u64) -> Option<String> {
        self.done = self.done.max(done);
        let done = self.done;
        let total = self.total.map(|total| total.max(done)).filter(|total| *total > 0);
        let percent = total.map_or(0, |total| done * 100 / total);
        let passed = now.saturating_duration_since(self.said);
        let is_far = percent >= self.said_percent + PERCENT && passed >= AT_LEAST;
        if passed < EVERY && !is_far {
            return None;
        }
        (self.said, self.said_percent) = (now, percent);
        let took = now.saturating_duration_since(self.began).as_millis().max(1);
        let pace = u64::try_from(u128::from(done) * 1_000 / took).unwrap_or(u64::MAX);
        Some(match total {
            Some(total) => {
                let left = (total - done).checked_div(pace).filter(|_| done < total);
                let left = left.map(|seconds| format!(", {} left", length(seconds)));
                let left = left.unwrap_or_default();
                let (done, total, pace) = (grouped(done), grouped(total), grouped(pace));
                format!("{done} of {total} records ({percent} %), {pace} a second{left}")
            }
            None => format!("{}, {} a second", count(done, "record", "records"), grouped(pace)),
        })
    }
}

/// `12 s`, `5 min`, `2 h 10 min`.
fn length(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// Whoever asked is shown the result; the log has it for who wants to hear more.
fn log(run: &Run) {
    let (job, id, status) = (&run.job, run.id, run.status);
    match run.error.as_ref().filter(|_| !run.status.is_done()) {
        Some(error) => tracing::info!(job, run = id, ?status, error, "run ended early"),
        None => crate::daemon::ended_well(run),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_each_ten_seconds_or_each_ten_per_cent_and_says_how_long_it_will_take() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let at = |pace: &mut Pace, seconds: u64, done| pace.line(start + Duration::from_secs(seconds), done);
        assert_eq!(at(&mut pace, 9, 3_000), None);
        assert_eq!(at(&mut pace, 10, 4_000).unwrap(), "4000 records, 400 a second");
        pace.total = Some(12_418);
        assert_eq!(at(&mut pace, 11, 8_000), None, "too soon");
        let line = at(&mut pace, 20, 8_000).unwrap();
        assert_eq!(line, "8,000 of 12,418 records (64 %), 400 a second, 11 s left");
        assert_eq!(at(&mut pace, 22, 8_800), None, "not much more");
        assert!(at(&mut pace, 22, 9_300).unwrap().contains("(74 %)"));
        // HQ has more by now than it had counted.
        let line = at(&mut pace, 40, 13_000).unwrap();
        assert!(line.starts_with("13,000 of 13,000 records (100 %)") && line.ends_with("a second"), "{line}");
    }
}
