//! What can be said of a key of `sync.toml`: its name, what its value must be, and what it is for. The keys
//! themselves are in `keys`.

use std::time::Duration;

/// A key of a section.
#[derive(Debug)]
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// What its value must be.
    pub(super) kind: Kind,
    /// Whether it must be there.
    pub(super) is_required: bool,
    /// What it is for, in a sentence.
    pub(super) about: &'static str,
}

/// A table with fixed keys.
#[derive(Debug)]
pub(super) struct Section {
    /// How messages call it, `[hq]`.
    pub(super) title: &'static str,
    /// Its keys.
    pub(super) keys: &'static [Key],
    /// Keys that are planned, and refused until they do something.
    pub(super) later: &'static [&'static str],
}

/// Words to choose from.
#[derive(Debug)]
pub(super) struct Words {
    /// What they are, for a message.
    pub(super) what: &'static str,
    /// The words.
    pub(super) known: &'static [&'static str],
    /// Words that are planned, and refused until they do something.
    pub(super) later: &'static [&'static str],
}

/// What a value must be.
#[derive(Debug)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// One line of text, not empty.
    Line,
    /// A credential: one line without white space, never shown.
    Secret,
    /// HQ's address, never shown as it may hold credentials by mistake.
    HqUrl,
    /// The database's URL, never shown as it may hold a password.
    LocalUrl,
    /// A file of PEM, or the PEM itself, which is never shown.
    Pem,
    /// An IANA time zone.
    Zone,
    /// `ADDRESS:PORT`.
    Listen,
    /// A length of time within bounds.
    Duration { least: Duration, most: Duration },
    /// A cron pattern.
    Cron,
    /// A job's name.
    JobName,
    /// A local table; not one of milkrun's own.
    LocalTable,
    /// A local column.
    Column,
    /// A field at HQ.
    HqField,
    /// One of some words.
    Word(&'static Words),
    /// True or false.
    Bool,
    /// A whole number within bounds.
    Integer { least: i64, most: i64 },
    /// A number within bounds.
    Number { least: f64, most: f64 },
    /// A text of the given kind, or a list of such.
    OneOrMore(&'static Kind),
    /// A list of texts of the given kind.
    List(&'static Kind),
    /// A string, a number or a boolean.
    Literal,
    /// A table from texts to literals.
    Literals,
    /// Anything that JSON can say.
    Json,
    /// A table of anything that JSON can say.
    Record,
    /// A table with fixed keys.
    Table(&'static Section),
    /// Any number of `[[tables]]`.
    Tables(&'static Section),
    /// A table from columns to an HQ field or to a table of fixed keys.
    Fields,
}

impl Section {
    /// The key of that name.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The names of the keys.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.keys.iter().map(|key| key.name)
    }
}

impl Kind {
    /// The fixed keys of the table, or of each table, where it is one.
    pub(super) fn section(&self) -> Option<&'static Section> {
        if let Self::Table(section) | Self::Tables(section) = self { Some(section) } else { None }
    }
}

/// A key that must be there.
pub(super) const fn must(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, is_required: true, about }
}

/// A key that may be left out.
pub(super) const fn may(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, is_required: false, about }
}
