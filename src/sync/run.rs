//! One run of one job: lease, run log, and what it came to.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::beginning::Beginning;
use super::frame::{Left, Open, Owed, Waiting};
use super::gone::Tombstones;
use super::poll::LISTING_SIZE;
use super::refused::Refused;
use super::round::Order;
use super::whole::CHILDREN_SIZE;
use super::{Engine, Error, Event, Mode, outline};
use crate::config::Job;
use crate::conflict::Conflict;
use crate::crash::{self, Point};
use crate::quarantine::Parked;
use crate::record::{Mark, Stamp};
use crate::run::{Counts, Run, Status};
use crate::source::{self, Meter, PageSize};
use crate::store::{self, Opened, Stream, Table};
use crate::watermark::{Progress, Zone};

/// A run that is going on.
#[derive(Debug)]
pub(super) struct Work<'e> {
    pub(super) engine: &'e Engine,
    pub(super) job: &'e Arc<Job>,
    /// Its number in the run log.
    pub(super) run: i64,
    pub(super) table: Arc<Table>,
    pub(super) meter: &'e Meter,
    pub(super) stop: &'e CancellationToken,
    pub(super) started: DateTime<Utc>,
    pub(super) has_confirmed_deletes: bool,
    /// The operator has said that HQ went back in time, and is to be taken as it is.
    pub(super) has_confirmed_restore: bool,
    /// All of HQ is compared with all of the outlet.
    pub(super) is_reconcile: bool,
    /// Where there is such a list, a poll leaves what is new to the ledger to the reconcile, as it may have been renamed.
    pub(super) left: Option<Vec<Mark>>,
    /// Records that were recognised as renamed.
    pub(super) renamed: u64,
    /// How far the job has come; what is saved with each page.
    pub(super) progress: Progress,
    /// How far it has come with its deletes; `None` before it has begun to watch them.
    pub(super) deletes: Option<Progress>,
    /// What the run's closing is to keep.
    pub(super) owed: Owed,
    pub(super) counts: Counts,
    /// The job's records in quarantine, with the stamps of the versions that were tried.
    pub(super) parked: HashMap<String, Stamp>,
    /// Records that this run has parked and that were not before.
    pub(super) newly_parked: u64,
    /// The job's conflicts that wait for an operator, by HQ name.
    pub(super) open: HashMap<String, Conflict>,
    /// Not everything has been read under the present mapping: the ledger may hold what one before took.
    pub(super) is_converting: bool,
    /// What a reconcile leaves out, as an operator gave it up in this version.
    pub(super) given_up: HashMap<String, Stamp>,
    /// Columns that were gone from the table, and are filled again meanwhile.
    pub(super) lost: Vec<usize>,
    /// The same, of records that wait alone.
    pub(super) lost_to_waiting: Vec<usize>,
    /// All mappings that the ledger may be of are known.
    pub(super) is_former_known: bool,
    /// A first load has found a row that was there before it.
    pub(super) has_met_rows: bool,
    /// HQ has been asked how many records there are.
    pub(super) is_counted: bool,
    /// Records may be noted as none of the job's.
    pub(super) has_absent: bool,
    /// The ledger may have an entry whose row has another key than the record's name.
    pub(super) has_own_keys: bool,
    /// Rows may be there that the database refused to let go in the runs before.
    pub(super) has_refused: bool,
    /// What it refused to let go in this one.
    pub(super) refused: Refused,
    /// Of the last page nothing had changed but the stamp, mostly.
    pub(super) is_restamping: bool,
    /// Decisions that the run has made.
    pub(super) decided: usize,
    /// Records asked for in one request, and written in one transaction.
    pub(super) page_size: PageSize,
    /// Names and stamps asked for in one request.
    pub(super) listing_size: PageSize,
    /// Parents whose child rows are asked for in one request.
    pub(super) children_size: PageSize,
    /// Records stamped ahead of HQ's clock that this run has met.
    pub(super) from_the_future: u64,
    /// The zone HQ stamps in.
    pub(super) zone: Zone,
}

impl Engine {
    pub(super) async fn run(
        &self,
        job: &Arc<Job>,
        order: &Order,
        waits_for: Option<String>,
        tombstones: Result<&Tombstones, &Arc<Error>>,
        meter: &Meter,
        stop: &CancellationToken,
    ) -> Result<(Run, bool), Error> {
        let started = self.clock.now();
        let opening = match waits_for {
            Some(other) => Err(Error::Waits(other)),
            None => self.open_run(job, order.trigger, started).await,
        };
        let mut run = Run {
            id: 0,
            job: job.name.clone(),
            trigger: order.trigger,
            started_at: started,
            ended_at: None,
            status: Status::Running,
            counts: Counts::default(),
            watermark_before: None,
            watermark_after: None,
            error: None,
            remedy: None,
        };
        let Open { held, opened } = match opening {
            Ok(open) => open,
            Err(error) => return Ok((self.not_opened(run, &error, meter).await?, false)),
        };
        run.id = opened.run;
        let seen = |progress: &Progress| progress.watermark.seen.as_ref().map(ToString::to_string);
        run.watermark_before = opened.records.as_ref().and_then(seen);
        self.tell(&Event::Started { job: job.name.clone(), run: run.id });

        let mut left = Left::default();
        let mut outcome = self.execute(job, order, tombstones, (meter, stop), opened, (&mut run, &mut left)).await;
        crash::point(Point::RunDone);
        run.watermark_after = match &left.reached {
            Some(progress) => seen(progress),
            None => self.seen(&job.name).await?,
        };
        self.end(&mut run, &outcome, left.waiting, meter);
        if let Some(lost) = self.close_run(&mut run, held, &left.owed).await? {
            outcome = Err(lost);
        }
        crash::point(Point::RunEnded);
        self.tell(&Event::Ended(run.clone(), outcome.as_ref().err().map(Error::concern)));
        // Deletes that wait for a word, or that the database refuses, leave the table as complete as those that follow
        // need it; they may even be what lets the deletes go through.
        let is_refused = |error: &Error| matches!(error, Error::Store { cause: store::Error::Refused { .. }, .. });
        let is_complete = match &outcome {
            Ok(()) | Err(Error::TooManyGone { .. } | Error::Hidden { .. }) => true,
            Err(error) => is_refused(error),
        };
        Ok((run, is_complete))
    }

    async fn execute(
        &self,
        job: &Arc<Job>,
        order: &Order,
        tombstones: Result<&Tombstones, &Arc<Error>>,
        (meter, stop): (&Meter, &CancellationToken),
        opened: Box<Opened>,
        (run, left): (&mut Run, &mut Left),
    ) -> Result<(), Error> {
        let tombstones = tombstones.map_err(|shared| Error::Shared(Arc::clone(shared)))?;
        let mut records = opened.records.clone().unwrap_or_default();
        let table = self.tables(job, &mut records).await?;
        let mut work = self.work(job, Arc::new(table), records, meter, stop);
        work.deletes.clone_from(&opened.deletes);
        work.run = run.id;
        work.has_confirmed_deletes = order.has_confirmed_deletes;
        work.has_confirmed_restore = matches!(order.mode, Mode::Reconcile { has_confirmed_restore: true, .. });
        work.is_reconcile = matches!(order.mode, Mode::Reconcile { .. });
        let outcome = match work.begin().await {
            Ok(waiting) => work.read(&order.mode, tombstones, &waiting).await.and_then(|()| work.all_let_go()),
            Err(error) => Err(error),
        };
        let outcome = match outcome {
            Ok(()) => work.has_refilled_all().await,
            // Of a child table nothing was ever read; where something was, it is a permission that is missing.
            Err(Error::Source { step, cause: refused @ source::Error::Forbidden { .. } })
                if work.progress.watermark.seen.is_none() =>
            {
                let cause = if self.is_child(job, meter).await {
                    self.hq.child_table(&job.doctype, meter).await
                } else {
                    refused
                };
                Err(Error::Source { step, cause })
            }
            outcome => outcome,
        };
        run.counts = work.counts;
        work.say_the_rest();
        left.waiting = work.waiting(&order.mode);
        left.reached.clone_from(&work.owed.records);
        left.owed = if work.counts == Counts::default() { work.owed.beyond(&opened) } else { work.owed };
        if self.said.is_news(&job.name, "future", work.from_the_future > 0) {
            tracing::warn!(
                job = job.name,
                records = work.from_the_future,
                hq_time_zone = %self.config.hq.time_zone,
                "records are stamped ahead of HQ's clock; they were applied, but do not move the watermark \
                 (is hq.time_zone right?)"
            );
        }
        outcome
    }
}

impl Engine {
    /// Whether HQ refuses the job because no list has it, and not for want of a permission.
    async fn is_child(&self, job: &Job, meter: &Meter) -> bool {
        self.hq.doctype(&job.doctype, meter).await.is_ok_and(|doctype| doctype.is_child)
    }

    /// Work on a job, before anything is known of what is parked and what waits.
    pub(super) fn work<'e>(
        &'e self,
        job: &'e Arc<Job>,
        table: Arc<Table>,
        progress: Progress,
        meter: &'e Meter,
        stop: &'e CancellationToken,
    ) -> Work<'e> {
        Work {
            engine: self,
            job,
            run: 0,
            table,
            meter,
            stop,
            started: self.clock.now(),
            has_confirmed_deletes: false,
            has_confirmed_restore: false,
            is_reconcile: false,
            left: None,
            renamed: 0,
            zone: progress.watermark.zone.unwrap_or_else(|| self.configured_zone()),
            progress,
            deletes: None,
            owed: Owed::default(),
            counts: Counts::default(),
            parked: HashMap::new(),
            newly_parked: 0,
            open: HashMap::new(),
            is_converting: false,
            lost: Vec::new(),
            lost_to_waiting: Vec::new(),
            given_up: HashMap::new(),
            is_former_known: true,
            has_met_rows: false,
            is_counted: false,
            is_restamping: false,
            has_absent: true,
            has_own_keys: true,
            has_refused: false,
            refused: Refused::default(),
            decided: 0,
            page_size: page_size(job),
            listing_size: PageSize::between(LISTING_SIZE.0, LISTING_SIZE.1),
            children_size: PageSize::between(1, CHILDREN_SIZE),
            from_the_future: 0,
        }
    }
}

/// The size that a job's pages start at. Each record brings its child rows along, so that fewer of them are taken at once.
fn page_size(job: &Job) -> PageSize {
    let size = PageSize::new(job.page_size as usize);
    if job.mapping.children().is_empty() { size } else { size.up_to(CHILDREN_SIZE) }
}

impl<'e> Work<'e> {
    async fn begin(&mut self) -> Result<Vec<Parked>, Error> {
        let outlook = self.engine.store.outlook(&self.job.name, &self.table).await;
        let outlook = outlook.map_err(Error::store("looking into the table"))?;
        (self.has_absent, self.has_own_keys) = (outlook.has_absent, outlook.has_own_keys);
        self.has_refused = outlook.has_refused;
        if outlook.is_hollow {
            self.notice_an_emptied_table().await?;
        }
        if outlook.has_conflicts {
            self.load_conflicts().await?;
        }
        self.recall(outlook.has_parked || outlook.has_conflicts).await?;
        if outlook.has_parked { self.load_parked().await } else { Ok(Vec::new()) }
    }

    async fn read(&mut self, mode: &Mode, tombstones: &Tombstones, parked: &[Parked]) -> Result<(), Error> {
        match mode {
            Mode::Names(names) => self.names(names).await,
            Mode::Since(stamp) => {
                self.learn_zone().await?;
                self.since(stamp).await
            }
            Mode::Parked(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                self.retry(&names).await
            }
            Mode::Full => {
                self.learn_zone().await?;
                let buried = self.bury(tombstones).await;
                let undecided = undecided(buried)?;
                self.retry_refused().await?;
                self.retry_due(parked).await?;
                self.reconsider().await?;
                let before = self.counts.fetched;
                Box::pin(self.pass(true, None)).await?;
                let shown = self.check_shown(self.counts.fetched - before).await?;
                self.poll_after_pass().await?;
                undecided.and(shown)
            }
            Mode::Reconcile { all_values, .. } => Box::pin(self.reconcile(*all_values, tombstones, parked)).await,
            Mode::Changes => {
                let beginning = self.learn().await?;
                self.ordinary(tombstones, parked, beginning).await?
            }
        }
    }

    /// What an ordinary run does; gives which deletes it leaves undecided.
    pub(super) async fn ordinary(
        &mut self,
        tombstones: &Tombstones,
        parked: &[Parked],
        beginning: Option<Box<Beginning<'e>>>,
    ) -> Result<Result<(), Error>, Error> {
        let buried = self.bury(tombstones).await;
        let undecided = undecided(buried)?;
        self.retry_refused().await?;
        self.retry_due(parked).await?;
        self.reconsider().await?;
        if self.is_loaded() {
            Box::pin(self.poll()).await?;
        } else {
            Box::pin(self.pass(false, beginning)).await?;
            self.poll_after_pass().await?;
        }
        Ok(undecided)
    }

    /// Whether everything has been read once, by the mapping in force.
    pub(super) fn is_loaded(&self) -> bool {
        self.progress.pass.is_none() && self.progress.mapping == Some(self.fingerprint())
    }

    /// With filters a pass is blind to what left them; a poll from where the last one settled is not.
    async fn poll_after_pass(&mut self) -> Result<(), Error> {
        if self.job.filters.is_empty() { Ok(()) } else { self.poll().await }
    }

    /// Changes whenever the job would fill its tables differently, or other tables.
    pub(super) fn fingerprint(&self) -> i64 {
        outline::fingerprint(self.job)
    }

    /// Has everything read again, as the table is empty and should not be.
    async fn notice_an_emptied_table(&mut self) -> Result<(), Error> {
        tracing::warn!(job = self.job.name, table = self.job.table, "the table is empty: everything is read again");
        // What a pass under way has read went with the rest. No mapping has this fingerprint, so that the next one repairs; and
        // what is not in the ledger was not removed here, whatever the conflict rule makes of that.
        self.progress.pass = None;
        self.progress.mapping = self.progress.mapping.map(|_| !self.fingerprint());
        let emptying = || Error::store("emptying the ledger");
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        tx.drop_all_entries(&self.job.name).await.map_err(emptying())?;
        let now = self.engine.clock.now();
        tx.save_progress(&self.job.name, Stream::Records, &self.progress, now).await.map_err(emptying())?;
        tx.commit().await.map_err(emptying())
    }

    /// What is left undone of that which was asked for: of records that were named for another try, those alone.
    fn waiting(&self, mode: &Mode) -> Waiting {
        match mode {
            Mode::Parked(names) => {
                let count = |is_left: &dyn Fn(&str) -> bool| names.iter().filter(|name| is_left(name)).count();
                let parked = count(&|name| self.parked.contains_key(name));
                Waiting { parked, open: count(&|name| self.open.contains_key(name)) }
            }
            Mode::Changes | Mode::Full | Mode::Since(_) | Mode::Names(_) | Mode::Reconcile { .. } => {
                Waiting { parked: self.parked.len(), open: self.open.len() }
            }
        }
    }

    /// Ends the run between two pages when milkrun is told to stop.
    pub(super) fn go_on(&self) -> Result<(), Error> {
        if self.stop.is_cancelled() { Err(Error::Stopped) } else { Ok(()) }
    }
}

/// Deletes that wait for the operator's word keep no record from coming; the run says so at its end.
fn undecided(buried: Result<(), Error>) -> Result<Result<(), Error>, Error> {
    match buried {
        Err(waits @ Error::TooManyGone { .. }) => Ok(Err(waits)),
        buried => buried.map(Ok),
    }
}

/// Waits for HQ, but not once milkrun is told to stop. Not for a transaction: that is finished or rolled back.
pub(super) async fn unless_stopped<T>(
    stop: &CancellationToken,
    asking: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Error::Stopped),
        answer = asking => answer,
    }
}
