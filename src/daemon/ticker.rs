//! The ticking: tokio-cron-scheduler looks twice a second and says which jobs are due. *When* they are due is ours.
//!
//! The crate freezes the zone's offset when a job is made, and parses patterns by an older croner (its issues 87 and
//! 107), so it is given a storage that answers from our [`Timetable`]: a job is listed when it is due, and at once planned
//! anew, so that it fires once however slow the crate's tasks are. The crate keeps no jobs apart and waits for none
//! (issue 83): all that its closures do is to send the job's position. What failed is tried again by the same looking.
//!
//! As the wall clock is read each time, a machine that slept or a clock that was set is noticed half a second later.

use std::collections::BTreeSet;
use std::future::{Future, ready};
use std::pin::Pin;
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
use super::retries::Shared;
use super::schedule::{Schedule, Timetable};
use crate::clock::Clock;
use crate::run::Trigger;

/// What each job is registered with: the crate wants a pattern, and never gets to use it.
const UNUSED_PATTERN: &str = "* * * * * *";

/// Messages that a tick sends for each job; a channel of the crate that overflows loses ticks.
const MESSAGES_PER_JOB: usize = 8;

/// The ticking of one process. It is made once: dropping it leaves the crate's tasks behind.
pub(super) struct Ticker {
    scheduler: JobScheduler,
}

impl Ticker {
    /// Starts to put the jobs that come due from now on into `due`, each with its trigger.
    pub(super) async fn start(
        schedules: Vec<Schedule>,
        reconciles: Vec<Option<Schedule>>,
        retries: Shared,
        clock: Clock,
        pulse: Pulse,
        due: &Inbox<BTreeSet<Due>>,
    ) -> Result<Self, JobSchedulerError> {
        let count = schedules.len();
        let table = Timetable::new(schedules, clock.now());
        let (reconciled, reconciles) =
            reconciles.into_iter().enumerate().filter_map(|(job, schedule)| Some((job, schedule?))).unzip();
        let reconciles = Timetable::new(reconciles, clock.now());
        let known = SimpleMetadataStore::default();
        let plan = Plan { table, reconciles, reconciled, retries, clock, pulse, known };
        let mut scheduler = JobScheduler::new_with_storage_and_code(
            Box::new(plan),
            Box::new(SimpleNotificationStore::default()),
            Box::new(SimpleJobCode::default()),
            Box::new(SimpleNotificationCode::default()),
            count.saturating_mul(Due::ALL.len() * MESSAGES_PER_JOB).max(64),
        )
        .await?;
        scheduler.init().await?;
        // One after another: of many at once, the crate loses most.
        for (job, why) in (0..count).flat_map(|job| Due::ALL.map(|why| (job, why))) {
            let entry = JobBuilder::new()
                .with_job_id(id(job, why))
                .with_cron_job_type()
                .with_schedule(UNUSED_PATTERN)?
                .with_run_async(sending(job, why, due.clone()))
                .build()?;
            scheduler.add(entry).await?;
        }
        scheduler.start().await?;
        Ok(Self { scheduler })
    }

    /// Ends the ticking; one tick more may come.
    pub(super) async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!(%error, "the scheduler did not take the word to stop");
        }
    }
}

/// Why a job is due; a tick outranks a try. A reconcile is waited for beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// It failed, and is tried again.
    Retry,
    /// Its schedule says so.
    Tick,
    /// It is to be compared with all of HQ.
    Reconcile,
}

impl Due {
    const ALL: [Self; 3] = [Self::Retry, Self::Tick, Self::Reconcile];

    /// What the run log says of it.
    pub(super) fn trigger(self) -> Trigger {
        match self {
            Self::Retry => Trigger::Retry,
            Self::Tick => Trigger::Schedule,
            Self::Reconcile => Trigger::Reconcile,
        }
    }
}

fn sending(job: usize, why: Due, due: Inbox<BTreeSet<Due>>) -> Box<JobToRunAsync> {
    Box::new(move |_, _| {
        due.add(job, why);
        Box::pin(ready(()))
    })
}

/// A job's position, and why it is due, as the crate wants to have it. Its type for ids takes no nil.
fn id(job: usize, why: Due) -> JobUuid {
    JobUuid { id1: why as u64, id2: u64::try_from(job).unwrap_or(u64::MAX).saturating_add(1) }
}

/// The crate's storage: our timetable by our clock; beside it the crate's own entries, which it wants to find again.
struct Plan {
    table: Timetable,
    reconciles: Timetable,
    /// The jobs that `reconciles` is about.
    reconciled: Vec<usize>,
    retries: Shared,
    clock: Clock,
    pulse: Pulse,
    known: SimpleMetadataStore,
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, JobSchedulerError>> + Send>>;

impl MetaDataStorage for Plan {
    fn list_next_ticks(&mut self) -> Answer<Vec<JobAndNextTick>> {
        self.pulse.looked();
        let now = self.clock.now();
        let ticks = self.table.take_due(now).into_iter().map(|job| (job, Due::Tick));
        let reconciles = self.reconciles.take_due(now);
        let reconciles = reconciles.into_iter().filter_map(|at| Some((*self.reconciled.get(at)?, Due::Reconcile)));
        let reconciles: Vec<_> = reconciles.collect();
        let tries = self.retries.with(|retries| retries.take_due(now)).into_iter().map(|job| (job, Due::Retry));
        // Due at any time, by whatever clock: the crate compares with its own.
        let listed = |(job, why)| JobAndNextTick {
            id: Some(id(job, why)),
            job_type: JobType::Cron.into(),
            next_tick: 1,
            last_tick: None,
        };
        Box::pin(ready(Ok(ticks.chain(reconciles).chain(tries).map(listed).collect())))
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
        let ticker =
            Ticker::start(schedules, Vec::new(), retries, clock.clone(), Pulse::default(), &due).await.unwrap();
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
}
