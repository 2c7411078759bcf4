//! What the line does: the rows of the fault table that need no waiting.

use std::time::Duration;

use milkrun::demo::Fault;
use serde_json::json;

pub(super) fn faults() -> Vec<Fault> {
    let exception = |status, class: &str| Fault::Exception(status, class.to_owned());
    let html = |status| Fault::Answer(status, "text/html".to_owned(), b"<html><h1>no</h1></html>".to_vec());
    let raw = |bytes: &[u8]| Fault::Raw(bytes.to_vec());
    let cut = |body: &[u8]| Fault::Answer(200, "application/json".to_owned(), body.to_vec());
    vec![
        Fault::Refuse,
        Fault::Reset,
        Fault::LoseAnswer,
        Fault::CutBody,
        Fault::CutGzip,
        Fault::GarbageGzip,
        Fault::HtmlPage,
        Fault::LoginRedirect,
        Fault::Redirect(307, "https://portal.example.com/".to_owned()),
        Fault::ContentType("text/html".to_owned()),
        Fault::Late(Duration::from_millis(2)),
        Fault::EmptyList,
        Fault::RepeatPage,
        Fault::DoubleRows,
        Fault::DropField("title".to_owned()),
        Fault::DropField("modified".to_owned()),
        Fault::TokenExpires,
        Fault::Asked("soon".to_owned()),
        Fault::TooMany(0),
        Fault::TooMany(1),
        Fault::Proxy(502),
        Fault::Proxy(503),
        Fault::Proxy(504),
        raw(b"HTTP/1.1 200 OK\r\nConte"),
        raw(b"\x15\x03\x01\x00\x02\x02\x46"),
        raw(b"220 mail.example.com ESMTP\r\n"),
        cut(b""),
        cut(br#"{"data": [["A"#),
        cut(b"{\"data\": \"\xff\"}"),
        Fault::Shape(json!([])),
        Fault::Shape(json!({})),
        Fault::Shape(json!({"message": null})),
        Fault::Shape(json!({"data": {}})),
        Fault::Shape(json!({"data": [["A"]]})),
        Fault::Shape(json!({"data": [{"name": "A"}]})),
        Fault::Shape(json!({"data": []})),
        html(400),
        html(404),
        html(405),
        html(408),
        html(413),
        html(414),
        html(599),
        exception(401, "AuthenticationError"),
        exception(403, "PermissionError"),
        exception(404, "DoesNotExistError"),
        exception(409, "DuplicateEntryError"),
        exception(417, "ValidationError"),
        exception(417, "QueryTimeoutError"),
        exception(500, "OperationalError"),
        exception(500, "JSONDecodeError"),
        exception(500, "QueryTimeoutError"),
        exception(503, "SessionStopped"),
        exception(503, "InReadOnlyMode"),
    ]
}

/// Faults that are answers of HQ's to all appearances.
pub(super) fn is_lie(fault: &Fault) -> bool {
    match fault {
        Fault::EmptyList | Fault::RepeatPage => true,
        Fault::Shape(body) => *body == json!({"data": []}),
        _ => false,
    }
}
