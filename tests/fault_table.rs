//! The fault table: what HQ, the line or a proxy may do to a request, and what the run makes of it.
//!
//! Each row is met twice. A first load of three pages meets it from its second page on, for ever: the run must end with
//! the status, the sentence, the remedy and the number of requests of its class, with whole pages in the database and
//! nothing else. Then HQ heals and the next run must catch up. Last, a poll meets the fault once: what may pass by
//! itself must not end the run.

use std::ops::RangeInclusive;
use std::time::Duration;

use milkrun::demo::data::MANAGER;
use milkrun::demo::{self, Fault, Transport, When};
use serde_json::{Value, json};

use crate::support::shop::JOBS;
use crate::support::{Kind, Shop};

/// What a fault is to the run that meets it. The outlet's `max_attempts` is 3, its `page_size` 100.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Class {
    /// No fault at all.
    Fine,
    /// Asked again, three times in all.
    Again,
    /// As `Again`, and a ping tells that only this request is at fault.
    AgainPing,
    /// Asked for less and less: a quarter each time, from as much as the first page has made of 100, to 1.
    Less,
    /// As `Less`, and a ping.
    LessPing,
    /// As `Less`; where even one record is too much, a person is needed.
    TooMuch,
    /// As `TooMuch`, after one question more for the name of the record that is so large.
    TooLarge,
    /// Not asked again; a later run will.
    Later,
    /// Not asked again; a person is needed.
    Person,
    /// As `Person`, after one question more that finds out what is wrong.
    PersonAsked,
}

impl Class {
    /// Requests that a lasting fault costs, pings included. How often a size can be made a quarter depends on how quickly
    /// the first page came, after which up to 800 records are asked for.
    fn requests(self) -> RangeInclusive<u64> {
        match self {
            Self::Fine => 0..=0,
            Self::Later | Self::Person => 1..=1,
            Self::PersonAsked => 2..=2,
            Self::Again => 3..=3,
            Self::AgainPing => 4..=4,
            Self::Less | Self::TooMuch => 4..=6,
            Self::LessPing | Self::TooLarge => 5..=7,
        }
    }

    fn lasting(self) -> (&'static str, i32) {
        match self {
            Self::Fine => ("ok", 0),
            Self::Again | Self::AgainPing | Self::Less | Self::LessPing | Self::Later => ("failed", 1),
            Self::TooMuch | Self::TooLarge | Self::Person | Self::PersonAsked => ("blocked", 4),
        }
    }

    fn passes(self) -> bool {
        match self {
            Self::Fine
            | Self::Again
            | Self::AgainPing
            | Self::Less
            | Self::LessPing
            | Self::TooMuch
            | Self::TooLarge => true,
            Self::Later | Self::Person | Self::PersonAsked => false,
        }
    }
}

/// A fault, its class, and words of the sentence and of the remedy.
type Row = (&'static str, Fault, Class, &'static str, &'static str);

/// The requests of a first load up to its second page: the tombstones' newest, HQ's zone, the newest item, those without
/// a stamp, and the first page.
const BEFORE: u64 = 5;

/// An outlet without child tables, whose requests would race with those for the next page.
fn shop(items: usize, page_size: usize) -> Shop {
    let (jobs, _) = JOBS.split_once("[[job.children]]").unwrap();
    let jobs = jobs.replace("page_size = 100", &format!("page_size = {page_size}"));
    let shop = Shop::with_jobs(Kind::Sqlite, &jobs);
    let config = shop.outlet.config().replace("[local]", "max_requests_per_second = 0\n[local]");
    shop.outlet.write_config(&config);
    shop.items(items);
    // `Date` has whole seconds: what was stamped in this one would look ahead of HQ's clock, and be asked about.
    shop.hq.advance(Duration::from_secs(2));
    shop
}

fn raw(bytes: &[u8]) -> Fault {
    Fault::Raw(bytes.to_vec())
}

fn html(status: u16, title: &str) -> Fault {
    Fault::Answer(status, "text/html".to_owned(), format!("<html><h1>{title}</h1></html>").into_bytes())
}

fn exception(status: u16, class: &str) -> Fault {
    Fault::Exception(status, class.to_owned())
}

fn shape(body: Value) -> Fault {
    Fault::Shape(body)
}

fn check(rows: &[Row]) {
    for (name, fault, class, sentence, remedy) in rows {
        let shop = shop(250, 100);
        lasting(&shop, name, fault, *class, sentence, remedy);
        once(&shop, name, fault, *class);
    }
}

fn items() -> When {
    When::path("/api/resource/Item")
}

fn lasting(shop: &Shop, name: &str, fault: &Fault, class: Class, sentence: &str, remedy: &str) {
    let patient = shop.outlet.config();
    if matches!(fault, Fault::Late(_) | Fault::StallBody) {
        shop.outlet.write_config(&patient.replace("timeout = \"20s\"", "timeout = \"2s\""));
    }
    shop.hq.fault_always(items().nth(4), fault.clone());
    let outcome = shop.outlet.run(&["--format", "json", "-vv", "sync", "items"]);
    let (status, code) = class.lasting();
    let run = &outcome.json()[0];
    assert_eq!((&run["status"], outcome.code), (&json!(status), code), "{name}\n{outcome}");
    if class != Class::Fine {
        let requests = run["counts"]["requests"].as_u64().unwrap();
        let fault = requests.saturating_sub(BEFORE);
        assert!(class.requests().contains(&fault), "{name}: {fault} requests, not {:?}\n{outcome}", class.requests());
        let told = |key: &str| run[key].as_str().unwrap_or_default().to_owned();
        assert!(told("error").contains(sentence), "{name}: wanted {sentence:?}\n{outcome}");
        assert!(told("remedy").contains(remedy), "{name}: wanted {remedy:?}\n{outcome}");
        assert_eq!(rows_in_order(shop), 100, "{name}: the first page and no other\n{outcome}");
    }
    shop.hq.heal();
    shop.outlet.write_config(&patient);
    catch_up(shop);
}

fn catch_up(shop: &Shop) {
    shop.outlet.sync_well(&["items"]);
    assert_eq!(rows_in_order(shop), shop.hq.dump("Item").len());
}

fn once(shop: &Shop, name: &str, fault: &Fault, class: Class) {
    if matches!(fault, Fault::Late(_) | Fault::StallBody) {
        // Passes as all others do, after a wait of `timeout` that proves no more.
        return;
    }
    shop.hq.bulk_stamp("Item", |_| true, json!({"standard_rate": 7})).unwrap();
    shop.hq.fault_when(items(), fault.clone());
    let outcome = shop.outlet.run(&["--format", "json", "sync", "items"]);
    let run = &outcome.json()[0];
    if class.passes() {
        let retries = u64::from(class != Class::Fine);
        assert_eq!((&run["status"], &run["counts"]["retries"]), (&json!("ok"), &json!(retries)), "{name}\n{outcome}");
    } else {
        assert_eq!((&run["status"], outcome.code), (&json!(class.lasting().0), class.lasting().1), "{name}\n{outcome}");
    }
    shop.hq.heal();
    catch_up(shop);
}

/// How many items the outlet has: the first ones in HQ's order, as HQ has them, and no others.
#[track_caller]
fn rows_in_order(shop: &Shop) -> usize {
    let have = shop.outlet.database.rows("items", &["item_code", "cast(price as real)"], "changed, item_code");
    let at_hq = shop.hq.dump("Item");
    let mut want: Vec<(&str, &str, f64)> = Vec::new();
    for item in &at_hq {
        let text = |field: &str| item[field].as_str().unwrap();
        want.push((text("modified"), text("name"), item["standard_rate"].as_f64().unwrap()));
    }
    want.sort_by_key(|(modified, name, _)| (*modified, *name));
    for (have, (_, name, price)) in have.iter().zip(&want) {
        assert_eq!(have[0].as_deref(), Some(*name));
        assert_eq!(have[1].as_ref().unwrap().parse(), Ok(*price), "{name}");
    }
    assert!(have.len() <= want.len());
    have.len()
}

#[test]
fn faults_of_the_line() {
    use Class::*;
    check(&[
        (
            "connection closed",
            Fault::Refuse,
            AgainPing,
            "HQ cannot be reached (the connection broke)",
            "check the line",
        ),
        ("connection reset", Fault::Reset, AgainPing, "HQ cannot be reached (the connection broke)", "check the line"),
        ("answer lost", Fault::LoseAnswer, AgainPing, "HQ cannot be reached (the connection broke)", "check the line"),
        ("closed in the headers", raw(b"HTTP/1.1 200 OK\r\nConte"), AgainPing, "cannot be reached", "check the line"),
        ("a TLS server", raw(b"\x15\x03\x01\x00\x02\x02\x46"), Person, "does not speak plain http", "https://"),
        (
            "no HTTP at all",
            raw(b"220 mail.example.com ESMTP\r\n"),
            Person,
            "does not speak plain http",
            "check its port",
        ),
        ("closed in the body", Fault::CutBody, Less, "HQ's answer broke off", "check the line, then run"),
        ("closed in a gzip body", Fault::CutGzip, AgainPing, "its compression is damaged", "proxy"),
        ("garbage for gzip", Fault::GarbageGzip, AgainPing, "its compression is damaged", "proxy"),
    ]);
}

#[test]
fn faults_of_time() {
    use Class::*;
    let hour = Duration::from_secs(3600);
    check(&[
        ("no first byte", Fault::Late(hour), LessPing, "HQ did not begin to answer within 2 s", "raise hq.timeout"),
        ("a stall in the body", Fault::StallBody, Less, "HQ did not go on with its answer within 2 s", "hq.timeout"),
    ]);
}

#[test]
fn answers_in_hqs_place() {
    use Class::*;
    let portal = || "https://portal.example.com/?from=x".to_owned();
    check(&[
        (
            "HTML with 200",
            Fault::HtmlPage,
            AgainPing,
            "it is not Frappe's JSON (text/html; charset=utf-8, ",
            "login page",
        ),
        ("a login", Fault::LoginRedirect, Later, "HQ redirects to /login", "log in"),
        ("a captive portal", Fault::Redirect(307, portal()), Later, "to https://portal.example.com/", "set hq.url"),
        ("HQ moved", Fault::Redirect(301, portal()), Later, "to https://portal.example.com/", "set hq.url"),
        ("JSON under another type", Fault::ContentType("text/html".to_owned()), Fine, "", ""),
        ("nothing with 200", Fault::Answer(200, "application/json".to_owned(), vec![]), AgainPing, "0 bytes", "proxy"),
        ("nothing with 204", Fault::Answer(204, "text/plain".to_owned(), vec![]), AgainPing, "status 204", "proxy"),
        (
            "a part with 206",
            Fault::Answer(206, "application/json".to_owned(), b"{".to_vec()),
            AgainPing,
            "206",
            "proxy",
        ),
        (
            "JSON that ends early",
            Fault::Answer(200, "application/json".to_owned(), br#"{"data": [["A"#.to_vec()),
            AgainPing,
            "its JSON is damaged",
            "proxy",
        ),
        (
            "no UTF-8",
            Fault::Answer(200, "application/json".to_owned(), b"{\"data\": \"\xff\"}".to_vec()),
            AgainPing,
            "not UTF-8",
            "proxy",
        ),
        ("gunicorn's 400", html(400, "Bad Request"), Person, "(HTTP 400)", "milkrun check"),
        ("nginx's 400", html(400, "The plain HTTP request was sent to HTTPS port"), Person, "plain http", "https://"),
        ("a 404 of a web server", html(404, "Not Found"), Person, "HQ knows no Item", "hq.url"),
        ("405", html(405, "Method Not Allowed"), Person, "(HTTP 405)", "milkrun check"),
        ("408", html(408, "Request Timeout"), Again, "HQ failed (HTTP 408)", "run the command again"),
        ("413", html(413, "Request Entity Too Large"), TooMuch, "(HTTP 413)", "milkrun check"),
        ("414", html(414, "Request-URI Too Large"), Person, "(HTTP 414)", "milkrun check"),
        ("502", Fault::Proxy(502), LessPing, "HQ failed (HTTP 502)", "error log"),
        ("503", Fault::Proxy(503), Again, "HQ asks to wait (HTTP 503)", "run the command again in a while"),
        ("504", Fault::Proxy(504), LessPing, "HQ failed (HTTP 504)", "error log"),
        ("599", html(599, "Network Connect Timeout"), Again, "HQ failed (HTTP 599)", "error log"),
        ("a gzip bomb", Fault::Bomb(65), TooLarge, "larger than 64 MiB", "one record is this large"),
    ]);
}

#[test]
fn answers_of_the_wrong_shape() {
    use Class::*;
    check(&[
        ("a list", shape(json!([])), AgainPing, "it is not Frappe's JSON", "proxy"),
        ("a text", shape(json!("ok")), AgainPing, "it is not Frappe's JSON", "proxy"),
        ("an empty object", shape(json!({})), Again, "neither `data` nor `message`", "proxy"),
        ("message: null", shape(json!({"message": null})), Again, "neither `data` nor `message`", "proxy"),
        ("data: {}", shape(json!({"data": {}})), Again, "not a list of records", "proxy"),
        ("data: text", shape(json!({"data": "x"})), Again, "not a list of records", "proxy"),
        ("a list of texts", shape(json!({"data": ["x"]})), Again, "not a list of records", "proxy"),
        ("rows too short", shape(json!({"data": [["A"]]})), PersonAsked, "1 values a record where", "permission"),
        ("rows without fields", shape(json!({"data": [{"name": "A"}]})), Person, "lacks the field", "permission"),
    ]);
}

#[test]
fn refusals_of_frappe() {
    use Class::*;
    let asked = |text: &str| Fault::Asked(text.to_owned());
    check(&[
        ("401", exception(401, "AuthenticationError"), Person, "refused the credentials (HTTP 401)", "hq.auth"),
        ("403", exception(403, "PermissionError"), Person, "may not read Item", "role"),
        ("404", exception(404, "DoesNotExistError"), Person, "HQ knows no Item", "doctype"),
        ("409", exception(409, "DuplicateEntryError"), Person, "(HTTP 409, DuplicateEntryError)", "milkrun check"),
        ("417 validation", exception(417, "ValidationError"), Person, "(HTTP 417, ValidationError)", "milkrun check"),
        ("417 data", exception(417, "DataError"), Person, "(HTTP 417, DataError)", "milkrun check"),
        (
            "417 lock",
            exception(417, "QueryTimeoutError"),
            Less,
            "(HTTP 417, QueryTimeoutError)",
            "run the command again",
        ),
        (
            "429",
            exception(429, "TooManyRequestsError"),
            Again,
            "HQ asks to wait (HTTP 429)",
            "run the command again in a while",
        ),
        ("429 for a while", Fault::TooMany(1), Later, "HQ asked for no request before 2", "run the command again then"),
        ("429 until a date", asked("Fri, 01 Jan 2100 00:00:00 GMT"), Later, "HQ asked for no request before 2", "then"),
        (
            "429 for years",
            asked("99999999999999999999"),
            Later,
            "HQ asked for no request before 2",
            "run the command again then",
        ),
        ("429 soon", asked("soon"), Again, "HQ asks to wait (HTTP 429)", "run the command again in a while"),
        ("500 bad JSON", exception(500, "JSONDecodeError"), Person, "(HTTP 500, JSONDecodeError)", "milkrun check"),
        ("500 data", exception(500, "DataError"), Person, "(HTTP 500, DataError)", "milkrun check"),
        (
            "500 database",
            exception(500, "OperationalError"),
            Again,
            "(HTTP 500, OperationalError)",
            "run the command again",
        ),
        (
            "500 lock",
            exception(500, "QueryTimeoutError"),
            Less,
            "(HTTP 500, QueryTimeoutError)",
            "run the command again",
        ),
        ("500 bare", Fault::Answer(500, "text/html".to_owned(), vec![]), Again, "HQ failed (HTTP 500)", "error log"),
        (
            "maintenance",
            exception(503, "SessionStopped"),
            Again,
            "down for maintenance (HTTP 503, SessionStopped)",
            "back",
        ),
        (
            "read-only",
            exception(503, "InReadOnlyMode"),
            Again,
            "down for maintenance (HTTP 503, InReadOnlyMode)",
            "back",
        ),
    ]);
}

#[test]
fn an_answer_that_never_ends_is_left() {
    let shop = shop(10, 10);
    // Uncompressed, it would take some 15 s.
    shop.hq.set_transport(Transport::Gunicorn);
    let patient = shop.outlet.config();
    shop.outlet.write_config(
        &patient
            .replace("timeout = \"20s\"", "timeout = \"1s\"")
            .replace("max_attempts = 3", "max_attempts = 1"),
    );
    shop.hq.fault_when(items().nth(3), Fault::Trickle);
    shop.hq.fault_always(items().nth(3), Fault::Proxy(503));
    let outcome = shop.outlet.run(&["-vv", "sync", "items"]);
    outcome.expect_code(1);
    assert!(outcome.stderr.contains("HQ did not come to the end of its answer within 10 s"), "{outcome}");
    shop.hq.heal();
    shop.outlet.write_config(&patient);
    catch_up(&shop);
}

#[test]
fn an_answer_too_large_for_memory_is_left_before_it_is_read_to_its_end() {
    let shop = shop(3, 1);
    shop.hq.set_transport(Transport::Gunicorn);
    shop.hq.fault_always(items().nth(4), Fault::Oversized(70 << 20));
    let outcome = shop.outlet.run(&["sync", "items"]);
    outcome.expect_code(4);
    assert!(outcome.stdout.contains("HQ's answer is larger than 64 MiB"), "{outcome}");
    assert_eq!(shop.outlet.database.count("items"), 1);
    shop.hq.heal();
    catch_up(&shop);
}

#[test]
fn no_record_comes_without_its_child_rows() {
    let faults = [Fault::Refuse, Fault::CutBody, Fault::Proxy(504), shape(json!({"message": {}})), Fault::TokenExpires];
    for fault in faults {
        let shop = Shop::empty(Kind::Sqlite);
        shop.items(250);
        shop.outlet.sync_well(&["item_groups"]);
        let barcodes = || When::doctype("Item Barcode").method("POST");
        shop.hq.fault_always(barcodes().nth(2), fault.clone());
        let outcome = shop.outlet.run(&["sync", "items"]);
        assert!(matches!(outcome.code, 1 | 4), "{fault:?}\n{outcome}");
        let counts = ["items", "item_barcodes"].map(|table| shop.outlet.database.count(table));
        assert_eq!(counts, [100, 100], "{fault:?}\n{outcome}");
        shop.hq.heal();
        shop.outlet.sync_well(&["items"]);
        shop.assert_in_step();
    }
}

#[test]
fn a_connection_that_is_refused_is_tried_again_and_told() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(10);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    shop.outlet.configure(&format!("http://{closed}"), MANAGER, JOBS);
    let outcome = shop.outlet.run(&["--format", "json", "sync", "items"]);
    outcome.expect_code(1);
    let run = &outcome.json()[0];
    assert!(run["error"].as_str().unwrap().contains("HQ cannot be reached (connecting)"), "{outcome}");
    assert_eq!(run["counts"]["requests"], 3);
    shop.outlet.configure(&shop.url(), MANAGER, JOBS);
    shop.outlet.sync_well(&[]);
    shop.assert_in_step();
}

#[test]
fn https_to_a_port_without_tls_is_told_at_the_first_request() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.outlet.configure(&shop.url().replace("http://", "https://"), MANAGER, JOBS);
    let outcome = shop.outlet.run(&["--format", "json", "sync", "items"]);
    outcome.expect_code(4);
    let run = &outcome.json()[0];
    assert!(run["error"].as_str().unwrap().ends_with("what answers at hq.url does not speak https"), "{outcome}");
    assert!(run["remedy"].as_str().unwrap().contains("http://"), "{outcome}");
    assert_eq!(run["counts"]["requests"], 1);
}

#[test]
fn a_whole_hq_in_maintenance_is_told_and_left_alone() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(10);
    shop.hq.set_maintenance(demo::Maintenance::On);
    let outcome = shop.outlet.run(&["--format", "json", "sync"]);
    outcome.expect_code(1);
    assert_eq!(shop.hq.requests().len(), 3, "one request's attempts for all jobs\n{outcome}");
    assert!(outcome.stdout.contains("down for maintenance (HTTP 503, SessionStopped)"), "{outcome}");
    shop.hq.set_maintenance(demo::Maintenance::ReadsAllowed);
    shop.outlet.sync_well(&[]);
    shop.assert_in_step();
}
