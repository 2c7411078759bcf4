//! What is wrong with `sync.toml`, as a person and a program read it: file, line, column, key, and what to do.
//!
//! No value that came from the environment or a file is ever part of a [`Problem`].

use std::fmt::{self, Write as _};

use serde::Serialize;

/// A source line longer than this is not shown under its problem: it would wrap, and the caret point nowhere.
const LONGEST_LINE: usize = 160;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as it was named on the command line.
    pub file: String,
    /// The line, from 1; `None` where it is not the file's text that is wrong (an environment variable, a missing file).
    pub line: Option<usize>,
    /// The column, in characters from 1.
    pub column: Option<usize>,
    /// The key concerned, as `job[1].fields.price.scale`; empty for the file as a whole.
    pub key: String,
    /// What is wrong, what was expected, and the nearest valid word where one is near.
    pub message: String,
    /// The source line, secrets starred out, and how many of its characters are at fault.
    #[serde(skip)]
    pub(super) snippet: Option<Snippet>,
}

/// The source line under a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snippet {
    /// The line without its end, secrets starred out.
    pub(super) line: String,
    /// How many characters from the problem's column on are at fault; at least one.
    pub(super) width: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Problem {
    /// The problem with its source line and a caret mark under what is at fault, for a terminal.
    #[must_use]
    pub fn with_source(&self) -> String {
        let mut text = self.to_string();
        let (Some(snippet), Some(line), Some(column)) = (&self.snippet, self.line, self.column) else {
            return text;
        };
        if snippet.line.chars().count() > LONGEST_LINE {
            return text;
        }
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        // Tabs stay tabs, so that the caret stands under its character however wide they are.
        let blank = |c: char| if c == '\t' { '\t' } else { ' ' };
        let indent: String = snippet.line.chars().take(column.saturating_sub(1)).map(blank).collect();
        let shown: String = snippet.line.chars().map(plain).collect();
        let carets = "^".repeat(snippet.width.max(1));
        // Writing to a `String` cannot fail.
        let written = write!(text, "\n{gutter} |\n{number} | {shown}\n{gutter} | {indent}{carets}");
        debug_assert!(written.is_ok());
        text
    }
}

/// A character that cannot steer a terminal.
fn plain(c: char) -> char {
    if c.is_control() && c != '\t' { '\u{fffd}' } else { c }
}

/// Everything that is wrong, in the order of the file; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Sorts what was found by position; what has no position comes first.
    pub(super) fn new(mut found: Vec<Problem>) -> Self {
        found.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
        found.dedup();
        Self(found)
    }

    /// A single problem with the file as a whole.
    pub(super) fn whole(file: &str, message: String) -> Self {
        Self(vec![Problem {
            file: file.to_owned(),
            line: None,
            column: None,
            key: String::new(),
            message,
            snippet: None,
        }])
    }

    /// Each problem, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is wrong; problems that were returned are never empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All problems with their source lines, for a terminal.
    #[must_use]
    pub fn with_source(&self) -> String {
        self.0.iter().map(Problem::with_source).collect::<Vec<_>>().join("\n\n")
    }

    /// All problems as a JSON list of `{file, line, column, key, message}`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let fields = |problem: &Problem| {
            serde_json::json!({
                "file": problem.file,
                "line": problem.line,
                "column": problem.column,
                "key": problem.key,
                "message": problem.message,
            })
        };
        self.0.iter().map(fields).collect()
    }
}

impl<'p> IntoIterator for &'p Problems {
    type Item = &'p Problem;
    type IntoIter = std::slice::Iter<'p, Problem>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_char('\n')?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: usize, column: usize, message: &str) -> Problem {
        Problem {
            file: "sync.toml".to_owned(),
            line: Some(line),
            column: Some(column),
            key: "job[0].conflict".to_owned(),
            message: message.to_owned(),
            snippet: Some(Snippet { line: "\tkonflikt = 1".to_owned(), width: 8 }),
        }
    }

    #[test]
    fn problems_read_one_a_line_in_the_order_of_the_file() {
        let problems = Problems::new(vec![problem(9, 1, "b"), problem(2, 7, "a")]);
        assert_eq!(problems.to_string(), "sync.toml:2:7: a\nsync.toml:9:1: b");
    }

    #[test]
    fn a_terminal_sees_the_line_and_a_caret_that_keeps_tabs() {
        let shown = problem(14, 2, "unknown key").with_source();
        let expected = "sync.toml:14:2: unknown key\n   |\n14 | \tkonflikt = 1\n   | \t^^^^^^^^";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_program_reads_the_same_as_json() {
        let json = Problems::new(vec![problem(3, 4, "m")]).to_json();
        let expected = serde_json::json!([
            {"file": "sync.toml", "line": 3, "column": 4, "key": "job[0].conflict", "message": "m"}
        ]);
        assert_eq!(json, expected);
        assert_eq!(json, serde_json::to_value(Problems::new(vec![problem(3, 4, "m")])).unwrap());
    }
}
