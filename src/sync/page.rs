//! One page of records into the database: judge, land, park, commit.
//!
//! Rows, child rows, ledger and progress commit together or not at all, and the transaction is opened only when all
//! of HQ's answers are in hand.

use std::collections::{HashMap, HashSet};

use super::conflicts::Log;
use super::incoming::Judged;
use super::landing::{Landing, Manner, Neighbours};
use super::mapper::once;
use super::run::Work;
use super::stretch::is_most;
use super::whole::Whole;
use super::{Error, Event};
use crate::breakage::{self, Breakage};
use crate::change::Change;
use crate::conflict::{Care, Incoming};
use crate::crash::{self, Point};
use crate::record::{Page, Record, Stamp};
use crate::run::Counts;
use crate::store::{self, PageTx, Stream};
use crate::watermark::Progress;

/// How often a page's transaction is repeated at once that lost a deadlock or its connection.
pub(super) const REPEATS: u32 = 2;

/// What comes with a page.
#[derive(Debug)]
pub(super) struct Step {
    /// The progress that is true once the page is committed.
    pub(super) progress: Progress,
    /// How closely unchanged records are looked at.
    pub(super) care: Care,
    /// What the page's records make, where that is known already.
    pub(super) judged: Option<Judged>,
    /// The ledger has been asked which records are news, and the page is of those.
    pub(super) is_of_news: bool,
}

impl Step {
    pub(super) fn new(progress: Progress, care: Care) -> Self {
        Self { progress, care, judged: None, is_of_news: false }
    }

    /// As [`Step::new`], for a page of news.
    pub(super) fn of_news(progress: Progress, care: Care) -> Self {
        Self { is_of_news: true, ..Self::new(progress, care) }
    }
}

/// What one try at a transaction came to.
#[derive(Debug)]
enum Attempt {
    /// It is committed.
    Committed {
        counts: Counts,
        /// Records that went into quarantine.
        parked: Vec<(String, Stamp)>,
        /// Records that left it.
        freed: Vec<String>,
        /// What was done to rows, where that is to be told.
        changes: Vec<Change>,
        /// What was decided between HQ and the outlet.
        log: Log,
        /// A record's key is not its name.
        has_own_keys: bool,
        /// Of most records nothing has changed but the stamp.
        is_restamping: bool,
    },
    /// Taken back: rows are held by these records, and HQ is to be asked whether it still has them.
    Doubts(Vec<String>),
    /// Taken back: the database refuses one of the records, and which one shows when they are written in parts.
    Refused,
    /// Taken back: it says so only at the end, of a constraint that is deferred.
    RefusedAtLast,
}

impl Work<'_> {
    /// Applies whole records.
    pub(super) async fn page(&mut self, page: Page, mut step: Step) -> Result<(), Error> {
        let fetched = page.len() as u64;
        let is_looked_for = !step.is_of_news && !self.is_unseen(step.care);
        let news = if is_looked_for { Some(self.news_of(&page, step.care).await?) } else { None };
        let is_news = |name: &str| news.as_ref().is_none_or(|news| news.contains(name));
        let passed_over = news.as_ref().map_or(0, |news| fetched - news.len() as u64);
        self.counts.add(&Counts { fetched, unchanged: passed_over, ..Counts::default() });
        let wholes = self.whole(page, is_news).await?;
        let last = wholes.len().saturating_sub(1);
        for (at, whole) in wholes.iter().enumerate() {
            // Only the last part makes the page complete.
            let progress = if at == last { step.progress.clone() } else { self.progress.clone() };
            let records = once(whole.records().filter(|record| is_news(record.name())));
            if news.is_none() {
                self.counts.unchanged += (whole.records().count() - records.len()) as u64;
            }
            // It is of all records of the page as it came.
            let judged = step.judged.take().filter(|_| news.is_none() && last == 0);
            let counts = self.commit(whole, &records, &progress, (step.care, judged)).await?;
            self.counts.add(&counts);
            self.progress = progress;
        }
        self.engine.tell(&Event::Page { job: self.job.name.clone(), counts: self.counts });
        Ok(())
    }

    /// Whether none of a page's records is expected to be there: in a pass that began with an empty ledger, until one was.
    pub(super) fn is_unseen(&self, care: Care) -> bool {
        let is_first_load = self.progress.pass.as_ref().is_some_and(|pass| !pass.is_repair);
        care == Care::News && is_first_load && !self.has_met_rows && self.open.is_empty()
    }

    /// The records that the ledger does not hold at their stamp; all of them where repair is asked for.
    async fn news_of(&self, page: &Page, care: Care) -> Result<HashSet<String>, Error> {
        let names: Vec<&str> = page.marks().iter().map(|mark| mark.name.as_str()).collect();
        let known = match care {
            Care::Repair => HashMap::new(),
            Care::News => {
                let known = self.engine.store.stamps(&self.job.name, &names).await;
                known.map_err(Error::store("reading the ledger"))?
            }
        };
        let taken = |record: &Record<'_>| known.get(record.name());
        // What waits for a decision may have been found by a repair, in a version of the stamp that the ledger holds.
        let is_news =
            |record: &Record<'_>| taken(record) != Some(record.modified()) || self.open.contains_key(record.name());
        Ok(page.records().filter(is_news).map(|record| record.name().to_owned()).collect())
    }

    /// One transaction; again, if it turned out that a row belongs to a record that HQ no longer has, or that the
    /// database refuses a record.
    async fn commit(
        &mut self,
        whole: &Whole,
        records: &[Record<'_>],
        progress: &Progress,
        (care, mut judged): (Care, Option<Judged>),
    ) -> Result<Counts, Error> {
        if breakage::is(Breakage::WatermarkFirst) && *progress != self.progress {
            self.progress = progress.clone();
            self.save_progress().await?;
        }
        let mut known = Neighbours::default();
        let mut manner = if self.is_unseen(care) { Manner::Unseen } else { Manner::AsOne };
        let (mut was_unseen, mut repeated) = (false, 0);
        loop {
            let early = judged.take();
            match Box::pin(self.try_commit(whole, records, progress, (care, manner), (&known, early))).await {
                Ok(Attempt::Committed { counts, parked, freed, changes, log, has_own_keys, is_restamping }) => {
                    self.has_own_keys |= has_own_keys;
                    self.is_restamping = is_restamping;
                    // The table was filled by others before, most likely: their rows are looked for from now on.
                    self.has_met_rows |= was_unseen && manner == Manner::AsOne;
                    self.remember_log(log).await?;
                    self.tell_changes(changes);
                    for name in &freed {
                        self.parked.remove(name);
                    }
                    self.has_parked(parked);
                    return Ok(counts);
                }
                // Renamed, or deleted without a tombstone: the row goes to the record that has its key now.
                Ok(Attempt::Doubts(holders)) => {
                    let names: Vec<&str> = holders.iter().map(String::as_str).collect();
                    let living = self.living(&names).await?;
                    let (alive, dead): (Vec<String>, Vec<String>) =
                        holders.into_iter().partition(|name| living.contains(name));
                    known.alive.extend(alive);
                    known.dead.extend(dead);
                }
                Ok(Attempt::Refused) if manner == Manner::Unseen => {
                    tracing::debug!(job = self.job.name, "a record or its row is there already");
                    (manner, was_unseen) = (Manner::AsOne, true);
                }
                Ok(Attempt::Refused) => manner = manner.max(Manner::InParts),
                Ok(Attempt::RefusedAtLast) => manner = Manner::Deferred,
                Err(Error::Store { cause, .. }) if cause.is_passing() && repeated < REPEATS => {
                    tracing::debug!(job = self.job.name, %cause, "the page's transaction is repeated");
                    repeated += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_commit(
        &self,
        whole: &Whole,
        records: &[Record<'_>],
        progress: &Progress,
        (care, manner): (Care, Manner),
        (known, early): (&Neighbours, Option<Judged>),
    ) -> Result<Attempt, Error> {
        let step = Error::store;
        crash::point(Point::PageFetched);
        // What needs no other table is mapped before the lock is taken.
        let early = match early {
            None if !self.job.mapping.has_lookups() => Some(self.judge(None, whole, records).await?),
            early => early,
        };
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        let mut counts = Counts::default();
        let (mut incoming, mut refused) = (Vec::new(), Vec::new());
        let (mut changes, mut log) = (Vec::new(), Log::default());
        if !records.is_empty() {
            let judged = match early {
                Some(judged) => Ok(judged),
                None => self.judge(Some(&mut tx), whole, records).await,
            };
            let judged = judged.map_err(|error| self.without_private(error, &[]))?;
            (incoming, refused) = (judged.incoming, judged.refused);
            let landing = self.land(&mut tx, &incoming, (care, manner), known).await;
            match landing.map_err(|error| self.without_private(error, &incoming))? {
                Landing::Landed { counts: landed, refused: more, changes: done, log: decided } => {
                    (counts, changes, log) = (landed, done, decided);
                    refused.extend(more);
                }
                Landing::Doubts(holders) => {
                    tx.rollback().await.map_err(step("taking back a page"))?;
                    return Ok(Attempt::Doubts(holders));
                }
                Landing::Refused => {
                    // A trigger may have rolled back already; the connection is closed then, and nothing is left.
                    if let Err(error) = tx.rollback().await {
                        tracing::debug!(job = self.job.name, %error, "the transaction had been rolled back");
                    }
                    return Ok(Attempt::Refused);
                }
            }
        }
        counts.quarantined = refused.len() as u64;
        let freed = self.free(&mut tx, records, &refused).await?;
        self.park(&mut tx, Some(whole), &refused).await?;
        self.write_log(&mut tx, &log).await?;
        if *progress != self.progress {
            let saved = tx.save_progress(&self.job.name, Stream::Records, progress, self.engine.clock.now()).await;
            saved.map_err(step("saving the watermark"))?;
        }
        self.save_counts(&mut tx, &counts).await?;
        crash::point(Point::PageWritten);
        // A check that the database puts off until now may quote a row.
        match tx.commit_soon().await {
            Err(store::Error::Refused { .. }) if manner < Manner::Deferred && !incoming.is_empty() => {
                return Ok(Attempt::RefusedAtLast);
            }
            committed => {
                let committed = committed.map_err(step("committing a page"));
                committed.map_err(|error| self.without_private(error, &incoming))?;
            }
        }
        crash::point(Point::PageCommitted);
        let changes = self.in_order_of(records, changes, &refused, &log);
        let parked = refused.into_iter().map(|refusal| (refusal.name, refusal.modified)).collect();
        let has_own_keys = incoming.iter().any(Incoming::has_own_key);
        let unchanged = usize::try_from(counts.unchanged).unwrap_or_default();
        let is_restamping = unchanged > 0 && is_most(unchanged, incoming.len());
        Ok(Attempt::Committed { counts, parked, freed, changes, log, has_own_keys, is_restamping })
    }

    /// Logs what the run comes to with this transaction.
    pub(super) async fn save_counts(&self, tx: &mut PageTx, more: &Counts) -> Result<(), Error> {
        let mut counts = self.counts;
        counts.add(more);
        let (requests, bytes, retries) = self.meter.so_far();
        counts.add(&Counts { requests, bytes, retries, ..Counts::default() });
        tx.save_counts(self.run, &counts).await.map_err(Error::store("writing the run log"))
    }

    /// Saves the progress without a page.
    pub(super) async fn save_progress(&self) -> Result<(), Error> {
        let step = Error::store;
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        let saved = tx.save_progress(&self.job.name, Stream::Records, &self.progress, self.engine.clock.now()).await;
        saved.map_err(step("saving the watermark"))?;
        if let Some(settled) = &self.progress.watermark.settled {
            // What lies below `settled` is not listed again, so it need not be remembered.
            let forgotten = tx.forget_absent_below(&self.job.name, &settled.modified).await;
            forgotten.map_err(step("forgetting old tombstones"))?;
        }
        tx.commit().await.map_err(step("saving the watermark"))?;
        crash::point(Point::WatermarkSaved);
        Ok(())
    }

    /// Remembers records that do not belong here, so that they are not asked for again at the same stamp.
    pub(super) async fn note_absent(&mut self, strangers: &[(String, Stamp)]) -> Result<(), Error> {
        if strangers.is_empty() {
            return Ok(());
        }
        self.has_absent = true;
        let noting = || Error::store("noting records outside the filters");
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        tx.note_absent(&self.job.name, strangers, self.engine.clock.now()).await.map_err(noting())?;
        crash::point(Point::AbsentNoted);
        tx.commit().await.map_err(noting())
    }
}
