//! milkrun against the floor: the real binary, and the least that a hand-written program must do for the same rows, in
//! turn, on SQLite, PostgreSQL and MariaDB, fed by the simulated HQ in a process of its own.
//!
//! ```sh
//! cargo bench --bench against_floor                            # the usual workloads, some ten minutes
//! cargo bench --bench against_floor -- --help                  # all workloads and options
//! cargo bench --bench against_floor -- changed --database mariadb --rounds 7
//! cargo bench --bench against_floor -- callgrind               # instructions a record, held against the last known
//! cargo bench --bench against_floor -- curves                  # how the cost grows with records, columns, jobs, distance
//! cargo bench --bench against_floor -- flame                   # where the time goes, as a picture
//! ```
//!
//! Machines are noisy: the figures to trust are the ratios of one run, the CPU seconds, the peak memory and the
//! instruction counts. After every run the rows are held against HQ's; a wrong one ends the bench.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench reports")]

mod arguments;
mod callgrind;
mod check;
mod contender;
mod curves;
mod data;
mod database;
mod flame;
mod floor;
mod hq;
mod http;
mod item;
mod line;
mod measure;
mod report;
mod rounds;
mod workload;

use anyhow::Result;
use clap::Parser as _;
use serde::Serialize;

use crate::arguments::{Arguments, Role};
use crate::rounds::{Measured, Stage};

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.role {
        None => compare(&arguments),
        Some(Role::Callgrind { save, columns }) => callgrind::run(*save, *columns),
        Some(Role::Curves { database, rounds }) => curves::run(*database, *rounds),
        Some(Role::Flame { database, records, to }) => flame::run(*database, *records, to),
        Some(Role::Hq { kind, count }) => hq::serve(*kind, *count),
        Some(Role::Floor { task }) => answer(&floor::run(&serde_json::from_str(task)?)?),
        Some(Role::Read { url, compressed }) => answer(&check::read(url, *compressed)?),
        Some(Role::ReadChildren { url }) => answer(&check::read_children(url)?),
        Some(Role::Sum { database, url }) => answer(&database::sum(*database, url)?),
        Some(Role::SumChildren { database, url }) => answer(&database::sum_children(*database, url)?),
        Some(Role::Count { database, url, table }) => answer(&database::count(*database, url, table)?),
    }
}

/// What one of the bench's own processes tells it.
fn answer(what: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(what)?);
    Ok(())
}

fn compare(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut all: Vec<Measured> = Vec::new();
    for workload in arguments.workloads() {
        let mut plan = workload.plan();
        plan.count = arguments.records.unwrap_or(plan.count);
        let databases = if arguments.database.is_empty() { plan.databases } else { arguments.database.as_slice() };
        let mut stage = Stage::set(workload, plan)?;
        if all.is_empty() && !arguments.json {
            report::hq(&stage.reading, &stage.read_compressed()?);
            report::head(arguments.markdown);
        }
        for database in databases {
            if let Some(why) = database.missing() {
                eprintln!("{} on {} is left out: {why}", workload.name(), database.name());
                continue;
            }
            let measured = stage.measure(*database, arguments.rounds.unwrap_or(plan.rounds), folder.path())?;
            if !arguments.json {
                report::lines(&measured, arguments.markdown);
            }
            all.push(measured);
        }
    }
    if arguments.json { report::json(&all) } else { Ok(()) }
}
