//! Where a secret may stand in a text that cannot be read as it was meant, and what may be said of what stands there.
//!
//! Around a mistake nobody knows what is a key and what a value: of a credential that was pasted with a line break in it, the
//! second half looks like a key. So all from the key before the mistake to the next one may be private, and no word of it is
//! repeated that is not a word of `sync.toml`.

use std::ops::Range;

use chrono_tz::Tz;

use super::keys;
use super::path::{Path, Step};
use super::said::{Code, Said};
use super::toml::{header_name, key_length, merge_mark};
use super::{duration, substitute, words};

/// Lines that may hold a secret, whatever they were meant to be.
const MARKS: [&str; 5] = ["secret", "key", "password", "auth", "://"];

/// The keys of [hq] and [local] that hold no more than they say.
const HARMLESS: [&str; 9] = [
    "time_zone",
    "timeout",
    "max_requests_per_second",
    "budget_share",
    "retry",
    "max_attempts",
    "first_delay",
    "max_delay",
    "kind",
];

/// The sections that hold no secret.
const OPEN: [&str; 3] = ["site", "daemon", "job"];

/// Keys whose values are secrets, wherever in the file they stand, also in a comment or in the wrong section.
const SECRETS: [&str; 5] = ["api_key", "api_secret", "password", "secret", "token"];

/// What is longer is no length of time that anybody means.
const LONGEST_NUMBER: usize = 8;

/// What is shorter is no secret worth the name, and stands in every sentence.
const SHORTEST: usize = 4;

/// The bytes around a mistake that may hold a secret.
pub(super) fn around(text: &str, mistake: &Range<usize>) -> Option<Range<usize>> {
    let own = start_of_line(text, mistake.start)..end_of_line(text, mistake.end.saturating_sub(1).max(mistake.start));
    if text.get(own.clone()).is_some_and(is_harmless) {
        return None;
    }
    let is_marked = |at: &Range<usize>| {
        let lower = text.get(at.clone()).unwrap_or_default().to_lowercase();
        MARKS.iter().any(|mark| lower.contains(mark))
    };
    if is_open(text, own.start) || is_section(line(text, own.start)) {
        return is_marked(&own).then_some(own);
    }
    let mut start = own.start;
    while start > 0 && known_key(line(text, start)).is_none() {
        let before = start_of_line(text, start - 1);
        if is_section(line(text, before)) {
            break;
        }
        start = before;
    }
    let mut end = own.end;
    while end + 1 < text.len() {
        let next = line(text, end + 1);
        if is_section(next) || known_key(next).is_some() {
            break;
        }
        end = end_of_line(text, end + 1);
    }
    let at = start..end;
    let lines = text.get(at.clone()).unwrap_or_default().lines().map(str::trim);
    let is_one = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).count() <= 1;
    let is_safe = is_one && known_key(line(text, start)).is_some_and(|key| HARMLESS.contains(&key));
    (is_marked(&at) || !is_safe).then_some(at)
}

/// Whether all of the line is known for no secret: the mark of a merge conflict, or a harmless key with a value that is one of its
/// own, whatever stands between the two.
fn is_harmless(line: &str) -> bool {
    if line.contains('\n') {
        return false;
    }
    if merge_mark(line).is_some() {
        return true;
    }
    let line = line.trim();
    // A header of a name that is known, or was meant as one, and nothing behind it.
    if header(line).is_some_and(|name| line.ends_with(']') && name.split('.').all(is_known)) {
        return true;
    }
    let (key, rest) = line.split_at_checked(key_length(line)).unwrap_or((line, ""));
    let value = rest.trim_matches(|c: char| c.is_whitespace() || "=:,;\"'“”„‘’".contains(c));
    let is_short = value.len() <= LONGEST_NUMBER;
    let is_time = is_short && (duration::parse(value).is_some() || duration::meant(value).is_some());
    let is_value = value.is_empty() || is_time || value.parse::<Tz>().is_ok() || ["token", "basic"].contains(&value);
    HARMLESS.contains(&key) && is_value
}

/// The bytes of what is a secret by its looks: the value of a key that is named after one, a login in a URL.
pub(super) fn by_looks(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let named = SECRETS.iter().flat_map(|name| line.match_indices(name)).filter_map(|(at, name)| {
            let before = line.get(..at)?.chars().next_back();
            let is_whole = before.is_none_or(|c| !c.is_alphanumeric() && c != '_');
            is_whole.then(|| value_of(line, at + name.len())).flatten()
        });
        let logins = line.match_indices("://").filter_map(|(at, mark)| login(line, at + mark.len()));
        found.extend(named.chain(logins).map(|at| start + at.start..start + at.end));
        start += line.len();
    }
    found
}

/// The value behind the name that ends at `byte`, unless it says only where it is to be found.
fn value_of(line: &str, byte: usize) -> Option<Range<usize>> {
    let rest = line.get(byte..)?.trim_start_matches(['"', '\'', ' ', '\t']);
    let value = rest.strip_prefix(['=', ':'])?.trim_start();
    let start = line.len() - value.len();
    let length = match value.chars().next()? {
        quote @ ('"' | '\'') => {
            let inner = value.get(1..)?;
            let inner = inner.split_once(quote).map_or(inner, |(inner, _)| inner);
            if is_substitution(inner) {
                return None;
            }
            inner.len() + 1
        }
        '[' | '{' => value.trim_end().len(),
        _ => value.find([',', '}', ' ', '\r', '\n']).unwrap_or(value.len()),
    };
    Some(start..start + length)
}

/// User and password of the URL whose host would begin at `byte`.
fn login(line: &str, byte: usize) -> Option<Range<usize>> {
    let rest = line.get(byte..)?;
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(rest.len());
    let login = rest.get(..end)?.rsplit_once('@')?.0;
    (login.contains(':') && !login.contains("${")).then(|| byte..byte + login.len())
}

/// Whether the text is one `${…}` and nothing else, which names where a value is and holds none.
pub(super) fn is_substitution(text: &str) -> bool {
    let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| name.starts_with("file:") || substitute::is_variable(name))
}

/// Whether a key of that name in the wrong place may be quoted: it looks like one, or like one that is known.
pub(super) fn is_name(key: &str) -> bool {
    is_known(key) || key.chars().all(|c| c.is_lowercase() || matches!(c, '_' | '-' | ' '))
}

/// Whether the path lies where secrets do.
pub(super) fn is_near(path: &Path) -> bool {
    ["hq", "local"].iter().any(|section| path.is_within(&Path::of([*section])))
}

/// Whether `said`, and the path it is about, repeat nothing of what may be a secret in `private`.
pub(super) fn may_say(said: &Said, path: &Path, private: &str) -> bool {
    let private = letters(&without_variables(private));
    let texts = [Some(&said.what), said.help.as_ref(), said.near.as_ref()];
    let mut all = texts.into_iter().flatten().map(String::as_str);
    !all.any(|text| repeats(text, &private)) && !repeats(&path.to_string(), &private)
}

/// What is said in the place of what must not be repeated.
pub(super) fn discreet(code: Code) -> Said {
    let what = match code {
        Code::UnknownKey | Code::MisplacedKey | Code::Duplicate => "a line that is no key stands here",
        Code::Syntax => "this is not TOML",
        Code::Unreadable
        | Code::MissingKey
        | Code::WrongType
        | Code::InvalidValue
        | Code::OutOfBounds
        | Code::UnknownWord
        | Code::UnknownName
        | Code::Contradiction
        | Code::Circle
        | Code::Substitution
        | Code::Environment
        | Code::Example => "this is not as it must be",
    };
    let help = "a value stands on one line, between quotes (it is not shown, as it may be part of a secret)";
    Said::new(code, what).help(help)
}

/// The path as far as it consists of names.
pub(super) fn named(path: &Path) -> Path {
    let mut named = Path::default();
    for step in path.steps() {
        named = match step {
            Step::Index(index) => named.index(*index),
            Step::Key(key) if is_known(key) => named.key(key),
            Step::Key(_) => break,
        };
    }
    named
}

/// Whether a word of the text is part of what is private.
fn repeats(text: &str, private: &str) -> bool {
    let is_end = |c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '=' | ',' | ';' | '(' | ')' | '{' | '}' | '[' | ']')
    };
    let words = text.split(is_end).flat_map(|word| std::iter::once(word).chain(word.split('.')));
    let is_part = |word: &str| {
        let plain = letters(word);
        let is_url = word.trim_end_matches(':').contains([':', '@', '/']) && !plain.is_empty();
        (is_url || plain.chars().count() >= SHORTEST) && private.contains(&plain)
    };
    words.filter(|word| !word.is_empty()).any(|word| is_part(word) && !is_known(word))
}

/// Letters and digits only: quoting and mending change the rest.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// `${NAME}` says where a secret is, not what.
fn without_variables(text: &str) -> String {
    let mut parts = text.split("${");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('}').map_or(part, |(_, rest)| rest))
}

/// Whether it is a word of `sync.toml`, or was meant as one.
fn is_known(word: &str) -> bool {
    let sections = keys::sections();
    let mut names = sections
        .iter()
        .flat_map(|(_, section)| section.names().chain(section.aka.iter().map(|(other, _)| *other)));
    let is_header = || keys::headers().iter().any(|header| header == word);
    names.any(|name| words::nearest(word, [name]).is_some()) || is_header()
}

/// Whether the line stands in a section that holds no secret.
fn is_open(text: &str, byte: usize) -> bool {
    let before = text.get(..byte).unwrap_or_default().lines().rev();
    let mut sections = std::iter::once(line(text, byte)).chain(before).filter(|line| is_section(line));
    sections
        .next()
        .and_then(header)
        .is_some_and(|name| OPEN.contains(&name.split('.').next().unwrap_or_default()))
}

/// Whether the line begins a section that is known, or was meant as one that is: another may be part of a secret.
fn is_section(line: &str) -> bool {
    header(line).is_some_and(|name| is_known(name.split('.').next().unwrap_or_default()))
}

/// The name on a line that is, or was meant as, the header of a section.
fn header(line: &str) -> Option<&str> {
    let line = line.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if let Some(name) = header_name(line) {
        return Some(name);
    }
    let name = line.trim_matches(|c: char| c.is_whitespace() || "[](){}<>:".contains(c));
    let is_plain = name.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '.'));
    (is_plain && keys::headers().iter().any(|known| known == name)).then_some(name)
}

/// The last part of the known key, dotted or not, that the line begins with.
fn known_key(line: &str) -> Option<&str> {
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let (key, rest) = line.split_at_checked(key_length(line))?;
    let sections = keys::sections();
    let is_known = |name: &str| sections.iter().any(|(_, section)| section.key(name).is_some());
    (rest.trim_start().starts_with('=') && key.split('.').all(is_known)).then(|| key.rsplit('.').next().unwrap_or(key))
}

fn line(text: &str, byte: usize) -> &str {
    text.get(start_of_line(text, byte)..end_of_line(text, byte)).unwrap_or_default()
}

fn start_of_line(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().get(..byte).unwrap_or(text.as_bytes());
    before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

fn end_of_line(text: &str, byte: usize) -> usize {
    let after = text.as_bytes().get(byte..).unwrap_or_default();
    after.iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| byte + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(text: &str, mistake: &str) -> String {
        let at = text.find(mistake).unwrap();
        around(text, &(at..at + mistake.len()))
            .map(|at| text.get(at).unwrap().to_owned())
            .unwrap_or_default()
    }

    #[test]
    fn all_between_two_keys_is_private_around_a_mistake() {
        let text = "[hq]\ntimeout = 3\nauth = { api_secret = \"one\ntwo\" }\nthree = 1\ntime_zone = x\n[local]\nfour\n";
        let expected = "auth = { api_secret = \"one\ntwo\" }\nthree = 1";
        for mistake in ["\"one", "two", "three"] {
            assert_eq!(private(text, mistake), expected);
        }
        assert_eq!(private(text, "timeout"), "");
        assert_eq!(private(text, "x\n"), "");
        assert_eq!(private(text, "four"), "four");
    }

    #[test]
    fn where_no_secret_belongs_one_line_that_looks_like_one_is_private() {
        assert_eq!(private("[site]\nname = x\npassword = y\nz\n", "y"), "password = y");
        assert_eq!(private("[site]\nname = x\npassword = y\nz\n", "x"), "");
        assert_eq!(private("[site\nname = x\n[hq\nab\n", "ab"), "ab");
    }

    #[test]
    fn what_looks_like_a_secret_is_found_wherever_it_stands() {
        let hidden =
            |line: &str| by_looks(line).into_iter().map(|at| line.get(at).unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(hidden("auth = { api_key = \"k1\", api_secret = s1 }"), ["\"k1", "s1"]);
        assert_eq!(hidden("timeout = 30 # api_secret = \"s1\""), ["\"s1"]);
        assert_eq!(hidden("api_key = [\"k1\", \"k2\"]\n"), ["[\"k1\", \"k2\"]"]);
        assert_eq!(hidden("x = \"postgres://u:p@w@h/d\""), ["u:p@w"]);
        assert_eq!(hidden("api_secret = \"${S:-s1}\""), ["\"${S:-s1}"]);
        for open in
            ["api_secret = \"${HQ_SECRET}\"", "kind = \"token\"", "x = \"mysql://u:${P}@h\"", "my_token = \"x\""]
        {
            assert_eq!(hidden(open), [""; 0], "{open}");
        }
    }

    #[test]
    fn no_part_of_what_is_private_is_repeated_however_it_is_spelt() {
        let may = |what: &str| {
            may_say(&Said::new(Code::Syntax, what), &Path::default(), "url = \"u:PW@h/d\"\nab-c\\d é1,234 ${NAME}")
        };
        for what in ["the key \"\\\"u:PW@h/d\\\"\" has", "write 1234", "did you mean \"ab_cd\"?", "[ab-c\\\\d] is"] {
            assert!(!may(what), "{what}");
        }
        for what in ["the key \"url\" has no value", "a comment begins with \"#\"", "${NAME} is not set"] {
            assert!(may(what), "{what}");
        }
    }
}
