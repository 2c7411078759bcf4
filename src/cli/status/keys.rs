//! Keys that end a live look. The terminal gives them one by one meanwhile, without showing them, and is as before
//! afterwards.

use std::io::{self, IsTerminal as _, Read as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// The keys, as long as somebody may press one.
#[derive(Debug)]
pub(super) struct Keys {
    ended: Option<mpsc::UnboundedReceiver<()>>,
    before: Option<Termios>,
}

impl Keys {
    /// Nobody presses keys.
    pub(super) fn none() -> Self {
        Self { ended: None, before: None }
    }

    /// Listens on a thread of its own, which ends with the process.
    pub(super) fn listen() -> Self {
        if !io::stdin().is_terminal() {
            return Self::none();
        }
        let Ok(before) = tcgetattr(io::stdin()) else { return Self::none() };
        let mut one_by_one = before.clone();
        one_by_one.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        if tcsetattr(io::stdin(), OptionalActions::Now, &one_by_one).is_err() {
            return Self::none();
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut key = [0_u8];
            while io::stdin().read_exact(&mut key).is_ok() {
                if matches!(&key, b"q" | b"Q") && sender.send(()).is_err() {
                    return;
                }
            }
        });
        Self { ended: Some(receiver), before: Some(before) }
    }

    /// Waits for a key that ends it; for ever where nobody can press one.
    pub(super) async fn ended(&mut self) {
        let has_ended = match &mut self.ended {
            Some(ended) => ended.recv().await.is_some(),
            None => false,
        };
        if !has_ended {
            std::future::pending().await
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that is gone needs no setting back.
            tcsetattr(io::stdin(), OptionalActions::Now, before).ok();
        }
    }
}
