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
