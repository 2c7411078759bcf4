//! An HQ that went back in time: restored from a backup, or with all its stamps shifted.
//!
//! A poll's first list begins with the record that the watermark stands on, so that a quiet HQ answers with just that
//! one. Where nothing of the list comes up to the highest stamp that was ever seen, HQ is asked for its newest; and where
//! that is lower, for the records that the ledger has above it. If HQ shows them at older stamps than the ledger's, it
//! went back. A newest record that was deleted proves nothing, and the watermark is lowered to the one that is newest now.

use chrono::TimeDelta;

use super::run::{Work, unless_stopped};
use super::{Error, poll};
use crate::record::{Mark, Stamp};
use crate::source::frappe::Fetched;
use crate::watermark::{Clocks, Watermark};

/// Records asked about.
const SAMPLE: usize = 100;

/// So few records may have been set back by hand; they are taken as they are.
const FEW: usize = 3;

/// HQ's wall clock falls back by itself, and stamps with it, for an hour; what was stamped in it is read within a few.
const UNSTEADY: TimeDelta = TimeDelta::hours(3);

/// What HQ shows of the records above its newest stamp.
enum Older {
    /// These at older stamps than the ledger's.
    Shown(Vec<String>),
    /// HQ stamps in another zone than before, which explains it.
    Elsewhere,
}

/// How far HQ went back in time, and how that was seen.
#[derive(Debug, thiserror::Error)]
#[error(
    "HQ went back in time: its newest stamp is {newest}, and {seen} had been seen; {older} of {asked} records that were asked \
     for are of an older stamp now{}", shifted(*.shift)
)]
pub struct Setback {
    /// HQ's newest stamp.
    pub newest: Stamp,
    /// The highest that was seen.
    pub seen: Stamp,
    /// Records that are older now.
    pub older: usize,
    /// Records that HQ was asked for.
    pub asked: usize,
    /// By how much they all are, if by one and the same.
    pub shift: Option<TimeDelta>,
    /// The job.
    pub job: String,
}

fn shifted(shift: Option<TimeDelta>) -> String {
    let Some(shift) = shift else { return String::new() };
    let (sign, seconds) = (if shift < TimeDelta::zero() { '-' } else { '+' }, shift.num_seconds().abs());
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let rest = if rest == 0 { String::new() } else { format!(":{rest:02}") };
    format!("; all stamps were shifted by {sign}{hours:02}:{minutes:02}{rest}")
}

impl Work<'_> {
    /// Whether the list, or HQ's newest record, comes up to what was seen; gives the list to go on with.
    pub(super) async fn notice_going_back(
        &mut self,
        begun: &mut Watermark,
        (at_start, started): (&Watermark, Clocks),
        first: Fetched,
    ) -> Result<Fetched, Error> {
        let Some(seen) = begun.seen.clone().filter(|_| self.is_steady(begun, &first)) else { return Ok(first) };
        let is_whole = first.page.len() < first.asked;
        if !is_whole || self.highest_present(&first).is_some_and(|highest| highest >= seen.modified) {
            return Ok(first);
        }
        let now = Stamp::at(self.hq_now(&first));
        let asking = self.engine.hq.newest(&self.job.doctype, &[], "modified", Some(&now), self.meter);
        let asking = async { asking.await.map_err(Error::source("asking HQ for its newest record")) };
        let (newest, _) = unless_stopped(self.stop, asking).await?;
        let Some(newest) = newest else { return Ok(first) };
        if newest.modified >= seen.modified {
            // The list was short by a fault, or came a moment too early.
            return self.listing(begun.settled.as_ref(), poll::Start::With).await;
        }
        let older = match self.older_than_ours(&newest.modified, &seen.modified).await? {
            Older::Shown(older) => older,
            Older::Elsewhere => {
                *begun = at_start.resume(started, self.zone);
                return self.listing(begun.settled.as_ref(), poll::Start::With).await;
            }
        };
        if begun.settled.as_ref().is_some_and(|settled| settled.modified >= newest.modified) {
            begun.settled = Some(newest.clone());
        }
        (begun.seen, begun.seen_at) = (Some(newest), Some(first.read));
        self.progress.watermark = begun.clone();
        let older: Vec<Mark> = older.into_iter().map(Mark::unstamped).collect();
        self.take(&older, crate::conflict::Care::News).await?;
        self.listing(begun.settled.as_ref(), poll::Start::With).await
    }

    /// Whether lower stamps than those seen are no work of HQ's wall clock.
    fn is_steady(&self, begun: &Watermark, first: &Fetched) -> bool {
        let fell_lately = begun.unsteady_at.is_some_and(|at| first.read.elapsed_since(at) < UNSTEADY);
        begun.seen_at.is_some() && !fell_lately && self.zone.is_told
    }

    /// The few records that HQ shows at older stamps than the ledger's above HQ's newest.
    async fn older_than_ours(&mut self, newest: &Stamp, seen: &Stamp) -> Result<Older, Error> {
        let sample = self.engine.store.traces_above(&self.job.name, newest, SAMPLE).await;
        let sample = sample.map_err(Error::store("reading the ledger"))?;
        if sample.is_empty() {
            return Ok(Older::Shown(Vec::new()));
        }
        let names: Vec<&str> = sample.iter().map(|trace| trace.hq_name.as_str()).collect();
        let asking = self.engine.hq.shown(&self.job.doctype, &[], &names, self.meter);
        let asking = async { asking.await.map_err(Error::source("asking HQ for the records of the latest stamps")) };
        let marks: Vec<Mark> = unless_stopped(self.stop, asking).await?;
        let set_back: Vec<(&str, TimeDelta)> = sample
            .iter()
            .filter_map(|trace| {
                let mark = marks.iter().find(|mark| mark.name == trace.hq_name)?;
                let shift = mark.modified.moment() - trace.hq_modified.moment();
                (shift < TimeDelta::zero()).then_some((trace.hq_name.as_str(), shift))
            })
            .collect();
        // HQ's zone was moved west: its stamps are lower since.
        if !set_back.is_empty() && self.has_moved_zone().await? {
            return Ok(Older::Elsewhere);
        }
        let is_proof = set_back.len() > FEW;
        if is_proof && !self.has_confirmed_restore {
            let first = set_back.first().map(|(_, shift)| *shift);
            let is_one_shift = set_back.iter().all(|(_, shift)| Some(*shift) == first);
            return Err(Error::WentBack(Box::new(Setback {
                newest: newest.clone(),
                seen: seen.clone(),
                older: set_back.len(),
                asked: sample.len(),
                shift: first.filter(|_| is_one_shift),
                job: self.job.name.clone(),
            })));
        }
        Ok(Older::Shown(set_back.into_iter().map(|(name, _)| name.to_owned()).collect()))
    }
}
