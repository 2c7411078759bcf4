//! What the bench prints.

use serde::Serialize;

use crate::check::Reading;
use crate::rounds::{Measured, Side};

const HEAD: [&str; 12] = [
    "workload", "database", "records", "", "wall s", "ratio", "CPU s", "ratio", "peak MB", "requests", "kB", "written",
];

const WIDTHS: [usize; 12] = [16, 8, 7, 7, 8, 5, 8, 5, 7, 8, 7, 7];

/// The head of the table, two lines for each workload and database to follow.
pub(crate) fn head(is_markdown: bool) {
    row(&HEAD.map(str::to_owned), is_markdown);
    if is_markdown {
        println!("| --- | --- | ---: | --- |{}", " ---: |".repeat(8));
    }
}

/// Both sides of one measurement.
pub(crate) fn lines(measured: &Measured, is_markdown: bool) {
    let Measured { workload, database, records, milkrun, floor, wall_ratio, cpu_ratio, .. } = measured;
    let what = [workload.clone(), database.name().to_owned(), records.to_string()];
    let ratios = [*wall_ratio, *cpu_ratio].map(|ratio| format!("{ratio:.2}"));
    row(&cells(what, "milkrun", milkrun, ratios), is_markdown);
    row(&cells(Default::default(), "floor", floor, Default::default()), is_markdown);
    if let (Some(used), false) = (measured.line_used, is_markdown) {
        let records = u64::try_from(*records).unwrap_or(u64::MAX).max(1);
        println!("{used:.2} of the line used, {} bytes a record", milkrun.bytes / records);
    }
}

fn cells(what: [String; 3], name: &str, side: &Side, ratios: [String; 2]) -> [String; 12] {
    let ([workload, database, records], [wall_ratio, cpu_ratio]) = (what, ratios);
    let Side { wall, cpu, peak, requests, bytes, written } = side;
    [
        workload,
        database,
        records,
        name.to_owned(),
        format!("{wall:.3}"),
        wall_ratio,
        format!("{cpu:.3}"),
        cpu_ratio,
        format!("{peak:.1}"),
        requests.to_string(),
        (bytes / 1_000).to_string(),
        written.map(|written| written.to_string()).unwrap_or_default(),
    ]
}

fn row(cells: &[String; 12], is_markdown: bool) {
    if is_markdown {
        return println!("| {} |", cells.join(" | "));
    }
    let padded = cells.iter().zip(WIDTHS).enumerate().map(|(at, (cell, width))| match at {
        // Names to the left, figures to the right.
        0 | 1 | 3 => format!("{cell:<width$}"),
        _ => format!("{cell:>width$}"),
    });
    println!("{}", padded.collect::<Vec<String>>().join("  ").trim_end());
}

/// How fast HQ itself is: what it cannot serve faster, nobody can load faster.
pub(crate) fn hq(plain: &Reading, compressed: &Reading) {
    let of = |reading: &Reading| {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        let rate = reading.sum.rows as f64 / reading.asking;
        format!("{rate:.0} records/s of {} bytes", reading.bytes / reading.sum.rows.max(1))
    };
    println!("the simulated HQ serves {} to who only reads, compressed {}", of(plain), of(compressed));
}

/// All of it for machines.
pub(crate) fn json(all: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(all)?);
    Ok(())
}
