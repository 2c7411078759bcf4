//! `milkrun completions`: a script for a shell.

use clap::CommandFactory as _;

use super::output::Output;
use super::{Arguments, Exit};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub(super) fn run(options: &Options, output: &Output) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "milkrun", &mut script);
    output.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Ok)
}
