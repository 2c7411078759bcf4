//! Letting the rows go of records that are gone at HQ, within `delete_limit`. A row that was edited here is a conflict:
//! the job's rule says whether it goes, stays as the outlet's own, or waits for an operator.

use super::Error;
use super::conflicts::{Facts, Log};
use super::gone::CHUNK;
use super::run::Work;
use crate::change::Change;
use crate::config::Deletes;
use crate::conflict::{Care, Changed, LocalRow, Resolution, Side, Told};
use crate::crash::{self, Point};
use crate::ledger::Entry;
use crate::record::Stamp;
use crate::row::Key;
use crate::run::Counts;
use crate::store::{GoneRow, PageTx};

/// A record that is gone.
#[derive(Debug, Clone)]
pub(super) struct Gone {
    /// HQ's `name`.
    pub(super) name: String,
    /// When HQ deleted it, or changed it so that it left the filters, as far as that is known.
    pub(super) at: Option<Stamp>,
}

impl Gone {
    pub(super) fn at_no_known_time(names: &[String]) -> Vec<Self> {
        names.iter().map(|name| Self { name: name.clone(), at: None }).collect()
    }
}

/// What becomes of the rows of some records that are gone.
#[derive(Debug, Default)]
struct Fates {
    /// Rows that go.
    keys: Vec<Key>,
    /// The same, as they are remembered.
    gone: Vec<GoneRow>,
    /// Records that the ledger forgets.
    dropped: Vec<String>,
    log: Log,
    /// What is done to rows, where that is to be told.
    changes: Vec<Change>,
}

impl Work<'_> {
    /// Lets the rows of these records go as the job's `deletes` says, within its `delete_limit`. Gives how many did, or
    /// were let go of where all stay: some may be the outlet's own from now on, or wait for an operator.
    pub(super) async fn retire(&mut self, gone: &[Gone]) -> Result<u64, Error> {
        let gone = self.held_of(gone).await?;
        let mut let_go = 0;
        if gone.is_empty() {
            return Ok(let_go);
        }
        self.check_limit(gone.len() as u64).await?;
        for chunk in gone.chunks(CHUNK) {
            let writing = || Error::store(format!("removing rows from table {}", self.job.table));
            let mut tx = self.engine.begin_held(&self.job.name).await?;
            let now = self.engine.clock.now();
            let fates = self.fates(&mut tx, chunk).await?;
            // A trigger may quote the row.
            let hushed = |cause| self.without_private(writing()(cause), &[]);
            match self.job.deletes {
                Deletes::Delete => tx.delete(&self.table, &fates.keys).await.map_err(hushed)?,
                Deletes::Mark => tx.mark_deleted(&self.table, &fates.keys, now).await.map_err(hushed)?,
                Deletes::Keep => {}
            }
            if self.job.deletes != Deletes::Keep {
                tx.note_gone(&self.job.name, &fates.gone, now).await.map_err(writing())?;
            }
            let dropped: Vec<&str> = fates.dropped.iter().map(String::as_str).collect();
            tx.drop_entries(&self.job.name, &dropped).await.map_err(writing())?;
            self.write_log(&mut tx, &fates.log).await?;
            let deleted = if self.job.deletes == Deletes::Keep { 0 } else { fates.keys.len() as u64 };
            let_go += if self.job.deletes == Deletes::Keep { fates.dropped.len() as u64 } else { deleted };
            self.save_counts(&mut tx, &Counts { deleted, ..Counts::default() }).await?;
            // So may a constraint that is put off until now.
            tx.commit().await.map_err(hushed)?;
            crash::point(Point::RowsRetired);
            self.counts.deleted += deleted;
            self.tell_changes(self.with_decisions(fates.changes, &fates.log));
            self.remember_log(fates.log).await?;
        }
        Ok(let_go)
    }

    /// Those that the ledger holds: others have no row to lose.
    async fn held_of(&self, gone: &[Gone]) -> Result<Vec<Gone>, Error> {
        let mut held = Vec::with_capacity(gone.len());
        for chunk in gone.chunks(CHUNK) {
            let asked: Vec<&str> = chunk.iter().map(|gone| gone.name.as_str()).collect();
            let known = self.engine.store.known(&self.job.name, &asked, true).await;
            let known = known.map_err(Error::store("reading the ledger"))?;
            let is_held = |gone: &&Gone| known.get(&gone.name).is_some_and(|known| known.present.is_some());
            held.extend(chunk.iter().filter(is_held).cloned());
        }
        Ok(held)
    }

    async fn fates(&self, tx: &mut PageTx, gone: &[Gone]) -> Result<Fates, Error> {
        let reading = || Error::store(format!("removing rows from table {}", self.job.table));
        let names: Vec<&str> = gone.iter().map(|gone| gone.name.as_str()).collect();
        let entries = tx.entries(&self.job.name, &names, &[], false).await.map_err(reading())?;
        let keys: Vec<Key> = entries.iter().filter_map(|entry| self.key(&entry.local_key)).collect();
        // A row may have been removed here, or stand under another key since the job's `key` was changed.
        let mut rows = tx.rows(&self.table, &keys).await.map_err(reading())?;
        if self.engine.said.is_news(&self.job.name, "rowless", rows.len() < entries.len()) {
            let (gone, rows) = (entries.len(), rows.len());
            tracing::warn!(job = self.job.name, gone, rows, "not every record that is gone at HQ still had a row here");
        }
        let told = self.told();
        let mut fates = Fates::default();
        for entry in &entries {
            let row = self.key(&entry.local_key).and_then(|key| Some((rows.remove(&entry.local_key)?, key)));
            let at = gone.iter().find(|gone| *gone.name == *entry.hq_name).and_then(|gone| gone.at.as_ref());
            let side = told.get(entry.hq_name.as_ref());
            let (fate, how) = match row {
                None => (Some(Side::Hq), Resolution::Lapsed),
                Some((row, key)) => {
                    let local = self.local_row(row);
                    let side = Told::of(side, 0, local.version);
                    let fate = self.fate(entry, &local, at, side, &mut fates.log);
                    if fate == Some(Side::Hq) {
                        fates.changes.extend(self.going(entry, &local));
                        fates.gone.push(self.gone_row(&entry.hq_name, &entry.local_key));
                        fates.keys.push(key);
                    }
                    (fate, side.map_or(Resolution::Lapsed, Resolution::Taken))
                }
            };
            // Whoever has it: HQ's row is no more, or the row is the outlet's own from now on.
            if fate.is_some() {
                fates.dropped.push(entry.hq_name.as_ref().to_owned());
                if let Some(open) = self.open.get(entry.hq_name.as_ref()) {
                    fates.log.closed.push((open.id, entry.hq_name.as_ref().to_owned(), how));
                }
            }
        }
        Ok(fates)
    }

    /// Whose the row is; `None` where an operator has to say.
    fn fate(
        &self,
        entry: &Entry,
        local: &LocalRow,
        at: Option<&Stamp>,
        told: Option<Side>,
        log: &mut Log,
    ) -> Option<Side> {
        let edited = match self.edited(entry, local) {
            Changed::Nothing | Changed::Unknown => return Some(Side::Hq),
            Changed::Columns(columns) => columns,
            Changed::Somewhere => self.job.mapping.synced().to_vec(),
        };
        // Where nothing is deleted there is nothing that could go against the edit.
        if edited.is_empty() || local.is_marked || self.job.deletes == Deletes::Keep {
            return Some(Side::Hq);
        }
        let deleted = at.and_then(|at| self.mapper().in_utc(at));
        let ruling = self.terms(Care::News).judge_deleted(local, edited, deleted, told);
        let facts = Facts {
            name: &entry.hq_name,
            local_key: &entry.local_key,
            modified: at,
            base: Some(entry),
            hq: None,
            hq_version: 0,
            local: Some(&local.row),
            local_version: local.version,
        };
        self.note(log, &ruling, facts);
        ruling.taken
    }
}
