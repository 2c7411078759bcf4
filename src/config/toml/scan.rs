//! What of a text stands outside of strings and comments, also where its quotes do not pair.

use std::ops::Range;

/// A character and its byte.
pub(super) type Placed = (usize, char);

/// What a text is made of.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The characters outside of strings and comments, each with its byte.
    pub(super) outside: Vec<Placed>,
    /// The strings, their quotes included.
    pub(super) strings: Vec<Range<usize>>,
    /// The quote that opens a string which its line does not close.
    pub(super) unclosed: Option<Placed>,
    /// Where the first comment begins.
    pub(super) comment: Option<usize>,
}

impl Scan {
    /// Looks through the text.
    pub(super) fn of(text: &str) -> Self {
        let mut scan = Self::default();
        let mut at = 0;
        while let Some(rest) = text.get(at..) {
            let Some(first) = rest.chars().next() else { break };
            let length = match first {
                '#' => {
                    scan.comment.get_or_insert(at);
                    rest.find('\n').unwrap_or(rest.len())
                }
                '"' | '\'' => match string(rest, first) {
                    Some(length) => {
                        scan.strings.push(at..at + length);
                        length
                    }
                    None => {
                        scan.unclosed.get_or_insert((at, first));
                        rest.find('\n').unwrap_or(rest.len())
                    }
                },
                _ => {
                    scan.outside.push((at, first));
                    first.len_utf8()
                }
            };
            at += length;
        }
        scan
    }

    /// The brackets that are open at the end, and whether one was closed that was not open.
    pub(super) fn brackets(&self) -> (Vec<Placed>, Option<Placed>) {
        let (mut open, mut stray) = (Vec::new(), None);
        for (at, c) in &self.outside {
            let partner = match c {
                '[' | '{' => {
                    open.push((*at, *c));
                    continue;
                }
                ']' => '[',
                '}' => '{',
                _ => continue,
            };
            if open.last().is_some_and(|(_, last)| *last == partner) {
                open.pop();
            } else if stray.is_none() {
                stray = Some((*at, *c));
            }
        }
        (open, stray)
    }
}

/// The length of the string that `text` begins with; `None` where its line does not close it.
fn string(text: &str, quote: char) -> Option<usize> {
    let triple: String = std::iter::repeat_n(quote, 3).collect();
    if let Some(rest) = text.strip_prefix(&triple) {
        return rest.find(&triple).map(|end| end + 6);
    }
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return None,
            _ if is_escaped => is_escaped = false,
            '\\' if quote == '"' => is_escaped = true,
            end if end == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The length of the key, bare, dotted or quoted, that `text` begins with.
pub(in crate::config) fn key(text: &str) -> usize {
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        at += match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => match string(rest, quote) {
                Some(length) => length,
                None => break,
            },
            Some(c) if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') => 1,
            Some(_) | None => break,
        };
    }
    at
}

/// Whether a statement begins with this line.
pub(super) fn is_start(line: &str) -> bool {
    let line = line.trim_start();
    let after_key = || line.get(key(line)..).unwrap_or_default().trim_start();
    let is_pair = key(line) > 0 && (after_key().starts_with('=') && !after_key().starts_with("=="));
    is_pair || (line.starts_with('[') && line.trim_end().ends_with(']') && !line.contains([',', '"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_are_told_apart_from_the_rest() {
        let scan = Scan::of("a = \"#\\\"]\" # [\"\n'x' [");
        let outside: String = scan.outside.iter().map(|(_, c)| *c).collect();
        assert_eq!(outside, "a =  \n [");
        assert_eq!((scan.strings.len(), scan.unclosed, scan.comment), (2, None, Some(11)));
        assert_eq!(scan.brackets().0, [(20, '[')]);
        assert_eq!(Scan::of("a = \"x # y").unclosed, Some((4, '"')));
    }

    #[test]
    fn a_statement_begins_with_a_key_or_a_header() {
        for line in ["a = 1", "  \"a b\".c= {", "[site]", "[[job]]"] {
            assert!(is_start(line), "{line}");
        }
        for line in ["[\"a\", \"=\", 1]", "\"x\",", "]", "a == 1", "[a, b]"] {
            assert!(!is_start(line), "{line}");
        }
    }
}
