//! The credentials, out of whatever HQ or a proxy sends back: an error that quotes the request's headers, a redirect
//! that carries them.
//!
//! An answer is scrubbed before it is judged, so that no text of it can enter an error otherwise. Records are left as
//! they are: a run does not show them.

use std::fmt;

use base64::Engine as _;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::config::Auth;

/// Stands for a credential.
const HIDDEN: &str = "(credential)";

/// A shorter one is taken out only where it stands as a word of its own: `1` would blot out every digit.
const SHORTEST: usize = 4;

/// Key, secret, the pair of them, and the pair as basic auth sends it: the longest first.
pub(super) struct Secrets([SecretString; 4]);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    pub(super) fn new(auth: &Auth) -> Self {
        let (Auth::Token { api_key, api_secret } | Auth::Basic { api_key, api_secret }) = auth;
        let (key, secret) = (api_key.expose_secret(), api_secret.expose_secret());
        let pair = format!("{key}:{secret}");
        let encoded = base64::engine::general_purpose::STANDARD.encode(&pair);
        let mut all = [&pair, secret, key, encoded.trim_end_matches('=')].map(str::to_owned);
        all.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self(all.map(SecretString::from))
    }

    /// `text` without the credentials.
    pub(super) fn out_of(&self, text: &str) -> String {
        self.0
            .iter()
            .map(SecretString::expose_secret)
            .fold(text.to_owned(), |text, secret| without(&text, secret))
    }

    /// The headers of an answer without the credentials.
    pub(super) fn out_of_headers(&self, headers: &HeaderMap) -> HeaderMap {
        let cleaned = headers.iter().map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes());
            let clean = self.out_of(&text);
            let clean = if clean == text { Some(value.clone()) } else { HeaderValue::from_str(&clean).ok() };
            (name.clone(), clean.unwrap_or(HeaderValue::from_static(HIDDEN)))
        });
        cleaned.collect()
    }

    /// The body of an answer without the credentials; records are not looked at.
    pub(super) fn out_of_body(&self, status: u16, body: Vec<u8>) -> Vec<u8> {
        let starts_as_json = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        if (200..300).contains(&status) && starts_as_json {
            return body;
        }
        // Within JSON a credential may be spelt with escapes.
        if let Ok(mut json) = serde_json::from_slice::<Value>(&body) {
            self.clean(&mut json);
            return json.to_string().into_bytes();
        }
        self.out_of(&String::from_utf8_lossy(&body)).into_bytes()
    }

    fn clean(&self, json: &mut Value) {
        match json {
            Value::String(text) => *text = self.out_of(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.clean(value)),
            Value::Object(entries) => {
                *entries = std::mem::take(entries)
                    .into_iter()
                    .map(|(key, mut value)| {
                        self.clean(&mut value);
                        (self.out_of(&key), value)
                    })
                    .collect();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn without(text: &str, secret: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric();
    let is_short = secret.len() < SHORTEST;
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after =
            spelt(rest, secret).filter(|after| !is_short || !(clean.ends_with(is_word) || after.starts_with(is_word)));
        if let Some(after) = after {
            clean.push_str(HIDDEN);
            rest = after;
        } else {
            clean.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    clean
}

/// What follows the secret where the text begins with it, each of its characters written in any way.
fn spelt<'t>(text: &'t str, secret: &str) -> Option<&'t str> {
    // Most texts hold nothing of the kind, and every answer's headers are looked through.
    if !text.starts_with([char::from(*secret.as_bytes().first()?), '%', '\\', '&']) {
        return None;
    }
    let mut ends = vec![text];
    for byte in secret.bytes() {
        ends = ends.into_iter().flat_map(|rest| after(rest, byte)).flatten().collect();
        if ends.is_empty() {
            return None;
        }
    }
    ends.into_iter().min_by_key(|rest| rest.len())
}

/// What follows `byte` at the start of the text: as it is, or as URLs, quoted strings and HTML spell it. (The
/// configuration takes no credential beyond ASCII.)
fn after(text: &str, byte: u8) -> [Option<&str>; 5] {
    let hex = |prefix: &str| {
        let digits = text.strip_prefix(prefix)?;
        let code = u8::from_str_radix(digits.get(..2)?, 16).ok()?;
        if code == byte { digits.get(2..) } else { None }
    };
    [
        text.strip_prefix(char::from(byte)),
        hex("%"),
        text.strip_prefix('\\').and_then(|text| text.strip_prefix(char::from(byte))),
        hex("\\u00"),
        ENTITIES.iter().filter(|(known, _)| *known == byte).find_map(|(_, name)| text.strip_prefix(name)),
    ]
}

/// How HTML spells what it cannot leave as it is.
const ENTITIES: [(u8, &str); 8] = [
    (b'&', "&amp;"),
    (b'<', "&lt;"),
    (b'>', "&gt;"),
    (b'"', "&quot;"),
    (b'"', "&#34;"),
    (b'\'', "&#39;"),
    (b'\'', "&#x27;"),
    (b'\'', "&apos;"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(key: &str, secret: &str) -> Secrets {
        Secrets::new(&Auth::Token { api_key: key.into(), api_secret: secret.into() })
    }

    #[test]
    fn a_credential_is_taken_out_in_every_spelling() {
        let hostile = r#"c.a*n+a"r'y&%41{}\$<x>"#;
        let secrets = secrets("canary-key", hostile);
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("canary-key:{hostile}"));
        for text in [
            format!("token canary-key:{hostile}"),
            format!("Basic {pair}"),
            format!("/login?secret={}", hostile.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>()),
            format!("/login?secret={}", hostile.replace('%', "%25").replace('"', "%22").replace('<', "%3C")),
            format!("<td>{}</td>", hostile.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&#x27;")),
            serde_json::json!({ "sent": hostile }).to_string(),
        ] {
            let clean = secrets.out_of(&text);
            assert!(clean.contains(HIDDEN), "{clean}");
            assert!(!clean.contains("canary") && !clean.contains("a*n") && !clean.contains(&pair), "{clean}");
        }
        assert_eq!(format!("{secrets:?}"), "Secrets");
    }

    #[test]
    fn a_short_credential_is_taken_out_as_a_word_only() {
        let secrets = secrets("k", "1");
        assert_eq!(secrets.out_of("k:1"), HIDDEN);
        assert_eq!(secrets.out_of("line 12: key=1, \"k\""), format!("line 12: key={HIDDEN}, \"{HIDDEN}\""));
    }

    #[test]
    fn an_error_is_scrubbed_inside_its_json_and_records_are_left_alone() {
        let secrets = secrets("canary-key", "canary\"x");
        let body =
            serde_json::json!({"exception": "bad header: canary\"x", "exc": "[\"token canary-key:canary\\\"x\"]"});
        let clean = String::from_utf8(secrets.out_of_body(500, body.to_string().into_bytes())).unwrap();
        assert!(clean.contains("bad header") && !clean.contains("canary"), "{clean}");
        let record = br#"{"data": [{"note": "canary-key"}]}"#.to_vec();
        assert_eq!(secrets.out_of_body(200, record.clone()), record);
        let page = secrets.out_of_body(200, b"<p>canary-key</p>".to_vec());
        assert_eq!(page, format!("<p>{HIDDEN}</p>").into_bytes());
    }
}
