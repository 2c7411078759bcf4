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
        // Writing to memory does not fail.
        Cell::Whole(number) => drop(serde_json::to_writer(out, number)),
        Cell::Real(number) => drop(serde_json::to_writer(out, number)),
        Cell::Time(stamp) => {
            out.push(b'"');
            clock::print_into(out, *stamp);
            out.push(b'"');
        }
        Cell::Text(text) => write_text(out, text),
    }
}

/// Appends a string in quotes.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text;
    loop {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        let (plain, other) = rest.split_at(rest.bytes().position(|byte| !is_plain(byte)).unwrap_or(rest.len()));
        out.extend_from_slice(plain.as_bytes());
        let mut chars = other.chars();
        match chars.next() {
            None => break,
            Some('"') => out.extend_from_slice(b"\\\""),
            Some('\\') => out.extend_from_slice(b"\\\\"),
            Some('\n') => out.extend_from_slice(b"\\n"),
            Some('\r') => out.extend_from_slice(b"\\r"),
            Some('\t') => out.extend_from_slice(b"\\t"),
            Some(other) => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            }
        }
        rest = chars.as_str();
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_written_as_its_value_is() {
        for cell in
            [Cell::Null, Cell::Whole(-3), Cell::Real(2.0), Cell::Real(0.1), Cell::Time(1), Cell::Text("é\\".into())]
        {
            let (mut short, mut long) = (Vec::new(), Vec::new());
            write_cell(&mut short, &cell);
            write(&mut long, &cell.to_json());
            assert_eq!(String::from_utf8(short), String::from_utf8(long), "{cell:?}");
        }
    }

    #[test]
    fn text_beyond_ascii_is_escaped_with_surrogates() {
        let mut out = Vec::new();
        write(&mut out, &serde_json::json!({"item_group": "Ünï 😀\n", "n": [1, 2.0, null]}));
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, r#"{"item_group":"\u00dcn\u00ef \ud83d\ude00\n","n":[1,2.0,null]}"#);
    }
}
