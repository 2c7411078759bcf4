//! Whether one text is what its key wants: a zone, a pattern, a name, a word. What keys mean together is not
//! looked at here.

use std::net::SocketAddr;

use chrono_tz::Tz;

use super::said::{Code, Said};
use super::schema::{Kind, Words};
use super::{cron, duration, url, words};

/// PostgreSQL cuts longer identifiers off, in silence.
const LONGEST_IDENTIFIER: usize = 63;

/// A job's name is a column of the run log and a label of metrics.
const LONGEST_JOB_NAME: usize = 64;

/// The tables that milkrun keeps for itself.
const RESERVED_PREFIX: &str = "milkrun_";

/// Why a text will not do, in the pieces of a sentence around the text itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Its kind.
    pub(super) code: Code,
    /// What the text is no known one of, where that is the whole fault.
    pub(super) unknown: Option<&'static str>,
    /// Stands after the text; holds nothing of it.
    pub(super) tail: String,
    /// Stands after `tail`, but only where the text may be shown, of which it may quote.
    pub(super) detail: String,
    /// What to do; holds nothing of the text.
    pub(super) help: Option<String>,
    /// What was probably meant; for where the text may be shown.
    pub(super) near: Option<String>,
}

impl Fault {
    /// `{text} {tail}`.
    pub(super) fn of(tail: impl Into<String>) -> Self {
        let tail = format!(" {}", tail.into());
        Self { code: Code::InvalidValue, unknown: None, tail, detail: String::new(), help: None, near: None }
    }

    /// And what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// And what was probably meant, if that can be told.
    pub(super) fn near(mut self, near: Option<String>) -> Self {
        self.near = near;
        self
    }

    /// `unknown {what} {text}`.
    fn unknown(what: &'static str) -> Self {
        Self { code: Code::UnknownWord, unknown: Some(what), ..Self::of("") }
    }

    fn out_of_bounds(help: String) -> Self {
        Self { code: Code::OutOfBounds, ..Self::of("is out of bounds") }.help(help)
    }

    /// What is said of the text `shown`.
    pub(super) fn said(&self, shown: &str, is_showable: bool) -> Said {
        let Self { code, unknown, tail, detail, help, near } = self;
        let detail = if is_showable { detail.as_str() } else { "" };
        let what = match unknown {
            Some(kind) if shown.starts_with('"') => format!("unknown {kind} {shown}"),
            Some(kind) => format!("{shown} is no known {kind}"),
            None => format!("{shown}{tail}{detail}"),
        };
        Said { code: *code, what, help: help.clone(), near: near.clone().filter(|_| is_showable) }
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
            None => Err(Fault::of("is not a length of time")
                .help(format!("write {}", duration::EXPECTED))
                .near(duration::meant(text))),
            Some(time) if time < *least || time > *most => {
                let (least, most) = (duration::shown(*least), duration::shown(*most));
                Err(Fault::out_of_bounds(format!("it goes from {least} to {most}")))
            }
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
            is_bool.then_some(()).ok_or_else(|| Fault::of("is neither \"true\" nor \"false\""))
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
        | Kind::Fields(_) => Ok(()),
    }
}

/// Whether the number is within bounds.
pub(super) fn integer(least: i64, most: i64, number: i64) -> Result<(), Fault> {
    match (least..=most).contains(&number) {
        true => Ok(()),
        false if most == i64::MAX => Err(Fault::out_of_bounds(format!("it is at least {least}"))),
        false => Err(Fault::out_of_bounds(format!("it goes from {least} to {most}"))),
    }
}

/// Whether the number is within bounds; `nan` is not.
pub(super) fn number(least: f64, most: f64, number: f64) -> Result<(), Fault> {
    let is_within = (least..=most).contains(&number);
    is_within
        .then_some(())
        .ok_or_else(|| Fault::out_of_bounds(format!("it goes from {least} to {most}")))
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
        false => {
            let inner: Vec<&str> = text.split_whitespace().collect();
            Err(Fault::of("must be one line without white space at its ends").near(Some(inner.join(" "))))
        }
    }
}

fn secret(text: &str) -> Result<(), Fault> {
    if text.trim().is_empty() {
        return Err(Fault::of("must not be empty"));
    }
    let pairs = [("$", ""), ("%", "%"), ("$(", ")"), ("{{", "}}"), ("{", "}"), ("<", ">")];
    let mut inner = pairs.iter().filter_map(|(start, end)| text.strip_prefix(start)?.strip_suffix(end));
    let is_name = |name: &str| name.starts_with(|c: char| c.is_ascii_alphabetic()) && identifier("", name).is_ok();
    if inner.any(is_name) {
        return Err(Fault::of("looks like a variable and would be taken as it is").help("write \"${NAME}\""));
    }
    let is_plain = text.chars().all(|c| c.is_ascii_graphic());
    is_plain.then_some(()).ok_or_else(|| {
        Fault::of("holds white space or a character beyond ASCII, which no credential of HQ's does")
            .help("look for a space or the end of a line that was copied with it")
    })
}

fn pem(text: &str) -> Result<(), Fault> {
    if text.trim().is_empty() { Err(Fault::of("must not be empty")) } else { Ok(()) }
}

fn zone(text: &str) -> Result<(), Fault> {
    if text.parse::<Tz>().is_ok() {
        return Ok(());
    }
    let help = "write the name of the IANA zone, such as \"Asia/Kolkata\"";
    Err(Fault::unknown("time zone").help(help).near(near_zone(text)))
}

fn near_zone(text: &str) -> Option<String> {
    let zones = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
    let plain = text.trim().replace([' ', '-'], "_");
    // People write the city alone, too.
    let city = |zone: &&str| zone.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&plain));
    let is_same = |zone: &&str| zone.eq_ignore_ascii_case(&plain);
    if let Some(zone) = zones.clone().find(is_same).or_else(|| zones.clone().find(city)) {
        return Some(zone.to_owned());
    }
    // "IST" is a slip away from "EST" and half the world from it.
    let is_abbreviation = text.len() <= 5 || text.starts_with("UTC") || text.starts_with("GMT");
    let area = |zone: &&str| zone.split_once('/').is_some_and(|(area, _)| Some(area) == plain.split('/').next());
    if is_abbreviation {
        return None;
    }
    let in_area: Vec<&str> = zones.clone().filter(area).collect();
    let near = if in_area.is_empty() { words::nearest(&plain, zones.clone()) } else { words::nearest(&plain, in_area) };
    let cities = || zones.clone().filter_map(|zone| zone.rsplit_once('/').map(|(_, city)| (city, zone)));
    let by_city = || {
        let city = words::nearest(&plain, cities().map(|(city, _)| city))?;
        cities().find(|(other, _)| *other == city).map(|(_, zone)| zone)
    };
    near.or_else(by_city).map(str::to_owned)
}

fn listen(text: &str) -> Result<(), Fault> {
    let port = text.rsplit_once(':').and_then(|(_, port)| port.parse::<u64>().ok());
    if port.is_some_and(|port| port > u64::from(u16::MAX)) {
        return Err(Fault::out_of_bounds("a port goes from 1 to 65535".to_owned()));
    }
    let fault = |_| {
        Fault::of("is not an address and a port")
            .help("write both, such as \"127.0.0.1:7878\" or \"[::]:7878\"")
            .near(near_listen(text))
    };
    text.parse::<SocketAddr>().map(drop).map_err(fault)
}

fn near_listen(text: &str) -> Option<String> {
    let bare = text.trim().trim_start_matches("http://").trim_end_matches('/');
    let (host, port) = bare.rsplit_once(':').unwrap_or(("", bare));
    let host = match host {
        "" | "localhost" => "127.0.0.1",
        "*" => "0.0.0.0",
        host => host,
    };
    let near = format!("{host}:{}", port.trim());
    near.parse::<SocketAddr>().is_ok().then_some(near)
}

fn job_name(text: &str) -> Result<(), Fault> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_name = (1..=LONGEST_JOB_NAME).contains(&text.len()) && text.chars().all(is_plain);
    is_name.then_some(()).ok_or_else(|| {
        Fault::of("is not a job's name")
            .help(format!("it is of letters, digits, \"_\" and \"-\", at most {LONGEST_JOB_NAME}"))
            .near(words::plain(text, LONGEST_JOB_NAME, '-'))
    })
}

fn table(text: &str) -> Result<(), Fault> {
    let prefix = text.get(..RESERVED_PREFIX.len()).unwrap_or_default();
    if prefix.eq_ignore_ascii_case(RESERVED_PREFIX) {
        let fault = Fault::of("is not for a job");
        return Err(fault.help(format!("tables named {RESERVED_PREFIX}… are milkrun's own; name it otherwise")));
    }
    identifier("a table", text)
}

fn identifier(what: &str, text: &str) -> Result<(), Fault> {
    let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && text.len() <= LONGEST_IDENTIFIER;
    is_name.then_some(()).ok_or_else(|| {
        Fault::of(format!("is not {what}'s name"))
            .help(format!("it is of letters, digits and \"_\", no digit first, at most {LONGEST_IDENTIFIER}"))
            .near(words::plain(text, LONGEST_IDENTIFIER, '_'))
    })
}

fn hq_field(text: &str) -> Result<(), Fault> {
    let is_name =
        (1..=LONGEST_JOB_NAME).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some(()).ok_or_else(|| {
        let near = words::plain(text, LONGEST_JOB_NAME, '_').map(|name| name.to_lowercase());
        Fault::of("is not an HQ field's name")
            .help("it is of letters, digits and \"_\", such as \"item_name\"; a constant is { const = \"…\" }, all else { expr = \"…\" }")
            .near(near.filter(|_| text.contains([' ', '-']) && !text.contains(['(', '+', '*', '|'])))
    })
}

fn word(words: &Words, text: &str) -> Result<(), Fault> {
    if words.known.contains(&text) {
        return Ok(());
    }
    // `varchar(140)`
    let name = text.split('(').next().filter(|name| !name.is_empty()).unwrap_or(text);
    let near = words.nearest(name).map(str::to_owned);
    Err(Fault::unknown(words.what).help(format!("expected {}", words::either(words.known))).near(near))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: &Kind, text: &str) -> String {
        check(kind, text).map_or_else(|fault| fault.said(&format!("{text:?}"), true).sentence(), |()| "ok".into())
    }

    #[test]
    fn a_zone_is_known_or_the_nearest_is_named() {
        assert_eq!(said(&Kind::Zone, "Asia/Kolkata"), "ok");
        let near = r#"unknown time zone "Asia/Kolkatta", did you mean "Asia/Kolkata"?"#;
        assert_eq!(said(&Kind::Zone, "Asia/Kolkatta"), near);
        assert!(said(&Kind::Zone, "kolkata").ends_with(r#"did you mean "Asia/Kolkata"?"#));
        assert!(said(&Kind::Zone, "New York").ends_with(r#"did you mean "America/New_York"?"#));
        for none in ["somewhere else", "IST", "UTC+05:30", "+05:30"] {
            assert!(said(&Kind::Zone, none).contains("write the name of the IANA zone"), "{none}");
        }
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
        assert_eq!(said(&kind, "2h"), r#""2h" is out of bounds; it goes from 1s to 1h"#);
        assert_eq!(said(&kind, "30"), r#""30" is not a length of time, did you mean "30s"?"#);
        assert!(said(&kind, "soon").contains(r#"; write a whole number and a unit"#));
    }

    #[test]
    fn a_text_that_must_not_be_shown_gives_no_hint_away() {
        let fault = check(&Kind::Zone, "Asia/Kolkatta").unwrap_err();
        let said = fault.said("\"${TZ}\"", false).sentence();
        let expected = "unknown time zone \"${TZ}\"; write the name of the IANA zone, such as \"Asia/Kolkata\"";
        assert_eq!(said, expected);
    }

    #[test]
    fn a_secret_is_one_word() {
        assert_eq!(said(&Kind::Secret, "abc:123"), "ok");
        for bad in ["", "  ", "a b", "abc\n", "$HQ_API_KEY", "%HQ_API_KEY%", "$(HQ_API_KEY)", "{{HQ_API_KEY}}"] {
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
