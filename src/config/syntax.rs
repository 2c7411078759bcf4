//! Whether one text is what its key wants: a zone, a pattern, a name, a word. What keys mean together is not
//! looked at here.

use std::net::SocketAddr;

use chrono_tz::Tz;

use super::schema::{Kind, Words};
use super::{cron, duration, url, words};

/// PostgreSQL cuts longer identifiers off, in silence.
const LONGEST_IDENTIFIER: usize = 63;

/// A job's name is a column of the run log and a label of metrics.
const LONGEST_JOB_NAME: usize = 64;

/// The tables that milkrun keeps for itself.
const RESERVED_PREFIX: &str = "milkrun_";

/// Why a text will not do, in the pieces of a sentence around the text itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fault {
    /// Stands before the text.
    pub(super) lead: String,
    /// Stands after the text; holds nothing of it.
    pub(super) tail: String,
    /// Stands after `tail`, but only where the text may be shown, of which it may quote.
    pub(super) detail: String,
    /// The word that was probably meant; stands for `tail` and `detail` where the text may be shown.
    pub(super) near: Option<String>,
}

impl Fault {
    /// `{text} {tail}`.
    pub(super) fn of(tail: impl Into<String>) -> Self {
        Self { tail: format!(" {}", tail.into()), ..Self::default() }
    }

    /// The whole sentence.
    pub(super) fn message(&self, shown: &str, is_showable: bool) -> String {
        let Self { lead, tail, detail, near } = self;
        match near {
            Some(near) if is_showable => format!("{lead}{shown}, did you mean {near:?}?"),
            Some(_) | None if is_showable => format!("{lead}{shown}{tail}{detail}"),
            Some(_) | None => format!("{lead}{shown}{tail}"),
        }
    }
}

/// Whether `text`, after substitution, is of that kind.
///
/// # Errors
/// Why not.
pub(super) fn check(kind: &Kind, text: &str) -> Result<(), Fault> {
    match kind {
        Kind::Line => line(text),
        Kind::Secret => secret(text),
        Kind::Pem => pem(text),
        Kind::HqUrl => url::hq(text).map(drop),
        Kind::LocalUrl => url::local(text, std::path::Path::new("")).map(drop),
        Kind::Zone => zone(text),
        Kind::Listen => listen(text),
        Kind::Duration { least, most } => match duration::parse(text) {
            None => Err(Fault::of(format!("is not a length of time: write {}", duration::EXPECTED))),
            Some(time) if time < *least || time > *most => Err(Fault::of(format!(
                "is out of bounds: from {} to {}",
                duration::shown(*least),
                duration::shown(*most)
            ))),
            Some(_) => Ok(()),
        },
        Kind::Cron => cron::parse(text).map(drop),
        Kind::JobName => job_name(text),
        Kind::LocalTable => table(text),
        Kind::Column => identifier("a column", text),
        Kind::HqField => hq_field(text),
        Kind::Word(words) => word(words, text),
        Kind::Bool => {
            let is_bool = text == "true" || text == "false";
            is_bool.then_some(()).ok_or_else(|| Fault::of("is neither true nor false"))
        }
        Kind::Integer { least, most } => match text.parse::<i64>() {
            Err(_) => Err(Fault::of("is not a whole number")),
            Ok(number) => integer(*least, *most, number),
        },
        Kind::Number { least, most } => match text.parse::<f64>() {
            Err(_) => Err(Fault::of("is not a number")),
            Ok(value) => number(*least, *most, value),
        },
        Kind::Text
        | Kind::OneOrMore(_)
        | Kind::List(_)
        | Kind::Literal
        | Kind::Literals
        | Kind::Json
        | Kind::Record
        | Kind::Table(_)
        | Kind::Tables(_)
        | Kind::Fields => Ok(()),
    }
}

/// Whether the number is within bounds.
pub(super) fn integer(least: i64, most: i64, number: i64) -> Result<(), Fault> {
    match (least..=most).contains(&number) {
        true => Ok(()),
        false if most == i64::MAX => Err(Fault::of(format!("is out of bounds: at least {least}"))),
        false => Err(Fault::of(format!("is out of bounds: from {least} to {most}"))),
    }
}

/// Whether the number is within bounds; `nan` is not.
pub(super) fn number(least: f64, most: f64, number: f64) -> Result<(), Fault> {
    let is_within = (least..=most).contains(&number);
    is_within
        .then_some(())
        .ok_or_else(|| Fault::of(format!("is out of bounds: from {least} to {most}")))
}

/// Whether a column may be called so.
pub(super) fn column(text: &str) -> Result<(), Fault> {
    identifier("a column", text)
}

fn line(text: &str) -> Result<(), Fault> {
    if text.trim().is_empty() {
        return Err(Fault::of("must not be empty"));
    }
    match text.trim() == text && !text.contains(char::is_control) {
        true => Ok(()),
        false => Err(Fault::of("must be one line without white space at its ends")),
    }
}

fn secret(text: &str) -> Result<(), Fault> {
    if text.trim().is_empty() {
        return Err(Fault::of("must not be empty"));
    }
    let is_plain = text.chars().all(|c| c.is_ascii_graphic());
    is_plain
        .then_some(())
        .ok_or_else(|| Fault::of("holds white space or a character beyond ASCII, which no credential of HQ's does"))
}

fn pem(text: &str) -> Result<(), Fault> {
    if text.trim().is_empty() { Err(Fault::of("must not be empty")) } else { Ok(()) }
}

fn zone(text: &str) -> Result<(), Fault> {
    if text.parse::<Tz>().is_ok() {
        return Ok(());
    }
    let zones = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
    // People write the city alone, too.
    let city = |zone: &&str| zone.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(text));
    let near = zones.clone().find(city).or_else(|| words::nearest(text, zones));
    Err(Fault {
        lead: "unknown time zone ".to_owned(),
        tail: "; expected an IANA name such as \"Asia/Kolkata\"".to_owned(),
        near: near.map(str::to_owned),
        ..Fault::default()
    })
}

fn listen(text: &str) -> Result<(), Fault> {
    let fault = |_| Fault::of("is not an address and port, such as \"127.0.0.1:7878\" or \"[::]:7878\"");
    text.parse::<SocketAddr>().map(drop).map_err(fault)
}

fn job_name(text: &str) -> Result<(), Fault> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_name = (1..=LONGEST_JOB_NAME).contains(&text.len()) && text.chars().all(is_plain);
    is_name.then_some(()).ok_or_else(|| {
        Fault::of(format!("is not a job's name: letters, digits, \"_\" and \"-\", at most {LONGEST_JOB_NAME}"))
    })
}

fn table(text: &str) -> Result<(), Fault> {
    let prefix = text.get(..RESERVED_PREFIX.len()).unwrap_or_default();
    if prefix.eq_ignore_ascii_case(RESERVED_PREFIX) {
        return Err(Fault::of(format!("is not for a job: tables named {RESERVED_PREFIX}… are milkrun's own")));
    }
    identifier("a table", text)
}

fn identifier(what: &str, text: &str) -> Result<(), Fault> {
    let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && text.len() <= LONGEST_IDENTIFIER;
    is_name.then_some(()).ok_or_else(|| {
        Fault::of(format!(
            "is not {what}'s name: letters, digits and \"_\", no digit first, at most {LONGEST_IDENTIFIER}"
        ))
    })
}

fn hq_field(text: &str) -> Result<(), Fault> {
    let is_name =
        (1..=LONGEST_JOB_NAME).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name
        .then_some(())
        .ok_or_else(|| Fault::of("is not an HQ field's name such as \"item_name\": letters, digits and \"_\""))
}

fn word(words: &Words, text: &str) -> Result<(), Fault> {
    if words.known.contains(&text) {
        return Ok(());
    }
    let expected = match words.known {
        [only] => format!("; only {only:?} is supported yet"),
        known => format!("; expected {}", words::either(known)),
    };
    if words.later.contains(&text) {
        return Err(Fault {
            lead: format!("the {} ", words.what),
            tail: format!(" is not supported yet, only {} is", words::either(words.known)),
            ..Fault::default()
        });
    }
    let all = words.known.iter().chain(words.later).copied();
    Err(Fault {
        lead: format!("unknown {} ", words.what),
        tail: expected,
        near: words::nearest(text, all).map(str::to_owned),
        ..Fault::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: &Kind, text: &str) -> String {
        check(kind, text).map_or_else(|fault| fault.message(&format!("{text:?}"), true), |()| "ok".into())
    }

    #[test]
    fn a_zone_is_known_or_the_nearest_is_named() {
        assert_eq!(said(&Kind::Zone, "Asia/Kolkata"), "ok");
        let near = r#"unknown time zone "Asia/Kolkatta", did you mean "Asia/Kolkata"?"#;
        assert_eq!(said(&Kind::Zone, "Asia/Kolkatta"), near);
        assert!(said(&Kind::Zone, "kolkata").ends_with(r#"did you mean "Asia/Kolkata"?"#));
        assert!(said(&Kind::Zone, "somewhere else").contains("expected an IANA name"));
    }

    #[test]
    fn a_table_is_an_identifier_and_none_of_milkruns_own() {
        assert_eq!(said(&Kind::LocalTable, "items_2"), "ok");
        assert_eq!(said(&Kind::LocalTable, &"x".repeat(63)), "ok");
        for bad in ["", "2items", "my items", "items;drop", "ítems", "milkrun_runs", "Milkrun_x"] {
            assert_ne!(said(&Kind::LocalTable, bad), "ok", "{bad}");
        }
        assert_ne!(said(&Kind::LocalTable, &"x".repeat(64)), "ok");
    }

    #[test]
    fn names_of_jobs_and_fields_are_plain() {
        assert_eq!(said(&Kind::JobName, "item-prices_2"), "ok");
        assert_ne!(said(&Kind::JobName, "item prices"), "ok");
        assert_ne!(said(&Kind::JobName, &"x".repeat(65)), "ok");
        assert_eq!(said(&Kind::HqField, "_user_tags"), "ok");
        assert_ne!(said(&Kind::HqField, "count(name)"), "ok");
    }

    #[test]
    fn a_length_of_time_outside_its_bounds_names_them() {
        let kind =
            Kind::Duration { least: std::time::Duration::from_secs(1), most: std::time::Duration::from_secs(3600) };
        assert_eq!(said(&kind, "2h"), r#""2h" is out of bounds: from 1s to 1h"#);
        assert!(said(&kind, "30").contains(r#"write a whole number and a unit"#));
    }

    #[test]
    fn a_text_that_must_not_be_shown_gives_no_hint_away() {
        let fault = check(&Kind::Zone, "Asia/Kolkatta").unwrap_err();
        let said = fault.message("\"${TZ}\"", false);
        assert_eq!(said, "unknown time zone \"${TZ}\"; expected an IANA name such as \"Asia/Kolkata\"");
    }

    #[test]
    fn a_secret_is_one_word() {
        assert_eq!(said(&Kind::Secret, "abc:123"), "ok");
        for bad in ["", "  ", "a b", "abc\n"] {
            assert_ne!(said(&Kind::Secret, bad), "ok", "{bad:?}");
        }
    }

    #[test]
    fn a_listen_address_has_an_address_and_a_port() {
        assert_eq!(said(&Kind::Listen, "[::1]:80"), "ok");
        for bad in ["7878", ":7878", "localhost:7878", "127.0.0.1"] {
            assert_ne!(said(&Kind::Listen, bad), "ok", "{bad}");
        }
    }
}
