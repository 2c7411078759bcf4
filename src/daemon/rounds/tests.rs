use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::time::sleep;

use super::super::retries::tests::retries;
use super::super::ticker::tests::clock_from;
use super::*;

/// Eight jobs that wait for nobody.
const NO_ORDER: [&[usize]; 8] = [&[]; 8];

/// Rounds that take as long as the test says, and a diary of their starts as `second jobs`.
struct Yard {
    due: Inbox<BTreeSet<Due>>,
    ended: Inbox<End>,
    retries: Shared,
    clock: Clock,
    stop: CancellationToken,
    diary: Arc<Mutex<Vec<String>>>,
    done: tokio::task::JoinHandle<Over>,
    turn: Turn,
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
        Self::in_order(&NO_ORDER, Left::at_once(missed), move |_jobs| length())
    }

    /// Jobs, each after those named.
    fn in_order<F: Future<Output = Outcome> + Send + 'static>(
        after: &[&[usize]],
        left: Left,
        length: impl Fn(&[usize]) -> F + Send + Sync + 'static,
    ) -> Self {
        let (due, ended, clock) = (Inbox::default(), Inbox::default(), clock_from("2027-01-01T20:30:00Z"));
        let nightly: Vec<(&str, &[usize])> = after.iter().map(|after| ("0 0 2 * * *", *after)).collect();
        let retries = Shared::new(retries("outlet-042", &nightly));
        let (stop, diary) = (CancellationToken::new(), Arc::new(Mutex::new(Vec::new())));
        let started = Instant::now();
        let turn = Turn::under(&stop);
        let (stopped, turned, written) = (stop.clone(), turn.clone(), Arc::clone(&diary));
        let (due_to, ended_to, tries, clock_of) = (due.clone(), ended.clone(), retries.clone(), clock.clone());
        let done = tokio::spawn(async move {
            let round = |jobs: Vec<usize>, trigger| {
                let line = format!("{} {trigger:?} {jobs:?}", started.elapsed().as_secs());
                written.lock().unwrap().push(line);
                length(&jobs)
            };
            let pulse = Pulse::default();
            let lines = Lines { due: &due_to, ended: &ended_to, retries: &tries, clock: &clock_of, pulse: &pulse };
            run(lines, left, round, &turned, &stopped).await
        });
        Self { due, ended, retries, clock, stop, diary, done, turn }
    }

    fn due(&self, jobs: &[usize]) {
        for job in jobs {
            self.due.add(*job, Due::Tick);
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
        let Over::Stopped(cut_off) = self.done.await.unwrap() else { panic!("nobody was to make way") };
        (self.diary.lock().unwrap().clone(), cut_off)
    }

    /// Asks the rounds to make way; what was left, and after how many seconds.
    async fn make_way(self) -> (Left, u64) {
        let asked = Instant::now();
        self.turn.wanted.cancel();
        let Over::Turned(left) = self.done.await.unwrap() else { panic!("nobody was to stop") };
        (left, asked.elapsed().as_secs())
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn reconciles_go_one_by_one_after_the_runs_that_are_due() {
    let yard = Yard::open(vec![], seconds(5));
    yard.due.add(0, Due::Reconcile);
    yard.due.add(1, Due::Reconcile);
    yard.due(&[2]);
    sleep(seconds(30)).await;
    let (diary, _) = yard.close().await;
    assert_eq!(diary, ["1 Schedule [2]", "6 Reconcile [0]", "11 Reconcile [1]"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_for_its_reconcile_is_polled_meanwhile() {
    let yard = Yard::open(vec![], seconds(100));
    yard.due.add(0, Due::Reconcile);
    yard.due.add(1, Due::Reconcile);
    sleep(seconds(10)).await;
    yard.due(&[1]);
    sleep(seconds(400)).await;
    let (diary, _) = yard.close().await;
    assert_eq!(diary, ["1 Reconcile [0]", "11 Schedule [1]", "111 Reconcile [1]"]);
}

#[tokio::test(start_paused = true)]
async fn a_tick_and_a_reconcile_of_one_moment_are_both_kept() {
    let yard = Yard::open(vec![], seconds(5));
    yard.due(&[0]);
    yard.due.add(0, Due::Reconcile);
    sleep(seconds(30)).await;
    let (diary, _) = yard.close().await;
    assert_eq!(diary, ["1 Schedule [0]", "6 Reconcile [0]"]);
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
    yard.due.add(3, Due::Reconcile);
    sleep(seconds(60)).await;
    yard.due.add(3, Due::Retry);
    sleep(seconds(60)).await;
    let (diary, _) = yard.close().await;
    assert_eq!(diary, ["1 Reconcile [3]", "61 Retry [3]", "66 Reconcile [3]"]);
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_that_is_owed_is_tried_at_growing_distances_until_it_has_ended_well() {
    let mut left = Left::default();
    left.owe([3]);
    let rounds = Arc::new(Mutex::new(0));
    let yard = Yard::in_order(&NO_ORDER, left, move |_jobs| {
        let mut count = rounds.lock().unwrap();
        *count += 1;
        // The first and the third are reconciles: one that is blocked, and one that fails.
        let outcome = [Outcome::Blocked, Outcome::Calm, Outcome::Failed].get(*count - 1).copied();
        async move {
            sleep(seconds(5)).await;
            outcome.unwrap_or(Outcome::Calm)
        }
    });
    sleep(seconds(60)).await;
    for _ in 0..6 {
        yard.due(&[3]);
        sleep(seconds(60)).await;
    }
    let (diary, _) = yard.close().await;
    let reconciles: Vec<&String> = diary.iter().filter(|line| line.contains("Reconcile")).collect();
    assert_eq!(reconciles, ["0 Reconcile [3]", "66 Reconcile [3]", "186 Reconcile [3]"], "{diary:#?}");
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

/// As long as the slowest of its jobs, of which the first takes its time.
fn with_a_slow_first(slow: u64) -> impl Fn(&[usize]) -> std::pin::Pin<Box<dyn Future<Output = Outcome> + Send>> {
    move |jobs| {
        let length = seconds(if jobs.contains(&0) { slow } else { 5 });
        Box::pin(async move {
            sleep(length).await;
            Outcome::Calm
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_waits_for_the_one_that_it_comes_after_and_then_goes_with_it() {
    let yard = Yard::in_order(&[&[], &[0], &[1], &[]], Left::default(), with_a_slow_first(100));
    yard.due(&[0]);
    sleep(seconds(10)).await;
    // Of the second one it is the first that the third one waits for.
    yard.due(&[0, 1, 3]);
    sleep(seconds(10)).await;
    yard.due(&[2]);
    sleep(seconds(300)).await;
    let (diary, _) = yard.close().await;
    assert_eq!(diary, ["1 Schedule [0]", "11 Schedule [3]", "101 Schedule [0, 1, 2]"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_waits_no_longer_once_the_one_before_it_has_ended_in_its_round() {
    let yard = Yard::in_order(&[&[], &[0], &[]], Left::default(), with_a_slow_first(100));
    yard.due(&[0, 2]);
    sleep(seconds(10)).await;
    yard.due(&[1]);
    sleep(seconds(20)).await;
    yard.ends(0, Outcome::Calm);
    sleep(seconds(10)).await;
    let (diary, _) = yard.close().await;
    assert_eq!(diary, ["1 Schedule [0, 2]", "30 Schedule [1]"]);
}

#[tokio::test(start_paused = true)]
async fn no_job_waits_for_ever_for_one_that_does_not_end() {
    let yard = Yard::in_order(&[&[], &[0], &[]], Left::default(), with_a_slow_first(100_000));
    yard.due(&[0]);
    sleep(seconds(10)).await;
    yard.due(&[1]);
    yard.due.add(1, Due::Reconcile);
    yard.due.add(2, Due::Reconcile);
    sleep(seconds(4_000)).await;
    let (diary, _) = yard.close().await;
    assert_eq!(diary, ["1 Schedule [0]", "11 Reconcile [2]", "3611 Schedule [1]", "3616 Reconcile [1]"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_reconcile_of_the_job_before_unless_that_is_due_as_well() {
    let yard = Yard::in_order(&[&[], &[0]], Left::default(), with_a_slow_first(100));
    yard.due.add(0, Due::Reconcile);
    sleep(seconds(10)).await;
    yard.due(&[1]);
    sleep(seconds(20)).await;
    yard.due(&[0, 1]);
    sleep(seconds(200)).await;
    let (diary, _) = yard.close().await;
    assert_eq!(diary, ["1 Reconcile [0]", "11 Schedule [1]", "101 Schedule [0, 1]"]);
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
    let expected = ["1 Schedule [0]", "3 Schedule [1]", "5 Schedule [2]", "7 Schedule [3]", "101 Schedule [4, 5, 6]"];
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
    yard.due.add(0, Due::Retry);
    sleep(seconds(10)).await;
    yard.due.add(0, Due::Retry);
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

#[tokio::test(start_paused = true)]
async fn who_is_to_make_way_starts_nothing_and_keeps_what_comes_due() {
    let yard = Yard::open(vec![0], seconds(20)).settle().await;
    yard.due(&[0, 1]);
    yard.due.add(2, Due::Reconcile);
    yard.due.add(3, Due::Retry);
    let diary = Arc::clone(&yard.diary);
    let (left, waited) = yard.make_way().await;
    assert_eq!(waited, 20);
    assert_eq!(*diary.lock().unwrap(), ["0 Start [0]"]);
    assert_eq!(left.due, BTreeMap::from([(0, Due::Tick), (1, Due::Tick), (3, Due::Retry)]));
    assert_eq!(left.reconciles, BTreeSet::from([2]));
}

#[tokio::test(start_paused = true)]
async fn a_long_round_is_told_to_stop_and_its_jobs_that_have_not_ended_go_on() {
    let told = Arc::new(Notify::new());
    let stopping = Arc::clone(&told);
    let yard = Yard::with(vec![0, 1], move || {
        let told = Arc::clone(&stopping).notified_owned();
        async move {
            told.await;
            Outcome::Stopped
        }
    });
    let yard = yard.settle().await;
    yard.ends(0, Outcome::Calm);
    let halted = yard.turn.halt.clone();
    tokio::spawn(async move {
        halted.cancelled().await;
        told.notify_waiters();
    });
    let (left, waited) = yard.make_way().await;
    assert_eq!(waited, PATIENCE.as_secs());
    assert_eq!(left, Left::at_once([1]));
}

#[tokio::test(start_paused = true)]
async fn a_round_that_does_not_hear_is_cut_off_and_its_reconcile_goes_on() {
    let yard = Yard::with(vec![], || async {
        std::future::pending::<()>().await;
        Outcome::Calm
    });
    yard.due.add(4, Due::Reconcile);
    // What comes due is gathered first.
    sleep(seconds(2)).await;
    let (left, waited) = yard.settle().await.make_way().await;
    assert_eq!(waited, (PATIENCE + GRACE).as_secs());
    assert_eq!((left.due.len(), left.reconciles), (0, BTreeSet::from([4])));
}

#[test]
fn what_is_left_finds_its_jobs_in_another_order_and_forgets_those_that_are_gone() {
    let mut left = Left::at_once([0, 2]);
    left.add(1, Due::Reconcile);
    left.add(1, Due::Retry);
    let moved = left.moved(|job| [None, Some(5), Some(0)][job]);
    assert_eq!(moved.due, BTreeMap::from([(5, Due::Retry), (0, Due::Start)]));
    assert_eq!(moved.reconciles, BTreeSet::from([5]));
}
