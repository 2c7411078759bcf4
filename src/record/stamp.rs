//! HQ's moments, as the text HQ prints.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use chrono::{NaiveDate, NaiveDateTime};
use serde::{Deserialize, Serialize, de};

/// A moment as HQ prints it: wall time of HQ's zone, without a zone marker, kept as the text HQ sent.
///
/// HQ leaves the fraction out when it is zero (recording 223); both spellings order as the same moment.
#[derive(Clone)]
pub struct Stamp {
    text: Arc<str>,
    moment: NaiveDateTime,
}

/// The text is not a moment as HQ prints one; sent back as a filter it would match the whole table (recording 217).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a timestamp like \"2024-05-05 10:00:00.000001\"")]
pub struct BadStamp(pub String);

impl Stamp {
    /// Reads `YYYY-MM-DD HH:MM:SS[.ffffff]` (or with a `T`); at most six digits of fraction.
    ///
    /// # Errors
    /// Anything else, a zone suffix included: HQ would ignore it in silence (recordings 215 and 216).
    pub fn parse(text: &str) -> Result<Self, BadStamp> {
        let moment = moment(text).ok_or_else(|| BadStamp(text.chars().take(60).collect()))?;
        Ok(Self { text: text.into(), moment })
    }

    /// The stamp of a moment on HQ's wall clock, printed as HQ prints it.
    #[must_use]
    pub fn at(moment: NaiveDateTime) -> Self {
        let text = if moment.and_utc().timestamp_subsec_micros() == 0 {
            moment.format("%Y-%m-%d %H:%M:%S").to_string()
        } else {
            moment.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
        };
        Self { text: text.into(), moment }
    }

    /// Stands for the stamp of a record that has none (loaded by SQL); lower than any that HQ gives out.
    #[must_use]
    pub fn never() -> Self {
        let moment = chrono::NaiveDate::from_ymd_opt(1, 1, 1).unwrap_or_default().and_time(chrono::NaiveTime::MIN);
        Self::at(moment)
    }

    /// The text as HQ sent it; what is sent back to HQ.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As [`Stamp::as_str`], shared instead of copied.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// The moment on HQ's wall clock.
    #[must_use]
    pub fn moment(&self) -> NaiveDateTime {
        self.moment
    }
}

/// By hand, as every record has one and chrono's general reader takes ten times as long.
fn moment(text: &str) -> Option<NaiveDateTime> {
    let (whole, fraction) = text.as_bytes().split_first_chunk::<19>()?;
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    let is_plain =
        separators.iter().all(|(at, mark)| whole.get(*at) == Some(mark)) && matches!(whole.get(10), Some(b' ' | b'T'));
    let number = |places: Range<usize>| digits(whole.get(places)?);
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(number(0..4)?).ok().filter(|_| is_plain)?,
        number(5..7)?,
        number(8..10)?,
    )?;
    let micros = match fraction.split_first() {
        None => 0,
        Some((b'.', digits_of)) if (1..=6).contains(&digits_of.len()) => {
            (digits_of.len()..6).fold(digits(digits_of)?, |micros, _| micros * 10)
        }
        Some(_) => return None,
    };
    date.and_hms_micro_opt(number(11..13)?, number(14..16)?, number(17..19)?, micros)
}

fn digits(text: &[u8]) -> Option<u32> {
    text.iter()
        .try_fold(0u32, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Self) -> bool {
        self.moment == other.moment
    }
}
impl Eq for Stamp {}
impl PartialOrd for Stamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Stamp {
    fn cmp(&self, other: &Self) -> Ordering {
        self.moment.cmp(&other.moment)
    }
}
impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl Serialize for Stamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_hq_prints_is_taken_for_a_stamp() {
        for text in ["2024-05-05 10:00:00", "2024-05-05 10:00:00.000001", "2024-05-05T10:00:00.5"] {
            assert_eq!(Stamp::parse(text).unwrap().as_str(), text);
        }
        let wrong = [
            "",
            "0",
            "null",
            "2024-05-05",
            "2024-05-05 10:00",
            "2024-05-05 10:00:00Z",
            "2024-05-05 10:00:00+05:30",
            "2024-05-05 10:00:00.",
            "2024-05-05 10:00:00.1234567",
            "2024-13-05 10:00:00",
            "soon",
            "2024-05-05 10:00:0é",
        ];
        for text in wrong {
            assert!(Stamp::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn stamps_order_by_their_moment_with_and_without_a_fraction() {
        let stamp = |text| Stamp::parse(text).unwrap();
        assert_eq!(stamp("2024-05-05 10:00:00"), stamp("2024-05-05 10:00:00.000000"));
        assert!(stamp("2024-05-05 10:00:00") < stamp("2024-05-05 10:00:00.000001"));
        assert!(stamp("2024-05-05 10:00:00.5") > stamp("2024-05-05 10:00:00.499999"));
        assert_eq!(Stamp::at(stamp("2024-05-05 10:00:00.000000").moment()).as_str(), "2024-05-05 10:00:00");
    }
}
