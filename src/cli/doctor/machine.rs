//! The machine: its clock, its memory, and what a process of it may have open.

use std::path::Path;

use chrono::{DateTime, Datelike as _, Utc};

use super::{Report, size};
use crate::config::Config;

/// No clock that is right shows an earlier year than that in which this was written.
const EARLIEST_YEAR: i32 = 2026;

/// What a first load takes, and then some.
const MEMORY: u64 = 128 << 20;

/// Below this a page may not fit.
const LEAST_MEMORY: u64 = 32 << 20;

/// Connections, the database's files, the status page and its readers.
const FILES: u64 = 128;

/// What timesyncd leaves once it has set the clock.
const TIMESYNC: (&str, &str) = ("/run/systemd/timesync", "/run/systemd/timesync/synchronized");

pub(super) fn look(config: Option<&Config>, now: DateTime<Utc>, report: &mut Report) {
    report.ok("milkrun", format!("{} ({})", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH));
    clock(config, now, report);
    memory(report);
    files(report);
}

fn clock(config: Option<&Config>, now: DateTime<Utc>, report: &mut Report) {
    let shown = now.format("%Y-%m-%d %H:%M:%S UTC");
    if now.year() < EARLIEST_YEAR {
        let remedy = "set it (`timedatectl set-ntp true`); schedules go by it, and no certificate is valid yet";
        return report.problem("clock", format!("this machine's clock shows {shown}"), remedy);
    }
    let here = config.map(|config| config.site.time_zone).map(|zone| {
        format!(", which is {} in {} (site.time_zone)", now.with_timezone(&zone).format("%H:%M:%S"), zone.name())
    });
    report.ok("clock", format!("{shown}{}", here.unwrap_or_default()));
    let (service, mark) = TIMESYNC;
    if Path::new(service).exists() && !Path::new(mark).exists() {
        report.note("clock", "systemd-timesyncd has not set the clock yet", "see `timedatectl timesync-status`");
    }
}

fn memory(report: &mut Report) {
    let Some(free) = available_memory() else { return };
    let message = format!("{} of memory are free", size(free));
    match free {
        0..LEAST_MEMORY => report.problem("memory", message, "end what takes it, or give the machine more"),
        LEAST_MEMORY..MEMORY => report.note("memory", message, "a first load takes up to about 100 MB"),
        MEMORY.. => report.ok("memory", message),
    }
}

/// What the machine has, or the service's own bound where that is closer.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let bound = number("/sys/fs/cgroup/memory.max").zip(number("/sys/fs/cgroup/memory.current"));
    let within = bound.map_or(u64::MAX, |(most, taken)| most.saturating_sub(taken));
    Some(free.saturating_mul(1024).min(within))
}

fn files(report: &mut Report) {
    use rustix::process::{Resource, getrlimit};
    let message = |most: u64| format!("a process may have {most} files open");
    match getrlimit(Resource::Nofile).current {
        Some(most) if most < FILES => {
            report.problem(
                "files",
                message(most),
                format!("allow {FILES} or more: `ulimit -n`, LimitNOFILE= of the unit"),
            );
        }
        Some(most) => report.ok("files", message(most)),
        None => report.ok("files", "a process may have any number of files open"),
    }
}
