//! Letting the rows go of records that are gone at HQ, within `delete_limit`. A row that was edited here is a conflict:
//! the job's rule says whether it goes, stays as the outlet's own, or waits for an operator.

use chrono::{DateTime, Utc};

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
use crate::store::{self, GoneRow, PageTx};

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

    /// As [`Gone::stamp`] gave it.
    pub(super) fn at_stamp(name: &str, at: &Stamp) -> Self {
        Self { name: name.to_owned(), at: Some(at.clone()).filter(|at| *at != Stamp::never()) }
    }

    fn stamp(&self) -> Stamp {
        self.at.clone().unwrap_or_else(Stamp::never)
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
    /// were let go of where all stay: some may be the outlet's own from now on, or wait for an operator. Those that the
    /// database refuses to let go stay, and [`Work::all_let_go`] tells.
    pub(super) async fn retire(&mut self, gone: &[Gone]) -> Result<u64, Error> {
        let mut gone = self.held_of(gone).await?;
        let mut let_go = 0;
        if gone.is_empty() {
            return Ok(let_go);
        }
        self.check_limit(gone.len() as u64).await?;
        loop {
            let (went, refused) = self.let_go_in_parts(&gone).await?;
            let_go += went;
            // What was refused may have been held by rows of the same table that are gone now: of a tree its leaves go first.
            if went == 0 || refused.is_empty() {
                let noted: Vec<(String, Stamp)> =
                    refused.iter().map(|(gone, _)| (gone.name.clone(), gone.stamp())).collect();
                for (gone, cause) in refused {
                    self.refused.add(&gone.name, cause);
                }
                self.note_refused(&noted).await?;
                return Ok(let_go);
            }
            gone = refused.into_iter().map(|(gone, _)| gone).collect();
        }
    }

    /// Tries all together, and where the database refuses one of them, ever smaller parts. Gives how many went, and those
    /// that it refuses.
    async fn let_go_in_parts(&mut self, gone: &[Gone]) -> Result<(u64, Vec<(Gone, store::Error)>), Error> {
        let (mut went, mut refused) = (0, Vec::new());
        let mut waiting: Vec<&[Gone]> = gone.chunks(CHUNK).rev().collect();
        while let Some(part) = waiting.pop() {
            match (self.let_go_of(part).await, part) {
                (Ok(gone), _) => went += gone,
                (Err(Error::Store { cause: cause @ store::Error::Refused { .. }, .. }), [only]) => {
                    refused.push((only.clone(), cause));
                }
                (Err(Error::Store { cause: store::Error::Refused { .. }, .. }), many) => {
                    let (left, right) = many.split_at(many.len() / 2);
                    waiting.extend([right, left]);
                }
                (Err(error), _) => return Err(error),
            }
        }
        Ok((went, refused))
    }

    /// One transaction. A constraint that is put off may be the database's reason, so that nothing less can be taken back.
    async fn let_go_of(&mut self, gone: &[Gone]) -> Result<u64, Error> {
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        let now = self.engine.clock.now();
        let fates = self.fates(&mut tx, gone).await?;
        let (deleted, let_go) = match self.job.deletes {
            Deletes::Keep => (0, fates.dropped.len() as u64),
            Deletes::Delete | Deletes::Mark => (fates.keys.len() as u64, fates.keys.len() as u64),
        };
        // A trigger may quote the row.
        if let Err(error) = self.carry_out(&mut tx, &fates, now).await {
            if let Err(error) = tx.rollback().await {
                tracing::debug!(job = self.job.name, %error, "the transaction had been rolled back");
            }
            return Err(self.without_private(error, &[]));
        }
        self.write_log(&mut tx, &fates.log).await?;
        self.save_counts(&mut tx, &Counts { deleted, ..Counts::default() }).await?;
        // So may a constraint that is put off until now.
        let committed = tx.commit().await.map_err(self.removing());
        committed.map_err(|error| self.without_private(error, &[]))?;
        crash::point(Point::RowsRetired);
        self.counts.deleted += deleted;
        self.tell_changes(self.with_decisions(fates.changes, &fates.log));
        self.remember_log(fates.log).await?;
        Ok(let_go)
    }

    async fn carry_out(&self, tx: &mut PageTx, fates: &Fates, now: DateTime<Utc>) -> Result<(), Error> {
        match self.job.deletes {
            Deletes::Delete => tx.delete(&self.table, &fates.keys).await.map_err(self.removing())?,
            Deletes::Mark => tx.mark_deleted(&self.table, &fates.keys, now).await.map_err(self.removing())?,
            Deletes::Keep => {}
        }
        if self.job.deletes != Deletes::Keep {
            tx.note_gone(&self.job.name, &fates.gone, now).await.map_err(self.removing())?;
        }
        let dropped: Vec<&str> = fates.dropped.iter().map(String::as_str).collect();
        tx.drop_entries(&self.job.name, &dropped).await.map_err(self.removing())
    }

    fn removing(&self) -> impl FnOnce(store::Error) -> Error + use<> {
        Error::store(format!("removing rows from table {}", self.job.table))
    }

    /// Those that the ledger holds: others have no row to lose. What was refused in this run is not tried once more.
    async fn held_of(&self, gone: &[Gone]) -> Result<Vec<Gone>, Error> {
        let mut held = Vec::with_capacity(gone.len());
        for chunk in gone.chunks(CHUNK) {
            let asked: Vec<&str> = chunk.iter().map(|gone| gone.name.as_str()).collect();
            let known = self.engine.store.known(&self.job.name, &asked, true).await;
            let known = known.map_err(Error::store("reading the ledger"))?;
            let is_held = |gone: &&Gone| known.get(&gone.name).is_some_and(|known| known.present.is_some());
            let is_open = |gone: &&Gone| is_held(gone) && !self.refused.has(&gone.name);
            held.extend(chunk.iter().filter(is_open).cloned());
        }
        Ok(held)
    }

    async fn fates(&self, tx: &mut PageTx, gone: &[Gone]) -> Result<Fates, Error> {
        let names: Vec<&str> = gone.iter().map(|gone| gone.name.as_str()).collect();
        let entries = tx.entries(&self.job.name, &names, &[], false).await.map_err(self.removing())?;
        let keys: Vec<Key> = entries.iter().filter_map(|entry| self.key(&entry.local_key)).collect();
        // A row may have been removed here, or stand under another key since the job's `key` was changed.
        let mut rows = tx.rows(&self.table, &keys).await.map_err(self.removing())?;
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
