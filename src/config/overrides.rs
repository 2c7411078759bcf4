//! `MILKRUN__SECTION__KEY`: environment variables that override one scalar of `[site]`, `[hq]`, `[local]` or
//! `[daemon]`.

use ::config::Map;

use super::findings::Findings;
use super::keys::FILE;
use super::path::Path;
use super::said::{Code, Said};
use super::schema::{Kind, Section};
use super::substitute::Environment;
use super::syntax;

/// What the names of overriding variables start with, without the separator.
pub(super) const PREFIX: &str = "MILKRUN";

/// What stands between the parts of a name; one `_` is part of a key.
pub(super) const SEPARATOR: &str = "__";

/// A variable that may be set, and the key that it overrides.
struct Variable {
    name: String,
    path: Path,
    kind: &'static Kind,
}

/// Checks every overriding variable of `environment`, and gives those that are fit for use.
pub(super) fn collect(environment: &Environment, findings: &mut Findings<'_>) -> Map<String, String> {
    let mut known = Vec::new();
    for section in FILE.keys {
        if let Kind::Table(below) = section.kind {
            variables(below, &Path::of([section.name]), &name(PREFIX, section.name), &mut known);
        }
    }
    let start = format!("{PREFIX}{SEPARATOR}");
    let mut fit = Map::new();
    for (name, value) in environment.iter().filter(|(name, _)| name.starts_with(&start)) {
        let Some(variable) = known.iter().find(|variable| variable.name == *name) else {
            let said = Said::new(Code::Environment, format!("environment variable {name} overrides no key"));
            findings.elsewhere(if name.starts_with(&format!("{start}JOB")) {
                said.help("jobs cannot be overridden by the environment")
            } else {
                said.near_to(name, known.iter().map(|variable| variable.name.as_str()))
            });
            continue;
        };
        findings.override_by(name, variable.path.clone());
        if matches!(variable.kind, Kind::Secret | Kind::HqUrl | Kind::LocalUrl) {
            findings.hide(&Path::default(), value, &format!("${{{name}}}"));
        }
        match syntax::check(variable.kind, value) {
            Ok(()) => {
                fit.insert(name.clone(), value.clone());
            }
            Err(fault) => findings.at_value(&variable.path, fault.said("the value", false)),
        }
    }
    fit
}

fn variables(section: &'static Section, path: &Path, prefix: &str, all: &mut Vec<Variable>) {
    for key in section.keys {
        let (path, name) = (path.key(key.name), name(prefix, key.name));
        if let Kind::Table(below) = key.kind {
            variables(below, &path, &name, all);
        } else {
            all.push(Variable { name, path, kind: &key.kind });
        }
    }
}

fn name(prefix: &str, key: &str) -> String {
    format!("{prefix}{SEPARATOR}{}", key.to_uppercase())
}
