//! `milkrun doctor`: looks at what an outlet stands on, from the machine's clock to HQ's answer, and changes nothing.
//!
//! `check` asks whether the configuration fits HQ and the tables; this asks whether anything else is in the way. Every look has
//! a bound, and one that fails hides no other.

mod database;
mod disk;
mod files;
mod line;
mod machine;

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::output::{self, Output};
use super::{Exit, load, screen};
use crate::clock::Clock;
use crate::config::{Config, Problems};
use crate::retry::Teller;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Look only at this machine and the database; do not ask HQ
    #[arg(long)]
    offline: bool,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    /// What: `clock`, `disk`, `hq` …
    subject: &'static str,
    level: Level,
    /// What was found, in a sentence.
    message: String,
    /// What to do about it.
    remedy: Option<String>,
    #[serde(skip)]
    exit: Exit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Keeps milkrun from its work, or will.
    Problem,
}

/// What was found so far.
#[derive(Debug, Default)]
struct Report(Vec<Finding>);

impl Report {
    fn ok(&mut self, subject: &'static str, message: impl Into<String>) {
        let (message, remedy) = (message.into(), None);
        self.0.push(Finding { subject, level: Level::Ok, message, remedy, exit: Exit::Ok });
    }

    fn note(&mut self, subject: &'static str, message: impl Into<String>, remedy: impl Into<String>) {
        let (message, remedy) = (message.into(), Some(remedy.into()));
        self.0.push(Finding { subject, level: Level::Note, message, remedy, exit: Exit::Ok });
    }

    /// What needs a person.
    fn problem(&mut self, subject: &'static str, message: impl Into<String>, remedy: impl Into<String>) {
        self.fault(subject, Exit::Blocked, message, remedy);
    }

    fn fault(&mut self, subject: &'static str, exit: Exit, message: impl Into<String>, remedy: impl Into<String>) {
        let (message, remedy) = (message.into(), Some(remedy.into()));
        self.0.push(Finding { subject, level: Level::Problem, message, remedy, exit });
    }

    /// What milkrun itself calls an error.
    fn error(&mut self, subject: &'static str, error: &crate::sync::Error) {
        let is_blocked = error.status() == crate::run::Status::Blocked;
        let exit = if is_blocked { Exit::Blocked } else { Exit::Failed };
        self.fault(subject, exit, error.chain(), error.remedy(Teller::Command));
    }

    fn exit(&self) -> Exit {
        let is_there = |exit: &Exit| self.0.iter().any(|finding| finding.exit == *exit);
        [Exit::Usage, Exit::Blocked, Exit::Failed].into_iter().find(is_there).unwrap_or(Exit::Ok)
    }

    /// For a terminal by subject, with marks; for a pipe a line each, in words.
    fn text(&self, is_terminal: bool) -> String {
        let mut text = if is_terminal { self.grouped() } else { self.listed() };
        let count = |level| self.0.iter().filter(|finding| finding.level == level).count() as u64;
        let (problems, notes) = (count(Level::Problem), count(Level::Note));
        text.push_str(&match (problems, notes) {
            (0, 0) => "\nall is well\n".to_owned(),
            (0, notes) => format!("\nno problem, {}\n", output::count(notes, "note", "notes")),
            (problems, notes) => {
                let problems = output::count(problems, "problem", "problems");
                format!("\n{problems}, {}\n", output::count(notes, "note", "notes"))
            }
        });
        text
    }

    fn listed(&self) -> String {
        let mut text = String::new();
        for Finding { subject, level, message, remedy, .. } in &self.0 {
            let level = match level {
                Level::Ok => "ok",
                Level::Note => "note",
                Level::Problem => "problem",
            };
            text.push_str(&format!("{level:<7}  {subject:<11}  {message}\n"));
            if let Some(remedy) = remedy {
                text.push_str(&format!("{:<7}  {:<11}  do: {remedy}\n", "", ""));
            }
        }
        text
    }

    fn grouped(&self) -> String {
        let mut subjects: Vec<&str> = Vec::new();
        for finding in &self.0 {
            if !subjects.contains(&finding.subject) {
                subjects.push(finding.subject);
            }
        }
        let mut text = String::new();
        for subject in subjects {
            text.push_str(&format!("{}\n", screen::bold().apply_to(subject)));
            for Finding { level, message, remedy, .. } in self.0.iter().filter(|finding| finding.subject == subject) {
                let mark = match level {
                    Level::Ok => screen::good().apply_to("✓"),
                    Level::Note => screen::note().apply_to("!"),
                    Level::Problem => screen::bad().apply_to("✗"),
                };
                text.push_str(&format!("  {mark} {message}\n"));
                if let Some(remedy) = remedy {
                    text.push_str(&format!("    do: {remedy}\n"));
                }
            }
        }
        text
    }
}

/// As `output::bytes`, for what may be as large as a disk.
fn size(number: u64) -> String {
    match number {
        0..1_000_000_000 => output::bytes(number),
        _ => format!("{}.{} GB", number / 1_000_000_000, number % 1_000_000_000 / 100_000_000),
    }
}

pub(super) async fn run(options: &Options, path: &Path, output: &Output) -> anyhow::Result<Exit> {
    let mut report = Report::default();
    let loaded = load(path);
    machine::look(loaded.as_deref().ok(), Clock::system().now(), &mut report);
    files::look(path, &mut report);
    match &loaded {
        Ok(config) => Box::pin(outlet(config, options, &mut report)).await,
        Err(problems) => unreadable(path, problems, &mut report),
    }
    output.result(&report.0, || report.text(output.is_terminal()))?;
    Ok(report.exit())
}

async fn outlet(config: &Arc<Config>, options: &Options, report: &mut Report) {
    disk::look(config, report);
    Box::pin(database::look(config, report)).await;
    if !options.offline {
        Box::pin(line::look(config, report)).await;
    }
}

fn unreadable(path: &Path, problems: &Problems, report: &mut Report) {
    let text = problems.to_string();
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or("it cannot be read");
    let more = match lines.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    report.fault(
        "config",
        Exit::Usage,
        format!("{first}{more}"),
        format!("`milkrun --config {} check --offline` shows all; nothing that it names was looked at", path.display()),
    );
}
