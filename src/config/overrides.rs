//! `MILKRUN__SECTION__KEY`: environment variables that override one scalar of `[site]`, `[hq]`, `[local]` or
//! `[daemon]`.

use ::config::Map;

use super::findings::Findings;
use super::keys::FILE;
use super::path::Path;
use super::said::{Code, Said};
use super::schema::{Kind, Section};
use super::substitute::{Environment, NO_TEXT};
use super::{syntax, words};

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
    for name in environment.keys().filter(|name| !name.starts_with(&start) && is_ours(name)) {
        // Taken for none of milkrun's it would be passed over, and the file's value be in force.
        if let Some(near) = near(name, &known) {
            let said = Said::new(Code::Environment, format!("environment variable {name} overrides no key"));
            findings.elsewhere(said.near(Some(near)));
        }
    }
    for (name, value) in environment.iter().filter(|(name, _)| name.starts_with(&start)) {
        let Some(variable) = known.iter().find(|variable| variable.name == *name) else {
            let said = Said::new(Code::Environment, format!("environment variable {name} overrides no key"));
            let near = near(name, &known);
            findings.elsewhere(if name.starts_with(&format!("{start}JOB")) {
                said.help("jobs cannot be overridden by the environment")
            } else if near.is_some() {
                said.near(near)
            } else {
                said.help(format!(
                    "the key url of [hq] is {start}HQ__URL: section and key in capitals, \"__\" between them"
                ))
            });
            continue;
        };
        findings.override_by(name, variable.path.clone());
        if matches!(variable.kind, Kind::Secret | Kind::HqUrl | Kind::LocalUrl) {
            findings.hide(&Path::default(), value, &format!("${{{name}}}"));
        }
        if value.contains(NO_TEXT) {
            findings
                .at_value(&variable.path, Said::new(Code::Environment, "the value is not UTF-8").help("set it anew"));
            continue;
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

/// Whether the name was meant for milkrun, in whatever letters.
fn is_ours(name: &str) -> bool {
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// The variable that was meant: the same letters with other `_` between them, or else the nearest of those that begin alike.
fn near(name: &str, known: &[Variable]) -> Option<String> {
    let letters = |name: &str| name.replace('_', "").to_uppercase();
    let written = letters(name);
    let same = known.iter().find(|variable| letters(&variable.name) == written);
    let names = || known.iter().map(|variable| variable.name.as_str());
    same.map(|variable| variable.name.clone())
        .or_else(|| words::nearest(name, names()).map(str::to_owned))
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
