//! A page of a stretch of which nothing may have changed but the stamp, as after a bulk update at HQ: the ledger is not read,
//! but told the stamp where it holds the fingerprints that came. If it holds all of them the page is done; else nothing is, and
//! the page is looked at record by record.

use super::incoming::Judged;
use super::mapper::once;
use super::run::Work;
use super::{Error, Event};
use crate::conflict::{Care, Incoming};
use crate::crash::{self, Point};
use crate::record::{Page, Stamp};
use crate::run::Counts;
use crate::store::Stream;
use crate::watermark::Progress;

impl Work<'_> {
    /// Whether the next page of a stretch is worth such a try.
    pub(super) fn may_restamp(&self, care: Care) -> bool {
        let mapping = &self.job.mapping;
        let is_hqs = |at: &usize| mapping.columns().get(*at).is_some_and(|column| column.owner.is_hqs());
        self.is_restamping
            && care == Care::News
            && self.mapper().is_plain()
            && !self.job.rules.keeps_base
            // A record is known by its fingerprint only if that is of its key, too.
            && mapping.key().iter().all(is_hqs)
            && !self.has_own_keys
            && self.parked.is_empty()
            && self.open.is_empty()
    }

    /// Takes the page if nothing but its one stamp is news; gives back what its records make if not.
    pub(super) async fn restamp(
        &mut self,
        page: &Page,
        judged: Option<Judged>,
        progress: &Progress,
    ) -> Result<Result<(), Judged>, Error> {
        let judged = match judged {
            Some(judged) => judged,
            None => self.mapper().judge(&once(page.records()), &Default::default(), &mut []),
        };
        let Some(stamp) = only_stamp(&judged) else { return Ok(Err(judged)) };
        crash::point(Point::PageFetched);
        let records: Vec<(&str, i64)> =
            judged.incoming.iter().map(|record| (record.hq_name.as_ref(), record.mapped.hash)).collect();
        let children = judged.incoming.first().map_or(0, |record| record.children_hash);
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        let writing = || Error::store("writing the ledger");
        if !tx.restamp_alike(&self.job.name, stamp, &records, children).await.map_err(writing())? {
            tx.rollback().await.map_err(Error::store("taking back a page"))?;
            self.is_restamping = false;
            return Ok(Err(judged));
        }
        let fetched = page.len() as u64;
        let counts = Counts { fetched, unchanged: fetched, ..Counts::default() };
        let saved = tx.save_progress(&self.job.name, Stream::Records, progress, self.engine.clock.now()).await;
        saved.map_err(Error::store("saving the watermark"))?;
        self.save_counts(&mut tx, &counts).await?;
        crash::point(Point::PageWritten);
        tx.commit_soon().await.map_err(Error::store("committing a page"))?;
        crash::point(Point::PageCommitted);
        tracing::debug!(job = self.job.name, records = fetched, "only the stamp of a page's records has changed");
        self.counts.add(&counts);
        self.progress = progress.clone();
        self.engine.tell(&Event::Page { job: self.job.name.clone(), counts: self.counts });
        Ok(Ok(()))
    }
}

/// The stamp of all records, where it is one, each makes a row, and each is found by its name.
fn only_stamp(judged: &Judged) -> Option<&Stamp> {
    let stamp = &judged.incoming.first()?.modified;
    let is_plain = |record: &Incoming| record.modified == *stamp && !record.has_own_key();
    (judged.refused.is_empty() && judged.incoming.iter().all(is_plain)).then_some(stamp)
}
