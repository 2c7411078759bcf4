//! `milkrun check`: is the configuration right, and do HQ and the local database agree with it?
//!
//! | file | what is looked at |
//! | --- | --- |
//! | `plan.rs` | the file alone: examples, the next times, who waits for whom |
//! | `hq.rs` | HQ: clock, zone, credentials, tombstones |
//! | `job.rs` | each job at HQ: its DocTypes and fields, and whether this user may read them |
//! | `fit.rs` | whether what HQ's fields can hold fits what the columns take; pure |
//! | `key.rs` | whether no two records at HQ would be one row |
//! | `report.rs` | what is said of it |
//! | `edit.rs` | the same questions for `milkrun plan` |
//!
//! A check asks HQ a handful of small questions for each job, never for whole lists.

mod edit;
mod fit;
mod hq;
mod job;
mod key;
mod plan;
mod report;

use std::path::Path;
use std::sync::Arc;

pub(super) use self::edit::look_at_edits;
use self::report::Report;
use super::Exit;
use super::output::{self, Output};
use crate::clock::Clock;
use crate::config::{self, Config, Job, Problems};
use crate::store::Store;
use crate::sync::{Engine, Error};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Check only the file and the examples in it; contact nothing
    #[arg(long)]
    offline: bool,
}

pub(super) async fn run(options: &Options, path: &Path, output: &Output) -> anyhow::Result<Exit> {
    let text = config::read(path)?;
    let config = impatient(path, &text)?;
    // What the database will prove right or wrong in a moment is left to it.
    let wrong = if options.offline { config.doubts() } else { config.failed_examples() };
    if let Some(problems) = wrong {
        return Err(problems.into());
    }
    let mut report = Report::default();
    report.ok("config", format!("{}: {}", path.display(), output::count(config.jobs.len() as u64, "job", "jobs")));
    plan::look(&config, Clock::system().now(), &mut report);
    if !options.offline {
        let is_there = hq::look(&config, &mut report).await;
        local(&config, is_there, &mut report).await;
    }
    report.locate(&path.display().to_string(), &text, &config);
    let (is_terminal, is_coloured) = (output.is_terminal(), output.is_coloured());
    output.result(&report, || report.text(is_terminal, is_coloured, options.offline))?;
    Ok(report.exit())
}

/// What a check asks is tried twice, not as often as a run tries it: somebody waits.
const ATTEMPTS: u32 = 2;

fn impatient(path: &Path, text: &str) -> Result<Arc<Config>, Problems> {
    let mut config = config::load_text(path, text)?;
    config.hq.retry.max_attempts = config.hq.retry.max_attempts.min(ATTEMPTS);
    Ok(Arc::new(config))
}

async fn local(config: &Arc<Config>, is_hq_there: bool, report: &mut Report) {
    let store = match Store::open(&config.local).await {
        Ok(store) => store,
        Err(cause) => {
            return report.error("local", &Error::Store { step: "opening the local database".to_owned(), cause });
        }
    };
    report.ok("local", format!("{} answers", config.local.shown()));
    for job in &config.jobs {
        match store.inspect(job).await {
            Ok(findings) if findings.is_empty() => match store.to_make(job).await {
                Ok(made) if made.is_empty() => report.ok(&job.name, format!("table {} fits", job.table)),
                Ok(_) => report.ok(&job.name, to_be_made(job)),
                Err(cause) => report.error(&job.name, &Error::Store { step: format!("table {}", job.table), cause }),
            },
            Ok(findings) => {
                let absent = store.absent_columns(job).await.unwrap_or_default();
                for finding in findings {
                    match absent.iter().find(|(table, column)| is_of(&finding, table, column)) {
                        Some((table, column)) => {
                            let mut children = job.mapping.children().iter();
                            let child = children.find(|child| child.table == *table).map(|child| child.field.as_str());
                            report.problem_of(&job.name, job::named(child, column), finding);
                        }
                        None => report.problem(&job.name, Exit::Blocked, finding),
                    }
                }
            }
            Err(cause) => report.error(&job.name, &Error::Store { step: format!("table {}", job.table), cause }),
        }
        lookups(config, job, &store, report).await;
    }
    store.close().await;
    // What keeps HQ from answering has been said.
    if is_hq_there {
        edits(config, report).await;
    }
}

/// Whether a finding is that the table lacks the column.
fn is_of(finding: &str, table: &str, column: &str) -> bool {
    finding.starts_with(&format!("Table {table} has no column {column}."))
}

/// Tables that the job looks values up in, and that nobody makes.
async fn lookups(config: &Config, job: &Job, store: &Store, report: &mut Report) {
    let absent = match store.absent_lookups(job).await {
        Ok(absent) => absent,
        Err(cause) => {
            return report.error(&job.name, &Error::Store { step: "looking for its lookups".to_owned(), cause });
        }
    };
    let fills =
        |job: &Job, table: &str| job.table == table || job.mapping.children().iter().any(|child| child.table == table);
    for table in absent.iter().filter(|table| !config.jobs.iter().any(|job| fills(job, table))) {
        let what = format!(
            "the lookup table {table} does not exist, and no job of the file fills it; name a table that is there or will \
             be in `lookup.table`"
        );
        report.problem_of(&job.name, job::named(None, table), what);
    }
}

fn to_be_made(job: &Job) -> String {
    let tables = match job.mapping.children().len() {
        0 => format!("table {} is not there yet", job.table),
        _ => format!("table {} or a child table of it is not there yet", job.table),
    };
    format!("{tables}: the next run makes what is missing (`milkrun plan` shows how)")
}

/// What the jobs read again whose mapping is another one than they last ran by.
async fn edits(config: &Arc<Config>, report: &mut Report) {
    let planned = async {
        let engine = Engine::open(Arc::clone(config), Clock::system(), Arc::new(|_event| {})).await?;
        let plans = Box::pin(engine.edits()).await;
        engine.store().close().await;
        plans
    };
    match planned.await {
        Ok(plans) => {
            for (plan, sentence) in plans.iter().filter_map(|plan| Some((plan, plan.sentence()?))) {
                report.note(&plan.job, format!("{sentence}; `milkrun plan` says what else"));
            }
        }
        Err(error) => report.error("local", &error),
    }
}
