//! What is said of a mistake: its kind, what is wrong, what to do, and the word that was probably meant.

use serde::Serialize;

use super::words;

/// What kind of mistake it is, for programs; the words do not change from version to version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The file is not there or cannot be read.
    Unreadable,
    /// The text is not TOML.
    Syntax,
    /// Something that may be there once is there twice.
    Duplicate,
    /// No key of that name.
    UnknownKey,
    /// A key that belongs elsewhere in the file.
    MisplacedKey,
    /// A key that must be there is not.
    MissingKey,
    /// A number where a text belongs, and the like.
    WrongType,
    /// A value that its key cannot read: no time zone, no cron pattern.
    InvalidValue,
    /// A number or a length of time that is too small or too large.
    OutOfBounds,
    /// None of the words that the key knows.
    UnknownWord,
    /// The name of a job or a column that is not there.
    UnknownName,
    /// Each key by itself is right, together they make no sense.
    Contradiction,
    /// Jobs that wait for each other.
    Circle,
    /// `${…}` that gives nothing.
    Substitution,
    /// A variable of the environment that overrides no key.
    Environment,
    /// A `[[job.test]]` that the mapping does not give.
    Example,
}

/// What is said of a text without quotes; where no text belongs, what belongs there is said in its place.
pub(super) const BARE: &str = "a text without quotes";

/// What is said of one mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// Its kind.
    pub(super) code: Code,
    /// What is wrong.
    pub(super) what: String,
    /// What to do.
    pub(super) help: Option<String>,
    /// What was probably meant.
    pub(super) near: Option<String>,
}

impl Said {
    /// What is wrong.
    pub(super) fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), help: None, near: None }
    }

    /// And what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// And what was probably meant, if that can be told.
    pub(super) fn near(mut self, near: Option<String>) -> Self {
        self.near = near;
        self
    }

    /// And the nearest of the words that would have been right.
    pub(super) fn near_to<'w>(self, written: &str, words: impl IntoIterator<Item = &'w str>) -> Self {
        let near = words::nearest(written, words).map(str::to_owned);
        self.near(near)
    }

    /// All in one line; where it is known what was meant, nothing else needs to be said.
    pub(super) fn sentence(&self) -> String {
        let what = &self.what;
        match (&self.near, &self.help) {
            (Some(near), _) => format!("{what}, {}", question(near)),
            (None, Some(help)) => format!("{what}; {help}"),
            (None, None) => what.clone(),
        }
    }

    /// What to do, one remedy each.
    pub(super) fn remedies(&self) -> Vec<String> {
        self.near.iter().map(|near| question(near)).chain(self.help.clone()).collect()
    }
}

fn question(near: &str) -> String {
    format!("did you mean {near:?}?")
}

impl From<String> for Said {
    /// What the checks say of values that do not go together.
    fn from(what: String) -> Self {
        Self::new(Code::Contradiction, what)
    }
}

impl From<&str> for Said {
    fn from(what: &str) -> Self {
        what.to_owned().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_holds_the_nearest_word_or_else_the_remedy() {
        let said = Said::new(Code::UnknownWord, "unknown type \"txt\"").help("expected \"text\" or \"int\"");
        assert_eq!(said.sentence(), "unknown type \"txt\"; expected \"text\" or \"int\"");
        let said = said.near_to("txt", ["text", "int"]);
        assert_eq!(said.sentence(), "unknown type \"txt\", did you mean \"text\"?");
        assert_eq!(said.remedies(), ["did you mean \"text\"?", "expected \"text\" or \"int\""]);
    }
}
