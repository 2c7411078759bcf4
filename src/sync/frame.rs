//! The frame of a run: what opens it before it works, and what closes it, however it went.
//!
//! Each is one transaction, so that a death in between leaves a lease that was not given back wherever it leaves a run that
//! the log has as going on. What a run without news has to keep waits for the closing.

use chrono::{DateTime, Utc};

use super::lease::{Held, TERM, Wait};
use super::{Engine, Error, Event};
use crate::config::Job;
use crate::crash::{self, Point};
use crate::retry::Teller;
use crate::run::{Counts, Run, Status, Trigger};
use crate::source::Meter;
use crate::store::{self, Opened, Opening, Start, Stream};
use crate::watermark::Progress;

/// A run that is open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) held: Held,
    pub(super) opened: Box<Opened>,
}

/// What is true and not yet kept.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// Of the job's records.
    pub(super) records: Option<Progress>,
    /// Of the job's deletes.
    pub(super) deletes: Option<Progress>,
}

/// What a run leaves to its closing.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) waiting: Waiting,
    /// What is still to be kept.
    pub(super) owed: Owed,
    /// How far the job has come with it, where the database does not say so yet.
    pub(super) reached: Option<Progress>,
}

/// The status of a run that ended early, what is to be said of it, and what an operator can do.
fn failed(error: &Error, teller: Teller) -> (Status, Option<String>, Option<String>) {
    (error.status(), Some(error.chain()), Some(error.remedy(teller)))
}

/// Records that a run which came to its end leaves undone.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Waiting {
    /// In quarantine.
    pub(super) parked: usize,
    /// Waiting for an operator's decision.
    pub(super) open: usize,
}

impl Waiting {
    /// The status of the run, what is to be said of it, and what an operator can do.
    fn told(self, job: &str, teller: Teller) -> (Status, Option<String>, Option<String>) {
        let records = |count: usize| if count == 1 { "record is" } else { "records are" };
        let they = |count: usize| if count == 1 { "it" } else { "they" };
        let them = |count: usize| if count == 1 { "it" } else { "them" };
        let parked = (self.parked > 0).then(|| {
            let (is, they, them) = (records(self.parked), they(self.parked), them(self.parked));
            (
                format!("{} {is} in quarantine", self.parked),
                match teller {
                    Teller::Daemon => {
                        format!("see `milkrun quarantine list {job}`; {they} will be tried again without being told to")
                    }
                    Teller::Command => format!(
                        "see `milkrun quarantine list {job}`; runs after this one try {them} again when the time has come"
                    ),
                },
            )
        });
        let open = (self.open > 0).then(|| {
            let wait = if self.open == 1 { "record waits" } else { "records wait" };
            (
                format!("{} {wait} for a decision between HQ's version and the one here", self.open),
                format!("see `milkrun conflicts list {job}`, then `milkrun conflicts resolve ID --take hq|local`"),
            )
        });
        let status = match (&parked, &open) {
            (None, None) => return (Status::Ok, None, None),
            (Some(_), None) => Status::Quarantine,
            (_, Some(_)) => Status::Conflict,
        };
        let (what, remedy): (Vec<String>, Vec<String>) = parked.into_iter().chain(open).unzip();
        (status, Some(format!("{}; all others are done", what.join(", "))), Some(remedy.join("; ")))
    }
}

impl Owed {
    /// What of it is worth a write, where nothing else was written since `opened`.
    pub(super) fn beyond(self, opened: &Opened) -> Self {
        let says_more =
            |owed: &Progress, kept: &Option<Progress>| kept.as_ref().is_none_or(|kept| owed.says_more_than(kept));
        Self {
            records: self.records.filter(|owed| says_more(owed, &opened.records)),
            deletes: self.deletes.filter(|owed| says_more(owed, &opened.deletes)),
        }
    }

    fn all(&self) -> Vec<(Stream, &Progress)> {
        let records = self.records.iter().map(|progress| (Stream::Records, progress));
        records.chain(self.deletes.iter().map(|progress| (Stream::Deletes, progress))).collect()
    }
}

impl Engine {
    /// Takes the job's lease, waiting a while for whoever has it, and logs that a run starts. In a dry run neither.
    pub(super) async fn open_run(&self, job: &Job, trigger: Trigger, started: DateTime<Utc>) -> Result<Open, Error> {
        if self.store.is_dry_run() {
            return self.open_dry_run_of(job).await;
        }
        let opening = || Error::store("taking the job's lease");
        let (mut wait, mut is_cleared) = (Wait::new(), false);
        let opened = loop {
            let now = self.clock.now();
            let start =
                Start { job: &job.name, trigger, started, holder: self.holder.text(), now, ttl: TERM, is_cleared };
            match self.store.open_run(&start).await.map_err(opening())? {
                Opening::Open(opened) => break opened,
                Opening::Left => {
                    let held = self.held(&job.name);
                    self.clear_up(held, now).await?;
                    is_cleared = true;
                }
                Opening::Kept => {
                    let held = self.held(&job.name);
                    self.close_our_own(held, now).await?;
                    is_cleared = true;
                }
                Opening::Busy { holder, until } => self.stand_by(&job.name, &mut wait, (&holder, until), now).await?,
            }
        };
        self.holder.note_open(&job.name, true);
        crash::point(Point::RunLogged);
        Ok(Open { held: self.held(&job.name), opened })
    }

    async fn open_dry_run_of(&self, job: &Job) -> Result<Open, Error> {
        let held = self.take_lease(&job.name).await?;
        let reading = || Error::store("reading the watermark");
        let records = self.store.progress(&job.name, Stream::Records).await.map_err(reading())?;
        let deletes = self.store.progress(&job.name, Stream::Deletes).await.map_err(reading())?;
        Ok(Open { held, opened: Box::new(Opened { run: 0, records, deletes }) })
    }

    /// Keeps what is owed, logs how the run went, and gives the lease back. A lease that was lost is the run's failure where
    /// there was something to keep.
    pub(super) async fn close_run(&self, run: &mut Run, held: Held, owed: &Owed) -> Result<Option<Error>, Error> {
        // From here on it is not renewed; its term is longer than this takes.
        drop(held);
        let kept = owed.all();
        match self.store.close_run(self.holder.text(), run, &kept, self.clock.now()).await {
            Ok(()) => {
                self.holder.note_open(&run.job, false);
                Ok(None)
            }
            Err(lost @ store::Error::Lost { .. }) => {
                let lost = (!kept.is_empty()).then(|| Error::store("saving the watermark")(lost));
                if let Some(error) = &lost {
                    (run.status, run.error, run.remedy) = failed(error, self.teller);
                    run.watermark_after = self.seen(&run.job).await?;
                }
                self.store.finish_run(run).await.map_err(Error::store("writing the run log"))?;
                Ok(lost)
            }
            Err(cause) => Err(Error::store("writing the run log")(cause)),
        }
    }

    /// Logs a run that could not begin.
    pub(super) async fn not_opened(&self, mut run: Run, error: &Error, meter: &Meter) -> Result<Run, Error> {
        run.watermark_before = self.seen(&run.job).await?;
        run.watermark_after.clone_from(&run.watermark_before);
        self.end(&mut run, &Err(error), Waiting::default(), meter);
        let made_way = matches!(error, Error::Busy { .. });
        self.store.log_run(&mut run, made_way).await.map_err(Error::store("writing the run log"))?;
        self.tell(&Event::Started { job: run.job.clone(), run: run.id });
        self.tell(&Event::Ended(run.clone(), Some(error.concern())));
        Ok(run)
    }

    /// Notes in the run what it came to, and what it cost.
    pub(super) fn end<E: std::borrow::Borrow<Error>>(
        &self,
        run: &mut Run,
        outcome: &Result<(), E>,
        waiting: Waiting,
        meter: &Meter,
    ) {
        let (requests, bytes, retries) = meter.take();
        run.counts.add(&Counts { requests, bytes, retries, ..Counts::default() });
        run.ended_at = Some(self.clock.now());
        (run.status, run.error, run.remedy) = match outcome {
            Ok(()) => waiting.told(&run.job, self.teller),
            Err(error) => failed(error.borrow(), self.teller),
        };
    }

    /// The highest mark that was applied, as it is kept.
    pub(super) async fn seen(&self, job: &str) -> Result<Option<String>, Error> {
        let kept = self.store.progress(job, Stream::Records).await.map_err(Error::store("reading the watermark"))?;
        Ok(kept.and_then(|progress| progress.watermark.seen).map(|seen| seen.to_string()))
    }
}
