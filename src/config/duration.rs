//! Lengths of time as people write them: `500ms`, `30s`, `5m`, `2h`, `1d`, `1h30m`.

use std::time::Duration;

/// The units and how many milliseconds each is; `ms` first, as `m` is its beginning.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// What is said to who wrote something else.
pub(super) const EXPECTED: &str = "a whole number and a unit, such as \"500ms\", \"30s\", \"5m\", \"2h\" or \"1d\"";

/// Reads a length of time; `None` where the text is none, or one too long to count.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut millis: u64 = 0;
    let mut is_first = true;
    while is_first || !rest.is_empty() {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = rest.strip_suffix(after)?;
        let (unit, factor) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        millis = millis.checked_add(digits.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = after.strip_prefix(unit)?;
        is_first = false;
    }
    Some(Duration::from_millis(millis))
}

/// What was probably meant by a text that is no length of time: `30 s`, `5min`, `1.5h`, `2 weeks`, `30`.
pub(super) fn meant(text: &str) -> Option<String> {
    let plain = text.trim().to_lowercase().replace(' ', "").replace(',', ".");
    // `PT30S`, as ISO 8601 has it.
    let iso = plain.strip_prefix("pt").or_else(|| plain.strip_prefix('p')).and_then(parse);
    if let Some(time) = iso.or_else(|| clock(&plain)) {
        return Some(shown(time));
    }
    let digits = plain.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: f64 = digits.parse().ok()?;
    let millis = match plain.strip_prefix(digits)? {
        "" | "sec" | "secs" | "second" | "seconds" | "s" => 1_000.0,
        "msec" | "millis" | "milliseconds" | "ms" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000.0,
        "d" | "day" | "days" => 86_400_000.0,
        "w" | "week" | "weeks" => 7.0 * 86_400_000.0,
        _ => return None,
    } * number;
    let is_whole = (0.0..1e15).contains(&millis) && millis.fract() == 0.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, positive and small")]
    is_whole.then(|| shown(Duration::from_millis(millis as u64)))
}

/// `00:30:00`.
fn clock(text: &str) -> Option<Duration> {
    let parts: Option<Vec<u64>> = text.split(':').map(|part| part.parse().ok()).collect();
    match parts?.as_slice() {
        [hours, minutes @ 0..60, seconds @ 0..60] => {
            Some(Duration::from_secs(hours.checked_mul(3600)?.checked_add(minutes * 60 + seconds)?))
        }
        _ => None,
    }
}

/// The shortest way to write a length of time in one unit.
pub(super) fn shown(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    let unit = UNITS.iter().rev().find(|(_, factor)| millis.is_multiple_of(u128::from(*factor)));
    unit.map_or_else(|| format!("{millis}ms"), |(unit, factor)| format!("{}{unit}", millis / u128::from(*factor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_and_written() {
        for (text, millis) in [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("1d", 86_400_000)]
        {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)));
            assert_eq!(shown(Duration::from_millis(millis)), text);
        }
        assert_eq!(parse("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse("0s"), Some(Duration::ZERO));
    }

    #[test]
    fn nothing_is_written_in_seconds() {
        assert_eq!(shown(Duration::ZERO), "0s");
    }

    #[test]
    fn what_was_meant_is_told_where_it_can_be() {
        for (text, expected) in [
            ("30", "30s"),
            ("5 min", "5m"),
            ("1.5h", "90m"),
            ("2 weeks", "14d"),
            ("10SEC", "10s"),
            ("500 ms", "500ms"),
            ("PT30S", "30s"),
            ("00:30:00", "30m"),
        ] {
            assert_eq!(meant(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!([meant("soon"), meant("-5s"), meant("")], [None, None, None]);
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        for text in ["", "30", "s", "-1s", "1.5h", "5 m", "5min", "99999999999999999999d", "1w"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
