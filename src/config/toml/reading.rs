//! Reads the whole text, past everything that is no TOML.

use std::ops::Range;

use super::draft::Draft;
use super::foreign;
use super::guess;
use super::header;
use super::headless;
use super::merge;
use super::misspelt;
use super::plain;
use super::scan::{self, Scan};
use super::tree::{self, BadSyntax, Node};
use crate::config::said::Said;

/// A file with more mistakes than this is no `sync.toml`, and each costs reading it once more.
const MOST: usize = 60;

/// A line with more different mistakes than this is left out.
const MOST_GUESSES: usize = 4;

/// Each costs reading the statement.
const MOST_TRIED: usize = 600;

/// A list over more lines than this is not looked back along.
const LONGEST_STATEMENT: usize = 200;

/// What can be read of a text.
#[derive(Debug)]
pub(in crate::config) struct Reading {
    /// What was read, mended where need be; `None` where there are too many mistakes to tell.
    pub(in crate::config) tree: Option<Node>,
    /// What is no TOML.
    pub(in crate::config) mistakes: Vec<Mistake>,
    /// Whether parts were left out, so that what is missing may well be there.
    pub(in crate::config) is_torn: bool,
    /// Whether the file is of another language as a whole: what is said of that quotes nothing.
    pub(in crate::config) is_foreign: bool,
}

/// Something that is no TOML.
#[derive(Debug)]
pub(in crate::config) struct Mistake {
    /// Where.
    pub(in crate::config) at: Range<usize>,
    /// What is wrong, and what to do.
    pub(in crate::config) said: Said,
}

/// Reads the text.
pub(in crate::config) fn read(text: &str) -> Reading {
    let mut draft = Draft::of_file(text);
    let (mut mistakes, mut is_torn) = (Vec::new(), false);
    if let Some((at, said)) = foreign::language(draft.text()) {
        let mistake = Mistake { at: draft.original(&at), said };
        return Reading { tree: None, mistakes: vec![mistake], is_torn: true, is_foreign: true };
    }
    for find in [merge::settle, misspelt::mend, headless::mend] {
        let step = find(draft.text());
        step.taken(&mut draft, &mut mistakes);
    }
    while mistakes.len() < MOST {
        let bad = match tree::parse(draft.text()) {
            Ok(tree) => return Reading { tree: Some(draft.placed(tree)), mistakes, is_torn, is_foreign: false },
            Err(bad) => bad,
        };
        let step = if bad.is_duplicate { header::twice(draft.text(), &bad.at) } else { mend(&draft, &bad) };
        let step = if step.said.is_empty() { left_out(draft.text(), &bad) } else { step };
        is_torn |= step.tears;
        let before = draft.text().to_owned();
        step.taken(&mut draft, &mut mistakes);
        if draft.text() == before {
            break;
        }
    }
    Reading { tree: None, mistakes, is_torn: true, is_foreign: false }
}

/// What is said of some places.
type Marked = Vec<(Range<usize>, Said)>;

/// What is said of a mistake, and how reading goes on.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) said: Marked,
    /// In the order of the text.
    pub(super) changes: Vec<(Range<usize>, Draft)>,
    pub(super) tears: bool,
}

impl Step {
    /// Says what is said, and has the text changed.
    fn taken(self, draft: &mut Draft, mistakes: &mut Vec<Mistake>) {
        mistakes.extend(self.said.into_iter().map(|(at, said)| Mistake { at: draft.original(&at), said }));
        for (at, change) in self.changes.into_iter().rev() {
            draft.adopt(at, &change);
        }
    }
}

/// Mends the statement at fault as it was probably meant, or leaves it out.
fn mend(draft: &Draft, bad: &BadSyntax) -> Step {
    let text = draft.text();
    let at = statement(text, bad.at.start);
    for at in [wider(text, &at), Some(at.clone())].into_iter().flatten() {
        let written = text.get(at.clone()).unwrap_or_default();
        let fault = bad.at.start.saturating_sub(at.start).min(written.len());
        let found = if guess::is_hopeless(written) { None } else { search(written, fault) };
        let Some((mended, guesses)) = found else { continue };
        let absolute = |range: Range<usize>| at.start + range.start..at.start + range.end;
        let said = guesses.into_iter().map(|(range, said)| (absolute(range), said)).collect();
        return Step { said, changes: vec![(at, mended)], tears: false };
    }
    left_out(text, bad)
}

/// Leaves the statement at fault out.
fn left_out(text: &str, bad: &BadSyntax) -> Step {
    let at = statement(text, bad.at.start);
    let written = text.get(at.clone()).unwrap_or_default();
    let left_out = leave_out(text, &at);
    let blank = Draft::new(&blanked(text.get(left_out.clone()).unwrap_or_default()));
    let (mark, said) = match guess::hopeless(written) {
        Some((range, said)) => (at.start + range.start..at.start + range.end, said),
        None => (visible(text, &bad.at), plain::said(&bad.message)),
    };
    Step { said: vec![(mark, said)], changes: vec![(left_out, blank)], tears: true }
}

/// The fewest guesses under which the statement can be read, each a step further.
fn search(written: &str, fault: usize) -> Option<(Draft, Marked)> {
    let mut tried = 0;
    let mut level = vec![(Draft::new(written), Marked::new(), fault)];
    for _ in 0..MOST_GUESSES {
        let mut further = Vec::new();
        for (draft, said, fault) in level {
            let reached_before = draft.original(&(fault..fault)).start;
            for guess in guess::all(draft.text(), fault) {
                tried += 1;
                if tried > MOST_TRIED {
                    return None;
                }
                let mended = guess.applied(&draft);
                let marked = guess.said.iter().map(|(mark, said)| (draft.original(mark), said.clone()));
                let all: Marked = said.iter().cloned().chain(marked.clone()).collect();
                let Err(bad) = tree::parse(mended.text()) else { return Some((mended, all)) };
                let reached = mended.original(&bad.at).start;
                let is_before = marked.clone().all(|(mark, _)| mark.end <= reached_before);
                if reached > reached_before || (reached == reached_before && is_before) {
                    further.push((mended, all, bad.at.start));
                }
            }
        }
        level = further;
    }
    None
}

/// The lines of the statement that the byte belongs to, without the end of the last.
pub(super) fn statement(text: &str, byte: usize) -> Range<usize> {
    let fault = visible(text, &(byte..byte)).start;
    let line = |byte: usize| text.get(..byte).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
    let end_of = |byte: usize| text.get(byte..).and_then(|rest| rest.find('\n')).map_or(text.len(), |end| byte + end);
    let mut start = line(fault);
    // A value before that cannot be read is another matter; only what is open there goes on here.
    let reads = |start: usize| {
        let before = text.get(..start).map(tree::parse);
        before.is_some_and(|read| read.map_or_else(|bad| !is_open(&bad.message), |_| true))
    };
    for _ in 0..LONGEST_STATEMENT {
        if start == 0 || reads(start) {
            break;
        }
        start = line(start - 1);
    }
    let last = line(fault);
    if start < last && text.get(last..).and_then(|rest| rest.lines().next()).is_some_and(scan::is_start) {
        // The line before did not end what it began.
        return start..last - 1;
    }
    let mut end = end_of(last);
    for _ in 0..LONGEST_STATEMENT {
        let is_open = text.get(start..end).is_some_and(|part| !Scan::of(part).brackets().0.is_empty());
        let next = text.get(end + 1..).and_then(|rest| rest.lines().next());
        match next {
            Some(next) if is_open && !scan::is_start(next) => end = end_of(end + 1),
            Some(_) | None => break,
        }
    }
    let is_closed = text.get(start..end).is_some_and(|part| Scan::of(part).brackets().0.is_empty());
    start..if is_closed { end } else { end_of(last) }
}

/// Whether the text ends before the value does, as the parser puts it.
fn is_open(message: &str) -> bool {
    let is_list = message.starts_with("unclosed array") && !message.starts_with("unclosed array table");
    is_list || message.starts_with("unclosed inline table") || message.contains("multi-line")
}

/// Of a table that is open at the end of its lines, the lines up to where it is closed, if it is before the next section.
fn wider(text: &str, at: &Range<usize>) -> Option<Range<usize>> {
    let is_open = |end: usize| text.get(at.start..end).is_some_and(|part| !Scan::of(part).brackets().0.is_empty());
    let mut end = at.end;
    for line in text.get(at.end + 1..)?.split('\n').take(LONGEST_STATEMENT) {
        if !is_open(end) {
            break;
        }
        if header::name(line).is_some() {
            return None;
        }
        end += 1 + line.len();
    }
    (end > at.end && !is_open(end)).then_some(at.start..end)
}

/// What is left out where nobody can tell what was meant: the statement, and of a header all below it.
fn leave_out(text: &str, at: &Range<usize>) -> Range<usize> {
    let rest = text.get(at.clone()).unwrap_or_default();
    if !rest.trim_start().starts_with('[') {
        let is_lost = Scan::of(rest).unclosed.is_some();
        // A string that nothing closes swallows all that follows; only its line is lost.
        let first = rest.find('\n').filter(|_| is_lost);
        return at.start..first.map_or(at.end, |end| at.start + end);
    }
    at.start..header::end_of_section(text, at.end)
}

/// The text as white space that keeps its lines.
pub(super) fn blanked(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte == b'\n' || byte == b'\r' { char::from(byte) } else { ' ' })
        .collect()
}

/// The place, or where there is nothing to be seen the end of the line before.
fn visible(text: &str, at: &Range<usize>) -> Range<usize> {
    let rest = text.get(at.start..).unwrap_or_default();
    if !rest.trim().is_empty() {
        return at.clone();
    }
    let end = text.get(..at.start).unwrap_or(text).trim_end().len();
    end..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        let reading = read(text);
        let line = |byte: usize| text.get(..byte).unwrap().matches('\n').count() + 1;
        reading
            .mistakes
            .iter()
            .map(|mistake| format!("{}: {}", line(mistake.at.start), mistake.said.sentence()))
            .collect()
    }

    #[test]
    fn reading_goes_on_after_each_mistake() {
        let text = "[site]\nname = “a”\nzone = \"x\n[hq]\nurl : \"y\"\nn =\nm = 1\n";
        let reading = read(text);
        assert_eq!(reading.mistakes.len(), 4, "{:?}", said(text));
        assert!(reading.is_torn);
        let Some(Node { shape: tree::Shape::Table(entries), .. }) = reading.tree else { panic!("a tree") };
        assert_eq!(entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["site", "hq"]);
        let tree::Shape::Table(hq) = &entries[1].node.shape else { panic!("a table") };
        assert_eq!(hq.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["url", "m"]);
        assert_eq!(text.get(hq[0].node.at.clone()), Some("\"y\""));
    }

    #[test]
    fn a_list_that_is_not_closed_costs_no_more_than_itself() {
        let text = "a = [\"x\",\n  \"y\"\nb = 1\n";
        let reading = read(text);
        assert!(!reading.is_torn, "{:?}", said(text));
        assert_eq!(said(text), ["1: \"[\" is not closed; add \"]\""]);
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        for text in
            ["", "\n", "[", "]", "=", "\"\"\"", "a = \"\"\"\nb = 1", "[[[[", "a.b.c", "é", "a = [\n\n\n", "[a\nb"]
        {
            assert!(read(text).tree.is_some(), "{text:?} {:?}", said(text));
        }
    }
}
