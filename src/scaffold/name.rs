//! Names that every database and `sync.toml` take, made of HQ's, which may hold anything.

use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization as _;

use super::Present;

/// `PostgreSQL` cuts longer identifiers off, in silence; `sync.toml` refuses them.
pub(super) const LONGEST: usize = 63;

/// Letters that are no ASCII letter with an accent.
const SPELLED: [(char, &str); 7] =
    [('ß', "ss"), ('ø', "o"), ('æ', "ae"), ('œ', "oe"), ('ł', "l"), ('đ', "d"), ('ı', "i")];

/// Letters, digits and `_`, in small letters, no digit first; accents are cut off, and what has no letter of that kind left
/// is named for what it is.
pub(super) fn snake(text: &str) -> String {
    let mut name = String::new();
    for c in text.nfkd().filter(|c| !unicode_normalization::char::is_combining_mark(*c)) {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if let Some((_, spelled)) = SPELLED.iter().find(|(letter, _)| c.to_lowercase().eq([*letter])) {
            name.push_str(spelled);
        } else if !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_matches('_');
    let name = if name.is_empty() { "doctype" } else { name };
    let is_reserved =
        name.starts_with(|c: char| c.is_ascii_digit()) || name.starts_with("milkrun_") || name == "milkrun";
    shortened(&if is_reserved { format!("hq_{name}") } else { name.to_owned() }, LONGEST)
}

/// `item` to `items`, as an English reader expects it. What ends in `s` is taken for a plural already.
pub(super) fn plural(name: &str) -> String {
    let ends = |ending: &str| name.ends_with(ending);
    let is_vowel_before_y = ["ay", "ey", "oy", "uy"].iter().any(|ending| name.ends_with(ending));
    let long = match name.strip_suffix('y') {
        Some(stem) if !is_vowel_before_y => format!("{stem}ies"),
        _ if ends("ss") || ends("us") || ends("x") || ends("ch") || ends("sh") => format!("{name}es"),
        _ if ends("s") => name.to_owned(),
        _ => format!("{name}s"),
    };
    shortened(&long, LONGEST)
}

/// The table of a child table: the parent and the field, the parent once only.
pub(super) fn of_child(doctype: &str, field: &str) -> String {
    let (parent, field) = (snake(doctype), snake(field));
    if field.starts_with(&format!("{parent}_")) { field } else { format!("{parent}_{field}") }
}

/// Whether `sync.toml` can name this field of HQ.
pub(super) fn is_field(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A column for a field that [`is_field`]: its own name, unless no column can be called so.
pub(super) fn column(field: &str) -> String {
    let is_digit_first = field.starts_with(|c: char| c.is_ascii_digit());
    shortened(&if is_digit_first { format!("f_{field}") } else { field.to_owned() }, LONGEST)
}

/// All of ASCII by now, so bytes are characters.
fn shortened(name: &str, most: usize) -> String {
    name.chars().take(most).collect()
}

/// The names that are taken, by their small letters, as databases take no notice of case.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// The names of jobs and tables that a file has.
    pub(super) fn of(present: &Present) -> Self {
        let of_jobs = present.jobs.iter().flat_map(|job| [&job.name, &job.table]);
        Self(of_jobs.chain(&present.tables).map(|name| name.to_lowercase()).collect())
    }

    /// A name for a table that nobody has.
    pub(super) fn table(&mut self, wanted: &str) -> String {
        self.free(wanted)
    }

    /// The name itself or, where it is taken, with a number.
    pub(super) fn free(&mut self, wanted: &str) -> String {
        let numbered = |number: u32| {
            let end = format!("_{number}");
            format!("{}{end}", shortened(wanted, LONGEST - end.len()))
        };
        let name = std::iter::once(shortened(wanted, LONGEST))
            .chain((2..).map(numbered))
            .find(|name| !self.0.contains(&name.to_lowercase()))
            .unwrap_or_default();
        self.0.insert(name.to_lowercase());
        name
    }

    /// As [`Names::free`], where a name is taken from the start.
    pub(super) fn with(taken: &[&str]) -> Self {
        Self(taken.iter().map(|name| (*name).to_owned()).collect())
    }
}
