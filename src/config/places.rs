//! Where the keys and values of the file stand.

use std::ops::Range;

use super::path::{Path, Step};
use super::toml::{Entry, Node, Shape};

/// Where a key and its value stand.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

/// The text, and the tree of it.
#[derive(Debug)]
pub(super) struct Places<'t> {
    text: &'t str,
    /// `None` of a text that is not TOML.
    tree: Option<&'t Node>,
}

impl<'t> Places<'t> {
    /// Of a text whose tree is not known yet.
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, tree: None }
    }

    /// Takes the places of everything from the tree of the text.
    pub(super) fn locate(&mut self, tree: &'t Node) {
        self.tree = Some(tree);
    }

    /// Where the path is in the file, or else the nearest one above it.
    pub(super) fn of_path(&self, path: &Path) -> Option<Place> {
        let (mut node, mut place) = (self.tree?, None);
        for step in path.steps() {
            let Some((key, value)) = below(node, step) else { break };
            place = Some(Place { key: key.clone(), value: value.at.clone() });
            node = value;
        }
        place
    }

    /// What stands at this very path.
    pub(super) fn node(&self, path: &Path) -> Option<&'t Node> {
        let steps = path.steps().into_iter();
        steps.fold(self.tree, |node, step| Some(below(node?, step)?.1))
    }

    /// The table of the job of that DocType.
    pub(super) fn table_of(&self, doctype: &str) -> Option<&'t str> {
        let jobs = self.node(&Path::of(["job"]))?;
        let Shape::List(jobs) = &jobs.shape else { return None };
        let text = |job: &'t Node, key: &str| {
            let entry = entries(job).iter().find(|entry| entry.key == key)?;
            if let Shape::Text(text) = &entry.node.shape { Some(text.as_str()) } else { None }
        };
        jobs.iter().find(|job| text(job, "doctype") == Some(doctype)).and_then(|job| text(job, "table"))
    }

    /// The line of the first header below the table at `path`.
    pub(super) fn first_header(&self, path: &Path) -> Option<usize> {
        let starts =
            entries(self.node(path)?).iter().filter(|entry| entry.has_header()).map(|entry| entry.key_at.start);
        starts.min().map(|start| self.position(start).0)
    }

    /// The line that the table or value at `path` starts on.
    pub(super) fn line(&self, path: &Path) -> usize {
        self.of_path(path).map_or(1, |place| self.position(place.value.start).0)
    }

    /// Line and column of a byte, both from 1, columns in characters.
    pub(super) fn position(&self, byte: usize) -> (usize, usize) {
        let text = self.text;
        let before = text.get(..byte.min(text.len())).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let column = before.get(start..).unwrap_or_default().trim_start_matches('\u{feff}');
        (line, column.chars().count() + 1)
    }
}

/// What the step leads to, and where its key stands.
fn below<'t>(node: &'t Node, step: &Step) -> Option<(&'t Range<usize>, &'t Node)> {
    match (&node.shape, step) {
        (Shape::List(nodes), Step::Index(index)) => nodes.get(*index).map(|node| (&node.at, node)),
        // A list of tables where one belongs stands for its first.
        (Shape::List(nodes), Step::Key(_)) => below(nodes.first()?, step),
        // One table where a list of them belongs is the first of the list.
        (Shape::Table(_), Step::Index(0)) => Some((&node.at, node)),
        (_, Step::Key(key)) => {
            entries(node).iter().find(|entry| entry.key == *key).map(|entry| (&entry.key_at, &entry.node))
        }
        (_, Step::Index(_)) => None,
    }
}

fn entries(node: &Node) -> &[Entry] {
    if let Shape::Table(entries) = &node.shape { entries } else { &[] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_from_one_on_any_line_end() {
        let text = "é = \"ü\"\r\n\t日本 = 1\n";
        let places = Places::of(text);
        assert_eq!(places.position(text.find('"').unwrap()), (1, 5));
        assert_eq!(places.position(text.find('1').unwrap()), (2, 7));
        assert_eq!(Places::of("\u{feff}a").position(3), (1, 1));
        assert_eq!(Places::of("").position(10), (1, 1));
    }
}
