//! The walk over the ledger: which of its records HQ's list did not hold, and whose row is not there.
//!
//! Absence from a list proves little (recordings 1701 and 1702): it may have been cut short, the record may have been
//! saved or renamed meanwhile, or a permission hides it. So HQ is asked for the names that are doubtful, with the filters
//! and without, and how many of the absent it counts: its count knows of no permission.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::digest::Digest;
use super::walk::Walk;
use super::{ASKED_AT_ONCE, LINES};
use crate::config::Deletes;
use crate::conflict::{Changed, Rule};
use crate::mapping::Owner;
use crate::record::{Mark, Stamp};
use crate::source;
use crate::store::Trace;
use crate::sync::Error;
use crate::sync::run::{Work, unless_stopped};

/// What the ledger holds and HQ's list, or the table, does not.
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// HQ has no such record.
    pub(super) gone: Vec<String>,
    /// HQ has the record in this version, outside the job's filters.
    pub(super) outside: Vec<(String, Stamp)>,
    /// The record's row is not in the table, or marked as deleted.
    pub(super) rowless: Vec<String>,
    /// The record's row was edited here, in fields that the rule gives to HQ.
    pub(super) edited: Vec<String>,
    /// How many records HQ's list lacked, as far as that was counted.
    pub(super) lost: u64,
    /// Why nothing of it is to be taken for gone.
    pub(super) unproven: Option<Error>,
}

impl Work<'_> {
    /// `heard` are names that HQ told of otherwise, as deleted or outside the filters.
    pub(super) async fn missing(&mut self, walk: &Walk, heard: &HashSet<String>) -> Result<Missing, Error> {
        let mut missing = Missing::default();
        let mut doubt = walk.digest.clone();
        let (mut entries, mut explained) = (0, 0);
        let mut after: Option<String> = None;
        loop {
            let traces = self.lines_after(after.as_deref()).await?;
            let Some(last) = traces.last() else { break };
            after = Some(last.hq_name.clone());
            entries += traces.len() as u64;
            explained += traces.iter().filter(|trace| heard.contains(&trace.hq_name)).count() as u64;
            traces.iter().for_each(|trace| doubt.take(&trace.hq_name));
            if self.gives_edits_to_hq() {
                self.astray(&traces, &mut missing).await?;
            } else if self.makes_again() {
                missing.rowless.extend(self.rowless(&traces).await?);
            }
        }
        if doubt.is_even() && explained == 0 {
            return Ok(missing);
        }
        missing.lost = entries.saturating_sub(walk.listed);
        // Of those that are missing as many may have been renamed as are new.
        let gone = missing.lost.saturating_sub(walk.newcomers.len() as u64);
        let may_go = self.has_confirmed_deletes || !self.job.delete_limit.is_passed(gone, entries);
        // Of those that HQ told of it is known why they are not shown.
        let has_vanished = walk.shown == 0 && entries > explained;
        if !self.has_confirmed_deletes && (has_vanished || (!may_go && self.job.deletes != Deletes::Keep)) {
            missing.unproven = Some(self.too_much_is_missing(walk, missing.lost, entries, has_vanished).await?);
            return Ok(missing);
        }
        self.ask_about(&doubt, heard, &mut missing).await?;
        Ok(missing)
    }

    /// Whether a whole reading was shown what HQ has; `shown` records were. It deletes nothing, but it is not well where a
    /// permission hides from it more than may go unasked.
    pub(in crate::sync) async fn check_shown(&self, shown: u64) -> Result<Result<(), Error>, Error> {
        let entries = self.engine.store.count_entries(&self.job.name).await;
        let entries = entries.map_err(Error::store("counting the ledger"))?;
        let lost = entries.saturating_sub(shown);
        if self.has_confirmed_deletes || !self.job.delete_limit.is_passed(lost, entries) {
            return Ok(Ok(()));
        }
        let hidden = self.hidden(shown, lost).await?;
        Ok(hidden.map_or(Ok(()), Err))
    }

    /// That HQ counts more records than it shows, where that explains what is missing. Records that were made since the
    /// list was read are counted too.
    async fn hidden(&self, shown: u64, lost: u64) -> Result<Option<Error>, Error> {
        let Some(counted) = self.count(&self.job.filters).await? else { return Ok(None) };
        let (hidden, job) = (counted.saturating_sub(shown), self.job.name.clone());
        let is_told = hidden > 0 && hidden.saturating_mul(2) >= lost;
        Ok(is_told.then_some(Error::Hidden { hidden, counted, shown, job }))
    }

    /// What to say where more is missing than may go unasked: no name is asked about then.
    async fn too_much_is_missing(
        &mut self,
        walk: &Walk,
        lost: u64,
        entries: u64,
        has_vanished: bool,
    ) -> Result<Error, Error> {
        if let Some(hidden) = self.hidden(walk.shown, lost).await? {
            return Ok(hidden);
        }
        if has_vanished {
            return Ok(Error::Vanished { entries, job: self.job.name.clone() });
        }
        Ok(self.too_many_gone(self.counts.deleted + lost, self.counts.deleted + entries))
    }

    /// Asks HQ about the ledger's names that are doubtful, and about those it told of: they may have come back since.
    async fn ask_about(&mut self, doubt: &Digest, heard: &HashSet<String>, missing: &mut Missing) -> Result<(), Error> {
        let (mut hidden, mut counted, mut shown) = (0, 0, 0);
        let mut after: Option<String> = None;
        let mut doubtful: Vec<String> = Vec::new();
        loop {
            let traces = self.lines_after(after.as_deref()).await?;
            let is_last = traces.is_empty();
            after = traces.last().map(|trace| trace.hq_name.clone());
            let names = traces.into_iter().map(|trace| trace.hq_name);
            doubtful.extend(names.filter(|name| doubt.is_doubtful(name) || heard.contains(name)));
            while doubtful.len() >= ASKED_AT_ONCE || (is_last && !doubtful.is_empty()) {
                self.go_on()?;
                let some: Vec<String> = doubtful.drain(..doubtful.len().min(ASKED_AT_ONCE)).collect();
                let names: Vec<&str> = some.iter().map(String::as_str).collect();
                let seen = self.judge_absent(&names, missing).await?;
                (hidden, counted, shown) = (hidden + seen.hidden, counted + seen.counted, shown + seen.shown);
            }
            if is_last {
                break;
            }
        }
        missing.lost = (missing.gone.len() + missing.outside.len()) as u64;
        if hidden > 0 && !self.has_confirmed_deletes {
            missing.unproven = Some(Error::Hidden { hidden, counted, shown, job: self.job.name.clone() });
        }
        Ok(())
    }

    /// Parts those of the names that HQ does not show under the filters into those that it has not, and those outside.
    async fn judge_absent(&mut self, names: &[&str], missing: &mut Missing) -> Result<Seen, Error> {
        let (absent, _) = self.unseen(&self.job.filters, names).await?;
        let gone = if self.job.filters.is_empty() {
            absent
        } else {
            let (gone, seen) = self.unseen(&[], &absent).await?;
            missing.outside.extend(self.outside_among(&absent, seen).await?);
            gone
        };
        let (living, seen) = self.hidden_among(&gone).await?;
        missing.gone.extend(gone.into_iter().filter(|name| !living.contains(*name)).map(str::to_owned));
        Ok(seen)
    }

    /// Those of the absent that HQ has and, asked once more now that it is known to have them, does not show under the
    /// filters.
    async fn outside_among(&self, absent: &[&str], seen: Vec<Mark>) -> Result<Vec<(String, Stamp)>, Error> {
        let of_ours: HashSet<&str> = absent.iter().copied().collect();
        // One that was saved between two answers stands in both.
        let alive: BTreeMap<String, Stamp> = seen
            .into_iter()
            .filter(|mark| of_ours.contains(mark.name.as_str()))
            .map(|mark| (mark.name, mark.modified))
            .collect();
        if alive.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = alive.keys().map(String::as_str).collect();
        let inside = self.shown(&self.job.filters, &names).await?;
        let inside: HashSet<&str> = inside.iter().map(|mark| mark.name.as_str()).collect();
        Ok(alive.into_iter().filter(|(name, _)| !inside.contains(name.as_str())).collect())
    }

    /// Those of the names that HQ did not show in two answers, as one may be empty or short by a fault, and the marks of
    /// those that it did.
    pub(super) async fn unseen<'n>(
        &self,
        filters: &[Value],
        names: &[&'n str],
    ) -> Result<(Vec<&'n str>, Vec<Mark>), Error> {
        let mut open: Vec<&str> = names.to_vec();
        let (mut seen, mut asked) = (Vec::new(), 0);
        while !open.is_empty() {
            asked += 1;
            let marks = self.shown(filters, &open).await?;
            let here: HashSet<&str> = marks.iter().map(|mark| mark.name.as_str()).collect();
            let before = open.len();
            open.retain(|name| !here.contains(name));
            seen.extend(marks);
            if open.len() == before && asked > 1 {
                break;
            }
        }
        Ok((open, seen))
    }

    async fn shown(&self, filters: &[Value], names: &[&str]) -> Result<Vec<Mark>, Error> {
        let asking = self.engine.hq.shown(&self.job.doctype, filters, names, self.meter);
        let asking = async { asking.await.map_err(Error::source("asking HQ whether records are gone")) };
        unless_stopped(self.stop, asking).await
    }

    /// How many of these names HQ counts and does not show, and what it shows after all. Names that its collation takes
    /// for one of them are both counted and shown.
    async fn hidden_among(&self, names: &[&str]) -> Result<(HashSet<String>, Seen), Error> {
        let nothing = || (HashSet::new(), Seen::default());
        if names.is_empty() {
            return Ok(nothing());
        }
        let Some(counted) = self.count(&[json!(["name", "in", names])]).await? else { return Ok(nothing()) };
        let marks = if counted == 0 { Vec::new() } else { self.shown(&[], names).await? };
        let shown = marks.len() as u64;
        let living = marks.into_iter().map(|mark| mark.name).collect();
        Ok((living, Seen { hidden: counted.saturating_sub(shown), counted, shown }))
    }

    /// HQ's count, which asks for no permission; `None` where HQ does not give it.
    pub(super) async fn count(&self, filters: &[Value]) -> Result<Option<u64>, Error> {
        let asking = self.engine.hq.count(&self.job.doctype, filters, self.meter);
        match unless_stopped(self.stop, async { Ok(asking.await) }).await? {
            Ok(counted) => Ok(Some(counted)),
            Err(
                error @ (source::Error::Forbidden { .. }
                | source::Error::Unknown { .. }
                | source::Error::Refused { .. }
                | source::Error::Unreadable(_)
                | source::Error::Page(_)),
            ) => {
                tracing::debug!(job = self.job.name, %error, "HQ does not count: what a permission hides looks gone");
                Ok(None)
            }
            Err(error) => Err(Error::source("having HQ count")(error)),
        }
    }

    async fn lines_after(&self, after: Option<&str>) -> Result<Vec<Trace>, Error> {
        let lines = self.engine.store.traces_after(&self.job.name, after, LINES).await;
        lines.map_err(Error::store("walking through the ledger"))
    }

    /// Whether a row that was removed here is HQ's to make again; otherwise its record is not worth a request.
    fn makes_again(&self) -> bool {
        self.job.rules.job == Rule::HqWins
    }

    /// Whether what is edited here is HQ's to overwrite, in any field.
    fn gives_edits_to_hq(&self) -> bool {
        self.job.mapping.synced().iter().any(|at| self.is_hqs(*at))
    }

    fn is_hqs(&self, column: usize) -> bool {
        let owner = self.job.mapping.columns().get(column).map(|column| column.owner);
        owner == Some(Owner::Hq) && self.job.rules.of(column) == Rule::HqWins
    }

    /// The records whose row is not there, or was edited where HQ's value is to stand.
    async fn astray(&self, traces: &[Trace], missing: &mut Missing) -> Result<(), Error> {
        let reading = || Error::store("walking through the ledger");
        let names: Vec<&str> = traces.iter().map(|trace| trace.hq_name.as_str()).collect();
        let entries = self.engine.store.entries(&self.job.name, &names).await.map_err(reading())?;
        let keys: Vec<_> = traces.iter().filter_map(|trace| self.key(&trace.local_key)).collect();
        let rows = self.engine.store.rows(&self.table, &keys).await;
        let mut rows = rows.map_err(Error::store(format!("looking into table {}", self.job.table)))?;
        for trace in traces {
            let row = rows.remove(trace.local_key.as_str()).filter(|row| !row.is_marked);
            let (Some(row), Some(entry)) = (row, entries.get(trace.hq_name.as_str())) else {
                if self.makes_again() {
                    missing.rowless.push(trace.hq_name.clone());
                }
                continue;
            };
            let is_edited = match self.edited(entry, &self.local_row(row)) {
                Changed::Nothing | Changed::Unknown => false,
                Changed::Columns(columns) => columns.iter().any(|at| self.is_hqs(*at)),
                Changed::Somewhere => true,
            };
            if is_edited && !self.open.contains_key(&trace.hq_name) {
                missing.edited.push(trace.hq_name.clone());
            }
        }
        Ok(())
    }

    /// The records whose row is not there.
    async fn rowless(&self, traces: &[Trace]) -> Result<Vec<String>, Error> {
        let keys: Vec<_> = traces.iter().filter_map(|trace| self.key(&trace.local_key)).collect();
        let present = self.engine.store.present(&self.table, &keys).await;
        let present = present.map_err(Error::store(format!("looking into table {}", self.job.table)))?;
        let is_there = |trace: &&Trace| self.key(&trace.local_key).is_some_and(|key| present.contains(&key.text()));
        Ok(traces.iter().filter(|trace| !is_there(trace)).map(|trace| trace.hq_name.clone()).collect())
    }
}

/// What HQ counts of names that it does not show.
#[derive(Debug, Default)]
struct Seen {
    hidden: u64,
    counted: u64,
    shown: u64,
}
