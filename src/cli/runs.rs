//! `milkrun runs`: the run log, newest first, and all that is known of one run.

use std::path::Path;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::moment::moment;
use super::output::{self, Output, Usage, count, grouped};
use super::{Exit, conflicts, ground, known_to, screen, sync::word};
use crate::clock::Clock;
use crate::conflict::Conflict;
use crate::daemon::Ground;
use crate::quarantine::Parked;
use crate::run::{Run, Status};
use crate::store::{Span, Store, WantedConflicts};
use crate::sync::{self, Error};

/// Records of a run that are named; the rest is counted.
const NAMED: usize = 20;

/// Conflicts that are looked through for those of one run.
const CONFLICTS: u32 = 10_000;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Option<Action>,
    /// Only this job's runs
    #[arg(value_name = "JOB")]
    job: Option<String>,
    /// Only runs that did not end well
    #[arg(long)]
    failed: bool,
    /// Only runs from then on, in the outlet's zone: "8h" ago, "yesterday", "18:00", "2026-11-25 18:00"
    #[arg(long, value_name = "TS")]
    since: Option<String>,
    /// How many runs at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show all that is known of one run
    Show {
        /// Its number
        #[arg(value_name = "ID")]
        id: i64,
    },
}

pub(super) async fn run(options: &Options, config: &Path, output: &Output) -> anyhow::Result<Exit> {
    let ground = ground(config).await?;
    if let Some(Action::Show { id }) = options.action {
        return show(&ground, id, output).await;
    }
    if let Some(job) = &options.job {
        known_to(&ground, job)?;
    }
    let zone = ground.time_zone;
    let now = Clock::system().now();
    let since = options.since.as_ref().map(|since| moment(since, now, zone)).transpose()?;
    let store = Store::open(&ground.local).await.map_err(Error::store("opening the local database"))?;
    let runs = store.runs_since(options.job.as_deref(), options.failed, since, options.limit).await;
    let mut runs = runs.map_err(Error::store("reading the run log"))?;
    sync::tell_the_dead(&store, &mut runs, now).await?;
    store.close().await;
    output.result(&runs, || list(&runs, options, zone))?;
    Ok(Exit::Ok)
}

/// Characters of a terminal that all counts of a run fit into.
const ROOMY: usize = 110;

/// Errors that are told below the runs; `milkrun runs show` tells any.
const ERRORS: usize = 5;

fn list(runs: &[Run], options: &Options, zone: Tz) -> String {
    if runs.is_empty() {
        return if options.failed || options.since.is_some() { "no such runs" } else { "no runs yet" }.to_owned();
    }
    let width = screen::width();
    let is_roomy = width.is_none_or(|width| width >= ROOMY);
    let mut header = vec!["RUN", "JOB", "TRIGGER", "STARTED", "TOOK", "STATUS"];
    header.extend(is_roomy.then_some("FETCHED"));
    header.extend(["INSERTED", "UPDATED", "DELETED"]);
    header.extend(is_roomy.then_some("REQUESTS"));
    // On a terminal an error has lines of its own.
    header.extend(width.is_none().then_some("ERROR"));
    let mut table = output::table(&header);
    for run in runs {
        let counts = &run.counts;
        let mut cells = vec![
            run.id.to_string(),
            run.job.clone(),
            trigger(run),
            written(run.started_at, zone),
            run.ended_at.map(|ended| length(ended - run.started_at)).unwrap_or_default(),
            word(run.status).to_owned(),
        ];
        cells.extend(is_roomy.then(|| counts.fetched.to_string()));
        cells.extend([counts.inserted, counts.updated, counts.deleted].map(|count| count.to_string()));
        cells.extend(is_roomy.then(|| counts.requests.to_string()));
        cells.extend(width.is_none().then(|| run.error.clone().unwrap_or_default()));
        table.add_row(cells);
    }
    let mut text = table.to_string();
    let errors = runs.iter().filter_map(|run| Some((run, run.error.as_ref()?))).take(ERRORS);
    for (run, error) in errors.filter(|_| width.is_some()) {
        text.push_str(&format!("\n\n{} {}: {}", run.id, run.job, output::plain(error)));
    }
    format!("{text}\n\n{}", output::times_of(zone))
}

/// A run of the log.
pub(super) async fn found(store: &Store, id: i64) -> anyhow::Result<Run> {
    let reading = || Error::store("reading the run log");
    if let Some(run) = store.run(id).await.map_err(reading())? {
        return Ok(run);
    }
    let newest: Vec<String> =
        store.runs(None, false, 3).await.map_err(reading())?.iter().map(|run| run.id.to_string()).collect();
    let known = match newest.as_slice() {
        [] => "it is empty".to_owned(),
        newest => format!("the newest are {}; `milkrun runs` lists them", newest.join(", ")),
    };
    Err(Usage(format!("the run log has no run {id}: {known}")).into())
}

/// What belongs to a run beside its line of the log.
struct Told {
    run: Run,
    /// Records that it parked and that are in quarantine still.
    parked: Vec<Parked>,
    conflicts: Vec<Conflict>,
    is_first_load: bool,
    next: Option<String>,
}

async fn show(ground: &Ground, id: i64, output: &Output) -> anyhow::Result<Exit> {
    let store = Store::open(&ground.local).await.map_err(Error::store("opening the local database"))?;
    let mut run = found(&store, id).await?;
    let now = Clock::system().now();
    sync::tell_the_dead(&store, std::slice::from_mut(&mut run), now).await?;
    let ended = run.ended_at.unwrap_or(now);
    let parked = store.parked(Some(&run.job)).await.map_err(Error::store("reading the quarantine"))?;
    let parked: Vec<Parked> =
        parked.into_iter().filter(|one| (run.started_at..=ended).contains(&one.last_at)).collect();
    let wanted = WantedConflicts { job: Some(&run.job), limit: Some(CONFLICTS), ..WantedConflicts::default() };
    let conflicts = store.conflicts(wanted).await.map_err(Error::store("reading the conflicts"))?;
    let conflicts = conflicts.into_iter().filter(|one| one.run == run.id).collect();
    let loads = store.first_loads(&run.job, Span { first: id, last: id }).await;
    let is_first_load = !loads.map_err(Error::store("reading the run log"))?.is_empty();
    store.close().await;
    let next = next(&run);
    let told = Told { run, parked, conflicts, is_first_load, next };
    output.result(&as_json(&told), || text(&told, ground.time_zone, now))?;
    Ok(Exit::Ok)
}

/// The command that one would give next.
fn next(run: &Run) -> Option<String> {
    let (job, counts) = (&run.job, run.counts);
    match run.status {
        Status::Running => Some("milkrun status --watch".to_owned()),
        Status::Ok if counts.inserted + counts.updated + counts.deleted > 0 => {
            Some(format!("milkrun changes --run {}", run.id))
        }
        Status::Ok => None,
        Status::Quarantine => Some(format!("milkrun quarantine list {job}")),
        Status::Conflict => Some(format!("milkrun conflicts list {job}")),
        Status::Failed => Some(format!("milkrun sync {job}")),
        Status::Blocked => Some(run.remedy.as_deref().and_then(named).unwrap_or("milkrun check").to_owned()),
    }
}

/// The first command that a remedy names.
fn named(remedy: &str) -> Option<&str> {
    remedy.split('`').skip(1).step_by(2).find(|quoted| quoted.starts_with("milkrun "))
}

/// The line of the log, and what is known beside it.
fn as_json(told: &Told) -> Value {
    let mut value = json!(told.run);
    let Some(object) = value.as_object_mut() else { return value };
    let parked: Vec<Value> = told
        .parked
        .iter()
        .map(|one| json!({ "name": one.name, "reason": one.reason, "tries": one.tries }))
        .collect();
    object.insert("milliseconds".to_owned(), json!(took(&told.run).map(|took| took.num_milliseconds())));
    object.insert("records_per_second".to_owned(), json!(pace(&told.run)));
    object.insert("is_first_load".to_owned(), json!(told.is_first_load));
    object.insert("parked".to_owned(), parked.into());
    object.insert("conflicts".to_owned(), told.conflicts.iter().map(conflicts::as_json).collect());
    object.insert("next".to_owned(), json!(told.next));
    value
}

fn took(run: &Run) -> Option<chrono::Duration> {
    run.ended_at.map(|ended| (ended - run.started_at).max(chrono::Duration::zero()))
}

/// Records that HQ sent in a second; `None` of a run too short to tell.
fn pace(run: &Run) -> Option<u64> {
    let milliseconds = u64::try_from(took(run)?.num_milliseconds()).ok().filter(|took| *took > 0)?;
    (run.counts.fetched > 0).then(|| run.counts.fetched.saturating_mul(1_000) / milliseconds)
}

fn text(told: &Told, zone: Tz, now: DateTime<Utc>) -> String {
    let Told { run, .. } = told;
    let counts = run.counts;
    let style = match run.status {
        Status::Ok => screen::good(),
        Status::Running | Status::Quarantine | Status::Conflict => screen::note(),
        Status::Failed | Status::Blocked => screen::bad(),
    };
    let mut lines = vec![format!("run {} of {}: {}", run.id, run.job, style.apply_to(word(run.status)))];
    let mut fact = |name: &str, value: String| lines.push(format!("  {name:<11} {value}"));
    let load = if told.is_first_load { ", a first load" } else { "" };
    fact("trigger", format!("{}{load}", trigger(run)));
    fact("started", format!("{} ({})", written(run.started_at, zone), zone.name()));
    match run.ended_at {
        Some(ended) => fact("ended", format!("{}, after {}", written(ended, zone), length(ended - run.started_at))),
        None => fact("ended", format!("not yet: it goes on since {}", length(now - run.started_at))),
    }
    let pace = pace(run).map(|pace| format!(", {} records a second", grouped(pace))).unwrap_or_default();
    let fetched =
        if counts.fetched == 1 { "1 record".to_owned() } else { format!("{} records", grouped(counts.fetched)) };
    fact("fetched", format!("{fetched}, {}{pace}", output::bytes(counts.bytes)));
    fact(
        "rows",
        format!(
            "{} inserted, {} updated, {} unchanged, {} deleted",
            grouped(counts.inserted),
            grouped(counts.updated),
            grouped(counts.unchanged),
            grouped(counts.deleted)
        ),
    );
    let retries = match counts.retries {
        0 => String::new(),
        retries => format!(", {retries} of them repeated"),
    };
    fact("requests", format!("{}{retries}", counts.requests));
    let mark = |mark: &Option<String>| mark.clone().unwrap_or_else(|| "none".to_owned());
    if run.watermark_before == run.watermark_after {
        fact("watermark", format!("{}, as before", mark(&run.watermark_after)));
    } else {
        fact("watermark", format!("{} → {}", mark(&run.watermark_before), mark(&run.watermark_after)));
    }
    if let Some(error) = &run.error {
        fact(if run.status.is_done() { "left" } else { "error" }, error.clone());
    }
    if let Some(remedy) = &run.remedy {
        fact("do", remedy.clone());
    }
    if counts.quarantined > 0 || !told.parked.is_empty() {
        let still = told.parked.len();
        fact(
            "parked",
            format!("{}, {still} of them in quarantine still", count(counts.quarantined, "record", "records")),
        );
        for one in told.parked.iter().take(NAMED) {
            lines.push(format!("    {}: {}", one.name, output::shortened(&one.reason, 120)));
        }
        lines.extend(rest(still));
    }
    if !told.conflicts.is_empty() {
        lines.push(format!("  {:<11} {}", "conflicts", told.conflicts.len()));
        for one in told.conflicts.iter().take(NAMED) {
            let (kind, rule) = (one.kind.word(), one.rule.word());
            lines.push(format!("    {} {}: {kind}, by {rule}: {}", one.id, one.name, conflicts::state(one)));
        }
        lines.extend(rest(told.conflicts.len()));
    }
    if let Some(next) = &told.next {
        lines.push(format!("\nnext: {}", screen::bold().apply_to(next)));
    }
    lines.join("\n")
}

fn rest(all: usize) -> Option<String> {
    let rest = all.saturating_sub(NAMED);
    (rest > 0).then(|| format!("    … and {rest} more"))
}

fn trigger(run: &Run) -> String {
    let trigger = serde_json::to_value(run.trigger).ok();
    trigger.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn written(moment: DateTime<Utc>, zone: Tz) -> String {
    moment.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// `0.4 s`, `2 min 5 s`, `1 h 20 min`.
fn length(length: chrono::Duration) -> String {
    let milliseconds = length.num_milliseconds().max(0);
    let seconds = milliseconds / 1_000;
    match seconds {
        0..60 => format!("{seconds}.{} s", milliseconds % 1_000 / 100),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}
