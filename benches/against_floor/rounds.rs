//! Carries out a workload on one database: both sides in turn, round by round, and after every run a look at the rows.

use std::path::Path;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::check::{Reading, Sum};
use crate::contender::{Contender, How, Job, Outcome, Who};
use crate::data;
use crate::database::Kind;
use crate::hq::{Asked, Hq};
use crate::measure::{self, median};
use crate::workload::{Edit, Plan, Workload};

/// The medians of one workload on one database.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) workload: String,
    pub(crate) database: Kind,
    pub(crate) records: usize,
    pub(crate) rounds: usize,
    pub(crate) milkrun: Side,
    pub(crate) floor: Side,
    /// Of wall times, and of CPU: the median of what each round gave.
    pub(crate) wall_ratio: f64,
    pub(crate) cpu_ratio: f64,
    /// The largest page that milkrun came to, which the floor then asked for.
    pub(crate) page: usize,
    /// The part of a line's bits that milkrun used while it ran.
    pub(crate) line_used: Option<f64>,
}

/// One side's medians; the peak is the highest.
#[derive(Debug, Serialize)]
pub(crate) struct Side {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    pub(crate) peak: f64,
    pub(crate) requests: usize,
    pub(crate) bytes: u64,
    pub(crate) written: Option<u64>,
}

struct Run {
    outcome: Outcome,
    asked: Asked,
}

/// HQ, ready for a workload on one database after another.
pub(crate) struct Stage {
    workload: Workload,
    plan: Plan,
    hq: Hq,
    /// Where both sides find it: at the end of a line, if there is one.
    url: String,
    expected: Expected,
    /// How HQ was read to know what is expected.
    pub(crate) reading: Reading,
}

/// What both sides' tables must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Expected {
    items: Sum,
    children: Option<Sum>,
}

impl Stage {
    pub(crate) fn set(workload: Workload, plan: Plan) -> Result<Self> {
        let mut hq = Hq::start(plan.kind, plan.count)?;
        let url = match plan.line {
            Some(line) => hq.line(line)?,
            None => hq.url.clone(),
        };
        let (expected, reading) = expected(&hq.url, &plan)?;
        Ok(Self { workload, plan, hq, url, expected, reading })
    }

    /// HQ read once more, with compression: how fast it is then.
    pub(crate) fn read_compressed(&self) -> Result<Reading> {
        Ok(serde_json::from_str(&ask(&["read", &self.hq.url, "--compressed"])?)?)
    }

    /// Measures on one database.
    pub(crate) fn measure(&mut self, database: Kind, rounds: usize, folder: &Path) -> Result<Measured> {
        let plan = self.plan;
        let job = Job {
            jobs: plan.jobs(),
            has_children: plan.has_children,
            is_merged: plan.is_merged,
            is_slow: plan.line.is_some_and(|line| line.bits_per_second > 0),
            pace: plan.pace,
            ..Job::plain(database)
        };
        let milkrun = Contender::new(Who::Milkrun, job, folder)?;
        let floor = Contender::new(Who::Floor, job, folder)?;
        // A first load that is not counted: files and programs are then in memory, and the floor knows the page to ask for.
        let (near, far) = (self.hq.url.clone(), self.url.clone());
        let first = How { page: 1, is_read_only: false };
        let page = self.run(&milkrun, &near, first)?.asked.largest;
        let how = How { page, ..first };
        self.run(&floor, &near, how)?;
        let (mut of_milkrun, mut of_floor) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            self.prepare([&milkrun, &floor], how)?;
            of_milkrun.push(self.run(&milkrun, &far, how)?);
            // Nothing is to be written: all that is to be done is to fetch.
            let is_read_only = plan.edit == Some(Edit::Stamp);
            of_floor.push(self.run(&floor, &far, How { is_read_only, ..how })?);
        }
        Ok(self.told(database, page, &of_milkrun, &of_floor))
    }

    /// Before a round that is counted.
    fn prepare(&mut self, both: [&Contender; 2], how: How) -> Result<()> {
        match self.plan.edit {
            None => return both.iter().try_for_each(|side| side.forget()),
            Some(Edit::Nothing) => return Ok(()),
            Some(Edit::Touch(count)) => {
                // An hour goes by and all comes to rest, so that a round does not look again at what the last one brought.
                self.hq.touch(1)?;
                (self.expected, self.reading) = expected(&self.hq.url, &self.plan)?;
                let near = self.hq.url.clone();
                both.iter().try_for_each(|side| self.run(side, &near, how).map(drop))?;
                self.hq.touch(count)?;
            }
            Some(Edit::Stamp) => self.hq.stamp()?,
        }
        (self.expected, self.reading) = expected(&self.hq.url, &self.plan)?;
        Ok(())
    }

    /// One run and a look at what it left.
    fn run(&mut self, side: &Contender, url: &str, how: How) -> Result<Run> {
        self.hq.asked()?;
        let outcome = side.run(url, how)?;
        let asked = self.hq.asked()?;
        let items = side.sum()?;
        let Expected { items: wanted, children } = self.expected;
        ensure!(items == wanted, "wrong rows: {:?} has {items} where HQ has {wanted}", side.who);
        if let Some(wanted) = children {
            let children = side.children()?;
            ensure!(children == wanted, "wrong child rows: {:?} has {children} where HQ has {wanted}", side.who);
        }
        let (known, records) = (side.ledger()?, self.plan.records());
        ensure!(known == records, "wrong ledger: that of {:?} knows {known} of {records} records", side.who);
        Ok(Run { outcome, asked })
    }

    fn told(&self, database: Kind, page: usize, of_milkrun: &[Run], of_floor: &[Run]) -> Measured {
        let ratio =
            |of: fn(&Run) -> f64| median(of_milkrun.iter().zip(of_floor).map(|(one, other)| of(one) / of(other)));
        let line_used = self.plan.line.filter(|line| line.bits_per_second > 0).map(|line| {
            #[expect(clippy::cast_precision_loss, reason = "far below what a float holds")]
            let bits = |run: &Run| run.asked.line_bytes as f64 * 8.0;
            median(of_milkrun.iter().map(|run| bits(run) / run.outcome.cost.wall / f64::from(line.bits_per_second)))
        });
        Measured {
            workload: self.workload.name(),
            database,
            records: self.plan.records(),
            rounds: of_milkrun.len(),
            milkrun: side(of_milkrun),
            floor: side(of_floor),
            wall_ratio: ratio(|run| run.outcome.cost.wall),
            cpu_ratio: ratio(|run| run.outcome.cost.cpu),
            page,
            line_used,
        }
    }
}

fn side(runs: &[Run]) -> Side {
    let last = runs.last();
    Side {
        wall: median(runs.iter().map(|run| run.outcome.cost.wall)),
        cpu: median(runs.iter().map(|run| run.outcome.cost.cpu)),
        peak: runs.iter().map(|run| run.outcome.cost.peak).fold(0.0, f64::max),
        requests: last.map_or(0, |run| run.asked.requests),
        bytes: last.map_or(0, |run| run.outcome.bytes),
        written: last.and_then(|run| run.outcome.written),
    }
}

fn expected(hq: &str, plan: &Plan) -> Result<(Expected, Reading)> {
    let reading: Reading = serde_json::from_str(&ask(&["read", hq])?)?;
    let wanted = if plan.jobs() > 1 { data::OF_A_DOCTYPE } else { plan.count };
    ensure!(reading.sum.rows == wanted, "HQ lists {} of {wanted} records", reading.sum);
    let children = if plan.has_children { Some(serde_json::from_str(&ask(&["read-children", hq])?)?) } else { None };
    Ok((Expected { items: reading.sum, children }, reading))
}

/// What another process of the bench answers.
fn ask(arguments: &[&str]) -> Result<String> {
    Ok(measure::run(std::process::Command::new(std::env::current_exe()?).args(arguments))?.1)
}
