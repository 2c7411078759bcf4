//! What the headers of an answer say: HQ's clock, where it redirects to, and when the next request is welcome.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{self, HeaderMap};

use super::gate::{Budget, Notice};

/// A header's text.
pub(super) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// HQ's clock as its `Date` header tells it.
pub(super) fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    moment(text(headers, header::DATE.as_str())?)
}

/// Where a redirect leads. The query is left out: it may carry what was asked for.
pub(super) fn location(headers: &HeaderMap) -> String {
    let to = text(headers, header::LOCATION.as_str()).unwrap_or("an unnamed place");
    to.split('?').next().unwrap_or(to).chars().take(200).collect()
}

/// `Retry-After` in seconds or as a date, which counts from HQ's own clock where the answer tells it.
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = text(headers, header::RETRY_AFTER.as_str())?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits for a number of seconds mean a very long time all the same.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let wait = moment(text)? - date(headers).unwrap_or(now);
    Some(wait.to_std().unwrap_or_default())
}

/// All that bears on the next request.
pub(super) fn notice(headers: &HeaderMap, now: DateTime<Utc>) -> Notice {
    Notice { retry_after: retry_after(headers, now), budget: budget(headers) }
}

/// Frappe's rate limit (recordings 870 and 871): microseconds, but the reset in seconds.
fn budget(headers: &HeaderMap) -> Option<Budget> {
    let number = |name| text(headers, name)?.parse::<u64>().ok();
    let micros = |name| number(name).map(Duration::from_micros);
    Some(Budget {
        limit: micros("x-ratelimit-limit")?,
        remaining: micros("x-ratelimit-remaining")?,
        used: micros("x-ratelimit-used"),
        reset: Duration::from_secs(number("x-ratelimit-reset")?),
    })
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), header::HeaderValue::from_static(value)));
        pairs.collect()
    }

    #[test]
    fn a_retry_after_is_read_as_seconds_or_as_a_date() {
        let now = DateTime::from_timestamp(1_795_260_184, 0).unwrap();
        let date = ("date", "Sat, 21 Nov 2026 11:23:04 GMT");
        let after = |text| retry_after(&headers(&[("retry-after", text), date]), now).map(|wait| wait.as_secs());
        assert_eq!(after("56"), Some(56));
        assert_eq!(after("Sat, 21 Nov 2026 11:24:04 GMT"), Some(60));
        assert_eq!(after("Fri, 20 Nov 2026 11:24:04 GMT"), Some(0), "a date that has been");
        assert_eq!(after("99999999999999999999999"), Some(u64::from(u32::MAX)));
        assert_eq!((after("soon"), after("-5"), after("")), (None, None, None));
        let without_clock = headers(&[("retry-after", "Sat, 21 Nov 2026 11:24:04 GMT")]);
        assert!(retry_after(&without_clock, now).is_some());
    }

    #[test]
    fn the_budget_is_read_as_recording_870_tells_it() {
        let told = headers(&[
            ("x-ratelimit-reset", "56"),
            ("x-ratelimit-limit", "50000"),
            ("x-ratelimit-remaining", "50000"),
            ("x-ratelimit-used", "29508"),
        ]);
        let budget = notice(&told, DateTime::UNIX_EPOCH).budget.unwrap();
        assert_eq!((budget.reset.as_secs(), budget.used.unwrap().as_micros()), (56, 29_508));
        assert_eq!(notice(&headers(&[("x-ratelimit-reset", "56")]), DateTime::UNIX_EPOCH), Notice::default());
    }
}
