//! What both sides did to one record since the base, and what the rules make of it. A table of cases, by itself.

use chrono::{DateTime, NaiveDateTime};

use super::rule::{Rule, Rules};
use super::{Care, LocalRow};
use crate::mapping::{Column, Owner};
use crate::row::{Cell, Row, Type};

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// HQ.
    Hq,
    /// The outlet.
    Local,
}

impl Side {
    /// The word of the command line and of the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Hq => "hq",
            Self::Local => "local",
        }
    }
}

/// Which columns a side changed since the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// None.
    Nothing,
    /// These, by position.
    Columns(Vec<usize>),
    /// Some; which ones, nobody knows.
    Somewhere,
    /// Nobody knows whether any: the ledger of an older milkrun kept nothing to tell by.
    Unknown,
}

impl Changed {
    /// Whether the column may have been changed.
    #[must_use]
    pub fn has(&self, column: usize) -> bool {
        match self {
            Self::Nothing => false,
            Self::Columns(columns) => columns.contains(&column),
            Self::Somewhere | Self::Unknown => true,
        }
    }

    /// Whether no column was changed.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Columns(columns) => columns.is_empty(),
            Self::Somewhere | Self::Unknown => false,
        }
    }
}

/// When the outlet last edited a row, by its own column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Edited {
    /// It does not say.
    #[default]
    Never,
    /// At this moment, in UTC.
    At(NaiveDateTime),
    /// What the column holds is no moment.
    Unreadable(String),
}

impl Edited {
    /// Reads the outlet's own column, which its programs fill as they like: UTC, or with an offset from it; a date alone,
    /// which is its midnight; seconds or milliseconds since 1970.
    #[must_use]
    pub fn read(text: Option<&str>) -> Self {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Self::Never };
        let plain = |text: &str| match Cell::from_text(text, Type::Datetime) {
            Some(Cell::Datetime(moment)) => Some(moment),
            Some(_) | None => None,
        };
        let offset = || {
            let forms = ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z"];
            let read = |form: &&str| DateTime::parse_from_str(text, form).ok();
            forms.iter().find_map(read).map(|moment| moment.naive_utc())
        };
        let midnight = || plain(&format!("{text} 00:00:00"));
        let since_1970 = || {
            let number: i64 = text.parse().ok()?;
            let moment = match text.len() {
                ..=10 => DateTime::from_timestamp(number, 0),
                _ => DateTime::from_timestamp_millis(number),
            };
            moment.map(|moment| moment.naive_utc())
        };
        plain(text)
            .or_else(offset)
            .or_else(midnight)
            .or_else(since_1970)
            .map_or_else(|| Self::Unreadable(text.chars().take(40).collect()), Self::At)
    }
}

/// What kind of conflict it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Both sides changed the same column, to different values.
    Edit,
    /// Only the outlet changed the column, and the rule gives it to HQ.
    LocalEdit,
    /// Both sides made a row of the same key.
    Insert,
    /// The row was removed here, and HQ still has the record.
    LocalDelete,
    /// HQ deleted the record, and it was edited here.
    HqDelete,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Edit, Self::LocalEdit, Self::Insert, Self::LocalDelete, Self::HqDelete];

    /// The word of the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::LocalEdit => "local_edit",
            Self::Insert => "insert",
            Self::LocalDelete => "local_delete",
            Self::HqDelete => "hq_delete",
        }
    }
}

/// One decision, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// What happened.
    pub kind: Kind,
    /// The rule that speaks of it.
    pub rule: Rule,
    /// Who got his way; `None` where an operator has to say.
    pub taken: Option<Side>,
    /// The columns concerned; none where the row as a whole is.
    pub columns: Vec<usize>,
}

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Columns that take HQ's value.
    pub written: Vec<usize>,
    /// The decisions that were made.
    pub rulings: Vec<Ruling>,
    /// Nothing is written: an operator decides.
    pub waits: bool,
    /// The row stays removed.
    pub stays_gone: bool,
}

/// The terms under which a job's records are judged.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'t> {
    /// The columns of the row.
    pub columns: &'t [Column],
    /// Positions of the key's columns.
    pub key: &'t [usize],
    /// Who wins.
    pub rules: &'t Rules,
    /// Whether the row of an unchanged record is looked at, too.
    pub care: Care,
}

/// One record on both sides.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'s> {
    /// HQ's record as a row.
    pub hq: &'s Row,
    /// When HQ changed it, in UTC; `None` where that is not known.
    pub hq_modified: Option<NaiveDateTime>,
    /// The row here.
    pub local: &'s LocalRow,
    /// What HQ changed since the base.
    pub at_hq: &'s Changed,
    /// What was changed here since the base.
    pub here: &'s Changed,
    /// The record was never taken before: the row came to be beside it.
    pub is_new: bool,
    /// What an operator said of just this pair of versions.
    pub told: Option<Side>,
}

impl Terms<'_> {
    /// Decides column by column for a record whose row is there.
    ///
    /// # Errors
    /// A sentence, where `newest_wins` cannot tell how new the row is.
    pub fn judge(&self, sides: Sides<'_>) -> Result<Verdict, String> {
        let mut verdict = Verdict::default();
        // What may as well be HQ's own value of before is no edit that was overwritten.
        let is_told = *sides.here != Changed::Unknown;
        let is_written = !sides.at_hq.is_nothing() || self.care == Care::Repair;
        for (at, column) in self.columns.iter().enumerate() {
            let is_same = sides.local.row.get(at) == sides.hq.get(at);
            if is_same || !column.owner.is_hqs() || self.key.contains(&at) {
                continue;
            }
            match (sides.at_hq.has(at), sides.here.has(at)) {
                // The database's own spelling of what HQ has.
                (false, false) => {}
                (true, false) => verdict.written.push(at),
                (_, true) if column.owner == Owner::UntilEdited => {}
                (false, true) => {
                    if is_written && self.rules.of(at) == Rule::HqWins {
                        verdict.written.push(at);
                        if is_told {
                            verdict.rule(Kind::LocalEdit, Rule::HqWins, Some(Side::Hq), at);
                        }
                    }
                }
                (true, true) => {
                    let kind = if sides.is_new { Kind::Insert } else { Kind::Edit };
                    let taken = self.deciding(self.rules.deciding(at), sides)?;
                    if taken == Some(Side::Hq) {
                        verdict.written.push(at);
                    }
                    if is_told || taken != Some(Side::Hq) {
                        verdict.rule(kind, self.rules.of(at), taken, at);
                    }
                }
            }
        }
        verdict.settle();
        Ok(verdict)
    }

    /// Decides for a record whose row was removed here.
    #[must_use]
    pub fn judge_removed(&self, at_hq: &Changed, told: Option<Side>) -> Verdict {
        let mut verdict = Verdict { stays_gone: true, ..Verdict::default() };
        let taken = if at_hq.is_nothing() {
            if self.care == Care::News || self.rules.job != Rule::HqWins {
                return verdict;
            }
            Some(Side::Hq)
        } else {
            match self.rules.deciding_for_row() {
                // A row that is gone has no time of its own.
                Rule::HqWins | Rule::NewestWins | Rule::Merge => Some(Side::Hq),
                Rule::LocalWins => Some(Side::Local),
                Rule::Manual => told,
            }
        };
        verdict.stays_gone = taken != Some(Side::Hq);
        verdict
            .rulings
            .push(Ruling { kind: Kind::LocalDelete, rule: self.rules.job, taken, columns: Vec::new() });
        verdict.settle();
        verdict
    }

    /// Decides for a row that was edited here and whose record HQ deleted, at `deleted` if that is known. Where
    /// `newest_wins` cannot read how new the row is, an operator has to say.
    #[must_use]
    pub fn judge_deleted(
        &self,
        local: &LocalRow,
        edited: Vec<usize>,
        deleted: Option<NaiveDateTime>,
        told: Option<Side>,
    ) -> Ruling {
        let taken = match self.rules.deciding_for_row() {
            Rule::HqWins | Rule::Merge => Some(Side::Hq),
            Rule::LocalWins => Some(Side::Local),
            Rule::NewestWins => newer(&local.edited, deleted).ok().or(told),
            Rule::Manual => told,
        };
        Ruling { kind: Kind::HqDelete, rule: self.rules.job, taken, columns: edited }
    }

    fn deciding(&self, rule: Rule, sides: Sides<'_>) -> Result<Option<Side>, String> {
        Ok(match rule {
            // What `merge` comes to is resolved before.
            Rule::HqWins | Rule::Merge => Some(Side::Hq),
            Rule::LocalWins => Some(Side::Local),
            Rule::NewestWins => Some(newer(&sides.local.edited, sides.hq_modified)?),
            Rule::Manual => sides.told,
        })
    }
}

/// The side whose change is the later one; a tie is HQ's.
fn newer(edited: &Edited, hq: Option<NaiveDateTime>) -> Result<Side, String> {
    match (edited, hq) {
        (Edited::Never, _) => Ok(Side::Hq),
        (Edited::At(here), Some(hq)) => Ok(if *here > hq { Side::Local } else { Side::Hq }),
        (Edited::At(_), None) => Ok(Side::Hq),
        (Edited::Unreadable(found), _) => Err(format!(
            "newest_wins cannot tell when the row was edited here: local_modified holds {found:?}, which is no moment \
             such as \"2024-05-05 10:00:00\" (UTC)"
        )),
    }
}

impl Verdict {
    fn rule(&mut self, kind: Kind, rule: Rule, taken: Option<Side>, column: usize) {
        let same = |ruling: &&mut Ruling| ruling.kind == kind && ruling.rule == rule && ruling.taken == taken;
        match self.rulings.iter_mut().find(same) {
            Some(ruling) => ruling.columns.push(column),
            None => self.rulings.push(Ruling { kind, rule, taken, columns: vec![column] }),
        }
    }

    /// Where one column waits for an operator, all of the record does.
    fn settle(&mut self) {
        if self.rulings.iter().any(|ruling| ruling.taken.is_none()) {
            let mut open = self.rulings.drain(..).filter(|ruling| ruling.taken.is_none());
            let first = open.next();
            let columns: Vec<usize> = open.flat_map(|ruling| ruling.columns).collect();
            // One line for one record, whichever of its columns have rules of their own.
            self.rulings = first
                .map(|mut first| {
                    first.columns.extend(columns);
                    vec![first]
                })
                .unwrap_or_default();
            self.written.clear();
            self.waits = true;
        }
    }
}
