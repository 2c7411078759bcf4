//! The rules, once more and on their own: what may become of one record of one job.
//!
//! Written from the words of the documentation, not from milkrun's code. Where these leave something open, or where it
//! depends on how far a run came, there is more than one answer.

use chrono::{DateTime, Utc};

use super::local::Row;
use super::plan::{Deletes, Job, Rule, Version};

/// What the outlet has of one key, and what milkrun must know of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct State {
    pub(crate) row: Option<Row>,
    /// When the outlet last edited the row.
    pub(crate) touched: Option<DateTime<Utc>>,
    /// The version of HQ's that was last taken; the ledger has an entry.
    pub(crate) base: Option<Version>,
    /// In quarantine.
    pub(crate) is_parked: bool,
    /// Waits for a decision.
    pub(crate) is_open: bool,
    /// Who an operator said is to have it: HQ, or the outlet.
    pub(crate) told: Option<Winner>,
}

/// How closely a run looks at a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    News,
    Repair,
}

/// How HQ's records go: when, where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone(pub(crate) Option<DateTime<Utc>>);

impl State {
    /// A row that the outlet has, and has not deleted or marked.
    fn living(&self) -> Option<&Row> {
        self.row.as_ref().filter(|row| !row.is_marked)
    }

    fn taking(&self, version: &Version, row: Option<Row>) -> Self {
        let touched = if row.is_some() { self.touched } else { None };
        Self { row, touched, base: Some(version.clone()), is_parked: false, is_open: false, told: None }
    }

    /// HQ's values in the row that is there, or in a new one.
    fn as_hq_has_it(&self, version: &Version) -> Self {
        let (columns, parts) = (version.columns.clone(), version.parts.clone());
        let row = match &self.row {
            Some(row) => Row { columns, parts, is_marked: false, ..row.clone() },
            None => Row { columns, parts, once: Some("new".to_owned()), own: None, is_marked: false },
        };
        self.taking(version, Some(row))
    }

    fn waiting(&self) -> Self {
        Self { is_open: true, is_parked: false, ..self.clone() }
    }
}

/// The answers where HQ's version of a record is read. An operator's word holds for the versions that he was shown.
pub(crate) fn reach(state: &State, version: &Version, job: &Job, care: Care) -> Vec<State> {
    let mut answers = reach_told(state, version, job, care);
    if state.told.is_some() {
        answers.extend(reach_told(&State { told: None, ..state.clone() }, version, job, care));
    }
    answers
}

fn reach_told(state: &State, version: &Version, job: &Job, care: Care) -> Vec<State> {
    if version.is_bad {
        return vec![State { is_parked: true, ..state.clone() }];
    }
    match (&state.base, state.living()) {
        (None, None) => vec![state.as_hq_has_it(version)],
        (None, Some(row)) => beside(state, row, version, job),
        (Some(base), None) => deleted_here(state, base, version, job, care),
        (Some(base), Some(row)) => three_ways(state, base, row, version, job, care),
    }
}

/// HQ and the outlet each made a record of this key.
fn beside(state: &State, row: &Row, version: &Version, job: &Job) -> Vec<State> {
    let mut made = row.clone();
    made.parts.clone_from(&version.parts);
    for column in 0..version.columns.len() {
        if row.columns[column] == version.columns[column] {
            continue;
        }
        match job.deciding(column) {
            None => {}
            Some(rule) => match winner(rule, state, version.modified) {
                Winner::Hq => made.columns[column].clone_from(&version.columns[column]),
                Winner::Outlet => {}
                Winner::Nobody => return vec![state.waiting()],
            },
        }
    }
    vec![state.taking(version, Some(made))]
}

/// The outlet has deleted the row.
fn deleted_here(state: &State, base: &Version, version: &Version, job: &Job, care: Care) -> Vec<State> {
    let stays_gone = state.taking(version, state.row.clone());
    let is_changed = base.columns != version.columns || base.parts != version.parts;
    let rule = job.deciding_for_row();
    if !is_changed {
        // Under any other rule that is an edit like any other.
        let is_hqs = matches!(job.rule, None | Some(Rule::HqWins));
        return if care == Care::Repair && is_hqs { vec![state.as_hq_has_it(version)] } else { vec![stays_gone] };
    }
    // A deleted row has no time.
    let mut answers = match rule {
        Rule::HqWins | Rule::NewestWins | Rule::Merge => vec![state.as_hq_has_it(version)],
        Rule::LocalWins => vec![stays_gone.clone()],
        Rule::Manual => match state.told {
            Some(Winner::Hq) => vec![state.as_hq_has_it(version)],
            Some(_) => vec![stays_gone.clone()],
            None => vec![state.waiting()],
        },
    };
    // Whether other child rows are a change of the record is left open.
    if base.columns == version.columns {
        answers.push(stays_gone);
    }
    answers
}

fn three_ways(state: &State, base: &Version, row: &Row, version: &Version, job: &Job, care: Care) -> Vec<State> {
    let mut made = row.clone();
    made.parts.clone_from(&version.parts);
    let (mut has_hq_changed, mut is_written) = (base.parts != version.parts, false);
    for column in 0..version.columns.len() {
        let (old, here, hqs) = (&base.columns[column], &row.columns[column], &version.columns[column]);
        if old == hqs {
            continue;
        }
        has_hq_changed = true;
        if here == hqs {
            continue;
        }
        let takes_hqs = match (here == old, job.deciding(column)) {
            (true, _) => true,
            (false, None) => false,
            (false, Some(rule)) => match winner(rule, state, version.modified) {
                Winner::Hq => true,
                Winner::Outlet => false,
                Winner::Nobody => return vec![state.waiting()],
            },
        };
        if takes_hqs {
            made.columns[column].clone_from(hqs);
            is_written = true;
        }
    }
    let mut with_the_record = made.clone();
    for column in (0..version.columns.len()).filter(|column| job.is_hqs_with_the_record(*column)) {
        with_the_record.columns[column].clone_from(&version.columns[column]);
    }
    let answers = if is_written || care == Care::Repair {
        vec![with_the_record]
    } else if has_hq_changed {
        vec![with_the_record, made]
    } else {
        vec![made]
    };
    answers.into_iter().map(|row| state.taking(version, Some(row))).collect()
}

/// The answers where milkrun finds that the record is gone at HQ, or has left the filters.
pub(crate) fn gone(state: &State, at: Gone, job: &Job) -> Vec<State> {
    let forgotten = State { is_parked: false, is_open: false, told: None, base: None, ..state.clone() };
    let (Some(base), Some(row)) = (&state.base, state.living()) else {
        return vec![forgotten];
    };
    let deleted = match job.deletes {
        Deletes::Delete => State { row: None, touched: None, ..forgotten.clone() },
        Deletes::Mark => State { row: Some(Row { is_marked: true, ..row.clone() }), ..forgotten.clone() },
        Deletes::Keep => forgotten.clone(),
    };
    if row.columns == base.columns {
        return vec![deleted];
    }
    match job.deciding_for_row() {
        Rule::HqWins | Rule::Merge => vec![deleted],
        Rule::LocalWins => vec![forgotten],
        Rule::NewestWins => match (at.0, state.touched) {
            (Some(at), Some(touched)) if touched > at => vec![forgotten],
            (Some(_) | None, _) => vec![deleted],
        },
        // What is kept needs no decision.
        Rule::Manual if job.deletes == Deletes::Keep => vec![deleted],
        Rule::Manual => match state.told {
            Some(Winner::Hq) => vec![deleted, state.waiting()],
            Some(_) => vec![forgotten, state.waiting()],
            None => vec![state.waiting()],
        },
    }
}

/// Whose value is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Winner {
    Hq,
    Outlet,
    /// An operator has to say.
    Nobody,
}

fn winner(rule: Rule, state: &State, modified: Option<DateTime<Utc>>) -> Winner {
    match rule {
        Rule::HqWins | Rule::Merge => Winner::Hq,
        Rule::LocalWins => Winner::Outlet,
        // A tie, and what has no time, is HQ's.
        Rule::NewestWins => {
            let is_newer = state.touched.zip(modified).is_some_and(|(touched, modified)| touched > modified);
            if is_newer { Winner::Outlet } else { Winner::Hq }
        }
        Rule::Manual => state.told.unwrap_or(Winner::Nobody),
    }
}
