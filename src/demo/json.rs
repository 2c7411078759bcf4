//! JSON as Frappe writes it: compact and ASCII, everything else as `\u` escapes (recording 1110).

use serde_json::Value;

use super::cell::Cell;
use super::clock;

/// Appends a value.
pub(super) fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write(out, item);
            }
            out.push(b']');
        }
        Value::Object(map) => {
            out.push(b'{');
            for (place, (key, item)) in map.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_text(out, key);
                out.push(b':');
                write(out, item);
            }
            out.push(b'}');
        }
    }
}

/// Appends a stored value without making a [`Value`] of it first.
pub(super) fn write_cell(out: &mut Vec<u8>, cell: &Cell) {
    match cell {
        Cell::Null => out.extend_from_slice(b"null"),
        Cell::Whole(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Cell::Real(number) => out.extend_from_slice(Value::from(*number).to_string().as_bytes()),
        Cell::Time(stamp) => write_text(out, &clock::print(*stamp)),
        Cell::Text(text) => write_text(out, text),
    }
}

/// Appends a string in quotes.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            ' '..='~' => out.extend(u8::try_from(c)),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_beyond_ascii_is_escaped_with_surrogates() {
        let mut out = Vec::new();
        write(&mut out, &serde_json::json!({"item_group": "Ünï 😀\n", "n": [1, 2.0, null]}));
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, r#"{"item_group":"\u00dcn\u00ef \ud83d\ude00\n","n":[1,2.0,null]}"#);
    }
}
