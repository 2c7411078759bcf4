//! What can be said of a key of `sync.toml`: its name, what its value must be, and what it is for. The keys
//! themselves are in `keys`.

use std::time::Duration;

use super::words;

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
    /// What it is where it is left out, as `sync.toml` would say it.
    pub(super) default: Option<&'static str>,
}

/// A table with fixed keys.
#[derive(Debug)]
pub(super) struct Section {
    /// How messages call it, `[hq]`.
    pub(super) title: &'static str,
    /// Its keys.
    pub(super) keys: &'static [Key],
    /// What people write for a key that has another name here.
    pub(super) aka: &'static [(&'static str, &'static str)],
}

/// Words to choose from.
#[derive(Debug)]
pub(super) struct Words {
    /// What they are, for a message.
    pub(super) what: &'static str,
    /// The words.
    pub(super) known: &'static [&'static str],
    /// What people write for a word that is another here.
    pub(super) aka: &'static [(&'static str, &'static str)],
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
    /// A table from columns to an HQ field or to a table of fixed keys, below this header.
    Fields(&'static str),
}

impl Section {
    /// The key of that name.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The key that was probably meant by `written`.
    pub(super) fn nearest(&self, written: &str) -> Option<&'static str> {
        words::meant(written, self.names(), self.aka)
    }

    /// How the table may be written: the keys that must be there, or else one.
    pub(super) fn example(&self) -> String {
        let must: Vec<String> = self.keys.iter().filter(|key| key.is_required).map(Key::example).collect();
        let one = || self.keys.iter().take(1).map(Key::example).collect();
        let keys: Vec<String> = if must.is_empty() { one() } else { must };
        format!("{{ {} }}", keys.join(", "))
    }

    /// The names of the keys.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.keys.iter().map(|key| key.name)
    }
}

impl Words {
    /// The word that was probably meant by `written`.
    pub(super) fn nearest(&self, written: &str) -> Option<&'static str> {
        words::meant(written, self.known.iter().copied(), self.aka)
    }
}

impl Kind {
    /// Whether it may have a header of its own.
    pub(super) fn has_header(&self) -> bool {
        matches!(self, Self::Table(_) | Self::Tables(_) | Self::Fields(_))
    }

    /// The fixed keys of the table, or of each table, where it is one.
    pub(super) fn section(&self) -> Option<&'static Section> {
        if let Self::Table(section) | Self::Tables(section) = self { Some(section) } else { None }
    }
}

impl Key {
    /// How it may be written, `name = "outlet-042"`.
    pub(super) fn example(&self) -> String {
        if let Kind::Fields(header) = self.kind {
            return format!("{header} with column = \"hq_field\"");
        }
        format!("{} = {}", self.name, self.example_value())
    }

    /// A value that it may have, as TOML.
    pub(super) fn example_value(&self) -> String {
        if let Some(default) = self.default {
            return default.to_owned();
        }
        let text = match &self.kind {
            Kind::Secret => return format!("\"${{HQ_{}}}\"", self.name.to_uppercase()),
            Kind::Word(words) => words.known.first().copied().unwrap_or_default(),
            Kind::HqUrl => "https://hq.example.com",
            Kind::LocalUrl => "sqlite://outlet.db",
            Kind::Zone => "Asia/Kolkata",
            Kind::Listen => "127.0.0.1:7878",
            Kind::Cron => "0 */5 * * * *",
            Kind::Duration { .. } => "30s",
            Kind::JobName | Kind::LocalTable => "items",
            Kind::Column | Kind::OneOrMore(_) => "item_code",
            Kind::HqField => "item_name",
            Kind::Pem => "/etc/milkrun/ca.pem",
            Kind::Line if self.name == "doctype" => "Item",
            Kind::Line if self.name == "expr" => "not disabled",
            Kind::Line => "outlet-042",
            Kind::Text | Kind::Literal => "",
            Kind::Bool => return "true".to_owned(),
            Kind::Integer { least, .. } => return (*least).max(1).to_string(),
            Kind::Number { .. } => return "5".to_owned(),
            Kind::List(_) => return "[\"items\"]".to_owned(),
            Kind::Tables(_) => return "[{ … }]".to_owned(),
            Kind::Json => return "[[\"disabled\", \"=\", 0]]".to_owned(),
            Kind::Table(section) => return section.example(),
            Kind::Literals | Kind::Record | Kind::Fields(_) => return "{ … }".to_owned(),
        };
        format!("{text:?}")
    }

    /// With what it is where it is left out.
    pub(super) const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }
}

/// A key that must be there.
pub(super) const fn must(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, is_required: true, about, default: None }
}

/// A key that may be left out.
pub(super) const fn may(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, is_required: false, about, default: None }
}
