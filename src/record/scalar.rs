//! One JSON value, as far as its kind.

use std::borrow::Cow;

/// One JSON value, read no further than its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as the text HQ sent: money is never read through a binary float.
    Number(&'a str),
    /// A string, unescaped.
    Text(Cow<'a, str>),
    /// A list or an object, as JSON text.
    Tree(&'a str),
}

impl<'a> Scalar<'a> {
    /// Reads a valid JSON value.
    #[must_use]
    pub fn read(raw: &'a str) -> Self {
        match raw.as_bytes().first() {
            Some(b'"') => match raw.get(1..raw.len().saturating_sub(1)) {
                Some(inner) if !inner.contains('\\') => Self::Text(Cow::Borrowed(inner)),
                _ => serde_json::from_str(raw).map_or(Self::Tree(raw), |text: String| Self::Text(Cow::Owned(text))),
            },
            Some(b'{' | b'[') => Self::Tree(raw),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') | None => Self::Null,
            Some(_) => Self::Number(raw),
        }
    }
}
