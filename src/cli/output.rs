//! The only place that prints: results to stdout, a command's failure to stderr, as text or JSON.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::{Exit, Format};
use crate::config::{Look, Problems};
use crate::run::Status;
use crate::sync;

/// A command line that cannot be carried out; exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// How wide a terminal is taken for that does not say so.
const USUAL_WIDTH: usize = 100;

/// Where results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        Self { format }
    }

    /// The form of what is printed.
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Prints a result: `value` as JSON, or the text.
    pub(super) fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let text = match self.format {
            Format::Json => serde_json::to_string_pretty(value)?,
            Format::Text => text(),
        };
        self.line(text.trim_end())
    }

    /// Prints a line of text. A reader that has gone away is no error.
    pub(super) fn line(&self, text: &str) -> anyhow::Result<()> {
        match writeln!(io::stdout().lock(), "{text}") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written?),
        }
    }

    /// What the exit code of a command that failed is, why it failed, and the remedy.
    pub(super) fn told(error: &anyhow::Error) -> (Exit, String, Option<String>) {
        let (exit, remedy) = judge(error);
        (exit, chain(error), remedy)
    }

    /// Reports why a command failed, and says what its exit code is.
    pub(super) fn error(&self, error: &anyhow::Error) -> Exit {
        let (exit, remedy) = judge(error);
        let problems = error.downcast_ref::<Problems>();
        let text = match (self.format, problems) {
            (Format::Json, Some(problems)) => serde_json::json!({ "problems": problems }).to_string(),
            (Format::Json, None) => serde_json::json!({ "error": chain(error), "remedy": remedy }).to_string(),
            (Format::Text, Some(problems)) => match look() {
                Some(look) => problems.report(look),
                None => problems.to_string(),
            },
            (Format::Text, None) => {
                let remedy = remedy.map(|remedy| format!("\n  do: {remedy}")).unwrap_or_default();
                format!("error: {}{remedy}", chain(error))
            }
        };
        // JSON is a result, whoever reads it; where stderr is gone there is nobody to tell.
        let written = match self.format {
            Format::Json => writeln!(io::stdout().lock(), "{text}"),
            Format::Text => writeln!(io::stderr().lock(), "{}", text.trim_end()),
        };
        written.map_or(exit, |()| exit)
    }
}

/// Takes `--color` for all that is printed from here on.
pub(super) fn choose_color(choice: clap::ColorChoice) {
    match choice {
        clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
        clap::ColorChoice::Always => anstream::ColorChoice::Always,
        clap::ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

/// How what goes to stderr looks on a terminal; `None` for a file or a program, unless colours are asked for all the same.
fn look() -> Option<Look> {
    let stderr = io::stderr();
    let has_color = match anstream::AutoStream::choice(&stderr) {
        anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi => true,
        anstream::ColorChoice::Auto | anstream::ColorChoice::Never => false,
    };
    let width = terminal_size::terminal_size_of(&stderr).map(|(width, _)| usize::from(width.0));
    (has_color || stderr.is_terminal()).then_some(Look { has_color, width: width.unwrap_or(USUAL_WIDTH) })
}

fn chain(error: &anyhow::Error) -> String {
    error.downcast_ref::<sync::Error>().map_or_else(|| format!("{error:#}"), sync::Error::chain)
}

fn judge(error: &anyhow::Error) -> (Exit, Option<String>) {
    if error.is::<Problems>() || error.is::<Usage>() {
        return (Exit::Usage, None);
    }
    match error.downcast_ref::<sync::Error>() {
        Some(error) if error.status() == Status::Blocked => (Exit::Blocked, Some(error.remedy())),
        Some(error) => (Exit::Failed, Some(error.remedy())),
        None => (Exit::Failed, None),
    }
}

/// A plain table without lines, as wide as the terminal allows.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    table
}

/// `1 row`, `2 rows`.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A text cut to `most` characters.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    let cut: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{cut}…")
}

/// Bytes as people read them.
pub(super) fn bytes(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => format!("{}.{} kB", number / 1_000, number % 1_000 / 100),
        _ => format!("{}.{} MB", number / 1_000_000, number % 1_000_000 / 100_000),
    }
}
