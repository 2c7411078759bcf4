//! Tables and columns that somebody took out of the outlet's database and that come back empty: what the ledger has as
//! written is not there any more, and no edit of the outlet's either.

use super::outline::{Outline, fingerprint};
use super::run::Work;
use super::{Engine, Error};
use crate::config::Job;
use crate::conflict::Changes;
use crate::store::{self, Stream, Table};
use crate::watermark::Progress;

impl Engine {
    /// Lays the job's tables out, and makes those that are missing where the job says so. Has everything read again where
    /// what is missing was there before.
    pub(super) async fn tables(&self, job: &Job, progress: &mut Progress) -> Result<Table, Error> {
        let step = || Error::store(format!("table {}", job.table));
        match self.store.lay_out(job).await {
            Ok(Some(table)) => Ok(table),
            Ok(None) => {
                // Noted first: once they are made, nothing tells that they were gone.
                self.refill(job, progress, &[]).await?;
                self.store.prepare(job).await.map_err(step())
            }
            Err(findings @ store::Error::Schema(_)) => {
                let absent = self.store.absent_columns(job).await.map_err(step())?;
                if !absent.is_empty() {
                    self.refill(job, progress, &absent).await?;
                }
                Err(step()(findings))
            }
            Err(error) => Err(step()(error)),
        }
    }

    /// Notes that these columns are gone, or, without any, whole tables.
    async fn refill(&self, job: &Job, progress: &mut Progress, absent: &[(String, String)]) -> Result<(), Error> {
        let Some(known) = progress.mapping else { return Ok(()) };
        let Some(mut kept) = self.outline(&job.name).await? else { return Ok(()) };
        let own = fingerprint(job);
        // What is gone once more is news where it was being filled again.
        let is_news = kept.lose(absent) || absent.is_empty() || known == own;
        if !is_news || self.rows(&job.name).await? == 0 {
            return Ok(());
        }
        // No mapping has this one: it is that of the mapping as it was filled before.
        if known == own && kept.fingerprint == own {
            (progress.mapping, kept.fingerprint) = (Some(!own), !own);
        }
        let noting = || Error::store("noting that a table or a column is gone");
        let mut tx = self.begin_held(&job.name).await?;
        tx.save_outline(&job.name, &kept.text()).await.map_err(noting())?;
        tx.save_progress(&job.name, Stream::Records, progress, self.clock.now()).await.map_err(noting())?;
        tx.commit().await.map_err(noting())
    }
}

impl Outline {
    /// Notes that these columns of these tables are gone; whether that was not known of a column that was filled.
    fn lose(&mut self, absent: &[(String, String)]) -> bool {
        let mut is_news = false;
        for (table, column) in absent {
            let was_filled = self.has_filled(table, column);
            let gone = (table.clone(), column.clone());
            if was_filled && !self.lost.contains(&gone) {
                self.lost.push(gone);
                is_news = true;
            }
        }
        is_news
    }
}

impl Work<'_> {
    /// Gives columns that were gone back to HQ: what they hold now nobody has edited.
    pub(super) fn give_back(&self, name: &str, changes: &mut Changes) {
        let everywhere = self.lost.iter().filter(|_| self.is_converting);
        let waiting = self.lost_to_waiting.iter().filter(|_| self.waits(name));
        for at in everywhere.chain(waiting) {
            self.give_to_hq(*at, changes);
        }
    }

    fn waits(&self, name: &str) -> bool {
        self.parked.contains_key(name) || self.open.contains_key(name)
    }

    /// Notes that the columns that were gone are filled again, after everything was read; but for what waits.
    pub(super) async fn has_refilled(&mut self) -> Result<(), Error> {
        let is_owed = |kept: &Outline| !(kept.lost.is_empty() && kept.lost_to_waiting.is_empty());
        let Some(mut kept) = self.engine.outline(&self.job.name).await?.filter(is_owed) else { return Ok(()) };
        let lost = std::mem::take(&mut kept.lost);
        kept.lost_to_waiting.extend(lost);
        self.lost_to_waiting.append(&mut self.lost);
        if self.parked.is_empty() && self.open.is_empty() {
            kept.lost_to_waiting.clear();
            self.lost_to_waiting.clear();
        }
        self.engine.keep_outline(&kept, self.job).await
    }

    /// The same at the end of a run, where nothing waits any more.
    pub(super) async fn has_refilled_all(&mut self) -> Result<(), Error> {
        let is_all = self.parked.is_empty() && self.open.is_empty() && self.is_loaded();
        if self.lost_to_waiting.is_empty() || !is_all { Ok(()) } else { self.has_refilled().await }
    }
}
