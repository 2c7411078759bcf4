//! The way to HQ and back, as its answers tell it: how long it is, and whether an answer had it to itself.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What is known of the way.
#[derive(Debug, Default)]
pub(super) struct Way(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The least that passed before the first byte of an answer.
    length: Option<Duration>,
    /// Bodies that are coming in.
    open: usize,
    /// When the last of them ended.
    ended: Option<Instant>,
}

/// A body that is coming in, for as long as this lives.
#[derive(Debug)]
pub(super) struct Coming<'w>(&'w Way);

impl Way {
    /// How long a request and an answer of no length take; `None` before the first answer.
    pub(super) fn length(&self) -> Option<Duration> {
        self.known().length
    }

    /// The first byte of an answer came `now`, so long after its request. Gives how much of that HQ took: what passed
    /// beyond the length of the way; `None` where another body was on the line, which may have held it up.
    pub(super) fn first_byte(&self, now: Instant, until_first: Duration) -> (Option<Duration>, Coming<'_>) {
        let mut known = self.known();
        let length = known.length.unwrap_or(until_first);
        let has_just_ended = known.ended.is_some_and(|ended| now.saturating_duration_since(ended) < length / 4);
        let is_alone = known.open == 0 && !has_just_ended;
        known.length = Some(length.min(until_first));
        known.open += 1;
        (is_alone.then(|| until_first.saturating_sub(length)), Coming(self))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        let mut known = self.0.known();
        known.open = known.open.saturating_sub(1);
        known.ended = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_passes_beyond_the_quickest_answer_is_hqs() {
        let way = Way::default();
        let now = Instant::now();
        assert_eq!(way.length(), None);
        let told = [70, 50, 90].map(|ms: u32| way.first_byte(now + ms * 10 * MS, ms * MS).0);
        // The bodies ended before, by the clock of the test.
        assert_eq!(told, [Some(Duration::ZERO), Some(Duration::ZERO), Some(40 * MS)]);
        assert_eq!(way.length(), Some(50 * MS));
    }

    #[test]
    fn an_answer_behind_another_tells_nothing_of_hq() {
        let way = Way::default();
        let now = Instant::now();
        let (_, first) = way.first_byte(now, 50 * MS);
        assert_eq!(way.first_byte(now + 900 * MS, 900 * MS).0, None, "while its body came");
        drop(first);
        let ended = Instant::now();
        assert_eq!(way.first_byte(ended + 5 * MS, 900 * MS).0, None, "right behind it");
        assert_eq!(way.first_byte(ended + 200 * MS, 900 * MS).0, Some(850 * MS), "the line was silent");
    }
}
