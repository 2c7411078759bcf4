//! The keys as a page of documentation, `docs/reference.md`.

use std::fmt::Write as _;

use super::duration;
use super::keys;
use super::schema::{Key, Kind, Section};
use super::words;

/// What stands above the tables.
const HEAD: &str = "\
# Every key of sync.toml

This page is made by `milkrun schema --markdown` from the tables that milkrun itself checks a file against. What the keys mean
together, and why the defaults are what they are, stands in [configuration.md](configuration.md).

Any text may hold `${NAME}` and `${file:PATH}`. A key without a default may be left out unless it is *required*.
";

/// The page, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for (name, section) in keys::sections().into_iter().filter(|(name, _)| !name.is_empty()) {
        // Writing to a `String` cannot fail.
        let written = write!(page, "\n## {}\n\n{}", title(&name, section), table(section));
        debug_assert!(written.is_ok());
    }
    page
}

fn title(name: &str, section: &Section) -> String {
    match name {
        "job.fields.COLUMN" => "A field of [job.fields] or [job.children.fields]".to_owned(),
        "job.fields.COLUMN.lookup" => "`lookup` of a field".to_owned(),
        _ if section.title.starts_with('[') => section.title.to_owned(),
        _ => format!("`{name}`"),
    }
}

fn table(section: &Section) -> String {
    let mut table = "| key | value | default | what it is for |\n| --- | --- | --- | --- |\n".to_owned();
    for key in section.keys {
        let default = match (key.is_required, key.default) {
            (true, _) => "*required*".to_owned(),
            (false, Some(default)) => format!("`{default}`"),
            (false, None) => String::new(),
        };
        let line = format!("| `{}` | {} | {default} | {} |\n", key.name, value(key), key.about);
        table.push_str(&line);
    }
    table
}

/// What the value is, with its bounds.
fn value(key: &Key) -> String {
    match &key.kind {
        Kind::Text => "text".to_owned(),
        Kind::Line => "one line of text".to_owned(),
        Kind::Secret => "text, printable ASCII without white space; shown nowhere".to_owned(),
        Kind::HqUrl => "`http(s)://host[:port][/path]`".to_owned(),
        Kind::LocalUrl => "`sqlite://…`, `postgres://…` or `mysql://…`".to_owned(),
        Kind::Pem => "a file of PEM, or the PEM itself".to_owned(),
        Kind::Zone => "an IANA time zone".to_owned(),
        Kind::Listen => "`ADDRESS:PORT`".to_owned(),
        Kind::Duration { least, most } => {
            format!("a length of time, {} to {}", duration::shown(*least), duration::shown(*most))
        }
        Kind::Cron => "a cron pattern, second first".to_owned(),
        Kind::JobName => "letters, digits, `_` and `-`, at most 64".to_owned(),
        Kind::LocalTable | Kind::Column => "letters, digits and `_`, no digit first, at most 63".to_owned(),
        Kind::HqField => "letters, digits and `_`, at most 64".to_owned(),
        Kind::Word(words) => words::either(words.known).replace('"', "`"),
        Kind::Bool => "`true` or `false`".to_owned(),
        Kind::Integer { least, most } if *most == i64::MAX => format!("a whole number, {least} or more"),
        Kind::Integer { least, most } => format!("a whole number, {least} to {most}"),
        Kind::Number { least, most } => format!("a number, {least} to {most}"),
        Kind::OneOrMore(_) => "a column, or a list of columns".to_owned(),
        Kind::List(_) => "a list of texts".to_owned(),
        Kind::Literal => "text, number, `true` or `false`".to_owned(),
        Kind::Literals => "a table from texts to texts, numbers, `true` or `false`".to_owned(),
        Kind::Json => "a list or a table".to_owned(),
        Kind::Record => "a table".to_owned(),
        Kind::Table(_) => "a table, see below".to_owned(),
        Kind::Tables(_) => "any number of tables, see below".to_owned(),
        Kind::Fields(_) => "a table: `column = \"hq_field\"`, or `column = { … }`, see below".to_owned(),
    }
}
