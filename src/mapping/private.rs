//! Private fields: which they are, and how a sentence of the database is rid of their values.
//!
//! milkrun's own sentences never take a private value in (`offence`). A database quotes what it refuses in words of its
//! own, cut, folded or converted as it likes, so its sentences are searched; where one may still hold a value when all
//! that is quoted was looked at, the whole sentence goes.

use std::collections::{BTreeSet, HashSet};

use super::field::Field;
use super::offence::PRIVATE;
use super::{ChildRows, ChildTable, Column, Mapping};
use crate::row::{Cell, Row};

/// HQ fields that milkrun works with and shows wherever it speaks of a record.
pub(super) const SHOWN: [&str; 4] = ["name", "modified", "parent", "idx"];

/// Stands for a database's sentence that may hold a private value.
const WITHHELD: &str = "the database refused the row (the reason may hold a private value: see the database's own log)";

/// This many characters of a value give it away, wherever they stand; shorter values count whole.
const TELLING: usize = 8;

/// What stands before a quoted name in the sentences of the three databases.
const NAMED: [&str; 10] =
    ["column", "relation", "constraint", "table", "key", "index", "trigger", "function", "type", "domain"];

/// The private HQ fields of one table.
#[derive(Debug, Default)]
pub(super) struct Private(BTreeSet<String>);

impl Private {
    /// Finds the private HQ fields, and marks every column that shows something of one of them.
    pub(super) fn spread(fields: &mut [Field], columns: &mut [Column]) -> Self {
        let declared = fields.iter().filter(|field| field.is_private).flat_map(|field| field.needs());
        let private: BTreeSet<String> = declared.filter(|name| !SHOWN.contains(&name.as_str())).cloned().collect();
        for (field, column) in fields.iter_mut().zip(columns) {
            field.is_private |= field.needs().iter().any(|name| private.contains(name));
            column.is_private = field.is_private;
        }
        Self(private)
    }

    fn has(&self, hq_field: &str) -> bool {
        self.0.contains(hq_field)
    }
}

impl Mapping {
    /// Whether a column marked `private` is made of this HQ field, also through `expr` or `lookup`.
    #[must_use]
    pub fn is_private(&self, hq_field: &str) -> bool {
        self.private.has(hq_field)
    }

    /// Whether a key column is private; the key is then not shown.
    #[must_use]
    pub fn has_private_key(&self) -> bool {
        self.key.iter().any(|at| self.columns.get(*at).is_some_and(|column| column.is_private))
    }

    /// Whether any column is private, those of the child tables included.
    #[must_use]
    pub fn has_private(&self) -> bool {
        let any = |columns: &[Column]| columns.iter().any(|column| column.is_private);
        any(&self.columns) || self.children.iter().any(|child| any(&child.columns))
    }

    /// What the database said of these records' rows, without their private values. Without records, or where it cannot
    /// be told whether a value is still in it, a sentence that holds nothing stands for the whole.
    #[must_use]
    pub fn scrub<'r>(&self, sentence: &str, records: impl IntoIterator<Item = (&'r Row, &'r [ChildRows])>) -> String {
        if !self.has_private() {
            return sentence.to_owned();
        }
        let mut values = HashSet::new();
        let mut is_known = false;
        for (row, tables) in records {
            is_known = true;
            collect(&self.columns, row, &mut values);
            for (child, rows) in self.children.iter().zip(tables) {
                rows.iter().for_each(|row| collect(&child.columns, row, &mut values));
            }
        }
        if !is_known {
            return WITHHELD.to_owned();
        }
        let columns = self.columns.iter().chain(self.children.iter().flat_map(|child| &child.columns));
        let private: Vec<&str> =
            columns.filter(|column| column.is_private).map(|column| column.name.as_str()).collect();
        without(sentence, &private, &values)
    }
}

impl ChildTable {
    /// Whether a column marked `private` is made of this field of the child DocType.
    #[must_use]
    pub fn is_private(&self, hq_field: &str) -> bool {
        self.private.has(hq_field)
    }
}

fn collect(columns: &[Column], row: &Row, values: &mut HashSet<String>) {
    let private = columns.iter().zip(row).filter(|(column, _)| column.is_private);
    values.extend(private.filter_map(|(_, cell)| Cell::text(cell)).map(|text| text.trim().to_lowercase()));
    values.remove("");
}

/// `sentence` without `values`, which are in lower case.
fn without(sentence: &str, private_columns: &[&str], values: &HashSet<String>) -> String {
    let is_about_private = words(&sentence.to_lowercase())
        .any(|word| private_columns.iter().any(|column| column.eq_ignore_ascii_case(word)));
    let mut kept = String::new();
    let mut shown = String::new();
    for piece in pieces(sentence) {
        let is_shown = match &piece {
            Piece::Plain(_) => true,
            Piece::Quoted { text, is_name, .. } => {
                let text = text.to_lowercase();
                let is_value = values.iter().any(|value| shares(value, &text));
                let is_part = values.iter().any(|value| value.contains(&text));
                !is_value && (*is_name || !(is_part || is_about_private))
            }
        };
        match piece {
            Piece::Plain(text) => {
                kept.push_str(text);
                shown.push_str(text);
            }
            Piece::Quoted { text, mark, .. } if is_shown => {
                kept.extend([mark.to_string().as_str(), text, mark.to_string().as_str()]);
                shown.push_str(&format!("{mark}{text}{mark}"));
            }
            Piece::Quoted { .. } => {
                kept.push(' ');
                shown.push_str(PRIVATE);
            }
        }
    }
    let kept = kept.to_lowercase();
    if values.iter().any(|value| remains(value, &kept)) { WITHHELD.to_owned() } else { shown }
}

/// A stretch of a sentence.
enum Piece<'s> {
    Plain(&'s str),
    /// What stands between two quotation marks; a name of the schema by the word before it.
    Quoted {
        text: &'s str,
        mark: char,
        is_name: bool,
    },
}

/// Cuts a sentence at its quotation marks. A mark that is not closed takes in the rest: a value may hold a mark itself.
fn pieces(sentence: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = sentence;
    while let Some((before, mark, after)) = split_at_mark(rest) {
        pieces.push(Piece::Plain(before));
        // To the last such mark that is followed by no letter: a quoted value may hold quotes.
        let end = closing(after, mark);
        let text = after.get(..end).unwrap_or(after);
        let last = before.trim_end().rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let is_name = mark == '`' || NAMED.contains(&last.to_lowercase().as_str());
        pieces.push(Piece::Quoted { text, mark, is_name });
        rest = after.get(end + mark.len_utf8()..).unwrap_or_default();
    }
    pieces.push(Piece::Plain(rest));
    pieces
}

fn split_at_mark(text: &str) -> Option<(&str, char, &str)> {
    let at = text.find(['"', '\'', '`'])?;
    let (before, rest) = text.split_at_checked(at)?;
    let mark = rest.chars().next()?;
    // An apostrophe inside a word (`can't`) quotes nothing.
    let is_apostrophe = mark == '\''
        && before.ends_with(char::is_alphanumeric)
        && rest.chars().nth(1).is_some_and(char::is_alphanumeric);
    if is_apostrophe {
        let next = rest.get(mark.len_utf8()..)?;
        let (_, mark, after) = split_at_mark(next)?;
        let length = text.len() - after.len() - mark.len_utf8();
        return Some((text.get(..length)?, mark, after));
    }
    Some((before, mark, rest.get(mark.len_utf8()..)?))
}

fn closing(text: &str, mark: char) -> usize {
    let ends = |(at, _): &(usize, &str)| {
        let after = text.get(at + mark.len_utf8()..).unwrap_or_default();
        !after.starts_with(|c: char| c.is_alphanumeric() || c == mark)
    };
    text.match_indices(mark).find(ends).map_or(text.len(), |(at, _)| at)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// Whether the quoted text holds the value or a telling part of it.
fn shares(value: &str, text: &str) -> bool {
    value == text
        || (value.chars().nth(2).is_some() && text.contains(value))
        || windows(value).any(|part| text.contains(part))
}

/// Whether something of the value stands in what is left. A single character stands everywhere and tells nothing.
fn remains(value: &str, kept: &str) -> bool {
    match value.chars().count() {
        0 | 1 => false,
        2 | 3 => words(kept).any(|word| word == value),
        length if length <= TELLING => kept.contains(value),
        _ => windows(value).any(|part| kept.contains(part)),
    }
}

/// The stretches of a value that are as long as is telling; none of a shorter one.
fn windows(value: &str) -> impl Iterator<Item = &str> {
    let starts = value.char_indices().map(|(at, _)| at);
    let ends = value.char_indices().map(|(at, _)| at).chain([value.len()]).skip(TELLING);
    starts.zip(ends).filter_map(|(start, end)| value.get(start..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubbed(sentence: &str, values: &[&str]) -> String {
        without(sentence, &["phone", "pin"], &values.iter().map(|value| value.to_lowercase()).collect())
    }

    #[test]
    fn what_the_databases_say_is_kept_without_the_value() {
        for (sentence, values, expected) in [
            (
                "invalid input syntax for type integer: \"+91 555-0142\"",
                &["+91 555-0142"][..],
                "invalid input syntax for type integer: (private)",
            ),
            (
                "Incorrect integer value: 'abc' for column `shop`.`customers`.`phone` at row 1",
                &["abc"],
                "Incorrect integer value: (private) for column `shop`.`customers`.`phone` at row 1",
            ),
            ("Duplicate entry '7' for key 'pin'", &["7"], "Duplicate entry (private) for key 'pin'"),
            ("Duplicate entry 'x-O'Neil' for key 'pin'", &["O'Neil"], "Duplicate entry (private) for key 'pin'"),
            // Cut by the database.
            (
                "Incorrect date value: '+91 555-014' for column 'born' at row 1",
                &["+91 555-0142-77"],
                "Incorrect date value: (private) for column 'born' at row 1",
            ),
            // Converted beyond recognition, but of a private column.
            (
                "Incorrect decimal value: '1e3' for column 'phone' at row 1",
                &["1000"],
                "Incorrect decimal value: (private) for column 'phone' at row 1",
            ),
            (
                "value too long for type character varying(10)",
                &["+91 555-0142"],
                "value too long for type character varying(10)",
            ),
            // Another column's value is no secret.
            (
                "Incorrect integer value: 'blue' for column 'colour' at row 1",
                &["+91 555-0142", "1"],
                "Incorrect integer value: 'blue' for column 'colour' at row 1",
            ),
            ("CHECK constraint failed: phone_ok", &["+91 555-0142"], "CHECK constraint failed: phone_ok"),
        ] {
            assert_eq!(scrubbed(sentence, values), expected);
        }
    }

    #[test]
    fn a_sentence_that_may_still_hold_the_value_goes_as_a_whole() {
        for (sentence, value) in [
            ("the customer of +91 555-0142 is refused", "+91 555-0142"),
            ("REFUSED: CANARY BIRD", "canary bird"),
            ("refused: ends in 555-0142-7", "+91 555-0142-7"),
            ("bad pin 42", "42"),
            ("it doesn't take canary", "canary"),
        ] {
            assert_eq!(scrubbed(sentence, &[value]), WITHHELD, "{sentence}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_value_comes_through_however_it_is_quoted(
            value in "[^\\s](\\PC{3,20})[^\\s]",
            lead in "[a-z ]{0,12}",
            mark in "[\"'`(]?",
            tail in "[a-z ]{0,12}",
        ) {
            let said = scrubbed(&format!("{lead}{mark}{value}{mark}{tail}"), &[&value]);
            proptest::prop_assert!(!said.to_lowercase().contains(&value.to_lowercase()) || said == WITHHELD, "{said}");
        }
    }
}
