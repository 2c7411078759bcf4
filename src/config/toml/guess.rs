//! What the writer of a statement that is no TOML probably meant.
//!
//! Each guess is a change, and what is said if the statement can be read with it; the likelier, the earlier. What comes of a
//! guess is never more than a message. Nothing of a value is ever said: it may be a secret.

use std::ops::Range;

use super::draft::Draft;
use super::scan::{self, Scan};
use super::{header, value};
use crate::config::keys;
use crate::config::said::{Code, Said};

/// One guess at a statement.
#[derive(Debug)]
pub(super) struct Guess {
    /// What is at fault, and what is said of it: of each place its own.
    pub(super) said: Vec<(Range<usize>, Said)>,
    /// In the order of the text.
    pub(super) changes: Vec<(Range<usize>, String)>,
}

impl Guess {
    pub(super) fn new(mark: Range<usize>, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::of(mark, Said::new(Code::Syntax, what).help(help))
    }

    pub(super) fn of(mark: Range<usize>, said: Said) -> Self {
        Self { said: vec![(mark, said)], changes: Vec::new() }
    }

    /// All of them, as one guess; the changes in the order of the text.
    pub(super) fn all(guesses: impl IntoIterator<Item = Self>) -> Option<Self> {
        guesses.into_iter().reduce(|mut all, guess| {
            all.said.extend(guess.said);
            all.changes.extend(guess.changes);
            all
        })
    }

    /// With `text` in the place of these bytes.
    pub(super) fn with(mut self, at: Range<usize>, text: impl Into<String>) -> Self {
        self.changes.push((at, text.into()));
        self
    }

    /// The statement as it was meant, if this is what was meant.
    pub(super) fn applied(&self, draft: &Draft) -> Draft {
        let mut draft = draft.clone();
        for (at, text) in self.changes.iter().rev() {
            draft.change(at.clone(), text);
        }
        draft
    }
}

/// A statement, and what its text is made of.
pub(super) struct Statement<'s> {
    pub(super) text: &'s str,
    pub(super) scan: Scan,
    /// Where the parser gave up.
    pub(super) fault: usize,
    /// The key that it begins with.
    pub(super) key: Range<usize>,
    /// What follows the `=`, without white space around it and comments.
    pub(super) value: Option<Range<usize>>,
}

impl<'s> Statement<'s> {
    fn of(text: &'s str, fault: usize) -> Self {
        let scan = Scan::of(text);
        let start = text.len() - text.trim_start().len();
        let key = start..start + scan::key(text.get(start..).unwrap_or_default());
        let is = scan.outside.iter().find(|(at, c)| *at >= key.end && *c == '=').map(|(at, _)| at + 1);
        let value = is.map(|is| trimmed(text, is..comment_start(text, &scan, is)));
        Self { text, scan, fault, key, value }
    }

    /// The text of these bytes.
    pub(super) fn get(&self, at: &Range<usize>) -> &'s str {
        self.text.get(at.clone()).unwrap_or_default()
    }

    /// The bytes of a character.
    pub(super) fn one(&self, at: usize) -> Range<usize> {
        let length = self.text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        at..at + length
    }

    /// The last byte that is neither white space nor a comment, and what follows it.
    fn last(&self) -> usize {
        trimmed(self.text, 0..comment_start(self.text, &self.scan, 0)).end
    }
}

/// Where the comment of the last line begins, or the text ends. With a quote that does not close, "#" counts after a space.
fn comment_start(text: &str, scan: &Scan, from: usize) -> usize {
    let lost = || {
        let rest = text.get(from..)?;
        rest.find(" #").map(|at| from + at)
    };
    let at = if scan.unclosed.is_some() { lost() } else { scan.comment.filter(|_| !text.contains('\n')) };
    at.filter(|at| *at >= from).unwrap_or(text.len())
}

fn trimmed(text: &str, at: Range<usize>) -> Range<usize> {
    let part = text.get(at.clone()).unwrap_or_default();
    let start = at.start + part.len() - part.trim_start().len();
    start..start + part.trim().len()
}

/// All guesses, the likeliest first.
pub(super) fn all(text: &str, fault: usize) -> Vec<Guess> {
    let statement = Statement::of(text, fault);
    let mut all = Vec::new();
    all.extend(typographic(&statement));
    all.extend(spaces(&statement));
    all.extend(control(&statement));
    if text.trim_start().starts_with('[') {
        all.extend(section(&statement));
    } else {
        all.extend(comment(&statement));
        all.extend(trailing(&statement));
        all.extend(sign(&statement));
        all.extend(key(&statement));
        value::guesses(&statement, &mut all);
    }
    all.extend(section_without_brackets(&statement));
    all.extend(remark(&statement));
    all
}

/// Words of other languages for nothing.
pub(super) const NOTHING: [&str; 7] = ["null", "Null", "NULL", "None", "nil", "undefined", "~"];

/// Whether guessing would only lead astray.
pub(super) fn is_hopeless(text: &str) -> bool {
    let statement = Statement::of(text, 0);
    let is_nothing = statement.value.as_ref().is_some_and(|value| NOTHING.contains(&statement.get(value)));
    is_nothing || three_quotes(&statement).is_some()
}

/// Three quotes that are not closed.
fn three_quotes(statement: &Statement<'_>) -> Option<usize> {
    let (at, quote) = statement.scan.unclosed?;
    statement.text.get(at..)?.starts_with(&quote.to_string().repeat(3)).then_some(at)
}

/// What is wrong where no change mends it.
pub(super) fn hopeless(text: &str) -> Option<(Range<usize>, Said)> {
    let statement = Statement::of(text, 0);
    let start = statement.key.start;
    let said = |what: &str, help: &str| Said::new(Code::Syntax, what).help(help);
    let mark = ["<<<<<<<", "=======", ">>>>>>>", "|||||||"].into_iter().find(|mark| text.starts_with(mark));
    if let Some(mark) = mark {
        let help = "keep one of the two sides and delete the marks";
        return Some((0..mark.len(), said("this is the mark of a merge conflict", help)));
    }
    if text.trim_start().starts_with('[') && !text.contains(']') {
        let at = trimmed(text, 0..text.len());
        return Some((at, said("the header of a section is not complete", "write [section], and for a job [[job]]")));
    }
    if text.trim_start().starts_with('=') {
        return Some((
            start..start + 1,
            said("a key is missing before \"=\"", "write key = value, or delete the line"),
        ));
    }
    if text.trim_start().starts_with("- ") {
        let at = trimmed(text, 0..text.len());
        return Some((at, said("this is a list as YAML has it", "write key = [\"…\", \"…\"]")));
    }
    if let Some(at) = three_quotes(&statement) {
        let what = "three quotes begin a text over several lines, which is not closed";
        return Some((at..at + 3, said(what, "close it with three, or write one for a text of one line")));
    }
    if ["{%", "{{", "{#", "<%"].into_iter().any(|mark| text.trim_start().starts_with(mark)) {
        let what = "this is a line of a template, which milkrun does not carry out";
        return Some((
            trimmed(text, 0..text.len()),
            said(what, "values from elsewhere are written \"${NAME}\" or \"${file:PATH}\""),
        ));
    }
    let key = statement.get(&statement.key);
    if key.is_empty() {
        return None;
    }
    let rest = text.get(statement.key.end..statement.last()).unwrap_or_default().trim();
    match (rest, statement.value.as_ref().map(|value| (value, statement.get(value)))) {
        ("" | ":", _) | (_, Some((_, ""))) => {
            let what = format!("the key {key:?} has no value");
            Some((start..statement.key.end, said(&what, "write key = value, or delete the line")))
        }
        (_, Some((value, word))) if NOTHING.contains(&word) => {
            Some((value.clone(), said("TOML has no word for nothing", "delete the line")))
        }
        (_, Some(_) | None) => None,
    }
}

/// Characters that no text may hold.
fn control(statement: &Statement<'_>) -> Option<Guess> {
    let is_odd = |c: char| c.is_control() && !matches!(c, '\t' | '\n');
    let found: Vec<_> = statement.text.char_indices().filter(|(_, c)| is_odd(*c)).collect();
    let (first, c) = found.first()?;
    let what = format!("the control character U+{:04X} stands here, which TOML does not allow", u32::from(*c));
    let guess = Guess::new(statement.one(*first), what, "delete it");
    Some(found.iter().fold(guess, |guess, (at, _)| guess.with(statement.one(*at), "")))
}

/// “Quotes” of word processors.
fn typographic(statement: &Statement<'_>) -> Option<Guess> {
    let plain = |c| match c {
        '“' | '”' | '„' | '‟' | '«' | '»' | '″' => Some("\""),
        '‘' | '’' | '‚' | '′' | '`' | '´' => Some("'"),
        _ => None,
    };
    let lost = statement.scan.unclosed.map_or(usize::MAX, |(at, _)| at);
    let is_text = |at: usize| statement.scan.strings.iter().any(|string| string.contains(&at)) && at < lost;
    let found = statement.text.char_indices().filter_map(|(at, c)| Some((at, c, plain(c)?)));
    let found: Vec<_> = found.filter(|(at, ..)| !is_text(*at)).collect();
    // Of a pair the first is told.
    Guess::all(found.chunks(2).filter_map(|pair| {
        let (first, c, quote) = pair.first()?;
        let what = format!("{c} is a quote of word processors, which TOML does not know");
        let guess = Guess::new(statement.one(*first), what, format!("write {quote}"));
        Some(pair.iter().fold(guess, |guess, (at, _, plain)| guess.with(statement.one(*at), *plain)))
    }))
}

/// White space that looks like a space.
fn spaces(statement: &Statement<'_>) -> Option<Guess> {
    let is_odd = |c: char| {
        (c.is_whitespace() && !matches!(c, ' ' | '\t' | '\n' | '\r'))
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{2060}')
    };
    let found: Vec<_> = statement.scan.outside.iter().filter(|(_, c)| is_odd(*c)).collect();
    let (first, c) = found.first()?;
    let code = u32::from(*c);
    let what = format!("the character U+{code:04X} stands here, which looks like a space or like nothing");
    let guess = Guess::new(statement.one(*first), what, "delete it and type a space");
    Some(found.iter().fold(guess, |guess, (at, _)| guess.with(statement.one(*at), " ")))
}

/// Comments of other languages.
fn comment(statement: &Statement<'_>) -> Option<Guess> {
    let marks = ["//", "--", "/*", ";", "<!--", "::"];
    let begins = |at: usize| {
        let rest = statement.text.get(at..)?;
        let mark = marks.into_iter().find(|mark| rest.starts_with(mark))?;
        let before = statement.text.get(..at)?;
        (before.trim().is_empty() || before.ends_with([' ', '\t'])).then(|| at..at + mark.len())
    };
    let mut outside = statement.scan.outside.iter();
    let at = outside.find_map(|(at, _)| begins(*at))?;
    Some(Guess::new(at.clone(), "a comment begins with \"#\"", "write # in its place").with(at, "#"))
}

/// `name = "x",`
fn trailing(statement: &Statement<'_>) -> Option<Guess> {
    let last = statement.last();
    let end = statement.get(&(0..last)).chars().next_back().filter(|c| matches!(c, ',' | ';'))?;
    let at = last - 1..last;
    Some(Guess::new(at.clone(), format!("a line does not end with {:?}", end.to_string()), "delete it").with(at, ""))
}

/// Something else in the place of `=`, or nothing.
fn sign(statement: &Statement<'_>) -> Vec<Guess> {
    let after = statement.key.end;
    let rest = statement.text.get(after..).unwrap_or_default();
    let start = after + rest.len() - rest.trim_start().len();
    let rest = rest.trim_start();
    if statement.key.is_empty() || rest.is_empty() {
        return Vec::new();
    }
    if let Some(sign) = [":=", "=>", "==", "->", "+=", ":"].into_iter().find(|sign| rest.starts_with(sign)) {
        let at = start..start + sign.len();
        let what = format!("{sign:?} stands between key and value");
        return vec![Guess::new(at.clone(), what, "write \"=\"").with(at, " = ")];
    }
    let is_value = rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '"' | '\'' | '[' | '{'))
        || ["true", "false"].iter().any(|word| rest.starts_with(word));
    if rest.starts_with('=') || !is_value {
        return Vec::new();
    }
    let what = "\"=\" is missing between key and value";
    vec![Guess::new(statement.key.clone(), what, "write key = value").with(after..start, " = ")]
}

/// Keys that must stand in quotes, or are two words.
fn key(statement: &Statement<'_>) -> Option<Guess> {
    let is = statement.scan.outside.iter().find(|(_, c)| *c == '=').map(|(at, _)| *at)?;
    let at = trimmed(statement.text, 0..is);
    let written = statement.get(&at);
    if written.is_empty() || written.contains(['"', '\'', '[', '{', '\n']) || statement.key == at {
        return None;
    }
    let joined = written.split_whitespace().collect::<Vec<_>>().join("_");
    if scan::key(&joined) == joined.len() {
        let said = Said::new(Code::Syntax, format!("the key {written:?} has a space in it")).help("a key is one word");
        return Some(Guess::of(at.clone(), said.near(Some(joined.clone()))).with(at, joined));
    }
    let what = format!("the key {written:?} holds a character that only a key in quotes may hold");
    Some(Guess::new(at.clone(), what, "write it in quotes").with(at, format!("{written:?}")))
}

/// `[site`, `[[job]`, `[site]:`
fn section(statement: &Statement<'_>) -> Option<Guess> {
    let at = trimmed(statement.text, 0..statement.last());
    let written = statement.get(&at);
    let inner = written.trim_start_matches(['[', ' ']);
    // `[job fields]`
    let spaced = inner.trim_end_matches([']', ' ']).split_whitespace().collect::<Vec<_>>().join(".");
    if keys::headers().contains(&spaced) && inner.contains(' ') {
        let is_list = keys::lists().contains(&spaced);
        return Some(section_guess(at, &spaced, is_list));
    }
    let (name, rest) = inner.split_at_checked(scan::key(inner))?;
    let is_end = rest
        .chars()
        .all(|c| c.is_whitespace() || matches!(c, ']' | ':' | ';' | ',' | '{' | '}' | ')' | '>'));
    if name.is_empty() || name.contains(['"', '\'']) || !is_end {
        return None;
    }
    let is_known = keys::headers().iter().any(|known| known == name);
    let is_list = !is_known && written.starts_with("[[");
    let is_list = is_list || keys::lists().iter().any(|list| list == name);
    Some(section_guess(at, name, is_list))
}

/// `site:`, `job {`, `(site)`, `site]`: only where that is a section.
fn section_without_brackets(statement: &Statement<'_>) -> Option<Guess> {
    let at = trimmed(statement.text, 0..statement.last());
    let written = statement.get(&at);
    let is_mark = |c: char| matches!(c, '(' | ')' | '<' | '>' | '{' | '}' | '[' | ']' | ':' | ' ');
    let name = written.trim_matches(is_mark);
    let headers = keys::headers();
    // `fields:` is meant as the header of the job's.
    let ends_so = |known: &&String| written.ends_with(':') && known.rsplit('.').next() == Some(name);
    let known = headers.iter().find(|known| *known == name).or_else(|| headers.iter().find(ends_so))?;
    let is_list = keys::lists().contains(known);
    header::name(written).is_none().then(|| section_guess(at, known, is_list))
}

fn section_guess(at: Range<usize>, name: &str, is_list: bool) -> Guess {
    let right = if is_list { format!("[[{name}]]") } else { format!("[{name}]") };
    let said = Said::new(Code::Syntax, "the header of a section stands in square brackets, as many on each side");
    Guess::of(at.clone(), said.near(Some(right.clone()))).with(at, right)
}

/// Words after the value.
fn remark(statement: &Statement<'_>) -> Option<Guess> {
    let at = statement.fault;
    let is_after =
        statement.value.as_ref().is_some_and(|value| at > value.start) || statement.text.trim_start().starts_with('[');
    let rest = statement.text.get(at..).unwrap_or_default();
    if !is_after || rest.trim().is_empty() || rest.contains('\n') {
        return None;
    }
    let mark = trimmed(statement.text, at..statement.text.len());
    let next = rest.strip_prefix(',').unwrap_or(rest);
    if scan::is_start(next) {
        let what = "a second key stands on this line";
        let end = at + rest.len() - next.len();
        return Some(Guess::new(mark, what, "write each key on a line of its own").with(at..end, "\n"));
    }
    let is_joined = statement.text.get(..at).is_some_and(|before| !before.ends_with([' ', '\t']));
    let help = match rest.trim_start().chars().next() {
        Some('|' | '~' | '+' | '*' | '.' | '(') => "an expression stands in quotes: { expr = \"…\" }",
        Some('"' | '\'') => "write one text between one pair of quotes",
        _ if is_joined => "delete it, or put it between the quotes",
        _ => "a comment begins with \"#\"",
    };
    Some(Guess::new(mark, "something follows the value", help).with(at..at, " # "))
}
