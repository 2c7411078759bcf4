//! From an HTTP answer to JSON text or a typed error: the one place that says what HQ's statuses mean.
//!
//! Frappe answers 417 for most refusals and 500 for many of the client's mistakes, so a status is read together with
//! `exc_type` (recordings 801-886); the human text decides nothing, as it depends on HQ's language.

use chrono::{DateTime, Utc};
use reqwest::header::{self, HeaderMap};
use serde::Deserialize;

use super::error::Error;
use super::headers;

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

/// Exception classes that pass by themselves, whatever status they come with: a lock or a statement that took too long,
/// two transactions that met (recording 861).
const PASSING: [&str; 3] = ["QueryTimeoutError", "QueryDeadlockError", "RetryBackgroundJobError"];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Failure {
    exc_type: Option<String>,
    exception: Option<String>,
    session_expired: Option<i64>,
}

/// Judges an answer. `body` is what was read of it, `is_tls` says whether `hq.url` is https.
pub(super) fn judge(
    what: &str,
    status: u16,
    headers: &HeaderMap,
    body: Result<Vec<u8>, Error>,
    is_tls: bool,
    now: DateTime<Utc>,
) -> Result<String, Error> {
    if status == 200 {
        return text(headers, body?);
    }
    let body = body.unwrap_or_default();
    let failure = serde_json::from_slice::<Failure>(&body).unwrap_or_default();
    // Frappe 14 leaves `exc_type` out when an error was raised without a message.
    let class = failure.exc_type.clone().or_else(|| class_of(failure.exception.as_deref()?));
    let passes = class.as_deref().is_some_and(|class| PASSING.contains(&class));
    let what = what.to_owned();
    let after = headers::retry_after(headers, now);
    Err(match (status, class) {
        // No list is answered so; something between HQ and here did.
        (..300, _) => Error::Unreadable(format!("it has status {status} in place of 200")),
        (300..=399, _) => Error::Redirected { to: headers::location(headers) },
        (400, None) if !is_tls && is_of_tls_port(&body) => Error::WrongScheme { expected: "plain http" },
        (401, _) => Error::Unauthorized { status },
        // A dead session is answered 403 as the Guest's (recording 1331).
        (403, _) if failure.session_expired.is_some() => Error::Unauthorized { status },
        (429, _) => Error::Busy { status, after },
        (503, Some(exc_type)) if exc_type == "SessionStopped" || exc_type == "InReadOnlyMode" => {
            Error::Maintenance { exc_type, after }
        }
        (503, _) => Error::Busy { status, after },
        (400.., class) if passes => Error::Broken { status, exc_type: class },
        (403, _) => Error::Forbidden { what },
        (404, _) => Error::Unknown { what },
        (408, class) => Error::Broken { status, exc_type: class },
        (500.., class) if !is_client_mistake(class.as_deref(), failure.exception.as_deref()) => {
            Error::Broken { status, exc_type: class }
        }
        (_, class) => refused(what, status, class, &failure),
    })
}

/// The body decides, not its label: a proxy that relabels HQ's JSON takes nothing away from it, while one that answers in
/// HQ's place is found out by what is in it. That every field asked for is there is checked when it is decoded.
fn text(headers: &HeaderMap, body: Vec<u8>) -> Result<String, Error> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') {
        let kind = headers::text(headers, header::CONTENT_TYPE.as_str()).unwrap_or("no content type");
        let kind: String = kind.chars().take(100).collect();
        return Err(Error::Unreadable(format!("it is not Frappe's JSON ({kind}, {} bytes)", body.len())));
    }
    String::from_utf8(body).map_err(|_utf8| Error::Unreadable("it is not UTF-8".to_owned()))
}

/// Whether a web server says that it was spoken to without TLS where it expects it. nginx, Apache and Go have no status
/// of their own for it, so this page is known by its words, which are English in all of them.
fn is_of_tls_port(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    ["HTTPS port", "SSL-enabled server port", "HTTPS server"].iter().any(|words| text.contains(words))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::retry::{Retry, Teller};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), header::HeaderValue::from_static(value)));
        pairs.collect()
    }

    fn judged(status: u16, headers: &HeaderMap, body: Result<Vec<u8>, Error>) -> Error {
        judge("Item", status, headers, body, false, DateTime::UNIX_EPOCH).unwrap_err()
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
            ("a lock wait under the general status", 417, json(), exception("QueryTimeoutError", "…"), later),
            ("885 read-only", 503, json(), exception("InReadOnlyMode", ""), later),
            ("TLS port", 400, html(), "The plain HTTP request was sent to HTTPS port".to_owned(), Retry::ByPerson),
            ("part of an answer", 206, json(), "{".to_owned(), later),
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
            let error = judged(status, &headers, Ok(body.into_bytes()));
            assert_eq!(error.retry(), retry, "{case}: {error}");
            assert!(!error.remedy(Teller::Daemon).is_empty(), "{case}");
        }
    }

    #[test]
    fn an_exception_without_its_type_is_read_from_its_text() {
        let body = r#"{"exception": "frappe.exceptions.DataError: Field not permitted in query: x"}"#;
        let error = judged(500, &HeaderMap::new(), Ok(body.into()));
        assert_eq!(
            error.to_string(),
            "HQ refused the request for Item (HTTP 500, DataError): DataError: Field not permitted in query: x"
        );
    }

    #[test]
    fn a_body_counts_whatever_its_label_says() {
        let read = |kind, body: &str| {
            judge("Item", 200, &headers(&[("content-type", kind)]), Ok(body.into()), true, DateTime::UNIX_EPOCH)
        };
        assert_eq!(read("text/html", r#"{"data": []}"#).unwrap(), r#"{"data": []}"#);
        let said = |kind, body| read(kind, body).unwrap_err().to_string();
        let expected = "HQ's answer cannot be read: it is not Frappe's JSON (application/json, 0 bytes)";
        assert_eq!(said("application/json", ""), expected);
    }

    #[test]
    fn an_errors_status_counts_also_when_its_body_was_lost() {
        let lost = Error::Unreadable("cut".to_owned());
        let error = judged(401, &HeaderMap::new(), Err(lost));
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    }
}
