//! An engine that takes over from another one in the same process, by another configuration.

use std::sync::Arc;

use super::{Engine, Error, Watcher, clocks};
use crate::config::Config;
use crate::source::frappe::Frappe;
use crate::store::Store;

impl Engine {
    /// An engine by another configuration, which is to take over from this one. What has not changed is shared: the
    /// database's connections, what HQ asked for, what was said already.
    ///
    /// # Errors
    /// As [`Engine::open`]; a database that is not this outlet's.
    pub async fn successor(
        &self,
        config: Arc<Config>,
        path: &std::path::Path,
        watcher: Watcher,
    ) -> Result<Self, Error> {
        let is_same_database = self.config.local.is_same(&config.local);
        let store = if is_same_database {
            self.store.clone()
        } else {
            Store::open(&config.local).await.map_err(Error::store("opening the local database"))?
        };
        let engine = self.succeeded_on(store, config, watcher)?;
        let engine = match &self.guard {
            Some(guard) if is_same_database => Self { guard: Some(Arc::clone(guard)), ..engine },
            Some(_) => engine.guarded(path),
            None => engine,
        };
        engine.recognise().await?;
        Ok(engine)
    }

    /// Whether both work with the same database, as where only its password was changed.
    ///
    /// # Errors
    /// One of the databases cannot be read.
    pub async fn shares_database_with(&self, other: &Self) -> Result<bool, Error> {
        let (ours, theirs) = (&self.config.local, &other.config.local);
        if ours.is_same(theirs) {
            return Ok(true);
        }
        if ours.kind != theirs.kind || ours.shown() != theirs.shown() {
            return Ok(false);
        }
        Ok(self.token().await?.zip(other.token().await?).is_some_and(|(one, two)| one == two))
    }

    fn succeeded_on(&self, store: Store, config: Arc<Config>, watcher: Watcher) -> Result<Self, Error> {
        let is_same_hq = self.config.hq.is_same(&config.hq) && self.config.site.name == config.site.name;
        let hq = if is_same_hq {
            Arc::clone(&self.hq)
        } else {
            let hq = Frappe::after(&self.hq, &config.hq, &config.site.name);
            Arc::new(hq.map_err(Error::source("setting up HQ"))?)
        };
        let known: Arc<clocks::Known> = if is_same_hq { Arc::clone(&self.known) } else { Arc::default() };
        Ok(Self {
            config,
            store,
            hq,
            clock: self.clock.clone(),
            watcher,
            holder: self.holder.clone(),
            known,
            has_said_no_tombstones: if is_same_hq { Arc::clone(&self.has_said_no_tombstones) } else { Arc::default() },
            said: Arc::clone(&self.said),
            tidied: Arc::clone(&self.tidied),
            tells_changes: self.tells_changes,
            totals: self.totals,
            lead: self.lead,
            teller: self.teller,
            guard: None,
        })
    }
}
