//! Where the file names something that only HQ or the database can judge: a field, a DocType, a column.

use std::ops::Range;

use super::path::Path;
use super::places::Places;
use super::toml::{self, Node, Shape};

/// Where a job, by its position in the file, names something, as line and column from 1.
///
/// Looked for in its child table of that Table field where one is meant. A text that is the word goes before a key that is,
/// and that before a text that holds it, as an expression does; `None` where nothing does.
#[must_use]
pub fn place_of(text: &str, job: usize, child: Option<&str>, word: &str) -> Option<(usize, usize)> {
    let tree = toml::read(text).tree?;
    let mut places = Places::of(text);
    places.locate(&tree);
    let job = places.node(&Path::of(["job"]).index(job))?;
    let within = match child {
        None => job,
        Some(field) => child_of(job, field).unwrap_or(job),
    };
    let mut found = Vec::new();
    collect(within, word, child.is_none(), &mut found);
    let best = found.into_iter().min_by_key(|(how, at)| (*how, at.start))?;
    Some(places.position(best.1.start))
}

/// How well a place names a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Text,
    Key,
    Within,
}

fn child_of<'t>(job: &'t Node, field: &str) -> Option<&'t Node> {
    let Shape::Table(entries) = &job.shape else { return None };
    let children = entries.iter().find(|entry| entry.key == "children")?;
    let Shape::List(children) = &children.node.shape else { return None };
    children.iter().find(|child| {
        let Shape::Table(entries) = &child.shape else { return false };
        let named = |node: &Node| matches!(&node.shape, Shape::Text(text) if text == field);
        entries.iter().any(|entry| entry.key == "field" && named(&entry.node))
    })
}

/// All places below the node that name the word. Child tables have names of their own, of which only the Table field's is
/// the job's.
fn collect(node: &Node, word: &str, is_job: bool, found: &mut Vec<(How, Range<usize>)>) {
    match &node.shape {
        Shape::Text(text) if text == word => found.push((How::Text, node.at.clone())),
        Shape::Text(text) if holds(text, word) => found.push((How::Within, node.at.clone())),
        Shape::Text(_) | Shape::Int(_) | Shape::Float(_) | Shape::Bool(_) | Shape::Date => {}
        Shape::List(nodes) => nodes.iter().for_each(|node| collect(node, word, is_job, found)),
        Shape::Table(entries) => {
            for entry in entries {
                if entry.key == word {
                    found.push((How::Key, entry.key_at.clone()));
                }
                match (&entry.node.shape, is_job && entry.key == "children") {
                    (Shape::List(children), true) => {
                        for child in children {
                            let Shape::Table(entries) = &child.shape else { continue };
                            let field = entries.iter().filter(|entry| entry.key == "field");
                            field.for_each(|entry| collect(&entry.node, word, false, found));
                        }
                    }
                    (_, _) => collect(&entry.node, word, is_job, found),
                }
            }
        }
    }
}

fn holds(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"[[job]]
name = "items"
doctype = "Itme"
filters = [["is_sold", "=", 1]]
[job.fields]
item_code = "name"
title = { from = "itme_name", trim = true }
active = { expr = "not disbled" }
[[job.children]]
field = "barcods"
[job.children.fields]
code = "barcode"
title = "titel"
"#;

    #[test]
    fn a_name_is_found_where_the_job_or_its_child_table_has_it() {
        let at = |child, word| place_of(TEXT, 0, child, word);
        assert_eq!(at(None, "Itme"), Some((3, 11)));
        assert_eq!(at(None, "is_sold"), Some((4, 13)));
        assert_eq!(at(None, "itme_name"), Some((7, 18)));
        assert_eq!(at(None, "title"), Some((7, 1)));
        assert_eq!(at(None, "disbled"), Some((8, 19)));
        assert_eq!(at(None, "barcods"), Some((10, 9)));
        assert_eq!(at(None, "barcode"), None);
        assert_eq!(at(Some("barcods"), "barcode"), Some((12, 8)));
        assert_eq!(at(Some("barcods"), "title"), Some((13, 1)));
        assert_eq!(at(None, "nowhere"), None);
        assert_eq!(place_of(TEXT, 1, None, "Itme"), None);
    }
}
