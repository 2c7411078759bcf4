//! Deletes that the outlet's own database refuses: a sale still refers to the item, or a trigger says no.
//!
//! They hold back neither other deletes nor the watermarks, which do not tell of them a second time. So they are remembered by
//! name, HQ is asked about them with every run, and they are tried again; the run says at its end what stays.

use std::collections::BTreeSet;

use super::Error;
use super::gone::CHUNK;
use super::page::Step;
use super::retire::Gone;
use super::run::Work;
use crate::conflict::Care;
use crate::record::Stamp;
use crate::store;

/// Records that are named where a run says what stays.
const SAID: usize = 5;

/// What the database refused to let go in a run.
#[derive(Debug, Default)]
pub(super) struct Refused {
    names: BTreeSet<String>,
    /// What it said of the first.
    cause: Option<store::Error>,
}

impl Refused {
    /// How many rows stay.
    pub(super) fn count(&self) -> u64 {
        self.names.len() as u64
    }

    /// Whether this one was tried already.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Adds what the database said of one.
    pub(super) fn add(&mut self, name: &str, cause: store::Error) {
        self.names.insert(name.to_owned());
        self.cause.get_or_insert(cause);
    }

    /// The error, once; it is none where nothing was refused.
    fn take_error(&mut self, table: &str) -> Result<(), Error> {
        let Some(cause) = self.cause.take() else { return Ok(()) };
        let said: Vec<String> = self.names.iter().take(SAID).map(|name| format!("{name:?}")).collect();
        let (said, more) = (said.join(", "), self.names.len().saturating_sub(SAID));
        let stay = match (self.names.len(), more) {
            (1, _) => format!("{said} stays, and is tried again with each run"),
            (_, 0) => format!("{said} stay, and are tried again with each run"),
            (_, more) => format!("{said} and {more} more stay, and are tried again with each run"),
        };
        Err(Error::store(format!("removing rows from table {table}: {stay}"))(cause))
    }
}

impl Work<'_> {
    /// The run's error where the database refused to let rows go, and nobody was told yet.
    pub(super) fn all_let_go(&mut self) -> Result<(), Error> {
        self.refused.take_error(&self.job.table)
    }

    /// Remembers what the database refused to let go.
    pub(super) async fn note_refused(&mut self, refused: &[(String, Stamp)]) -> Result<(), Error> {
        if refused.is_empty() {
            return Ok(());
        }
        let noting = || Error::store("noting deletes that were refused");
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        tx.note_refused(&self.job.name, refused, self.engine.clock.now()).await.map_err(noting())?;
        tx.commit().await.map_err(noting())
    }

    /// Tries again what the database refused to let go in the runs before, where HQ still has it not.
    pub(super) async fn retry_refused(&mut self) -> Result<(), Error> {
        if !self.has_refused {
            return Ok(());
        }
        let reading = || Error::store("reading which deletes were refused");
        let noted = self.engine.store.refused(&self.job.name, CHUNK).await.map_err(reading())?;
        let names: Vec<&str> = noted.iter().map(|(name, _)| name.as_str()).collect();
        let mut gone: BTreeSet<String> = BTreeSet::new();
        let mut rest = names.as_slice();
        while !rest.is_empty() {
            self.go_on()?;
            let some = rest.get(..self.page_size.get()).unwrap_or(rest);
            let fate = self.fetch_news(some).await?;
            // One that has come back is as good as any other that was asked for by name.
            let too_large = fate.too_large.into_iter().map(|name| (name, Stamp::never()));
            self.park_oversized(&too_large.collect::<Vec<_>>()).await?;
            self.page(fate.page, Step::new(self.progress.clone(), Care::News)).await?;
            gone.extend(fate.missing.into_iter().chain(fate.outside));
            rest = rest.get(fate.asked..).unwrap_or_default();
        }
        let still = noted.iter().filter(|(name, _)| gone.contains(name));
        let still: Vec<Gone> = still.map(|(name, at)| Gone::at_stamp(name, at)).collect();
        // The limit has let them pass when they were met.
        let confirmed = std::mem::replace(&mut self.has_confirmed_deletes, true);
        let retired = self.retire(&still).await;
        self.has_confirmed_deletes = confirmed;
        retired?;
        let over: Vec<&str> = names.into_iter().filter(|name| !self.refused.has(name)).collect();
        self.forget_refused(&over).await
    }

    async fn forget_refused(&self, names: &[&str]) -> Result<(), Error> {
        if names.is_empty() {
            return Ok(());
        }
        let forgetting = || Error::store("forgetting deletes that were refused");
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        tx.forget_refused(&self.job.name, names).await.map_err(forgetting())?;
        tx.commit().await.map_err(forgetting())
    }
}
