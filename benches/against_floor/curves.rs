//! How the cost of a first load grows: with the records, the columns, the jobs and the way to HQ, one at a time.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::contender::{Contender, How, Job, Who};
use crate::data::{COLUMNS, Kind, OF_A_DOCTYPE};
use crate::database;
use crate::hq::Hq;
use crate::line::Line;
use crate::measure::median;

/// Records where it is not they that grow.
const RECORDS: usize = 200_000;

/// One first load.
#[derive(Debug, Clone, Copy)]
struct Point {
    records: usize,
    columns: usize,
    /// More than one: as many DocTypes, with few records each.
    jobs: usize,
    /// Milliseconds there and back.
    round_trip: u64,
}

const USUAL: Point = Point { records: RECORDS, columns: COLUMNS.len(), jobs: 1, round_trip: 0 };

/// Measures along each of the four, and prints a table.
pub(crate) fn run(database: database::Kind, rounds: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    println!("| {} | wall s | CPU s | peak MB | requests |", database.name());
    println!("| --- |{}", " ---: |".repeat(4));
    for records in [50_000, 100_000, 200_000, 400_000] {
        line(database, rounds, folder.path(), &format!("{records} records"), Point { records, ..USUAL })?;
    }
    for columns in [3, 6, 12, 24] {
        line(database, rounds, folder.path(), &format!("{columns} columns"), Point { columns, ..USUAL })?;
    }
    for jobs in [1, 10, 50] {
        let point = Point { jobs, records: jobs * OF_A_DOCTYPE, ..USUAL };
        line(database, rounds, folder.path(), &format!("{jobs} jobs of {OF_A_DOCTYPE} records"), point)?;
    }
    for round_trip in [0, 10, 50, 100] {
        let point = Point { round_trip, ..USUAL };
        line(database, rounds, folder.path(), &format!("{round_trip} ms to HQ and back"), point)?;
    }
    Ok(())
}

fn line(database: database::Kind, rounds: usize, folder: &Path, what: &str, point: Point) -> Result<()> {
    let are_many = point.records == point.jobs * OF_A_DOCTYPE;
    let mut hq = if are_many { Hq::start(Kind::Doctypes, point.jobs)? } else { Hq::start(Kind::Items, point.records)? };
    let url = match point.round_trip {
        0 => hq.url.clone(),
        milliseconds => hq.line(Line { round_trip: Duration::from_millis(milliseconds), bits_per_second: 0 })?,
    };
    let job = Job { jobs: point.jobs, columns: point.columns, ..Job::plain(database) };
    let milkrun = Contender::new(Who::Milkrun, job, folder)?;
    let (mut costs, mut requests) = (Vec::new(), 0);
    for _ in 0..rounds {
        milkrun.forget()?;
        hq.asked()?;
        costs.push(milkrun.run(&url, How { page: 1, is_read_only: false })?.cost);
        requests = hq.asked()?.requests;
        let known = milkrun.ledger()?;
        ensure!(known == point.records, "the ledger knows {known} of {} records", point.records);
    }
    println!(
        "| {what} | {:.2} | {:.2} | {:.1} | {requests} |",
        median(costs.iter().map(|cost| cost.wall)),
        median(costs.iter().map(|cost| cost.cpu)),
        costs.iter().map(|cost| cost.peak).fold(0.0, f64::max),
    );
    Ok(())
}
