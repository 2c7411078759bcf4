//! Guesses at texts: quotes that are missing or do not pair, and backslashes.

use std::ops::Range;

use super::guess::{Guess, Statement};
use super::scan::Scan;
use super::tree;

/// `"item_name ~ " - " ~ brand"`: the quotes within the text end it.
pub(super) fn inner_quotes(statement: &Statement<'_>) -> Option<Guess> {
    let strings = &statement.scan.strings;
    let is_text = |from: usize, to: usize| {
        let between = statement.get(&(from..to));
        !between.trim().is_empty() && !between.contains([',', '=', '[', ']', '{', '}', '\n'])
    };
    let is_joined = |(one, other): &(&Range<usize>, &Range<usize>)| is_text(one.end, other.start);
    let joined: Vec<_> = strings.iter().zip(strings.iter().skip(1)).filter(is_joined).collect();
    let at = joined.first()?.0.start..joined.last()?.1.end;
    let inner = statement.get(&at).strip_prefix('"')?.strip_suffix('"')?;
    let right = if inner.contains('\'') { format!("{inner:?}") } else { format!("'{inner}'") };
    let guess = Guess::new(at.clone(), "quotes within a text end it", "put the text between single quotes: '…'");
    Some(guess.with(at, right))
}

/// `'Mario's'`.
pub(super) fn apostrophe(statement: &Statement<'_>) -> Option<Guess> {
    let whole = statement.value.clone().filter(|at| statement.get(at).starts_with('\''));
    let at = whole.filter(|at| statement.get(at).ends_with('\'')).or_else(|| within(statement))?;
    let inner = statement.get(&at).strip_prefix('\'')?.strip_suffix('\'')?;
    if !inner.contains('\'') || inner.contains(['"', '\\', ',']) {
        return None;
    }
    let what = "an apostrophe ends a text between single quotes";
    let guess = Guess::new(at.clone(), what, "put the text between double quotes");
    Some(guess.with(at, format!("\"{inner}\"")))
}

/// `{ const = 'Mario's' }`: a text, letters, and a quote that seems to open another.
fn within(statement: &Statement<'_>) -> Option<Range<usize>> {
    let (lost, _) = statement.scan.unclosed.filter(|(_, quote)| *quote == '\'')?;
    let before = statement.scan.strings.iter().rev().find(|string| string.end <= lost)?;
    let between = statement.get(&(before.end..lost));
    let is_one = !between.is_empty() && between.chars().all(char::is_alphabetic);
    is_one.then_some(before.start..lost + 1)
}

/// `"C:\data"`: of each text its first backslash is told.
pub(super) fn backslash(statement: &Statement<'_>) -> Option<Guess> {
    let is_wrong = |at: &&Range<usize>| {
        let text = statement.get(at);
        text.starts_with('"') && tree::parse(&format!("a = {text}")).is_err()
    };
    Guess::all(statement.scan.strings.iter().filter(is_wrong).filter_map(|string| {
        let places: Vec<usize> = statement.get(string).match_indices('\\').map(|(at, _)| string.start + at).collect();
        let first = *places.first()?;
        if let Some(guess) = windows_path(statement, string, &places) {
            return Some(guess);
        }
        let what = "a backslash between double quotes begins an escape such as \"\\n\"";
        let help = "write it twice, or put the text between single quotes";
        let guess = Guess::new(first..first + 1, what, help);
        Some(places.into_iter().fold(guess, |guess, at| guess.with(at..at + 1, "\\\\")))
    }))
}

/// `"sqlite://C:\outlet.db"`: without drive and backslashes, or of the same the URL would be blamed once more.
fn windows_path(statement: &Statement<'_>, string: &Range<usize>, places: &[usize]) -> Option<Guess> {
    const START: &str = "\"sqlite://";
    let rest = statement.get(string).strip_prefix(START)?;
    let drive = if rest.get(1..).is_some_and(|rest| rest.starts_with(':')) { 2 } else { 0 };
    let first = *places.first()?;
    let help = "folders are parted by \"/\", as in \"sqlite:///var/lib/outlet.db\"";
    let start = string.start + START.len();
    let guess = Guess::new(first..first + 1, "this is a path of Windows", help).with(start..start + drive, "");
    Some(places.iter().fold(guess, |guess, at| guess.with(*at..at + 1, "/")))
}

/// A quote that is missing at one end, or another than at the other end.
pub(super) fn quotes(statement: &Statement<'_>, all: &mut Vec<Guess>) {
    let Some((lost, quote)) = statement.scan.unclosed else { return };
    let Some(value) = statement.value.clone() else { return };
    let what = format!("the quote {quote} is not closed");
    let close = |at: usize| {
        let guess = Guess::new(lost..at.max(lost + 1), what.clone(), format!("add {quote} at the end of the text"));
        guess.with(at..at, quote.to_string())
    };
    // `"x'`
    let other = if quote == '"' { '\'' } else { '"' };
    let written = statement.get(&value);
    if written.ends_with(other) && value.end - 1 > lost {
        let at = value.end - 1..value.end;
        let what = format!("a text that begins with {quote} has to end with {quote}");
        all.push(Guess::new(at.clone(), what, format!("write {quote}")).with(at, quote.to_string()));
    }
    let line_end = statement
        .text
        .get(lost..)
        .and_then(|rest| rest.find('\n'))
        .map_or(statement.text.len(), |end| lost + end);
    let rest = statement.get(&(lost..line_end));
    let mut ends: Vec<usize> = rest
        .char_indices()
        .skip(1)
        .filter(|(_, c)| matches!(c, ',' | ']' | '}'))
        .map(|(at, _)| lost + at)
        .collect();
    // From the left a list, from the right a table: the shortest text that makes sense is meant.
    ends.push(value.end.min(line_end).max(lost + 1));
    if !written.starts_with(['[', '{']) {
        ends.reverse();
    }
    let tight = |at: usize| statement.get(&(0..at)).trim_end().len().max(lost + 1);
    all.extend(ends.into_iter().map(|at| close(tight(at))));
    // `name = outlet"`
    let before = statement.get(&(value.start..lost));
    let word = before.rfind([',', '[', '{', '=']).map_or(0, |at| at + 1);
    let gap = before.get(word..).map_or(0, |rest| rest.len() - rest.trim_start().len());
    let start = value.start + word + gap;
    let guess =
        Guess::new(start..lost + 1, format!("the quote {quote} is missing at the beginning"), format!("add {quote}"));
    all.push(guess.with(start..start, quote.to_string()));
    // `{ kind = "token, api_key = "k" }`: the quotes after the missing one open where they should close.
    for string in Scan::of(statement.text).strings.iter().filter(|string| string.start >= value.start) {
        let text = statement.get(string);
        for (at, _) in text.match_indices([',', '}', ']']) {
            let place = string.start + text.get(..at).unwrap_or_default().trim_end().len();
            let what = "a quote is missing at the end of this text";
            let guess = Guess::new(string.start..place, what, format!("add {quote}"));
            all.push(guess.with(place..place, quote.to_string()));
        }
    }
}
