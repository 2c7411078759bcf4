//! Headers that are missing: keys that no section here knows, and all of which the section knows whose header is not there.

use std::collections::HashSet;
use std::ops::Range;

use super::draft::Draft;
use super::header;
use super::reading::Step;
use super::scan::{self, Scan};
use crate::config::keys::{self, CHILD, FILE, JOB};
use crate::config::said::{Code, Said};
use crate::config::schema::{Kind, Section};

/// So many keys of a job one after another are no columns that happen to be called so.
const SURE: usize = 3;

/// A line that says something.
enum Line<'t> {
    Header(&'t str),
    Key(Range<usize>, &'t str),
}

/// What is said of the missing headers of `text`, and the headers.
pub(super) fn mend(text: &str) -> Step {
    let lines = lines(text);
    let headers: Vec<&str> = lines
        .iter()
        .filter_map(|line| if let Line::Header(name) = line { Some(*name) } else { None })
        .collect();
    let mut step = Step::default();
    let mut here = Here::default();
    let mut rest = lines.as_slice();
    while let Some((line, after)) = rest.split_first() {
        match line {
            Line::Header(name) => here.enter(name),
            // `auth.kind` may be followed by `auth.api_key`, and says nothing of where it stands.
            Line::Key(_, key) if key.contains('.') => here.take(plain(key)),
            Line::Key(at, key) => {
                let run: Vec<&str> = rest
                    .iter()
                    .map_while(|line| if let Line::Key(_, key) = line { Some(plain(key)) } else { None })
                    .collect();
                if let Some(title) = here.missing(plain(key), &run, &headers, after) {
                    step.said.push((at.clone(), said(title)));
                    let mut draft = Draft::new(key);
                    draft.change(0..0, &format!("{title}\n"));
                    step.changes.push((at.clone(), draft));
                    here.enter(title.trim_matches(['[', ']']));
                }
                here.take(plain(key));
            }
        }
        rest = after;
    }
    step
}

fn said(title: &str) -> Said {
    let what = format!("the header {title} is missing above this line");
    Said::new(Code::MisplacedKey, what).help(format!("write {title} on a line of its own above it"))
}

/// The first part of a key, without quotes.
fn plain(key: &str) -> &str {
    key.split('.').next().unwrap_or(key).trim_matches(['"', '\''])
}

/// Each line that is a header, or begins with a key; what goes on over several lines is its first.
fn lines(text: &str) -> Vec<Line<'_>> {
    let mut start = 0;
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut is_text = false;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let inner = line.get(indent..).unwrap_or_default();
        let is_inside = depth > 0 || is_text;
        if let Some(name) = header::name(line).or_else(|| attempt(inner)).filter(|_| !is_inside) {
            found.push(Line::Header(name));
        } else {
            if scan::is_start(inner) && !is_inside {
                let length = scan::key(inner);
                found.extend(inner.get(..length).map(|key| Line::Key(start + indent..start + indent + length, key)));
            }
            for (_, c) in Scan::of(inner).outside {
                match c {
                    '[' | '{' => depth += 1,
                    ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
            let quotes = inner.matches("\"\"\"").count() + inner.matches("'''").count();
            is_text ^= !quotes.is_multiple_of(2);
        }
        start += line.len();
    }
    found
}

/// The name on a line that was meant as a header, `[ [job] ]` or `job:`; it is mended later.
fn attempt(line: &str) -> Option<&str> {
    let name = line.trim_matches(|c: char| c.is_whitespace() || "[](){}<>:".contains(c));
    let is_part = |known: &String| known == name || known.rsplit('.').next() == Some(name);
    let is_bracketed = line.starts_with('[') && !line.contains([',', '"', '\'', '=']);
    let is_one = !scan::is_start(line) && keys::headers().iter().any(is_part);
    (is_bracketed || is_one).then_some(name)
}

/// Where the reading is.
#[derive(Default)]
struct Here<'t> {
    section: Option<&'t str>,
    /// The keys of this section so far.
    seen: HashSet<&'t str>,
    /// Those of the job that the section is a part of, or is.
    of_job: HashSet<&'t str>,
    /// Whether the job has a child table so far.
    has_children: bool,
}

impl<'t> Here<'t> {
    fn enter(&mut self, name: &'t str) {
        if name == "job" {
            self.of_job.clear();
        }
        self.has_children = name == "job.children" || (self.has_children && name != "job");
        self.section = Some(name);
        self.seen.clear();
    }

    fn take(&mut self, key: &'t str) {
        self.seen.insert(key);
        if self.section == Some("job") {
            self.of_job.insert(key);
        }
    }

    /// The header that is missing above `key`, which `run` begins with.
    fn missing(&self, key: &str, run: &[&str], headers: &[&str], after: &[Line<'t>]) -> Option<&'static str> {
        let is_new = |section: &Section| section.key(key).is_none() || self.seen.contains(key);
        match self.section {
            Some("job") => (is_new(&JOB) && self.is_field(key, after)).then_some("[job.fields]"),
            Some(name) if name.starts_with("job.") => {
                let next = after.iter().find_map(|line| if let Line::Header(name) = line { Some(*name) } else { None });
                let is_child = run.len() >= SURE && run.iter().all(|key| CHILD.key(key).is_some());
                // Columns may be called so; but no fields of a child table stand without their child table.
                if is_child && next == Some("job.children.fields") && !self.has_children {
                    return Some("[[job.children]]");
                }
                let begins = run.len() >= SURE && run.iter().take(SURE).all(|key| JOB.key(key).is_some());
                let is_job = begins && run.contains(&"doctype");
                // Nor do the fields of one job begin twice.
                (is_job && self.of_job.contains("doctype") && next == Some("job.fields")).then_some("[[job]]")
            }
            section => {
                let own = match section {
                    None => &FILE,
                    Some(name) => FILE.key(name)?.kind.section()?,
                };
                if !is_new(own) {
                    return None;
                }
                let fits = |section: &&'static Section| {
                    let is_own = section.title == own.title;
                    let is_job = section.title == JOB.title;
                    let is_there = headers.contains(&section.title.trim_matches(['[', ']']));
                    let is_needed = section.keys.iter().any(|key| key.is_required) || run.len() > 1;
                    let is_sure =
                        if is_job { run.len() >= SURE && run.contains(&"doctype") } else { !is_there && is_needed };
                    !is_own && is_sure && run.iter().all(|key| section.key(key).is_some())
                };
                let known = FILE.keys.iter().filter(|key| matches!(key.kind, Kind::Table(_) | Kind::Tables(_)));
                known.filter_map(|key| key.kind.section()).find(fits).map(|section| section.title)
            }
        }
    }

    /// Whether the key can but be a field of a job that has everything but the header of its fields.
    fn is_field(&self, key: &str, after: &[Line<'t>]) -> bool {
        let has_all = ["name", "doctype", "schedule", "table", "key"].iter().all(|key| self.seen.contains(key));
        let near = JOB.nearest(key);
        let is_slip = near.is_some_and(|near| !self.seen.contains(near));
        let rest = after.iter().take_while(|line| !matches!(line, Line::Header("job")));
        let mut rest = rest.map(|line| match line {
            Line::Header(name) => *name,
            Line::Key(_, key) => plain(key),
        });
        has_all
            && !is_slip
            && !self.seen.contains("fields")
            && !rest.any(|name| name == "job.fields" || name == "fields")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB_KEYS: &str = "name = \"a\"\ndoctype = \"A\"\nschedule = \"@daily\"\ntable = \"a\"\nkey = \"a\"\n";

    fn said(text: &str) -> Vec<String> {
        let line = |at: &Range<usize>| text.get(..at.start).unwrap().matches('\n').count() + 1;
        mend(text).said.iter().map(|(at, said)| format!("{}: {}", line(at), said.what)).collect()
    }

    #[test]
    fn a_header_is_missed_where_all_that_follows_belongs_below_it() {
        for (text, expected) in [
            (
                "name = \"a\"\ntime_zone = \"b\"\n[hq]\n".to_owned(),
                Some("1: the header [site] is missing above this line"),
            ),
            (
                "[site]\nname = \"a\"\nurl = \"b\"\ntimeout = \"c\"\n[local]\n".to_owned(),
                Some("3: the header [hq] is missing above this line"),
            ),
            (
                "[site]\n[hq]\nurl = \"b\"\nurl = \"c\"\n[[job]]\n".to_owned(),
                Some("4: the header [local] is missing above this line"),
            ),
            (
                format!("[local]\nurl = \"c\"\n{JOB_KEYS}[job.fields]\na = \"name\"\n"),
                Some("3: the header [[job]] is missing above this line"),
            ),
            (
                format!("[[job]]\n{JOB_KEYS}[job.fields]\na = \"name\"\n{JOB_KEYS}[job.fields]\n"),
                Some("9: the header [[job]] is missing above this line"),
            ),
            (
                format!("[[job]]\n{JOB_KEYS}a = \"name\"\n"),
                Some("7: the header [job.fields] is missing above this line"),
            ),
            (format!("[[job]]\n{JOB_KEYS}page_sise = 5\n[job.fields]\na = \"name\"\n"), None),
            (format!("[[job]]\n[job.fields]\na = \"name\"\n{JOB_KEYS}"), None),
            (format!("[[job]]\n{JOB_KEYS}conflikt = \"x\"\n"), None),
            (
                format!(
                    "[[job]]\n{JOB_KEYS}[job.fields]\na = \"name\"\nfield = \"x\"\ntable = \"x\"\nparent_key = \"x\"\n[job.children.fields]\n"
                ),
                Some("9: the header [[job.children]] is missing above this line"),
            ),
            ("[site]\nnaem = \"a\"\n".to_owned(), None),
            // What is right stays so, whatever columns are called and however it is written.
            (format!("[[job]]\n{JOB_KEYS}[job.fields]\n{JOB_KEYS}[[job.children]]\nfield = \"x\"\n"), None),
            (format!("[[job]]\n{JOB_KEYS}delete_limit.rows = 1\ndelete_limit.percent = 2\n[job.fields]\n"), None),
            (
                format!("[[job]]\n{JOB_KEYS}delete_limit = {{\n  rows = 1,\n  percent = 2\n}}\n\"page_size\" = 5\n"),
                None,
            ),
            (format!("[[job]]\n{JOB_KEYS}fields = {{ a = \"name\" }}\n"), None),
            ("[hq]\nauth.kind = \"token\"\nauth.api_key = \"x\"\nretry = {\n  max_attempts = 2,\n}\n".to_owned(), None),
        ] {
            assert_eq!(said(&text), expected.into_iter().collect::<Vec<_>>(), "{text}");
        }
    }
}
