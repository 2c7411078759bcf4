//! `milkrun run`: the daemon.

use std::path::Path;

use super::Exit;
use crate::daemon;

pub(super) async fn run(config: &Path) -> anyhow::Result<Exit> {
    Box::pin(daemon::run(config)).await?;
    Ok(Exit::Ok)
}
