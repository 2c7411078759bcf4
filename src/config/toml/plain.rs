//! The parser's words as ours: what is said of a statement that no guess makes readable.

use crate::config::said::{Code, Said};

/// Pieces of the parser's sentences, what is wrong, and what to do. Nothing of the text is repeated: it may be a secret.
const SENTENCES: [(&str, &str, &str); 17] = [
    ("recurse", "brackets stand within brackets too deep", "take some away"),
    (
        "extend value",
        "this goes on with a value, or with a table that is closed already",
        "write the key between the braces of the table",
    ),
    ("missing comma", "a comma is missing before this", "write \",\""),
    ("extra comma", "a comma too many", "delete it"),
    ("missing assignment", "\"=\" is missing between key and value", "write key = value"),
    ("extra", "a second \"=\" stands here", "write key = value, and a text in quotes"),
    ("`=` in array", "\"=\" stands in a list", "write { key = value } for a table, [\"…\", \"…\"] for a list"),
    ("missing key", "a key is missing before \"=\"", "write key = value"),
    ("no value", "the key has no value", "write key = value"),
    ("missing value", "a value is missing here", "write key = value, a text in quotes"),
    ("unclosed inline table", "\"{\" is not closed", "add \"}\""),
    ("unclosed array table", "\"[[\" is not closed", "write [[job]], with two brackets on each side"),
    ("unclosed array", "\"[\" is not closed", "add \"]\""),
    ("unclosed table", "\"[\" is not closed", "add \"]\""),
    ("quote", "a quote is missing", "put the text in quotes: \"…\""),
    ("quoted", "a text without quotes", "put it in quotes: \"…\""),
    ("unquoted key", "a key is of letters, digits, \"_\" and \"-\"", "write any other key in quotes"),
];

/// What is said in the place of the parser's `message`.
pub(super) fn said(message: &str) -> Said {
    let known = SENTENCES.iter().find(|(piece, ..)| message.contains(piece));
    let (what, help) = known.map_or_else(|| rest(message), |(_, what, help)| (*what, *help));
    Said::new(Code::Syntax, what).help(help)
}

fn rest(message: &str) -> (&'static str, &'static str) {
    let is_number = ["radix", "prefix", "sign", "digits", "leading zero"].iter().any(|piece| message.contains(piece));
    if message.contains("escape") || message.contains("unicode") {
        let what = "a backslash between double quotes begins an escape such as \"\\n\"";
        (what, "write it twice, or put the text between single quotes")
    } else if is_number {
        ("this is not how TOML writes a number", "write a number such as 500 or 2.5, or a text in quotes")
    } else {
        ("this is not TOML", "a line is key = value, [section] or # comment; a text stands in quotes")
    }
}
