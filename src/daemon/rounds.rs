//! From ticks to rounds: jobs that come due together make one round, and a job runs once at a time.
//!
//! What a round does is the caller's, so that this is about nothing but who runs when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::inbox::Inbox;
use super::pulse::Pulse;
use super::retries::{Shared, Standing};
use super::ticker::Due;
use crate::clock::Clock;
use crate::run::Trigger;

/// Jobs that come due within this time make one round: the ticks of one moment arrive one by one.
const GATHER: Duration = Duration::from_secs(1);

/// Rounds at the same time, at most: they share HQ's rate limit and the outlet's machine.
const MAX_ROUNDS: usize = 4;

/// How long running rounds have to come to an end when the daemon stops. The rest of the ten seconds that are promised
/// is for the status page and the database's connections.
pub(super) const GRACE: Duration = Duration::from_secs(8);

/// How a run ended, as far as the next one goes; of two about one job, the later one is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct End {
    pub(super) at: DateTime<Utc>,
    pub(super) outcome: Outcome,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// It ended well, or was told to stop.
    Calm,
    /// It may succeed later.
    Failed,
    /// It needs a person.
    Blocked,
}

/// What the rounds listen to; jobs are meant by position.
pub(super) struct Lines {
    /// Jobs that come due.
    pub(super) due: Inbox<BTreeSet<Due>>,
    /// Jobs whose run has ended, while their round may go on with others.
    pub(super) ended: Inbox<End>,
    /// Where failures are noted, so that they are tried again.
    pub(super) retries: Shared,
    /// The outlet's clock.
    pub(super) clock: Clock,
    /// Where the loop gives signs of life.
    pub(super) pulse: Pulse,
}

/// Runs rounds until told to stop, then waits for those that are running. `missed` run at once, as one round. Gives the
/// number of rounds that had to be cut off.
///
/// A round gives what its jobs came to that it said no end of.
pub(super) async fn run<Round, Running>(
    lines: Lines,
    missed: Vec<usize>,
    round: Round,
    stop: &CancellationToken,
) -> usize
where
    Round: Fn(Vec<usize>, Trigger) -> Running,
    Running: Future<Output = Outcome> + Send + 'static,
{
    let Lines { due, ended, retries, clock, pulse } = lines;
    let mut board = Board::new(retries, clock);
    if !missed.is_empty() {
        board.start(missed, Trigger::Start, &round);
    }
    loop {
        let gathered = board.gathered_at.unwrap_or_else(Instant::now);
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            jobs = ended.wait() => board.jobs_ended(jobs),
            Some(over) = board.rounds.join_next_with_id() => {
                // Said by this round before it ended; read later, it would be taken for a word of the next one.
                board.jobs_ended(ended.take());
                board.round_ended(over);
            }
            jobs = due.wait() => board.came_due(jobs),
            () = pulse.asked() => pulse.answer(),
            () = sleep_until(gathered), if board.gathered_at.is_some() => board.gathered_at = None,
        }
        let (free, trigger) = board.take_free();
        if !free.is_empty() {
            board.start(free, trigger, &round);
        }
    }
    board.drain().await
}

/// A reconcile that was cut is taken up again so often, once a run of its job has ended well; then it waits for its time.
const MAX_RESUMED: u32 = 3;

/// A reconcile that failed.
#[derive(Debug, Clone, Copy, Default)]
struct Unfinished {
    resumed: u32,
    waits: bool,
}

#[derive(Debug)]
struct Board {
    rounds: JoinSet<Outcome>,
    /// The jobs of each round that have not ended.
    running: BTreeMap<Id, BTreeSet<usize>>,
    /// The jobs that wait for a round; one that is running waits for its own end, and is remembered once.
    due: BTreeMap<usize, Due>,
    /// The jobs that wait to be compared with all of HQ. They may wait long for each other, and are polled meanwhile.
    reconciles: BTreeSet<usize>,
    /// The round that compares a job with all of HQ; one at a time.
    reconciling: Option<Id>,
    /// Jobs whose reconcile failed, and how often it was taken up again since it was due.
    unfinished: BTreeMap<usize, Unfinished>,
    /// When those that come due together have been gathered; `None` when no gathering is going on.
    gathered_at: Option<Instant>,
    retries: Shared,
    clock: Clock,
}

impl Board {
    fn new(retries: Shared, clock: Clock) -> Self {
        let (rounds, running, due) = (JoinSet::new(), BTreeMap::new(), BTreeMap::new());
        let (reconciles, reconciling, unfinished) = (BTreeSet::new(), None, BTreeMap::new());
        Self { rounds, running, due, reconciles, reconciling, unfinished, gathered_at: None, retries, clock }
    }

    fn is_running(&self, job: usize) -> bool {
        self.running.values().any(|jobs| jobs.contains(&job))
    }

    fn came_due(&mut self, jobs: BTreeMap<usize, BTreeSet<Due>>) {
        for (job, why) in jobs.into_iter().flat_map(|(job, whys)| whys.into_iter().map(move |why| (job, why))) {
            let is_new = match why {
                Due::Reconcile => {
                    self.unfinished.remove(&job);
                    self.reconciles.insert(job)
                }
                Due::Tick | Due::Retry => {
                    let known = self.due.get(&job).copied();
                    self.due.insert(job, known.map_or(why, |known| known.max(why)));
                    known.is_none()
                }
            };
            if self.is_running(job) {
                if is_new {
                    tracing::debug!(job, "the job is due again while it runs; it will run once more after that");
                }
            } else if self.gathered_at.is_none() {
                self.gathered_at = Some(Instant::now() + GATHER);
            }
        }
    }

    fn jobs_ended(&mut self, ended: BTreeMap<usize, End>) {
        for (job, end) in ended {
            let reconciled = self.reconciling.and_then(|round| self.running.get(&round));
            self.reconcile_goes_on(job, reconciled.is_some_and(|jobs| jobs.contains(&job)), end.outcome);
            for jobs in self.running.values_mut() {
                jobs.remove(&job);
            }
            self.retries.with(|retries| match end.outcome {
                Outcome::Calm => retries.stands(job, Standing::Calm),
                Outcome::Failed => retries.fails(job, end.at),
                Outcome::Blocked => retries.stands(job, Standing::Blocked),
            });
        }
    }

    /// Notes a reconcile that failed, and takes it up again when HQ has been seen to answer the job.
    fn reconcile_goes_on(&mut self, job: usize, was_reconcile: bool, outcome: Outcome) {
        let unfinished = self.unfinished.entry(job).or_default();
        match (was_reconcile, outcome) {
            (true, Outcome::Failed) => unfinished.waits = unfinished.resumed < MAX_RESUMED,
            (true, Outcome::Calm | Outcome::Blocked) => {
                self.unfinished.remove(&job);
            }
            (false, Outcome::Calm) if unfinished.waits => {
                unfinished.waits = false;
                unfinished.resumed += 1;
                self.reconciles.insert(job);
            }
            (false, Outcome::Calm | Outcome::Failed | Outcome::Blocked) => {}
        }
    }

    fn round_ended(&mut self, over: Result<(Id, Outcome), JoinError>) {
        let (round, outcome) = match over {
            Ok(over) => over,
            Err(error) => {
                // The error quotes the panic, which may hold a value; the panic told of itself.
                let was_stopped = error.is_cancelled();
                tracing::error!(
                    was_stopped,
                    "a round broke down; this is a mistake in milkrun, its jobs are run again"
                );
                (error.id(), Outcome::Failed)
            }
        };
        let at = self.clock.now();
        let left = self.running.get(&round).cloned().unwrap_or_default();
        self.jobs_ended(left.into_iter().map(|job| (job, End { at, outcome })).collect());
        self.running.remove(&round);
        self.reconciling = self.reconciling.filter(|reconciling| *reconciling != round);
    }

    /// The jobs that may start now, taken out of those that are due, and why they do.
    fn take_free(&mut self) -> (Vec<usize>, Trigger) {
        if self.gathered_at.is_some() || self.rounds.len() >= MAX_ROUNDS {
            return (Vec::new(), Trigger::Schedule);
        }
        let free: Vec<usize> = self.due.keys().copied().filter(|job| !self.is_running(*job)).collect();
        // Runs that are due go first, and reconciles one by one.
        if free.is_empty() && self.reconciling.is_none() {
            let next = self.reconciles.iter().copied().find(|job| !self.is_running(*job));
            if let Some(job) = next {
                self.reconciles.remove(&job);
                return (vec![job], Trigger::Reconcile);
            }
        }
        let reasons: Vec<Due> = free.iter().filter_map(|job| self.due.remove(job)).collect();
        (free, reasons.into_iter().max().unwrap_or(Due::Tick).trigger())
    }

    fn start<Round, Running>(&mut self, jobs: Vec<usize>, trigger: Trigger, round: &Round)
    where
        Round: Fn(Vec<usize>, Trigger) -> Running,
        Running: Future<Output = Outcome> + Send + 'static,
    {
        self.retries.with(|retries| jobs.iter().for_each(|job| retries.begins(*job)));
        let started = self.rounds.spawn(round(jobs.clone(), trigger));
        if trigger == Trigger::Reconcile {
            self.reconciling = Some(started.id());
        }
        self.running.insert(started.id(), jobs.into_iter().collect());
    }

    async fn drain(mut self) -> usize {
        let all = async { while self.rounds.join_next().await.is_some() {} };
        if timeout(GRACE, all).await.is_ok() {
            return 0;
        }
        // Dropped with the board; an open transaction rolls back.
        self.rounds.len()
    }
}

#[cfg(test)]
mod tests;
