//! `milkrun schema`: what editors and readers may know of the keys of `sync.toml`.

use super::Exit;
use super::output::Output;
use crate::config;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Print docs/reference.md, the page of all keys, in place of the JSON Schema
    #[arg(long)]
    markdown: bool,
}

pub(super) fn run(options: &Options, output: &Output) -> anyhow::Result<Exit> {
    let text =
        if options.markdown { config::reference() } else { serde_json::to_string_pretty(&config::json_schema())? };
    output.line(text.trim_end())?;
    Ok(Exit::Ok)
}
