//! A text that is being mended, and where in the original each byte of it comes from.

use std::ops::Range;

use super::tree::{Entry, Node, Shape};

/// What some editors of Windows put before the text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text as mended so far.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    text: String,
    /// For each byte, and for the end, the byte of the original that it stands for.
    origin: Vec<usize>,
}

impl Draft {
    /// Nothing mended yet.
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), origin: (0..=text.len()).collect() }
    }

    /// A file as every editor shows it: without the byte order mark, and each line ended as on Unix.
    pub(super) fn of_file(text: &str) -> Self {
        let mut draft = Self { text: String::with_capacity(text.len()), origin: Vec::with_capacity(text.len() + 1) };
        let mut carriage_return = None;
        for (at, c) in text.char_indices() {
            let is_mark = at == 0 && c == BYTE_ORDER_MARK;
            let is_return = c == '\r' && text.get(at + 1..).is_some_and(|rest| rest.starts_with('\n'));
            if is_return {
                carriage_return = Some(at);
            } else if !is_mark {
                // The end of a line is where all that is seen of it ends.
                let start = carriage_return.take().unwrap_or(at);
                draft.origin.extend(start..start + c.len_utf8());
                draft.text.push(c);
            }
        }
        draft.origin.push(text.len());
        draft
    }

    /// The text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Puts `with` in the place of these bytes.
    pub(super) fn change(&mut self, at: Range<usize>, with: &str) {
        self.splice(at, &Self::new(with), |_| 0);
    }

    /// Puts a mended draft of these bytes in their place.
    pub(super) fn adopt(&mut self, at: Range<usize>, draft: &Self) {
        self.splice(at, draft, |byte| byte);
    }

    fn splice(&mut self, at: Range<usize>, draft: &Self, within: impl Fn(usize) -> usize) {
        if self.text.get(at.clone()).is_none() {
            return;
        }
        let of = |byte: &usize| self.origin.get(at.start + within(*byte)).copied().unwrap_or_default();
        let origin: Vec<usize> = draft.origin.iter().take(draft.text.len()).map(of).collect();
        self.text.replace_range(at.clone(), &draft.text);
        self.origin.splice(at, origin);
    }

    /// The bytes of the original that these stand for.
    pub(super) fn original(&self, at: &Range<usize>) -> Range<usize> {
        let of = |byte: usize| self.origin.get(byte).or(self.origin.last()).copied().unwrap_or_default();
        let start = of(at.start);
        start..of(at.end).max(start)
    }

    /// The tree of the draft with the places of the original.
    pub(super) fn placed(&self, mut node: Node) -> Node {
        node.at = self.original(&node.at);
        node.shape = match node.shape {
            Shape::List(nodes) => Shape::List(nodes.into_iter().map(|node| self.placed(node)).collect()),
            Shape::Table(entries) => {
                let placed = |entry: Entry| Entry {
                    key_at: self.original(&entry.key_at),
                    node: self.placed(entry.node),
                    key: entry.key,
                };
                Shape::Table(entries.into_iter().map(placed).collect())
            }
            shape @ (Shape::Text(_) | Shape::Int(_) | Shape::Float(_) | Shape::Bool(_) | Shape::Date) => shape,
        };
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_knows_where_it_comes_from() {
        let mut draft = Draft::new("a : “b”");
        draft.change(2..3, "=");
        draft.change(4..7, "\"");
        assert_eq!(draft.text(), "a = \"b”");
        assert_eq!(draft.original(&(4..6)), 4..8);
        draft.change(6..9, "\"");
        assert_eq!(draft.original(&(4..7)), 4..11);
        let mut outer = Draft::new("x\na : “b”\ny");
        outer.adopt(2..13, &draft);
        assert_eq!(outer.text(), "x\na = \"b\"\ny");
        assert_eq!(outer.original(&(10..11)), 14..15);
    }

    #[test]
    fn a_file_of_windows_is_one_of_unix_at_other_places() {
        let text = "\u{feff}a = 1\r\nb = \r2\r\n";
        let draft = Draft::of_file(text);
        assert_eq!(draft.text(), "a = 1\nb = \r2\n");
        let place = |part: &str| {
            let at = draft.text().find(part).unwrap();
            draft.original(&(at..at + part.len()))
        };
        for part in ["a", "1", "b", "\r2"] {
            assert_eq!(text.get(place(part)), Some(part));
        }
        assert_eq!(draft.original(&(5..5)), 8..8, "the end of the first line");
    }
}
