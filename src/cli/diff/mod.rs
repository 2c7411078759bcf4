//! `--dry-run` and `--changes`: the list of what is done to rows.
//!
//! As JSON it is one document, printed page by page as it is done, in which nothing is of the moment: of a dry run and the
//! run after it, on an HQ and an outlet that stand still, it is the same to the byte. As text it is a digest at the end.

mod text;

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub(super) use self::text::shown;

use self::text::Digest;
use super::output::Output;
use super::{Exit, Format, in_time, open_to_run, progress, screen, sync};
use crate::change::Change;
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon;
use crate::run::Run;
use crate::sync::{Engine, Error, Event, Order, Watcher};

/// What the commands that run jobs tell beside their ends.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Telling {
    /// Go the same way, tell what would be done, and leave nothing behind
    #[arg(long)]
    pub(super) dry_run: bool,
    /// List every change of a row, as --dry-run does beforehand
    #[arg(long)]
    changes: bool,
}

impl Telling {
    /// Whether there is anything to tell.
    pub(super) fn is_wanted(self) -> bool {
        self.dry_run || self.changes
    }
}

/// Runs what was ordered and prints how it went: runs, or changes and runs where they are asked for.
pub(super) async fn round(
    (config, path): (&Arc<Config>, &Path),
    order: &Order,
    telling: Telling,
    output: &Output,
) -> anyhow::Result<Exit> {
    let stop = CancellationToken::new();
    if !telling.is_wanted() {
        let engine = open_to_run(config, path, progress::watcher()).await?.telling_totals(progress::totals());
        daemon::stop_on_signals(&stop);
        let runs = in_time(&stop, engine.round(order, &stop)).await?;
        engine.store().close().await;
        output.result(&runs, || runs.iter().map(sync::line).collect())?;
        return Ok(Exit::of(runs.iter().map(|run| run.status)));
    }
    daemon::stop_on_signals(&stop);
    let list = List::new(*output);
    let done = told((config, path), order, telling, &list, &stop).await;
    list.end(done, telling)
}

async fn told(
    (config, path): (&Arc<Config>, &Path),
    order: &Order,
    telling: Telling,
    list: &List,
    stop: &CancellationToken,
) -> anyhow::Result<Vec<Run>> {
    // What is printed on the same terminal meanwhile would run into bars.
    let is_in_the_way = list.output.format() == Format::Json && std::io::stdout().is_terminal();
    let progress = if is_in_the_way { progress::without_bars() } else { progress::watcher() };
    let watcher = list.watcher(progress);
    let opening = async {
        if telling.dry_run {
            let engine = Engine::open_dry_run(Arc::clone(config), Clock::system(), watcher).await?;
            return Ok(engine.guarded(path).telling_totals(progress::totals()));
        }
        let engine = Engine::open(Arc::clone(config), Clock::system(), watcher).await?;
        Ok(engine.guarded(path).telling_totals(progress::totals()).telling_changes())
    };
    let engine = tokio::select! {
        biased;
        () = stop.cancelled() => Err(Error::Stopped),
        engine = Box::pin(opening) => engine,
    }?;
    let runs = in_time(stop, engine.round(order, stop)).await?;
    engine.store().close().await;
    Ok(runs)
}

/// The list as far as it has been printed.
#[derive(Debug, Clone)]
struct List {
    output: Output,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    told: u64,
    /// What is told of it to people.
    digest: Digest,
    /// What kept it from being printed.
    error: Option<anyhow::Error>,
}

/// A run without what differs from one to the next.
#[derive(Debug, Serialize)]
struct JobEnd<'r> {
    job: &'r str,
    status: &'static str,
    counts: Value,
    error: &'r Option<String>,
    remedy: &'r Option<String>,
}

impl List {
    fn new(output: Output) -> Self {
        let state = State { told: 0, digest: Digest::new(), error: None };
        Self { output, state: Arc::new(Mutex::new(state)) }
    }

    /// Takes changes as they are told, and passes everything on.
    fn watcher(&self, next: Watcher) -> Watcher {
        let list = self.clone();
        Arc::new(move |event| {
            if let Event::Changes(changes) = event {
                changes.iter().for_each(|change| list.tell(change));
            }
            next(event);
        })
    }

    fn tell(&self, change: &Change) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let printed = match self.output.format() {
            Format::Json => serde_json::to_string(change).map_err(anyhow::Error::from).and_then(|text| {
                let head = if state.told == 0 { "{\"changes\":[\n" } else { "," };
                self.output.line(&format!("{head}{text}"))
            }),
            Format::Text => {
                state.digest.add(change);
                Ok(())
            }
        };
        state.told += 1;
        if let Err(error) = printed {
            state.error.get_or_insert(error);
        }
    }

    fn end(&self, done: anyhow::Result<Vec<Run>>, telling: Telling) -> anyhow::Result<Exit> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let told = state.told;
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        match (self.output.format(), done) {
            // What was begun must become a document.
            (Format::Json, Err(error)) if told > 0 => {
                let (exit, why, remedy) = Output::told(&error);
                let (why, remedy) = (json!(why), json!(remedy));
                self.output.line(&format!("],\"jobs\":[],\"error\":{why},\"remedy\":{remedy}}}"))?;
                Ok(exit)
            }
            (Format::Json, Err(error)) => Err(error),
            (Format::Text, Err(error)) => {
                if told > 0 {
                    self.output.line(state.digest.text(screen::width()).trim_end())?;
                }
                Err(error)
            }
            (Format::Json, Ok(runs)) => {
                let ends: Vec<String> =
                    runs.iter().map(|run| serde_json::to_string(&JobEnd::of(run))).collect::<Result<_, _>>()?;
                let head = if told == 0 { "{\"changes\":[" } else { "" };
                self.output.line(&format!("{head}],\"jobs\":[\n{}\n]}}", ends.join("\n,")))?;
                Ok(Exit::of(runs.iter().map(|run| run.status)))
            }
            (Format::Text, Ok(runs)) => {
                let mut text = state.digest.text(screen::width());
                if telling.dry_run {
                    text.push_str("dry run: nothing was written\n");
                }
                text.extend(runs.iter().map(sync::line));
                self.output.line(text.trim_end())?;
                Ok(Exit::of(runs.iter().map(|run| run.status)))
            }
        }
    }
}

impl<'r> JobEnd<'r> {
    fn of(run: &'r Run) -> Self {
        let mut counts = json!(run.counts);
        if let Some(counts) = counts.as_object_mut() {
            for cost in ["requests", "bytes", "retries"] {
                counts.remove(cost);
            }
        }
        Self { job: &run.job, status: sync::word(run.status), counts, error: &run.error, remedy: &run.remedy }
    }
}
