//! Which database a `sync.toml` means that does not check otherwise: who asks how an outlet stands is to hear it also
//! while somebody edits the file.

use std::path::Path;

use super::overrides::{PREFIX, SEPARATOR};
use super::substitute::{Environment, Substitution};
use super::toml::{self, Node, Shape};
use super::{Local, url};

/// The database that `[local]` names in the text of a file in `folder`, whatever else is wrong with it.
#[must_use]
pub fn database_of(text: &str, folder: &Path, environment: &Environment) -> Option<Local> {
    let overriding = environment.get(&format!("{PREFIX}{SEPARATOR}LOCAL{SEPARATOR}URL")).cloned();
    let written = || written(text).and_then(|url| Substitution { environment, folder }.apply(&url).ok());
    let url = overriding.or_else(|| written().map(|substituted| substituted.text))?;
    url::local(&url, folder).ok()
}

fn written(text: &str) -> Option<String> {
    text_of(find(find(&toml::read(text).tree?, "local")?, "url")?)
}

fn find<'t>(node: &'t Node, key: &str) -> Option<&'t Node> {
    match &node.shape {
        Shape::Table(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node),
        Shape::Text(_) | Shape::Int(_) | Shape::Float(_) | Shape::Bool(_) | Shape::Date | Shape::List(_) => None,
    }
}

fn text_of(node: &Node) -> Option<String> {
    match &node.shape {
        Shape::Text(text) => Some(text.clone()),
        Shape::Int(_) | Shape::Float(_) | Shape::Bool(_) | Shape::Date | Shape::List(_) | Shape::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<String> {
        let environment = Environment::from([("DB".to_owned(), "outlet".to_owned())]);
        database_of(text, Path::new("/srv"), &environment).map(|local| local.shown())
    }

    #[test]
    fn the_database_is_found_in_a_file_that_is_wrong_in_other_places_and_in_one_that_is_no_toml() {
        let good = "[local]\nurl = \"sqlite://${DB}.db\"\n";
        let expected = found(good);
        assert!(expected.as_ref().is_some_and(|shown| shown.contains("/srv/outlet.db")), "{expected:?}");
        assert_eq!(found(&format!("[site]\nnaem = 1\n{good}")), expected);
        assert_eq!(found(&format!("[site]\nname = \"outlet\n{good}# and on\n[[job]\n")), expected);
        assert_eq!(found("[local]\nurl = \"sqlite://${NONE}.db\"\n"), None);
        assert_eq!(found("[hq]\nurl = \"https://hq\"\n[[job]\n"), None);
    }
}
