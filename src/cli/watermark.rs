//! `milkrun watermark`: how far a job has come, and moving it by hand.

use std::path::Path;

use serde::Serialize;

use super::output::{Output, Usage};
use super::{Exit, load, open, position, stamp};
use crate::record::Mark;
use crate::store::Stream;
use crate::sync::Error;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Show how far the job has come
    Show {
        /// The job
        job: String,
    },
    /// Have the next run read again what HQ stamped after this moment (HQ's wall time)
    Set {
        /// The job
        job: String,
        /// "2024-05-05 10:00:00", "2024-05-05 10:00:00.000001", or a date: its midnight
        timestamp: String,
    },
    /// Have the next run read everything again; rows and ledger stay
    Reset {
        /// The job
        job: String,
    },
}

#[derive(Debug, Serialize)]
struct Shown {
    job: String,
    seen: Option<Mark>,
    settled: Option<Mark>,
    /// Whether a reading of the whole DocType is under way, and how far it has come.
    pass: Option<Option<Mark>>,
}

pub(super) async fn run(action: &Action, config: &Path, output: &Output) -> anyhow::Result<Exit> {
    let config = load(config)?;
    let (Action::Show { job } | Action::Set { job, .. } | Action::Reset { job }) = action;
    position(&config, job)?;
    let stamp = match action {
        Action::Set { timestamp, .. } => Some(stamp(timestamp).map_err(|error| Usage(error.to_string()))?),
        Action::Show { .. } | Action::Reset { .. } => None,
    };
    let engine = open(&config, std::sync::Arc::new(|_event| {})).await?;
    match action {
        Action::Show { .. } => {}
        Action::Set { .. } => engine.rewind(job, stamp.as_ref()).await?,
        Action::Reset { .. } => engine.rewind(job, None).await?,
    }
    let progress = engine.store().progress(job, Stream::Records).await;
    let progress = progress.map_err(Error::store("reading the watermark"))?.unwrap_or_default();
    engine.store().close().await;
    let shown = Shown {
        job: job.clone(),
        seen: progress.watermark.seen,
        settled: progress.watermark.settled,
        pass: progress.pass.map(|pass| pass.cursor),
    };
    output.result(&shown, || text(&shown))?;
    Ok(Exit::Ok)
}

fn text(shown: &Shown) -> String {
    let mark =
        |mark: &Option<Mark>| mark.as_ref().map_or_else(|| "-".to_owned(), |m| format!("{}  {}", m.modified, m.name));
    let mut text =
        format!("job      {}\nseen     {}\nsettled  {}\n", shown.job, mark(&shown.seen), mark(&shown.settled));
    if let Some(cursor) = &shown.pass {
        text.push_str(&format!("reading everything, so far up to  {}\n", mark(cursor)));
    }
    text
}
