//! What is wrong with a value, in words that can do without the value itself.

use std::fmt;

/// Stands in a sentence for a value that must not be shown.
pub(super) const PRIVATE: &str = "(private)";

/// What is wrong with a value. The value stands apart from the words around it, so that a private one can be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offence {
    before: String,
    value: Option<String>,
    after: String,
}

impl Offence {
    /// The value as a sentence may show it, and what is said of it.
    pub(super) fn of(value: String, after: impl Into<String>) -> Self {
        Self { before: String::new(), value: Some(value), after: after.into() }
    }

    /// The same after some words that hold no value.
    #[must_use]
    pub(super) fn after(self, words: &str) -> Self {
        Self { before: format!("{words}{}", self.before), ..self }
    }

    /// The sentence; without the value where that is private.
    pub(super) fn sentence(&self, is_private: bool) -> String {
        let value = self.value.as_deref().map_or("", |value| if is_private { PRIVATE } else { value });
        format!("{}{value}{}", self.before, self.after)
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence(false))
    }
}

/// Words that hold no value.
impl From<String> for Offence {
    fn from(before: String) -> Self {
        Self { before, value: None, after: String::new() }
    }
}

/// Words that hold no value.
impl From<&str> for Offence {
    fn from(before: &str) -> Self {
        before.to_owned().into()
    }
}
