//! The daemon's life: catch up, keep the schedule, and come to an end; and its status page, which lives a little longer.
//!
//! It knows of the engine only that a round can be run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::inbox::Inbox;
use super::pulse::Pulse;
use super::retries::{Retries, Shared};
use super::rounds::{self, End, Lines, Outcome};
use super::schedule::Schedule;
use super::snapshot::{JobSnapshot, Snapshot};
use super::status::{self, Totals};
use super::ticker::{Due, Ticker};
use crate::clock::Clock;
use crate::run::Trigger;

/// How long the status page may take to finish its last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The status page, where one is asked for.
pub(super) struct Page(Option<JoinHandle<()>>);

impl Page {
    /// Takes the address and answers until told to stop.
    pub(super) async fn open(
        listen: Option<SocketAddr>,
        read: status::Read,
        totals: Arc<Totals>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let Some(address) = listen else { return Ok(Self(None)) };
        let listener = status::listen(address).await?;
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "the status page is there");
        }
        Ok(Self(Some(tokio::spawn(status::serve(listener, read, totals, stop.clone())))))
    }

    /// Lets it finish what is being asked.
    pub(super) async fn close(self) {
        let Some(page) = self.0 else { return };
        let stopping = page.abort_handle();
        if timeout(LAST_ANSWERS, page).await.is_err() {
            stopping.abort();
        }
    }
}

/// What the daemon keeps going. Jobs are meant by their position in the configuration.
pub(super) struct Outlet<Round> {
    /// When each job runs.
    pub(super) schedules: Vec<Schedule>,
    /// When each job is compared with all of HQ, if ever.
    pub(super) reconciles: Vec<Option<Schedule>>,
    /// What is to be tried again before that.
    pub(super) retries: Retries,
    /// How the jobs stand at the start.
    pub(super) snapshot: Snapshot,
    /// Runs the jobs, one round.
    pub(super) round: Round,
    /// Jobs whose run has ended.
    pub(super) ended: Inbox<End>,
    /// The outlet's clock.
    pub(super) clock: Clock,
    /// Where it gives signs of life.
    pub(super) pulse: Pulse,
}

impl<Round> Outlet<Round> {
    /// Keeps it going until told to stop.
    pub(super) async fn keep<Running>(self, stop: &CancellationToken) -> anyhow::Result<()>
    where
        Round: Fn(Vec<usize>, Trigger) -> Running,
        Running: Future<Output = Outcome> + Send + 'static,
    {
        let Self { schedules, reconciles, retries, snapshot, round, ended, clock, pulse } = self;
        let missed = missed(&schedules, &snapshot);
        let (due, retries) = (Inbox::default(), Shared::new(retries));
        for job in missed_reconciles(&reconciles, &snapshot) {
            due.add(job, Due::Reconcile);
        }
        let ticking = Ticker::start(schedules, reconciles, retries.clone(), clock.clone(), pulse.clone(), &due).await;
        let ticker = ticking.context("starting the scheduler")?;
        tracing::info!(site = snapshot.site, jobs = snapshot.jobs.len(), missed = missed.len(), "daemon started");
        let cut_off = rounds::run(Lines { due, ended, retries, clock, pulse }, missed, round, stop).await;
        ticker.stop().await;
        if cut_off > 0 {
            tracing::warn!(rounds = cut_off, "daemon stopped; rounds that took too long to end were cut off");
        } else {
            tracing::info!("daemon stopped");
        }
        Ok(())
    }
}

/// The jobs that should have run while no daemon did.
fn missed(schedules: &[Schedule], snapshot: &Snapshot) -> Vec<usize> {
    let jobs = schedules.iter().zip(&snapshot.jobs).enumerate();
    jobs.filter(|(_, (schedule, job))| schedule.was_missed(job.last_ok, snapshot.now))
        .map(|(at, _)| at)
        .collect()
}

/// The jobs that should have been reconciled while no daemon ran: a shop's machine may be off each night. One that never
/// was has that to come since its last good run.
fn missed_reconciles(reconciles: &[Option<Schedule>], snapshot: &Snapshot) -> Vec<usize> {
    let is_missed = |(schedule, job): (&Option<Schedule>, &JobSnapshot)| {
        let last = job.reconciled.as_ref().map(|reconciled| reconciled.checked_at).or(job.last_ok);
        let missed = schedule.as_ref().zip(last).map(|(schedule, last)| schedule.was_missed(Some(last), snapshot.now));
        missed.unwrap_or(false)
    };
    let jobs = reconciles.iter().zip(&snapshot.jobs).enumerate();
    jobs.filter(|(_, pair)| is_missed(*pair)).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use chrono_tz::Asia::Kolkata;
    use tokio::time::sleep;

    use super::super::retries::tests::retries;
    use super::super::schedule::tests::{at, cron};
    use super::super::snapshot::Status;
    use super::super::ticker::tests::clock_from;
    use super::*;

    const START: &str = "2027-01-01T00:02:00Z";

    fn job(last_ok: Option<&str>) -> JobSnapshot {
        JobSnapshot {
            name: "items".to_owned(),
            doctype: "Item".to_owned(),
            table: "items".to_owned(),
            schedule: String::new(),
            status: Status::Never,
            last_run: None,
            last_ok: last_ok.map(at),
            next_run: None,
            rows: None,
            parked: 0,
            next_reconcile: None,
            reconciled: None,
            sentence: None,
            conflicts: 0,
        }
    }

    fn snapshot() -> Snapshot {
        let jobs = vec![job(None), job(Some("2026-12-31T23:00:00Z")), job(Some("2027-01-01T00:00:21Z"))];
        Snapshot { site: "outlet-042".to_owned(), time_zone: Kolkata, now: at(START), jobs, hq_answered_at: None }
    }

    #[tokio::test(start_paused = true)]
    async fn hours_without_hq_cost_each_job_its_ticks_and_a_rare_one_a_try_each_five_minutes() {
        let clock = clock_from(START);
        let diary = Arc::new(Mutex::new([0; 3]));
        let (written, ended, now) = (Arc::clone(&diary), Inbox::default(), clock.clone());
        // Six in Kolkata is half past midnight in UTC.
        let patterns = ["0 */5 * * * *", "0 */10 * * * *", "0 0 6 * * *"];
        let ends = ended.clone();
        let outlet = Outlet {
            reconciles: Vec::new(),
            schedules: patterns.map(|pattern| Schedule::new(cron(pattern), Kolkata, Duration::ZERO)).to_vec(),
            retries: retries("outlet-042", &patterns.map(|pattern| (pattern, &[] as &[usize]))),
            snapshot: snapshot(),
            round: move |jobs: Vec<usize>, _| {
                for job in jobs {
                    written.lock().unwrap()[job] += 1;
                    ends.put(job, End { at: now.now(), outcome: Outcome::Failed });
                }
                async {
                    sleep(Duration::from_secs(3)).await;
                    Outcome::Calm
                }
            },
            ended,
            clock,
            pulse: Pulse::default(),
        };
        let stop = CancellationToken::new();
        let stopping = async {
            sleep(Duration::from_secs(6 * 3_600)).await;
            stop.cancel();
        };
        let (kept, ()) = tokio::join!(outlet.keep(&stop), stopping);
        kept.unwrap();
        let [often, seldom, nightly] = *diary.lock().unwrap();
        // The start, then a tick each five and ten minutes; a rarer job's tries come no oftener
        // than every five minutes on the mean, the first few aside.
        assert!((72..=74).contains(&often), "{often}");
        assert!((36..=110).contains(&seldom), "{seldom}");
        assert!((50..=95).contains(&nightly), "{nightly}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_daemon_catches_up_at_once_and_then_keeps_the_schedule_by_its_splay() {
        let clock = clock_from(START);
        let diary = Arc::new(Mutex::new(Vec::new()));
        let (written, written_at) = (Arc::clone(&diary), clock.clone());
        let every = |pattern| Schedule::new(cron(pattern), Kolkata, Duration::from_secs(20));
        let patterns = ["0 */5 * * * *", "0 */10 * * * *", "0 */5 * * * *"];
        let outlet = Outlet {
            reconciles: Vec::new(),
            schedules: patterns.map(every).to_vec(),
            retries: retries("outlet-042", &patterns.map(|pattern| (pattern, &[] as &[usize]))),
            snapshot: snapshot(),
            round: move |jobs: Vec<usize>, trigger| {
                let line = format!("{} {trigger:?} {jobs:?}", written_at.now().format("%H:%M"));
                written.lock().unwrap().push(line);
                async {
                    sleep(Duration::from_secs(3)).await;
                    Outcome::Calm
                }
            },
            ended: Inbox::default(),
            clock,
            pulse: Pulse::default(),
        };
        let stop = CancellationToken::new();
        let stopping = async {
            sleep(Duration::from_secs(600)).await;
            stop.cancel();
        };
        let (kept, ()) = tokio::join!(outlet.keep(&stop), stopping);
        kept.unwrap();
        let expected = ["00:02 Start [0, 1]", "00:05 Schedule [0, 2]", "00:10 Schedule [0, 1, 2]"];
        assert_eq!(*diary.lock().unwrap(), expected);
    }
}
