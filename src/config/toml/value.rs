//! Guesses at values: quotes, brackets, commas, words and numbers of other languages.

use std::ops::Range;

use super::guess::{Guess, Statement};
use super::scan::{self, Scan};
use super::{inline, tree};

/// All guesses at the value of a statement, the likeliest first.
pub(super) fn guesses(statement: &Statement<'_>, all: &mut Vec<Guess>) {
    inline::guesses(statement, all);
    all.extend(claims(statement));
    all.extend(decimal_comma(statement));
    all.extend(too_large(statement));
    all.extend(number(statement));
    all.extend(apostrophe(statement));
    all.extend(variables(statement));
    all.extend(inner_quotes(statement));
    all.extend(keys(statement));
    all.extend(backslash(statement));
    all.extend(colons(statement));
    all.extend(commas(statement));
    all.extend(inline::no_comma(statement));
    all.extend(list(statement));
    all.extend(brackets(statement));
    quotes(statement, all);
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

/// `"item_name ~ " - " ~ brand"`: the quotes within the text end it.
fn inner_quotes(statement: &Statement<'_>) -> Option<Guess> {
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

/// `99999999999999999999`; what stands in its place is within all bounds.
fn too_large(statement: &Statement<'_>) -> Option<Guess> {
    let is_large = |word: &str| {
        let digits = word.trim_start_matches(['-', '+']).replace('_', "");
        digits.len() > 18 && digits.chars().all(|c| c.is_ascii_digit()) && !digits.starts_with('0') && {
            let sign = if word.starts_with('-') { "-" } else { "" };
            format!("{sign}{digits}").parse::<i64>().is_err()
        }
    };
    Guess::all(words(statement).into_iter().filter(|(_, word)| is_large(word)).map(|(at, _)| {
        Guess::new(at.clone(), "this number is too large", "write a smaller one, or a text in quotes").with(at, "1")
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

/// `percent = 2,5`; `1,000` is a matter of thousands.
fn decimal_comma(statement: &Statement<'_>) -> Option<Guess> {
    let words = words(statement);
    let is_digits = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
    let is_first = |at: &Range<usize>| statement.get(&(0..at.start)).trim_end().ends_with('=');
    let pairs = words.iter().zip(words.iter().skip(1));
    Guess::all(pairs.filter_map(|((one, whole), (other, part))| {
        let is_one = one.end + 1 == other.start && statement.get(&(one.end..other.start)) == ",";
        let is_number = is_one && is_first(one) && is_digits(whole) && is_digits(part) && part.len() != 3;
        let right = is_number.then(|| format!("{whole}.{part}"))?;
        let at = one.start..other.end;
        let what = "a number has a point, not a comma";
        Some(Guess::new(at.clone(), what, format!("write {right}")).with(at, right))
    }))
}

/// `1,000`, `007`, `.5`, `5.`, `5%`.
fn number(statement: &Statement<'_>) -> Option<Guess> {
    let guess = |at: Range<usize>| {
        let right = plain_number(statement.get(&at))?;
        let guess = Guess::new(at.clone(), "this is not how TOML writes a number", format!("write {right}"));
        Some(guess.with(at, right))
    };
    let whole = statement.value.clone().and_then(guess);
    whole.or_else(|| Guess::all(words(statement).into_iter().filter_map(|(at, _)| guess(at))))
}

/// The number as TOML writes it, if it is one and written otherwise.
fn plain_number(written: &str) -> Option<String> {
    let (sign, digits) = written.strip_prefix('-').map_or(("", written), |digits| ("-", digits));
    let digits = digits.strip_suffix('%').map_or(digits, str::trim_end);
    if !digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | '_' | ' ')) {
        return None;
    }
    // `0 0 5` is a cron pattern, `10 000` a number.
    let mut groups = digits.split([' ', ',', '_']).skip(1);
    if !groups.all(|group| group.split('.').next().is_some_and(|group| group.len() == 3)) {
        return None;
    }
    let plain: String = digits.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    let (whole, part) = plain.split_once('.').map_or((plain.as_str(), ""), |(whole, part)| (whole, part));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let right = if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") };
    let is_number = plain.contains(|c: char| c.is_ascii_digit()) && right.parse::<f64>().is_ok();
    (is_number && right != written).then_some(right)
}

/// `'Mario's'`.
fn apostrophe(statement: &Statement<'_>) -> Option<Guess> {
    let at = statement.value.clone()?;
    let inner = statement.get(&at).strip_prefix('\'')?.strip_suffix('\'')?;
    if !inner.contains('\'') || inner.contains(['"', '\\', ',']) {
        return None;
    }
    let what = "an apostrophe ends a text between single quotes";
    let guess = Guess::new(at.clone(), what, "put the text between double quotes");
    Some(guess.with(at, format!("\"{inner}\"")))
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

/// `"C:\data"`: of each text its first backslash is told.
fn backslash(statement: &Statement<'_>) -> Option<Guess> {
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

/// `{ kind: "token" }`.
fn colons(statement: &Statement<'_>) -> Option<Guess> {
    let from = statement.value.as_ref()?.start;
    let after = |at: usize| statement.text.get(at + 1..).unwrap_or_default();
    let is_sign =
        |at: usize| at >= from && after(at).trim_start().starts_with(|c: char| c != '/') && !after(at).starts_with('=');
    let found: Vec<usize> = statement
        .scan
        .outside
        .iter()
        .filter(|(at, c)| *c == ':' && is_sign(*at))
        .map(|(at, _)| *at)
        .collect();
    let first = *found.first()?;
    let what = format!("\":\" stands between key and value{}", times(found.len()));
    let guess = Guess::new(first..first + 1, what, "write \"=\"");
    Some(found.into_iter().fold(guess, |guess, at| guess.with(at..at + 1, " = ")))
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
        let guess = Guess::new(value.clone(), "a text without quotes", help(&value));
        all.push(guess.with(value.clone(), quoted(written)));
    }
    let is_text = |at: &Range<usize>, word: &str| {
        let is_key = statement.text.get(at.end..).unwrap_or_default().trim_start().starts_with('=');
        !is_key && plain_number(word).is_none() && tree::parse(&format!("a = {word}")).is_err()
    };
    if !is_plain {
        let texts = words(statement).into_iter().filter(|(at, word)| is_text(at, word));
        all.extend(Guess::all(
            texts.map(|(at, word)| Guess::new(at.clone(), "a text without quotes", help(&at)).with(at, quoted(word))),
        ));
    }
    all
}

/// A quote that is missing at one end, or another than at the other end.
fn quotes(statement: &Statement<'_>, all: &mut Vec<Guess>) {
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
        let what = format!("a text that begins with {quote} ends with {quote}");
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
