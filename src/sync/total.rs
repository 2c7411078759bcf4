//! How many records a run is to go through, for who watches it. Nothing depends on it.

use chrono::TimeDelta;
use serde_json::json;

use super::run::{Work, unless_stopped};
use super::{Error, Event, Totals};
use crate::record::Mark;

/// After this time somebody who sees no bar may wonder.
const A_WHILE: TimeDelta = TimeDelta::seconds(10);

impl Work<'_> {
    /// Has HQ count, once, what lies at or above `cursor`, of which `done` records are known already. HQ counts what its
    /// permissions hide, too (recording 1703), and may refuse: then nobody is told anything.
    pub(super) async fn tell_total(&mut self, cursor: Option<&Mark>, done: u64) -> Result<(), Error> {
        let is_due = match self.engine.totals {
            Totals::Unwanted => false,
            Totals::AfterAWhile => self.engine.clock.now() - self.started >= A_WHILE,
            Totals::AtOnce => true,
        };
        if !is_due || self.is_counted {
            return Ok(());
        }
        self.is_counted = true;
        let mut filters = self.job.filters.clone();
        filters.extend(cursor.map(|mark| json!(["modified", ">", mark.modified.as_str()])));
        let asking = self.engine.hq.count(&self.job.doctype, &filters, self.meter);
        match unless_stopped(self.stop, async { Ok(asking.await) }).await? {
            Ok(counted) => {
                self.engine
                    .tell(&Event::Total { job: self.job.name.clone(), records: counted.saturating_add(done) });
            }
            Err(error) => tracing::debug!(job = self.job.name, %error, "HQ does not count"),
        }
        Ok(())
    }
}
