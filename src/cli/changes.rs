//! `milkrun changes`: which rows the runs of late made, changed or let go, for who prints shelf labels in the morning.
//!
//! Printed page by page: a night may have changed a hundred thousand.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::json;

use super::diff::shown;
use super::moment::moment;
use super::output::{Output, Usage, grouped, plain};
use super::{Exit, Format, csv, load, position, runs, screen};
use crate::change::Action;
use crate::clock::Clock;
use crate::config::{Config, Job};
use crate::store::Store;
use crate::sync::{Changed, Error, FirstLoad, Listing};

/// Rows of a job that are printed for people; the rest is counted.
const SHOWN: usize = 40;

/// Columns of a row on its line.
const COLUMNS: usize = 8;

/// What stands before a row's own columns in CSV. A column of the table cannot have such a name.
const HEAD: [&str; 5] = ["milkrun_action", "milkrun_at", "milkrun_run", "milkrun_name", "milkrun_moved_to"];

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// From when on, in the outlet's zone: how long ago ("8h", "2d"), "yesterday", "18:00", "2026-11-25 18:00"
    #[arg(long, value_name = "TS", default_value = "24h")]
    since: String,
    /// Only this job's changes; may be given several times
    #[arg(long = "job", value_name = "JOB")]
    jobs: Vec<String>,
    /// Only what this run did, as far as no later run has changed it again
    #[arg(long, value_name = "ID", conflicts_with_all = ["since", "jobs"])]
    run: Option<i64>,
    /// Print one job's changes as CSV, with a header and the row's own columns
    #[arg(long)]
    csv: bool,
}

/// Whose changes, and from when on.
struct Scope<'c> {
    jobs: Vec<&'c Arc<Job>>,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    /// Only this run's.
    run: Option<crate::run::Run>,
}

pub(super) async fn run(options: &Options, config: &Path, output: &Output) -> anyhow::Result<Exit> {
    let config = load(config)?;
    let now = Clock::system().now();
    let since = moment(&options.since, now, config.site.time_zone)?;
    let mut jobs = Vec::new();
    for name in &options.jobs {
        jobs.push(position(&config, name)?);
    }
    let store = Store::open(&config.local).await.map_err(Error::store("opening the local database"))?;
    let run = match options.run {
        Some(id) => Some(runs::found(&store, id).await?),
        None => None,
    };
    if let Some(run) = &run {
        jobs = vec![position(&config, &run.job)?];
    }
    let is_meant = |at: &usize| jobs.is_empty() || jobs.contains(at);
    let jobs = config.jobs.iter().enumerate().filter(|(at, _)| is_meant(at)).map(|(_, job)| job).collect();
    let scope = Scope { jobs, since: run.as_ref().map_or(since, |run| run.started_at), until: now, run };
    match (options.csv, output.format()) {
        (true, Format::Json) => return Err(Usage("--csv and --format json exclude each other".to_owned()).into()),
        (true, Format::Text) => as_csv(&store, &scope, output).await?,
        (false, Format::Json) => as_json(&store, &scope, output).await?,
        (false, Format::Text) => as_text(&store, &scope, &config, output).await?,
    }
    store.close().await;
    Ok(Exit::Ok)
}

async fn listing<'s>(store: &'s Store, job: &'s Job, scope: &Scope<'_>) -> Result<Listing<'s>, Error> {
    match &scope.run {
        Some(run) => Ok(Listing::of(store, job, vec![run.clone()])),
        None => Listing::since(store, job, scope.since).await,
    }
}

/// One document, a change on each line.
async fn as_json(store: &Store, scope: &Scope<'_>, output: &Output) -> anyhow::Result<()> {
    output.line(&format!("{{\"since\":{},\"until\":{},\"changes\":[", json!(scope.since), json!(scope.until)))?;
    let (mut comma, mut loads) = ("", Vec::new());
    for job in &scope.jobs {
        let mut listing = listing(store, job, scope).await?;
        while let Some(changes) = listing.next().await? {
            for change in &changes {
                output.line(&format!("{comma}{}", serde_json::to_string(change)?))?;
                comma = ",";
            }
        }
        loads.extend(listing.first_loads().await?);
    }
    output.line(&format!("],\"first_loads\":{}}}", json!(loads)))
}

/// One job's table: what happened, then the row as it is now. Of a row that went only its key is left.
async fn as_csv(store: &Store, scope: &Scope<'_>, output: &Output) -> anyhow::Result<()> {
    let [job] = scope.jobs.as_slice() else {
        let known: Vec<&str> = scope.jobs.iter().map(|job| job.name.as_str()).collect();
        let known = known.join(", ");
        return Err(Usage(format!("--csv prints the table of one job: say which by --job (there are {known})")).into());
    };
    let mapping = &job.mapping;
    let columns: Vec<&str> = mapping
        .columns()
        .iter()
        .filter(|column| !column.is_private)
        .map(|column| column.name.as_str())
        .collect();
    let key: Vec<&str> = mapping
        .key()
        .iter()
        .filter_map(|at| mapping.columns().get(*at))
        .map(|column| column.name.as_str())
        .collect();
    output.line(&csv::line(HEAD.into_iter().chain(columns.iter().copied()).map(Some)))?;
    let mut listing = listing(store, job, scope).await?;
    while let Some(changes) = listing.next().await? {
        for change in &changes {
            let at = change.at.map(|at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string());
            let run = change.run.to_string();
            let head = [
                Some(change.action.word()),
                at.as_deref(),
                Some(run.as_str()),
                Some(change.name.as_str()),
                change.moved_to.as_deref(),
            ];
            let parts = parts(change.key.as_deref(), &key);
            let value = |column: &&str| match &change.columns {
                Some(values) => values.get(*column).and_then(|value| value.as_deref()),
                None => {
                    key.iter().position(|name| name == column).and_then(|at| parts.get(at)).and_then(Option::as_deref)
                }
            };
            output.line(&csv::line(head.into_iter().chain(columns.iter().map(value))))?;
        }
    }
    for load in listing.first_loads().await? {
        tracing::warn!("{}", first_load(&load, None));
    }
    Ok(())
}

/// The texts of a key's columns.
fn parts(key: Option<&str>, columns: &[&str]) -> Vec<Option<String>> {
    match (key, columns.len()) {
        (None, _) => Vec::new(),
        (Some(key), 1) => vec![Some(key.to_owned())],
        (Some(key), _) => serde_json::from_str(key).unwrap_or_default(),
    }
}

async fn as_text(store: &Store, scope: &Scope<'_>, config: &Config, output: &Output) -> anyhow::Result<()> {
    let (zone, width) = (config.site.time_zone, screen::width());
    let what = match &scope.run {
        Some(run) => format!("what run {} changed", run.id),
        None => format!("what changed since {}", written(scope.since, zone)),
    };
    output.line(&format!("{}: {what} ({})", screen::bold().apply_to(&config.site.name), zone.name()))?;
    let mut quiet = Vec::new();
    for job in &scope.jobs {
        let mut listing = listing(store, job, scope).await?;
        let (mut first, mut counts) = (Vec::new(), [0_u64; 3]);
        while let Some(changes) = listing.next().await? {
            for change in changes {
                let [new, changed, gone] = &mut counts;
                *match change.action.sign() {
                    '+' => new,
                    '-' => gone,
                    _ if change.moved_to.is_some() => gone,
                    _ => changed,
                } += 1;
                if first.len() < SHOWN {
                    first.push(change);
                }
            }
        }
        let loads = listing.first_loads().await?;
        let total: u64 = counts.iter().sum();
        if total == 0 && loads.is_empty() {
            quiet.push(job.name.as_str());
            continue;
        }
        let [new, changed, gone] = counts.map(grouped);
        let name = screen::bold().apply_to(&job.name);
        output.line(&match total {
            0 => format!("\n{name}:"),
            _ => format!("\n{name}: {new} new, {changed} changed, {gone} gone"),
        })?;
        let widest = first.iter().map(|change| console::measure_text_width(&named(change))).max().unwrap_or_default();
        for change in &first {
            output.line(&screen::cut(&line(change, widest.min(30), zone), width))?;
        }
        if total > first.len() as u64 {
            let rest = format!("  … and {} more; --csv or --format json lists all", total - first.len() as u64);
            output.line(&screen::dim().apply_to(rest).to_string())?;
        }
        for load in &loads {
            output.line(&format!("  {}", first_load(load, Some(zone))))?;
        }
    }
    if !quiet.is_empty() {
        output.line(&format!("\nnothing changed: {}", quiet.join(", ")))?;
    }
    Ok(())
}

/// `  ~ ICE-002  21:04  title: Cone, price: 85.00`.
fn line(change: &Changed, widest: usize, zone: Tz) -> String {
    let (style, sign) = match change.action {
        Action::Insert => (screen::good(), '+'),
        Action::Delete | Action::Mark | Action::Move => (screen::bad(), '-'),
        Action::Update | Action::Restore | Action::Children | Action::Keep | Action::Park | Action::Conflict => {
            (screen::note(), '~')
        }
    };
    let at = change.at.map(|at| at.with_timezone(&zone).format("%d %b %H:%M").to_string()).unwrap_or_default();
    let told = match (&change.columns, &change.moved_to) {
        (_, Some(to)) => plain(&format!("has the key {to} now")),
        (Some(columns), None) => {
            let known = [change.key.as_deref(), None];
            let columns = columns.iter().filter(|(_, value)| !known.contains(&value.as_deref())).take(COLUMNS);
            columns.map(|(name, value)| format!("{name}: {}", shown(value))).collect::<Vec<_>>().join(", ")
        }
        (None, None) if change.action == Action::Mark => "marked as deleted".to_owned(),
        (None, None) => String::new(),
    };
    let name = style.apply_to(format!("{sign} {}", screen::padded(&named(change), widest)));
    format!("  {name}  {}  {told}", screen::dim().apply_to(at)).trim_end().to_owned()
}

fn named(change: &Changed) -> String {
    match change.key.as_ref().filter(|key| **key != change.name) {
        Some(key) => plain(&format!("{} (row {key})", change.name)),
        None => plain(&change.name),
    }
}

/// `first load of 12,418 rows in run 12 (2026-11-25 18:02)`.
fn first_load(load: &FirstLoad, zone: Option<Tz>) -> String {
    let rows = if load.rows == 1 { "1 row".to_owned() } else { format!("{} rows", grouped(load.rows)) };
    let at = load.at.zip(zone).map(|(at, zone)| format!(" ({})", written(at, zone))).unwrap_or_default();
    format!("first load of {rows} in run {}{at}: not told one by one", load.run)
}

fn written(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string()
}
