//! The log of conflicts: lines of what was decided, and the records that wait for an operator.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::run::Work;
use super::tidy::DECIDED;
use super::{Engine, Error};
use crate::conflict::{Conflict, Held, Incoming, Kind, LIMIT, LocalRow, Plan, Resolution, Rule, Ruling, Side, Told};
use crate::ledger::{Base, Entry};
use crate::mapping::Column;
use crate::record::Stamp;
use crate::row::Row;
use crate::store::{PageTx, WantedConflicts};

/// Stands for a value that is shown nowhere.
const PRIVATE: &str = "(private)";

/// Records that a run names in the log as they come to wait; the list has them all.
const SAID: usize = 5;

/// A value in the log is cut to this many characters: it is to be read by a person.
const SHOWN: usize = 1_000;

/// What a page's decisions do to the log.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Lines to add.
    pub(super) lines: Vec<Conflict>,
    /// Lines that waited and do so no more, with the names of their records.
    pub(super) closed: Vec<(i64, String, Resolution)>,
    /// Records that wait, with the lines that others replace.
    pub(super) replaced: Vec<i64>,
}

impl Log {
    /// Adds another part's.
    pub(super) fn add(&mut self, other: Self) {
        self.lines.extend(other.lines);
        self.closed.extend(other.closed);
        self.replaced.extend(other.replaced);
    }
}

/// One side of a conflict, as the log shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'f> {
    pub(super) name: &'f str,
    pub(super) local_key: &'f str,
    pub(super) modified: Option<&'f Stamp>,
    pub(super) base: Option<&'f Entry>,
    pub(super) hq: Option<&'f Row>,
    pub(super) hq_version: i64,
    pub(super) local: Option<&'f Row>,
    pub(super) local_version: i64,
}

impl Work<'_> {
    /// What waits for an operator at the start of the run.
    pub(super) async fn load_conflicts(&mut self) -> Result<(), Error> {
        let wanted = WantedConflicts { job: Some(&self.job.name), is_open: true, ..WantedConflicts::default() };
        let open = self.engine.store.conflicts(wanted).await.map_err(Error::store("reading the conflicts"))?;
        self.open = open.into_iter().map(|one| (one.name.clone(), one)).collect();
        Ok(())
    }

    /// What operators said, by HQ name.
    pub(super) fn told(&self) -> HashMap<String, Told> {
        let told = |one: &Conflict| {
            let side = one.told?;
            Some(Told { side, hq_version: one.hq_version, local_version: one.local_version })
        };
        self.open.iter().filter_map(|(name, one)| Some((name.clone(), told(one)?))).collect()
    }

    /// Whether the record waits in this version of HQ's, and nobody has said anything yet.
    pub(super) fn is_waiting(&self, name: &str, stamp: &Stamp) -> bool {
        self.open.get(name).is_some_and(|one| one.told.is_none() && one.modified.as_ref() == Some(stamp))
    }

    /// What the plan of a part does to the log.
    pub(super) fn log_of(&self, incoming: &[Incoming], plan: &Plan, held: &Held) -> Log {
        let mut log = Log::default();
        for (at, ruling) in &plan.rulings {
            let Some(record) = incoming.get(*at) else { continue };
            let (key, local) = (record.mapped.key_text.as_ref(), local_of(record, held));
            let facts = Facts {
                name: &record.hq_name,
                local_key: key,
                modified: Some(&record.modified),
                base: held.entries.get(&record.hq_name),
                hq: Some(&record.mapped.row),
                hq_version: record.mapped.hash,
                local: local.map(|local| &local.row),
                local_version: local.map_or(0, |local| local.version),
            };
            self.note(&mut log, ruling, facts);
        }
        let waiting: HashSet<&str> =
            plan.waiting.iter().filter_map(|at| incoming.get(*at)).map(|r| r.hq_name.as_ref()).collect();
        if self.open.is_empty() {
            return log;
        }
        let told = self.told();
        let undecidable = plan.undecidable.iter().filter_map(|(at, _)| incoming.get(*at)).map(|r| r.hq_name.as_ref());
        let refused: HashSet<&str> =
            undecidable.chain(plan.clashes.iter().map(|clash| clash.claimant.as_ref())).collect();
        for record in incoming.iter().filter(|record| !waiting.contains(record.hq_name.as_ref())) {
            if let Some(one) =
                self.open.get(record.hq_name.as_ref()).filter(|_| !refused.contains(record.hq_name.as_ref()))
            {
                let version = local_of(record, held).map_or(0, |local| local.version);
                let side = Told::of(told.get(record.hq_name.as_ref()), record.mapped.hash, version);
                let how = side.map_or(Resolution::Lapsed, Resolution::Taken);
                log.closed.push((one.id, record.hq_name.as_ref().to_owned(), how));
            }
        }
        log
    }

    /// Adds one decision to the log.
    pub(super) fn note(&self, log: &mut Log, ruling: &Ruling, facts: Facts<'_>) {
        let is_operators = |column: usize| self.job.rules.deciding(column) == Rule::Manual;
        let is_of_row = ruling.columns.is_empty() || ruling.kind == Kind::HqDelete;
        let by_operator = match (is_of_row, self.job.rules.deciding_for_row()) {
            (true, Rule::Manual | Rule::NewestWins) => true,
            (true, Rule::HqWins | Rule::LocalWins | Rule::Merge) => false,
            (false, _) => ruling.columns.iter().all(|column| is_operators(*column)),
        };
        let open = self.open.get(facts.name);
        match (ruling.taken, open) {
            // The line that waited is closed instead.
            (Some(side), Some(open)) if by_operator && open.told == Some(side) => {}
            (None, Some(open))
                if open.hq_version == facts.hq_version
                    && open.local_version == facts.local_version
                    && (facts.hq.is_none() || open.modified.as_ref() == facts.modified) => {}
            (None, Some(open)) => {
                log.replaced.push(open.id);
                log.lines.push(self.line(ruling, facts));
            }
            (_, _) => log.lines.push(self.line(ruling, facts)),
        }
    }

    fn line(&self, ruling: &Ruling, facts: Facts<'_>) -> Conflict {
        let now = self.engine.clock.now();
        let mapping = &self.job.mapping;
        let columns = if ruling.columns.is_empty() { mapping.synced() } else { ruling.columns.as_slice() };
        let shown = |row: &Row| {
            let cell = |at: &usize| {
                let (column, cell) = (mapping.columns().get(*at)?, row.get(*at)?);
                let text = if column.is_private { Some(PRIVATE.to_owned()) } else { cell.text().map(cut) };
                Some((column.name.clone(), text.map_or(Value::Null, Value::from)))
            };
            Value::Object(columns.iter().filter_map(cell).collect::<Map<_, _>>()).to_string()
        };
        let base = facts.base.and_then(|entry| match &entry.base {
            Base::Values(values) => {
                let value = |at: &usize| {
                    let column: &Column = mapping.columns().get(*at)?;
                    let value = values.get(&column.name)?;
                    Some((column.name.clone(), shown_base(&value.hq, column.is_private)))
                };
                Some(Value::Object(columns.iter().filter_map(value).collect::<Map<_, _>>()).to_string())
            }
            Base::Unknown | Base::Hash(_) => None,
        });
        let is_private_key = mapping.has_private_key();
        Conflict {
            id: 0,
            job: self.job.name.clone(),
            name: facts.name.to_owned(),
            local_key: if is_private_key { PRIVATE.to_owned() } else { facts.local_key.to_owned() },
            kind: ruling.kind,
            modified: facts.modified.cloned(),
            base,
            hq: facts.hq.map(shown),
            local: facts.local.map(shown),
            rule: ruling.rule,
            run: self.run,
            raised_at: now,
            hq_version: facts.hq_version,
            local_version: facts.local_version,
            told: None,
            resolved_at: ruling.taken.map(|_| now),
            resolution: ruling.taken.map(Resolution::Taken),
        }
    }

    /// Writes the log in the page's transaction.
    pub(super) async fn write_log(&self, tx: &mut PageTx, log: &Log) -> Result<(), Error> {
        let writing = || Error::store("writing the log of conflicts");
        tx.forget_conflicts(&log.replaced).await.map_err(writing())?;
        for (id, _, how) in &log.closed {
            tx.close_conflict(*id, *how, self.engine.clock.now()).await.map_err(writing())?;
        }
        let mut open = log.lines.iter().filter(|line| line.resolved_at.is_none());
        let waiting = self.open.len() + open.clone().filter(|line| !self.open.contains_key(&line.name)).count();
        if let (true, Some(last)) = (waiting > LIMIT, open.next_back()) {
            return Err(Error::TooManyWaiting { hq_name: last.name.clone(), job: self.job.name.clone() });
        }
        let room = DECIDED.saturating_sub(self.decided);
        let mut decided = 0;
        let is_kept = |line: &&Conflict| {
            decided += usize::from(line.resolved_at.is_some());
            line.resolved_at.is_none() || decided <= room
        };
        let lines: Vec<Conflict> = log.lines.iter().filter(is_kept).cloned().collect();
        tx.log_conflicts(&lines).await.map_err(writing())
    }

    /// Takes note of what was committed.
    pub(super) async fn remember_log(&mut self, log: Log) -> Result<(), Error> {
        for (_, name, _) in &log.closed {
            self.open.remove(name);
        }
        let (open, decided): (Vec<Conflict>, Vec<Conflict>) =
            log.lines.into_iter().partition(|line| line.resolved_at.is_none());
        let before = self.decided;
        self.decided += decided.len();
        if before <= DECIDED && self.decided > DECIDED {
            tracing::warn!(
                job = self.job.name,
                "one run decided more than {DECIDED} conflicts; the log keeps the first, milkrun does the others without"
            );
        }
        if open.is_empty() {
            return Ok(());
        }
        let new = open.iter().filter(|line| !self.open.contains_key(&line.name));
        for line in new.take(SAID.saturating_sub(self.open.len())) {
            tracing::warn!(
                job = line.job,
                name = line.name,
                kind = line.kind.word(),
                "both sides changed the record; it waits for an operator: `milkrun conflicts list`"
            );
        }
        // The database has numbered them.
        self.load_conflicts().await
    }
}

impl Engine {
    /// Notes whose version an operator takes; the job's next run does so.
    ///
    /// # Errors
    /// The local database cannot be written.
    pub async fn resolve(&self, id: i64, side: Side) -> Result<bool, Error> {
        self.store.tell_conflict(id, side).await.map_err(Error::store("writing the log of conflicts"))
    }
}

/// The row that a record has, under its key of before if HQ gave it another.
fn local_of<'h>(record: &Incoming, held: &'h Held) -> Option<&'h LocalRow> {
    let entry = held.entries.get(&record.hq_name);
    let old = entry.and_then(|entry| held.rows.get(&entry.local_key));
    old.or_else(|| held.rows.get(&record.mapped.key_text))
}

fn shown_base(spelt: &crate::ledger::Spelt, is_private: bool) -> Value {
    use crate::ledger::Spelt;
    match spelt {
        Spelt::Hash(_) => Value::from(PRIVATE),
        Spelt::Text(_) if is_private => Value::from(PRIVATE),
        Spelt::Text(text) => Value::from(cut(text.clone())),
        Spelt::Null => Value::Null,
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}
