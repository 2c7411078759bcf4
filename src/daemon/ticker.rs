//! The ticking: tokio-cron-scheduler looks twice a second and says which jobs are due. *When* they are due is ours.
//!
//! The crate freezes the zone's offset when a job is made, and parses patterns by an older croner (its issues 87 and
//! 107), so it is given a storage that answers from our [`Timetable`]: what is due is noted, and at once planned anew. The
//! crate keeps no jobs apart and waits for none (issue 83), loses ticks of many jobs at once, and leaves its tasks behind
//! when it is dropped. So it knows of one entry alone, whichever and however many jobs there are, and all that its closure
//! does is to hand on what was noted. What failed is tried again by the same looking.
//!
//! As the wall clock is read each time, a machine that slept or a clock that was set is noticed half a second later.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_cron_scheduler::job::job_data::{JobAndNextTick, JobStoredData, JobType, Uuid as JobUuid};
use tokio_cron_scheduler::job::{JobBuilder, JobToRunAsync};
use tokio_cron_scheduler::store::{DataStore, InitStore};
use tokio_cron_scheduler::{
    JobScheduler, JobSchedulerError, MetaDataStorage, SimpleJobCode, SimpleMetadataStore, SimpleNotificationCode,
    SimpleNotificationStore,
};
use uuid::Uuid;

use super::inbox::Inbox;
use super::pulse::Pulse;
use super::retries::{Retries, Shared};
use super::schedule::{Schedule, Timetable};
use crate::clock::Clock;
use crate::run::Trigger;

/// What the entry is registered with: the crate wants a pattern, and never gets to use it.
const UNUSED_PATTERN: &str = "* * * * * *";

/// Messages of the crate that wait; one tick of its one entry is a few.
const MESSAGES: usize = 64;

/// The crate's entry; its type for ids takes no nil.
const ENTRY: JobUuid = JobUuid { id1: 1, id2: 1 };

/// The ticking of one process. It is made once: dropping it leaves the crate's tasks behind.
pub(super) struct Ticker {
    scheduler: JobScheduler,
    tables: Tables,
    due: Inbox<BTreeSet<Due>>,
    clock: Clock,
}

/// When jobs are due, by position.
#[derive(Debug, Default, Clone)]
pub(super) struct Times {
    /// When each job runs.
    pub(super) schedules: Vec<Schedule>,
    /// When each job is compared with all of HQ, if ever.
    pub(super) reconciles: Vec<Option<Schedule>>,
}

impl Ticker {
    /// Starts to put the jobs that come due from now on into `due`, each with its reason.
    pub(super) async fn start(
        times: Times,
        retries: Shared,
        clock: Clock,
        pulse: Pulse,
        due: &Inbox<BTreeSet<Due>>,
    ) -> Result<Self, JobSchedulerError> {
        let tables = Tables(Arc::new(Mutex::new(Table::new(times, clock.now()))));
        let known = SimpleMetadataStore::default();
        let plan = Plan { tables: tables.clone(), retries, clock: clock.clone(), pulse, known };
        let mut scheduler = JobScheduler::new_with_storage_and_code(
            Box::new(plan),
            Box::new(SimpleNotificationStore::default()),
            Box::new(SimpleJobCode::default()),
            Box::new(SimpleNotificationCode::default()),
            MESSAGES,
        )
        .await?;
        scheduler.init().await?;
        let entry = JobBuilder::new()
            .with_job_id(ENTRY)
            .with_cron_job_type()
            .with_schedule(UNUSED_PATTERN)?
            .with_run_async(handing_on(tables.clone(), due.clone()))
            .build()?;
        scheduler.add(entry).await?;
        scheduler.start().await?;
        Ok(Self { scheduler, tables, due: due.clone(), clock })
    }

    /// Goes by other times from now on, and by other tries, which are made of those before; gives all that has come due
    /// until now, by the positions of before.
    pub(super) fn turn(
        &self,
        times: Times,
        retries: &Shared,
        succeeding: impl FnOnce(&Retries) -> Retries,
    ) -> BTreeMap<usize, BTreeSet<Due>> {
        let mut table = self.tables.lock();
        let now = self.clock.now();
        table.look(now, retries);
        let mut due = self.due.take();
        for (job, why) in std::mem::take(&mut table.noted) {
            due.entry(job).or_default().insert(why);
        }
        *table = Table::new(times, now);
        retries.with(|retries| *retries = succeeding(retries));
        due
    }

    /// Ends the ticking; one tick more may come.
    pub(super) async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!(%error, "the scheduler did not take the word to stop");
        }
    }
}

/// Why a job is due; of two reasons the greater is told. A reconcile is waited for beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// It failed, and is tried again.
    Retry,
    /// Its schedule says so.
    Tick,
    /// The daemon has started, or has another configuration, by which the job is to run at once.
    Start,
    /// It is to be compared with all of HQ.
    Reconcile,
}

impl Due {
    /// What the run log says of it.
    pub(super) fn trigger(self) -> Trigger {
        match self {
            Self::Retry => Trigger::Retry,
            Self::Tick => Trigger::Schedule,
            Self::Start => Trigger::Start,
            Self::Reconcile => Trigger::Reconcile,
        }
    }
}

/// What is due is handed on under the lock, so that no position outlives the configuration it is of.
fn handing_on(tables: Tables, due: Inbox<BTreeSet<Due>>) -> Box<JobToRunAsync> {
    Box::new(move |_, _| {
        let mut table = tables.lock();
        for (job, why) in std::mem::take(&mut table.noted) {
            due.add(job, why);
        }
        Box::pin(ready(()))
    })
}

#[derive(Debug, Clone)]
struct Tables(Arc<Mutex<Table>>);

impl Tables {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The times in force, and what has come due by them and was not handed on yet.
#[derive(Debug)]
struct Table {
    ticks: Timetable,
    reconciles: Timetable,
    /// The jobs that `reconciles` is about.
    reconciled: Vec<usize>,
    noted: BTreeSet<(usize, Due)>,
}

impl Table {
    fn new(times: Times, now: DateTime<Utc>) -> Self {
        let reconciles = times.reconciles.into_iter().enumerate();
        let (reconciled, reconciles) = reconciles.filter_map(|(job, schedule)| Some((job, schedule?))).unzip();
        Self {
            ticks: Timetable::new(times.schedules, now),
            reconciles: Timetable::new(reconciles, now),
            reconciled,
            noted: BTreeSet::new(),
        }
    }

    /// Notes what is due now.
    fn look(&mut self, now: DateTime<Utc>, retries: &Shared) {
        let ticks = self.ticks.take_due(now).into_iter().map(|job| (job, Due::Tick));
        self.noted.extend(ticks);
        let reconciles = self.reconciles.take_due(now);
        let reconciles = reconciles.into_iter().filter_map(|at| Some((*self.reconciled.get(at)?, Due::Reconcile)));
        self.noted.extend(reconciles);
        let tries = retries.with(|retries| retries.take_due(now));
        self.noted.extend(tries.into_iter().map(|job| (job, Due::Retry)));
    }
}

/// The crate's storage: our timetable by our clock; beside it the crate's own entry, which it wants to find again.
struct Plan {
    tables: Tables,
    retries: Shared,
    clock: Clock,
    pulse: Pulse,
    known: SimpleMetadataStore,
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, JobSchedulerError>> + Send>>;

impl MetaDataStorage for Plan {
    fn list_next_ticks(&mut self) -> Answer<Vec<JobAndNextTick>> {
        self.pulse.looked();
        let mut table = self.tables.lock();
        table.look(self.clock.now(), &self.retries);
        // Due at any time, by whatever clock: the crate compares with its own.
        let entry = JobAndNextTick { id: Some(ENTRY), job_type: JobType::Cron.into(), next_tick: 1, last_tick: None };
        let listed = if table.noted.is_empty() { Vec::new() } else { vec![entry] };
        Box::pin(ready(Ok(listed)))
    }

    fn set_next_and_last_tick(
        &mut self,
        _job: Uuid,
        _next: Option<DateTime<Utc>>,
        _last: Option<DateTime<Utc>>,
    ) -> Answer<()> {
        Box::pin(ready(Ok(())))
    }

    fn time_till_next_job(&mut self) -> Answer<Option<Duration>> {
        Box::pin(ready(Ok(None)))
    }
}

impl DataStore<JobStoredData> for Plan {
    fn get(&mut self, id: Uuid) -> Answer<Option<JobStoredData>> {
        self.known.get(id)
    }

    fn add_or_update(&mut self, entry: JobStoredData) -> Answer<()> {
        self.known.add_or_update(entry)
    }

    fn delete(&mut self, id: Uuid) -> Answer<()> {
        self.known.delete(id)
    }
}

impl InitStore for Plan {
    fn init(&mut self) -> Answer<()> {
        self.known.init()
    }

    fn inited(&mut self) -> Answer<bool> {
        self.known.inited()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use chrono_tz::Europe::Berlin;
    use tokio::time::{Instant, timeout};

    use super::super::retries::tests::retries;
    use super::super::schedule::tests::{at, cron};
    use super::*;

    /// A clock that goes as tokio's, which a test may have paused.
    pub(crate) fn clock_from(moment: &str) -> Clock {
        let (base, started) = (at(moment), Instant::now());
        Clock::from_fn(move || base + started.elapsed())
    }

    fn berlin(pattern: &str) -> Schedule {
        Schedule::new(cron(pattern), Berlin, Duration::ZERO)
    }

    /// The ticks of a stretch of time, as `hh:mm job`.
    async fn ticks(schedules: Vec<Schedule>, from: &str, stretch: Duration) -> Vec<String> {
        let clock = clock_from(from);
        let (due, retries) = (Inbox::default(), Shared::new(retries("outlet-042", &[])));
        let times = Times { schedules, reconciles: Vec::new() };
        let ticker = Ticker::start(times, retries, clock.clone(), Pulse::default(), &due).await.unwrap();
        let end = Instant::now() + stretch;
        let mut seen = Vec::new();
        while let Ok(jobs) = timeout(end - Instant::now(), due.wait()).await {
            seen.extend(jobs.keys().map(|job| format!("{} {job}", clock.now().format("%H:%M"))));
        }
        ticker.stop().await;
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_ticks_through_the_repeated_hour_and_a_fixed_time_once() {
        let jobs = vec![berlin("0 */30 * * * *"), berlin("0 15 2 * * *")];
        let mut seen = ticks(jobs, "2026-10-25T00:10:00Z", Duration::from_secs(2 * 3600)).await;
        seen.sort();
        assert_eq!(seen, ["00:15 1", "00:30 0", "01:00 0", "01:30 0", "02:00 0"]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_of_many_jobs_ticks_once_a_minute() {
        let jobs = vec![berlin("0 * * * * *"); 300];
        let mut seen = ticks(jobs, "2027-01-01T00:00:30Z", Duration::from_secs(60)).await;
        assert_eq!(seen.len(), 300);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 300);
    }

    #[tokio::test(start_paused = true)]
    async fn other_times_lose_no_tick_of_the_ones_before() {
        let clock = clock_from("2027-01-01T00:00:00Z");
        let (due, tries) = (Inbox::default(), Shared::new(retries("outlet-042", &[])));
        let every = |pattern: &str| Times { schedules: vec![berlin(pattern)], reconciles: Vec::new() };
        let ticker = Ticker::start(every("0 * * * * *"), tries.clone(), clock.clone(), Pulse::default(), &due)
            .await
            .unwrap();
        let mut seen = 0;
        for turn in 0..120 {
            // Mostly between two looks of the crate, now and then in the very second of a tick.
            tokio::time::sleep(Duration::from_millis(7_310)).await;
            let pattern = if turn % 2 == 0 { "0 * * * * *" } else { "0 */1 * * * *" };
            let took = ticker.turn(every(pattern), &tries, Clone::clone);
            seen += took.values().map(BTreeSet::len).sum::<usize>();
        }
        let minutes = (clock.now() - at("2027-01-01T00:00:00Z")).num_minutes();
        assert_eq!(i64::try_from(seen).unwrap(), minutes);
        ticker.stop().await;
    }
}
