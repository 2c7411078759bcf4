//! A JSON value becomes a cell of the column's type, or an offence in words.
//!
//! Whatever is not text treats `""` as null: HQ stores an unset text, Link or Data field as either of the two, and only a
//! text column can tell them apart. Numbers are read from the text HQ sent, so money never passes a binary float.
//! An offence never holds more than 60 characters of a value, and no control characters.

use std::borrow::Cow;

use chrono_tz::Tz;

use super::offence::Offence;
use super::spec::Literal;
use super::{moment, number};
use crate::record::Scalar;
use crate::row::{Cell, Type};

/// How many characters of a value a sentence may show.
const SHOWN: usize = 60;

/// Reads `scalar` as a value of `ty`; naive moments are wall time of `zone`.
pub(super) fn read(scalar: Scalar<'_>, ty: Type, zone: Tz) -> Result<Cell, Offence> {
    match ty {
        Type::Text { max_length } => text(scalar, max_length),
        _ if is_blank(&scalar) => Ok(Cell::Null),
        Type::Int => number::int(&scalar),
        Type::Float | Type::Duration => number::float(&scalar),
        Type::Decimal { scale } => number::decimal(&scalar, scale),
        Type::Bool => number::boolean(&scalar),
        Type::Date => moment::date(words(&scalar, "a date")?).map(Cell::Date),
        Type::Datetime => moment::datetime(words(&scalar, "a date and time")?, zone).map(Cell::Datetime),
        Type::Time => moment::time(words(&scalar, "a time of day")?).map(Cell::Time),
        Type::Json => json(scalar),
    }
}

/// Reads a scalar of `sync.toml` as HQ's value would be read; it must not come out as null.
pub(super) fn literal(literal: &Literal, ty: Type, zone: Tz) -> Result<Cell, Offence> {
    let cell = match literal {
        Literal::Text(text) => read(Scalar::Text(Cow::Borrowed(text)), ty, zone),
        Literal::Int(number) => read(Scalar::Number(&number.to_string()), ty, zone),
        Literal::Float(text) => read(Scalar::Number(text.replace('_', "").trim_start_matches('+')), ty, zone),
        Literal::Bool(claim) => read(Scalar::Bool(*claim), ty, zone),
    }?;
    if cell.is_null() { Err(format!("an empty text is no value of type {}", ty.word()).into()) } else { Ok(cell) }
}

/// Null, or text that only a text column can tell from null.
pub(super) fn is_blank(scalar: &Scalar<'_>) -> bool {
    match scalar {
        Scalar::Null => true,
        Scalar::Text(text) => text.trim().is_empty(),
        Scalar::Bool(_) | Scalar::Number(_) | Scalar::Tree(_) => false,
    }
}

/// The text of a value, `None` for null; booleans as HQ prints a Check: `1` and `0`.
pub(super) fn as_text(scalar: Scalar<'_>) -> Option<Cow<'_, str>> {
    match scalar {
        Scalar::Null => None,
        Scalar::Bool(claim) => Some(Cow::Borrowed(if claim { "1" } else { "0" })),
        Scalar::Number(text) | Scalar::Tree(text) => Some(Cow::Borrowed(text)),
        Scalar::Text(text) => Some(text),
    }
}

/// A value in quotes, cut to what a sentence may show.
pub(super) fn quote(text: &str) -> String {
    let shown: String = printable(text).take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() { format!("\"{shown}…\"") } else { format!("\"{shown}\"") }
}

/// The characters of `text`, control characters replaced.
pub(super) fn printable(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c })
}

/// A text, checked against the longest one the column takes; it is never cut.
pub(super) fn checked_text(text: Cow<'_, str>, max_length: Option<u32>) -> Result<Cell, Offence> {
    if let Some(max) = max_length.map(|max| max as usize)
        && text.len() > max
    {
        let length = text.chars().count();
        if length > max {
            return Err(format!("{length} characters, where max_length allows {max}").into());
        }
    }
    Ok(Cell::Text(text.into()))
}

fn text(scalar: Scalar<'_>, max_length: Option<u32>) -> Result<Cell, Offence> {
    as_text(scalar).map_or(Ok(Cell::Null), |text| checked_text(text, max_length))
}

/// HQ sends a JSON field as indented text (recording 1102); the text is kept as sent.
fn json(scalar: Scalar<'_>) -> Result<Cell, Offence> {
    let text = match scalar {
        Scalar::Bool(claim) => Cow::Borrowed(if claim { "true" } else { "false" }),
        Scalar::Null | Scalar::Number(_) | Scalar::Text(_) | Scalar::Tree(_) => as_text(scalar).unwrap_or_default(),
    };
    // A whole read, not a skip: only that bounds the depth.
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(_) => Ok(Cell::Json(text.into())),
        // What a double does not hold is JSON all the same, and the database might take it; no comparison here would.
        Err(error) if error.to_string().starts_with("number out of range") => {
            Err(Offence::of(quote(&text), format!(" holds a number beyond 1.8e308 ({error}): use type = \"text\"")))
        }
        Err(error) => Err(Offence::of(quote(&text), format!(" is not JSON: {error}"))),
    }
}

fn words<'s>(scalar: &'s Scalar<'_>, what: &str) -> Result<&'s str, Offence> {
    match scalar {
        Scalar::Text(text) => Ok(text.trim()),
        Scalar::Null | Scalar::Bool(_) | Scalar::Number(_) | Scalar::Tree(_) => Err(not(scalar, what)),
    }
}

/// The offence of a value that is not what the type wants.
pub(super) fn not(scalar: &Scalar<'_>, what: &str) -> Offence {
    Offence::of(shown(scalar), format!(" is not {what}"))
}

/// A value as a sentence may show it.
pub(super) fn shown(scalar: &Scalar<'_>) -> String {
    match scalar {
        Scalar::Null => "null".to_owned(),
        Scalar::Bool(claim) => claim.to_string(),
        Scalar::Number(digits) if digits.len() <= SHOWN => (*digits).to_owned(),
        Scalar::Number(digits) => quote(digits),
        Scalar::Text(text) => quote(text),
        Scalar::Tree(_) => "a list or an object".to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const TEXT: Type = Type::Text { max_length: None };
    const SHORT: Type = Type::Text { max_length: Some(3) };
    const MONEY: Type = Type::Decimal { scale: Some(2) };

    /// `Ok(None)` is null.
    pub(in crate::mapping) fn of(raw: &str, ty: Type) -> Result<Option<String>, String> {
        read(Scalar::read(raw), ty, Tz::UTC).map(|cell| cell.text()).map_err(|offence| offence.to_string())
    }

    pub(in crate::mapping) fn accepts(ty: Type, cases: &[(&str, &str)]) {
        for (raw, expected) in cases {
            assert_eq!(of(raw, ty), Ok(Some((*expected).to_owned())), "{raw} as {ty:?}");
        }
    }

    pub(in crate::mapping) fn refuses(ty: Type, cases: &[&str]) {
        for raw in cases {
            let offence = of(raw, ty).expect_err(&format!("{raw} as {ty:?}"));
            assert!(offence.chars().count() <= 160, "{offence}");
        }
    }

    #[test]
    fn null_stays_null_in_every_type_and_an_empty_text_is_null_in_all_but_text() {
        let every = [Type::Int, Type::Float, MONEY, Type::Bool, Type::Date, Type::Datetime, Type::Time, Type::Duration];
        for ty in every.into_iter().chain([Type::Json]) {
            assert_eq!((of("null", ty), of("\"\"", ty), of("\" \"", ty)), (Ok(None), Ok(None), Ok(None)), "{ty:?}");
        }
        assert_eq!(of("null", TEXT), Ok(None));
        assert_eq!(of("\"\"", TEXT), Ok(Some(String::new())));
    }

    #[test]
    fn text_is_kept_as_hq_sent_it() {
        accepts(
            TEXT,
            &[
                (r#"" Cone ""#, " Cone "),
                (r#""a\u00e9\n\"b\"""#, "aé\n\"b\""),
                ("80.0", "80.0"),
                ("1e-7", "1e-7"),
                ("true", "1"),
                ("false", "0"),
                (r#"{"a": [1]}"#, r#"{"a": [1]}"#),
            ],
        );
    }

    #[test]
    fn max_length_counts_characters_and_refuses_rather_than_cuts() {
        accepts(SHORT, &[(r#""äöü""#, "äöü"), ("123", "123")]);
        assert_eq!(of(r#""äöüß""#, SHORT), Err("4 characters, where max_length allows 3".to_owned()));
        refuses(SHORT, &["1234"]);
    }

    #[test]
    fn json_is_kept_as_sent_but_must_be_json() {
        accepts(
            Type::Json,
            &[(r#""{\n \"a\": 1\n}""#, "{\n \"a\": 1\n}"), ("[1, 2]", "[1, 2]"), ("5", "5"), ("true", "true")],
        );
        let deep = "[".repeat(200) + &"]".repeat(200);
        refuses(Type::Json, &["\"{\"", "\"abc\"", &deep]);
        assert!(of("\"[1e400]\"", Type::Json).unwrap_err().contains("a number beyond 1.8e308"));
    }

    #[test]
    fn literals_must_fit_the_type() {
        let fits = |lit: Literal, ty| literal(&lit, ty, Tz::UTC).map(|cell| cell.text());
        assert_eq!(fits(Literal::Float("1_000.50".into()), MONEY), Ok(Some("1000.50".into())));
        assert_eq!(fits(Literal::Text(String::new()), TEXT), Ok(Some(String::new())));
        assert_eq!(fits(Literal::Int(1), Type::Bool), Ok(Some("1".into())));
        assert_eq!(fits(Literal::Text("2024-05-05".into()), Type::Date), Ok(Some("2024-05-05".into())));
        assert!(fits(Literal::Text(String::new()), Type::Int).is_err());
        assert!(fits(Literal::Text("abc".into()), MONEY).is_err());
        assert!(fits(Literal::Bool(true), Type::Date).is_err());
        assert!(fits(Literal::Float("nan".into()), Type::Float).is_err());
    }

    #[test]
    fn a_sentence_shows_at_most_sixty_characters_and_no_control_characters() {
        let long = quote(&"ä".repeat(500));
        assert_eq!(long.chars().filter(|c| *c == 'ä').count(), 60);
        assert_eq!(quote("a\nb\u{1b}[0m"), "\"a\u{fffd}b\u{fffd}[0m\"");
        let offence = of(&"9".repeat(400), Type::Int).expect_err("too long");
        assert_eq!(offence.chars().filter(|c| *c == '9').count(), 60);
    }
}
