//! The daemon's life: catch up, keep the schedule, and come to an end; and its status page, which lives a little longer.
//!
//! It knows of the engine only that a round can be run.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::engine::Look;
use super::handover::Moved;
use super::inbox::Inbox;
use super::pulse::Pulse;
use super::retries::{Retries, Shared, Standing};
use super::rounds::{self, End, Left, Lines, Outcome, Over, Turn};
use super::schedule::Schedule;
use super::snapshot::{JobSnapshot, Snapshot};
use super::status::{self, Totals};
use super::ticker::{Due, Ticker, Times};
use crate::clock::Clock;
use crate::run::Trigger;

/// How long the status page may take to finish its last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The status page, where one is asked for.
pub(super) struct Page {
    serving: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

/// An address that has been taken for the status page; `None` where none is asked for.
pub(super) struct Address(Option<TcpListener>);

impl Address {
    /// Takes the address.
    pub(super) async fn take(listen: Option<SocketAddr>) -> anyhow::Result<Self> {
        let Some(address) = listen else { return Ok(Self(None)) };
        Ok(Self(Some(status::listen(address).await?)))
    }

    /// Takes the address while the page is still on the one that is `held`.
    pub(super) async fn take_beside(held: Option<SocketAddr>, listen: Option<SocketAddr>) -> anyhow::Result<Self> {
        if let Some((held, listen)) = held.zip(listen).filter(|(held, listen)| is_in_the_way(*held, *listen)) {
            anyhow::bail!(
                "cannot listen on {listen} while the status page is on {held}: the same port on another address needs a \
                 restart of the daemon; see `listen` of [daemon] in sync.toml"
            );
        }
        Self::take(listen).await
    }
}

/// Whether nobody can listen on the one address while somebody does on the other: one of them is every address of the machine.
fn is_in_the_way(held: SocketAddr, listen: SocketAddr) -> bool {
    held.port() != 0
        && held.port() == listen.port()
        && (held.ip() == listen.ip() || held.ip().is_unspecified() || listen.ip().is_unspecified())
}

impl Page {
    /// Answers on the address until told to stop.
    pub(super) fn open(address: Address, read: status::Read, totals: Arc<Totals>, stop: &CancellationToken) -> Self {
        let stop = stop.child_token();
        let Address(Some(listener)) = address else { return Self { serving: None, stop } };
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "the status page is there");
        }
        Self { serving: Some(tokio::spawn(status::serve(listener, read, totals, stop.clone()))), stop }
    }

    /// Lets it finish what is being asked.
    pub(super) async fn close(self) {
        self.stop.cancel();
        let Some(page) = self.serving else { return };
        let stopping = page.abort_handle();
        if timeout(LAST_ANSWERS, page).await.is_err() {
            stopping.abort();
        }
    }
}

/// What the daemon keeps going. Jobs are meant by their position in the configuration.
pub(super) struct Outlet {
    ticker: Ticker,
    due: Inbox<BTreeSet<Due>>,
    retries: Shared,
    clock: Clock,
    pulse: Pulse,
    left: Left,
}

impl Outlet {
    /// Begins to keep the schedule, for jobs that stand so. What was missed runs at once.
    pub(super) async fn start(times: Times, look: Look, (clock, pulse): (Clock, Pulse)) -> anyhow::Result<Self> {
        let Look { snapshot, retries, owed } = look;
        let mut left = missed(&times, &snapshot);
        left.owe(owed);
        let (due, retries) = (Inbox::default(), Shared::new(retries));
        let ticking = Ticker::start(times, retries.clone(), clock.clone(), pulse.clone(), &due).await;
        let ticker = ticking.context("starting the scheduler")?;
        let (missed, reconciles) = (left.due.len(), left.reconciles.len());
        tracing::info!(site = snapshot.site, jobs = snapshot.jobs.len(), missed, reconciles, "daemon started");
        Ok(Self { ticker, due, retries, clock, pulse, left })
    }

    /// Runs the jobs that come due, each batch by one `round`, until told to stop or to make way; `ended` says which jobs'
    /// runs have.
    pub(super) async fn keep<Round, Running>(
        &mut self,
        round: Round,
        ended: &Inbox<End>,
        turn: &Turn,
        stop: &CancellationToken,
    ) -> Kept
    where
        Round: Fn(Vec<usize>, Trigger) -> Running,
        Running: Future<Output = Outcome> + Send + 'static,
    {
        let Self { due, retries, clock, pulse, .. } = self;
        let lines = Lines { due, ended, retries, clock, pulse };
        match rounds::run(lines, std::mem::take(&mut self.left), round, turn, stop).await {
            Over::Stopped(cut_off) => Kept::Stopped { cut_off },
            Over::Turned(left) => {
                self.left = left;
                Kept::Turned
            }
        }
    }

    /// Goes by other times, between two rounds: `moved` says where the jobs are now. What was due stays so.
    pub(super) fn turn(&mut self, times: Times, retries: Retries, moved: &Moved) {
        let came = self.ticker.turn(times, &self.retries, |before| retries.succeeding(before, |job| moved.to(job)));
        for (job, why) in came.into_iter().flat_map(|(job, whys)| whys.into_iter().map(move |why| (job, why))) {
            self.left.add(job, why);
        }
        self.left = std::mem::take(&mut self.left).moved(|job| moved.to(job));
    }

    /// Has these run, too, between two rounds.
    pub(super) fn add(&mut self, missed: Left) {
        for job in missed.reconciles {
            self.left.add(job, Due::Reconcile);
        }
        for (job, why) in missed.due {
            self.left.add(job, why);
        }
    }

    /// Has these reconciled, between two rounds, and again until that has ended well.
    pub(super) fn owe(&mut self, jobs: Vec<usize>) {
        self.left.owe(jobs);
    }

    /// The jobs of which this is so, as far as trying again goes.
    pub(super) fn standing(&self, is_meant: impl Fn(Standing) -> bool) -> Vec<usize> {
        self.retries.with(|retries| retries.standing(is_meant))
    }

    /// Ends the ticking.
    pub(super) async fn stop(self, cut_off: usize) {
        self.ticker.stop().await;
        if cut_off > 0 {
            tracing::warn!(rounds = cut_off, "daemon stopped; rounds that took too long to end were cut off");
        } else {
            tracing::info!("daemon stopped");
        }
    }
}

/// How the keeping came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// The daemon is to end.
    Stopped {
        /// Rounds that had to be cut off.
        cut_off: usize,
    },
    /// Nothing runs, and another version may take over.
    Turned,
}

/// What should have run while no daemon did.
pub(super) fn missed(times: &Times, snapshot: &Snapshot) -> Left {
    let mut left = Left::at_once(missed_runs(&times.schedules, snapshot));
    for job in missed_reconciles(&times.reconciles, snapshot) {
        left.add(job, Due::Reconcile);
    }
    left
}

/// The jobs that should have run while no daemon did.
fn missed_runs(schedules: &[Schedule], snapshot: &Snapshot) -> Vec<usize> {
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
        Snapshot {
            site: "outlet-042".to_owned(),
            time_zone: Kolkata,
            now: at(START),
            jobs,
            hq_answered_at: None,
            version: None,
        }
    }

    async fn started(patterns: &[&str], splay: Duration, clock: Clock) -> Outlet {
        let schedules = patterns.iter().map(|pattern| Schedule::new(cron(pattern), Kolkata, splay)).collect();
        let tries: Vec<_> = patterns.iter().map(|pattern| (*pattern, &[] as &[usize])).collect();
        let times = Times { schedules, reconciles: Vec::new() };
        let look = Look { snapshot: snapshot(), retries: retries("outlet-042", &tries), owed: Vec::new() };
        Outlet::start(times, look, (clock, Pulse::default())).await.unwrap()
    }

    #[tokio::test]
    async fn the_same_port_on_every_address_is_said_to_need_a_restart() {
        let [one, all, other]: [SocketAddr; 3] =
            ["127.0.0.1:9471", "0.0.0.0:9471", "127.0.0.2:9471"].map(|address| address.parse().unwrap());
        for (held, listen) in [(one, all), (all, one)] {
            let refused = Address::take_beside(Some(held), Some(listen)).await;
            let error = refused.err().unwrap().to_string();
            assert!(
                error.starts_with(&format!("cannot listen on {listen} while the status page is on {held}")),
                "{error}"
            );
            assert!(error.contains("needs a restart of the daemon"), "{error}");
        }
        assert!(!is_in_the_way(one, other));
    }

    #[tokio::test(start_paused = true)]
    async fn hours_without_hq_cost_each_job_its_ticks_and_a_rare_one_a_try_each_five_minutes() {
        let clock = clock_from(START);
        let diary = Arc::new(Mutex::new([0; 3]));
        let (written, ended, now) = (Arc::clone(&diary), Inbox::default(), clock.clone());
        // Six in Kolkata is half past midnight in UTC.
        let patterns = ["0 */5 * * * *", "0 */10 * * * *", "0 0 6 * * *"];
        let ends = ended.clone();
        let mut outlet = started(&patterns, Duration::ZERO, clock).await;
        let round = move |jobs: Vec<usize>, _| {
            for job in jobs {
                written.lock().unwrap()[job] += 1;
                ends.put(job, End { at: now.now(), outcome: Outcome::Failed });
            }
            async {
                sleep(Duration::from_secs(3)).await;
                Outcome::Calm
            }
        };
        let stop = CancellationToken::new();
        let stopping = async {
            sleep(Duration::from_secs(6 * 3_600)).await;
            stop.cancel();
        };
        let turn = Turn::under(&stop);
        let (kept, ()) = tokio::join!(outlet.keep(round, &ended, &turn, &stop), stopping);
        assert_eq!(kept, Kept::Stopped { cut_off: 0 });
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
        let patterns = ["0 */5 * * * *", "0 */10 * * * *", "0 */5 * * * *"];
        let mut outlet = started(&patterns, Duration::from_secs(20), clock).await;
        let ended = Inbox::default();
        let round = move |jobs: Vec<usize>, trigger| {
            let line = format!("{} {trigger:?} {jobs:?}", written_at.now().format("%H:%M"));
            written.lock().unwrap().push(line);
            async {
                sleep(Duration::from_secs(3)).await;
                Outcome::Calm
            }
        };
        let stop = CancellationToken::new();
        let stopping = async {
            sleep(Duration::from_secs(600)).await;
            stop.cancel();
        };
        let turn = Turn::under(&stop);
        let (kept, ()) = tokio::join!(outlet.keep(round, &ended, &turn, &stop), stopping);
        assert_eq!(kept, Kept::Stopped { cut_off: 0 });
        let expected = ["00:02 Start [0, 1]", "00:05 Schedule [0, 2]", "00:10 Schedule [0, 1, 2]"];
        assert_eq!(*diary.lock().unwrap(), expected);
    }
}
