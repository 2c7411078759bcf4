//! How an answer is held against a recorded one.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Recording;
use super::wire::Answer;

/// How closely a body must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closeness {
    /// Every value, but for random names.
    Values,
    /// As `Values`, but a time is any time: it was stamped while the recording was made.
    NotTimes,
    /// Keys and JSON types of the object, or of the first row.
    Shape,
    /// Of a DocType's description, what a puller reads of each field.
    Fields,
}

/// Recordings whose values depend on content that only exists after hundreds of earlier requests.
const BY_SHAPE: &str = "115 119b 405 813 815 860 870 883 885 1501 1510 1601 1603 1606 1611 1620 1621 1622 1623 1703 \
     518 541 1604 987b 989b 1625";
/// Recordings that show stamps given at the time.
const WITHOUT_TIMES: &str = "401 510 516 518b 519 703 704 707 721 722 724 727 728 729 732 733 734 814 816 817 835 836 849 \
     850 910 912 913 914 917 918 919 920 921 930 931 932 933 934 935 937 944 945 1503 1615 412 990 1502";
const OF_FIELDS: &str = "976 976b 976d 976e 977 978 978b 984 985";
/// Headers of the page renderer, and of nginx's security set, that mean nothing to a puller.
const UNTOLD_HEADERS: [&str; 5] = ["link", "x-page-name", "x-from-cache", "transfer-encoding", "referrer-policy"];

/// Headers whose values do not depend on the time.
const COMPARED_HEADERS: [&str; 6] =
    ["connection", "content-type", "server", "content-encoding", "retry-after", "allow"];

fn closeness(number: &str) -> Closeness {
    let is_in = |list: &str| list.split_whitespace().any(|listed| listed == number);
    if is_in(BY_SHAPE) {
        Closeness::Shape
    } else if is_in(WITHOUT_TIMES) {
        Closeness::NotTimes
    } else if is_in(OF_FIELDS) {
        Closeness::Fields
    } else {
        Closeness::Values
    }
}

/// Compares status, headers and body.
pub(super) fn answers(recording: &Recording, answer: &Answer) -> Result<(), String> {
    let expected = recording.response();
    if expected["status"].as_u64() != Some(answer.status) {
        return Err("the status differs".to_owned());
    }
    headers(&expected["headers"], answer)?;
    let body = recording.body();
    let is_json = answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if !is_json || body.is_string() {
        // Pages differ in their thousands of bytes; that they are pages, and not JSON, is what counts.
        let text = answer.text();
        let is_same = match body.as_str() {
            Some(page) if page.starts_with('<') => text.starts_with('<'),
            Some(page) if page.starts_with("[binary") || page.starts_with("[DocType meta") => text.starts_with('{'),
            Some(page) => text == page,
            None => false,
        };
        return if is_same { Ok(()) } else { Err("the bodies are of different kinds".to_owned()) };
    }
    if !answer.text().is_ascii() {
        return Err("the body is not ASCII (recording 1110)".to_owned());
    }
    let got: Value = serde_json::from_str(&answer.text()).map_err(|error| error.to_string())?;
    value("", body, &got, closeness(recording.number()))
}

/// Every header recorded must be sent, with the same value where that does not depend on time or length.
fn headers(expected: &Value, answer: &Answer) -> Result<(), String> {
    let pairs: Vec<(String, &str)> = expected
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| (pair[0].as_str().unwrap().to_lowercase(), pair[1].as_str().unwrap()))
        .collect();
    for (name, value) in &pairs {
        if UNTOLD_HEADERS.contains(&name.as_str()) {
            continue;
        }
        let Some(got) = answer.header(name) else {
            return Err(format!("header {name} is missing"));
        };
        let is_compared = COMPARED_HEADERS.contains(&name.as_str()) || name.starts_with("x-ratelimit");
        if is_compared && got != *value {
            return Err(format!("header {name} is {got:?} instead of {value:?}"));
        }
    }
    let cookies = |names: Vec<&str>| names.into_iter().filter(|name| *name == "set-cookie").count();
    let recorded = cookies(pairs.iter().map(|(name, _)| name.as_str()).collect());
    let got = cookies(answer.headers.iter().map(|(name, _)| name.as_str()).collect());
    if recorded == got { Ok(()) } else { Err(format!("{got} cookies instead of {recorded}")) }
}

fn value(path: &str, expected: &Value, got: &Value, closeness: Closeness) -> Result<(), String> {
    match (expected, got) {
        (Value::Object(left), Value::Object(right)) => {
            if closeness == Closeness::Fields && left.contains_key("fieldname") {
                return field(path, expected, got);
            }
            let keys = |map: &serde_json::Map<String, Value>| -> BTreeSet<String> { map.keys().cloned().collect() };
            if closeness != Closeness::Fields && keys(left) != keys(right) {
                let differing: Vec<String> = keys(left).symmetric_difference(&keys(right)).cloned().collect();
                return Err(format!("at {path:?} these keys are on one side only: {differing:?}"));
            }
            for (key, expected) in left {
                if let Some(got) = right.get(key) {
                    entry(&format!("{path}/{key}"), key, expected, got, closeness)?;
                }
            }
            Ok(())
        }
        (Value::Array(left), Value::Array(right)) => array(path, left, right, closeness),
        _ => scalar(path, expected, got, closeness),
    }
}

/// Some values are JSON in text, or tell of the server's inside.
fn entry(path: &str, key: &str, expected: &Value, got: &Value, closeness: Closeness) -> Result<(), String> {
    let is_text = |value: &Value| value.is_string();
    match key {
        // Tracebacks, raw SQL and the words of another JSON parser.
        "exc" | "__frappe_exc_id" => {
            if is_text(got) {
                Ok(())
            } else {
                Err(format!("{path} is no text"))
            }
        }
        "exception" if expected.as_str().is_some_and(|text| text.contains("JSONDecodeError")) => Ok(()),
        "exception" if expected.as_str().is_some_and(|text| text.contains("QueryTimeoutError")) => Ok(()),
        "exception" | "message" if expected.as_str().is_some_and(|text| text.contains("modified after you")) => Ok(()),
        "exception" | "message" if expected.as_str().is_some_and(|text| text.contains("get_safe_filters")) => Ok(()),
        "exception" if expected.is_string() => {
            let tidy = |value: &Value| without_hex(&value.as_str().unwrap_or_default().replace("erpdb", "hqdb"));
            if tidy(expected) == tidy(got) { Ok(()) } else { Err(format!("{path} differs: {expected} and {got}")) }
        }
        "_server_messages" => {
            let unpack = |value: &Value| -> Result<Value, String> {
                let texts: Vec<String> = serde_json::from_str(value.as_str().ok_or("_server_messages is no text")?)
                    .map_err(|error| error.to_string())?;
                texts
                    .iter()
                    .map(|text| serde_json::from_str::<Value>(text).map_err(|error| error.to_string()))
                    .collect()
            };
            value(path, &unpack(expected)?, &unpack(got)?, closeness)
        }
        // The deleted document, as JSON text.
        "data" if path.starts_with("/data/") && is_text(expected) && is_text(got) => {
            let unpack = |value: &Value| {
                serde_json::from_str::<Value>(value.as_str().unwrap()).map_err(|error| error.to_string())
            };
            value(path, &unpack(expected)?, &unpack(got)?, closeness)
        }
        // Tests write as Administrator.
        "owner" | "modified_by" if closeness == Closeness::NotTimes => {
            if is_text(got) {
                Ok(())
            } else {
                Err(format!("{path} is no text"))
            }
        }
        // Frappe says what the title of a refusal's message is; nobody reads it.
        "title" => Ok(()),
        _ => value(path, expected, got, closeness),
    }
}

fn array(path: &str, left: &[Value], right: &[Value], closeness: Closeness) -> Result<(), String> {
    if closeness == Closeness::Shape {
        return match (left.first(), right.first()) {
            (Some(left), Some(right)) => value(&format!("{path}/0"), left, right, closeness),
            (None, None) => Ok(()),
            _ => Err(format!("{path} is empty on one side only")),
        };
    }
    if closeness == Closeness::Fields && path.ends_with("fields") {
        return fields(left, right);
    }
    let (shown, total) = match left.split_last() {
        // "[... 17 more of 20 left out of this recording]"
        Some((Value::String(cut), shown)) if cut.starts_with("[...") => {
            let total = cut.split(" of ").nth(1).and_then(|rest| rest.split(' ').next());
            (shown, total.map_or(right.len(), |total| total.parse().unwrap()))
        }
        _ => (left, left.len()),
    };
    if right.len() != total && closeness != Closeness::Fields {
        return Err(format!("{path} has {} elements instead of {total}", right.len()));
    }
    for (place, (left, right)) in shown.iter().zip(right).enumerate() {
        value(&format!("{path}/{place}"), left, right, closeness)?;
    }
    Ok(())
}

fn scalar(path: &str, expected: &Value, got: &Value, closeness: Closeness) -> Result<(), String> {
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    let is_same = match (expected, got) {
        (Value::String(left), Value::String(right)) => {
            closeness == Closeness::Shape
                || left == right
                || without_hex(left) == without_hex(right)
                || (closeness == Closeness::NotTimes && without_digits(left) == without_digits(right))
        }
        // Frappe prints a Rating just written as an integer (recording 401).
        (Value::Number(left), Value::Number(right)) if path.ends_with("/rating") => left.as_f64() == right.as_f64(),
        (left, right) => {
            if closeness == Closeness::Shape {
                kind(left) == kind(right) || left.is_null() || right.is_null()
            } else {
                left == right
            }
        }
    };
    if is_same || closeness == Closeness::Fields {
        Ok(())
    } else {
        Err(format!("{path} is {got} instead of {expected}"))
    }
}

/// Random names are all alike.
fn without_hex(text: &str) -> String {
    let is_hex = |word: &str| word.len() == 10 && word.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    text.split_inclusive(|c: char| !c.is_ascii_alphanumeric())
        .map(|word| {
            let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            if is_hex(bare) { word.replace(bare, "HEX") } else { word.to_owned() }
        })
        .collect()
}

/// Times are all alike: their digits go, and so does a fraction that happened to be zero.
fn without_digits(text: &str) -> String {
    let text = without_hex(text);
    let is_time = text.matches(':').count() >= 2 && text.chars().any(|c| c.is_ascii_digit());
    if !is_time {
        return text;
    }
    text.chars().filter(|c| !c.is_ascii_digit() && *c != '.').collect()
}

/// The value fields of a description, in order.
fn fields(left: &[Value], right: &[Value]) -> Result<(), String> {
    let right: Vec<&Value> = right.iter().collect();
    let left: Vec<&Value> =
        left.iter().filter(|field| field.is_object() && field["fieldname"] != "outlet_ref").collect();
    for (expected, got) in left.iter().zip(&right) {
        field("/fields", expected, got)?;
    }
    if right.len() < left.len() { Err("fields are missing".to_owned()) } else { Ok(()) }
}

fn field(path: &str, expected: &Value, got: &Value) -> Result<(), String> {
    for key in ["fieldname", "label", "fieldtype", "options", "permlevel", "reqd", "unique", "default"] {
        if expected[key] != got[key] {
            return Err(format!(
                "{path}: {key} of {} is {} instead of {}",
                expected["fieldname"], got[key], expected[key]
            ));
        }
    }
    Ok(())
}
