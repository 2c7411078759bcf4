//! `milkrun run`: the daemon.

use std::path::Path;
use std::sync::Arc;

use super::{Exit, load, open};
use crate::daemon;

pub(super) async fn run(config: &Path) -> anyhow::Result<Exit> {
    let config = load(config)?;
    let (watcher, ends) = daemon::Ends::heard(&config, Arc::new(|_event| {}));
    let engine = Arc::new(open(&config, watcher).await?);
    daemon::run(Arc::clone(&engine), ends).await?;
    engine.store().close().await;
    Ok(Exit::Ok)
}
