//! An answer before it goes on the wire: status, headers and body as Frappe and the server before it write them.

use std::io::Write as _;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::{DateTime, Duration, Utc};
use serde_json::Value;

use super::super::front::{Allowance, Transport};
use super::super::json;
use super::super::refusal::Refusal;
use super::request::Incoming;

/// nginx leaves bodies below this alone.
const GZIP_MIN_LENGTH: usize = 256;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) user: String,
    pub(super) rows: usize,
    /// Sends the cookies of a session that is not one (recording 801).
    pub(super) has_cookies: bool,
    pub(super) clears_cookies: bool,
    pub(super) allowance: Option<Allowance>,
}

impl Answer {
    pub(super) fn new(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        Self {
            status,
            content_type: content_type.to_owned(),
            body,
            headers: Vec::new(),
            user: String::new(),
            rows: 0,
            has_cookies: true,
            clears_cookies: false,
            allowance: None,
        }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        let mut bytes = Vec::new();
        json::write(&mut bytes, body);
        Self::new(status, "application/json", bytes)
    }

    /// `{"data": ...}` or `{"message": ...}` around a body already written.
    pub(super) fn wrapped(key: &str, inner: &[u8]) -> Self {
        let mut body = Vec::with_capacity(inner.len() + key.len() + 6);
        body.extend_from_slice(b"{\"");
        body.extend_from_slice(key.as_bytes());
        body.extend_from_slice(b"\":");
        body.extend_from_slice(inner);
        body.push(b'}');
        Self::new(200, "application/json", body)
    }

    pub(super) fn html(status: u16, title: &str) -> Self {
        let page = format!(
            "<!DOCTYPE html>\n<!-- Built on Frappe. https://frappeframework.com/ -->\n<html lang=\"en\">\n<head>\n\t<meta \
             charset=\"utf-8\">\n\t<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n</body>\n</html>\n"
        );
        Self::new(status, "text/html; charset=utf-8", page.into_bytes())
    }

    /// The page of a proxy that gets no answer from the application.
    pub(super) fn proxy(status: u16) -> Self {
        let title = match status {
            502 => "502 Bad Gateway",
            503 => "503 Service Temporarily Unavailable",
            504 => "504 Gateway Time-out",
            _ => "Error",
        };
        let page = format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n<hr>\
             <center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
        );
        Self { has_cookies: false, ..Self::new(status, "text/html", page.into_bytes()) }
    }

    /// A refusal in the shape the request asks for (recordings 808, 822, 855, 872).
    pub(super) fn refusal(incoming: &Incoming, refusal: &Refusal) -> Self {
        let is_v2 = incoming.path.starts_with("/api/v2");
        let mut answer = if incoming.wants_html() && refusal.status == 429 {
            Self::new(429, "text/plain; charset=utf-8", b"Too Many Requests".to_vec())
        } else if incoming.wants_html() {
            Self::html(refusal.status, refusal.exc_type())
        } else if is_v2 {
            Self::json(refusal.status, &refusal.body_v2())
        } else {
            Self::json(refusal.status, &refusal.body_v1())
        };
        answer.clears_cookies = refusal.clears_cookies;
        answer
    }

    /// All headers but the length, which depends on what becomes of the body.
    pub(super) fn header_map(&self, now: DateTime<Utc>, transport: Transport) -> HeaderMap {
        let date = |at: DateTime<Utc>| at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut pairs: Vec<(&'static str, String)> = match transport {
            Transport::Gunicorn => vec![("server", "gunicorn".into()), ("connection", "close".into())],
            Transport::Nginx => vec![
                ("server", "nginx/1.22.1".into()),
                ("connection", "keep-alive".into()),
                ("vary", "Accept-Encoding".into()),
                ("x-frame-options", "SAMEORIGIN".into()),
                ("x-content-type-options", "nosniff".into()),
            ],
        };
        pairs.push(("date", date(now)));
        pairs.push(("content-type", self.content_type.clone()));
        if self.has_cookies {
            let expires = date(now + Duration::days(3));
            pairs.push(("set-cookie", format!("sid=Guest; Expires={expires}; HttpOnly; Path=/; SameSite=Lax")));
            for cookie in ["system_user=no", "full_name=Guest", "user_id=Guest", "user_image="] {
                pairs.push(("set-cookie", format!("{cookie}; Path=/; SameSite=Lax")));
            }
        }
        if self.clears_cookies {
            let expires = date(now - Duration::days(1));
            for cookie in ["full_name", "user_image", "user_id", "sid", "system_user"] {
                pairs.push(("set-cookie", format!("{cookie}=; Expires={expires}; Path=/")));
            }
        }
        if let Some(allowance) = self.allowance {
            pairs.push(("x-ratelimit-reset", allowance.reset.to_string()));
            pairs.push(("x-ratelimit-limit", allowance.limit.as_micros().to_string()));
            pairs.push(("x-ratelimit-remaining", allowance.remaining.as_micros().to_string()));
            if allowance.is_spent {
                pairs.push(("retry-after", allowance.reset.to_string()));
            } else {
                pairs.push(("x-ratelimit-used", allowance.used.as_micros().to_string()));
            }
        }
        pairs.extend(self.headers.iter().cloned());
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            if let Ok(value) = HeaderValue::from_str(&value) {
                map.append(HeaderName::from_static(name), value);
            }
        }
        map
    }

    /// Whether nginx compresses this answer (recording 1510).
    pub(super) fn is_compressible(&self, transport: Transport, incoming: &Incoming) -> bool {
        transport == Transport::Nginx
            && incoming.accepts_gzip()
            && self.body.len() >= GZIP_MIN_LENGTH
            && self.content_type.starts_with("application/json")
    }
}

/// Compresses a body as quickly as can be, which is nginx's default too.
pub(super) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    // Writing to memory does not fail.
    written.unwrap_or_default()
}
