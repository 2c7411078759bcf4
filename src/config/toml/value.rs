//! Guesses at values: quotes, brackets, commas, words and numbers of other languages.

use std::ops::Range;

use super::guess::{Guess, Statement};
use super::number::plain_number;
use super::{inline, number, scan, text, tree};
use crate::config::keys::{FIELD, JOB};
use crate::config::said::BARE;

/// All guesses at the value of a statement, the likeliest first.
pub(super) fn guesses(statement: &Statement<'_>, all: &mut Vec<Guess>) {
    inline::guesses(statement, all);
    all.extend(claims(statement));
    number::guesses(statement, all);
    all.extend(text::apostrophe(statement));
    all.extend(variables(statement));
    all.extend(text::inner_quotes(statement));
    all.extend(keys(statement));
    all.extend(text::backslash(statement));
    all.extend(signs(statement));
    all.extend(parentheses(statement));
    all.extend(doubled_braces(statement));
    all.extend(without_braces(statement));
    all.extend(commas(statement));
    all.extend(inline::no_comma(statement));
    all.extend(list(statement));
    all.extend(brackets(statement));
    text::quotes(statement, all);
    all.extend(bare(statement));
}

/// A word outside of strings, with where it stands.
pub(super) fn words<'s>(statement: &Statement<'s>) -> Vec<(Range<usize>, &'s str)> {
    let from = statement.value.as_ref().map_or(usize::MAX, |value| value.start);
    let is_part = |c: char| !c.is_whitespace() && !matches!(c, ',' | '[' | ']' | '{' | '}' | '=');
    let mut is_variable = false;
    // `${NAME}` is a word of its own.
    let mut is_in_word = |at: usize, c: char| {
        let begins = c == '{' && statement.text.get(..at).is_some_and(|before| before.ends_with('$'));
        let ends = is_variable && c == '}';
        is_variable = (is_variable || begins) && !ends;
        is_variable || ends || is_part(c)
    };
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, c) in statement.scan.outside.iter().filter(|(at, c)| *at >= from && is_in_word(*at, *c)) {
        match found.last_mut() {
            Some(last) if last.end == *at => last.end = at + c.len_utf8(),
            Some(_) | None => found.push(*at..at + c.len_utf8()),
        }
    }
    found.into_iter().map(|at| (at.clone(), statement.get(&at))).collect()
}

/// `True`, `yes`, `OFF`.
fn claims(statement: &Statement<'_>) -> Option<Guess> {
    let meant = |word: &str| match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some("true"),
        "false" | "no" | "off" => Some("false"),
        _ => None,
    };
    let found = words(statement).into_iter().filter_map(|(at, word)| Some((at, word, meant(word)?)));
    Guess::all(found.filter(|(_, word, meant)| word != meant).map(|(at, word, meant)| {
        Guess::new(at.clone(), format!("{word:?} is no value of TOML"), format!("write {meant}")).with(at, meant)
    }))
}

/// `{ Stück = "each" }`.
fn keys(statement: &Statement<'_>) -> Option<Guess> {
    let is_key = |at: &Range<usize>, word: &str| {
        let is_left = statement.text.get(at.end..).unwrap_or_default().trim_start().starts_with('=');
        is_left && scan::key(word) != word.len()
    };
    Guess::all(words(statement).into_iter().filter(|(at, word)| is_key(at, word)).map(|(at, word)| {
        let what = format!("the key {word:?} holds a character that only a key in quotes may hold");
        Guess::new(at.clone(), what, "write it in quotes").with(at, format!("{word:?}"))
    }))
}

/// `api_key = ${HQ_API_KEY}`.
fn variables(statement: &Statement<'_>) -> Option<Guess> {
    let is_outside = |at: usize| statement.scan.outside.iter().any(|(place, _)| *place == at);
    let found = statement.text.match_indices("${").filter(|(at, _)| is_outside(*at));
    let part = |at: usize| {
        let rest = statement.text.get(at..)?;
        let end = rest.find('}')? + 1;
        let more = rest
            .get(end..)?
            .find(|c: char| c.is_whitespace() || matches!(c, ',' | '}' | ']'))
            .unwrap_or(rest.len() - end);
        Some(at..at + end + more)
    };
    Guess::all(found.filter_map(|(at, _)| part(at)).map(|at| {
        let quoted = format!("\"{}\"", statement.get(&at));
        Guess::new(at.clone(), "a variable without quotes", "put it in quotes: \"${…}\"").with(at, quoted)
    }))
}

/// `{ kind: "token" }`, `{ Nos -> "each" }`.
fn signs(statement: &Statement<'_>) -> Option<Guess> {
    let from = statement.value.as_ref()?.start;
    let after = |at: usize, sign: &str| statement.text.get(at + sign.len()..).unwrap_or_default();
    let is_sign = |at: usize, sign: &str| {
        statement.get(&(at..at + sign.len())) == sign
            && after(at, sign).trim_start().starts_with(|c: char| c != '/')
            && !after(at, sign).starts_with('=')
    };
    let found = |sign: &'static str| {
        let outside = statement.scan.outside.iter().map(|(at, _)| *at);
        let places: Vec<usize> = outside.filter(|at| *at >= from && is_sign(*at, sign)).collect();
        (sign, places)
    };
    let (sign, places) = ["=>", "->", ":"].into_iter().map(found).find(|(_, places)| !places.is_empty())?;
    let first = *places.first()?;
    let what = format!("{sign:?} stands between key and value{}", times(places.len()));
    let guess = Guess::new(first..first + sign.len(), what, "write \"=\"");
    Some(places.into_iter().fold(guess, |guess, at| guess.with(at..at + sign.len(), " = ")))
}

/// `[("disabled", "=", 0)]`, `(rows = 20, percent = 5)`.
fn parentheses(statement: &Statement<'_>) -> Option<Guess> {
    let from = statement.value.as_ref()?.start;
    let outside = || statement.scan.outside.iter().filter(|(at, _)| *at >= from);
    let has_keys = outside().any(|(_, c)| *c == '=');
    let (open, close) = if has_keys { ("{", "}") } else { ("[", "]") };
    let places: Vec<_> = outside().filter(|(_, c)| matches!(c, '(' | ')')).collect();
    let (first, _) = places.first()?;
    let help = format!("write {open:?} and {close:?}");
    let guess = Guess::new(*first..first + 1, "\"(\" and \")\" hold nothing together in TOML", help);
    Some(
        places
            .iter()
            .fold(guess, |guess, (at, c)| guess.with(*at..at + 1, if *c == '(' { open } else { close })),
    )
}

/// `{{ from = "brand" }}`
fn doubled_braces(statement: &Statement<'_>) -> Option<Guess> {
    let at = statement.value.clone()?;
    let is_doubled = statement.get(&at).starts_with("{{") && statement.get(&at).ends_with("}}");
    let guess = Guess::new(at.start..at.start + 2, "a table stands in one brace on each side", "write { … }");
    is_doubled.then(|| guess.with(at.start..at.start + 1, "").with(at.end - 1..at.end, ""))
}

/// `title = from = "item_name"`, `title = "item_name", trim = true`: a field of which more than its name is said.
fn without_braces(statement: &Statement<'_>) -> Option<Guess> {
    let at = statement.value.clone()?;
    let written = statement.get(&at);
    let known = |text: &str| {
        let name = text.get(..scan::key(text)).filter(|name| FIELD.key(name).is_some() && JOB.key(name).is_none());
        name.is_some_and(|name| text.get(name.len()..).unwrap_or_default().trim_start().starts_with('='))
    };
    let first = statement.scan.strings.first().filter(|string| string.start == at.start);
    let after = first.and_then(|string| statement.text.get(string.end..)?.trim_start().strip_prefix(','));
    let (before, help) = match after {
        Some(rest) if known(rest.trim_start()) => ("{ from = ", "write { from = \"…\", … }"),
        None if known(written) => ("{ ", "write { before it and } after it"),
        Some(_) | None => return None,
    };
    let guess = Guess::new(at.clone(), "a field of several keys stands in braces", help);
    Some(guess.with(at.start..at.start, before).with(at.end..at.end, " }"))
}

/// How often, where it is more than once.
fn times(number: usize) -> String {
    if number > 1 { format!(", {number} times here") } else { String::new() }
}

/// Commas that are missing, too many, or semicolons.
fn commas(statement: &Statement<'_>) -> Vec<Guess> {
    let mut all = Vec::new();
    let semicolons: Vec<usize> =
        statement.scan.outside.iter().filter(|(_, c)| matches!(c, ';' | '|')).map(|(at, _)| *at).collect();
    if let Some(first) = semicolons.first() {
        let what = format!("what is in brackets is parted by \",\"{}", times(semicolons.len()));
        let guess = Guess::new(*first..first + 1, what, "write \",\"");
        all.push(semicolons.iter().fold(guess, |guess, at| guess.with(*at..at + 1, ",")));
    }
    let marks: Vec<(usize, char)> =
        statement.scan.outside.iter().filter(|(_, c)| !c.is_whitespace()).copied().collect();
    let twice = marks
        .iter()
        .zip(marks.iter().skip(1))
        .find(|((_, one), (_, other))| matches!((one, other), (',' | '[' | '{', ',')));
    if let Some((_, (at, _))) = twice {
        all.push(Guess::new(*at..at + 1, "a comma too many", "delete it").with(*at..at + 1, ""));
    }
    let is_inside = statement.value.as_ref().is_some_and(|value| statement.fault > value.start);
    if is_inside {
        let before = statement.get(&(0..statement.fault)).trim_end().len();
        let mark = statement.one(statement.fault);
        all.push(Guess::new(mark, "a comma is missing before this", "write \",\"").with(before..before, ","));
    }
    let gaps = statement.scan.strings.iter().zip(statement.scan.strings.iter().skip(1));
    let is_gap = |between: &str| !between.is_empty() && between.trim().is_empty();
    let gaps: Vec<_> = gaps.filter(|(one, other)| is_gap(statement.get(&(one.end..other.start)))).collect();
    all.extend(Guess::all(gaps.into_iter().map(|(one, other)| {
        Guess::new(other.clone(), "a comma is missing before this", "write \",\"").with(one.end..one.end, ",")
    })));
    all
}

/// `after = "a", "b"`.
fn list(statement: &Statement<'_>) -> Option<Guess> {
    let at = statement.value.clone()?;
    let has_comma = statement.scan.outside.iter().any(|(place, c)| *c == ',' && at.contains(place));
    let is_list = has_comma && !statement.get(&at).ends_with(',') && !statement.get(&at).starts_with(['[', '{']);
    let guess =
        Guess::new(at.clone(), "several values stand in square brackets", "write [ before them and ] after them");
    is_list.then(|| guess.with(at.start..at.start, "[").with(at.end..at.end, "]"))
}

/// Brackets that do not pair.
fn brackets(statement: &Statement<'_>) -> Option<Guess> {
    let value = statement.value.clone()?;
    let (open, stray) = statement.scan.brackets();
    let shown = |c: char| format!("{:?}", c.to_string());
    if let Some((at, c)) = stray {
        let near = open.last().filter(|_| statement.text.get(at + 1..).is_some_and(|rest| !rest.contains([']', '}'])));
        return Some(match near {
            // `[1, 2}`
            Some((_, opened)) => {
                let right = if *opened == '[' { "]" } else { "}" };
                let what = format!("{} does not close {}", shown(c), shown(*opened));
                Guess::new(at..at + 1, what, format!("write {right}")).with(at..at + 1, right)
            }
            None => Guess::new(at..at + 1, format!("{} closes nothing", shown(c)), "delete it").with(at..at + 1, ""),
        });
    }
    let (first, c) = *open.last()?;
    let closing: String = open.iter().rev().map(|(_, c)| if *c == '[' { ']' } else { '}' }).collect();
    let end = last_of(statement, value.end);
    let what = format!("{} is not closed", shown(c));
    let guess = Guess::new(first..first + 1, what, format!("add {:?}", closing.get(..1).unwrap_or_default()));
    let comma = statement.get(&(end.saturating_sub(1)..end)) == ",";
    Some(if comma && c == '{' { guess.with(end - 1..end, closing) } else { guess.with(end..end, closing) })
}

/// The end of what is written before `end`, comments left out.
fn last_of(statement: &Statement<'_>, end: usize) -> usize {
    let outside = statement.scan.outside.iter().filter(|(at, c)| *at < end && !c.is_whitespace());
    let outside = outside.map(|(at, c)| at + c.len_utf8());
    outside.chain(statement.scan.strings.iter().map(|string| string.end)).max().unwrap_or(end)
}

/// Text without quotes.
fn bare(statement: &Statement<'_>) -> Vec<Guess> {
    let Some(value) = statement.value.clone() else { return Vec::new() };
    let mut all = Vec::new();
    // The text itself is not repeated: it may be a secret.
    let help = |at: &Range<usize>| {
        if statement.get(at).contains('"') {
            "put it between single quotes: '…'"
        } else {
            "put it in quotes: \"…\""
        }
    };
    let written = statement.get(&value);
    let quoted = |text: &str| if text.contains(['"', '\\']) { format!("'{text}'") } else { format!("\"{text}\"") };
    let is_more = written.ends_with([',', ';']) || plain_number(written).is_some();
    let is_plain =
        !is_more && !written.is_empty() && !written.starts_with(['[', '{', '"', '\'']) && !written.contains('\n');
    if is_plain {
        let guess = Guess::new(value.clone(), BARE, help(&value));
        all.push(guess.with(value.clone(), quoted(written)));
    }
    let is_text = |at: &Range<usize>, word: &str| {
        let is_key = statement.text.get(at.end..).unwrap_or_default().trim_start().starts_with('=');
        !is_key && plain_number(word).is_none() && tree::parse(&format!("a = {word}")).is_err()
    };
    if !is_plain {
        let texts = words(statement).into_iter().filter(|(at, word)| is_text(at, word));
        all.extend(Guess::all(texts.map(|(at, word)| Guess::new(at.clone(), BARE, help(&at)).with(at, quoted(word)))));
    }
    all
}
