//! What a process cost, as the kernel counted it: wall time, CPU and peak memory, exact and not sampled.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use wait4::Wait4 as _;

/// What one process cost.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Cost {
    /// Seconds from its start to its end.
    pub(crate) wall: f64,
    /// Seconds of CPU, in user and system mode, of all its threads.
    pub(crate) cpu: f64,
    /// Its largest resident set in MB (of 1,000,000 bytes).
    pub(crate) peak: f64,
}

/// Runs a program to its end; gives what it cost and what it printed.
pub(crate) fn run(command: &mut Command) -> Result<(Cost, String)> {
    let began = Instant::now();
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = std::io::read_to_string(process.stdout.take().context("no stdout")?)?;
    let used = process.wait4()?;
    let wall = began.elapsed().as_secs_f64();
    if !used.status.success() {
        bail!("{command:?} ended with {}, and printed\n{output}", used.status);
    }
    let cpu = (used.rusage.utime + used.rusage.stime).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "far below what a float holds")]
    let peak = used.rusage.maxrss as f64 / 1e6;
    Ok((Cost { wall, cpu, peak }, output))
}

/// The middle of some figures; of an even number the mean of the two in the middle.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
    if figures.len().is_multiple_of(2) { f64::midpoint(at(middle.wrapping_sub(1)), at(middle)) } else { at(middle) }
}
