//! A text that is being mended, and where in the original each byte of it comes from.

use std::ops::Range;

use super::tree::{Entry, Node, Shape};

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
}
