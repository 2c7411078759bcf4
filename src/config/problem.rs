//! What is wrong with `sync.toml`, as a person and a program read it: file, line, column, key, and what to do.
//!
//! No value that came from the environment or a file is ever part of a [`Problem`].

use std::fmt::{self, Write as _};

use serde::{Serialize, Serializer};

use super::said::{Code, Said};

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named on the command line.
    pub file: String,
    /// The line, from 1; `None` where it is not the file's text that is wrong (an environment variable, a missing file).
    pub line: Option<usize>,
    /// The column, in characters from 1.
    pub column: Option<usize>,
    /// The key concerned, as `job[1].fields.price.scale`; empty for the file as a whole.
    pub key: String,
    /// Its kind.
    pub code: Code,
    /// What is wrong, and the nearest valid word where one is near, or else the remedy; one line.
    pub message: String,
    /// What was probably meant in place of what is at fault.
    pub suggestion: Option<String>,
    /// Where what is at fault ends: the line, and the column after its last character.
    pub(super) end: Option<(usize, usize)>,
    /// The same as `message`, in its parts.
    pub(super) said: Said,
    /// The source line, secrets starred out.
    pub(super) source: Option<String>,
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
    /// Without a place; `key` is where it is about.
    pub(super) fn new(file: &str, key: String, said: Said) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            column: None,
            key,
            code: said.code,
            message: said.sentence(),
            suggestion: said.near.clone(),
            end: None,
            said,
            source: None,
        }
    }

    /// The problem as it may be told to anybody: of what stands where secrets do, or cannot be read, only the place and the
    /// kind.
    #[must_use]
    pub fn in_public(&self) -> String {
        let section = self.key.split(['.', '[']).next().unwrap_or_default();
        let is_near_secrets = !["site", "daemon", "job"].contains(&section);
        let names_a_place = self.code == Code::Substitution && is_of_a_place(&self.message);
        if !is_near_secrets || self.code == Code::Unreadable || names_a_place {
            return self.to_string();
        }
        let mut at = self.file.clone();
        if let (Some(line), Some(column)) = (self.line, self.column) {
            at = format!("{at}:{line}:{column}");
        }
        let code = serde_json::json!(self.code);
        format!("{at}: {}; see `milkrun check --offline`", code.as_str().unwrap_or("wrong").replace('_', " "))
    }

    fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "end_line": self.end.map(|(line, _)| line),
            "end_column": self.end.map(|(_, column)| column),
            "key": self.key,
            "severity": "error",
            "code": self.code,
            "message": self.message,
            "suggestion": self.suggestion,
        })
    }
}

/// Whether what is said of a `${…}` names a variable or a file by what looks like a name and not like the secret itself.
fn is_of_a_place(message: &str) -> bool {
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let variables = message.split("environment variable ").skip(1).filter_map(|rest| rest.split(' ').next());
    let mut files = message.split("${file:").skip(1).filter_map(|rest| rest.split(':').next());
    let (mut named, mut is_fine) = (0, true);
    for variable in variables {
        named += 1;
        is_fine &= is_name(variable);
    }
    is_fine &= files.all(|path| !path.contains(|c: char| c.is_ascii_digit()));
    is_fine && (named > 0 || message.contains("${file:"))
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

/// Everything that is wrong, in the order of the file; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Sorts what was found by position; what has no position comes first.
    pub(super) fn new(mut found: Vec<Problem>) -> Self {
        found.sort_by(|a, b| (a.line, a.column, a.code, &a.message).cmp(&(b.line, b.column, b.code, &b.message)));
        found.dedup();
        Self(found)
    }

    /// A single problem with the file as a whole.
    pub(super) fn whole(file: &str, said: Said) -> Self {
        Self(vec![Problem::new(file, String::new(), said)])
    }

    /// Those that there are, if any.
    pub(super) fn some<'p>(found: impl IntoIterator<Item = &'p Problem>) -> Option<Self> {
        let found: Vec<Problem> = found.into_iter().cloned().collect();
        (!found.is_empty()).then(|| Self::new(found))
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

    /// All problems as a JSON list of objects, each with the keys that the documentation names.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.0.iter().map(Problem::to_json).collect()
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
        let said = Said::new(Code::UnknownWord, message).near(Some("c".to_owned()));
        let placed = (Some(line), Some(column), Some((line, column + 2)));
        let (line, column, end) = placed;
        Problem { line, column, end, ..Problem::new("sync.toml", "job[0].conflict".to_owned(), said) }
    }

    #[test]
    fn problems_read_one_a_line_in_the_order_of_the_file() {
        let problems = Problems::new(vec![problem(9, 1, "b"), problem(2, 7, "a")]);
        let expected = "sync.toml:2:7: a, did you mean \"c\"?\nsync.toml:9:1: b, did you mean \"c\"?";
        assert_eq!(problems.to_string(), expected);
    }

    #[test]
    fn a_program_reads_the_same_as_json() {
        let problems = Problems::new(vec![problem(3, 4, "m")]);
        let expected = serde_json::json!([{
            "file": "sync.toml", "line": 3, "column": 4, "end_line": 3, "end_column": 6, "key": "job[0].conflict",
            "severity": "error", "code": "unknown_word", "message": "m, did you mean \"c\"?", "suggestion": "c",
        }]);
        assert_eq!(problems.to_json(), expected);
        assert_eq!(problems.to_json(), serde_json::to_value(&problems).unwrap());
    }
}
