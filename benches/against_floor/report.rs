//! What the bench prints.

use serde::Serialize;

use crate::check::Reading;
use crate::rounds::{Measured, Side};

/// A table for people, a line a side.
pub(crate) fn head() {
    println!(
        "{:<17} {:<9} {:>9} {:<8} {:>8} {:>6} {:>8} {:>6} {:>8} {:>8} {:>9} {:>9}",
        "workload",
        "database",
        "records",
        "",
        "wall s",
        "ratio",
        "CPU s",
        "ratio",
        "peak MB",
        "requests",
        "kB",
        "written"
    );
}

pub(crate) fn line(measured: &Measured) {
    let Measured { workload, database, records, milkrun, floor, wall_ratio, cpu_ratio, .. } = measured;
    let of = |name: &str, side: &Side, wall_ratio: &str, cpu_ratio: &str| {
        let Side { wall, cpu, peak, requests, bytes, written } = side;
        let written = written.map_or_else(String::new, |written| written.to_string());
        println!(
            "{:<17} {:<9} {:>9} {name:<8} {wall:>8.3} {wall_ratio:>6} {cpu:>8.3} {cpu_ratio:>6} {peak:>8.1} {requests:>8} {:>9} \
             {written:>9}",
            if name == "milkrun" { workload.as_str() } else { "" },
            if name == "milkrun" { database.name() } else { "" },
            if name == "milkrun" { records.to_string() } else { String::new() },
            bytes / 1_000,
        );
    };
    of("milkrun", milkrun, &format!("{wall_ratio:.2}"), &format!("{cpu_ratio:.2}"));
    of("floor", floor, "", "");
    if let Some(used) = measured.line_used {
        let records = u64::try_from(*records).unwrap_or(u64::MAX).max(1);
        println!("{:<17} {used:.2} of the line used, {} bytes a record", "", milkrun.bytes / records);
    }
}

/// How fast HQ itself is: what it cannot serve faster, nobody can load faster.
pub(crate) fn hq(reading: &Reading) {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    let rate = reading.sum.rows as f64 / reading.asking;
    println!(
        "the simulated HQ serves {rate:.0} records/s of {} bytes to who only reads",
        reading.bytes / reading.sum.rows.max(1)
    );
}

/// All of it for machines.
pub(crate) fn json(all: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(all)?);
    Ok(())
}
