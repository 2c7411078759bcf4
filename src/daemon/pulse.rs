//! Signs of life: the ticker looks, and the rounds' loop answers when it is asked. A task that only counts time would tell
//! of neither.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// What has given no sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Still {
    /// Nothing would come due any more.
    Ticker,
    /// Nothing would be started any more.
    Rounds,
}

/// The signs of one daemon; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse(Arc<Signs>);

#[derive(Debug, Default)]
struct Signs {
    asked: Notify,
    answers: watch::Sender<u64>,
    looks: watch::Sender<u64>,
}

impl Pulse {
    /// The ticker has looked at the schedules.
    pub(super) fn looked(&self) {
        self.0.looks.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Waits until the rounds' loop is asked for a sign.
    pub(super) async fn asked(&self) {
        self.0.asked.notified().await;
    }

    /// The rounds' loop gives it.
    pub(super) fn answer(&self) {
        self.0.answers.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Waits for a sign of both.
    ///
    /// # Errors
    /// What gave none in time.
    pub(super) async fn felt(&self, patience: Duration) -> Result<(), Still> {
        let (mut looks, mut answers) = (self.0.looks.subscribe(), self.0.answers.subscribe());
        self.0.asked.notify_one();
        let (looked, answered) = tokio::join!(timeout(patience, looks.changed()), timeout(patience, answers.changed()));
        match (looked, answered) {
            (Err(_elapsed), _) => Err(Still::Ticker),
            (Ok(_), Err(_elapsed)) => Err(Still::Rounds),
            (Ok(_), Ok(_)) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn life_is_felt_while_the_ticker_looks_and_the_loop_answers_and_not_when_either_stands_still() {
        let pulse = Pulse::default();
        let looking = pulse.clone();
        let ticker = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                looking.looked();
            }
        });
        let answering = pulse.clone();
        let rounds = tokio::spawn(async move {
            loop {
                answering.asked().await;
                answering.answer();
            }
        });
        assert_eq!(pulse.felt(PATIENCE).await, Ok(()));
        assert_eq!(pulse.felt(PATIENCE).await, Ok(()));
        rounds.abort();
        assert_eq!(pulse.felt(PATIENCE).await, Err(Still::Rounds));
        ticker.abort();
        assert_eq!(pulse.felt(PATIENCE).await, Err(Still::Ticker));
    }
}
