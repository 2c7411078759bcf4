//! `hq.max_requests_per_second`, kept as it is written: never more requests than that within any second.
//!
//! So a first load or a round of many jobs may send its first few at once, nobody is held back who asks for less, and who
//! asks all the time gets just the rate.

use std::collections::VecDeque;
use std::time::Duration;

/// What the rate counts in.
const SECOND: Duration = Duration::from_secs(1);

/// When the last requests went.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// Requests within any second at most; `None` for no bound.
    most: Option<usize>,
    /// The oldest first; no more of them than may go in a second.
    sent: VecDeque<Duration>,
}

impl Pace {
    /// A pace of so many requests a second at most; `None` for no bound.
    pub(super) fn new(per_second: Option<u32>) -> Self {
        let most = per_second.map(|most| usize::try_from(most.max(1)).unwrap_or(usize::MAX));
        Self { most, sent: VecDeque::new() }
    }

    /// Lets a request go now, or says how long it has to wait.
    pub(super) fn go(&mut self, now: Duration) -> Result<(), Duration> {
        let Some(most) = self.most else { return Ok(()) };
        if self.sent.len() >= most {
            let free = self.sent.front().map_or(now, |oldest| *oldest + SECOND);
            if now < free {
                return Err(free.saturating_sub(now));
            }
            self.sent.pop_front();
        }
        self.sent.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_any_second_no_more_requests_go_than_are_allowed() {
        let mut pace = Pace::new(Some(3));
        let at = Duration::from_millis;
        assert_eq!([5_000, 5_000, 5_400].map(|now| pace.go(at(now))), [Ok(()); 3]);
        assert_eq!(pace.go(at(5_500)), Err(at(500)));
        assert_eq!([6_000, 6_100].map(|now| pace.go(at(now))), [Ok(()); 2]);
        assert_eq!(pace.go(at(6_100)), Err(at(300)), "the one of 5.4 counts until 6.4");
        assert_eq!(pace.go(at(6_400)), Ok(()));
    }

    #[test]
    fn who_asks_all_the_time_gets_just_the_rate() {
        let mut pace = Pace::new(Some(10));
        let (mut now, mut sent) = (Duration::ZERO, 0);
        while now <= Duration::from_secs(60) {
            match pace.go(now) {
                Ok(()) => sent += 1,
                Err(wait) => now += wait,
            }
        }
        assert_eq!(sent, 61 * 10);
    }

    #[test]
    fn without_a_rate_nobody_waits() {
        let mut pace = Pace::new(None);
        assert!((0..1_000).all(|_| pace.go(Duration::ZERO).is_ok()));
    }
}
