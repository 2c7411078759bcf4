//! What to write in the place of a value of the wrong type. Nothing of a text is repeated, as it may be a secret.

use std::time::Duration;

use crate::config::keys::DELETE_LIMIT;
use crate::config::said::Said;
use crate::config::schema::Kind;
use crate::config::toml::Shape;
use crate::config::{cron, duration, words};

/// A key that takes less than this is told in milliseconds as well.
const SHORT: Duration = Duration::from_millis(100);

/// So many seconds nobody waits between two requests.
const MANY: u64 = 100;

/// `said` with the remedy for a value of this shape where `kind` is wanted.
pub(super) fn of(said: Said, kind: &Kind, shape: &Shape) -> Said {
    if let Kind::Table(section) = kind
        && section.title == DELETE_LIMIT.title
        && let Some(limit) = delete_limit(shape)
    {
        return said.help(format!("write {limit}"));
    }
    match (kind, shape) {
        (Kind::Secret | Kind::HqUrl | Kind::LocalUrl | Kind::Pem, Shape::Int(_) | Shape::Float(_) | Shape::Bool(_)) => {
            said.help("put it in quotes")
        }
        (Kind::Duration { least, most }, Shape::Int(number @ 0..)) => {
            said.near(Some(time(number.unsigned_abs(), *least, *most)))
        }
        (Kind::Duration { .. }, Shape::Float(number)) => said.near(duration::meant(number)),
        (Kind::Listen, Shape::Int(port)) => said.near(Some(format!("127.0.0.1:{port}"))),
        (Kind::Bool, Shape::Text(text)) => match text.to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" | "y" => said.help("write true, without quotes"),
            "false" | "no" | "off" | "0" | "n" => said.help("write false, without quotes"),
            _ => said,
        },
        (Kind::Bool, Shape::Int(0)) => said.help("write false"),
        (Kind::Bool, Shape::Int(1)) => said.help("write true"),
        (Kind::Integer { .. } | Kind::Number { .. }, Shape::Text(text)) => {
            let digits = text.trim().trim_end_matches('%').trim_end().replace([',', '_'], "");
            // `500 records`
            let first = digits.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            match (digits.parse::<f64>(), first.parse::<u64>()) {
                (Ok(_), _) => said.help(format!("write {digits}, without quotes")),
                (Err(_), Ok(first)) => said.help(format!("write {first}")),
                (Err(_), Err(_)) => said,
            }
        }
        (Kind::Integer { .. }, Shape::Float(text)) => match text.trim_end_matches('0').strip_suffix('.') {
            Some(whole) => said.help(format!("write {whole}")),
            None => match text.parse::<f64>() {
                // `1e6`
                Ok(number) if number.fract() == 0.0 && number.abs() < 1e15 => said.help(format!("write {number}")),
                Ok(_) | Err(_) => said.help("write a whole number"),
            },
        },
        (
            Kind::Text
            | Kind::Line
            | Kind::Zone
            | Kind::JobName
            | Kind::LocalTable
            | Kind::Column
            | Kind::Integer { .. }
            | Kind::Number { .. }
            | Kind::Bool
            | Kind::Duration { .. }
            | Kind::Cron,
            Shape::List(nodes),
        ) if nodes.len() == 1 => said.help("write it without the brackets"),
        (Kind::List(_), Shape::Text(_)) => said.help("put it in square brackets, as in [\"items\"]"),
        (Kind::Table(section), Shape::Text(_) | Shape::Int(_) | Shape::Float(_) | Shape::Bool(_) | Shape::List(_)) => {
            said.help(format!("write {}", section.example()))
        }
        (Kind::Json, Shape::Date) => said.help("put it in quotes"),
        (
            Kind::Text
            | Kind::Line
            | Kind::Zone
            | Kind::Cron
            | Kind::JobName
            | Kind::LocalTable
            | Kind::Column
            | Kind::HqField,
            Shape::Date,
        ) => said.help("put it in quotes"),
        (Kind::Word(words), _) => said.help(format!("write {}", words::either(words.known))),
        (Kind::Cron, _) => said.help(cron::FORM),
        (Kind::Fields(header), _) => {
            said.help(format!("write {header}, and below it column = \"hq_field\" for each column"))
        }
        (Kind::HqField, Shape::List(_)) => {
            said.help("several fields are joined by { expr = \"first_name ~ ' ' ~ last_name\" }")
        }
        (Kind::HqField, Shape::Int(_) | Shape::Float(_) | Shape::Bool(_)) => {
            said.help("a constant is written { const = … }")
        }
        (Kind::Line | Kind::Text, Shape::Int(number)) => said.near(Some(number.to_string())),
        _ => said,
    }
}

/// A number of what the key is usually told in: of a length that may be very short, milliseconds.
fn time(number: u64, least: Duration, most: Duration) -> String {
    let is_short = least > Duration::ZERO && least < SHORT && number >= MANY;
    let unit = if is_short || Duration::from_secs(number) > most { "ms" } else { "s" };
    format!("{number}{unit}")
}

/// The table for `"5%"` and `20`, if that was written.
fn delete_limit(shape: &Shape) -> Option<String> {
    match shape {
        Shape::Int(rows) if *rows >= 0 => Some(format!("{{ rows = {rows} }}")),
        Shape::Float(percent) => Some(format!("{{ percent = {percent} }}")),
        Shape::Text(text) => match text.trim().strip_suffix('%') {
            Some(percent) => {
                let percent: f64 = percent.trim().parse().ok()?;
                Some(format!("{{ percent = {percent} }}"))
            }
            None => {
                let rows: u64 = text.trim().parse().ok()?;
                Some(format!("{{ rows = {rows} }}"))
            }
        },
        Shape::Int(_) | Shape::Bool(_) | Shape::Date | Shape::List(_) | Shape::Table(_) => None,
    }
}
