//! Comparing all of HQ with all of the outlet, and repairing: what no watermark can see. Renames, merges, edits that
//! left `modified` alone, deletes without a trace, rows that were removed here.
//!
//! It begins as an ordinary run does and then
//!
//! 1. walks HQ's list (`walk.rs`) under the job's filters: what the ledger holds at another stamp is fetched, what it does
//!    not hold at all is remembered; as far as the requests allow the pages are whole records, whose fingerprints are
//!    compared (`values.rs`);
//! 2. walks the ledger (`missing.rs`): which of its records HQ's list did not hold, without holding either (`digest.rs`),
//!    and whose row is not there;
//! 3. pairs those that are gone with those that are new (`renames.rs`), so that a renamed record's row moves;
//! 4. fetches what is new here, lets go of what is gone, within the job's `delete_limit`, and says in one sentence how
//!    the two compare.
//!
//! A walk that was cut goes on from its last page. All writing goes the way of a page.

mod digest;
mod missing;
mod renames;
mod values;
mod walk;

use std::collections::HashSet;

use self::missing::Missing;
use self::walk::Walk;
use super::gone::{Burial, Tombstones};
use super::page::Step;
use super::retire::Gone;
use super::run::Work;
use super::{Error, poll};
use crate::conflict::Care;
use crate::quarantine::Parked;
use crate::reconciled::Reconciled;
use crate::record::Stamp;
use crate::run::Counts;
use crate::store::{self, Standing};

/// Names asked about in one request: 20,000 in one body were no trouble for a real HQ (recording 541).
const ASKED_AT_ONCE: usize = 5_000;

/// Lines of the ledger read at once.
const LINES: usize = 5_000;

impl Work<'_> {
    pub(super) async fn reconcile(
        &mut self,
        all_values: bool,
        tombstones: &Tombstones,
        parked: &[Parked],
    ) -> Result<(), Error> {
        self.learn_zone().await?;
        // All ways in which a row can go are judged together: nothing is let go of before the end.
        let burial = self.read_tombstones(tombstones).await?;
        self.retry_due(parked).await?;
        self.reconsider().await?;
        if !self.is_loaded() {
            self.pass(false).await?;
        }
        let read = self.read_changes().await?;
        let (mut walk, mut standing) = self.take_up(all_values).await?;
        self.compare_list(&mut walk, &mut standing).await?;
        self.compare_values_on(&mut walk, &mut standing).await?;
        let mut missing = self.missing(&walk).await?;
        self.move_renamed(&mut walk, &mut missing).await?;
        self.take_newcomers(&mut walk).await?;
        self.make_again(&mut walk, &missing).await?;
        let (undecided, waiting) = match self.let_go(&mut walk, missing, burial, &read).await {
            Ok(()) => (0, Ok(())),
            Err((waiting, error)) if may_wait(&error) => (waiting, Err(error)),
            Err((_, error)) => return Err(error),
        };
        self.report(walk, standing, undecided, waiting.as_ref().err()).await?;
        waiting
    }

    /// Lets go of what is gone; gives beside an error how many rows it leaves undecided.
    async fn let_go(
        &mut self,
        walk: &mut Walk,
        missing: Missing,
        burial: Option<Burial>,
        read: &poll::Read,
    ) -> Result<(), (u64, Error)> {
        let Missing { gone, outside, rowless: _, edited: _, lost, unproven } = missing;
        if let Some(error) = unproven {
            return Err((lost, error));
        }
        let told = |name: &String| burial.as_ref().and_then(|burial| burial.gone.get(name).cloned());
        let gone = gone.into_iter().map(|name| Gone { at: told(&name), name });
        let left = outside.iter().map(|(name, at)| Gone { name: name.clone(), at: Some(at.clone()) });
        let gone: Vec<Gone> = gone.chain(left).collect();
        let names: Vec<&str> = gone.iter().map(|gone| gone.name.as_str()).collect();
        let undecided = gone.len() as u64;
        let letting_go = async {
            self.retire(&gone).await?;
            walk.repaired.gone += undecided;
            self.forget_parked(&names).await?;
            self.note_absent(&outside).await?;
            if let Some(burial) = burial {
                self.end_burial(burial).await?;
            }
            self.end_poll(read).await
        };
        letting_go.await.map_err(|error| (undecided, error))
    }

    /// Fetches these records and applies them; those that HQ does not show are left to who asked.
    pub(super) async fn take(&mut self, names: &[String], care: Care) -> Result<(), Error> {
        let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut rest = wanted.as_slice();
        while !rest.is_empty() {
            self.go_on()?;
            let some = rest.get(..self.page_size.get()).unwrap_or(rest);
            let fate = self.fetch_news(some).await?;
            let too_large = fate.too_large.into_iter().map(|name| (name, Stamp::never()));
            self.park_oversized(&too_large.collect::<Vec<_>>()).await?;
            self.page(fate.page, Step { progress: self.progress.clone(), care }).await?;
            rest = rest.get(fate.asked..).unwrap_or_default();
        }
        Ok(())
    }

    /// Fetches what HQ has and the ledger had not.
    async fn take_newcomers(&mut self, walk: &mut Walk) -> Result<(), Error> {
        let names: Vec<String> = std::mem::take(&mut walk.newcomers).into_iter().map(|mark| mark.name).collect();
        let before = self.counts.inserted;
        self.take(&names, Care::News).await?;
        walk.repaired.new += self.counts.inserted - before;
        Ok(())
    }

    /// Has the rows that were removed or edited here looked at; what becomes of them is the conflict rule's to say.
    async fn make_again(&mut self, walk: &mut Walk, missing: &Missing) -> Result<(), Error> {
        let gone: HashSet<&str> = missing
            .gone
            .iter()
            .chain(missing.outside.iter().map(|(name, _)| name))
            .map(String::as_str)
            .collect();
        let living = |names: &[String]| names.iter().filter(|name| !gone.contains(name.as_str())).cloned().collect();
        let (rowless, edited): (Vec<String>, Vec<String>) = (living(&missing.rowless), living(&missing.edited));
        let written = |counts: &Counts| counts.inserted + counts.updated;
        for (names, repaired) in [(rowless, &mut walk.repaired.remade), (edited, &mut walk.repaired.edited)] {
            let before = written(&self.counts);
            self.take(&names, Care::Repair).await?;
            *repaired += written(&self.counts) - before;
        }
        Ok(())
    }

    /// Says and keeps what the reconcile came to.
    async fn report(
        &mut self,
        walk: Walk,
        standing: Standing,
        undecided: u64,
        error: Option<&Error>,
    ) -> Result<(), Error> {
        let reading = || Error::store("reading the ledger");
        let entries = self.engine.store.count_entries(&self.job.name).await.map_err(reading())?;
        let parked: Vec<&str> = self.parked.keys().map(String::as_str).collect();
        let known = self.engine.store.known(&self.job.name, &parked).await.map_err(reading())?;
        // Of those that wait for a decision the ledger may hold none: an insert beside HQ's.
        let open: Vec<&str> = self.open.keys().map(String::as_str).collect();
        let opened = self.engine.store.known(&self.job.name, &open).await.map_err(reading())?;
        let waiting = opened.values().filter(|known| known.present.is_some()).count() as u64;
        let older = known.values().filter(|known| known.present.is_some()).count() as u64;
        let reconciled = Reconciled {
            checked_at: self.engine.clock.now(),
            run: self.run,
            matching: entries.saturating_sub(undecided + older + waiting),
            total: entries + (parked.len() as u64 - older) + (open.len() as u64 - waiting),
            // A record that was saved during the walk was compared twice.
            compared: walk.compared.min(entries),
            repaired: walk.repaired,
            error: error.map(Error::chain),
            remedy: error.map(Error::remedy),
        };
        let keeping = || Error::store("keeping what the reconcile came to");
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        let over = Standing { walk: None, ..standing };
        tx.save_reconcile(&self.job.name, &over).await.map_err(keeping())?;
        tx.save_reconciled(&self.job.name, &reconciled).await.map_err(keeping())?;
        tx.commit().await.map_err(keeping())?;
        let zone = self.engine.config.site.time_zone;
        let sentence = reconciled.sentence(&self.job.name, zone, reconciled.checked_at);
        tracing::info!(job = self.job.name, run = self.run, "{sentence}");
        Ok(())
    }
}

/// Whether this leaves rows that are gone at HQ where they are, and all else repaired.
fn may_wait(error: &Error) -> bool {
    matches!(
        error,
        Error::TooManyGone { .. }
            | Error::Hidden { .. }
            | Error::Vanished { .. }
            | Error::Store { cause: store::Error::Refused { .. }, .. }
    )
}
