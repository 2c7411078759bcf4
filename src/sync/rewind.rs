//! Moving a job's watermark by hand.

use super::{Engine, Error};
use crate::record::{Mark, Stamp};
use crate::store::Stream;
use crate::watermark::{Progress, Watermark, Zone};

impl Engine {
    /// Has the job's next run read again what HQ stamped after `stamp`, or everything. Rows and ledger stay, so what
    /// did not change costs no write. Waits for a run that is going on.
    ///
    /// # Errors
    /// A database that does not answer, or a run that does not end.
    pub async fn rewind(&self, job: &str, stamp: Option<&Stamp>) -> Result<(), Error> {
        let zone = self.zone_now().await;
        if let Some(stamp) = stamp.filter(|stamp| stamp.moment() > zone.wall(zone.asked.hq)) {
            return Err(Error::AheadOfHq(stamp.clone()));
        }
        let held = self.take_lease(job).await?;
        let moved = self.move_to(job, stamp, zone).await;
        self.give_back(held).await;
        moved
    }

    async fn move_to(&self, job: &str, stamp: Option<&Stamp>, zone: Zone) -> Result<(), Error> {
        let step = "moving the watermark";
        let now = self.clock.now();
        let before = self.store.progress(job, Stream::Records).await.map_err(Error::store(step))?.unwrap_or_default();
        let mark = stamp.map(|stamp| Mark { modified: stamp.clone(), name: String::new() });
        let watermark = match mark {
            Some(mark) => Watermark {
                seen: Some(mark.clone()),
                seen_at: Some(zone.asked),
                settled: Some(mark),
                settled_as_of: Some(zone.asked),
                unsteady_at: None,
                zone: Some(zone),
            },
            None => Watermark::default(),
        };
        // Without the mapping of the last pass the next run is a pass over everything; one that is under way goes on.
        let (pass, mapping) = if stamp.is_some() { (before.pass, before.mapping) } else { (None, None) };
        let progress = Progress { watermark, pass, mapping };
        let mut tx = self.begin_held(job).await?;
        tx.save_progress(job, Stream::Records, &progress, now).await.map_err(Error::store(step))?;
        tx.commit().await.map_err(Error::store(step))
    }
}
