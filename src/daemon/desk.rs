//! Where a version that is to take over waits for the rounds to make way: put there by who watches the file, taken by who
//! runs the rounds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::engine::{Ends, Look};
use super::outlet::Address;
use super::rounds::Turn;
use crate::sync::Engine;

/// A version that has been found good, with all that it needs open.
pub(super) struct Offer {
    /// Its text.
    pub(super) text: String,
    /// Its engine.
    pub(super) engine: Arc<Engine>,
    /// The ends of that engine's runs.
    pub(super) ends: Ends,
    /// How its jobs stand.
    pub(super) look: Look,
    /// Its database is that of the version before it.
    pub(super) is_same_database: bool,
    /// Where its status page is, if that is another place than before.
    pub(super) address: Option<Address>,
}

/// The version in force, the one that waits, and how the rounds are told; clones are the same desk.
#[derive(Clone)]
pub(super) struct Desk(Arc<Mutex<State>>);

struct State {
    text: String,
    engine: Arc<Engine>,
    waiting: Option<Offer>,
    turn: Turn,
}

impl Desk {
    /// With this version in force.
    pub(super) fn new(text: String, engine: Arc<Engine>, turn: Turn) -> Self {
        Self(Arc::new(Mutex::new(State { text, engine, waiting: None, turn })))
    }

    /// The text and the engine in force.
    pub(super) fn in_force(&self) -> (String, Arc<Engine>) {
        let state = self.state();
        (state.text.clone(), Arc::clone(&state.engine))
    }

    /// Puts a version there, and has the rounds make way.
    pub(super) fn offer(&self, offer: Offer) {
        let mut state = self.state();
        state.waiting = Some(offer);
        state.turn.wanted.cancel();
    }

    /// Takes back what waits: the file is another one by now.
    pub(super) fn withdraw(&self) {
        self.state().waiting = None;
    }

    /// Begins another turn of rounds, which make way at once where a version came in between.
    pub(super) fn begin(&self, turn: &Turn) {
        let mut state = self.state();
        state.turn = turn.clone();
        if state.waiting.is_some() {
            turn.wanted.cancel();
        }
    }

    /// Takes the version that waits, which is in force from now on.
    pub(super) fn take(&self) -> Option<Offer> {
        let mut state = self.state();
        let offer = state.waiting.take()?;
        (state.text, state.engine) = (offer.text.clone(), Arc::clone(&offer.engine));
        Some(offer)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a few assignments.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
