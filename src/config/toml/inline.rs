//! Guesses at what stands between brackets: a key without its `=` or its value, words for nothing, and commas that are
//! missing after something other than a string.

use std::ops::Range;

use super::guess::{Guess, NOTHING, Statement};
use super::scan::{self, Scan};
use super::tree;
use super::value::words;

/// The guesses that go by a key, the likeliest first.
pub(super) fn guesses(statement: &Statement<'_>, all: &mut Vec<Guess>) {
    if statement.scan.unclosed.is_some() {
        return;
    }
    all.extend(nothing(statement));
    all.extend(no_value(statement));
    all.extend(no_sign(statement));
    all.extend(no_key(statement));
}

/// The guess with one more place.
fn also(guess: Option<Guess>, mark: Range<usize>, what: &str, help: &str) -> Guess {
    let next = Guess::new(mark, what, help);
    match guess {
        Some(mut guess) => {
            guess.said.extend(next.said);
            guess
        }
        None => next,
    }
}

/// What stands before and after these bytes, white space left out.
fn around<'s>(statement: &Statement<'s>, at: &Range<usize>) -> (&'s str, &'s str) {
    let before = statement.text.get(..at.start).unwrap_or_default().trim_end();
    (before, statement.text.get(at.end..).unwrap_or_default().trim_start())
}

/// Whether the innermost bracket around that byte is that of a table.
fn is_in_table(statement: &Statement<'_>, at: usize) -> bool {
    let before = statement.text.get(..at).unwrap_or_default();
    Scan::of(before).brackets().0.last().is_some_and(|(_, c)| *c == '{')
}

/// The key that ends there, in a table.
fn key_before(statement: &Statement<'_>, end: usize) -> Range<usize> {
    let before = statement.get(&(0..end)).trim_end();
    let start = before.rfind(['{', ',']).map_or(0, |at| at + 1);
    let key = before.get(start..).unwrap_or_default();
    before.len() - key.trim_start().len()..before.len()
}

/// Leaves the entry out, with the comma that parts it from the others.
fn without(statement: &Statement<'_>, guess: Guess, entry: Range<usize>) -> Guess {
    let (before, after) = around(statement, &entry);
    let mut at = entry;
    let rest = after.strip_prefix(',').map(str::trim_start);
    if let Some(rest) = rest {
        at.end = statement.text.len() - rest.len();
    }
    let is_last = rest.unwrap_or(after).starts_with(['}', ']']);
    if is_last && before.ends_with(',') {
        let free = guess.changes.last().map_or(0, |(at, _)| at.end);
        at.start = free.max(before.len() - 1);
    }
    guess.with(at, "")
}

/// `{ from = "brand", default = null }`
fn nothing(statement: &Statement<'_>) -> Option<Guess> {
    let is_alone = |at: &Range<usize>| {
        let (before, after) = around(statement, at);
        before.ends_with(['=', ',', '[']) && after.starts_with([',', ']', '}'])
    };
    let found = words(statement).into_iter().filter(|(at, word)| NOTHING.contains(word) && is_alone(at));
    let is_filter = statement.get(&statement.key) == "filters";
    found.map(|(at, _)| at).fold(None, |guess, at| {
        let key = around(statement, &at).0.strip_suffix('=');
        let is_const = key.is_some_and(|before| statement.get(&key_before(statement, before.len())) == "const");
        let help = match (is_const, is_filter) {
            (true, _) => "write \"\" for an empty text, or take a field of HQ",
            (false, true) => "a filter for what is empty is [\"field\", \"is\", \"not set\"]",
            (false, false) => "leave it out",
        };
        let guess = also(guess, at.clone(), "TOML has no word for nothing", help);
        Some(match key.filter(|_| !is_const) {
            Some(before) => {
                let entry = key_before(statement, before.len()).start..at.end;
                without(statement, guess, entry)
            }
            // In a list something stands in its place, or the others would seem to be too few.
            None => guess.with(at, "\"\""),
        })
    })
}

/// `{ from = "brand", trim = }`
fn no_value(statement: &Statement<'_>) -> Option<Guess> {
    let from = statement.value.as_ref()?.start;
    let is_bare = |at: usize| {
        let (_, after) = around(statement, &(at..at + 1));
        after.starts_with([',', '}']) && is_in_table(statement, at)
    };
    let outside = statement.scan.outside.iter().filter(|(at, c)| *at >= from && *c == '=');
    outside.map(|(at, _)| *at).filter(|at| is_bare(*at)).fold(None, |guess, at| {
        let key = key_before(statement, at);
        let what = format!("the key {:?} has no value", statement.get(&key));
        let entry = key.start..at + 1;
        Some(without(statement, also(guess, key, &what, "write key = value, or leave it out"), entry))
    })
}

/// `{ "standard_rate" }`
fn no_key(statement: &Statement<'_>) -> Option<Guess> {
    let is_lonely = |at: &&Range<usize>| {
        let (before, after) = around(statement, at);
        before.ends_with('{') && after.starts_with(['}', ',']) && is_in_table(statement, at.start)
    };
    let at = statement.scan.strings.iter().find(is_lonely)?.clone();
    let start = at.start;
    Some(Guess::new(at, "a value stands here without its key", "write { from = \"…\" }").with(start..start, "from = "))
}

/// `{ from "brand" }`
fn no_sign(statement: &Statement<'_>) -> Option<Guess> {
    let is_lonely = |at: &Range<usize>, word: &str| {
        let (before, after) = around(statement, at);
        let is_value = after.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '"' | '\'' | '[' | '{'))
            || ["true", "false"].iter().any(|word| after.starts_with(word));
        is_value && scan::key(word) == word.len() && before.ends_with(['{', ',']) && is_in_table(statement, at.start)
    };
    Guess::all(words(statement).into_iter().filter(|(at, word)| is_lonely(at, word)).map(|(at, _)| {
        let end = at.end;
        Guess::new(at, "\"=\" is missing between key and value", "write key = value").with(end..end, " =")
    }))
}

/// `{ scale = 2 trim = true }`, `[[1, 2] [3]]`
pub(super) fn no_comma(statement: &Statement<'_>) -> Option<Guess> {
    let value = statement.value.as_ref().filter(|_| statement.scan.unclosed.is_none())?;
    let is_key = |at: &Range<usize>| around(statement, at).1.starts_with('=');
    let is_value = |word: &str| tree::parse(&format!("a = {word}")).is_ok();
    // Each piece, whether a value may end with it, and whether a value or a key may begin with it.
    let strings = statement.scan.strings.iter().filter(|at| at.start >= value.start);
    let strings = strings.map(|at| (at.clone(), !is_key(at), true));
    let words = words(statement).into_iter();
    let words = words.map(|(at, word)| (at.clone(), !is_key(&at) && is_value(word), is_key(&at) || is_value(word)));
    let brackets = statement.scan.outside.iter().filter(|(at, _)| *at >= value.start);
    let brackets = brackets.filter(|(_, c)| matches!(c, '[' | ']' | '{' | '}'));
    let brackets = brackets.map(|(at, c)| (*at..at + 1, matches!(c, ']' | '}'), matches!(c, '[' | '{')));
    let mut pieces: Vec<_> = strings.chain(words).chain(brackets).collect();
    pieces.sort_by_key(|(at, ..)| at.start);
    let is_gap = |between: &str| !between.is_empty() && between.trim().is_empty();
    let pairs = pieces.iter().zip(pieces.iter().skip(1));
    let gaps = pairs.filter(|((one, ends, _), (other, _, begins))| {
        *ends && *begins && is_gap(statement.get(&(one.end..other.start)))
    });
    let is_inside = |end: usize| !Scan::of(statement.get(&(0..end))).brackets().0.is_empty();
    let gaps: Vec<_> =
        gaps.map(|((one, ..), (other, ..))| (one.end, other)).filter(|(end, _)| is_inside(*end)).collect();
    Guess::all(gaps.into_iter().map(|(end, other)| {
        Guess::new(other.clone(), "a comma is missing before this", "write \",\"").with(end..end, ",")
    }))
}
