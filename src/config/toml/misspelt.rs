//! Headers under a misspelt name, or one of other programs: each is told once, and what stands below is read as it was meant.

use std::ops::Range;

use super::draft::Draft;
use super::header;
use super::reading::Step;
use super::scan;
use crate::config::keys::{self, FILE, JOB};
use crate::config::said::{Code, Said};
use crate::config::schema::Section;
use crate::config::words;

/// A header whose name was meant otherwise.
struct Slip<'t> {
    /// The name in its brackets, and the header from its first bracket to its last.
    name: Range<usize>,
    header: Range<usize>,
    written: &'t str,
    /// The name as far as it is wrong, and that part as it was meant.
    wrong: &'t str,
    meant: String,
    /// The whole name as it was meant.
    right: String,
    line: usize,
}

/// What is said of the misspelt headers of `text`, and their right names.
pub(super) fn mend(text: &str) -> Step {
    let mut step = Step::default();
    let slips = slips(text);
    for (position, slip) in slips.iter().enumerate() {
        let alike = |other: &&Slip<'_>| other.wrong == slip.wrong;
        if !slips.iter().take(position).any(|other| alike(&other)) {
            let lines: Vec<usize> = slips.iter().skip(position + 1).filter(alike).map(|slip| slip.line).collect();
            step.said.push((slip.name.clone(), said(slip, &lines)));
        }
        let mut draft = Draft::new(text.get(slip.header.clone()).unwrap_or_default());
        let name = slip.name.start - slip.header.start..slip.name.end - slip.header.start;
        let is_single = !slip.written.starts_with("[[");
        if is_single && keys::lists().contains(&slip.right) {
            draft.change(draft.text().len()..draft.text().len(), "]");
            draft.change(name, &slip.right);
            draft.change(0..0, "[");
        } else {
            draft.change(name, &slip.right);
        }
        step.changes.push((slip.header.clone(), draft));
    }
    step
}

fn said(slip: &Slip<'_>, lines: &[usize]) -> Said {
    let also: Vec<String> = lines.iter().map(usize::to_string).collect();
    let also = match also.split_last() {
        None => String::new(),
        Some((only, [])) => format!(", here and in line {only}"),
        Some((last, rest)) => format!(", here and in lines {} and {last}", rest.join(", ")),
    };
    let right = &slip.right;
    let near = if keys::lists().contains(right) { format!("[[{right}]]") } else { format!("[{right}]") };
    let said = Said::new(Code::UnknownKey, format!("unknown section {}{also}", slip.written)).near(Some(near));
    if slip.meant.contains('.') { said } else { said.help(format!("the sections are {}", titles().join(", "))) }
}

/// The sections of the file as their headers have them.
pub(in crate::config) fn titles() -> Vec<&'static str> {
    FILE.keys.iter().filter_map(|key| key.kind.section()).map(|section| section.title).collect()
}

fn slips(text: &str) -> Vec<Slip<'_>> {
    let names: Vec<&str> = text.lines().filter_map(header::name).collect();
    let named = named(text);
    let mut found = Vec::new();
    let mut start = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let rest = text.get(start + line.len()..).unwrap_or_default();
        if let Some(slip) =
            slip(line, start, number + 1, &named).filter(|slip| !is_taken(slip, &names) && goes_on(slip, rest))
        {
            found.push(slip);
        }
        start += line.len();
    }
    found
}

/// Whether anything stands below the header; of a section that is empty nothing but its name can be wrong.
fn goes_on(slip: &Slip<'_>, rest: &str) -> bool {
    let mut lines = rest.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let is_below = |name: &str| name.strip_prefix(slip.wrong).is_some_and(|rest| rest.starts_with('.'));
    lines.next().is_some_and(|line| header::name(line).is_none_or(is_below))
}

/// Whether the file has a section of the right name as well: then nobody knows which of the two is meant.
fn is_taken(slip: &Slip<'_>, names: &[&str]) -> bool {
    let is_in_job = slip.right.contains('.');
    !is_in_job && !keys::lists().contains(&slip.meant) && names.contains(&slip.meant.as_str())
}

/// `[job.items]`, below which stand the keys of a job: the tables of a list have no names.
fn named(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut here: Option<(&str, usize)> = None;
    for line in text.lines() {
        if let Some(name) = header::name(line) {
            let part = name.strip_prefix("job.").filter(|part| !part.contains('.') && JOB.key(part).is_none());
            here = part.map(|_| (name, 0));
        } else if let Some((name, known)) = &mut here {
            let key = line.trim_start();
            *known += usize::from(key.get(..scan::key(key)).is_some_and(|key| JOB.key(key).is_some()));
            if *known == 2 {
                found.push(*name);
            }
        }
    }
    found
}

fn slip<'t>(line: &'t str, start: usize, number: usize, named: &[&str]) -> Option<Slip<'t>> {
    let name = header::name(line)?;
    let is_named = |job: &&&str| name.strip_prefix(**job).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let (wrong, meant) = match named.iter().find(is_named) {
        Some(job) => (name.get(..job.len())?, "job".to_owned()),
        None => meant(name)?,
    };
    let open = line.find('[')?;
    let at = open + line.get(open..)?.find(name)?;
    let closing = line.get(at + name.len()..)?;
    let close = at + name.len() + closing.find(|c| c != ']' && c != ' ').unwrap_or(closing.trim_end().len());
    let header = open..line.get(..close)?.trim_end().len();
    Some(Slip {
        name: start + at..start + at + name.len(),
        written: line.get(header.clone())?,
        header: start + header.start..start + header.end,
        right: format!("{meant}{}", name.strip_prefix(wrong)?),
        wrong,
        meant,
        line: number,
    })
}

/// The name up to its first part that no header has, and how that was meant.
fn meant(name: &str) -> Option<(&str, String)> {
    let (mut section, mut known): (&Section, Vec<&str>) = (&FILE, Vec::new());
    let mut end = 0;
    for part in name.split('.') {
        end += part.len() + usize::from(!known.is_empty());
        let has_header = |part: &str| section.key(part).filter(|key| key.kind.has_header());
        match has_header(part) {
            Some(key) => {
                known.push(key.name);
                // What follows `fields` are columns.
                section = key.kind.section()?;
            }
            None => {
                // `field` is a key of a child table, and `[job.children.field]` not its header.
                let headers = section.keys.iter().filter(|key| key.kind.has_header()).map(|key| key.name);
                let is_key = section.key(part).is_some();
                let near = if is_key { words::nearest(part, headers) } else { section.nearest(part) };
                let Some(key) = near.and_then(has_header) else { return part_alone(name) };
                known.push(key.name);
                return Some((name.get(..end)?, known.join(".")));
            }
        }
    }
    None
}

/// `[fields]`, `[auth]`: the part that is called so, or the first of those.
fn part_alone(name: &str) -> Option<(&str, String)> {
    let right = keys::headers().into_iter().find(|known| known.rsplit('.').next() == Some(name))?;
    Some((name, right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_meant() {
        for (written, expected) in [
            ("jobs", Some(("jobs", "job"))),
            ("jobs.fields", Some(("jobs", "job"))),
            ("job.childs", Some(("job.childs", "job.children"))),
            ("job.childs.fields", Some(("job.childs", "job.children"))),
            ("job.children.field", Some(("job.children.field", "job.children.fields"))),
            ("hq.tsl", Some(("hq.tsl", "hq.tls"))),
            ("job.fields.price", None),
            ("job.items", None),
            ("hq.auth", None),
            ("job.filters", None),
            ("job.test.given", None),
            ("job.fields.unit.map", None),
            ("job.delete_limit", None),
            ("logging", None),
        ] {
            let expected = expected.map(|(wrong, right)| (wrong, right.to_owned()));
            assert_eq!(meant(written), expected, "{written}");
        }
    }

    #[test]
    fn each_name_is_told_once_with_all_its_lines() {
        let text = "[[jobs]]\nname = \"a\"\n[jobs.fields]\na = \"a\"\n[jobs] # the other\nb = 1\n";
        let step = mend(text);
        let said: Vec<String> = step.said.iter().map(|(_, said)| said.sentence()).collect();
        assert_eq!(said, ["unknown section [[jobs]], here and in lines 3 and 5, did you mean \"[[job]]\"?"]);
        let mut draft = Draft::new(text);
        for (at, change) in step.changes.into_iter().rev() {
            draft.adopt(at, &change);
        }
        assert_eq!(draft.text(), "[[job]]\nname = \"a\"\n[job.fields]\na = \"a\"\n[[job]] # the other\nb = 1\n");
    }
}
