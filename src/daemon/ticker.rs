//! The ticking: tokio-cron-scheduler looks twice a second and says which jobs are due. *When* they are due is ours.
//!
//! The crate freezes the zone's offset when a job is made, and parses patterns by an older croner (its issues 87 and
//! 107), so it is given a storage that answers from our [`Timetable`]: a job is listed when it is due, and at once planned
//! anew, so that it fires once however slow the crate's tasks are. The crate keeps no jobs apart and waits for none
//! (issue 83): all that its closures do is to send the job's position.

use std::future::{Future, ready};
use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_cron_scheduler::job::job_data::{JobAndNextTick, JobStoredData, JobType, Uuid as JobUuid};
use tokio_cron_scheduler::job::{JobBuilder, JobToRunAsync};
use tokio_cron_scheduler::store::{DataStore, InitStore};
use tokio_cron_scheduler::{
    JobScheduler, JobSchedulerError, MetaDataStorage, SimpleJobCode, SimpleMetadataStore, SimpleNotificationCode,
    SimpleNotificationStore,
};
use uuid::Uuid;

use super::schedule::{Schedule, Timetable};
use crate::clock::Clock;

/// What each job is registered with: the crate wants a pattern, and never gets to use it.
const UNUSED_PATTERN: &str = "* * * * * *";

/// Messages that a tick sends for each job; a channel of the crate that overflows loses ticks.
const MESSAGES_PER_JOB: usize = 8;

/// The ticking of one process. It is made once: dropping it leaves the crate's tasks behind.
pub(super) struct Ticker {
    scheduler: JobScheduler,
}

impl Ticker {
    /// Starts to send the positions of the jobs that come due from now on.
    pub(super) async fn start(
        schedules: Vec<Schedule>,
        clock: Clock,
    ) -> Result<(Self, UnboundedReceiver<usize>), JobSchedulerError> {
        let count = schedules.len();
        let plan = Plan { table: Timetable::new(schedules, clock.now()), clock, known: SimpleMetadataStore::default() };
        let mut scheduler = JobScheduler::new_with_storage_and_code(
            Box::new(plan),
            Box::new(SimpleNotificationStore::default()),
            Box::new(SimpleJobCode::default()),
            Box::new(SimpleNotificationCode::default()),
            count.saturating_mul(MESSAGES_PER_JOB).max(64),
        )
        .await?;
        scheduler.init().await?;
        let (tick, ticks) = unbounded_channel();
        // One after another: of many at once, the crate loses most.
        for job in 0..count {
            let entry = JobBuilder::new()
                .with_job_id(id(job))
                .with_cron_job_type()
                .with_schedule(UNUSED_PATTERN)?
                .with_run_async(sending(job, tick.clone()))
                .build()?;
            scheduler.add(entry).await?;
        }
        scheduler.start().await?;
        Ok((Self { scheduler }, ticks))
    }

    /// Ends the ticking; one tick more may come.
    pub(super) async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!(%error, "the scheduler did not take the word to stop");
        }
    }
}

fn sending(job: usize, tick: UnboundedSender<usize>) -> Box<JobToRunAsync> {
    Box::new(move |_, _| {
        if tick.send(job).is_err() {
            tracing::debug!(job, "a tick came after the daemon had stopped");
        }
        Box::pin(ready(()))
    })
}

/// A job's position as the crate wants to have it. Its type for ids takes no nil.
fn id(job: usize) -> JobUuid {
    JobUuid { id1: 0, id2: u64::try_from(job).unwrap_or(u64::MAX).saturating_add(1) }
}

/// The crate's storage: our timetable by our clock; beside it the crate's own entries, which it wants to find again.
struct Plan {
    table: Timetable,
    clock: Clock,
    known: SimpleMetadataStore,
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, JobSchedulerError>> + Send>>;

impl MetaDataStorage for Plan {
    fn list_next_ticks(&mut self) -> Answer<Vec<JobAndNextTick>> {
        let due = self.table.take_due(self.clock.now());
        // Due at any time, by whatever clock: the crate compares with its own.
        let listed =
            |job| JobAndNextTick { id: Some(id(job)), job_type: JobType::Cron.into(), next_tick: 1, last_tick: None };
        Box::pin(ready(Ok(due.into_iter().map(listed).collect())))
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
        let (ticker, mut ticks) = Ticker::start(schedules, clock.clone()).await.unwrap();
        let end = Instant::now() + stretch;
        let mut seen = Vec::new();
        while let Ok(Some(job)) = timeout(end - Instant::now(), ticks.recv()).await {
            seen.push(format!("{} {job}", clock.now().format("%H:%M")));
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
