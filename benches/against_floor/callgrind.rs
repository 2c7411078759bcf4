//! Instructions a record, counted by valgrind: the one figure that a busy machine does not change, so that a slower hot
//! path is seen. Counted is what a first load executes beyond an idle sync, which is all the start and end of a process.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::contender::{Contender, Job, Who};
use crate::data::{COLUMNS, Kind};
use crate::database;
use crate::hq::Hq;

const RECORDS: usize = 10_000;

/// The last known figure, in the source, so that a change of it is seen in review.
const KNOWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/against_floor/instructions");

/// More than this off, in either direction, the figure in the source is no longer true.
const TOLERANCE: f64 = 0.05;

/// Counts and compares; with `is_saved` the figure becomes the known one. With fewer columns than there are it only counts.
pub(crate) fn run(is_saved: bool, columns: usize) -> Result<()> {
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("valgrind is not installed: no instructions are counted");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let hq = Hq::start(Kind::Items, RECORDS)?;
    let job = Job { columns, ..Job::plain(database::Kind::Sqlite) };
    let milkrun = Contender::new(Who::Milkrun, job, folder.path())?;
    let first = count(&milkrun, &hq.url, folder.path())?;
    let idle = count(&milkrun, &hq.url, folder.path())?;
    #[expect(clippy::cast_precision_loss, reason = "far below what a float holds")]
    let each = first.saturating_sub(idle) as f64 / RECORDS as f64;
    println!(
        "first load of {RECORDS} of {columns} columns: {first} instructions; idle sync: {idle}; {each:.0} a record"
    );
    if columns != COLUMNS.len() {
        return Ok(());
    }
    if is_saved {
        return Ok(std::fs::write(KNOWN, format!("{each:.0}\n"))?);
    }
    let known: f64 = std::fs::read_to_string(KNOWN)?.trim().parse()?;
    let off = each / known - 1.0;
    println!("last known: {known:.0} a record; now {:+.1} %", off * 100.0);
    ensure!(off.abs() <= TOLERANCE, "more than {} % off: find out why, or `callgrind --save`", TOLERANCE * 100.0);
    Ok(())
}

fn count(milkrun: &Contender, url: &str, folder: &Path) -> Result<u64> {
    let out = folder.join("callgrind.out");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet", &format!("--callgrind-out-file={}", out.display())]);
    command.arg(env!("CARGO_BIN_EXE_milkrun"));
    milkrun.sync_by(command, url)?;
    let text = std::fs::read_to_string(&out)?;
    match text.lines().find_map(|line| line.strip_prefix("summary:").or_else(|| line.strip_prefix("totals:"))) {
        Some(total) => total.trim().parse().context("what callgrind counted"),
        None => bail!("callgrind wrote no total to {}", out.display()),
    }
}
