//! Headers of sections: those that are there twice, and those with the wrong brackets.

use std::ops::Range;

use super::draft::Draft;
use super::reading::{self, Step, blanked};
use super::scan;
use crate::config::keys;
use crate::config::said::{Code, Said};
use crate::config::words;

/// What is said of a key or section whose second place is `at`, and how reading goes on.
pub(super) fn twice(text: &str, at: &Range<usize>) -> Step {
    let statement = reading::statement(text, at.start);
    let written = text.get(statement.clone()).unwrap_or_default();
    if let Some(name) = name(written) {
        return section_twice(text, &statement, name);
    }
    let key = text.get(at.clone()).unwrap_or_default();
    let plain = key.trim_matches(['"', '\'']);
    let said = Said::new(Code::Duplicate, format!("the key {plain:?} is written twice"));
    let said = match first_place(text, statement.start, key) {
        Some(line) => said.help(format!("it stands in line {line} already: keep one of the two")),
        None => said.help("keep one of the two"),
    };
    let is_inline = !written.trim_start().starts_with(key);
    let blank = Draft::new(&blanked(written));
    Step { said: vec![(at.clone(), said)], changes: vec![(statement, blank)], tears: is_inline }
}

/// The line of the same section on which the key stands before `until`.
fn first_place(text: &str, until: usize, key: &str) -> Option<usize> {
    let before: Vec<&str> = text.get(..until)?.lines().collect();
    let is_it = |line: &str| line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
    let mut lines = before.iter().enumerate().rev();
    let found = lines.find(|(_, line)| is_it(line) || name(line).is_some())?;
    is_it(found.1).then_some(found.0 + 1)
}

fn section_twice(text: &str, statement: &Range<usize>, name: &str) -> Step {
    if keys::lists().iter().any(|list| list == name) {
        return doubled(text, statement, name);
    }
    let above = text.get(..statement.start).unwrap_or_default();
    let said = Said::new(Code::Duplicate, format!("the section [{name}] is there twice"));
    let headers = keys::headers();
    let is_of_child = above.lines().rev().find_map(self::name) == Some("job.children") && name == "job.fields";
    if is_of_child {
        return fields_of_child(text, statement);
    }
    let near = words::nearest(name, headers.iter().map(String::as_str)).filter(|near| *near != name);
    let said = match (last_line(above, |_, line| self::name(line) == Some(name)), inline(above, name)) {
        // `[job.children.field]`, which is a key of its section.
        (None, _) if near.is_some() => said.near(near.map(|near| format!("[{near}]"))),
        (first, Some(line)) if first < Some(line) => {
            let key = name.rsplit('.').next().unwrap_or(name);
            said.help(format!("{key} stands in line {line} already: keep one of the two"))
        }
        (Some(first), _) if name.starts_with("job.") => said.help(format!(
            "another job begins with [[job]]; within one job everything stands below the [{name}] of line {first}"
        )),
        (Some(first), _) => said.help(format!("put everything below the [{name}] of line {first}")),
        (None, _) => said.help("keep one of the two"),
    };
    let goes_on = above.lines().rev().find_map(self::name) == Some(name);
    let end = if goes_on { statement.end } else { end_of_section(text, statement.end) };
    let at = statement.start..end;
    let blank = Draft::new(&blanked(text.get(at.clone()).unwrap_or_default()));
    Step { said: vec![(statement.clone(), said)], changes: vec![(at, blank)], tears: !goes_on }
}

/// `[job.fields]` below `[[job.children]]`.
fn fields_of_child(text: &str, statement: &Range<usize>) -> Step {
    const RIGHT: &str = "[job.children.fields]";
    let mut draft = Draft::new(text.get(statement.clone()).unwrap_or_default());
    draft.change(0..draft.text().len(), RIGHT);
    let said = Said::new(Code::Duplicate, "the section [job.fields] is there twice, here below a [[job.children]]");
    let said = said.near(Some(RIGHT.to_owned()));
    Step { said: vec![(statement.clone(), said)], changes: vec![(statement.clone(), draft)], tears: false }
}

/// The last line for which that holds, given the section that it stands in.
fn last_line(text: &str, is_it: impl Fn(Option<&str>, &str) -> bool) -> Option<usize> {
    let (mut section, mut found) = (None, None);
    for (at, line) in text.lines().enumerate() {
        if is_it(section, line) {
            found = Some(at + 1);
        }
        section = name(line).or(section);
    }
    found
}

/// The line of `auth = { … }` or `auth.kind = …` in `[hq]`, which is what `[hq.auth]` would be.
fn inline(text: &str, name: &str) -> Option<usize> {
    let (parent, key) = name.rsplit_once('.')?;
    let is_key = |line: &str| {
        let rest = line.trim_start().strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start().starts_with(['=', '.']))
    };
    last_line(text, |section, line| section == Some(parent) && is_key(line))
}

/// `[job]` for `[[job]]`, all of them.
fn doubled(text: &str, statement: &Range<usize>, name: &str) -> Step {
    let mut step = Step::default();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let is_single = self::name(line) == Some(name) && !line.trim_start().starts_with("[[");
        let place = line.find('[').zip(line.find(']')).filter(|_| is_single);
        if let Some((open, close)) = place {
            let range = at + open..at + close + 1;
            let mut draft = Draft::new(text.get(range.clone()).unwrap_or_default());
            draft.change(range.len()..range.len(), "]");
            draft.change(0..0, "[");
            step.said.push((range.clone(), one_bracket(name)));
            step.changes.push((range, draft));
        }
        at += line.len();
    }
    if step.said.is_empty() { part_before(text, statement, name) } else { step }
}

/// `[job.fields]` above the first `[[job]]`, which then cannot be a list any more.
fn part_before(text: &str, statement: &Range<usize>, name: &str) -> Step {
    let mut step = Step::default();
    let mut at = 0;
    for line in text.get(..statement.start).unwrap_or_default().split_inclusive('\n') {
        let is_part =
            self::name(line).is_some_and(|other| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
        if is_part {
            let header = at..at + line.trim_end().len();
            let what = format!("{} stands above the [[{name}]] that it belongs to", line.trim());
            let said = Said::new(Code::MisplacedKey, what).help(format!("put it below its [[{name}]]"));
            let section = at..end_of_section(text, header.end);
            let blank = Draft::new(&blanked(text.get(section.clone()).unwrap_or_default()));
            // Where the one belongs is clear, to which of several nobody knows.
            step.said.push((header, said));
            step.changes.push((section, blank));
            step.tears = true;
            break;
        }
        at += line.len();
    }
    step
}

/// What is said of `[job]`.
pub(in crate::config) fn one_bracket(name: &str) -> Said {
    Said::new(Code::Syntax, format!("[[{name}]] stands in two brackets on each side, as there may be several"))
        .near(Some(format!("[[{name}]]")))
}

/// The end of the section whose header ends at `byte`: where the next one begins.
pub(super) fn end_of_section(text: &str, byte: usize) -> usize {
    let mut at = byte;
    for line in text.get(byte..).unwrap_or_default().split_inclusive('\n') {
        if at > byte && name(line).is_some() {
            return at;
        }
        at += line.len();
    }
    at
}

/// The name between the brackets, if the line is a header.
pub(in crate::config) fn name(line: &str) -> Option<&str> {
    let inner = line.trim_start().strip_prefix('[')?;
    let inner = inner.strip_prefix('[').unwrap_or(inner).trim_start();
    let (name, rest) = inner.split_at_checked(scan::key(inner))?;
    let rest = rest.trim_start().strip_prefix(']')?.trim_start_matches(']').trim_start();
    let is_header = !name.is_empty() && (rest.is_empty() || rest.starts_with('#'));
    is_header.then_some(name)
}
