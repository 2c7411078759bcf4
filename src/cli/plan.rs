//! `milkrun plan`: what a `sync.toml` would do to the database as it is and with HQ as it is, before it does it.

use std::path::Path;
use std::sync::Arc;

use super::output::{Output, count};
use super::{Exit, check, load, open};
use crate::config::Config;
use crate::daemon;
use crate::daemon::schedule::Schedule;
use crate::sync::{Leaving, MappingChange, Plan, What};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Exit with 5 where there is something to do
    #[arg(long)]
    detailed_exitcode: bool,
}

pub(super) async fn run(options: &Options, config: &Path, output: &Output) -> anyhow::Result<Exit> {
    let config = load(config)?;
    let engine = open(&config, Arc::new(|_event| {})).await?;
    let plans = Box::pin(engine.plan()).await;
    let now = engine.clock().now();
    let in_force = daemon::jobs_in_force(engine.store()).await;
    engine.store().close().await;
    let mut plans = plans?;
    // What the version in force has no more was taken out by an edit before this one.
    if let Some(in_force) = in_force? {
        plans.retain(|plan| plan.what != What::Removed || in_force.contains(&plan.job));
    }
    Box::pin(check::look_at_edits(&config, &mut plans)).await?;
    output.result(&plans, || text(&plans, &config, now))?;
    let is_nothing = plans.iter().all(Plan::is_nothing);
    Ok(match () {
        () if plans.iter().any(|plan| !plan.needs.is_empty()) => Exit::Blocked,
        () if options.detailed_exitcode && !is_nothing => Exit::ToDo,
        () => Exit::Ok,
    })
}

fn text(plans: &[Plan], config: &Config, now: chrono::DateTime<chrono::Utc>) -> String {
    let width = plans.iter().map(|plan| plan.job.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for plan in plans {
        let word = match plan.what {
            What::New => "new",
            What::Changed => "changed",
            What::Unchanged => "unchanged",
            What::Removed => "removed",
        };
        text.push_str(&format!("{:width$}  {word:<9}  {}\n", plan.job, head(plan)));
        for line in lines(plan, config, now) {
            text.push_str(&format!("{:width$}             {line}\n", ""));
        }
    }
    let of = |what| plans.iter().filter(|plan| plan.what == what).count();
    let counted =
        [(What::New, "new"), (What::Changed, "changed"), (What::Removed, "removed"), (What::Unchanged, "unchanged")];
    let counted: Vec<String> = counted
        .iter()
        .filter(|(what, _)| of(*what) > 0)
        .map(|(what, word)| format!("{} {word}", of(*what)))
        .collect();
    let nothing = if plans.iter().all(Plan::is_nothing) { ": nothing to do" } else { "" };
    text.push_str(&format!("\n{}{nothing}\n", counted.join(", ")));
    text
}

/// What happens, in one sentence.
fn head(plan: &Plan) -> String {
    match (plan.what, &plan.reading) {
        (What::New, Some(reading)) => format!("its first run reads {}: {}", reading.what(), reading.cost()),
        (What::Changed, Some(reading)) => format!("its next run reads {} again: {}", reading.what(), reading.cost()),
        (What::New | What::Changed, None) | (What::Unchanged, _) => String::new(),
        (What::Removed, _) => {
            let table = if plan.table.is_empty() { String::new() } else { format!(" of table {}", plan.table) };
            format!(
                "its {}{table} stay, as does what milkrun knows of them; it goes on where it is should the job come back",
                count(plan.rows, "row", "rows")
            )
        }
    }
}

fn lines(plan: &Plan, config: &Config, now: chrono::DateTime<chrono::Utc>) -> Vec<String> {
    let mut lines: Vec<String> = plan.changes.iter().map(change).collect();
    if let Some(Leaving { rows, is_beyond_limit }) = plan.leaving {
        let rows_leave = if rows == 1 { "1 row leaves".to_owned() } else { format!("{rows} rows leave") };
        let when = next_reconcile(plan, config, now).map_or_else(
            || format!("by `milkrun reconcile {}`, as the job has no reconcile of its own", plan.job),
            |at| format!("by its next reconcile, {at}, or `milkrun reconcile {}`", plan.job),
        );
        match (rows, is_beyond_limit) {
            (0, _) => lines.push("no row leaves with the filters".to_owned()),
            (_, false) => lines.push(format!("- {rows_leave} with the filters: at once where a daemon runs, else {when}")),
            (_, true) => lines.push(format!(
                "! {rows_leave} with the filters, at once where a daemon runs, else {when}: more than delete_limit allows, so \
                 that it will ask for --confirm-deletes"
            )),
        }
    }
    lines.extend(plan.makes.iter().map(|sql| format!("+ {sql};")));
    lines.extend(plan.needs.iter().map(|need| format!("! {need}")));
    lines
}

fn next_reconcile(plan: &Plan, config: &Config, now: chrono::DateTime<chrono::Utc>) -> Option<String> {
    let at = config.jobs.iter().position(|job| job.name == plan.job)?;
    let schedule: Schedule = Schedule::reconciles(config).into_iter().nth(at)??;
    let next = schedule.next(now)?.with_timezone(&config.site.time_zone);
    Some(format!("{} ({})", next.format("%Y-%m-%d %H:%M"), config.site.time_zone.name()))
}

fn change(change: &MappingChange) -> String {
    match change {
        MappingChange::ColumnAdded { table, column } => format!("+ column {column} of {table} is filled"),
        MappingChange::ColumnDropped { table, column } => {
            format!("- column {column} of {table} is filled no more; what it holds stays")
        }
        MappingChange::ColumnChanged { table, column, key, from, to } => {
            let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
            format!("~ column {column} of {table}: {key} {} → {}", word(from), word(to))
        }
        MappingChange::ChildAdded { table } => format!("+ child table {table} is filled"),
        MappingChange::ChildDropped { table } => format!("- child table {table} is filled no more; its rows stay"),
        MappingChange::Job { key, from, to } => format!("~ {key}: {from} → {to}"),
        MappingChange::Something => {
            "~ the mapping; what of it, cannot be told, as milkrun kept no words of the one before".to_owned()
        }
    }
}
