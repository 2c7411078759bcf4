//! Cron patterns: six fields, seconds first; five are taken to start at second 0, as in crontab and in Frappe.

use std::cell::RefCell;
use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};

use super::Cron;
use super::syntax::Fault;

/// The fields in order, for messages.
const FIELDS: [&str; 6] = ["second", "minute", "hour", "day of month", "month", "weekday"];

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
        parse(&text).map_err(|fault| serde::de::Error::custom(fault.message(&text, true)))
    }
}

fn parse_anew(text: &str) -> Result<Cron, Fault> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let full = match fields.len() {
        5 => format!("0 {}", fields.join(" ")),
        6 => fields.join(" "),
        1 if text.trim_start().starts_with('@') => fields.join(" "),
        count => {
            return Err(Fault::of(format!(
                "is not a cron pattern: it has {count} fields, expected 6 (second minute hour day month weekday)"
            )));
        }
    };
    let pattern = read(&full).map_err(|error| Fault {
        detail: format!(": {}{}", culprit(&full), reason(&error)),
        ..Fault::of("is not a cron pattern")
    })?;
    // From a fixed day, so that a file's verdict never depends on the day it is read.
    match pattern.find_next_occurrence(&DateTime::<Utc>::UNIX_EPOCH, true) {
        Ok(_) => Ok(Cron { text: text.to_owned(), pattern }),
        Err(_) => Err(Fault::of("never comes due: there is no such date")),
    }
}

fn read(pattern: &str) -> Result<croner::Cron, CronError> {
    let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Disallowed).build();
    parser.parse(pattern)
}

/// Names the field at fault: the first that is refused where all others are `*`.
fn culprit(pattern: &str) -> String {
    let is_refused = |(position, field): &(usize, &str)| {
        let alone: Vec<&str> = (0..FIELDS.len()).map(|at| if at == *position { field } else { "*" }).collect();
        read(&alone.join(" ")).is_err()
    };
    let at_fault = pattern.split_whitespace().enumerate().find(is_refused);
    at_fault
        .and_then(|(position, field)| Some(format!("{} {field:?}: ", FIELDS.get(position)?)))
        .unwrap_or_default()
}

fn reason(error: &CronError) -> String {
    let text = match error {
        CronError::InvalidPattern(text) | CronError::IllegalCharacters(text) | CronError::ComponentError(text) => {
            text.clone()
        }
        CronError::EmptyPattern
        | CronError::InvalidDate
        | CronError::InvalidTime
        | CronError::TimeSearchLimitExceeded => error.to_string(),
    };
    text.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        parse(text).map_or_else(|fault| fault.message(&format!("{text:?}"), true), |_| "ok".to_owned())
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
        assert!(said("0 61 * * * *").starts_with(r#""0 61 * * * *" is not a cron pattern: minute "61": "#));
        assert!(said("0 0 25 * * *").contains(r#"hour "25""#));
        assert!(said("0 0 * * * FOO").contains(r#"weekday "FOO""#));
        assert!(said("* * *").contains("it has 3 fields, expected 6"));
        assert!(said("0 0 0 1 1 * 2030").contains("it has 7 fields"));
        assert!(said("").contains("it has 0 fields"));
    }

    #[test]
    fn a_pattern_that_never_comes_due_is_refused() {
        assert!(said("0 0 0 30 2 *").contains("never comes due"));
        assert_eq!(said("0 0 0 29 2 *"), "ok");
    }
}
