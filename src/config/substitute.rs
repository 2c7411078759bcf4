//! `${VAR}` and `${file:PATH}` inside string values; `$${` stands for a literal `${`. A PATH may hold `${VAR}` in its turn, as
//! systemd and others tell the folder of secrets by a variable.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The environment, passed in so that nothing below `load` reads the process's own.
pub type Environment = BTreeMap<String, String>;

/// Stands in a variable's value for bytes that are no UTF-8; no value holds it on purpose.
pub(super) const NO_TEXT: char = char::REPLACEMENT_CHARACTER;

/// A secret or a URL is far shorter; a `${file:/dev/zero}` must not fill the memory.
const LARGEST_FILE: u64 = 64 * 1024;

/// Where substitutions take their values from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Substitution<'e> {
    /// What `${VAR}` reads.
    pub(super) environment: &'e Environment,
    /// What a relative `${file:PATH}` is relative to.
    pub(super) folder: &'e Path,
}

/// A text after substitution.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Substituted {
    /// The whole text.
    pub(super) text: String,
    /// What each `${…}` gave, and the `${…}`.
    pub(super) taken: Vec<(String, String)>,
}

impl Substitution<'_> {
    /// Replaces every `${…}` of `written`; a result is not looked at again.
    ///
    /// # Errors
    /// What cannot be replaced and what to do about it, one sentence for each `${…}`.
    pub(super) fn apply(&self, written: &str) -> Result<Substituted, Vec<String>> {
        let (mut text, mut taken, mut wrong) = (String::new(), Vec::new(), Vec::new());
        let mut rest = written;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(escaped) = before.strip_suffix('$') {
                text.push_str(escaped);
                text.push_str("${");
                rest = after;
                continue;
            }
            text.push_str(before);
            let Some((name, after)) = split_at_its_end(after) else {
                wrong.push("a \"${\" is not closed by \"}\"; a literal one is written \"$${\"".into());
                rest = "";
                break;
            };
            match self.value(name) {
                Ok(value) => {
                    text.push_str(&value);
                    taken.push((value, format!("${{{name}}}")));
                }
                Err(reason) => wrong.push(reason),
            }
            rest = after;
        }
        text.push_str(rest);
        if wrong.is_empty() { Ok(Substituted { text, taken }) } else { Err(wrong) }
    }

    /// The files that are named by a `${file:PATH}` of the text, wherever in it; without those whose path cannot be told.
    pub(super) fn files(&self, written: &str) -> Vec<PathBuf> {
        let named = written.split("${file:").skip(1);
        let paths = named.filter_map(|after| {
            let path = split_at_its_end(&format!("file:{after}"))?.0.strip_prefix("file:")?.trim().to_owned();
            self.path(&path).ok()
        });
        paths.map(|path| self.folder.join(path)).collect()
    }

    fn value(&self, name: &str) -> Result<String, String> {
        if let Some(path) = name.strip_prefix("file:") {
            let path = self.path(path.trim()).map_err(|reason| format!("${{{name}}}: {reason}"))?;
            let text = read_regular(&self.folder.join(path), LARGEST_FILE).map(without_newline);
            return text.map_err(|reason| format!("${{{name}}}: the file {reason}"));
        }
        if !is_variable(name) {
            // Not quoted: a shell's `${NAME:-DEFAULT}` may well hold the secret itself.
            let what = "a ${…} is neither ${VARIABLE} nor ${file:PATH}; there are no defaults, and a literal \"${\" is written \"$${\"";
            return Err(what.to_owned());
        }
        self.variable(name)
            .map_err(|reason| format!("{reason}; set it for milkrun, or name a file: ${{file:PATH}}"))
    }

    fn variable(&self, name: &str) -> Result<String, String> {
        match self.environment.get(name) {
            Some(value) if value.contains(NO_TEXT) => Err(format!("the environment variable {name} is not UTF-8")),
            Some(value) => Ok(value.clone()),
            None => Err(format!("the environment variable {name} is not set")),
        }
    }

    /// A path with its variables replaced.
    fn path(&self, written: &str) -> Result<String, String> {
        let (mut path, mut rest) = (String::new(), written);
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            path.push_str(before);
            path.push_str(&self.variable(name)?);
            rest = after;
        }
        path.push_str(rest);
        Ok(path)
    }
}

/// What stands before the `}` that closes a `${`, and what comes after it; a path may hold pairs of its own.
fn split_at_its_end(text: &str) -> Option<(&str, &str)> {
    if !text.starts_with("file:") {
        return text.split_once('}');
    }
    let (mut from, mut open) = (0, 0_u32);
    loop {
        let rest = text.get(from..)?;
        let at = from + rest.find('}')?;
        open += u32::try_from(text.get(from..at)?.matches("${").count()).unwrap_or_default();
        if open == 0 {
            return Some((text.get(..at)?, text.get(at + 1..)?));
        }
        open -= 1;
        from = at + 1;
    }
}

/// As [`read`], and nothing but a regular file.
pub(super) fn read_regular(path: &Path, largest: u64) -> Result<String, String> {
    match std::fs::metadata(path) {
        // Opening a pipe would wait for its writer, for ever.
        Ok(facts) if !facts.is_file() => Err("is not a regular file".to_owned()),
        Ok(_) | Err(_) => read(path, largest),
    }
}

/// Reads a text file of at most `largest` bytes; the error continues a sentence that names the file.
fn read(path: &Path, largest: u64) -> Result<String, String> {
    String::from_utf8(bytes(path, largest)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("is not UTF-8 text (byte {at})")
    })
}

/// As [`read`], whatever is in the file.
pub(super) fn bytes(path: &Path, largest: u64) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {}", reason(&error));
    let file = std::fs::File::options().read(true).open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(largest + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > largest) {
        return Err(format!("is larger than {} KiB", largest / 1024));
    }
    Ok(bytes)
}

/// The system's words without Rust's `(os error 2)`.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Editors and `echo` end a file with a newline that is no part of a secret; one is cut, not more.
fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(written: &str, folder: &Path) -> Result<String, Vec<String>> {
        let environment = Environment::from([("A".into(), "one".into()), ("NESTED".into(), "${A}".into())]);
        let substitution = Substitution { environment: &environment, folder };
        substitution.apply(written).map(|done| done.text)
    }

    #[test]
    fn variables_are_read_and_their_results_are_left_alone() {
        let here = Path::new("");
        assert_eq!(apply("x${A}y${A}", here), Ok("xoney".to_owned() + "one"));
        assert_eq!(apply("${NESTED}", here), Ok("${A}".to_owned()));
        assert_eq!(apply("cost: 5$ {A}", here), Ok("cost: 5$ {A}".to_owned()));
    }

    #[test]
    fn a_doubled_dollar_escapes() {
        assert_eq!(apply("$${A} ${A}", Path::new("")), Ok("${A} one".to_owned()));
    }

    #[test]
    fn every_substitution_that_fails_says_why() {
        let wrong = apply("${NONE} ${1x} ${file:none} ${", Path::new("")).unwrap_err();
        assert_eq!(wrong.len(), 4);
        assert!(wrong[0].starts_with("the environment variable NONE is not set; set it"));
        assert!(wrong[1].starts_with("a ${…} is neither ${VARIABLE} nor ${file:PATH}; there are no defaults"));
        assert!(wrong[2].starts_with("${file:none}: the file cannot be read: no such file"));
        assert!(wrong[3].contains("not closed"));
    }

    #[test]
    fn a_file_is_read_beside_the_config_and_loses_one_newline() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "secret\n\n").unwrap();
        std::fs::write(folder.path().join("crlf"), "secret\r\n").unwrap();
        assert_eq!(apply("${file:key}", folder.path()), Ok("secret\n".to_owned()));
        assert_eq!(apply("${file:crlf}", folder.path()), Ok("secret".to_owned()));
    }

    #[test]
    fn the_files_that_a_text_names_are_found_wherever_they_stand() {
        let environment = Environment::from([("A".to_owned(), "one".to_owned())]);
        let substitution = Substitution { environment: &environment, folder: Path::new("/etc/milkrun") };
        let text = "key = \"${file:key}\" # ${A} ${file:${A}/x} ${file:${NONE}/y} ${file: /run/z }\nopen = \"${file:";
        let files = ["/etc/milkrun/key", "/etc/milkrun/one/x", "/run/z"].map(PathBuf::from);
        assert_eq!(substitution.files(text), files);
    }

    #[test]
    fn the_path_of_a_file_may_hold_variables() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("one")).unwrap();
        std::fs::write(folder.path().join("one/key"), "secret\n").unwrap();
        assert_eq!(apply("x${file:${A}/key}y${A}", folder.path()), Ok("xsecretyone".to_owned()));
        let wrong = apply("${file:${NONE}/key}${file:${A}", folder.path()).unwrap_err();
        assert_eq!(wrong[0], "${file:${NONE}/key}: the environment variable NONE is not set");
        assert!(wrong[1].contains("not closed"), "{wrong:?}");
    }

    #[test]
    fn a_file_that_is_too_large_or_no_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("large"), vec![b'x'; 65 * 1024]).unwrap();
        std::fs::write(folder.path().join("binary"), [0xff, 0xfe]).unwrap();
        let wrong = apply("${file:large}${file:binary}", folder.path()).unwrap_err();
        assert_eq!(wrong[0], "${file:large}: the file is larger than 64 KiB");
        assert_eq!(wrong[1], "${file:binary}: the file is not UTF-8 text (byte 0)");
    }
}
