//! A request HQ refuses, and the shapes it is told in.

use serde_json::{Value, json};

/// A refusal as Frappe reports it: a status, an exception class and what a person is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status} {class}: {detail}")]
pub struct Refusal {
    pub(super) status: u16,
    /// The Python class with its module, such as `frappe.exceptions.DataError`.
    pub(super) class: String,
    /// What follows the class in `exception`; may be empty.
    pub(super) detail: String,
    pub(super) messages: Vec<Value>,
    pub(super) error_message: Option<String>,
    /// Told without `exception` and `exc`, as 404 is (recording 822).
    pub(super) is_terse: bool,
    /// The login was refused: the answer also clears the cookies (recording 801).
    pub(super) clears_cookies: bool,
}

impl Refusal {
    /// A refusal with nothing but its class.
    pub(super) fn new(status: u16, class: &str) -> Self {
        Self {
            status,
            class: class.to_owned(),
            detail: String::new(),
            messages: Vec::new(),
            error_message: None,
            is_terse: false,
            clears_cookies: false,
        }
    }

    /// A refusal by `frappe.throw`: the same words in the exception and in the message box.
    pub(super) fn thrown(status: u16, exc_type: &str, words: &str) -> Self {
        Self::new(status, &format!("frappe.exceptions.{exc_type}")).detail(words).shown(words)
    }

    /// A record, DocType or path that is not there (recordings 820, 822, 824).
    pub(super) fn not_found(words: Option<String>) -> Self {
        let mut refusal = Self::new(404, "frappe.exceptions.DoesNotExistError");
        refusal.is_terse = true;
        words.map_or(refusal.clone(), |words| refusal.shown(&words))
    }

    /// An error of the database, told raw (recordings 109, 839).
    pub(super) fn database(class: &str, words: &str) -> Self {
        Self::new(500, &format!("pymysql.err.{class}")).detail(words)
    }

    /// JSON that does not parse (recordings 843, 844, 847).
    pub(super) fn bad_json(words: &str) -> Self {
        Self::new(500, "json.decoder.JSONDecodeError").detail(words)
    }

    /// The user has no read permission on the DocType (recording 810).
    pub(super) fn no_access(user: &str, doctype: &str) -> Self {
        Self::new(403, "frappe.exceptions.PermissionError").noted(&format!(
            "User <strong>{user}</strong> does not have doctype access via role permission for document \
             <strong>{doctype}</strong>"
        ))
    }

    /// A wrong, unknown or malformed token (recordings 801-804).
    pub(super) fn bad_login() -> Self {
        Self { clears_cookies: true, ..Self::new(401, "frappe.exceptions.AuthenticationError") }
    }

    pub(super) fn detail(mut self, words: &str) -> Self {
        words.clone_into(&mut self.detail);
        self
    }

    /// Adds a message box that came with the exception.
    pub(super) fn shown(mut self, words: &str) -> Self {
        self.messages.push(json!({
            "message": words, "title": "Message", "indicator": "red", "raise_exception": 1,
            "__frappe_exc_id": "0000000000000000000000000000000000000000000000000000000a",
        }));
        self
    }

    /// Adds a message box without an exception of its own.
    pub(super) fn noted(mut self, words: &str) -> Self {
        self.messages.push(json!({"message": words, "title": "Message"}));
        self
    }

    pub(super) fn error_message(mut self, words: String) -> Self {
        self.error_message = Some(words);
        self
    }

    /// The status it is answered with.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The class name by which clients tell refusals apart.
    pub fn exc_type(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or_default()
    }

    fn exception(&self) -> String {
        if self.detail.is_empty() { self.class.clone() } else { format!("{}: {}", self.class, self.detail) }
    }

    fn traceback(&self) -> String {
        format!(
            "Traceback (most recent call last):\n  File \"apps/frappe/frappe/app.py\", line 1\n{}\n",
            self.exception()
        )
    }

    /// The body of API v1 (recordings 810, 822, 836).
    pub(super) fn body_v1(&self) -> Value {
        let mut body = serde_json::Map::new();
        if !self.is_terse {
            body.insert("exception".into(), self.exception().into());
        }
        body.insert("exc_type".into(), self.exc_type().into());
        if !self.is_terse {
            body.insert("exc".into(), json!([self.traceback()]).to_string().into());
        }
        if !self.messages.is_empty() {
            let texts: Vec<String> = self.messages.iter().map(Value::to_string).collect();
            body.insert("_server_messages".into(), json!(texts).to_string().into());
        }
        if let Some(words) = &self.error_message {
            body.insert("_error_message".into(), words.as_str().into());
        }
        Value::Object(body)
    }

    /// The body of API v2 (recordings 855-857).
    pub(super) fn body_v2(&self) -> Value {
        let mut error = serde_json::Map::new();
        error.insert("type".into(), self.exc_type().into());
        if !self.is_terse {
            error.insert("exception".into(), self.traceback().into());
        }
        if let Some(Value::Object(message)) = self.messages.first() {
            for key in ["message", "title", "indicator"] {
                if let Some(value) = message.get(key) {
                    error.insert(key.into(), value.clone());
                }
            }
        }
        json!({"errors": [error]})
    }
}
