//! `milkrun conflicts`: what both sides changed: who got his way, and what waits for a decision.

use std::path::Path;

use chrono_tz::Tz;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::listing::Listing;
use super::output::{self, Output, Usage};
use super::{Exit, ground, known_to, load, open};
use crate::conflict::{Conflict, Side};
use crate::daemon::Ground;
use crate::store::{Store, WantedConflicts};
use crate::sync::Error;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// List the conflicts that wait for a decision, of one job or of all
    List {
        /// Only this job's
        #[arg(value_name = "JOB")]
        job: Option<String>,
        /// Those that were decided, too, and however many there are, also on a terminal
        #[arg(long)]
        all: bool,
    },
    /// Show both sides of a conflict
    Show {
        /// Its number in the list
        #[arg(value_name = "ID")]
        id: i64,
    },
    /// Say whose version is taken; the job's next run does so
    Resolve {
        /// Their numbers in the list
        #[arg(value_name = "ID", required = true)]
        ids: Vec<i64>,
        /// Whose version is taken
        #[arg(long, value_enum)]
        take: Take,
    },
}

/// Whose version is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Take {
    /// HQ's
    Hq,
    /// The outlet's
    Local,
}

pub(super) async fn run(action: &Action, config: &Path, output: &Output) -> anyhow::Result<Exit> {
    match action {
        Action::List { job, all } => list(&ground(config).await?, job.as_deref(), *all, output).await,
        Action::Show { id } => show(&ground(config).await?, *id, output).await,
        Action::Resolve { ids, take } => {
            let config = load(config)?;
            let engine = open(&config, std::sync::Arc::new(|_event| {})).await?;
            let side = match take {
                Take::Hq => Side::Hq,
                Take::Local => Side::Local,
            };
            // All of them, or none.
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.push(waiting(engine.store(), *id).await?);
            }
            for one in &found {
                if !engine.resolve(one.id, side).await? {
                    return Err(decided(one).into());
                }
            }
            engine.store().close().await;
            let told: Vec<Value> = found
                .iter()
                .map(|one| json!({ "id": one.id, "job": one.job, "name": one.name, "take": side.word() }))
                .collect();
            output.result(&told, || found.iter().map(|one| said(one, side)).collect())?;
            Ok(Exit::Ok)
        }
    }
}

fn said(one: &Conflict, side: Side) -> String {
    let whose = match side {
        Side::Hq => "HQ's version",
        Side::Local => "the version here",
    };
    format!(
        "conflict {}, {} of job {}: the next run takes {whose} (`milkrun sync {}` does so now)\n",
        one.id, one.name, one.job, one.job
    )
}

async fn waiting(store: &Store, id: i64) -> anyhow::Result<Conflict> {
    let found = store.conflict(id).await.map_err(Error::store("reading the conflicts"))?;
    let found = found.ok_or_else(|| unknown(id))?;
    if found.resolved_at.is_some() { Err(decided(&found).into()) } else { Ok(found) }
}

fn unknown(id: i64) -> Usage {
    Usage(format!("there is no conflict {id}; `milkrun conflicts list` lists those that wait"))
}

fn decided(one: &Conflict) -> Usage {
    let how = one.resolution.map_or("", |resolution| resolution.word());
    Usage(format!(
        "conflict {} waits no more: it was decided ({how}); `milkrun conflicts show {}` tells more",
        one.id, one.id
    ))
}

async fn list(ground: &Ground, job: Option<&str>, all: bool, output: &Output) -> anyhow::Result<Exit> {
    if let Some(job) = job {
        known_to(ground, job)?;
    }
    let store = Store::open(&ground.local).await.map_err(Error::store("opening the local database"))?;
    let reading = || Error::store("reading the conflicts");
    let zone = ground.time_zone;
    let mut listing = Listing::new(output, &["ID", "JOB", "NAME", "WHAT", "SINCE", "RULE", "STATE"], all)?;
    let mut before = None;
    while let Some(number) = listing.wanted() {
        let limit = Some(u32::try_from(number).unwrap_or(u32::MAX));
        let wanted = WantedConflicts { job, name: None, before, is_open: !all, limit };
        let found = store.conflicts(wanted).await.map_err(reading())?;
        before = found.last().map(|one| one.id);
        let is_last = found.len() < number;
        listing.print(found.iter().map(|one| (as_json(one), cells(one, zone))).collect())?;
        if is_last {
            break;
        }
    }
    let waiting = store.count_conflicts().await.map_err(reading())?;
    store.close().await;
    let total = waiting
        .iter()
        .filter(|(of, _)| job.is_none_or(|job| job == of.as_str()))
        .map(|(_, count)| count)
        .sum();
    let none = if all { "no conflict was met" } else { "no conflict waits for a decision" };
    listing.end(total, zone, (none, "--all shows them, and those that were decided"))?;
    Ok(Exit::Ok)
}

fn cells(one: &Conflict, zone: Tz) -> Vec<String> {
    vec![
        one.id.to_string(),
        one.job.clone(),
        output::plain(&one.name),
        one.kind.word().to_owned(),
        one.raised_at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string(),
        one.rule.word().to_owned(),
        state(one).to_owned(),
    ]
}

async fn show(ground: &Ground, id: i64, output: &Output) -> anyhow::Result<Exit> {
    let store = Store::open(&ground.local).await.map_err(Error::store("opening the local database"))?;
    let found = store.conflict(id).await.map_err(Error::store("reading the conflicts"))?;
    store.close().await;
    let one = found.ok_or_else(|| unknown(id))?;
    let zone = ground.time_zone;
    output.result(&as_json(&one), || {
        let at =
            |moment: chrono::DateTime<chrono::Utc>| moment.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string();
        let mut text = format!(
            "conflict  {} of job {}: {}\nrecord    {}{}\nrule      {}, met {} ({}) by run {}\nstate     {}{}\n\n",
            one.id,
            one.job,
            meaning(&one),
            one.name,
            one.modified.as_ref().map(|modified| format!(", HQ's version of {modified}")).unwrap_or_default(),
            one.rule.word(),
            at(one.raised_at),
            zone.name(),
            one.run,
            state(&one),
            one.resolved_at.map(|when| format!(", {}", at(when))).unwrap_or_default(),
        );
        let mut table = output::table(&["COLUMN", "LAST TAKEN FROM HQ", "HQ", "HERE"]);
        let sides = [&one.base, &one.hq, &one.local].map(|side| side.as_deref().and_then(object));
        let columns = sides.iter().flatten().next().map(|side| side.keys().cloned().collect::<Vec<_>>());
        for column in columns.unwrap_or_default() {
            let [base, hq, local] = &sides;
            let cell = |side: &Option<serde_json::Map<String, Value>>, none: &str| match side {
                None => none.to_owned(),
                Some(side) => side.get(&column).map_or_else(String::new, plain),
            };
            table.add_row([column.clone(), cell(base, "(not kept)"), cell(hq, "(deleted)"), cell(local, "(deleted)")]);
        }
        text.push_str(&table.to_string());
        if one.resolved_at.is_none() {
            text.push_str(&format!("\n\n  do: milkrun conflicts resolve {} --take hq|local", one.id));
        }
        text
    })?;
    Ok(Exit::Ok)
}

fn meaning(one: &Conflict) -> &'static str {
    use crate::conflict::Kind;
    match one.kind {
        Kind::Edit => "both sides changed it",
        Kind::LocalEdit => "it was edited here, and HQ's value was written over that",
        Kind::Insert => "both sides made a row of this key",
        Kind::LocalDelete => "the row was removed here, and HQ has the record",
        Kind::HqDelete => "HQ deleted the record, and the row was edited here",
    }
}

pub(super) fn state(one: &Conflict) -> &'static str {
    use crate::conflict::Resolution;
    match (one.told, one.resolution) {
        (_, Some(Resolution::Taken(Side::Hq))) => "HQ's was taken",
        (_, Some(Resolution::Taken(Side::Local))) => "the outlet's stayed",
        (_, Some(Resolution::Lapsed)) => "over by itself",
        (Some(Side::Hq), None) => "the next run takes HQ's",
        (Some(Side::Local), None) => "the next run keeps the outlet's",
        (None, None) => "waits for a decision",
    }
}

/// A conflict as JSON, both sides as objects.
pub(super) fn as_json(one: &Conflict) -> Value {
    let side = |text: &Option<String>| text.as_deref().and_then(object);
    json!({
        "id": one.id, "job": one.job, "name": one.name, "key": one.local_key, "kind": one.kind.word(),
        "modified": one.modified, "base": side(&one.base), "hq": side(&one.hq), "local": side(&one.local),
        "rule": one.rule.word(), "run": one.run, "raised_at": one.raised_at,
        "take": one.told.map(Side::word), "resolved_at": one.resolved_at,
        "resolution": one.resolution.map(|resolution| resolution.word()),
    })
}

fn object(text: &str) -> Option<serde_json::Map<String, Value>> {
    serde_json::from_str(text).ok()
}

pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
