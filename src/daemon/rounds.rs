//! From ticks to rounds: jobs that come due together make one round, and a job runs once at a time.
//!
//! What a round does is the caller's, so that this is about nothing but who runs when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::run::Trigger;

/// Jobs that come due within this time make one round: the ticks of one moment arrive one by one.
const GATHER: Duration = Duration::from_secs(1);

/// Rounds at the same time, at most: they share HQ's rate limit and the outlet's machine.
const MAX_ROUNDS: usize = 4;

/// How long running rounds have to come to an end when the daemon stops.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// What the rounds listen to; jobs are meant by position.
pub(super) struct Lines {
    /// Jobs that come due.
    pub(super) due: UnboundedReceiver<usize>,
    /// Jobs whose run has ended, while their round may go on with others.
    pub(super) ended: UnboundedReceiver<usize>,
}

/// Runs rounds until told to stop, then waits for those that are running. `missed` run at once, as one round. Gives the
/// number of rounds that had to be cut off.
pub(super) async fn run<Round, Running>(
    mut lines: Lines,
    missed: Vec<usize>,
    round: Round,
    stop: &CancellationToken,
) -> usize
where
    Round: Fn(Vec<usize>, Trigger) -> Running,
    Running: Future<Output = ()> + Send + 'static,
{
    let mut board = Board::default();
    if !missed.is_empty() {
        board.start(missed, Trigger::Start, &round);
    }
    loop {
        let gathered = board.gathered_at.unwrap_or_else(Instant::now);
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(job) = lines.ended.recv() => board.job_ended(job),
            Some(ended) = board.rounds.join_next_with_id() => {
                // Said by this round before it ended; read later, it would be taken for a word of the next one.
                while let Ok(job) = lines.ended.try_recv() {
                    board.job_ended(job);
                }
                board.round_ended(ended);
            }
            Some(job) = lines.due.recv() => board.came_due(job),
            () = sleep_until(gathered), if board.gathered_at.is_some() => board.gathered_at = None,
        }
        let free = board.take_free();
        if !free.is_empty() {
            board.start(free, Trigger::Schedule, &round);
        }
    }
    board.drain().await
}

#[derive(Debug, Default)]
struct Board {
    rounds: JoinSet<()>,
    /// The jobs of each round that have not ended.
    running: BTreeMap<Id, BTreeSet<usize>>,
    /// The jobs that wait for a round; one that is running waits for its own end, and is remembered once.
    due: BTreeSet<usize>,
    /// When those that come due together have been gathered; `None` when no gathering is going on.
    gathered_at: Option<Instant>,
}

impl Board {
    fn is_running(&self, job: usize) -> bool {
        self.running.values().any(|jobs| jobs.contains(&job))
    }

    fn came_due(&mut self, job: usize) {
        let is_new = self.due.insert(job);
        if self.is_running(job) {
            if is_new {
                tracing::debug!(job, "the job is due again while it runs; it will run once more after that");
            }
        } else if self.gathered_at.is_none() {
            self.gathered_at = Some(Instant::now() + GATHER);
        }
    }

    fn job_ended(&mut self, job: usize) {
        for jobs in self.running.values_mut() {
            jobs.remove(&job);
        }
    }

    fn round_ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let round = match ended {
            Ok((round, ())) => round,
            Err(error) => {
                // The error quotes the panic, which may hold a value; the panic told of itself.
                let was_stopped = error.is_cancelled();
                tracing::error!(was_stopped, "a round broke down; its jobs run again when they are due");
                error.id()
            }
        };
        self.running.remove(&round);
    }

    /// The jobs that may start now, taken out of those that are due.
    fn take_free(&mut self) -> Vec<usize> {
        if self.gathered_at.is_some() || self.rounds.len() >= MAX_ROUNDS {
            return Vec::new();
        }
        let free: Vec<usize> = self.due.iter().copied().filter(|job| !self.is_running(*job)).collect();
        self.due.retain(|job| !free.contains(job));
        free
    }

    fn start<Round, Running>(&mut self, jobs: Vec<usize>, trigger: Trigger, round: &Round)
    where
        Round: Fn(Vec<usize>, Trigger) -> Running,
        Running: Future<Output = ()> + Send + 'static,
    {
        let started = self.rounds.spawn(round(jobs.clone(), trigger));
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
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
    use tokio::time::sleep;

    use super::*;

    /// Rounds that take as long as the test says, and a diary of their starts as `second jobs`.
    struct Yard {
        due: UnboundedSender<usize>,
        ended: UnboundedSender<usize>,
        stop: CancellationToken,
        diary: Arc<Mutex<Vec<String>>>,
        done: tokio::task::JoinHandle<usize>,
    }

    impl Yard {
        /// Every round takes this long.
        fn open(missed: Vec<usize>, length: Duration) -> Self {
            Self::with(missed, move || sleep(length))
        }

        fn with<F: Future<Output = ()> + Send + 'static>(
            missed: Vec<usize>,
            length: impl Fn() -> F + Send + Sync + 'static,
        ) -> Self {
            let ((due, due_end), (ended, ended_end)) = (unbounded_channel(), unbounded_channel());
            let (stop, diary) = (CancellationToken::new(), Arc::new(Mutex::new(Vec::new())));
            let started = Instant::now();
            let (stopped, written) = (stop.clone(), Arc::clone(&diary));
            let done = tokio::spawn(async move {
                let round = |jobs: Vec<usize>, trigger| {
                    let line = format!("{} {trigger:?} {jobs:?}", started.elapsed().as_secs());
                    written.lock().unwrap().push(line);
                    length()
                };
                run(Lines { due: due_end, ended: ended_end }, missed, round, &stopped).await
            });
            Self { due, ended, stop, diary, done }
        }

        fn due(&self, jobs: &[usize]) {
            for job in jobs {
                self.due.send(*job).unwrap();
            }
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
        yard.ended.send(0).unwrap();
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
    async fn stopping_waits_for_a_round_but_not_for_ever() {
        let started = Instant::now();
        let (_, cut_off) = Yard::open(vec![0], seconds(7)).settle().await.close().await;
        assert_eq!((started.elapsed().as_secs(), cut_off), (7, 0));

        let (started, never) = (Instant::now(), Arc::new(Notify::new()));
        let yard = Yard::with(vec![0], move || Arc::clone(&never).notified_owned());
        let (_, cut_off) = yard.settle().await.close().await;
        assert_eq!((started.elapsed(), cut_off), (GRACE, 1));
    }
}
