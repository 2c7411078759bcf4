//! The daemon's life: take what is needed, catch up, keep the schedule, and come to an end.
//!
//! It knows of the engine only that a round can be run and that the state of the jobs can be read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::rounds::{self, Lines};
use super::schedule::Schedule;
use super::snapshot::Snapshot;
use super::status::{self, Totals};
use super::ticker::Ticker;
use crate::clock::Clock;
use crate::run::Trigger;

/// How long the status page may take to finish its last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// What the daemon keeps going. Jobs are meant by their position in the configuration.
pub(super) struct Outlet<Round, Read> {
    /// When each job runs.
    pub(super) schedules: Vec<Schedule>,
    /// Address of the status page.
    pub(super) listen: Option<SocketAddr>,
    /// Runs the jobs, one round.
    pub(super) round: Round,
    /// Reads how the jobs stand; or says why that cannot be read.
    pub(super) read: Read,
    /// Jobs whose run has ended.
    pub(super) ended: UnboundedReceiver<usize>,
    /// What the runs add up to.
    pub(super) totals: Arc<Totals>,
    /// The outlet's clock.
    pub(super) clock: Clock,
}

impl<Round, Read> Outlet<Round, Read> {
    /// Keeps it going until told to stop.
    pub(super) async fn keep<Running, Reading>(self, stop: &CancellationToken) -> anyhow::Result<()>
    where
        Round: Fn(Vec<usize>, Trigger) -> Running,
        Running: Future<Output = ()> + Send + 'static,
        Read: Fn() -> Reading + Send + Sync + 'static,
        Reading: Future<Output = Result<Snapshot, String>> + Send + 'static,
    {
        // What cannot be had ends the daemon before it has begun anything.
        let listener = match self.listen {
            Some(address) => Some(status::listen(address).await?),
            None => None,
        };
        let snapshot = (self.read)().await.map_err(anyhow::Error::msg).context("reading how the jobs stand")?;
        let missed = missed(&self.schedules, &snapshot);
        let ticking = Ticker::start(self.schedules, self.clock).await;
        let (ticker, due) = ticking.context("starting the scheduler")?;

        let read = self.read;
        let read: status::Read = Arc::new(move || Box::pin(read()));
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok()).map(tracing::field::display);
        tracing::info!(
            site = snapshot.site,
            jobs = snapshot.jobs.len(),
            missed = missed.len(),
            address,
            "daemon started"
        );
        let page = listener.map(|listener| tokio::spawn(status::serve(listener, read, self.totals, stop.clone())));

        let cut_off = rounds::run(Lines { due, ended: self.ended }, missed, self.round, stop).await;
        ticker.stop().await;
        if let Some(page) = page {
            let stopping = page.abort_handle();
            if timeout(LAST_ANSWERS, page).await.is_err() {
                stopping.abort();
            }
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use chrono_tz::Asia::Kolkata;
    use tokio::sync::mpsc::unbounded_channel;
    use tokio::time::sleep;

    use super::super::schedule::tests::{at, cron};
    use super::super::snapshot::{JobSnapshot, Status};
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
        }
    }

    fn snapshot() -> Snapshot {
        let jobs = vec![job(None), job(Some("2026-12-31T23:00:00Z")), job(Some("2027-01-01T00:00:21Z"))];
        Snapshot { site: "outlet-042".to_owned(), time_zone: Kolkata, now: at(START), jobs }
    }

    #[tokio::test(start_paused = true)]
    async fn the_daemon_catches_up_at_once_and_then_keeps_the_schedule_by_its_splay() {
        let clock = clock_from(START);
        let diary = Arc::new(Mutex::new(Vec::new()));
        let (written, written_at) = (Arc::clone(&diary), clock.clone());
        let every = |pattern| Schedule::new(cron(pattern), Kolkata, Duration::from_secs(20));
        let (_ended, ended) = unbounded_channel();
        let outlet = Outlet {
            schedules: vec![every("0 */5 * * * *"), every("0 */10 * * * *"), every("0 */5 * * * *")],
            listen: Some(([127, 0, 0, 1], 0).into()),
            round: move |jobs: Vec<usize>, trigger| {
                let line = format!("{} {trigger:?} {jobs:?}", written_at.now().format("%H:%M"));
                written.lock().unwrap().push(line);
                sleep(Duration::from_secs(3))
            },
            read: || async { Ok(snapshot()) },
            ended,
            totals: Arc::default(),
            clock,
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
