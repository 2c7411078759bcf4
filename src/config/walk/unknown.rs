//! Keys that are not known where they stand: misspelt, in the wrong place, or missing.

use super::{Walk, lower, may_be_secret};
use crate::config::keys::{self, FIELD, FILE, JOB};
use crate::config::path::{Path, Step};
use crate::config::private;
use crate::config::said::{Code, Said};
use crate::config::schema::{Key, Kind, Section};
use crate::config::toml::{Entry, Shape, titles};
use crate::config::words;

/// A message that lists more keys than this is not read.
const MOST_LISTED: usize = 8;

/// Nor one that names more where it is all that can be said.
const MOST_NAMED: usize = 14;

/// A key that is known in more sections than this says nothing about where it belongs.
const MOST_HOMES: usize = 3;

impl Walk<'_, '_, '_> {
    pub(super) fn unknown(&mut self, path: &Path, entry: &Entry, section: &'static Section) {
        let at = path.key(&entry.key);
        let is_header = entry.has_header();
        let holds_text = matches!(entry.node.shape, Shape::Text(_) | Shape::List(_) | Shape::Table(_));
        if holds_text && !is_header && may_be_secret(&at) {
            // It may be a secret under a misspelt name.
            self.findings.star_out(entry.node.at.clone());
        }
        let is_top = section.title == FILE.title;
        let is_plain = is_top && !entry.key.contains([':', '@', '/']);
        if is_plain && let Some(said) = unknown_section(entry) {
            let meant = said.near.as_deref().map(|header| header.trim_matches(['[', ']']));
            if let Some((first, last)) = meant.and_then(|name| name.split('.').next().zip(name.split('.').next_back()))
            {
                self.findings.meant(Path::of([first]), last);
            }
            return self.findings.at_key(&at, said);
        }
        if is_plain && !is_header && self.is_headless(&at, entry) {
            return;
        }
        let key = entry.key.as_str();
        let is_alias = section.aka.iter().any(|(other, _)| *other == key);
        let near = section.nearest(key);
        // `[job.field]` is the header of the fields, also where another section knows a key of that name.
        let near_kind = near.and_then(|near| section.key(near)).map(|key| &key.kind);
        let is_slip = is_header && near_kind.is_some_and(Kind::has_header);
        if let Some(home) = home(key, section, path).filter(|_| !is_alias && !is_slip) {
            self.findings.meant(job_of(path), key);
            // Credentials beside `auth`, and not in it.
            if let Some((section, name)) = table_of(key) {
                self.findings.meant(Path::of([section]), name);
            }
            let said = Said::new(Code::MisplacedKey, format!("{key:?} is no key of {}", section.title));
            return self.findings.at_key(&at, said.help(home));
        }
        let may_quote = near.is_some() || !may_be_secret(&at) || (private::is_name(key) && !self.findings.is_torn());
        if !may_quote {
            self.findings.star_out(entry.key_at.clone());
            let said = Said::new(Code::UnknownKey, format!("a line that is no key stands in {}", section.title));
            let said = said
                .help("a value stands on one line, between quotes (it is not shown, as it may be part of a secret)");
            return self.findings.below(path, entry.key_at.clone(), said);
        }
        let said = Said::new(Code::UnknownKey, format!("unknown key {key:?} in {}", section.title));
        if let Some(near) = near {
            self.findings.meant(path.key(near), near);
        }
        let said = said.near(near.map(str::to_owned));
        let names: Vec<&str> = section.names().collect();
        let said = match near {
            _ if names.len() <= MOST_LISTED => said.help(format!("it knows {}", words::all(&names))),
            Some(_) => said,
            None if names.len() <= MOST_NAMED => said.help(format!("it knows {}", names.join(", "))),
            None => said.help(format!("docs/reference.md has all keys of {}", section.title)),
        };
        self.findings.at_key(&at, said);
    }

    /// Whether the key stands where the header of its section is missing; then that was told, once for all keys below.
    fn is_headless(&mut self, at: &Path, entry: &Entry) -> bool {
        let is_missing = |key: &&Key| {
            let knows = key.kind.section().is_some_and(|section| section.key(&entry.key).is_some());
            key.is_required && knows && !self.findings.is_written(&Path::of([key.name]))
        };
        let Some(key) = FILE.keys.iter().find(is_missing) else { return false };
        if !self.findings.is_meant(key.name) {
            let title = key.kind.section().map_or(key.name, |section| section.title);
            let what = format!("{:?} stands below no header", entry.key);
            self.findings.meant(Path::default(), key.name);
            self.findings
                .at_key(at, Said::new(Code::MisplacedKey, what).help(format!("write {title} on a line above it")));
        }
        true
    }

    pub(super) fn missing(&mut self, at: &Path, key: &Key, section: &Section) {
        let about = lower(key.about);
        let below = key.kind.section();
        let said = match below {
            Some(below) if section.title == FILE.title => {
                let must: Vec<&str> = below.keys.iter().filter(|key| key.is_required).map(|key| key.name).collect();
                let said = Said::new(Code::MissingKey, format!("{} is missing: {about}", below.title));
                said.help(format!("add {} with {}", below.title, words::all(&must)))
            }
            Some(_) | None => {
                let what = format!("{} needs the key {:?}", section.title, key.name);
                Said::new(Code::MissingKey, what).help(format!("add {}: {about}", key.example()))
            }
        };
        self.findings.at_value(at, said);
    }
}

/// The job that the path lies in, or the file.
pub(super) fn job_of(path: &Path) -> Path {
    match path.steps().as_slice() {
        [Step::Key(job), Step::Index(index), ..] if job == "job" => Path::of(["job"]).index(*index),
        _ => Path::default(),
    }
}

/// The table within a section, and its name, that alone has this key.
fn table_of(key: &str) -> Option<(&'static str, &'static str)> {
    let tables = FILE.keys.iter().filter_map(|section| Some((section.name, section.kind.section()?)));
    let inner = tables.flat_map(|(name, section)| {
        let keys = section.keys.iter().filter(|inner| matches!(inner.kind, Kind::Table(_)));
        keys.filter_map(move |inner| Some((name, inner.name, inner.kind.section()?)))
    });
    let mut found = inner.filter(|(_, _, section)| section.key(key).is_some());
    found.next().map(|(section, name, _)| (section, name)).filter(|_| found.next().is_none())
}

/// Where the key belongs, if that can be told.
fn home(key: &str, here: &Section, path: &Path) -> Option<String> {
    let sections = keys::sections();
    let mut homes: Vec<&Section> = sections.into_iter().map(|(_, section)| section).collect();
    homes.retain(|section| section.title != here.title && section.key(key).is_some());
    let is_in_job = job_of(path) != Path::default();
    // A key of the job's own sections is looked for there first.
    let in_job = |section: &&Section| {
        section.title == JOB.title || section.title == FIELD.title || section.title.contains("job.")
    };
    if is_in_job && homes.iter().any(in_job) {
        homes.retain(in_job);
    } else if !is_in_job {
        // `type = "sqlite"` in [local] is nobody's field.
        homes.retain(|section| section.title != FIELD.title);
    }
    match homes.as_slice() {
        [] => None,
        [one] if one.title == FIELD.title => {
            Some(format!("it belongs to one field, as in price = {{ from = \"…\", {key} = … }}"))
        }
        [one] if one.title == FILE.title => {
            let title = FILE.key(key).and_then(|key| key.kind.section()).map_or(key, |section| section.title);
            Some(format!("{title} is a section of its own: write its header, and its keys below"))
        }
        [one] if one.title == JOB.title && is_in_job => {
            Some("it belongs in [[job]], above its first [job.…]".to_owned())
        }
        many if many.len() <= MOST_HOMES => {
            let titles: Vec<&str> = many.iter().map(|section| section.title).collect();
            Some(format!("it belongs in {}", titles.join(" or ")))
        }
        _ => None,
    }
}

/// What is said of a section that there is not; of a key that is no section nothing.
fn unknown_section(entry: &Entry) -> Option<Said> {
    let Header { name, is_list, keys } = header(entry)?;
    let title = if is_list { format!("[[{name}]]") } else { format!("[{name}]") };
    let by_name = FILE.nearest(&entry.key).and_then(|name| FILE.key(name)).and_then(|key| key.kind.section());
    let known = |section: &&Section| keys.iter().filter(|entry| section.key(&entry.key).is_some()).count();
    let by_keys = FILE
        .keys
        .iter()
        .filter_map(|key| key.kind.section())
        .max_by_key(known)
        .filter(|section| known(section) > 1);
    let part = near_part(&name).filter(|_| name.contains('.') || by_name.is_none());
    let near = part.or_else(|| by_name.or(by_keys).map(|section| section.title.to_owned()));
    let said = Said::new(Code::UnknownKey, format!("unknown section {title}")).near(near);
    Some(said.help(format!("the sections are {}", titles().join(", "))))
}

/// A header as it was written, and the keys below it.
struct Header<'e> {
    name: String,
    is_list: bool,
    keys: &'e [Entry],
}

/// The header that made the entry, `items.fields` where nothing stands in `items` itself.
fn header(entry: &Entry) -> Option<Header<'_>> {
    let (keys, is_list) = match &entry.node.shape {
        Shape::Table(entries) => (entries, false),
        Shape::List(nodes) => match nodes.first().map(|node| &node.shape) {
            Some(Shape::Table(entries)) => (entries, true),
            Some(_) | None => return None,
        },
        Shape::Text(_) | Shape::Int(_) | Shape::Float(_) | Shape::Bool(_) | Shape::Date => return None,
    };
    let below = keys.first().filter(|_| !is_list && keys.iter().all(Entry::has_header)).and_then(header);
    Some(match below {
        Some(Header { name, is_list, keys }) => Header { name: format!("{}.{name}", entry.key), is_list, keys },
        None => Header { name: entry.key.clone(), is_list, keys },
    })
}

/// The header of a part, such as `[job.fields]`, that was probably meant: one that ends alike, or else the nearest.
fn near_part(written: &str) -> Option<String> {
    let depth = |name: &str| name.matches('.').count();
    let parts: Vec<String> = keys::headers().into_iter().filter(|name| depth(name) > 0).collect();
    let names = || parts.iter().map(String::as_str);
    let ends_alike = |name: &&str| name.rsplit('.').next() == written.rsplit('.').next();
    let alike = names().filter(ends_alike).min_by_key(|name| depth(name).abs_diff(depth(written)));
    let near = alike.or_else(|| words::nearest(written, names()))?;
    let is_list = keys::lists().iter().any(|list| list == near);
    Some(if is_list { format!("[[{near}]]") } else { format!("[{near}]") })
}
