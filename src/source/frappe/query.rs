//! Frappe's list query, and the request that carries it.
//!
//! A short query goes as a GET; a long one as a POST to `frappe.client.get_list`, because gunicorn refuses request
//! lines over 4094 bytes (recording 540).

use serde_json::{Value, json};

use crate::breakage::{self, Breakage};
use crate::record::Mark;
use crate::source::client::Request;

/// Below gunicorn's 4094 bytes for `GET path HTTP/1.1`, with room for a path that a proxy adds.
const LONGEST_PATH: usize = 3_000;

/// One list query.
#[derive(Debug, Clone)]
pub(super) struct Query<'a> {
    pub(super) doctype: &'a str,
    /// The parent DocType; needed to list a child DocType (recording 511).
    pub(super) parent: Option<&'a str>,
    pub(super) fields: &'a [String],
    pub(super) filters: Vec<Value>,
    pub(super) or_filters: Vec<Value>,
    pub(super) order_by: &'a str,
    /// So many records of the list are passed over (recordings 103, 522).
    pub(super) start: usize,
    /// Records at most; 0 for all (recording 108).
    pub(super) limit: usize,
    /// Rows as arrays, half the bytes (recording 111).
    pub(super) is_compact: bool,
    /// A list from a mark begins with that mark's record.
    pub(super) is_with: bool,
}

impl Query<'_> {
    /// Adds the keyset condition `(stamp, name) > from` in HQ's own order (recording 201).
    pub(super) fn after(mut self, stamp: &str, from: Option<&Mark>) -> Self {
        let Some(from) = from else { return self };
        let modified = from.modified.as_str();
        if breakage::is(Breakage::StrictKeyset) {
            self.filters.push(json!([stamp, ">", modified]));
            return self;
        }
        self.filters.push(json!([stamp, ">=", modified]));
        if !from.name.is_empty() {
            self.or_filters =
                vec![json!([stamp, ">", modified]), json!(["name", if self.is_with { ">=" } else { ">" }, from.name])];
        }
        self
    }

    /// The request that asks this.
    pub(super) fn request(&self) -> Request {
        let path = self.path();
        if path.len() <= LONGEST_PATH && self.parent.is_none() {
            return Request { path, body: None, what: self.doctype.to_owned() };
        }
        let mut body = json!({
            "doctype": self.doctype,
            "fields": self.fields,
            "filters": self.filters,
            "order_by": self.order_by,
            // `limit` would be ignored here (recording 524).
            "limit_page_length": self.limit,
        });
        if let Some(object) = body.as_object_mut() {
            if !self.or_filters.is_empty() {
                object.insert("or_filters".to_owned(), Value::from(self.or_filters.clone()));
            }
            if let Some(parent) = self.parent {
                object.insert("parent".to_owned(), parent.into());
            }
            if self.start > 0 {
                object.insert("limit_start".to_owned(), self.start.into());
            }
            if self.is_compact {
                object.insert("as_dict".to_owned(), false.into());
            }
        }
        Request {
            path: "/api/method/frappe.client.get_list".to_owned(),
            body: Some(body.to_string()),
            what: self.doctype.to_owned(),
        }
    }

    fn path(&self) -> String {
        let mut path = format!("/api/resource/{}?fields=", encode(self.doctype));
        path.push_str(&encode(&json!(self.fields).to_string()));
        for (key, filters) in [("filters", &self.filters), ("or_filters", &self.or_filters)] {
            if !filters.is_empty() {
                path.push_str(&format!("&{key}={}", encode(&json!(filters).to_string())));
            }
        }
        path.push_str(&format!("&order_by={}&limit_page_length={}", encode(self.order_by), self.limit));
        if self.start > 0 {
            path.push_str(&format!("&limit_start={}", self.start));
        }
        if self.is_compact {
            path.push_str("&as_dict=false");
        }
        path
    }
}

/// Percent-encodes all but the unreserved characters (RFC 3986, section 2.3).
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + text.len() / 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Stamp;

    fn query(fields: &[String]) -> Query<'_> {
        Query {
            doctype: "Item Group",
            parent: None,
            fields,
            filters: Vec::new(),
            or_filters: Vec::new(),
            order_by: "modified asc, name asc",
            start: 0,
            limit: 5,
            is_compact: false,
            is_with: false,
        }
    }

    #[test]
    fn a_page_is_asked_for_as_in_recording_201() {
        let fields = ["name".to_owned(), "modified".to_owned()];
        let from = Mark { modified: Stamp::parse("2024-05-05 10:00:00").unwrap(), name: "été".to_owned() };
        let request = query(&fields).after("modified", Some(&from)).request();
        assert_eq!(request.body, None);
        assert!(
            request
                .path
                .starts_with("/api/resource/Item%20Group?fields=%5B%22name%22%2C%22modified%22%5D&filters=")
        );
        assert!(request.path.contains(&encode(r#"[["modified",">=","2024-05-05 10:00:00"]]"#)));
        assert!(request.path.contains(&encode(r#"[["modified",">","2024-05-05 10:00:00"],["name",">","été"]]"#)));
    }

    #[test]
    fn what_is_passed_over_is_named_either_way() {
        let fields = ["name".to_owned()];
        let mut beyond = Query { start: 499, ..query(&fields) };
        assert!(beyond.request().path.ends_with("&limit_page_length=5&limit_start=499"));
        beyond.filters.push(json!(["name", "in", vec!["ITEM-00001"; 400]]));
        assert!(beyond.request().body.unwrap().contains(r#""limit_start":499"#));
    }

    #[test]
    fn a_query_too_long_for_a_request_line_goes_as_a_post() {
        let fields = ["name".to_owned()];
        let names: Vec<String> = (0..400).map(|n| format!("ITEM-{n:05}")).collect();
        let mut long = query(&fields);
        long.filters.push(json!(["name", "in", names]));
        let request = long.request();
        assert_eq!(request.path, "/api/method/frappe.client.get_list");
        assert!(request.body.unwrap().contains(r#""limit_page_length":5"#));
    }
}
