//! From an HTTP answer to JSON text or a typed error: the one place that says what HQ's statuses mean.
//!
//! Frappe answers 417 for most refusals and 500 for many of the client's mistakes, so a status is read together with
//! `exc_type` (recordings 801-886); the human text decides nothing, as it depends on HQ's language.

use std::time::Duration;

use reqwest::header::{self, HeaderMap};
use serde::Deserialize;

use super::error::Error;

/// Exception classes that come with a 5xx although the request itself is at fault (recordings 839, 843-853).
const CLIENT_MISTAKES: [&str; 8] = [
    "JSONDecodeError",
    "DataError",
    "ProgrammingError",
    "ImportError",
    "TypeError",
    "ValueError",
    "KeyError",
    "AttributeError",
];

/// MariaDB's codes for a column that is not there or not unique; Frappe passes them on as an `OperationalError`.
const COLUMN_MISTAKES: [&str; 2] = ["(1054,", "(1052,"];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Failure {
    exc_type: Option<String>,
    exception: Option<String>,
    session_expired: Option<i64>,
}

/// Judges an answer. `body` is what was read of it.
pub(super) fn judge(
    what: &str,
    status: u16,
    headers: &HeaderMap,
    body: Result<Vec<u8>, Error>,
) -> Result<String, Error> {
    if (200..300).contains(&status) {
        return text(headers, body?);
    }
    let failure = body.ok().and_then(|body| serde_json::from_slice::<Failure>(&body).ok()).unwrap_or_default();
    // Frappe 14 leaves `exc_type` out when an error was raised without a message.
    let class = failure.exc_type.clone().or_else(|| class_of(failure.exception.as_deref()?));
    let what = what.to_owned();
    Err(match status {
        300..=399 => Error::Redirected { to: location(headers) },
        401 => Error::Unauthorized { status },
        // A dead session is answered 403 as the Guest's (recording 1331).
        403 if failure.session_expired.is_some() => Error::Unauthorized { status },
        403 => Error::Forbidden { what },
        404 => Error::Unknown { what },
        408 => Error::Broken { status, exc_type: class },
        413 | 414 => refused(what, status, class, &failure),
        429 => Error::Busy { status, after: retry_after(headers) },
        503 => Error::Busy { status, after: retry_after(headers) },
        500.. if is_client_mistake(class.as_deref(), failure.exception.as_deref()) => {
            refused(what, status, class, &failure)
        }
        500.. => Error::Broken { status, exc_type: class },
        _ => refused(what, status, class, &failure),
    })
}

fn text(headers: &HeaderMap, body: Vec<u8>) -> Result<String, Error> {
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.to_ascii_lowercase().contains("json")));
    let starts_as_json = body.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| *byte == b'{');
    if !is_json || !starts_as_json {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("no content type");
        return Err(Error::Unreadable(format!("it is not Frappe's JSON ({kind}, {} bytes)", body.len())));
    }
    String::from_utf8(body).map_err(|_utf8| Error::Unreadable("it is not UTF-8".to_owned()))
}

fn refused(what: String, status: u16, exc_type: Option<String>, failure: &Failure) -> Error {
    let message = failure.exception.as_deref().unwrap_or("no reason given");
    let message = message.rsplit("frappe.exceptions.").next().unwrap_or(message);
    Error::Refused { what, status, exc_type, message: message.chars().take(300).collect() }
}

fn is_client_mistake(class: Option<&str>, exception: Option<&str>) -> bool {
    let has_column_code = || exception.is_some_and(|text| COLUMN_MISTAKES.iter().any(|code| text.contains(code)));
    class.is_some_and(|class| CLIENT_MISTAKES.contains(&class) || (class == "OperationalError" && has_column_code()))
}

fn class_of(exception: &str) -> Option<String> {
    let path = exception.split(':').next()?.trim();
    path.rsplit('.').next().filter(|class| !class.is_empty()).map(str::to_owned)
}

fn location(headers: &HeaderMap) -> String {
    let to = headers.get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("an unnamed place");
    // The query may carry what was asked for.
    to.split('?').next().unwrap_or(to).chars().take(200).collect()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::Retry;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), header::HeaderValue::from_static(value)));
        pairs.collect()
    }

    fn exception(class: &str, text: &str) -> String {
        serde_json::json!({ "exc_type": class, "exception": text }).to_string()
    }

    #[test]
    fn every_status_of_frappe_and_its_proxies_has_its_class() {
        let json = || headers(&[("content-type", "application/json")]);
        let html = || headers(&[("content-type", "text/html; charset=utf-8")]);
        let page = "<html><title>x</title></html>".to_owned();
        let later = Retry::Later(None);
        let after = |seconds| Retry::Later(Some(Duration::from_secs(seconds)));
        let cases = [
            ("801 wrong secret", 401, json(), exception("AuthenticationError", ""), Retry::ByPerson),
            ("805 no credentials", 403, json(), exception("PermissionError", ""), Retry::ByPerson),
            ("820 unknown DocType", 404, json(), r#"{"exc_type": "DoesNotExistError"}"#.to_owned(), Retry::ByPerson),
            ("837 unknown field", 417, json(), exception("DataError", "Field not permitted"), Retry::ByPerson),
            ("839 unknown order", 500, json(), exception("OperationalError", "x: (1054, \"…\")"), Retry::ByPerson),
            ("843 bad filters", 500, json(), exception("JSONDecodeError", "…"), Retry::ByPerson),
            ("861 lock wait", 500, json(), exception("QueryTimeoutError", "(1205, …)"), later),
            ("lost connection", 500, json(), exception("OperationalError", "(2013, 'Lost connection')"), later),
            (
                "871 rate limit",
                429,
                headers(&[("retry-after", "56")]),
                exception("TooManyRequestsError", ""),
                after(56),
            ),
            ("872 rate limit, text", 429, html(), page.clone(), later),
            ("880 maintenance", 503, json(), exception("SessionStopped", ""), later),
            ("540 long request line", 400, html(), page.clone(), Retry::ByPerson),
            ("proxy down", 502, html(), page.clone(), later),
            ("proxy timed out", 504, html(), page.clone(), later),
            ("request timed out", 408, html(), page.clone(), later),
            ("too large", 413, html(), page.clone(), Retry::ByPerson),
            ("login form", 302, headers(&[("location", "/login?redirect-to=x")]), String::new(), later),
            ("a page with 200", 200, html(), page, later),
            ("a list in place of an object", 200, json(), "[]".to_owned(), later),
        ];
        for (case, status, headers, body, retry) in cases {
            let error = judge("Item", status, &headers, Ok(body.into_bytes())).unwrap_err();
            assert_eq!(error.retry(), retry, "{case}: {error}");
            assert!(!error.remedy().is_empty(), "{case}");
        }
    }

    #[test]
    fn an_exception_without_its_type_is_read_from_its_text() {
        let body = r#"{"exception": "frappe.exceptions.DataError: Field not permitted in query: x"}"#;
        let error = judge("Item", 500, &HeaderMap::new(), Ok(body.into())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "HQ refused the request for Item (HTTP 500, DataError): DataError: Field not permitted in query: x"
        );
    }

    #[test]
    fn an_errors_status_counts_also_when_its_body_was_lost() {
        let lost = Error::Unreadable("cut".to_owned());
        let error = judge("Item", 401, &HeaderMap::new(), Err(lost)).unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    }
}
