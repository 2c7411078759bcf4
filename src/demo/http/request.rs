//! An HTTP request, taken apart as Frappe takes it apart.

use axum::http::{HeaderMap, Method, Uri};
use base64::Engine as _;
use serde_json::{Map, Value};

use super::super::query::Args;
use super::super::refusal::Refusal;

/// A request as it came in.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) method: String,
    /// Decoded; the parts of a name with a slash are joined again by the router.
    pub(super) path: String,
    pub(super) segments: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    headers: HeaderMap,
    /// Bytes of the request line, which gunicorn limits (recording 540).
    pub(super) line_length: usize,
}

/// What a request brought to say who sends it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    /// None: Guest (recording 805).
    Nothing,
    Pair(String, String),
    /// A scheme or a form that is not understood: 401 (recordings 803, 804).
    Malformed,
    /// Basic that is not base64: 400 (recording 807).
    NotBase64,
}

impl Incoming {
    pub(super) fn new(method: &Method, uri: &Uri, headers: HeaderMap, body: Vec<u8>) -> Self {
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let segments: Vec<String> =
            uri.path().split('/').filter(|part| !part.is_empty()).map(|part| decode(part, false)).collect();
        Self {
            method: method.to_string(),
            path: format!("/{}", segments.join("/")),
            segments,
            query: pairs(uri.query().unwrap_or_default()),
            body,
            headers,
            line_length: method.as_str().len() + target.len() + " HTTP/1.1\r\n".len() + 1,
        }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Errors are pages of HTML for who asks for text, unless a script asks (recordings 808, 859, 862).
    pub(super) fn wants_html(&self) -> bool {
        self.header("accept").starts_with("text") && self.header("x-requested-with") != "XMLHttpRequest"
    }

    pub(super) fn accepts_gzip(&self) -> bool {
        self.header("accept-encoding").contains("gzip")
    }

    pub(super) fn credentials(&self) -> Credentials {
        let header = self.header("authorization");
        if header.is_empty() {
            return Credentials::Nothing;
        }
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        let pair = |text: &str| match text.split_once(':') {
            Some((key, secret)) => Credentials::Pair(key.to_owned(), secret.to_owned()),
            None => Credentials::Malformed,
        };
        match scheme.to_lowercase().as_str() {
            "token" => pair(rest.trim()),
            "basic" => match base64::engine::general_purpose::STANDARD.decode(rest.trim()) {
                Ok(bytes) => pair(&String::from_utf8_lossy(&bytes)),
                Err(_) => Credentials::NotBase64,
            },
            _ => Credentials::Malformed,
        }
    }

    /// What the request asks with. A JSON body replaces the query string (recording 527).
    pub(super) fn args(&self) -> Result<Args, Refusal> {
        let texts = |pairs: Vec<(String, String)>| pairs.into_iter().map(|(key, value)| (key, Value::String(value)));
        if !self.body.is_empty() && self.header("content-type").contains("json") {
            return match serde_json::from_slice(&self.body) {
                Ok(Value::Object(map)) => Ok(map),
                Ok(_) => Err(Refusal::thrown(417, "ValidationError", "Invalid request arguments")),
                Err(error) => Err(Refusal::bad_json(&format!("Expecting value: {error}"))),
            };
        }
        let mut args: Map<String, Value> = texts(self.query.clone()).collect();
        args.extend(texts(self.form()));
        Ok(args)
    }

    fn form(&self) -> Vec<(String, String)> {
        if self.header("content-type").contains("x-www-form-urlencoded") {
            pairs(&String::from_utf8_lossy(&self.body))
        } else {
            Vec::new()
        }
    }

    /// The body for the log.
    pub(super) fn logged_body(&self) -> Value {
        let form = self.form();
        if !form.is_empty() {
            return form.into_iter().map(|(key, value)| (key, Value::String(value))).collect();
        }
        if self.body.is_empty() {
            return Value::Null;
        }
        let plain = || Value::String(String::from_utf8_lossy(&self.body).into_owned());
        serde_json::from_slice(&self.body).unwrap_or_else(|_| plain())
    }

    /// The DocType a request is about: in the path, or among the arguments of a method.
    pub(super) fn doctype(&self) -> Option<String> {
        let parts: Vec<&str> = self.segments.iter().map(String::as_str).collect();
        let (["api", "v1", rest @ ..] | ["api", rest @ ..]) = parts.as_slice() else {
            return None;
        };
        match rest {
            ["resource", doctype, ..] | ["v2", "doctype" | "document", doctype, ..] => Some((*doctype).to_owned()),
            ["method", ..] => self.args().ok()?.get("doctype").and_then(Value::as_str).map(str::to_owned),
            _ => None,
        }
    }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let parts = text.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(key, true), decode(value, true))
        })
        .collect()
}

/// Percent-decoding; in queries and forms a plus is a blank.
fn decode(text: &str, plus_is_blank: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' if plus_is_blank => bytes.push(b' '),
            b'%' => {
                let mut ahead = rest.clone();
                let digits = (ahead.next().and_then(hex), ahead.next().and_then(hex));
                if let (Some(high), Some(low)) = digits {
                    bytes.push(high * 16 + low);
                    rest = ahead;
                } else {
                    bytes.push(b'%');
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_queries_are_percent_decoded() {
        assert_eq!(decode("a%2Fb+%F0%9F%8D%A6", false), "a/b+🍦");
        assert_eq!(decode("a+b%zz", true), "a b%zz");
        assert_eq!(pairs("x=1&y=%5B%22*%22%5D"), [("x".into(), "1".into()), ("y".into(), "[\"*\"]".into())]);
    }
}
