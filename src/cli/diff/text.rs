//! The list of changes as people like to read it: a line a row, put together by jobs; what is more than a screen is
//! counted, with some of each kind shown.

use console::Style;
use indexmap::IndexMap;

use crate::change::{Action, Change, PRIVATE, Sides, Text, TextRow};
use crate::cli::output::{count, plain, shortened};
use crate::cli::screen;

/// Rows that are listed where no terminal says how many it shows.
const LISTED: u64 = 40;

/// Rows of each kind that are shown where not all are.
const SAMPLES: usize = 5;

/// Characters of a value on a line.
const VALUE: usize = 40;

/// Columns of a new row on its line.
const MAIN: usize = 6;

/// The widest that names are aligned to.
const ALIGNED: usize = 30;

/// What has been told so far. It keeps no more than it may show.
#[derive(Debug)]
pub(super) struct Digest {
    listed: u64,
    told: u64,
    jobs: IndexMap<String, Job>,
}

#[derive(Debug, Default)]
struct Job {
    /// By the sign of the line.
    kinds: IndexMap<char, Kind>,
    /// The first of all, as long as all may be listed.
    first: Vec<Change>,
}

/// Changes of one kind.
#[derive(Debug, Default)]
struct Kind {
    rows: u64,
    /// How many rows change in which column, or child table.
    columns: IndexMap<String, u64>,
    samples: Vec<Change>,
}

impl Digest {
    pub(super) fn new() -> Self {
        let listed = screen::height().map_or(LISTED, |rows| rows.saturating_sub(8).clamp(10, 100) as u64);
        Self { listed, told: 0, jobs: IndexMap::new() }
    }

    pub(super) fn add(&mut self, change: &Change) {
        self.told += 1;
        let job = self.jobs.entry(change.job.clone()).or_default();
        let kind = job.kinds.entry(change.action.sign()).or_default();
        kind.rows += 1;
        if !is_whole(change.action) {
            for column in change.columns.keys().chain(change.children.keys()) {
                *kind.columns.entry(column.clone()).or_default() += 1;
            }
        }
        if kind.samples.len() < SAMPLES {
            kind.samples.push(change.clone());
        }
        if self.told <= self.listed {
            job.first.push(change.clone());
        }
    }

    /// All of it where that fits on a screen, or how much of what there is.
    pub(super) fn text(&self, width: Option<usize>) -> String {
        let mut text = String::new();
        for (name, job) in &self.jobs {
            let head = job.kinds.iter().map(|(sign, kind)| kind.head(*sign)).collect::<Vec<_>>().join(", ");
            text.push_str(&format!("{}: {head}\n", screen::bold().apply_to(name)));
            if self.told <= self.listed {
                text.push_str(&lines(&job.first, width));
                continue;
            }
            for kind in job.kinds.values() {
                text.push_str(&lines(&kind.samples, width));
                let rest = kind.rows.saturating_sub(kind.samples.len() as u64);
                if rest > 0 {
                    text.push_str(&format!("  {}\n", screen::dim().apply_to(format!("… and {rest} more"))));
                }
            }
        }
        if self.told > self.listed {
            text.push_str(&format!("{}\n", screen::dim().apply_to("--format json lists every change")));
        }
        text
    }
}

impl Kind {
    /// `820 changed (price: 812, title: 3)`.
    fn head(&self, sign: char) -> String {
        let word = match sign {
            '+' => "added",
            '-' => "removed",
            '~' => "changed",
            '=' => "kept as the outlet has them",
            _ => "set aside",
        };
        let mut columns: Vec<(&String, &u64)> = self.columns.iter().collect();
        columns.sort_by(|a, b| b.1.cmp(a.1));
        let columns: Vec<String> = columns.into_iter().map(|(column, rows)| format!("{column}: {rows}")).collect();
        match columns.as_slice() {
            [] => format!("{} {word}", self.rows),
            _ if self.rows == 1 => format!("1 {word}"),
            some => format!("{} {word} ({})", self.rows, some.join(", ")),
        }
    }
}

fn lines(changes: &[Change], width: Option<usize>) -> String {
    let widest = changes.iter().map(|change| console::measure_text_width(&named(change))).max().unwrap_or_default();
    let line = |change: &Change| format!("{}\n", screen::cut(&line(change, widest.min(ALIGNED)), width));
    changes.iter().map(line).collect()
}

fn is_whole(action: Action) -> bool {
    match action {
        Action::Insert | Action::Delete => true,
        Action::Update
        | Action::Move
        | Action::Restore
        | Action::Children
        | Action::Mark
        | Action::Keep
        | Action::Park
        | Action::Conflict => false,
    }
}

/// `ICE-002`, or `ICE-002 (row 17)` where the key is another.
fn named(change: &Change) -> String {
    match change.key.as_ref().filter(|key| **key != change.name) {
        Some(key) => plain(&format!("{} (row {key})", change.name)),
        None => plain(&change.name),
    }
}

/// `  ~ ICE-002  price: 80.00 → 85.00`.
fn line(change: &Change, widest: usize) -> String {
    let style = match change.action.sign() {
        '+' => screen::good(),
        '-' => screen::bad(),
        '~' => screen::note(),
        '=' => Style::new().cyan(),
        _ => Style::new().magenta(),
    };
    let mut told: Vec<String> = Vec::new();
    match change.action {
        Action::Move | Action::Restore | Action::Mark | Action::Keep | Action::Park | Action::Conflict => {
            told.push(change.action.word().to_owned());
        }
        Action::Insert | Action::Update | Action::Children | Action::Delete => {}
    }
    told.extend(change.reason.clone());
    match change.action {
        Action::Insert => told.extend(main_columns(change)),
        Action::Delete => {}
        Action::Update
        | Action::Move
        | Action::Restore
        | Action::Children
        | Action::Mark
        | Action::Keep
        | Action::Park
        | Action::Conflict => {
            let arrow = screen::dim().apply_to("→");
            let sides = change.columns.iter().map(|(name, Sides { before, after })| {
                format!("{name}: {} {arrow} {}", shown(before), screen::bold().apply_to(shown(after)))
            });
            told.extend(sides);
            told.extend(change.children.iter().map(|(name, Sides { before, after })| rows(name, before, after)));
        }
    }
    let sign = change.action.sign();
    let name = screen::padded(&named(change), widest);
    let line = format!("  {}  {}", style.apply_to(format!("{sign} {name}")), told.join(", "));
    line.trim_end().to_owned()
}

/// The first values of a new row, without its key and without what is private or null.
fn main_columns(change: &Change) -> Vec<String> {
    let known = [Some(change.name.as_str()), change.key.as_deref(), Some(PRIVATE), Some(""), None];
    let columns = change.columns.iter().filter(|(_, sides)| !known.contains(&sides.after.as_deref()));
    columns.take(MAIN).map(|(name, sides)| format!("{name}: {}", shown(&sides.after))).collect()
}

fn rows(name: &str, before: &[TextRow], after: &[TextRow]) -> String {
    format!("{name}: {} → {}", before.len(), count(after.len() as u64, "row", "rows"))
}

/// A value as it is shown on a line.
pub(in crate::cli) fn shown(value: &Text) -> String {
    match value {
        None => "null".to_owned(),
        Some(text) if text.is_empty() => "\"\"".to_owned(),
        Some(text) => shortened(text, VALUE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Text {
        (!value.is_empty()).then(|| value.to_owned())
    }

    fn change(job: &str, name: &str, action: Action, columns: &[(&str, &str, &str)]) -> Change {
        let mut change = Change::new(job, name, Some(name.to_owned()), action);
        for (column, before, after) in columns {
            change.columns.insert((*column).to_owned(), Sides { before: text(before), after: text(after) });
        }
        change
    }

    fn told(listed: u64, changes: &[Change]) -> String {
        let mut digest = Digest { listed, told: 0, jobs: IndexMap::new() };
        changes.iter().for_each(|change| digest.add(change));
        console::strip_ansi_codes(&digest.text(None)).into_owned()
    }

    #[test]
    fn a_few_changes_are_listed_in_line_by_job() {
        let changes = [
            change("items", "ICE-200", Action::Insert, &[("code", "", "ICE-200"), ("price", "", "80.00")]),
            change("groups", "Cones", Action::Mark, &[]),
            change("items", "ICE-1", Action::Update, &[("price", "80.00", "85.00"), ("title", "Cone", "")]),
            change("items", "ICE-3", Action::Delete, &[("price", "80.00", "")]),
        ];
        let expected = "items: 1 added, 1 changed, 1 removed\n  + ICE-200  price: 80.00\n  \
                        ~ ICE-1    price: 80.00 → 85.00, title: Cone → null\n  - ICE-3\n\
                        groups: 1 removed\n  - Cones  mark\n";
        assert_eq!(told(40, &changes), expected);
    }

    #[test]
    fn many_changes_are_counted_by_column_and_some_are_shown() {
        let mut changes: Vec<Change> = (0..100)
            .map(|n| change("items", &format!("I{n}"), Action::Update, &[("price", "1", "2")]))
            .collect();
        changes.push(change("items", "I7", Action::Update, &[("title", "a", "b"), ("price", "1", "2")]));
        changes.push(change("items", "N", Action::Insert, &[]));
        let told = told(40, &changes);
        assert!(told.starts_with("items: 101 changed (price: 101, title: 1), 1 added\n  ~ I0"), "{told}");
        assert!(told.contains("  ~ I4  price: 1 → 2\n  … and 96 more\n  + N\n--format json lists"), "{told}");
    }
}
