//! Why a row is as it is: what HQ, the ledger and the table have of one record, and whose word counts. Reads only.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::poll::Fate;
use super::run::Work;
use super::{Engine, Error};
use crate::config::{Deletes, Job};
use crate::conflict::{Changed, Changes, Conflict, Incoming, LocalRow, Rule};
use crate::ledger::{Base, Entry, Spelt};
use crate::mapping::{Column, Mapped, Owner};
use crate::quarantine::Parked;
use crate::record::Stamp;
use crate::row::{Key, Row};
use crate::source::Meter;
use crate::store::{self, Stream, WantedConflicts};

/// Decisions of a record that are told, the newest.
const TOLD: u32 = 20;

/// What is known of one record.
#[derive(Debug, Serialize)]
pub struct Why {
    /// The job.
    pub job: String,
    /// HQ's `name`.
    pub name: String,
    /// The key of its row, where one is known.
    pub key: Option<String>,
    /// HQ's `modified` now; `None` where HQ does not show the record.
    pub hq_modified: Option<Stamp>,
    /// HQ's `modified` of the version last taken; `None` where none was.
    pub taken_modified: Option<Stamp>,
    /// How it stands, in sentences.
    pub stands: Vec<String>,
    /// The columns; none where nobody has the record.
    pub columns: Vec<WhyColumn>,
    /// Its latest conflicts, the newest first.
    #[serde(skip)]
    pub conflicts: Vec<Conflict>,
}

/// One column of a record. A side that has no row has no value, which is not null.
#[derive(Debug, Serialize)]
pub struct WhyColumn {
    /// The local column.
    pub column: String,
    /// What HQ's record makes of it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hq: Option<Value>,
    /// What was last taken from HQ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Value>,
    /// What the row holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<Value>,
    /// The rule, or the owner, that speaks of it.
    pub rule: &'static str,
    /// What follows.
    pub verdict: &'static str,
}

/// What was found of the record.
struct Found {
    hq: Option<(Stamp, Result<Mapped, String>)>,
    entry: Option<Entry>,
    local: Option<LocalRow>,
}

impl Found {
    /// Whether there is a row that came from HQ and stands here as if nothing had happened.
    fn waits_to_go(&self) -> bool {
        self.entry.is_some() && self.local.as_ref().is_some_and(|local| !local.is_marked)
    }
}

impl Engine {
    /// What is known of one record of a job.
    ///
    /// # Errors
    /// HQ or the local database does not answer.
    pub async fn why(&self, job: &Arc<Job>, name: &str) -> Result<Why, Error> {
        let (meter, stop) = (Meter::default(), CancellationToken::new());
        let step = || Error::store(format!("table {}", job.table));
        let gone = || store::Error::Schema(vec![format!("Table {} is not there; the next run makes it.", job.table)]);
        let table = self.store.lay_out(job).await.and_then(|table| table.ok_or_else(gone)).map_err(step())?;
        let progress = self.store.progress(&job.name, Stream::Records).await;
        let progress = progress.map_err(Error::store("reading the watermark"))?.unwrap_or_default();
        let mut work = self.work(job, table.into(), progress, &meter, &stop);
        work.why(name).await
    }
}

impl Work<'_> {
    async fn why(&mut self, name: &str) -> Result<Why, Error> {
        let fate = self.fetch_news(&[name]).await?;
        let found = self.found(name, &fate).await?;
        let wanted = WantedConflicts {
            job: Some(&self.job.name),
            name: Some(name),
            limit: Some(TOLD),
            ..WantedConflicts::default()
        };
        let conflicts = self.engine.store.conflicts(wanted).await.map_err(Error::store("reading the conflicts"))?;
        let parked = self.engine.store.parked_record(&self.job.name, name).await;
        let parked = parked.map_err(Error::store("reading the quarantine"))?;
        let key = match (&found.entry, &found.hq) {
            _ if self.job.mapping.has_private_key() => None,
            (Some(entry), _) => Some(entry.local_key.as_ref().to_owned()),
            (None, Some((_, Ok(mapped)))) => Some(mapped.key_text.as_ref().to_owned()),
            (None, Some((_, Err(_))) | None) => None,
        };
        Ok(Why {
            job: self.job.name.clone(),
            name: name.to_owned(),
            key,
            hq_modified: found.hq.as_ref().map(|(modified, _)| modified.clone()),
            taken_modified: found.entry.as_ref().map(|entry| entry.hq_modified.clone()),
            stands: self.stands(name, &fate, &found, parked.as_ref(), &conflicts),
            columns: self.columns(&found),
            conflicts,
        })
    }

    async fn found(&self, name: &str, fate: &Fate) -> Result<Found, Error> {
        let reading = || Error::store("reading local rows");
        let mapping = &self.job.mapping;
        let mut tx = self.engine.store.begin().await.map_err(reading())?;
        let wanted = mapping.wanted(&fate.page);
        let answers = tx.lookups(&self.table, None, &wanted).await.map_err(reading())?;
        let record = fate.page.records().find(|record| record.name() == name);
        let hq = record.map(|record| {
            (record.modified().clone(), mapping.map(record, &answers).map_err(|reject| reject.to_string()))
        });
        let entries = tx.entries(&self.job.name, &[name], &[name], true).await.map_err(reading())?;
        let is_of_another = entries.iter().any(|entry| *entry.local_key == *name && *entry.hq_name != *name);
        let entry = entries.into_iter().find(|entry| *entry.hq_name == *name);
        let mapped = hq.as_ref().and_then(|(_, mapped)| mapped.as_ref().ok()).map(|mapped| mapped.key.clone());
        // Where the ledger has nothing, what was typed may be the key of a row of the outlet's own.
        let taken = match &entry {
            Some(entry) => self.key(&entry.local_key),
            None if is_of_another || mapped.is_some() => None,
            None => self.key(name),
        };
        let keys: Vec<Key> = taken.into_iter().chain(mapped).collect();
        let mut rows = tx.rows(&self.table, &keys).await.map_err(reading())?;
        tx.rollback().await.map_err(reading())?;
        let local = keys.iter().find_map(|key| rows.remove(&key.text())).map(|row| self.local_row(row));
        Ok(Found { hq, entry, local })
    }

    fn stands(
        &self,
        name: &str,
        fate: &Fate,
        found: &Found,
        parked: Option<&Parked>,
        conflicts: &[Conflict],
    ) -> Vec<String> {
        let mut stands = Vec::new();
        let open = conflicts.iter().find(|one| one.resolved_at.is_none());
        let is_among = |names: &[String]| names.iter().any(|other| other == name);
        match &found.hq {
            Some((_, Err(reason))) => stands.push(format!("HQ's record cannot be mapped: {reason}")),
            Some((_, Ok(_))) => {}
            None if is_among(&fate.outside) => {
                stands.push("HQ has the record, and the job's filters leave it out".to_owned())
            }
            None if is_among(&fate.too_large) => stands.push("HQ's record is too large to be taken".to_owned()),
            None if found.waits_to_go() && self.job.deletes != Deletes::Keep && open.is_none() => stands.push(format!(
                "HQ shows no record of this name any more; its row goes with the next reconcile (`milkrun reconcile {}`), \
                 unless it was edited here and the conflict rule keeps it",
                self.job.name
            )),
            None => stands.push("HQ shows no record of this name (any more)".to_owned()),
        }
        let decided = conflicts.iter().find(|one| one.resolved_at.is_some());
        stands.push(match (&found.entry, &found.local) {
            (None, None) => "there is no row of it here, and none was taken from HQ".to_owned(),
            (None, Some(_)) => match decided {
                Some(one) => {
                    format!("a row with this key is here; it is the outlet's own since conflict {} was decided", one.id)
                }
                None => "a row with this key is here; it is the outlet's own: none was taken from HQ under this name"
                    .to_owned(),
            },
            (Some(_), None) => "its row was removed here".to_owned(),
            (Some(_), Some(local)) if local.is_marked => "its row is marked as deleted".to_owned(),
            (Some(entry), Some(_)) => format!("its row is of HQ's version of {}", entry.hq_modified),
        });
        if let Some(parked) = parked {
            stands.push(format!("it is in quarantine: {}", parked.reason));
        }
        if let Some(open) = open {
            stands.push(match open.told {
                None => format!("it waits for a decision: `milkrun conflicts show {}`", open.id),
                Some(side) => format!("the next run takes the version of {} (conflict {})", side.word(), open.id),
            });
        }
        stands
    }

    fn columns(&self, found: &Found) -> Vec<WhyColumn> {
        let hq = found.hq.as_ref().and_then(|(_, mapped)| mapped.as_ref().ok());
        if hq.is_none() && found.local.is_none() && found.entry.is_none() {
            return Vec::new();
        }
        let changes = match (&found.entry, &found.local, hq) {
            (Some(entry), Some(local), Some(mapped)) => Some(self.changes(entry, &incoming(mapped), local)),
            _ => None,
        };
        let column = |(at, column): (usize, &Column)| WhyColumn {
            column: column.name.clone(),
            hq: hq.and_then(|mapped| shown(column, &mapped.row, at)),
            base: found.entry.as_ref().and_then(|entry| shown_base(column, &entry.base)),
            local: found.local.as_ref().and_then(|local| shown(column, &local.row, at)),
            rule: match column.owner {
                Owner::Hq if self.job.mapping.key().contains(&at) => "key",
                Owner::Hq => self.job.rules.of(at).word(),
                Owner::Once => "once",
                Owner::UntilEdited => "until_edited",
            },
            verdict: self.verdict(at, column, found, hq, changes.as_ref()),
        };
        self.job.mapping.columns().iter().enumerate().map(column).collect()
    }

    fn verdict(
        &self,
        at: usize,
        column: &Column,
        found: &Found,
        hq: Option<&Mapped>,
        changes: Option<&Changes>,
    ) -> &'static str {
        let (Some(hq), Some(local)) = (hq, &found.local) else { return "" };
        let is_same = match (hq.row.get(at), local.row.get(at)) {
            (Some(hq), Some(local)) => self.table.agrees(self.engine.store.kind(), at, hq, local),
            (_, _) => false,
        };
        if column.owner == Owner::Once {
            return "the outlet's own since the row was made";
        }
        if is_same {
            return "in step";
        }
        let unknown = Changes { at_hq: Changed::Somewhere, here: Changed::Somewhere };
        let changes = changes.unwrap_or(&unknown);
        let stamps = (found.hq.as_ref().map(|(modified, _)| modified), found.entry.as_ref().map(|e| &e.hq_modified));
        let is_silent = stamps.0 == stamps.1;
        match (changes.at_hq.has(at), changes.here.has(at), column.owner) {
            (_, true, Owner::UntilEdited) => "edited here: the outlet's until it puts HQ's value back",
            (true, false, _) if is_silent => "changed at HQ without a new stamp: a reconcile brings it",
            (true, false, _) => "changed at HQ: the next run brings it",
            (false, false, _) => "as the database spells HQ's value",
            (false, true, _) if self.job.rules.of(at) == Rule::HqWins => {
                "edited here: stays until HQ changes the record, or until it is read again to repair it"
            }
            (false, true, _) => "edited here: stays",
            (true, true, _) => match self.job.rules.deciding(at) {
                Rule::HqWins | Rule::Merge => "changed on both sides: the next run takes HQ's",
                Rule::LocalWins => "changed on both sides: the outlet's stays",
                Rule::NewestWins => "changed on both sides: the newer one is taken",
                Rule::Manual => "changed on both sides: an operator decides",
            },
        }
    }
}

/// As much of an incoming record as telling what changed takes.
fn incoming(mapped: &Mapped) -> Incoming {
    Incoming {
        hq_name: "".into(),
        modified: Stamp::never(),
        mapped: mapped.clone(),
        children: Vec::new(),
        children_hash: 0,
        modified_at: None,
        base: Base::Unknown,
    }
}

fn shown(column: &Column, row: &Row, at: usize) -> Option<Value> {
    let cell = row.get(at)?;
    Some(if column.is_private { Value::from("(private)") } else { cell.text().map_or(Value::Null, Value::from) })
}

fn shown_base(column: &Column, base: &Base) -> Option<Value> {
    let Base::Values(values) = base else { return None };
    Some(match &values.get(&column.name)?.hq {
        Spelt::Null => Value::Null,
        Spelt::Text(text) if !column.is_private => Value::from(text.as_str()),
        Spelt::Text(_) | Spelt::Hash(_) => Value::from("(private)"),
    })
}
