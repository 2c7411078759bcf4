//! `milkrun man`: the manual pages, and `docs/commands.md`, both from what clap knows, so that neither can be out of date.

mod document;
mod markdown;
mod pages;
mod sections;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::output::Output;
use super::{Arguments, Exit};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The folder that the pages are written into
    #[arg(value_name = "DIR", required_unless_present = "markdown")]
    folder: Option<PathBuf>,
    /// Print docs/commands.md instead
    #[arg(long, conflicts_with = "folder")]
    markdown: bool,
}

pub(super) fn run(options: &Options, output: &Output) -> anyhow::Result<Exit> {
    let mut program = Arguments::command().disable_help_subcommand(true);
    // As wide on every terminal.
    program = program.term_width(0);
    program.build();
    if options.markdown {
        output.line(markdown::page(&program).trim_end())?;
    }
    if let Some(folder) = &options.folder {
        let configuration = document::of_the_configuration()?;
        for (name, page) in pages::all(&program)?.into_iter().chain([configuration]) {
            let path = folder.join(name);
            std::fs::write(&path, page).with_context(|| format!("writing {}", path.display()))?;
            output.line(&path.display().to_string())?;
        }
    }
    Ok(Exit::Ok)
}
