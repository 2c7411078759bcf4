//! What a reading of everything asks before it writes: HQ's zone, its newest record, and the first page.
//!
//! None of them waits for another. On a long way they are asked for at once, while the run sees to its deletes; where the way
//! is short they go one after the other, as HQ then is what is waited for. What the pass claims goes by the start of the run,
//! whichever of them came first.

use super::Error;
use super::ahead::{AT_THE_START, Ahead, Next};
use super::run::{Work, unless_stopped};
use crate::record::Mark;
use crate::source::frappe::Fetched;

/// Requests beside those for the first page.
const BESIDE: u32 = 2;

/// What has come of it.
#[derive(Debug)]
pub(super) struct Beginning<'e> {
    /// HQ's newest record, and the answer that named it.
    pub(super) newest: (Option<Mark>, Fetched),
    /// The pages, of which the first has come.
    pub(super) ahead: Ahead<'e>,
    pub(super) next: Next,
}

impl<'e> Work<'e> {
    /// Learns HQ's zone, and on a long way what a pass from the start needs before it writes.
    pub(super) async fn learn(&mut self) -> Result<Option<Box<Beginning<'e>>>, Error> {
        let hq = &self.engine.hq;
        let is_far = self.engine.lead.is_for(hq.way()) && hq.has_room_for(BESIDE + AT_THE_START);
        if !is_far || self.is_loaded() || self.cursor().is_some() {
            self.learn_zone().await?;
            return Ok(None);
        }
        let (engine, job, meter) = (self.engine, self.job, self.meter);
        let mut ahead = Ahead::new(engine, job, meter);
        let kept = self.progress.watermark.zone;
        let asking = async {
            let next = ahead.next(None, self.page_size);
            let newest = engine.hq.newest(&job.doctype, &[], "modified", None, meter);
            // The one that brings most goes over the connection that stands already.
            let (next, newest, zone) = tokio::join!(biased; next, newest, engine.zone(kept, meter));
            let newest = zone.map(|zone| (zone, newest));
            newest.map(|(zone, newest)| (zone, newest, next))
        };
        let (zone, newest, next) = unless_stopped(self.stop, Box::pin(asking)).await?;
        let newest = newest.map_err(Error::source(super::pass::NEWEST))?;
        let (next, size) = next?;
        self.know_zone(zone);
        self.page_size = size;
        Ok(Some(Box::new(Beginning { newest, ahead, next })))
    }
}
