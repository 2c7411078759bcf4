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
//! A walk that was cut goes on from its last page, after all that an ordinary run does. All writing goes the way of a page.

mod digest;
mod missing;
mod renames;
mod values;
mod walk;

use std::collections::{HashMap, HashSet};

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
use crate::record::{Mark, Stamp};
use crate::run::Counts;
use crate::store::Standing;

/// Names asked about in one request: 20,000 in one body were no trouble for a real HQ (recording 541).
const ASKED_AT_ONCE: usize = 5_000;

/// Lines of the ledger read at once.
const LINES: usize = 5_000;

/// What HQ told before the walk, and is carried out after it.
#[derive(Debug, Default)]
struct Heard {
    burial: Option<Burial>,
    read: Option<poll::Read>,
    /// What is new to the ledger.
    left: Vec<Mark>,
}

impl Heard {
    /// The records that HQ told of as deleted, or outside the filters.
    fn names(&self) -> HashSet<String> {
        let gone = self.burial.iter().flat_map(|burial| burial.gone.keys().cloned());
        gone.chain(self.read.iter().flat_map(poll::Read::leavers).map(str::to_owned)).collect()
    }
}

impl Work<'_> {
    pub(super) async fn reconcile(
        &mut self,
        all_values: bool,
        tombstones: &Tombstones,
        parked: &[Parked],
    ) -> Result<(), Error> {
        self.learn_zone().await?;
        let (mut walk, mut standing, was_cut) = self.take_up(all_values).await?;
        let (mut heard, begun) = if was_cut {
            // What HQ did since lies behind the walk, where it does not look again.
            let (deleted, renamed) = (self.counts.deleted, self.renamed);
            let begun = self.ordinary(tombstones, parked, None).await?;
            if self.owed.records.take().is_some() {
                self.save_progress().await?;
            }
            walk.repaired.gone += self.counts.deleted - deleted;
            walk.repaired.renamed += self.renamed - renamed;
            (Heard::default(), begun)
        } else {
            (self.hear(tombstones, parked).await?, Ok(()))
        };
        self.compare_list(&mut walk, &mut standing).await?;
        self.compare_values_on(&mut walk, &mut standing).await?;
        let mut missing = self.missing(&walk, &heard.names()).await?;
        self.move_renamed(&mut walk, &mut missing).await?;
        self.take_newcomers(&mut walk).await?;
        self.take_left(&mut walk, std::mem::take(&mut heard.left)).await?;
        self.make_again(&mut walk, &missing).await?;
        self.look_for_untaken().await?;
        // An HQ that shows nothing at all says nothing of them.
        if walk.shown > 0 {
            self.look_for_parked().await?;
        }
        let (undecided, waiting) = match self.let_go(&mut walk, missing, heard).await {
            Ok(()) => {
                let begun = begun.and_then(|()| self.all_let_go());
                (undecided_of(&begun, self.refused.count()), begun)
            }
            Err((waiting, error)) if may_wait(&error) => (waiting, Err(error)),
            Err((_, error)) => return Err(error),
        };
        self.report(walk, standing, undecided, waiting.as_ref().err()).await?;
        waiting
    }

    /// Does what an ordinary run does, up to what is to be judged together at the end: all ways in which a row can go, and
    /// what is new, as it may have been renamed.
    async fn hear(&mut self, tombstones: &Tombstones, parked: &[Parked]) -> Result<Heard, Error> {
        let burial = self.read_tombstones(tombstones).await?;
        self.retry_due(parked).await?;
        self.reconsider().await?;
        if !self.is_loaded() {
            self.pass(false, None).await?;
        }
        self.left = Some(Vec::new());
        let read = self.read_changes().await;
        let left = self.left.take().unwrap_or_default();
        Ok(Heard { burial, read: Some(read?), left })
    }

    /// Lets go of what is gone; gives beside an error how many rows it leaves undecided.
    async fn let_go(&mut self, walk: &mut Walk, missing: Missing, heard: Heard) -> Result<(), (u64, Error)> {
        let Heard { burial, read, left: _ } = heard;
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
            walk.repaired.gone += self.retire(&gone).await?;
            self.forget_parked(&names).await?;
            self.note_absent(&outside).await?;
            if let Some(burial) = burial {
                self.end_burial(burial).await?;
            }
            match read {
                Some(read) => self.end_poll(&read).await,
                None => Ok(()),
            }
        };
        letting_go.await.map_err(|error| (undecided, error))
    }

    /// Fetches these records and applies them. Gives those that HQ has outside the filters; they, and those that it has
    /// not, are left to who asked.
    pub(super) async fn take(&mut self, marks: &[Mark], care: Care) -> Result<Vec<String>, Error> {
        let stamps: HashMap<&str, &Stamp> = marks.iter().map(|mark| (mark.name.as_str(), &mark.modified)).collect();
        let wanted: Vec<&str> = marks.iter().map(|mark| mark.name.as_str()).collect();
        let mut outside = Vec::new();
        let mut rest = wanted.as_slice();
        while !rest.is_empty() {
            self.go_on()?;
            let some = rest.get(..self.page_size.get()).unwrap_or(rest);
            let fate = self.fetch_news(some).await?;
            let stamp = |name: &str| stamps.get(name).map_or_else(Stamp::never, |stamp| (*stamp).clone());
            let too_large = fate.too_large.iter().map(|name| (name.clone(), stamp(name)));
            self.park_oversized(&too_large.collect::<Vec<_>>()).await?;
            self.page(fate.page, Step::new(self.progress.clone(), care)).await?;
            outside.extend(fate.outside);
            rest = rest.get(fate.asked..).unwrap_or_default();
        }
        Ok(outside)
    }

    /// Fetches what HQ has and the ledger had not.
    async fn take_newcomers(&mut self, walk: &mut Walk) -> Result<(), Error> {
        let marks = std::mem::take(&mut walk.newcomers);
        let before = self.counts.inserted;
        self.take(&marks, Care::News).await?;
        walk.repaired.new += self.counts.inserted - before;
        Ok(())
    }

    /// Fetches what the poll left to the walk and the walk did not bring: the watermark settles past it.
    async fn take_left(&mut self, walk: &mut Walk, mut left: Vec<Mark>) -> Result<(), Error> {
        let mut done: HashSet<String> = HashSet::new();
        for some in left.chunks(ASKED_AT_ONCE) {
            let names: Vec<&str> = some.iter().map(|mark| mark.name.as_str()).collect();
            let known = self.engine.store.known(&self.job.name, &names, true).await;
            let known = known.map_err(Error::store("reading the ledger"))?;
            let is_done = |mark: &&Mark| {
                self.parked.get(&mark.name) == Some(&mark.modified)
                    || self.is_waiting(&mark.name, &mark.modified)
                    || known.get(&mark.name).is_some_and(|known| known.present.is_some())
            };
            done.extend(some.iter().filter(is_done).map(|mark| mark.name.clone()));
        }
        left.retain(|mark| !done.contains(&mark.name));
        let before = self.counts.inserted;
        let outside = self.take(&left, Care::News).await?;
        walk.repaired.new += self.counts.inserted - before;
        let outside: HashSet<String> = outside.into_iter().collect();
        let strangers: Vec<(String, Stamp)> = left
            .into_iter()
            .filter(|mark| outside.contains(&mark.name))
            .map(|mark| (mark.name, mark.modified))
            .collect();
        self.forget_parked(&strangers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>()).await?;
        self.note_absent(&strangers).await
    }

    /// Has the rows that were removed or edited here looked at; what becomes of them is the conflict rule's to say.
    async fn make_again(&mut self, walk: &mut Walk, missing: &Missing) -> Result<(), Error> {
        let gone: HashSet<&str> = missing
            .gone
            .iter()
            .chain(missing.outside.iter().map(|(name, _)| name))
            .map(String::as_str)
            .collect();
        let living = |names: &[String]| -> Vec<Mark> {
            let names = names.iter().filter(|name| !gone.contains(name.as_str()));
            names.cloned().map(Mark::unstamped).collect()
        };
        let (rowless, edited) = (living(&missing.rowless), living(&missing.edited));
        let written = |counts: &Counts| counts.inserted + counts.updated;
        for (marks, repaired) in [(rowless, &mut walk.repaired.remade), (edited, &mut walk.repaired.edited)] {
            let before = written(&self.counts);
            self.take(&marks, Care::Repair).await?;
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
        let known = self.engine.store.known(&self.job.name, &parked, true).await.map_err(reading())?;
        // Of those that wait for a decision the ledger may hold none: an insert beside HQ's.
        let open: Vec<&str> = self.open.keys().map(String::as_str).collect();
        let opened = self.engine.store.known(&self.job.name, &open, true).await.map_err(reading())?;
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
            remedy: error.map(|error| error.remedy(self.engine.teller)),
        };
        let keeping = || Error::store("keeping what the reconcile came to");
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        let over = Standing { walk: None, ..standing };
        tx.save_reconcile(&self.job.name, &over).await.map_err(keeping())?;
        tx.save_reconciled(&self.job.name, &reconciled).await.map_err(keeping())?;
        tx.commit().await.map_err(keeping())?;
        if error.is_none() {
            self.has_reconciled().await?;
        }
        let zone = self.engine.config.site.time_zone;
        let sentence = reconciled.sentence(&self.job.name, zone, reconciled.checked_at);
        tracing::info!(job = self.job.name, run = self.run, "{sentence}");
        Ok(())
    }
}

/// How many deletes wait for a word, or for the database, which refused so many.
fn undecided_of(begun: &Result<(), Error>, refused: u64) -> u64 {
    match begun {
        Err(Error::TooManyGone { gone, already, .. }) => refused + gone.saturating_sub(*already),
        Ok(()) | Err(_) => refused,
    }
}

/// Whether this leaves rows that are gone at HQ where they are, and all else repaired.
fn may_wait(error: &Error) -> bool {
    matches!(error, Error::TooManyGone { .. } | Error::Hidden { .. } | Error::Vanished { .. })
}
