//! Guesses at numbers as other languages and other countries write them.

use std::ops::Range;

use super::guess::{Guess, Statement};
use super::value::words;

/// All guesses, the likeliest first.
pub(super) fn guesses(statement: &Statement<'_>, all: &mut Vec<Guess>) {
    all.extend(decimal_comma(statement));
    all.extend(too_large(statement));
    all.extend(number(statement));
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
pub(super) fn plain_number(written: &str) -> Option<String> {
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
