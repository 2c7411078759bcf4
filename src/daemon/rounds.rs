//! From ticks to rounds: jobs that come due together make one round, and a job runs once at a time.
//!
//! What a round does is the caller's, so that this is about nothing but who runs when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use self::order::{Held, all_before};
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

/// How long running rounds may go on when another version of the configuration waits for them.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How a run ended, as far as the next one goes; of two about one job, the later one is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct End {
    pub(super) at: DateTime<Utc>,
    pub(super) outcome: Outcome,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// It ended well.
    Calm,
    /// It was told to stop before its end.
    Stopped,
    /// It may succeed later.
    Failed,
    /// It needs a person.
    Blocked,
}

/// What the rounds listen to; jobs are meant by position.
pub(super) struct Lines<'l> {
    /// Jobs that come due.
    pub(super) due: &'l Inbox<BTreeSet<Due>>,
    /// Jobs whose run has ended, while their round may go on with others.
    pub(super) ended: &'l Inbox<End>,
    /// Where failures are noted, so that they are tried again.
    pub(super) retries: &'l Shared,
    /// The outlet's clock.
    pub(super) clock: &'l Clock,
    /// Where the loop gives signs of life.
    pub(super) pulse: &'l Pulse,
}

/// The word that the rounds are to make way for others, by another version of the configuration.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    /// Another version waits: no round starts any more.
    pub(super) wanted: CancellationToken,
    /// What the rounds' runs are told to stop by: for this reason, or as the daemon stops.
    pub(super) halt: CancellationToken,
}

impl Turn {
    /// Nobody waits yet; the rounds stop when the daemon does.
    pub(super) fn under(stop: &CancellationToken) -> Self {
        Self { wanted: CancellationToken::new(), halt: stop.child_token() }
    }
}

/// How the running of rounds came to its end.
pub(super) enum Over {
    /// The daemon was told to stop; so many rounds had to be cut off.
    Stopped(usize),
    /// They made way; nothing runs.
    Turned(Left),
}

/// What waits to be run, with nothing running: what was due, and what was stopped before its end.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Left {
    /// The jobs that are due, and why.
    pub(super) due: BTreeMap<usize, Due>,
    /// The jobs that wait to be compared with all of HQ.
    pub(super) reconciles: BTreeSet<usize>,
    unfinished: BTreeMap<usize, Unfinished>,
}

impl Left {
    /// Jobs that are to run at once.
    pub(super) fn at_once(jobs: impl IntoIterator<Item = usize>) -> Self {
        Self { due: jobs.into_iter().map(|job| (job, Due::Start)).collect(), ..Self::default() }
    }

    /// Adds that a job is due.
    pub(super) fn add(&mut self, job: usize, why: Due) {
        match why {
            Due::Reconcile => {
                self.reconciles.insert(job);
            }
            Due::Start | Due::Tick | Due::Retry => {
                let known = self.due.entry(job).or_insert(why);
                *known = why.max(*known);
            }
        }
    }

    /// These are to be reconciled at once, and again until that has ended well.
    pub(super) fn owe(&mut self, jobs: impl IntoIterator<Item = usize>) {
        for job in jobs {
            self.reconciles.insert(job);
            self.unfinished.entry(job).or_default().is_owed = true;
        }
    }

    /// The same jobs at other positions; those without one are left out.
    pub(super) fn moved(self, to: impl Fn(usize) -> Option<usize>) -> Self {
        Self {
            due: self.due.into_iter().filter_map(|(job, why)| Some((to(job)?, why))).collect(),
            reconciles: self.reconciles.into_iter().filter_map(&to).collect(),
            unfinished: self.unfinished.into_iter().filter_map(|(job, left)| Some((to(job)?, left))).collect(),
        }
    }
}

/// Runs rounds until told to stop or to make way, beginning with what `left` holds; then waits for those that are running.
///
/// A round gives what its jobs came to that it said no end of.
pub(super) async fn run<Round, Running>(
    lines: Lines<'_>,
    left: Left,
    round: Round,
    turn: &Turn,
    stop: &CancellationToken,
) -> Over
where
    Round: Fn(Vec<usize>, Trigger) -> Running,
    Running: Future<Output = Outcome> + Send + 'static,
{
    let mut board = Board::new(&lines, left);
    loop {
        let (free, trigger) = board.take_free();
        if !free.is_empty() {
            board.start(free, trigger, &round);
        }
        let gathered = board.gathered_at.unwrap_or_else(Instant::now);
        let held = board.held.until().unwrap_or_else(Instant::now);
        tokio::select! {
            biased;
            () = stop.cancelled() => return Over::Stopped(board.drain().await),
            () = turn.wanted.cancelled() => break,
            () = board.hear(&lines) => {}
            () = sleep_until(gathered), if board.gathered_at.is_some() => board.gathered_at = None,
            // Then one that waits for another waits no longer.
            () = sleep_until(held), if board.may_start() && board.held.until().is_some() => {}
        }
    }
    board.make_way(&lines, turn, stop).await
}

/// A reconcile that was cut is taken up again so often, once a run of its job has ended well; then it waits for its time.
const MAX_RESUMED: u32 = 3;

/// The most good runs that a reconcile which is owed lets pass before it is tried again: 2 to the power of this.
const MOST_PASSED: u32 = 10;

/// A reconcile that failed, or that is owed and has not ended well yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Unfinished {
    resumed: u32,
    waits: bool,
    /// Nothing else finds what it is to find: it is tried until it has ended well, at growing distances.
    is_owed: bool,
    /// Good runs since it was tried last.
    passed: u32,
}

impl Unfinished {
    /// A run of the job has ended well; whether the reconcile is tried again now.
    fn is_next(&mut self) -> bool {
        self.passed += 1;
        !self.is_owed || self.passed >= 1 << self.resumed.min(MOST_PASSED)
    }
}

#[derive(Debug)]
struct Board {
    rounds: JoinSet<Outcome>,
    /// The rounds that are running.
    running: BTreeMap<Id, Going>,
    /// The jobs that wait for a round; one that is running waits for its own end, and is remembered once. Reconciles may
    /// wait long for each other, and are polled meanwhile.
    left: Left,
    /// Those of them that wait for others, which they come after.
    held: Held,
    /// When those that come due together have been gathered; `None` when no gathering is going on.
    gathered_at: Option<Instant>,
    retries: Shared,
    clock: Clock,
}

/// A round that is running.
#[derive(Debug)]
struct Going {
    /// Its jobs that have not ended.
    jobs: BTreeSet<usize>,
    /// It compares a job with all of HQ; one at a time does.
    is_reconcile: bool,
}

impl Board {
    fn new(lines: &Lines<'_>, left: Left) -> Self {
        Self {
            rounds: JoinSet::new(),
            running: BTreeMap::new(),
            left,
            held: Held::default(),
            gathered_at: None,
            retries: lines.retries.clone(),
            clock: lines.clock.clone(),
        }
    }

    /// Waits for the next word from outside, and takes it.
    async fn hear(&mut self, lines: &Lines<'_>) {
        tokio::select! {
            biased;
            jobs = lines.ended.wait() => self.jobs_ended(jobs),
            Some(over) = self.rounds.join_next_with_id() => {
                // Said by this round before it ended; read later, it would be taken for a word of the next one.
                self.jobs_ended(lines.ended.take());
                self.round_ended(over);
            }
            jobs = lines.due.wait() => self.came_due(jobs),
            () = lines.pulse.asked() => lines.pulse.answer(),
        }
    }

    fn is_running(&self, job: usize) -> bool {
        self.running.values().any(|round| round.jobs.contains(&job))
    }

    fn came_due(&mut self, jobs: BTreeMap<usize, BTreeSet<Due>>) {
        for (job, why) in jobs.into_iter().flat_map(|(job, whys)| whys.into_iter().map(move |why| (job, why))) {
            let is_new = match why {
                Due::Reconcile => {
                    self.left.unfinished.remove(&job);
                    self.left.reconciles.insert(job)
                }
                Due::Start | Due::Tick | Due::Retry => {
                    let is_new = !self.left.due.contains_key(&job);
                    self.left.add(job, why);
                    is_new
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
            let was_reconcile = self.running.values().any(|round| round.is_reconcile && round.jobs.contains(&job));
            self.reconcile_goes_on(job, was_reconcile, end.outcome);
            for round in self.running.values_mut() {
                round.jobs.remove(&job);
            }
            self.retries.with(|retries| match end.outcome {
                Outcome::Calm => retries.stands(job, Standing::Calm),
                Outcome::Stopped => {
                    retries.stands(job, Standing::Calm);
                    self.left.add(job, if was_reconcile { Due::Reconcile } else { Due::Start });
                }
                Outcome::Failed => retries.fails(job, end.at),
                Outcome::Blocked => retries.stands(job, Standing::Blocked),
            });
        }
    }

    /// Notes a reconcile that failed, and takes it up again when HQ has been seen to answer the job.
    fn reconcile_goes_on(&mut self, job: usize, was_reconcile: bool, outcome: Outcome) {
        let Some(mut unfinished) =
            self.left.unfinished.remove(&job).or_else(|| was_reconcile.then(Unfinished::default))
        else {
            return;
        };
        match (was_reconcile, outcome) {
            (true, Outcome::Failed) => unfinished.waits = unfinished.is_owed || unfinished.resumed < MAX_RESUMED,
            (true, Outcome::Blocked) if unfinished.is_owed => unfinished.waits = true,
            (true, Outcome::Calm | Outcome::Blocked) => return,
            (false, Outcome::Calm) if unfinished.waits => {
                if unfinished.is_next() {
                    (unfinished.waits, unfinished.passed) = (false, 0);
                    unfinished.resumed += 1;
                    self.left.reconciles.insert(job);
                }
            }
            (_, Outcome::Stopped) | (false, Outcome::Calm | Outcome::Failed | Outcome::Blocked) => {}
        }
        self.left.unfinished.insert(job, unfinished);
    }

    fn round_ended(&mut self, over: Result<(Id, Outcome), JoinError>) {
        let (round, outcome) = match over {
            Ok(over) => over,
            Err(error) => {
                // The error quotes the panic, which may hold a value; the panic told of itself.
                let outcome = if error.is_cancelled() { Outcome::Stopped } else { Outcome::Failed };
                match outcome {
                    Outcome::Stopped => tracing::warn!("a round was cut off; it goes on from its last page"),
                    Outcome::Calm | Outcome::Failed | Outcome::Blocked => {
                        tracing::error!("a round broke down; this is a mistake in milkrun, its jobs are run again");
                    }
                }
                (error.id(), outcome)
            }
        };
        let at = self.clock.now();
        let left = self.running.get(&round).map(|round| round.jobs.clone()).unwrap_or_default();
        self.jobs_ended(left.into_iter().map(|job| (job, End { at, outcome })).collect());
        self.running.remove(&round);
    }

    /// Whether a round may start now.
    fn may_start(&self) -> bool {
        self.gathered_at.is_none() && self.rounds.len() < MAX_ROUNDS
    }

    /// Whether one that the job comes after is going on, or is due and cannot start: it then goes first. A reconcile alone is
    /// nobody's to wait for: the rows are there, and it may take long.
    fn has_to_wait(&self, job: usize) -> bool {
        let before = self.retries.with(|retries| all_before(job, |job| retries.after(job)));
        let is_polled =
            |job: &usize| self.running.values().any(|round| !round.is_reconcile && round.jobs.contains(job));
        before
            .iter()
            .any(|job| is_polled(job) || (self.left.due.contains_key(job) && self.is_running(*job)))
    }

    /// The jobs that may start now, taken out of those that are due, and why they do.
    fn take_free(&mut self) -> (Vec<usize>, Trigger) {
        if !self.may_start() {
            return (Vec::new(), Trigger::Schedule);
        }
        let due: Vec<usize> = self.left.due.keys().copied().filter(|job| !self.is_running(*job)).collect();
        let mut known = std::mem::take(&mut self.held);
        let (free, held) = known.part(due, |job| self.has_to_wait(job));
        self.held = known;
        // Runs that are due go first, and reconciles one by one.
        if free.is_empty() && !self.running.values().any(|round| round.is_reconcile) {
            let next = self.left.reconciles.iter().copied().find(|job| !self.is_running(*job) && !held.contains(job));
            if let Some(job) = next {
                self.left.reconciles.remove(&job);
                return (vec![job], Trigger::Reconcile);
            }
        }
        let reasons: Vec<Due> = free.iter().filter_map(|job| self.left.due.remove(job)).collect();
        (free, reasons.into_iter().max().unwrap_or(Due::Tick).trigger())
    }

    fn start<Round, Running>(&mut self, jobs: Vec<usize>, trigger: Trigger, round: &Round)
    where
        Round: Fn(Vec<usize>, Trigger) -> Running,
        Running: Future<Output = Outcome> + Send + 'static,
    {
        self.retries.with(|retries| jobs.iter().for_each(|job| retries.begins(*job)));
        let started = self.rounds.spawn(round(jobs.clone(), trigger));
        let is_reconcile = trigger == Trigger::Reconcile;
        self.running.insert(started.id(), Going { jobs: jobs.into_iter().collect(), is_reconcile });
    }

    async fn drain(mut self) -> usize {
        let all = async { while self.rounds.join_next().await.is_some() {} };
        if timeout(GRACE, all).await.is_ok() {
            return 0;
        }
        // Dropped with the board; an open transaction rolls back.
        self.rounds.len()
    }

    /// Starts nothing any more, and lets what runs come to its end: by itself for a while, then at the next page. What comes
    /// due meanwhile is kept, with what was stopped.
    async fn make_way(mut self, lines: &Lines<'_>, turn: &Turn, stop: &CancellationToken) -> Over {
        let (began, mut told) = (Instant::now(), Told::Nothing);
        while !self.rounds.is_empty() {
            let next = match told {
                Told::Nothing => began + PATIENCE,
                Told::ToStop | Told::CutOff => began + PATIENCE + GRACE,
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Over::Stopped(self.drain().await),
                () = self.hear(lines) => {}
                () = sleep_until(next), if told != Told::CutOff => match told {
                    Told::Nothing => {
                        tracing::info!(rounds = self.rounds.len(), "another sync.toml waits: what runs stops at its next page");
                        turn.halt.cancel();
                        told = Told::ToStop;
                    }
                    Told::ToStop | Told::CutOff => {
                        self.rounds.abort_all();
                        told = Told::CutOff;
                    }
                },
            }
        }
        self.came_due(lines.due.take());
        Over::Turned(self.left)
    }
}

/// What the rounds that are to make way were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    ToStop,
    CutOff,
}

mod order;
#[cfg(test)]
mod tests;
