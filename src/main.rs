//! The `milkrun` program: arguments, log set-up, exit code.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    milkrun::cli::main(milkrun::cli::Arguments::parse())
}
