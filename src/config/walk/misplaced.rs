//! Keys of a job, or of a child table, that slipped below the header of its fields, where they read as columns.

use super::Walk;
use super::unknown::job_of;
use crate::config::keys::{CHILD, FIELD, JOB};
use crate::config::path::Path;
use crate::config::said::{Code, Said};
use crate::config::schema::{Key, Kind, Section};
use crate::config::syntax;
use crate::config::toml::{Entry, Node, Shape};

impl Walk<'_, '_, '_> {
    /// Whether what stands among the fields at `path` is a key of the job, or of the child table; then it was told.
    pub(super) fn is_misplaced(&mut self, path: &Path, entry: &Entry) -> bool {
        let job = job_of(path);
        let owner = path.parent().unwrap_or_default();
        let child = (owner != job).then_some((&CHILD, &owner));
        for (section, at) in child.into_iter().chain([(&JOB, &job)]) {
            let Some(key) = section.key(&entry.key) else { continue };
            let is_missed = key.is_required && !self.findings.is_written(&at.key(key.name));
            if is_meant(key, &entry.node, is_missed) {
                self.misplaced(path, entry, section, at);
                return true;
            }
        }
        false
    }

    fn misplaced(&mut self, path: &Path, entry: &Entry, section: &Section, owner: &Path) {
        let name = &entry.key;
        let place = match self.findings.first_header(owner) {
            Some(line) => format!("above the header in line {line}"),
            None => "out of its fields".to_owned(),
        };
        let mut help = format!("it is a key of {}: move it {place}", section.title);
        if let Shape::Text(text) = &entry.node.shape
            && syntax::check(&Kind::HqField, text).is_ok()
        {
            help = format!("{help} (a column of that name would be {name} = {{ from = {text:?} }})");
        }
        let said = Said::new(Code::MisplacedKey, format!("{name:?} stands among the fields"));
        self.findings.meant(owner.clone(), name);
        self.findings.at_key(&path.key(name), said.help(help));
    }
}

/// Whether the value is one of the key, and not what fills a column; `is_missed` where the key is not where it belongs, and must
/// be there.
fn is_meant(key: &Key, node: &Node, is_missed: bool) -> bool {
    match &node.shape {
        Shape::Text(text) => {
            let is_own = match &key.kind {
                Kind::Word(words) => words.known.contains(&text.as_str()),
                Kind::Integer { .. } => text.chars().all(|c| c.is_ascii_digit()),
                Kind::Bool | Kind::Cron => syntax::check(&key.kind, text).is_ok(),
                // Also one out of bounds.
                Kind::Duration { .. } => crate::config::duration::parse(text).is_some(),
                // A DocType begins with a capital letter, a field with a small one.
                Kind::Line => text.starts_with(char::is_uppercase),
                // Every DocType has the field `name`.
                Kind::JobName => is_missed && text != "name",
                Kind::LocalTable | Kind::Column | Kind::OneOrMore(_) | Kind::HqField => is_missed,
                Kind::Text
                | Kind::Secret
                | Kind::HqUrl
                | Kind::LocalUrl
                | Kind::Pem
                | Kind::Zone
                | Kind::Listen
                | Kind::Number { .. }
                | Kind::List(_)
                | Kind::Literal
                | Kind::Literals
                | Kind::Json
                | Kind::Record
                | Kind::Table(_)
                | Kind::Tables(_)
                | Kind::Fields(_) => false,
            };
            is_own || syntax::check(&Kind::HqField, text).is_err()
        }
        Shape::Table(entries) => entries.iter().all(|entry| FIELD.key(&entry.key).is_none()),
        Shape::Int(_) | Shape::Float(_) | Shape::Bool(_) | Shape::Date | Shape::List(_) => true,
    }
}
