//! The way from the text to the checked form: tree, environment, walk, `config`, checks.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path as FilePath, PathBuf};

use ::config::{Map, Source, Value};

use super::check;
use super::file;
use super::findings::Findings;
use super::overrides::{self, PREFIX, SEPARATOR};
use super::path::Path;
use super::private;
use super::problem::Problems;
use super::raw::Raw;
use super::said::{Code, Said};
use super::substitute::{Environment, Substitution};
use super::toml::Shape;
use super::{Config, toml, walk};

/// Reads and checks the file; `${VAR}` and `MILKRUN__SECTION__KEY` come from the process's environment.
///
/// # Errors
/// Everything that is wrong with it, at once; a file that cannot be read is one problem.
pub fn load(path: &FilePath) -> Result<Config, Problems> {
    load_text(path, &file::read(path)?)
}

/// As [`load`], with a text that has been read from the file.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load_text(path: &FilePath, text: &str) -> Result<Config, Problems> {
    parse(&path.display().to_string(), text, &folder_of(path), &environment())
}

/// The folder of the file, from the root: a relative SQLite file must stay the same one, whatever the process's folder is
/// later on.
#[must_use]
pub fn folder_of(path: &FilePath) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.parent().map_or_else(PathBuf::new, FilePath::to_owned)
}

/// The process's environment; a value that is no text is refused where it is used.
#[must_use]
pub fn environment() -> Environment {
    let readable =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned()));
    std::env::vars_os().filter_map(readable).collect()
}

/// The files that the text takes values from by `${file:PATH}`, beside the one at `path` that it stands in.
#[must_use]
pub fn files_of(path: &FilePath, text: &str) -> Vec<PathBuf> {
    Substitution { environment: &environment(), folder: &folder_of(path) }.files(text)
}

/// Checks the text of a file called `name` that stands in `folder`.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn parse(name: &str, text: &str, folder: &FilePath, environment: &Environment) -> Result<Config, Problems> {
    let reading = toml::read(text);
    let mut findings = Findings::new(name, text);
    for at in reading.mistakes.iter().filter_map(|mistake| private::around(text, &mistake.at)) {
        if reading.is_foreign {
            findings.star_out(at);
        } else {
            findings.keep_private(at);
        }
    }
    for mistake in &reading.mistakes {
        // Of a header under another name that is its key.
        let key = text.get(mistake.at.clone()).filter(|_| mistake.said.code == Code::UnknownKey);
        let path = key.map_or_else(Path::default, |key| Path::of(key.split('.')));
        findings.below(&path, mistake.at.clone(), mistake.said.clone());
    }
    if reading.is_torn {
        findings.tear();
    }
    let Some(tree) = &reading.tree else {
        return Err(refused(findings));
    };
    if matches!(&tree.shape, Shape::Table(entries) if entries.is_empty()) && findings.is_empty() {
        let said = Said::new(Code::MissingKey, "the file is empty");
        findings.elsewhere(
            said.help("`milkrun init --hq URL DOCTYPE…` writes one, with [site], [hq], [local] and a [[job]]"),
        );
        return Err(refused(findings));
    }
    findings.locate(tree);
    let fit = overrides::collect(environment, &mut findings);
    let layer = Layer(walk::file(tree, Substitution { environment, folder }, &mut findings));
    let config = match deserialize(layer, fit) {
        // What is left out may be what makes sense of the rest.
        Ok(_) if reading.is_torn => None,
        Ok(raw) => check::file(raw, folder, &mut findings),
        Err(misfit) => {
            findings.at_value(&misfit.path, misfit.message);
            None
        }
    };
    match config {
        Some(config) if findings.is_empty() => {
            Ok(Config { doubts: findings.finish().iter().cloned().collect(), ..config })
        }
        Some(_) | None => Err(refused(findings)),
    }
}

fn refused(mut findings: Findings<'_>) -> Problems {
    if findings.is_empty() {
        findings.elsewhere("the configuration is incomplete, and milkrun cannot say where: please report this");
    }
    findings.finish()
}

/// What the walk let pass and the typed form refuses: a hole in the schema.
struct Misfit {
    path: Path,
    message: String,
}

fn deserialize(layer: Layer, overrides: Map<String, String>) -> Result<Raw, Misfit> {
    let misfit = |path: Path, error: &::config::ConfigError| {
        // The crate appends the key in its own spelling.
        let text = error.to_string();
        let message = text.split(" for key `").next().unwrap_or(&text).to_owned();
        Misfit { path, message }
    };
    let environment = ::config::Environment::with_prefix(PREFIX).separator(SEPARATOR).source(Some(overrides));
    let layered = ::config::Config::builder().add_source(layer).add_source(environment).build();
    let layered = layered.map_err(|error| misfit(Path::default(), &error))?;
    serde_path_to_error::deserialize(layered).map_err(|error| misfit(Path::from(error.path()), error.inner()))
}

/// The values of the file, for the `config` crate.
#[derive(Clone)]
struct Layer(Map<String, Value>);

impl fmt::Debug for Layer {
    /// Prints nothing of the values, which hold the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sync.toml")
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(self.0.clone())
    }
}
