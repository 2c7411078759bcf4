//! When to try again: arithmetic only, no sleeping and no clock.

use std::time::Duration;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same may succeed later by itself; not before the given time, where HQ named one.
    Later(Option<Duration>),
    /// Nothing changes until a person does something: credentials, permission, mapping, a limit.
    ByPerson,
}

/// Who tells of an error: what comes next by itself differs with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Teller {
    /// The daemon, which tries again what failed.
    Daemon,
    /// A command, after whose end nobody tries anything again.
    Command,
}

impl Teller {
    /// `first`, which may help, and what comes then.
    #[must_use]
    pub fn again(self, first: &str) -> String {
        match self {
            Self::Daemon => format!("{first}; milkrun tries again on schedule"),
            Self::Command => format!("{first}, then run the command again"),
        }
    }

    /// What comes by itself, or has to be done in its place.
    #[must_use]
    pub fn or(self, by_itself: &str, by_hand: &str) -> String {
        match self {
            Self::Daemon => by_itself,
            Self::Command => by_hand,
        }
        .to_owned()
    }
}

/// Exponential backoff with full jitter.
///
/// Each wait is drawn evenly from zero to the doubled bound, so that a thousand outlets that failed together do not come back together
/// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// How often a request is sent in all, the first time included.
    pub max_attempts: u32,
    /// The bound of the first wait.
    pub first_delay: Duration,
    /// No wait is longer.
    pub max_delay: Duration,
}

impl Backoff {
    /// The wait after the `failed`-th attempt (from 1), or `None` when no attempt is left. `jitter` is in `0.0..1.0`.
    /// A `Retry-After` of HQ is the least wait; one beyond `max_delay` ends the attempts, as the run is better ended.
    #[must_use]
    pub fn wait(&self, failed: u32, after: Option<Duration>, jitter: f64) -> Option<Duration> {
        if failed >= self.max_attempts {
            return None;
        }
        let doubled = self.first_delay.saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1)));
        let drawn = doubled.min(self.max_delay).mul_f64(jitter.clamp(0.0, 1.0));
        match after {
            Some(least) if least > self.max_delay => None,
            Some(least) => Some(least.saturating_add(drawn.min(self.first_delay))),
            None => Some(drawn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { max_attempts: 4, first_delay: Duration::from_millis(500), max_delay: Duration::from_secs(120) };

    #[test]
    fn waits_double_up_to_the_cap_and_end_with_the_attempts() {
        let bounds: Vec<_> = (1..=4).map(|failed| BACKOFF.wait(failed, None, 1.0)).collect();
        let millis = |n| Some(Duration::from_millis(n));
        assert_eq!(bounds, [millis(500), millis(1000), millis(2000), None]);
        let long = Backoff { max_attempts: u32::MAX, ..BACKOFF };
        assert_eq!(long.wait(4_000_000, None, 1.0), Some(long.max_delay));
    }

    #[test]
    fn a_retry_after_is_never_cut_short_and_one_beyond_the_cap_ends_the_attempts() {
        let after = Some(Duration::from_secs(7));
        assert!(BACKOFF.wait(1, after, 0.0) >= after);
        assert_eq!(BACKOFF.wait(1, Some(Duration::from_secs(121)), 0.5), None);
    }
}
