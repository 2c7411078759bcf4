//! Text order as MariaDB's `utf8mb4_unicode_ci` has it, nearly.
//!
//! Case and accents do not count, trailing spaces do not count, punctuation sorts before digits and digits
//! before letters, and all characters outside the basic plane are equal (recordings 203-206, 225, 834). Weights
//! follow the order of the collation, not its tables: scripts other than Latin are ordered by code point.

use std::cmp::Ordering;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The weight all characters outside the basic plane share.
const OUTSIDE_BASIC_PLANE: u16 = 0xFFFD;
/// First half of the weight of a symbol that has no place of its own.
const SYMBOL: u16 = 0x0B00;
/// First half of the weight of a letter of a script without a block of its own.
const OTHER_LETTER: u16 = 0x2000;

/// The bytes that sort and compare as the collation does; equal keys are one name to MariaDB.
pub(super) fn key(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() * 2);
    each_weight(text, |weight| bytes.extend_from_slice(&weight.to_be_bytes()));
    bytes
}

/// Compares two texts under the collation.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    if left.is_ascii() && right.is_ascii() {
        fn weights(text: &str) -> impl Iterator<Item = u16> {
            text.trim_end_matches(' ').bytes().map(ascii).filter(|weight| *weight != 0)
        }
        return weights(left).cmp(weights(right));
    }
    key(left).cmp(&key(right))
}

/// Whether two texts are one under the collation.
pub(super) fn equal(left: &str, right: &str) -> bool {
    compare(left, right) == Ordering::Equal
}

/// A `like` pattern: `%` is any run, `_` any one character, everything else compares by collation.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Vec<Token>);

#[derive(Debug, Clone, PartialEq)]
enum Token {
    AnyRun,
    AnyOne,
    Weight(Vec<u8>),
}

impl Pattern {
    /// Reads a pattern; a backslash is an ordinary character, as Frappe doubles it.
    pub(super) fn new(pattern: &str) -> Self {
        Self(
            pattern
                .nfkd()
                .filter(|c| !is_combining_mark(*c))
                .map(|c| match c {
                    '%' => Token::AnyRun,
                    '_' => Token::AnyOne,
                    other => Token::Weight(weight_of(other)),
                })
                .collect(),
        )
    }

    /// Whether the whole text fits the pattern (recording 116).
    pub(super) fn fits(&self, text: &str) -> bool {
        let letters: Vec<Vec<u8>> = text.nfkd().filter(|c| !is_combining_mark(*c)).map(weight_of).collect();
        fits(&self.0, &letters)
    }
}

fn fits(tokens: &[Token], letters: &[Vec<u8>]) -> bool {
    match tokens.split_first() {
        None => letters.is_empty(),
        Some((Token::AnyRun, rest)) => {
            (0..=letters.len()).any(|skip| letters.get(skip..).is_some_and(|tail| fits(rest, tail)))
        }
        Some((Token::AnyOne, rest)) => letters.split_first().is_some_and(|(_, tail)| fits(rest, tail)),
        Some((Token::Weight(weight), rest)) => {
            letters.split_first().is_some_and(|(first, tail)| first == weight && fits(rest, tail))
        }
    }
}

fn weight_of(c: char) -> Vec<u8> {
    let mut bytes = Vec::new();
    each_weight_of(c, &mut |weight| bytes.extend_from_slice(&weight.to_be_bytes()));
    if bytes.is_empty() { vec![0, 0] } else { bytes }
}

fn each_weight(text: &str, mut take: impl FnMut(u16)) {
    let text = text.trim_end_matches(' ');
    if text.is_ascii() {
        text.bytes().map(ascii).filter(|weight| *weight != 0).for_each(take);
    } else {
        text.nfkd().for_each(|c| each_weight_of(c, &mut take));
    }
}

fn each_weight_of(c: char, take: &mut impl FnMut(u16)) {
    if let Ok(byte) = u8::try_from(c)
        && byte.is_ascii()
    {
        let weight = ascii(byte);
        if weight != 0 {
            take(weight);
        }
        return;
    }
    if is_combining_mark(c) || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{feff}') {
        return;
    }
    for lower in c.to_lowercase().nfkd().filter(|c| !is_combining_mark(*c)) {
        match letter(lower) {
            (0, _) => {}
            (first, 0) => take(first),
            (first, second) => {
                take(first);
                take(second);
            }
        }
    }
}

/// One or two weights of a lower-case character without accents.
fn letter(c: char) -> (u16, u16) {
    let Ok(code) = u16::try_from(u32::from(c)) else {
        return (OUTSIDE_BASIC_PLANE, 0);
    };
    match c {
        '\0'..='\x7f' => (ascii(u8::try_from(c).unwrap_or(0)), 0),
        'ß' => (ascii(b's'), ascii(b's')),
        'æ' => (ascii(b'a') + 4, 0),
        'đ' | 'ð' => (ascii(b'd') + 4, 0),
        'ħ' => (ascii(b'h') + 4, 0),
        'ı' => (ascii(b'i') + 4, 0),
        'ł' => (ascii(b'l') + 4, 0),
        'ø' => (ascii(b'o') + 4, 0),
        'œ' => (ascii(b'o') + 6, 0),
        'þ' => (ascii(b'z') + 4, 0),
        'ς' => (0x1000 + 0x53, 0),
        '\u{370}'..='\u{3ff}' => (0x1000 + (code - 0x370), 0),
        '\u{400}'..='\u{52f}' => (0x1400 + (code - 0x400), 0),
        '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' => (0xFB40 + (code >> 15), code | 0x8000),
        other if other.is_alphanumeric() => (OTHER_LETTER, code),
        _ => (SYMBOL, code),
    }
}

/// The weight of an ASCII character, 0 for one that does not count.
fn ascii(byte: u8) -> u16 {
    const PUNCTUATION: &[u8] = b"\t\n\x0b\x0c\r _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$";
    match byte {
        b'a'..=b'z' => 0x0E00 + u16::from(byte - b'a') * 8,
        b'A'..=b'Z' => 0x0E00 + u16::from(byte - b'A') * 8,
        b'0'..=b'9' => 0x0D00 + u16::from(byte - b'0'),
        _ => PUNCTUATION
            .iter()
            .position(|known| *known == byte)
            .and_then(|place| u16::try_from(place).ok())
            .map_or(0, |place| 0x0200 + place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_trailing_spaces_do_not_count() {
        for (left, right) in [
            ("Kappa", "kappa"),
            ("Café", "Cafe"),
            ("straße", "STRASSE"),
            ("alpha   ", "alpha"),
            ("été", "ETE"),
            ("😀", "🍦"),
        ] {
            assert!(equal(left, right), "{left:?} and {right:?}");
            assert_eq!(key(left), key(right), "{left:?} and {right:?}");
        }
        assert!(!equal(" alpha", "alpha"), "a leading space counts");
        assert!(!equal("a", "b"));
    }

    #[test]
    fn names_sort_as_in_the_start_of_recording_225() {
        let recorded = [
            "_", "_3æЖ", "_8öZ", "_TS", "_x", "-", "-e", "-x", ".", "._l", ".8B4", ".c", ".cgu", ".ü_", ".žU", "{x}",
            "#x", "%", "%s", "~x", "0", "0b7R", "0mu", "1", "10", "10C", "1d", "1D29", "1DJb", "1e8ø", "2", "2è",
            "2fA.", "2Té", "3", "32pQ", "3ÅN", "3oè", "3oIN", "3žž", "4",
        ];
        for pair in recorded.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
    }

    #[test]
    fn scripts_follow_latin_in_the_order_of_recording_202() {
        for pair in ["zz", "Ελλάδα", "Ж", "中文", "😀"].windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
    }

    #[test]
    fn like_ignores_case_and_takes_percent_and_underscore() {
        assert!(Pattern::new("item-0000%").fits("ITEM-00001"));
        assert!(Pattern::new("%é%").fits("CAFE NOIR"));
        assert!(Pattern::new("a_c").fits("ABC"));
        assert!(!Pattern::new("a_c").fits("AC"));
        assert!(!Pattern::new("item").fits("ITEM-1"));
    }
}
