//! What the outlet stores: typed cells, rows and keys. No SQL, no JSON.

use std::fmt::{self, Write as _};

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use rust_decimal::Decimal;

/// The type of a mapped column; how each is stored on each database is the store's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// Text of any length; `max_length` counts characters.
    Text {
        /// The longest text the column takes, in characters.
        max_length: Option<u32>,
    },
    /// A 64-bit integer.
    Int,
    /// A binary float; not for money.
    Float,
    /// An exact decimal.
    Decimal {
        /// Digits after the point; `None` keeps what HQ sent.
        scale: Option<u32>,
    },
    /// True or false.
    Bool,
    /// A calendar date.
    Date,
    /// A moment, stored in UTC, exact to the microsecond.
    Datetime,
    /// A time of day, exact to the microsecond.
    Time,
    /// A length of time in seconds, with a fraction.
    Duration,
    /// JSON, stored as HQ sent it as far as the database keeps it.
    Json,
}

impl Type {
    /// The word of `sync.toml`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Int => "int",
            Self::Float => "float",
            Self::Decimal { .. } => "decimal",
            Self::Bool => "bool",
            Self::Date => "date",
            Self::Datetime => "datetime",
            Self::Time => "time",
            Self::Duration => "duration",
            Self::Json => "json",
        }
    }
}

/// One value of a row.
#[derive(Debug, Clone)]
pub enum Cell {
    /// No value; an empty text is not null.
    Null,
    /// Text.
    Text(Box<str>),
    /// An integer.
    Int(i64),
    /// A float or a duration in seconds; never NaN.
    Float(f64),
    /// An exact decimal.
    Decimal(Decimal),
    /// True or false.
    Bool(bool),
    /// A date.
    Date(NaiveDate),
    /// A moment in UTC.
    Datetime(NaiveDateTime),
    /// A time of day.
    Time(NaiveTime),
    /// JSON text.
    Json(Box<str>),
}

impl Cell {
    /// Whether the cell holds no value.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The canonical text of the value, or `None` for null; what is shown, hashed and bound to text parameters.
    ///
    /// Moments read `YYYY-MM-DD HH:MM:SS[.ffffff]` (UTC), booleans `1` and `0`, decimals keep their scale.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        (!self.is_null()).then(|| self.to_string())
    }

    /// Reads back what [`Cell::text`] printed, as a value of `ty`. `None` where the text is no such value.
    #[must_use]
    pub fn from_text(text: &str, ty: Type) -> Option<Self> {
        Some(match ty {
            Type::Text { .. } => Self::Text(text.into()),
            Type::Int => Self::Int(text.parse().ok()?),
            Type::Float | Type::Duration => Self::Float(text.parse().ok().filter(|f: &f64| f.is_finite())?),
            Type::Decimal { .. } => Self::Decimal(decimal(text)?),
            Type::Bool => Self::Bool(match text {
                "1" | "t" | "true" => true,
                "0" | "f" | "false" => false,
                _ => return None,
            }),
            Type::Date => Self::Date(text.get(..10)?.parse().ok()?),
            Type::Datetime => Self::Datetime(moment(text)?),
            Type::Time => Self::Time(NaiveTime::parse_from_str(text, "%H:%M:%S%.f").ok()?),
            Type::Json => Self::Json(text.into()),
        })
    }
}

/// Reads a decimal number, also in the `1e-7` form that JSON allows.
#[must_use]
pub fn decimal(text: &str) -> Option<Decimal> {
    // `from_str_exact` refuses what it cannot hold; `from_str`, which `from_scientific` relies on, would round.
    match text.split_once(['e', 'E']) {
        Some((digits, _)) => Decimal::from_str_exact(digits).and_then(|_| Decimal::from_scientific(text)).ok(),
        None => Decimal::from_str_exact(text).ok(),
    }
}

fn moment(text: &str) -> Option<NaiveDateTime> {
    let zoneless = text.strip_suffix("+00").or_else(|| text.strip_suffix('Z')).unwrap_or(text);
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(zoneless, format).ok())
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Text(text) | Self::Json(text) => f.write_str(text),
            Self::Int(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Decimal(number) => number.fmt(f),
            Self::Bool(claim) => f.write_char(if *claim { '1' } else { '0' }),
            Self::Date(date) => date.fmt(f),
            Self::Datetime(moment) => fmt_micros(f, *moment, "%Y-%m-%d %H:%M:%S"),
            Self::Time(time) => fmt_micros(f, NaiveDate::default().and_time(*time), "%H:%M:%S"),
        }
    }
}

fn fmt_micros(f: &mut fmt::Formatter<'_>, moment: NaiveDateTime, whole: &str) -> fmt::Result {
    write!(f, "{}", moment.format(whole))?;
    match moment.and_utc().timestamp_subsec_micros() {
        0 => Ok(()),
        micros => write!(f, ".{micros:06}"),
    }
}

/// Equal as the database would say: decimals by value, JSON by content, everything else exactly.
impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Decimal(a), Self::Decimal(b)) => a == b,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Date(a), Self::Date(b)) => a == b,
            (Self::Datetime(a), Self::Datetime(b)) => a == b,
            (Self::Time(a), Self::Time(b)) => a == b,
            (Self::Json(a), Self::Json(b)) => a == b || same_json(a, b),
            _ => false,
        }
    }
}

fn same_json(a: &str, b: &str) -> bool {
    let read = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    match (read(a), read(b)) {
        (Some(a), Some(b)) => a == b,
        (None | Some(_), _) => false,
    }
}

/// The cells of one row, in the order of the mapping's columns.
pub type Row = Vec<Cell>;

/// The identity of a local row: the cells of the key columns, in the order of `key`.
#[derive(Debug, Clone, PartialEq)]
pub struct Key(pub Vec<Cell>);

impl Key {
    /// One text for the whole key: the value itself for a single column, a JSON list of texts for several.
    #[must_use]
    pub fn text(&self) -> String {
        match self.0.as_slice() {
            [only] => only.to_string(),
            several => serde_json::Value::from(several.iter().map(Cell::text).collect::<Vec<_>>()).to_string(),
        }
    }

    /// Reads back what [`Key::text`] printed. `None` where the text does not fit `types`.
    #[must_use]
    pub fn from_text(text: &str, types: &[Type]) -> Option<Self> {
        if let [only] = types {
            return Some(Self(vec![Cell::from_text(text, *only)?]));
        }
        let texts: Vec<Option<String>> = serde_json::from_str(text).ok()?;
        if texts.len() != types.len() {
            return None;
        }
        let cells = texts.iter().zip(types).map(|(text, ty)| match text {
            Some(text) => Cell::from_text(text, *ty),
            None => Some(Cell::Null),
        });
        cells.collect::<Option<Vec<_>>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_exact_or_none() {
        for (text, expected) in [("80.0", "80.0"), ("1e-7", "0.0000001"), ("1.2E3", "1200"), ("-5e+1", "-50")] {
            assert_eq!(decimal(text).map(|number| number.to_string()), Some(expected.to_owned()), "{text}");
        }
        for text in ["0.12345678901234567890123456789", "1.23456789012345678901234567891e1", "1e29", "1e-29", "", "e5"]
        {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}
