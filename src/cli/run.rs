//! `milkrun run`: the daemon.

use std::path::Path;
use std::sync::Arc;

use super::{Exit, load, open};
use crate::daemon;

pub(super) async fn run(config: &Path) -> anyhow::Result<Exit> {
    let config = load(config)?;
    let (watcher, ends) = daemon::Ends::heard(&config, Arc::new(|_event| {}));
    let engine = open(&config, watcher).await?;
    daemon::run(Arc::new(engine), ends).await?;
    Ok(Exit::Ok)
}
