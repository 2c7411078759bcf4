//! `milkrun run`: the daemon.

use std::path::Path;

use super::{Exit, load};
use crate::daemon;

pub(super) async fn run(config: &Path) -> anyhow::Result<Exit> {
    daemon::run(load(config)?).await?;
    Ok(Exit::Ok)
}
