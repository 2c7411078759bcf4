//! Logs: to stderr, as text or JSON, as loud as asked for.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use super::{Format, Global};

/// Starts logging. A daemon tells what it does; a command tells only what its result does not show.
pub(super) fn start(global: &Global, is_daemon: bool) {
    let level = match (global.quiet, global.verbose, is_daemon) {
        (true, _, _) => "error",
        (false, 0, false) => "warn,sqlx::pool=error",
        // The libraries' own news are for who asks for everything; who waits for a connection is milkrun's to tell.
        (false, 0, true) | (false, 1, false) => "warn,sqlx::pool=error,milkrun=info",
        (false, 1, true) | (false, 2, _) => "warn,sqlx::pool=error,milkrun=debug",
        (false, _, _) => "debug",
    };
    let filter = EnvFilter::try_from_env("MILKRUN_LOG").unwrap_or_else(|_unset| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    // An error means that a logger is set already, which a test may have done.
    match global.log_format {
        Format::Json => builder.json().flatten_event(true).try_init().ok(),
        Format::Text => builder.with_ansi(io::stderr().is_terminal()).try_init().ok(),
    };
}
