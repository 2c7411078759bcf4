//! Records that wait for an operator's decision are looked at again once he has spoken, or once their row was edited.
//! (A newer version of HQ's comes with the news.)

use super::Error;
use super::page::Step;
use super::poll::Fate;
use super::retire::Gone;
use super::run::Work;
use crate::conflict::{Care, Conflict, Kind, Resolution};
use crate::row::Key;

impl Work<'_> {
    /// Carries out what operators said, and looks again at conflicts whose local side has changed.
    pub(super) async fn reconsider(&mut self) -> Result<(), Error> {
        if self.open.is_empty() {
            return Ok(());
        }
        let edited = self.edited_since().await?;
        let mut names: Vec<String> = self
            .open
            .values()
            .filter(|one| one.told.is_some() || edited.contains(&one.name) || !self.job.rules.has_manual())
            .map(|one| one.name.clone())
            .collect();
        // In a fixed order, so that a dry run and the run after it tell the same.
        names.sort_unstable();
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            self.go_on()?;
            let chunk = rest.get(..self.page_size.get()).unwrap_or(rest);
            let Fate { page, missing, too_large, outside, asked } = self.fetch_news(chunk).await?;
            rest = rest.get(asked..).unwrap_or_default();
            let came: Vec<String> = page.marks().iter().map(|mark| mark.name.clone()).collect();
            self.page(page, Step::new(self.progress.clone(), Care::News)).await?;
            self.lapse(|one| one.kind == Kind::HqDelete && came.contains(&one.name)).await?;
            let too_large: Vec<_> = too_large.into_iter().map(|name| (name, crate::record::Stamp::never())).collect();
            self.park_oversized(&too_large).await?;
            self.settle_gone(missing.into_iter().chain(outside).collect()).await?;
        }
        Ok(())
    }

    /// HQ has no records of these names, or not under the filters. Of those that were known to be gone it is what was
    /// waited for; of others it proves little, and their tombstone, the poll or a reconcile tells.
    async fn settle_gone(&mut self, gone: Vec<String>) -> Result<(), Error> {
        let kind = |name: &str| self.open.get(name).map(|one| one.kind);
        let deleted: Vec<String> = gone.iter().filter(|name| kind(name) == Some(Kind::HqDelete)).cloned().collect();
        // The operator has spoken of each of them: no limit counts them.
        let confirmed = std::mem::replace(&mut self.has_confirmed_deletes, true);
        let retired = self.retire(&Gone::at_no_known_time(&deleted)).await;
        self.has_confirmed_deletes = confirmed;
        retired?;
        self.lapse_untaken(&gone.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    /// Closes the conflicts of these records, which HQ has no more, where the ledger holds nothing of them: an insert beside
    /// HQ's, or what waited when the table was emptied.
    pub(super) async fn lapse_untaken(&mut self, gone: &[&str]) -> Result<(), Error> {
        let untaken = self.untaken(gone.iter().copied()).await?;
        self.lapse(|one| untaken.contains(&one.name)).await
    }

    /// Asks HQ for the records of all such conflicts: no walk over the ledger meets them.
    pub(super) async fn look_for_untaken(&mut self) -> Result<(), Error> {
        let mut untaken = self.untaken(self.open.keys().map(String::as_str)).await?;
        untaken.sort_unstable();
        let all: Vec<&str> = untaken.iter().map(String::as_str).collect();
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            self.go_on()?;
            let chunk = rest.get(..self.page_size.get()).unwrap_or(rest);
            let Fate { missing, outside, asked, .. } = self.fetch_news(chunk).await?;
            rest = rest.get(asked..).unwrap_or_default();
            let gone: Vec<String> = missing.into_iter().chain(outside).collect();
            self.lapse(|one| gone.contains(&one.name)).await?;
        }
        Ok(())
    }

    /// Of these names those that wait for a decision and are not in the ledger.
    async fn untaken(&self, names: impl Iterator<Item = &str>) -> Result<Vec<String>, Error> {
        let open: Vec<&str> = names.filter(|name| self.open.contains_key(*name)).collect();
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let known = self.engine.store.known(&self.job.name, &open, true).await;
        let known = known.map_err(Error::store("reading the ledger"))?;
        let is_taken = |name: &&str| known.get(*name).is_some_and(|known| known.present.is_some());
        Ok(open.into_iter().filter(|name| !is_taken(name)).map(str::to_owned).collect())
    }

    /// Closes conflicts that are none any more.
    async fn lapse(&mut self, is_over: impl Fn(&Conflict) -> bool) -> Result<(), Error> {
        let over: Vec<(i64, String)> =
            self.open.values().filter(|one| is_over(one)).map(|one| (one.id, one.name.clone())).collect();
        if over.is_empty() {
            return Ok(());
        }
        let closing = || Error::store("writing the log of conflicts");
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        for (id, _) in &over {
            tx.close_conflict(*id, Resolution::Lapsed, self.engine.clock.now()).await.map_err(closing())?;
        }
        tx.commit().await.map_err(closing())?;
        for (_, name) in over {
            self.open.remove(&name);
        }
        Ok(())
    }

    /// The records whose row is another than when their conflict was met.
    async fn edited_since(&self) -> Result<Vec<String>, Error> {
        let reading = || Error::store("reading local rows");
        let known: Vec<(&Conflict, Key)> =
            self.open.values().filter_map(|one| Some((one, self.key(&one.local_key)?))).collect();
        // A private key is not in the log; those conflicts wait for a word, or for HQ.
        if self.job.mapping.has_private_key() || known.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<Key> = known.iter().map(|(_, key)| key.clone()).collect();
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        let mut rows = tx.rows(&self.table, &keys).await.map_err(reading())?;
        tx.rollback().await.map_err(reading())?;
        let mut edited = Vec::new();
        for (one, key) in known {
            let version = rows.remove(&key.text()).map_or(0, |row| self.local_row(row).version);
            if version != one.local_version {
                edited.push(one.name.clone());
            }
        }
        Ok(edited)
    }
}
