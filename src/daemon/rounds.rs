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
    pub(super) due: Inbox<Due>,
    /// Jobs whose run has ended, while their round may go on with others.
    pub(super) ended: Inbox<End>,
    /// Where failures are noted, so that they are tried again.
    pub(super) retries: Shared,
    /// The outlet's clock.
    pub(super) clock: Clock,
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
    let Lines { due, ended, retries, clock } = lines;
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
        let (reconciling, unfinished) = (None, BTreeMap::new());
        Self { rounds, running, due, reconciling, unfinished, gathered_at: None, retries, clock }
    }

    fn is_running(&self, job: usize) -> bool {
        self.running.values().any(|jobs| jobs.contains(&job))
    }

    fn came_due(&mut self, jobs: BTreeMap<usize, Due>) {
        for (job, why) in jobs {
            if why == Due::Reconcile {
                self.unfinished.remove(&job);
            }
            let known = self.due.get(&job).copied();
            self.due.insert(job, known.map_or(why, |known| known.max(why)));
            if self.is_running(job) {
                if known.is_none() {
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
                self.due.insert(job, Due::Reconcile);
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
        let free = self.due.iter().filter(|(job, _)| !self.is_running(**job));
        let (reconciles, mut free): (Vec<_>, Vec<_>) =
            free.map(|(job, why)| (*job, *why)).partition(|(_, why)| *why == Due::Reconcile);
        // Runs that are due go first, and reconciles one by one.
        if free.is_empty() && self.reconciling.is_none() {
            free.extend(reconciles.first());
        }
        let free: Vec<usize> = free.into_iter().map(|(job, _)| job).collect();
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
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::Notify;
    use tokio::time::sleep;

    use super::super::retries::tests::retries;
    use super::super::ticker::tests::clock_from;
    use super::*;

    /// Rounds that take as long as the test says, and a diary of their starts as `second jobs`.
    struct Yard {
        due: Inbox<Due>,
        ended: Inbox<End>,
        retries: Shared,
        clock: Clock,
        stop: CancellationToken,
        diary: Arc<Mutex<Vec<String>>>,
        done: tokio::task::JoinHandle<usize>,
    }

    impl Yard {
        /// Every round takes this long.
        fn open(missed: Vec<usize>, length: Duration) -> Self {
            Self::with(missed, move || async move {
                sleep(length).await;
                Outcome::Calm
            })
        }

        fn with<F: Future<Output = Outcome> + Send + 'static>(
            missed: Vec<usize>,
            length: impl Fn() -> F + Send + Sync + 'static,
        ) -> Self {
            let (due, ended, clock) = (Inbox::default(), Inbox::default(), clock_from("2027-01-01T20:30:00Z"));
            let nightly = [("0 0 2 * * *", &[] as &[usize]); 8];
            let retries = Shared::new(retries("outlet-042", &nightly));
            let lines =
                Lines { due: due.clone(), ended: ended.clone(), retries: retries.clone(), clock: clock.clone() };
            let (stop, diary) = (CancellationToken::new(), Arc::new(Mutex::new(Vec::new())));
            let started = Instant::now();
            let (stopped, written) = (stop.clone(), Arc::clone(&diary));
            let done = tokio::spawn(async move {
                let round = |jobs: Vec<usize>, trigger| {
                    let line = format!("{} {trigger:?} {jobs:?}", started.elapsed().as_secs());
                    written.lock().unwrap().push(line);
                    length()
                };
                run(lines, missed, round, &stopped).await
            });
            Self { due, ended, retries, clock, stop, diary, done }
        }

        fn due(&self, jobs: &[usize]) {
            for job in jobs {
                self.due.put(*job, Due::Tick);
            }
        }

        fn ends(&self, job: usize, outcome: Outcome) {
            self.ended.put(job, End { at: self.clock.now(), outcome });
        }

        /// Lets the first round start.
        async fn settle(self) -> Self {
            while self.diary.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            self
        }

        async fn close(self) -> (Vec<String>, usize) {
            self.stop.cancel();
            let cut_off = self.done.await.unwrap();
            (self.diary.lock().unwrap().clone(), cut_off)
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn reconciles_go_one_by_one_after_the_runs_that_are_due() {
        let yard = Yard::open(vec![], seconds(5));
        yard.due.put(0, Due::Reconcile);
        yard.due.put(1, Due::Reconcile);
        yard.due(&[2]);
        sleep(seconds(30)).await;
        let (diary, _) = yard.close().await;
        assert_eq!(diary, ["1 Schedule [2]", "6 Reconcile [0]", "11 Reconcile [1]"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reconcile_that_failed_goes_on_when_a_run_of_its_job_has_ended_well() {
        let rounds = Arc::new(Mutex::new(0));
        let yard = Yard::with(vec![], move || {
            let mut count = rounds.lock().unwrap();
            *count += 1;
            let outcome = if *count == 1 { Outcome::Failed } else { Outcome::Calm };
            async move {
                sleep(seconds(5)).await;
                outcome
            }
        });
        yard.due.put(3, Due::Reconcile);
        sleep(seconds(60)).await;
        yard.due.put(3, Due::Retry);
        sleep(seconds(60)).await;
        let (diary, _) = yard.close().await;
        assert_eq!(diary, ["1 Reconcile [3]", "61 Retry [3]", "66 Reconcile [3]"]);
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_of_the_same_tick_make_one_round() {
        let yard = Yard::open(vec![], seconds(1));
        yard.due(&[2, 0]);
        sleep(Duration::from_millis(600)).await;
        yard.due(&[1, 2]);
        sleep(seconds(10)).await;
        yard.due(&[1]);
        sleep(seconds(10)).await;
        let (diary, _) = yard.close().await;
        assert_eq!(diary, ["1 Schedule [0, 1, 2]", "11 Schedule [1]"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_missed_runs_at_once_as_one_round() {
        let yard = Yard::open(vec![0, 3], seconds(1));
        sleep(seconds(10)).await;
        let (diary, _) = yard.close().await;
        assert_eq!(diary, ["0 Start [0, 3]"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_job_is_not_started_again_and_caught_up_once() {
        let yard = Yard::open(vec![], seconds(100));
        yard.due(&[0]);
        for _ in 0..5 {
            sleep(seconds(10)).await;
            yard.due(&[0]);
        }
        sleep(seconds(400)).await;
        let (diary, _) = yard.close().await;
        assert_eq!(diary, ["1 Schedule [0]", "101 Schedule [0]"]);
    }

    #[tokio::test(start_paused = true)]
    async fn other_jobs_run_beside_a_long_round() {
        let yard = Yard::open(vec![], seconds(100));
        yard.due(&[0]);
        sleep(seconds(10)).await;
        yard.due(&[0, 1]);
        sleep(seconds(200)).await;
        let (diary, _) = yard.close().await;
        assert_eq!(diary, ["1 Schedule [0]", "11 Schedule [1]", "101 Schedule [0]"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_has_ended_need_not_wait_for_the_others_of_its_round() {
        let yard = Yard::open(vec![0, 1], seconds(100));
        sleep(seconds(5)).await;
        yard.ends(0, Outcome::Calm);
        yard.due(&[0, 1]);
        sleep(seconds(200)).await;
        let (diary, _) = yard.close().await;
        assert_eq!(diary, ["0 Start [0, 1]", "6 Schedule [0]", "100 Schedule [1]"]);
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_four_rounds_at_most_and_the_rest_waits_for_the_first_that_ends() {
        let yard = Yard::open(vec![], seconds(100));
        for job in 0..7 {
            yard.due(&[job]);
            sleep(seconds(2)).await;
        }
        sleep(seconds(300)).await;
        let (diary, _) = yard.close().await;
        let expected =
            ["1 Schedule [0]", "3 Schedule [1]", "5 Schedule [2]", "7 Schedule [3]", "101 Schedule [4, 5, 6]"];
        assert_eq!(diary, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_that_breaks_down_stops_nobody() {
        let yard = Yard::with(vec![0], || async { panic!("on purpose") });
        sleep(seconds(5)).await;
        yard.due(&[0]);
        sleep(seconds(5)).await;
        let (diary, cut_off) = yard.close().await;
        assert_eq!((diary.len(), cut_off), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_is_a_round_of_its_own_kind_and_a_tick_takes_it_along() {
        let yard = Yard::open(vec![], seconds(1));
        yard.due.put(0, Due::Retry);
        sleep(seconds(10)).await;
        yard.due.put(0, Due::Retry);
        yard.due(&[1]);
        sleep(seconds(10)).await;
        let (diary, _) = yard.close().await;
        assert_eq!(diary, ["1 Retry [0]", "11 Schedule [0, 1]"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_planned_again_whether_its_run_was_logged_or_the_round_broke_off() {
        let yard = Yard::with(vec![0, 1, 2], || async {
            sleep(seconds(5)).await;
            Outcome::Failed
        });
        sleep(seconds(1)).await;
        yard.ends(0, Outcome::Failed);
        yard.ends(1, Outcome::Calm);
        sleep(seconds(10)).await;
        let tries = yard.retries.with(|retries| [0, 1, 2].map(|job| retries.next(job).is_some()));
        assert_eq!(tries, [true, false, true]);
        yard.due(&[0]);
        sleep(seconds(2)).await;
        assert_eq!(yard.retries.with(|retries| retries.next(0)), None, "it runs");
        yard.close().await;
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_waits_for_a_round_but_not_for_ever() {
        let started = Instant::now();
        let (_, cut_off) = Yard::open(vec![0], seconds(7)).settle().await.close().await;
        assert_eq!((started.elapsed().as_secs(), cut_off), (7, 0));

        let (started, never) = (Instant::now(), Arc::new(Notify::new()));
        let yard = Yard::with(vec![0], move || {
            let never = Arc::clone(&never).notified_owned();
            async move {
                never.await;
                Outcome::Calm
            }
        });
        let (_, cut_off) = yard.settle().await.close().await;
        assert_eq!((started.elapsed(), cut_off), (GRACE, 1));
    }
}
