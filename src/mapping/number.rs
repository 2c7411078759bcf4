//! Numbers, and the yes or no that HQ stores as one.
//!
//! Every number is read from the text HQ sent: money never passes a binary float.

use rust_decimal::prelude::ToPrimitive as _;
use rust_decimal::{Decimal, RoundingStrategy};

use super::offence::Offence;
use super::value::{not, shown};
use crate::record::Scalar;
use crate::row::{self, Cell};

/// The most digits after the point that a decimal can hold.
pub(super) const MAX_SCALE: u32 = Decimal::MAX_SCALE;

/// A whole number of 64 bits; a fraction of zero is none. Booleans are 1 and 0.
pub(super) fn int(scalar: &Scalar<'_>) -> Result<Cell, Offence> {
    if let Scalar::Bool(claim) = scalar {
        return Ok(Cell::Int(i64::from(*claim)));
    }
    let text = digits(scalar).ok_or_else(|| not(scalar, "an integer"))?;
    if let Ok(number) = text.parse() {
        return Ok(Cell::Int(number));
    }
    let value = row::decimal(text).ok_or_else(|| not(scalar, "an integer of 64 bits"))?;
    if !value.is_integer() {
        return Err(Offence::of(shown(scalar), " has a fraction, where type = \"int\" wants none"));
    }
    value.to_i64().map(Cell::Int).ok_or_else(|| not(scalar, "an integer of 64 bits"))
}

/// A finite number.
pub(super) fn float(scalar: &Scalar<'_>) -> Result<Cell, Offence> {
    let value = digits(scalar).and_then(|digits| digits.parse::<f64>().ok()).filter(|value| value.is_finite());
    // Adding zero turns -0 into 0, which would else print and hash apart.
    value.map(|value| Cell::Float(value + 0.0)).ok_or_else(|| not(scalar, "a finite number"))
}

/// An exact number, rounded to `scale` where one is given.
pub(super) fn decimal(scalar: &Scalar<'_>, scale: Option<u32>) -> Result<Cell, Offence> {
    let text = digits(scalar).ok_or_else(|| not(scalar, "a decimal number"))?;
    let too_long = || not(scalar, "a decimal number of at most 28 digits");
    let exact = row::decimal(text).ok_or_else(too_long)?;
    rounded(exact, scale).map(Cell::Decimal).ok_or_else(too_long)
}

/// Rounds half away from zero to `scale` and pads to it; without a scale, cuts the zeros at the end.
/// `None` where the padded number would have too many digits.
pub(super) fn rounded(exact: Decimal, scale: Option<u32>) -> Option<Decimal> {
    let mut value = match scale {
        None => exact.normalize(),
        Some(scale) => {
            let mut value = exact.round_dp_with_strategy(scale, RoundingStrategy::MidpointAwayFromZero);
            value.rescale(scale);
            if value.scale() != scale {
                return None;
            }
            value
        }
    };
    if value.is_zero() {
        value.set_sign_positive(true);
    }
    Some(value)
}

/// A yes or no; HQ's Check is 1 or 0.
pub(super) fn boolean(scalar: &Scalar<'_>) -> Result<Cell, Offence> {
    let claim = match scalar {
        Scalar::Bool(claim) => Some(*claim),
        Scalar::Number(digits) => unit(digits),
        Scalar::Text(text) => {
            let word = text.trim();
            let is = |words: [&str; 2]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
            if is(["true", "yes"]) {
                Some(true)
            } else if is(["false", "no"]) {
                Some(false)
            } else {
                digits(scalar).and_then(unit)
            }
        }
        Scalar::Null | Scalar::Tree(_) => None,
    };
    claim.map(Cell::Bool).ok_or_else(|| not(scalar, "a yes or no (1, 0, true, false, yes, no)"))
}

fn unit(digits: &str) -> Option<bool> {
    match digits {
        "1" => Some(true),
        "0" => Some(false),
        other => {
            let value = row::decimal(other)?;
            (value.is_zero() || value == Decimal::ONE).then(|| !value.is_zero())
        }
    }
}

/// The digits of a number, or of a text that is nothing but a number.
fn digits<'s>(scalar: &'s Scalar<'_>) -> Option<&'s str> {
    match scalar {
        Scalar::Number(digits) => Some(digits),
        Scalar::Text(text) => {
            let text = text.trim();
            let is_plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
            is_plain.then_some(text)
        }
        Scalar::Null | Scalar::Bool(_) | Scalar::Tree(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::{accepts, refuses};
    use crate::row::Type;

    const MONEY: Type = Type::Decimal { scale: Some(2) };
    const EXACT: Type = Type::Decimal { scale: None };

    #[test]
    fn int_takes_whole_numbers_only() {
        accepts(
            Type::Int,
            &[
                ("5", "5"),
                ("-5", "-5"),
                ("5.0", "5"),
                ("5e2", "500"),
                ("\" 12 \"", "12"),
                ("\"12.0\"", "12"),
                ("true", "1"),
                ("9223372036854775807", "9223372036854775807"),
                ("9223372036854775807.0", "9223372036854775807"),
                ("-9223372036854775808", "-9223372036854775808"),
            ],
        );
        refuses(
            Type::Int,
            &["5.5", "\"12abc\"", "9223372036854775808", "1e28", "1e300", "\"1_000\"", "{}", "[1]", "\"-\"", "\".\""],
        );
    }

    #[test]
    fn float_and_duration_take_finite_numbers_only() {
        let cases = [("80.5", "80.5"), ("\"80.5\"", "80.5"), ("1e-7", "0.0000001"), ("-0.0", "0"), ("5", "5")];
        accepts(Type::Float, &cases);
        accepts(Type::Duration, &cases);
        for ty in [Type::Float, Type::Duration] {
            refuses(ty, &["1e400", "\"inf\"", "\"NaN\"", "\"1:30:00\"", "true", "{}"]);
        }
    }

    #[test]
    fn decimal_never_passes_a_binary_float() {
        accepts(
            MONEY,
            &[
                ("80", "80.00"),
                ("80.0", "80.00"),
                ("1.005", "1.01"),
                ("-1.005", "-1.01"),
                ("0.30000000000000004", "0.30"),
                ("1e-7", "0.00"),
                ("-0.001", "0.00"),
                ("1.2E3", "1200.00"),
                ("\" 80.5 \"", "80.50"),
                ("99999999999999999999999999.99", "99999999999999999999999999.99"),
            ],
        );
        accepts(EXACT, &[("80.0", "80"), ("80", "80"), ("1e-7", "0.0000001"), ("0.10", "0.1"), ("-0.0", "0")]);
        refuses(MONEY, &["\"abc\"", "9999999999999999999999999999", "true", "\"1_0\"", "1e29", "\"\u{661}\""]);
        refuses(
            EXACT,
            &["0.12345678901234567890123456789", "1.23456789012345678901234567891e1", "123456789012345678901234567890"],
        );
    }

    #[test]
    fn bool_takes_the_words_for_yes_and_no() {
        let yes = ["true", "1", "1.0", "\"1\"", "\"True\"", "\"YES\"", "\" yes \"", "1e0"];
        let no = ["false", "0", "0.0", "\"0\"", "\"FALSE\"", "\"no\"", "-0"];
        accepts(Type::Bool, &yes.map(|raw| (raw, "1")));
        accepts(Type::Bool, &no.map(|raw| (raw, "0")));
        refuses(Type::Bool, &["2", "0.5", "\"on\"", "\"x\"", "{}", "-1"]);
    }
}
