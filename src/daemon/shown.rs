//! What the status page is given to show, and what is asked for a sign of life: the engine in force, whichever that is.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::engine::read;
use super::notice::Notice;
use super::snapshot::Snapshot;
use super::status::Read;
use crate::sync::Engine;

/// What the status page shows: the engine in force, or why there is none yet; clones show the same.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    engine: Arc<Mutex<Result<Arc<Engine>, String>>>,
    notice: Arc<OnceLock<Arc<Notice>>>,
}

impl Default for Shown {
    fn default() -> Self {
        let starting = Err("milkrun is starting".to_owned());
        Self { engine: Arc::new(Mutex::new(starting)), notice: Arc::default() }
    }
}

impl Shown {
    /// Shows this engine from now on, or why there is none.
    pub(super) fn set(&self, engine: Result<Arc<Engine>, String>) {
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = engine;
    }

    /// Shows also which version is in force.
    pub(super) fn show_version(&self, notice: &Arc<Notice>) {
        self.notice.get_or_init(|| Arc::clone(notice));
    }

    fn engine(&self) -> Result<Arc<Engine>, String> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the local database of the engine a small question; whatever it answers is an answer.
    pub(super) fn touch(&self) -> impl Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + use<> {
        let shown = self.clone();
        move || {
            let engine = shown.engine();
            Box::pin(async move {
                let Ok(engine) = engine else { return };
                if let Err(error) = engine.store().aside().lease("").await {
                    tracing::debug!(%error, "the local database, asked for a sign of life, said no");
                }
            })
        }
    }

    /// What the page is made of.
    pub(super) fn read(&self) -> Read {
        let shown = self.clone();
        Arc::new(move || {
            let (engine, notice) = (shown.engine(), shown.notice.get().cloned());
            Box::pin(async move {
                let engine = engine?;
                let snapshot = read(engine.config(), &engine.store().aside(), engine.clock().now()).await;
                let version = notice.map(|notice| notice.version());
                snapshot.map(|snapshot| Snapshot { version, ..snapshot }).map_err(|error| error.chain())
            })
        })
    }
}
