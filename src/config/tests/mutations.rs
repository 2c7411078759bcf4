//! Files that are nearly right: whatever is put in a value's place, the schema says what is wrong, not serde.

use super::sections::{DESIGN, KEYS};
use super::*;

/// What serde, the `config` crate and the last resort of `load` say where the schema has a hole.
const HOLES: [&str; 6] =
    ["please report", "invalid type", "invalid value", "unknown field", "does not have variant", "unknown variant"];

#[track_caller]
fn assert_no_hole(text: &str) {
    if let Err(problems) = read_with(text, &KEYS) {
        assert!(!problems.is_empty(), "{text}");
        let shown = problems.with_source();
        assert!(!HOLES.iter().any(|hole| shown.contains(hole)), "{shown}");
    }
}

#[test]
fn any_value_in_any_place_is_judged_by_the_schema() {
    let junk = [
        "1",
        "-1",
        "99999999999",
        "1.5",
        "inf",
        "true",
        "\"\"",
        "\"x\"",
        "\"30s\"",
        "\"${NONE}\"",
        "[]",
        "[1]",
        "[\"x\"]",
        "[[]]",
        "[{}]",
        "{}",
        "{ x = 1 }",
        "2024-01-01",
    ];
    for (number, line) in DESIGN.lines().enumerate() {
        let Some((key, _)) = line.split_once('=') else {
            continue;
        };
        for value in junk {
            let changed = format!("{key}= {value}");
            let lines = DESIGN.lines().enumerate();
            let lines: Vec<&str> = lines.map(|(at, line)| if at == number { changed.as_str() } else { line }).collect();
            assert_no_hole(&lines.join("\n"));
        }
    }
}

#[test]
fn a_file_may_lack_any_line_or_end_anywhere() {
    for number in 0..DESIGN.lines().count() {
        let lines = DESIGN.lines().enumerate();
        let rest: Vec<&str> = lines.filter(|(at, _)| *at != number).map(|(_, line)| line).collect();
        assert_no_hole(&rest.join("\n"));
    }
    for end in 0..DESIGN.len() {
        assert_no_hole(DESIGN.get(..end).unwrap());
    }
}

#[test]
fn any_text_in_an_inline_table_is_judged_by_the_schema() {
    let words = DESIGN.match_indices(['"', '5', '{', '[', ',']);
    for (place, old) in words {
        for new in ["", "\"", "1", "{}", "[]", "é"] {
            let (before, after) = DESIGN.split_at(place);
            assert_no_hole(&format!("{before}{new}{}", after.strip_prefix(old).unwrap()));
        }
    }
}
