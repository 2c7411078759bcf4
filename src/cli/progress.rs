//! Progress of runs on a terminal; nothing where stderr is piped.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::sync::{Event, Watcher};

/// A spinner a running job, with what it did so far and how fast.
pub(super) fn watcher() -> Watcher {
    if !io::stderr().is_terminal() {
        return Arc::new(|_event| {});
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
            Event::Ended(run) => {
                if let Some(bar) = bars.remove(&run.job) {
                    bar.finish_and_clear();
                }
            }
        }
    })
}
