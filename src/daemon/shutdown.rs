//! Being told to stop: the first signal asks, the second does not wait.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` with the first SIGTERM or SIGINT; the second ends the process at once, with the exit code that shells
/// give for it. Needs a tokio runtime.
///
/// What is cut off is safe: an open transaction rolls back, and a lease of a dead process is recognised.
pub fn stop_on_signals(stop: &CancellationToken) {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "cannot listen for signals; one that comes ends milkrun at once");
            return;
        }
    };
    let stop = stop.clone();
    tokio::spawn(async move {
        let second = signals.second(&stop).await;
        tracing::warn!(signal = ?second, "leaving at once");
        std::process::exit(second.exit_code());
    });
}

/// A signal that asks milkrun to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    /// SIGINT: Ctrl-C at a terminal.
    Interrupt,
    /// SIGTERM: a service manager.
    Terminate,
}

impl Signal {
    /// The exit code of a process that the signal ended, as shells give it.
    fn exit_code(self) -> i32 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// The signals of this process, from the moment it listens.
#[derive(Debug)]
struct Signals {
    interrupt: Stream,
    terminate: Stream,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Cancels `stop` with the first signal, returns with the second.
    async fn second(&mut self, stop: &CancellationToken) -> Signal {
        let first = self.next().await;
        tracing::info!(signal = ?first, "stopping at the next page; a second signal does not wait");
        stop.cancel();
        self.next().await
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Signal::Interrupt,
            Some(()) = self.terminate.recv() => Signal::Terminate,
            // Neither stream ends while the process lives.
            else => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn send(signal: &str) {
        let killed = Command::new("kill").args([signal, &std::process::id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    #[tokio::test]
    async fn the_first_signal_asks_and_the_second_leaves() {
        let (mut signals, stop) = (Signals::listen().unwrap(), CancellationToken::new());
        let asked = stop.clone();
        let told = tokio::spawn(async move { signals.second(&asked).await });
        send("-TERM");
        stop.cancelled().await;
        assert!(!told.is_finished());
        send("-INT");
        assert_eq!(told.await.unwrap(), Signal::Interrupt);
        assert_eq!([Signal::Interrupt, Signal::Terminate].map(Signal::exit_code), [130, 143]);
    }
}
