//! Logs: to stderr, as text or JSON, as loud as asked for; for the journal in its own way.

use std::fmt;
use std::io::{self, IsTerminal as _};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format as Layout, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use super::{Format, Global, progress};

/// Starts logging. A daemon tells what it does; a command tells only what its result does not show.
pub(super) fn start(global: &Global, is_daemon: bool) {
    let level = match (global.quiet, global.verbose, is_daemon) {
        (true, _, _) => "error",
        (false, 0, false) => "warn,sqlx::pool=error,milkrun::progress=info",
        // The libraries' own news are for who asks for everything; who waits for a connection is milkrun's to tell.
        (false, 0, true) | (false, 1, false) => "warn,sqlx::pool=error,milkrun=info",
        (false, 1, true) | (false, 2, _) => "warn,sqlx::pool=error,milkrun=debug",
        (false, _, _) => "debug",
    };
    let filter = EnvFilter::try_from_env("MILKRUN_LOG").unwrap_or_else(|_unset| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Stderr).with_target(false);
    // An error means that a logger is set already, which a test may have done.
    match global.log_format {
        Format::Json => builder.json().flatten_event(true).try_init().ok(),
        Format::Text if is_journal() => builder.event_format(Journal::new()).try_init().ok(),
        Format::Text => builder.with_ansi(io::stderr().is_terminal()).try_init().ok(),
    };
}

/// Stderr, where bars may stand.
#[derive(Debug, Clone, Copy)]
struct Stderr;

impl MakeWriter<'_> for Stderr {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        progress::beside_bars(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Whether stderr is the journal's: systemd says which file that is, as a service may have sent its stderr elsewhere.
#[cfg(unix)]
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = rustix::fs::fstat(io::stderr()) else { return false };
    stream == format!("{}:{}", stderr.st_dev, stderr.st_ino)
}

#[cfg(not(unix))]
fn is_journal() -> bool {
    false
}

/// Lines for the journal: it knows the time, and takes the level from a number before each line.
struct Journal(Layout<Full, ()>);

impl Journal {
    fn new() -> Self {
        Self(
            tracing_subscriber::fmt::format()
                .without_time()
                .with_level(false)
                .with_target(false)
                .with_ansi(false),
        )
    }
}

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut text = String::new();
        self.0.format_event(context, Writer::new(&mut text), event)?;
        let priority = priority(*event.metadata().level());
        text.trim_end().lines().try_for_each(|line| writeln!(writer, "<{priority}>{line}"))
    }
}

/// As syslog counts them.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}
