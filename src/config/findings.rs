//! What was found wrong so far, and what must be known to say where and without giving a secret away.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::path::Path;
use super::places::Places;
use super::private;
use super::problem::{Problem, Problems};
use super::said::{BARE, Code, Said};
use super::toml::Node;
use super::words;

/// Shorter results of a substitution are not searched for in messages: `1` would blot out every digit.
const SHORTEST_HIDDEN: usize = 4;

/// The problems found so far, and the file that they are in.
#[derive(Debug)]
pub(super) struct Findings<'t> {
    file: &'t str,
    text: &'t str,
    /// Where everything stands.
    places: Places<'t>,
    /// The environment variable that overrides a key.
    variables: BTreeMap<String, Path>,
    /// The written form of each value that came through a substitution.
    written: HashMap<Path, String>,
    /// What substitutions gave, what was written for it, and the part of the file whose messages it is kept out of.
    hidden: Vec<(Path, String, String)>,
    /// Bytes of the file that are never shown.
    stars: Vec<Range<usize>>,
    /// Bytes around mistakes of which no message repeats a word that may be part of a secret.
    private: Vec<Range<usize>>,
    /// Keys that are there after all, under a misspelt name or in the wrong place, and the part of the file they belong to.
    meant: Vec<(Path, String)>,
    /// Whether parts of the text could not be read: then nothing can be missed.
    is_torn: bool,
    found: Vec<(Path, Problem)>,
    /// What looks wrong and keeps no run from its work.
    doubts: Vec<(Path, Problem)>,
}

impl<'t> Findings<'t> {
    /// Nothing found yet in `text`.
    pub(super) fn new(file: &'t str, text: &'t str) -> Self {
        Self {
            file,
            text,
            places: Places::of(text),
            variables: BTreeMap::new(),
            written: HashMap::new(),
            hidden: Vec::new(),
            stars: Vec::new(),
            private: Vec::new(),
            meant: Vec::new(),
            is_torn: false,
            found: Vec::new(),
            doubts: Vec::new(),
        }
    }

    /// Takes the places of everything from the tree of the text.
    pub(super) fn locate(&mut self, tree: &'t Node) {
        self.places.locate(tree);
    }

    /// Parts of the text could not be read, so that what is missing may well be there.
    pub(super) fn tear(&mut self) {
        self.is_torn = true;
    }

    /// The key `name`, within `scope`, is there under another name or in another place, and is not missed.
    pub(super) fn meant(&mut self, scope: Path, name: &str) {
        self.meant.push((scope, name.to_owned()));
    }

    /// Whether that was said of a key at the top of the file.
    pub(super) fn is_meant(&self, name: &str) -> bool {
        self.meant.iter().any(|(scope, known)| *scope == Path::default() && known == name)
    }

    /// The value at `path` is taken from an environment variable.
    pub(super) fn override_by(&mut self, variable: &str, path: Path) {
        self.variables.insert(variable.to_owned(), path);
    }

    /// Whether an environment variable gives any value.
    pub(super) fn has_overrides(&self) -> bool {
        !self.variables.is_empty()
    }

    /// Whether an environment variable gives the value at `path`, or one below it.
    pub(super) fn is_overridden(&self, path: &Path) -> bool {
        self.variables.values().any(|overridden| overridden.is_within(path))
    }

    /// The value at `path` came through a substitution and must be shown as `written`.
    pub(super) fn substituted(&mut self, path: &Path, written: &str) {
        self.written.insert(path.clone(), written.to_owned());
    }

    /// Shows `written` for `value` in every message about `path`, what lies above it or below; a secret is hidden
    /// from the top of the file on. (Hidden everywhere, a shop called "item" would garble every other message.)
    pub(super) fn hide(&mut self, path: &Path, value: &str, written: &str) {
        if value.chars().count() >= SHORTEST_HIDDEN {
            self.hidden.push((path.clone(), value.to_owned(), written.to_owned()));
        }
    }

    /// Never shows these bytes of the file.
    pub(super) fn star_out(&mut self, at: Range<usize>) {
        self.stars.push(at);
    }

    /// Never shows these bytes of the file, nor repeats what may be a secret in them.
    pub(super) fn keep_private(&mut self, at: Range<usize>) {
        self.stars.push(at.clone());
        self.private.push(at);
    }

    /// Whether parts of the text could not be read.
    pub(super) fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// A problem with the value at `path`.
    pub(super) fn at_value(&mut self, path: &Path, said: impl Into<Said>) {
        let mut said = said.into();
        if let Some(variable) = self.variable(path) {
            said.what = format!("environment variable {variable}: {}", said.what);
            return self.push(path, None, said);
        }
        let at = self.places.of_path(path).map(|place| place.value);
        self.push(path, at, said);
    }

    /// The value at `path` looks wrong; of all below `scope` nothing that came from elsewhere is repeated.
    pub(super) fn doubt_value(&mut self, path: &Path, scope: &Path, said: Said) {
        let at = self.places.of_path(path).map(|place| place.value);
        let said = self.scrubbed(scope, said);
        if let Some(problem) = self.problem(path, at, said) {
            self.doubts.push((path.clone(), problem));
        }
    }

    /// Never shows the value at `path`.
    pub(super) fn star_value(&mut self, path: &Path) {
        if let Some(place) = self.places.of_path(path) {
            self.stars.push(place.value);
        }
    }

    /// A problem with the key at `path`, or with what is missing from it.
    pub(super) fn at_key(&mut self, path: &Path, said: impl Into<Said>) {
        let at = self.places.of_path(path).map(|place| place.key);
        self.push(path, at, said.into());
    }

    /// A problem with these bytes of the file.
    pub(super) fn at_bytes(&mut self, at: Range<usize>, said: impl Into<Said>) {
        self.push(&Path::default(), Some(at), said.into());
    }

    /// A problem with these bytes of the section at `path`, whose key is not to be named.
    pub(super) fn below(&mut self, path: &Path, at: Range<usize>, said: impl Into<Said>) {
        self.push(path, Some(at), said.into());
    }

    /// A problem that is not in the file.
    pub(super) fn elsewhere(&mut self, said: impl Into<Said>) {
        self.push(&Path::default(), None, said.into());
    }

    /// Whether something was found wrong at `path` or below.
    pub(super) fn is_damaged(&self, path: &Path) -> bool {
        self.found.iter().any(|(found, _)| found.is_within(path))
    }

    /// Whether what stands at `path` is no TOML, and only read as it was probably meant.
    pub(super) fn is_mended(&self, path: &Path) -> bool {
        let Some(place) = self.places.of_path(path) else { return false };
        let line = |byte: usize| Some(self.places.position(byte).0);
        let lines = line(place.key.start)..=line(place.value.end.max(place.key.end));
        self.found.iter().any(|(_, problem)| problem.code == Code::Syntax && lines.contains(&problem.line))
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The value at `path` as a message may show it: quoted, or as it was written where it was substituted.
    pub(super) fn shown(&self, path: &Path, value: &str) -> String {
        if self.variable(path).is_some() {
            "the value".to_owned()
        } else {
            format!("{:?}", self.written_at(path).map_or(value, String::as_str))
        }
    }

    /// The nearest of `words`; nothing for a value that must not be shown.
    pub(super) fn nearest<'w>(
        &self,
        path: &Path,
        value: &str,
        words: impl IntoIterator<Item = &'w str>,
    ) -> Option<String> {
        if self.is_showable(path) { words::nearest(value, words).map(str::to_owned) } else { None }
    }

    /// Whether the value at `path` may be quoted in a message.
    pub(super) fn is_showable(&self, path: &Path) -> bool {
        self.variable(path).is_none() && self.written_at(path).is_none()
    }

    /// Whether the file has this very key or element.
    pub(super) fn is_written(&self, path: &Path) -> bool {
        self.places.node(path).is_some()
    }

    /// The table of the job of that DocType.
    pub(super) fn table_of(&self, doctype: &str) -> Option<String> {
        self.places.table_of(doctype).map(str::to_owned)
    }

    /// The line of the first header below the table at `path`.
    pub(super) fn first_header(&self, path: &Path) -> Option<usize> {
        self.places.first_header(path)
    }

    /// The line that the table or value at `path` starts on.
    pub(super) fn line(&self, path: &Path) -> usize {
        self.places.line(path)
    }

    /// All that was found and all that looks wrong, in the order of the file.
    pub(super) fn finish(self) -> Problems {
        let stars = [self.stars, private::by_looks(self.text)].concat();
        let starred = star(self.text, &stars);
        let is_there =
            |path: &Path| self.meant.iter().any(|(scope, name)| path.is_within(scope) && path.ends_with(name));
        let is_said = |path: &Path, problem: &Problem| problem.code != Code::MissingKey || !is_there(path);
        let with_source = |mut problem: Problem| {
            let line = problem.line.and_then(|line| starred.lines().nth(line - 1));
            problem.source = line.map(|line| line.trim_start_matches('\u{feff}').to_owned());
            problem
        };
        let is_better = |problem: &Problem| {
            problem.said.what != BARE
                && (matches!(problem.code, Code::WrongType | Code::Syntax) || problem.suggestion.is_some())
        };
        let misfits = self.found.iter().filter(|(_, problem)| is_better(problem));
        let misfits: Vec<_> = misfits.map(|(_, problem)| (problem.line, problem.column)).collect();
        // A text in quotes is not what belongs there, or the right one is named.
        let is_bare = |problem: &Problem| problem.said.what == BARE;
        let is_said = |path: &Path, problem: &Problem| {
            is_said(path, problem) && !(is_bare(problem) && misfits.contains(&(problem.line, problem.column)))
        };
        let found = self.found.into_iter().chain(self.doubts).filter(|(path, problem)| is_said(path, problem));
        Problems::new(found.map(|(_, problem)| with_source(problem)).collect())
    }

    fn push(&mut self, path: &Path, at: Option<Range<usize>>, said: Said) {
        if let Some(problem) = self.problem(path, at, said) {
            self.found.push((path.clone(), problem));
        }
    }

    /// As it may be told; nothing where what is missing may be in the parts that could not be read.
    fn problem(&self, path: &Path, at: Option<Range<usize>>, said: Said) -> Option<Problem> {
        let needs_the_whole = matches!(said.code, Code::MissingKey | Code::UnknownName | Code::Example);
        if self.is_torn && needs_the_whole {
            return None;
        }
        let mut said = self.scrubbed(path, said);
        let mut key = path.clone();
        if !self.may_say(&said, path, at.as_ref()) {
            (said, key) = (private::discreet(said.code), private::named(path));
        }
        let mut problem = Problem::new(self.file, key.to_string(), said);
        if let Some(at) = at {
            let (line, column) = self.places.position(at.start);
            (problem.line, problem.column) = (Some(line), Some(column));
            problem.end = Some(self.places.position(at.end.max(at.start)));
        }
        Some(problem)
    }

    fn scrubbed(&self, at: &Path, mut said: Said) -> Said {
        said.what = self.without_hidden(at, said.what);
        said.help = said.help.map(|help| self.without_hidden(at, help));
        said.near = said.near.map(|near| self.without_hidden(at, near));
        said
    }

    /// Whether the message repeats nothing that may be part of a secret around a mistake.
    fn may_say(&self, said: &Said, path: &Path, at: Option<&Range<usize>>) -> bool {
        let is_there = |private: &&Range<usize>| {
            at.is_none_or(|at| at.start <= private.end && private.start <= at.end) || private::is_near(path)
        };
        let mut private = self.private.iter().filter(is_there).filter_map(|at| self.text.get(at.clone()));
        private.all(|private| private::may_say(said, path, private))
    }

    /// A net under the care taken elsewhere: what a substitution gave is taken out of the message.
    fn without_hidden(&self, at: &Path, message: String) -> String {
        let related = |path: &Path| path.is_within(at) || at.is_within(path);
        let hidden = self.hidden.iter().filter(|(path, ..)| related(path));
        hidden.fold(message, |message, (_, value, written)| {
            let quoted = format!("{value:?}");
            let escaped = quoted.trim_matches('"');
            message.replace(value.as_str(), written).replace(escaped, written)
        })
    }

    fn variable(&self, path: &Path) -> Option<&str> {
        let at = self.variables.iter().find(|(_, overridden)| *overridden == path);
        at.map(|(variable, _)| variable.as_str())
    }

    fn written_at(&self, path: &Path) -> Option<&String> {
        let mut at = Some(path.clone());
        while let Some(path) = at {
            if let Some(written) = self.written.get(&path) {
                return Some(written);
            }
            at = path.parent();
        }
        None
    }
}

/// The text with every character of `places` turned into a star.
fn star(text: &str, places: &[Range<usize>]) -> String {
    let is_hidden = |byte| places.iter().any(|place| place.contains(&byte));
    let shown = |(byte, c)| {
        if is_hidden(byte) && !matches!(c, '\n' | '\r' | '\u{feff}') { '*' } else { c }
    };
    text.char_indices().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_substitution_gave_is_in_no_message() {
        let mut findings = Findings::new("sync.toml", "");
        findings.hide(&Path::default(), "hunter\"22", "${PW}");
        findings.elsewhere("bad: hunter\"22");
        findings.elsewhere(format!("quoted: {:?}", "hunter\"22"));
        let shown = findings.finish().to_string();
        assert_eq!(shown, "sync.toml: bad: ${PW}\nsync.toml: quoted: \"${PW}\"");
    }
}
