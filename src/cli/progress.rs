//! Progress of runs that somebody asked for: bars on a terminal, none where stderr is piped, and with `-v` their ends.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::run::Run;
use crate::sync::{Event, Watcher};

/// A spinner a running job, with what it did so far and how fast.
pub(super) fn watcher() -> Watcher {
    if !io::stderr().is_terminal() {
        return without_bars();
    }
    let bars: Mutex<HashMap<String, ProgressBar>> = Mutex::default();
    Arc::new(move |event| {
        let Ok(mut bars) = bars.lock() else { return };
        match event {
            Event::Started { job, .. } => {
                let bar = ProgressBar::new_spinner().with_prefix(job.clone());
                if let Ok(style) =
                    ProgressStyle::with_template("{spinner} {prefix}: {pos} records, {per_sec}, {elapsed}")
                {
                    bar.set_style(style);
                }
                bar.enable_steady_tick(Duration::from_millis(120));
                bars.insert(job.clone(), bar);
            }
            Event::Page { job, counts } => {
                if let Some(bar) = bars.get(job) {
                    bar.set_position(counts.fetched);
                }
            }
            Event::Changes(_) => {}
            Event::Ended(run, _) => {
                if let Some(bar) = bars.remove(&run.job) {
                    bar.finish_and_clear();
                }
                log(run);
            }
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

/// Whoever asked is shown the result; the log has it for who wants to hear more.
fn log(run: &Run) {
    let (job, id, status) = (&run.job, run.id, run.status);
    match run.error.as_ref().filter(|_| !run.status.is_done()) {
        Some(error) => tracing::info!(job, run = id, ?status, error, "run ended early"),
        None => crate::daemon::ended_well(run),
    }
}
