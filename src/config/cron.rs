//! Cron patterns: six fields, seconds first; five are taken to start at second 0, as in crontab and in Frappe.

use std::cell::RefCell;
use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};

use super::syntax::Fault;
use super::{Cron, duration, words};

/// The fields in order, for messages.
const FIELDS: [&str; 6] = ["second", "minute", "hour", "day of month", "month", "weekday"];

/// What each may be, for messages.
const RANGES: [&str; 6] =
    ["0 to 59", "0 to 59", "0 to 23", "1 to 31", "1 to 12, or JAN to DEC", "0 to 7, or SUN to SAT"];

/// Patterns that have a name.
const NICKNAMES: [&str; 5] = ["@hourly", "@daily", "@weekly", "@monthly", "@yearly"];

/// What is said to who wrote something else.
pub(super) const FORM: &str = "write second minute hour day month weekday, such as \"0 30 3 * * MON-FRI\"";

/// Patterns that are remembered.
const REMEMBERED: usize = 16;

thread_local! {
    /// The latest that were read. The walk and the check read each, most jobs have theirs in common, and reading one takes as
    /// long as all else of a job.
    static LATEST: RefCell<VecDeque<Cron>> = const { RefCell::new(VecDeque::new()) };
}

/// Reads a pattern.
///
/// # Errors
/// No pattern, or one that never comes due (`0 0 0 30 2 *`): a job that never runs is a mistake.
pub(super) fn parse(text: &str) -> Result<Cron, Fault> {
    let known = LATEST.with_borrow(|latest| latest.iter().find(|known| known.text == text).cloned());
    if let Some(known) = known {
        return Ok(known);
    }
    let cron = parse_anew(text)?;
    LATEST.with_borrow_mut(|latest| {
        latest.truncate(REMEMBERED - 1);
        latest.push_front(cron.clone());
    });
    Ok(cron)
}

impl serde::Serialize for Cron {
    /// As it was written.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for Cron {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map_err(|fault| serde::de::Error::custom(fault.said(&format!("{text:?}"), true).sentence()))
    }
}

fn parse_anew(text: &str) -> Result<Cron, Fault> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let full = match fields.len() {
        5 => format!("0 {}", fields.join(" ")),
        6 => fields.join(" "),
        1 if NICKNAMES.contains(&text.trim().to_lowercase().as_str()) => fields.join(" "),
        1 if text.trim_start().starts_with('@') => {
            let fault = Fault::of("is not a cron pattern").help(format!("expected {}", words::either(&NICKNAMES)));
            return Err(fault.near(meant(text)));
        }
        1 => return Err(Fault::of("is not a cron pattern").help(FORM).near(meant(text))),
        count => {
            let fields = if count == 1 { "field" } else { "fields" };
            let what = format!("is not a cron pattern: it has {count} {fields}, not 6");
            return Err(Fault::of(what).help(FORM).near(meant(text)));
        }
    };
    let pattern = read(&full).map_err(|_error| {
        let (detail, form) = culprit(&full).unwrap_or_default();
        let help = if form.is_empty() { FORM.to_owned() } else { form };
        Fault { detail, ..Fault::of("is not a cron pattern").help(help).near(meant(text)) }
    })?;
    // From a fixed day, so that a file's verdict never depends on the day it is read.
    match pattern.find_next_occurrence(&DateTime::<Utc>::UNIX_EPOCH, true) {
        Ok(_) => Ok(Cron { text: text.to_owned(), pattern }),
        Err(_) => Err(Fault::of("never comes due: there is no such date").help("choose a day that the month has")),
    }
}

fn read(pattern: &str) -> Result<croner::Cron, CronError> {
    let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Disallowed).build();
    parser.parse(pattern)
}

/// Names the field at fault, the first that is refused where all others are `*`, and says what it may be.
fn culprit(pattern: &str) -> Option<(String, String)> {
    let is_refused = |(position, field): &(usize, &str)| {
        let alone: Vec<&str> = (0..FIELDS.len()).map(|at| if at == *position { field } else { "*" }).collect();
        read(&alone.join(" ")).is_err()
    };
    let (position, field) = pattern.split_whitespace().enumerate().find(is_refused)?;
    let name = FIELDS.get(position)?;
    let range = RANGES.get(position)?;
    let form = format!("the {name} goes from {range}; * is any, */5 every fifth, 1-5 a range and 1,15 a list");
    Some((format!(": its {name} is {field:?}"), form))
}

/// What was probably meant: a pattern of a year too many or of names in another language's spelling, a length of time, a
/// time of day, a word.
fn meant(text: &str) -> Option<String> {
    let plain = text.trim().to_lowercase();
    let near = |text: String| read(&text).is_ok().then_some(text);
    if let Some(time) = plain.trim_start_matches('@').strip_prefix("every ").or(Some(&plain)).and_then(every) {
        return near(time);
    }
    if let Some((hour, minute)) = plain.split_once(':').filter(|_| !plain.contains(' ')) {
        let (hour, minute) = (hour.parse::<u32>().ok()?, minute.parse::<u32>().ok()?);
        return near(format!("0 {minute} {hour} * * *"));
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    match fields.as_slice() {
        [word] if plain.trim_start_matches('@').chars().all(char::is_alphabetic) => {
            words::nearest(&format!("@{}", plain.trim_start_matches('@')), NICKNAMES).map(str::to_owned)
        }
        [minute] => near(format!("0 {minute} * * * *")),
        // Without seconds, or with a year, as other schedulers have it.
        [rest @ .., _year] if rest.len() == 6 => {
            near(rest.iter().map(|field| in_range(field)).collect::<Vec<_>>().join(" "))
        }
        [_, _, _, _, _] => near(format!("0 {}", corrected(&fields, 1)?)),
        [_, _, _, _, _, _] => near(corrected(&fields, 0)?),
        _ => None,
    }
}

/// `5m`, `10 minutes`, `hour`.
fn every(text: &str) -> Option<String> {
    let time = match text {
        "minute" => std::time::Duration::from_secs(60),
        "hour" => std::time::Duration::from_secs(3600),
        "day" => return Some("0 0 0 * * *".to_owned()),
        text if text.ends_with(|c: char| c.is_alphabetic()) => duration::parse(&duration::meant(text)?)?,
        _ => return None,
    };
    match time.as_secs() {
        0 => None,
        seconds @ 1..60 => Some(format!("*/{seconds} * * * * *")),
        60 => Some("0 * * * * *".to_owned()),
        seconds @ 61..3600 if seconds.is_multiple_of(60) => Some(format!("0 */{} * * * *", seconds / 60)),
        3600 => Some("0 0 * * * *".to_owned()),
        86_400 => Some("0 0 0 * * *".to_owned()),
        seconds @ 3601..86_400 if seconds.is_multiple_of(3600) => Some(format!("0 0 */{} * * *", seconds / 3600)),
        _ => None,
    }
}

/// The fields, those that are one too high (24 hours, 60 minutes) begun anew, and names by their first three letters;
/// `first` is what the first of them means.
fn corrected(fields: &[&str], first: usize) -> Option<String> {
    let each = |(position, field): (usize, &&str)| {
        let field = in_range(field);
        match (FIELDS.get(first + position)?, field.as_str()) {
            (&"second" | &"minute", "60") | (&"hour", "24") => Some("0".to_owned()),
            (&"month", _) => Some(named(&field, &MONTHS)),
            (&"weekday", _) => Some(named(&field, &WEEKDAYS)),
            (_, _) => Some(field),
        }
    };
    Some(fields.iter().enumerate().map(each).collect::<Option<Vec<_>>>()?.join(" "))
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

const WEEKDAYS: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];

/// `Monday-Friday` as `MON-FRI`.
fn named(field: &str, names: &[&str]) -> String {
    let mut out = String::new();
    let mut word = String::new();
    let flush = |word: &mut String, out: &mut String| {
        let upper: String = word.to_uppercase().chars().take(3).collect();
        let near = words::nearest(&upper, names.iter().copied().filter(|name| name.get(..1) == upper.get(..1)));
        out.push_str(if word.len() < 2 { word } else { near.unwrap_or(word) });
        word.clear();
    };
    for c in field.chars() {
        if c.is_alphabetic() {
            word.push(c);
        } else {
            flush(&mut word, &mut out);
            out.push(c);
        }
    }
    flush(&mut word, &mut out);
    out
}

/// Other schedulers' `?`, for any day.
fn in_range(field: &str) -> String {
    if field == "?" { "*".to_owned() } else { field.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        parse(text).map_or_else(|fault| fault.said(&format!("{text:?}"), true).sentence(), |_| "ok".to_owned())
    }

    #[test]
    fn six_fields_are_read_and_five_start_at_second_zero() {
        assert_eq!(said("*/10 * * * * *"), "ok");
        assert_eq!(said("0 */5 * * * MON-FRI"), "ok");
        assert_eq!(said("@hourly"), "ok");
        let five = parse("30 3 * * *").unwrap();
        assert_eq!(five.text, "30 3 * * *");
        let next = five.pattern.find_next_occurrence(&DateTime::<Utc>::UNIX_EPOCH, false).unwrap();
        assert_eq!(next.to_rfc3339(), "1970-01-01T03:30:00+00:00");
    }

    #[test]
    fn a_bad_pattern_names_the_field_at_fault() {
        assert!(
            said("0 61 * * * *").starts_with(
                r#""0 61 * * * *" is not a cron pattern: its minute is "61"; the minute goes from 0 to 59"#
            )
        );
        assert!(said("0 0 25 * * *").contains(r#"its hour is "25""#));
        assert!(said("0 0 * * * FOO").contains(r#"its weekday is "FOO""#));
        assert!(said("* * *").contains("it has 3 fields, not 6; write second minute hour day month weekday"));
        assert!(said("0 0 0 1 1 * 2030").contains("it has 7 fields"));
        assert!(said("").contains("it has 0 fields"));
    }

    #[test]
    fn the_pattern_that_was_meant_is_shown() {
        for (text, expected) in [
            ("0 0 0 1 1 ? 2030", "0 0 0 1 1 *"),
            ("every 5 minutes", "0 */5 * * * *"),
            ("10m", "0 */10 * * * *"),
            ("30s", "*/30 * * * * *"),
            ("2h", "0 0 */2 * * *"),
            ("03:30", "0 30 3 * * *"),
            ("hourly", "@hourly"),
            ("@dayly", "@daily"),
            ("*/5", "0 */5 * * * *"),
            ("0 0 24 * * *", "0 0 0 * * *"),
            ("0 60 * * *", ""),
            ("60 3 * * *", "0 0 3 * * *"),
            ("0 0 6 * * Monday-Friday", "0 0 6 * * MON-FRI"),
            ("0 30 3 * JANUARY *", "0 30 3 * JAN *"),
            ("whenever", ""),
        ] {
            assert_eq!(meant(text).unwrap_or_default(), expected, "{text}");
        }
    }

    #[test]
    fn a_pattern_that_never_comes_due_is_refused() {
        assert!(said("0 0 0 30 2 *").contains("never comes due"));
        assert_eq!(said("0 0 0 29 2 *"), "ok");
    }
}
