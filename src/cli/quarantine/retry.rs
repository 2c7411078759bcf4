//! `milkrun quarantine retry`: what became of each record that was asked for, and of no other.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::output::{self, Output};
use super::super::sync::line;
use super::super::{Exit, in_time, open, progress};
use super::chosen;
use crate::config::Config;
use crate::daemon;
use crate::record::Stamp;
use crate::run::{Run, Trigger};
use crate::store::{Store, WantedConflicts};
use crate::sync::{Error, Mode, Order};

/// Records that are told one by one; the rest is counted.
const TOLD: usize = 50;

/// What became of a record.
#[derive(Debug, Serialize)]
struct Tried {
    name: String,
    state: State,
    /// Why it is in quarantine still, or which conflict it waits in.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Its row has HQ's version.
    Taken,
    /// It waits for an operator's decision.
    Conflict,
    /// It cannot be taken.
    Parked,
    /// It is none of the job's any more.
    Left,
}

pub(super) async fn run(
    config: &std::sync::Arc<Config>,
    (job, position): (&str, usize),
    names: &[String],
    output: &Output,
) -> anyhow::Result<Exit> {
    let engine = open(config, progress::watcher()).await?;
    let names = chosen(engine.store(), job, names).await?;
    let stop = CancellationToken::new();
    daemon::stop_on_signals(&stop);
    let before = stamps(engine.store(), job, &names).await?;
    let order = Order {
        jobs: vec![position],
        mode: Mode::Parked(names.clone()),
        trigger: Trigger::Quarantine,
        has_confirmed_deletes: false,
    };
    let parked = super::parked(engine.store(), job, &names).await?;
    let runs = in_time(&stop, engine.round(&order, &stop)).await?;
    let is_done = runs.iter().all(|run| run.status.is_done());
    // A run that broke off has said why, and nothing of the records.
    let tried = match is_done {
        true => tried(engine.store(), job, &names, (&before, &parked)).await?,
        false => Vec::new(),
    };
    engine.store().close().await;
    let exit = Exit::of(runs.iter().map(|run| run.status));
    output.result(&as_json(&runs, &tried), || text(&runs, &tried, is_done))?;
    Ok(exit)
}

async fn stamps(store: &Store, job: &str, names: &[String]) -> Result<HashMap<String, Stamp>, Error> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    store.stamps(job, &names).await.map_err(Error::store("reading the ledger"))
}

async fn tried(
    store: &Store,
    job: &str,
    names: &[String],
    (before, versions): (&HashMap<String, Stamp>, &HashMap<String, Stamp>),
) -> Result<Vec<Tried>, Error> {
    let after = stamps(store, job, names).await?;
    let reading = || Error::store("reading the conflicts");
    let wanted = WantedConflicts { job: Some(job), is_open: true, ..WantedConflicts::default() };
    let open: HashMap<String, i64> = store
        .conflicts(wanted)
        .await
        .map_err(reading())?
        .into_iter()
        .map(|one| (one.name, one.id))
        .collect();
    let mut tried = Vec::with_capacity(names.len());
    for name in names {
        let parked = store.parked_record(job, name).await.map_err(Error::store("reading the quarantine"))?;
        // The ledger may hold an older version of a record that has left the filters meanwhile.
        let is_taken =
            after.get(name).is_some_and(|now| before.get(name) != Some(now) || versions.get(name) == Some(now));
        let (state, reason) = match (parked, open.get(name)) {
            (Some(parked), _) => (State::Parked, Some(parked.reason)),
            (None, Some(id)) => (State::Conflict, Some(id.to_string())),
            (None, None) if is_taken => (State::Taken, None),
            (None, None) => (State::Left, None),
        };
        tried.push(Tried { name: name.clone(), state, reason });
    }
    Ok(tried)
}

/// The run as the log has it, and beside it what became of the records.
fn as_json(runs: &[Run], tried: &[Tried]) -> Vec<Value> {
    let with_records = |run: &Run| {
        let mut value = json!(run);
        if let Some(object) = value.as_object_mut() {
            object.insert("records".to_owned(), json!(tried));
        }
        value
    };
    runs.iter().map(with_records).collect()
}

fn text(runs: &[Run], tried: &[Tried], is_done: bool) -> String {
    if !is_done {
        return runs.iter().map(line).collect();
    }
    if tried.is_empty() {
        return "nothing is in quarantine of this job, so nothing was tried".to_owned();
    }
    let mut text = String::new();
    for Tried { name, state, reason } in tried.iter().take(TOLD) {
        let reason = reason.as_deref().map(output::plain).unwrap_or_default();
        let became = match state {
            State::Taken => "taken; it has left the quarantine".to_owned(),
            State::Conflict => format!("waits for a decision: `milkrun conflicts show {reason}`"),
            State::Parked => format!("still in quarantine: {reason}"),
            State::Left => {
                "has left the quarantine without a row: it is outside the job's filters at HQ now".to_owned()
            }
        };
        text.push_str(&format!("{}: {became}\n", output::plain(name)));
    }
    if tried.len() > TOLD {
        text.push_str(&format!("… and {} more\n", tried.len() - TOLD));
    }
    let count = |state| tried.iter().filter(|one| one.state == state).count() as u64;
    let counted =
        [(State::Taken, "taken"), (State::Conflict, "waiting for a decision"), (State::Left, "outside the filters")];
    let mut parts: Vec<String> = counted
        .iter()
        .map(|(state, word)| (count(*state), word))
        .filter(|(n, _)| *n > 0)
        .map(|(n, w)| format!("{n} {w}"))
        .collect();
    parts.extend(Some(count(State::Parked)).filter(|n| *n > 0).map(|n| format!("{n} still in quarantine")));
    text.push_str(&format!("{} tried: {}\n", output::count(tried.len() as u64, "record", "records"), parts.join(", ")));
    text
}
