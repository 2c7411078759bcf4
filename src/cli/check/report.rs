//! What was found, and how a person and a program read it.

use std::fmt::Write as _;

use serde::Serialize;

use super::super::Exit;
use crate::config::{self, Config};
use crate::retry::Teller;
use crate::run::Status;
use crate::source;
use crate::sync::Error;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// What was looked at: `config`, `hq`, `local`, or a job's name.
    subject: String,
    /// How it stands.
    level: Level,
    /// One sentence, with what to do where something is to be done.
    message: String,
    /// The line of `sync.toml` that it is of, where it is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// The column, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    /// The same for people, with the file: `sync.toml:14:9: `.
    #[serde(skip)]
    at: String,
    #[serde(skip)]
    named: Option<Named>,
    #[serde(skip)]
    exit: Exit,
}

/// What of a job is at fault, by the word that the file has for it.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// The Table field of the child table that is meant; `None` for the job's own.
    pub(super) child: Option<String>,
    /// The word.
    pub(super) word: String,
}

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing is kept from working.
    Note,
    /// Keeps something from working.
    Problem,
}

/// Everything that was found, in the order in which it was looked at.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub(super) fn ok(&mut self, subject: &str, message: impl Into<String>) {
        self.add(subject, Level::Ok, Exit::Ok, message, None);
    }

    pub(super) fn note(&mut self, subject: &str, message: impl Into<String>) {
        self.add(subject, Level::Note, Exit::Ok, message, None);
    }

    pub(super) fn problem(&mut self, subject: &str, exit: Exit, message: impl Into<String>) {
        self.add(subject, Level::Problem, exit, message, None);
    }

    /// As [`Report::problem`], of what the file calls so.
    pub(super) fn problem_of(&mut self, job: &str, named: Named, message: impl Into<String>) {
        self.add(job, Level::Problem, Exit::Blocked, message, Some(named));
    }

    /// As [`Report::note`], of what the file calls so.
    pub(super) fn note_of(&mut self, job: &str, named: Named, message: impl Into<String>) {
        self.add(job, Level::Note, Exit::Ok, message, Some(named));
    }

    /// Says where in the file each thing stands that was named; `file` is how messages call it.
    pub(super) fn locate(&mut self, file: &str, text: &str, config: &Config) {
        for finding in &mut self.0 {
            let Some(Named { child, word }) = &finding.named else { continue };
            let Some(job) = config.jobs.iter().position(|job| job.name == finding.subject) else { continue };
            let Some((line, column)) = config::place_of(text, job, child.as_deref(), word) else { continue };
            finding.at = format!("{file}:{line}:{column}: ");
            (finding.line, finding.column) = (Some(line), Some(column));
        }
    }

    pub(super) fn source(&mut self, subject: &str, step: &str, error: source::Error) {
        let error = Error::Source { step: step.to_owned(), cause: error };
        self.error(subject, &error);
    }

    pub(super) fn error(&mut self, subject: &str, error: &Error) {
        let exit = if error.status() == Status::Blocked { Exit::Blocked } else { Exit::Failed };
        self.problem(subject, exit, format!("{}; {}", error.chain(), error.remedy(Teller::Command)));
    }

    /// The same is said once: a field that is mapped may stand in the filters, too.
    fn add(&mut self, subject: &str, level: Level, exit: Exit, message: impl Into<String>, named: Option<Named>) {
        let message = message.into();
        if !self.0.iter().any(|known| known.subject == subject && known.message == message) {
            let (line, column, at) = (None, None, String::new());
            self.0.push(Finding { subject: subject.to_owned(), level, message, line, column, at, named, exit });
        }
    }

    /// Adds all of another.
    pub(super) fn append(&mut self, other: Self) {
        for Finding { subject, level, message, named, exit, .. } in other.0 {
            self.add(&subject, level, exit, message, named);
        }
    }

    /// What keeps something from working, in sentences.
    pub(super) fn problems(self) -> impl Iterator<Item = String> {
        self.0.into_iter().filter(|finding| finding.level == Level::Problem).map(|finding| finding.message)
    }

    pub(super) fn exit(&self) -> Exit {
        let worst = |exit| self.0.iter().any(|finding| finding.exit == exit);
        [Exit::Usage, Exit::Blocked, Exit::Failed].into_iter().find(|exit| worst(*exit)).unwrap_or(Exit::Ok)
    }

    /// For a terminal: by subject, with marks and, where `is_coloured`, colours. For a pipe: a line each.
    pub(super) fn text(&self, is_terminal: bool, is_coloured: bool, is_offline: bool) -> String {
        let mut text = String::new();
        let mut subjects: Vec<&str> = Vec::new();
        for finding in self.0.iter().filter(|_| is_terminal) {
            if !subjects.contains(&finding.subject.as_str()) {
                subjects.push(&finding.subject);
            }
        }
        for subject in subjects {
            text.push_str(&format!("{}\n", painted(subject, "1", is_coloured)));
            for finding in self.0.iter().filter(|finding| finding.subject == subject) {
                let (mark, colour) = match finding.level {
                    Level::Ok => ("✓", "32"),
                    Level::Note => ("!", "33"),
                    Level::Problem => ("✗", "31"),
                };
                text.push_str(&format!("  {} {}\n", painted(mark, colour, is_coloured), finding.told()));
            }
        }
        for finding in self.0.iter().filter(|_| !is_terminal) {
            let level = match finding.level {
                Level::Ok => "ok     ",
                Level::Note => "note   ",
                Level::Problem => "problem",
            };
            // Writing to a `String` cannot fail.
            writeln!(text, "{level}  {:<16} {}", finding.subject, finding.told()).unwrap_or_default();
        }
        format!("{text}\n{}\n", self.last(is_offline))
    }

    /// The one line that somebody reads who reads only one.
    fn last(&self, is_offline: bool) -> String {
        let count = |level| self.0.iter().filter(|finding| finding.level == level).count();
        let problems = count(Level::Problem);
        let notes = match count(Level::Note) {
            0 => String::new(),
            1 => " (1 note)".to_owned(),
            notes => format!(" ({notes} notes)"),
        };
        match (problems, is_offline) {
            (0, true) => format!("the file is sound{notes}; next: milkrun check, which asks HQ and the database, too"),
            (0, false) => format!("all is well{notes}; next: milkrun sync --dry-run, or milkrun run"),
            (1, _) => format!("1 problem{notes}: mend it, then milkrun check again"),
            (problems, _) => format!("{problems} problems{notes}: mend them, then milkrun check again"),
        }
    }
}

impl Finding {
    /// The sentence, behind its place.
    fn told(&self) -> String {
        format!("{}{}", self.at, self.message)
    }
}

fn painted(text: &str, colour: &str, is_coloured: bool) -> String {
    if is_coloured { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
}
