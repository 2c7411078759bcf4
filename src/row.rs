//! What the outlet stores: typed cells, rows and keys. No SQL, no JSON.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _};
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
    Text(Arc<str>),
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
    Json(Arc<str>),
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
        (!self.is_null()).then(|| self.print())
    }

    /// The canonical text of the value, `null` for null.
    pub(crate) fn print(&self) -> String {
        let mut text = Vec::with_capacity(32);
        self.append(&mut text);
        // Only texts were appended.
        String::from_utf8(text).unwrap_or_default()
    }

    /// Appends the canonical text of the value, `null` for null.
    ///
    /// By hand where a page has it thousands of times: what is shown, hashed, compared and bound goes through here.
    pub fn append(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Text(text) | Self::Json(text) => out.extend_from_slice(text.as_bytes()),
            Self::Int(number) => out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes()),
            // Writing to a `Vec` cannot fail.
            Self::Float(number) => write!(out, "{number}").unwrap_or_default(),
            Self::Decimal(number) => append_decimal(out, *number),
            Self::Bool(claim) => out.push(if *claim { b'1' } else { b'0' }),
            Self::Date(date) => append_date(out, *date),
            Self::Datetime(moment) => {
                append_date(out, moment.date());
                out.push(b' ');
                append_time(out, moment.time());
            }
            Self::Time(time) => append_time(out, *time),
        }
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
        f.write_str(&self.print())
    }
}

/// Appends a decimal as [`Decimal`] prints it: with all digits of its scale.
pub(crate) fn append_decimal(out: &mut Vec<u8>, number: Decimal) {
    let scale = number.scale() as usize;
    if number.is_sign_negative() {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let mantissa = number.mantissa().unsigned_abs();
    // Few have more than 64 bits, and those take longer.
    let digits = match u64::try_from(mantissa) {
        Ok(small) => buffer.format(small),
        Err(_) => buffer.format(mantissa),
    };
    let digits = digits.as_bytes();
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    if scale > 0 {
        out.push(b'.');
        out.extend(std::iter::repeat_n(b'0', scale - fraction.len()));
        out.extend_from_slice(fraction);
    }
}

/// `YYYY-MM-DD`; years beyond four digits as chrono prints them.
fn append_date(out: &mut Vec<u8>, date: NaiveDate) {
    match u32::try_from(date.year()) {
        Ok(year) if year <= 9_999 => {
            let ([a, b], [c, d]) = (two_digits(year / 100), two_digits(year));
            let ([e, f], [g, h]) = (two_digits(date.month()), two_digits(date.day()));
            out.extend_from_slice(&[a, b, c, d, b'-', e, f, b'-', g, h]);
        }
        Ok(_) | Err(_) => out.write_fmt(format_args!("{date}")).unwrap_or_default(),
    }
}

/// `HH:MM:SS[.ffffff]`; chrono itself would print three, six or nine digits after the point.
fn append_time(out: &mut Vec<u8>, time: NaiveTime) {
    let ([a, b], [c, d], [e, f]) = (two_digits(time.hour()), two_digits(time.minute()), two_digits(time.second()));
    out.extend_from_slice(&[a, b, b':', c, d, b':', e, f]);
    match time.nanosecond() % 1_000_000_000 / 1_000 {
        0 => {}
        micros => {
            let ([a, b], [c, d], [e, f]) = (two_digits(micros / 10_000), two_digits(micros / 100), two_digits(micros));
            out.extend_from_slice(&[b'.', a, b, c, d, e, f]);
        }
    }
}

/// The last two digits of a number.
fn two_digits(number: u32) -> [u8; 2] {
    [number / 10, number].map(|number| (number % 10).try_into().map_or(b'0', |digit: u8| b'0' + digit))
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
    /// One text for the whole key: the value itself for a single column, a JSON list of texts for several. That of a text
    /// column is the cell's own, not a copy.
    #[must_use]
    pub fn text(&self) -> Arc<str> {
        match self.0.as_slice() {
            [Cell::Text(only)] => Arc::clone(only),
            [only] => only.print().into(),
            several => {
                let texts = several.iter().map(Cell::text).collect::<Vec<_>>();
                serde_json::Value::from(texts).to_string().into()
            }
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
    fn a_cell_prints_as_its_type_does() {
        for text in
            ["0", "0.00", "-0.05", "80.50", "-1200", "0.0000001", "18446744073709551616.5", "12345678901234567890"]
        {
            let number = Decimal::from_str_exact(text).unwrap();
            assert_eq!((Cell::Decimal(number).to_string(), number.to_string()), (text.to_owned(), text.to_owned()));
        }
        for text in ["0001-01-01", "2024-02-29", "9999-12-31"] {
            assert_eq!(Cell::Date(text.parse().unwrap()).to_string(), text);
        }
        let late = NaiveDate::from_ymd_opt(12_000, 1, 2).unwrap();
        assert_eq!(Cell::Date(late).to_string(), late.to_string());
        for text in ["2024-05-05 07:08:09", "2024-05-05 23:59:59.000001", "2024-05-05 10:00:00.500000"] {
            assert_eq!(Cell::from_text(text, Type::Datetime).unwrap().to_string(), text);
        }
    }

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
