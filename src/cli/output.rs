//! The only place that prints: results to stdout, a command's failure to stderr, as text or JSON.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::{Exit, Format};
use crate::config::{Look, Problems};
use crate::retry::Teller;
use crate::run::Status;
use crate::sync;

/// A command line that cannot be carried out; exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// How wide a terminal is taken for that does not say so.
const USUAL_WIDTH: usize = 100;

/// What cannot be done as things are, and what a person can do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Refused {
    pub(super) exit: Exit,
    pub(super) message: String,
    pub(super) remedy: String,
}

/// Where results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        Self { format }
    }

    /// Whether a person reads what is printed.
    pub(super) fn is_terminal(&self) -> bool {
        self.format == Format::Text && io::stdout().is_terminal()
    }

    /// Whether colours are welcome: on a terminal that has them, unless `NO_COLOR`, `CLICOLOR` or `--color` say otherwise.
    pub(super) fn is_coloured(&self) -> bool {
        self.format == Format::Text && console::colors_enabled()
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

    /// Prints why nothing was done, all reasons at once: as JSON to stdout, as text to stderr.
    pub(super) fn refusals(&self, reasons: &[impl Serialize], text: impl FnOnce() -> String) -> anyhow::Result<()> {
        match self.format {
            Format::Json => self.line(&serde_json::json!({ "errors": reasons }).to_string()),
            Format::Text => {
                // Where stderr is gone there is nobody to tell.
                writeln!(io::stderr().lock(), "{}", text().trim_end()).ok();
                Ok(())
            }
        }
    }

    /// Prints a line of text. A reader that has gone away is no error.
    pub(super) fn line(&self, text: &str) -> anyhow::Result<()> {
        match writeln!(io::stdout().lock(), "{text}") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written?),
        }
    }

    /// Prints as it is, at once: what moves a terminal's cursor.
    pub(super) fn raw(&self, text: &str) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
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
    let has_color = match choice {
        clap::ColorChoice::Auto => return,
        clap::ColorChoice::Always => true,
        clap::ColorChoice::Never => false,
    };
    console::set_colors_enabled(has_color);
    console::set_colors_enabled_stderr(has_color);
}

/// How what goes to stderr looks on a terminal; `None` for a file or a program, unless colours are asked for all the same.
fn look() -> Option<Look> {
    let (stderr, has_color) = (console::Term::stderr(), console::colors_enabled_stderr());
    let width = stderr.size_checked().map_or(USUAL_WIDTH, |(_, columns)| usize::from(columns));
    (has_color || stderr.is_term()).then_some(Look { has_color, width })
}

fn chain(error: &anyhow::Error) -> String {
    error.downcast_ref::<sync::Error>().map_or_else(|| format!("{error:#}"), sync::Error::chain)
}

fn judge(error: &anyhow::Error) -> (Exit, Option<String>) {
    if error.is::<Problems>() || error.is::<Usage>() {
        return (Exit::Usage, None);
    }
    if let Some(refused) = error.downcast_ref::<Refused>() {
        return (refused.exit, Some(refused.remedy.clone()));
    }
    match error.downcast_ref::<sync::Error>() {
        Some(error) if error.status() == Status::Blocked => (Exit::Blocked, Some(error.remedy(Teller::Command))),
        Some(error) => (Exit::Failed, Some(error.remedy(Teller::Command))),
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

/// In whose zone the times of a text are, said once.
pub(super) fn times_of(zone: chrono_tz::Tz) -> String {
    format!("times are those of {} (site.time_zone)", zone.name())
}

/// `1 row`, `2 rows`.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// `12,418`.
pub(super) fn grouped(number: u64) -> String {
    crate::reconciled::thousands(number, ',')
}

/// A text cut to `most` characters, none of which can steer a terminal: it may be HQ's.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let shown = plain(text);
    if shown.chars().nth(most).is_none() {
        return shown;
    }
    let cut: String = shown.chars().take(most.saturating_sub(1)).collect();
    format!("{cut}…")
}

/// A text of which no character can steer a terminal; lines stay lines.
pub(super) fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(shown).collect()
}

/// Bytes as people read them.
pub(super) fn bytes(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => format!("{}.{} kB", number / 1_000, number % 1_000 / 100),
        _ => format!("{}.{} MB", number / 1_000_000, number % 1_000_000 / 100_000),
    }
}
