//! Files that are nearly right: whatever is put in a value's place, the schema says what is wrong, not serde.

use super::sections::{DESIGN, KEYS};
use super::*;
use crate::config::Code;

/// What serde, the `config` crate and the last resort of `load` say where the schema has a hole.
const HOLES: [&str; 6] =
    ["please report", "invalid type", "invalid value", "unknown field", "does not have variant", "unknown variant"];

#[track_caller]
fn assert_no_hole(text: &str) {
    if let Err(problems) = read_with(text, &KEYS) {
        assert!(!problems.is_empty(), "{text}");
        let shown = shown(&problems);
        for problem in &problems {
            // Of what is not there at all there is no place.
            let has_place = problem.line.is_some_and(|line| line <= text.lines().count().max(1));
            assert!(has_place || problem.code == Code::MissingKey, "{shown}\n{text}");
        }
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
    for end in (0..DESIGN.len()).step_by(3) {
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

/// What a slip of the hand does to a text.
#[derive(Debug, Clone)]
enum Slip {
    Drop(usize),
    Put(usize, &'static str),
    Swap(usize),
    DropLine(usize),
    RepeatLine(usize),
    MoveLine(usize, usize),
}

fn slipped(text: &str, slip: &Slip) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let mut lines: Vec<&str> = text.lines().collect();
    let (at_letter, at_line) = (|at: usize| at % letters.len().max(1), |at: usize| at % lines.len().max(1));
    match *slip {
        Slip::Drop(at) if !letters.is_empty() => {
            letters.remove(at_letter(at));
        }
        Slip::Put(at, text) => {
            let at = at_letter(at);
            letters.splice(at..at, text.chars());
        }
        Slip::Swap(at) if letters.len() > 1 => {
            let at = at % (letters.len() - 1);
            letters.swap(at, at + 1);
        }
        Slip::DropLine(at) if !lines.is_empty() => {
            lines.remove(at_line(at));
            return lines.join("\n");
        }
        Slip::RepeatLine(at) if !lines.is_empty() => {
            let at = at_line(at);
            lines.insert(at, lines[at]);
            return lines.join("\n");
        }
        Slip::MoveLine(from, to) if !lines.is_empty() => {
            let line = lines.remove(at_line(from));
            lines.insert(to % (lines.len() + 1), line);
            return lines.join("\n");
        }
        Slip::Drop(_) | Slip::Swap(_) | Slip::DropLine(_) | Slip::RepeatLine(_) | Slip::MoveLine(..) => {}
    }
    letters.into_iter().collect()
}

fn slips() -> impl proptest::strategy::Strategy<Value = Vec<Slip>> {
    use proptest::prelude::*;
    const TEXTS: [&str; 22] = [
        "\"", "'", "[", "]", "{", "}", "=", ",", "#", ":", "\n", " ", "\t", "\\", "\u{a0}", "“", "é", "\u{0}", "[[",
        "]]", "\"\"\"", "${",
    ];
    let any = 0..10_000_usize;
    let slip = prop_oneof![
        any.clone().prop_map(Slip::Drop),
        (any.clone(), proptest::sample::select(TEXTS.as_slice())).prop_map(|(at, text)| Slip::Put(at, text)),
        any.clone().prop_map(Slip::Swap),
        any.clone().prop_map(Slip::DropLine),
        any.clone().prop_map(Slip::RepeatLine),
        (any.clone(), any).prop_map(|(from, to)| Slip::MoveLine(from, to)),
    ];
    proptest::collection::vec(slip, 1..6)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_text_after_a_few_slips_is_read_or_refused_with_a_place(slips in slips()) {
        let text = slips.iter().fold(DESIGN.to_owned(), |text, slip| slipped(&text, slip));
        assert_no_hole(&text);
    }
}
