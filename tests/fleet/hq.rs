//! HQ as Frappe behaves under many outlets: workers, a queue before them, and a time budget in a fixed window.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use milkrun::source::gate::{Budget, Notice};

/// Requests that may wait for a worker; one more gets a 502 of the proxy.
const BACKLOG: usize = 256;

/// `rate_limit` of `site_config.json`: server time for the whole site, all users together (recordings 870-873).
#[derive(Clone, Copy)]
pub(super) struct RateLimit {
    pub(super) budget: Duration,
    pub(super) window: Duration,
}

/// What comes back for one request.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    Ok(Notice),
    TooMany(Notice),
    BadGateway,
    Refused,
}

pub(super) struct Hq {
    limit: RateLimit,
    away: Range<Duration>,
    /// When each worker is free again.
    workers: Vec<Duration>,
    /// When each of the requests that wait is begun.
    waiting: VecDeque<Duration>,
    window: u128,
    used: Duration,
    pub(super) longest_queue: usize,
    pub(super) overflowed: u32,
}

impl Hq {
    pub(super) fn new(workers: usize, limit: RateLimit, away: Range<Duration>) -> Self {
        let (workers, waiting) = (vec![Duration::ZERO; workers], VecDeque::new());
        Self { limit, away, workers, waiting, window: 0, used: Duration::ZERO, longest_queue: 0, overflowed: 0 }
    }

    /// A request that takes a worker for `cost` arrives; gives when it is answered.
    pub(super) fn take(&mut self, now: Duration, cost: Duration) -> (Duration, Answer) {
        if self.away.contains(&now) {
            return (now, Answer::Refused);
        }
        while self.waiting.front().is_some_and(|begun| *begun <= now) {
            self.waiting.pop_front();
        }
        if self.waiting.len() >= BACKLOG {
            self.overflowed += 1;
            return (now, Answer::BadGateway);
        }
        let window = now.as_nanos() / self.limit.window.as_nanos();
        if window != self.window {
            (self.window, self.used) = (window, Duration::ZERO);
        }
        let left_of_window = self.limit.window.as_nanos() * (window + 1) - now.as_nanos();
        let reset = Duration::from_secs(u64::try_from(left_of_window / 1_000_000_000).unwrap() + 1);
        let remaining = self.limit.budget.saturating_sub(self.used);
        let mut budget = Budget { limit: self.limit.budget, remaining, used: None, reset };
        if remaining.is_zero() {
            return (now, Answer::TooMany(Notice { retry_after: Some(reset), budget: Some(budget) }));
        }
        budget.used = Some(cost);
        self.used += cost;
        let free = self.workers.iter_mut().min().unwrap();
        let begun = now.max(*free);
        *free = begun + cost;
        let answered = *free;
        if begun > now {
            self.waiting.push_back(begun);
            self.longest_queue = self.longest_queue.max(self.waiting.len());
        }
        (answered, Answer::Ok(Notice { retry_after: None, budget: Some(budget) }))
    }
}
