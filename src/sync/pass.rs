//! Reading a whole DocType: the first load, a full re-read, and the re-read that a changed mapping makes necessary.
//!
//! Goes by keyset from the lowest stamp; the cursor commits with each page, so a pass that was cut goes on where it
//! was. The next page is fetched while one is applied.

use super::Error;
use super::ahead::{Ahead, Next};
use super::beginning::Beginning;
use super::incoming::Judged;
use super::page::Step;
use super::poll::is_end;
use super::run::{Work, unless_stopped};
use crate::breakage::{self, Breakage};
use crate::conflict::Care;
use crate::record::{Mark, Stamp};
use crate::source::frappe::Fetched;
use crate::source::{self, PageSize};
use crate::watermark::{Clocks, Pass, Progress, Watermark};

/// The step of asking for it.
pub(super) const NEWEST: &str = "asking HQ for its newest record";

impl<'e> Work<'e> {
    pub(super) async fn pass(
        &mut self,
        is_asked_for: bool,
        beginning: Option<Box<Beginning<'e>>>,
    ) -> Result<(), Error> {
        let (newest, begun) = match beginning.map(|beginning| *beginning) {
            Some(Beginning { newest, ahead, next }) => (Some(newest), Some((ahead, next))),
            None => (None, None),
        };
        self.begin_pass(is_asked_for, newest).await?;
        if self.is_first_load() {
            let noted = self.engine.store.note_first_load(self.run).await;
            noted.map_err(Error::store("writing the run log"))?;
        }
        let care =
            if self.progress.pass.as_ref().is_some_and(|pass| pass.is_repair) { Care::Repair } else { Care::News };
        let (mut ahead, mut next) = match begun.filter(|_| self.cursor().is_none()) {
            Some(begun) => begun,
            None => {
                let mut ahead = Ahead::new(self.engine, self.job, self.meter);
                let next = Box::pin(self.next(&mut ahead, self.cursor())).await?;
                (ahead, next)
            }
        };
        let mut judged = None;
        loop {
            self.go_on()?;
            self.tell_total(self.cursor().as_ref(), self.counts.fetched).await?;
            let (cursor, fetched) = match next {
                Next::Page(cursor, fetched) if breakage::is(Breakage::ClientOrder) => above(cursor, fetched),
                Next::Page(cursor, fetched) => (cursor, fetched),
                Next::TooLarge(mark, read) => {
                    self.park_oversized(&[(mark.name.clone(), mark.modified.clone())]).await?;
                    self.progress = self.progress_at(&mark, &read);
                    self.save_progress().await?;
                    (next, judged) = (Box::pin(self.next(&mut ahead, Some(mark))).await?, None);
                    continue;
                }
            };
            let Some(last) = self.end_of(&cursor, &fetched)? else {
                unless_stopped(self.stop, self.confirm_end(cursor.as_ref())).await?;
                break;
            };
            let step =
                Step { progress: self.progress_at(&last, &fetched), care, judged: judged.take(), is_of_news: false };
            self.note_the_future(&fetched);
            if is_end(&fetched) && self.has_reached_newest(&last) {
                Box::pin(self.page(fetched.page, step)).await?;
                break;
            }
            (next, judged) = self.apply_and_fetch(fetched, step, (&mut ahead, last)).await?;
        }
        self.end_pass().await
    }

    /// Takes up the pass that is under way, or begins one; HQ may have named its newest record already.
    async fn begin_pass(&mut self, is_asked_for: bool, newest: Option<(Option<Mark>, Fetched)>) -> Result<(), Error> {
        let fingerprint = self.fingerprint();
        let is_first = self.progress.mapping.is_none();
        let has_changed = !is_first && self.progress.mapping != Some(fingerprint);
        if self.progress.pass.is_some() && !has_changed && !is_asked_for {
            return Ok(());
        }
        if has_changed && !is_asked_for {
            let why = if self.progress.mapping == Some(!fingerprint) {
                "tables or columns of the job were gone"
            } else {
                "the mapping has changed"
            };
            tracing::info!(job = self.job.name, "{why}: every record is read again");
        }
        let (newest, read) = unless_stopped(self.stop, self.newest(newest)).await?;
        let started = read.back_to(self.started);
        // Without a mapping of before, as after a reset, the ledger's fingerprints may be another mapping's.
        let entries =
            self.engine.store.count_entries(&self.job.name).await.map_err(Error::store("counting the ledger"))?;
        let is_repair = is_asked_for || has_changed || entries > 0;
        self.progress.pass = Some(Pass { cursor: None, newest, started, is_repair });
        if self.progress.watermark.settled.is_none() {
            self.progress.watermark.zone = Some(self.zone);
        }
        // Kept from the beginning of the pass, so that a change in its middle begins it anew.
        self.progress.mapping = Some(fingerprint);
        if is_first || has_changed {
            self.keep_former(entries > 0).await?;
        }
        Ok(())
    }

    /// HQ's newest stamp that is not ahead of HQ's clock, and when HQ said so.
    async fn newest(&self, told: Option<(Option<Mark>, Fetched)>) -> Result<(Option<Stamp>, Clocks), Error> {
        let ask = |upto| self.engine.hq.newest(&self.job.doctype, &[], "modified", upto, self.meter);
        let (newest, fetched) = match told {
            Some(told) => told,
            None => ask(None).await.map_err(Error::source(NEWEST))?,
        };
        let now = Stamp::at(self.hq_now(&fetched));
        match newest {
            Some(mark) if mark.modified > now => {
                let (newest, _) = ask(Some(&now)).await.map_err(Error::source(NEWEST))?;
                Ok((newest.map(|mark| mark.modified), fetched.read))
            }
            newest => Ok((newest.map(|mark| mark.modified), fetched.read)),
        }
    }

    /// An empty page is the end only if nothing older than the newest record of the start lies behind the cursor: an
    /// answer can be empty by a fault.
    async fn confirm_end(&self, cursor: Option<&Mark>) -> Result<(), Error> {
        let has_met_none = self.cursor().is_none();
        let entries =
            self.engine.store.count_entries(&self.job.name).await.map_err(Error::store("counting the ledger"))?;
        if has_met_none && entries > 0 && !self.has_confirmed_deletes {
            return Err(Error::Vanished { entries, job: self.job.name.clone() });
        }
        let Some(bound) = self.progress.pass.as_ref().and_then(|pass| pass.newest.as_ref()) else { return Ok(()) };
        if cursor.is_some_and(|cursor| cursor.modified >= *bound) {
            return Ok(());
        }
        let (job, step) = (self.job, "asking HQ whether the list ends here");
        let newest = self.engine.hq.newest(&job.doctype, &job.filters, "modified", Some(bound), self.meter).await;
        let (newest, _) = newest.map_err(Error::source(step))?;
        match newest {
            Some(newest) if cursor.is_none_or(|cursor| cursor.modified < newest.modified) => {
                let reason = format!("the list ended before HQ's record of {}", newest.modified);
                Err(Error::source("reading a page")(source::Error::Unreadable(reason)))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether nothing that HQ had when the pass began lies behind this mark. An answer can also be short by a fault.
    fn has_reached_newest(&self, last: &Mark) -> bool {
        let newest = self.progress.pass.as_ref().and_then(|pass| pass.newest.as_ref());
        newest.is_some_and(|newest| last.modified >= *newest)
    }

    async fn end_pass(&mut self) -> Result<(), Error> {
        let Some(pass) = self.progress.pass.take() else { return Ok(()) };
        let is_refilled = std::mem::take(&mut self.is_converting);
        let at_start = self.progress.watermark.clone();
        let mut watermark = at_start.clone();
        // With filters the newest record may be none of ours; what is older was gone through all the same.
        if let Some(newest) = &pass.newest {
            let mark = Mark { modified: newest.clone(), name: String::new() };
            if watermark.seen.as_ref().is_none_or(|seen| seen.modified < mark.modified) {
                watermark = watermark.after(&mark, pass.started, newest.moment());
            }
        }
        // A pass sees only what matches the filters; what left them since the last poll is the next poll's to find.
        if watermark.settled.is_none() {
            let begun = Watermark { seen: None, zone: Some(self.zone), ..at_start };
            watermark = watermark.settle(&begun, pass.started, pass.newest.as_ref(), self.job.overlap);
        }
        self.progress.watermark = watermark;
        // First, as every page has landed: what is cut off in between must not take later edits of the column for its loss.
        if is_refilled {
            self.has_refilled().await?;
        }
        self.save_progress().await
    }

    /// The end of a page, or `None` after the last one.
    fn end_of(&mut self, cursor: &Option<Mark>, fetched: &Fetched) -> Result<Option<Mark>, Error> {
        let Some(last) = fetched.page.marks().last().cloned() else { return Ok(None) };
        if cursor.as_ref() == Some(&last) {
            let cause = source::Error::Stuck { mark: format!("{} {}", last.modified, last.name) };
            return Err(Error::source("reading the next page")(cause));
        }
        Ok(Some(last))
    }

    /// Applies a page and fetches the one after its last mark.
    async fn apply_and_fetch(
        &mut self,
        fetched: Fetched,
        step: Step,
        (ahead, last): (&mut Ahead<'_>, Mark),
    ) -> Result<(Next, Option<Judged>), Error> {
        let (mapper, is_unseen) = (self.mapper(), self.is_unseen(step.care));
        // Where rows are expected, they are looked at first.
        let preparing = async |came: Result<(Next, PageSize), Error>| {
            Ok::<_, Error>(match came? {
                (Next::Page(cursor, fetched), size) if is_unseen => {
                    let (page, judged) = mapper.aside(fetched.page).await;
                    (Next::Page(cursor, Fetched { page, ..fetched }), judged, size)
                }
                (next, size) => (next, None, size),
            })
        };
        let (stop, size, is_plain) = (self.stop, self.page_size, mapper.is_plain());
        let page = Box::pin(self.page(fetched.page, step));
        let (applied, came) = ahead.meanwhile(page, (last, size, is_unseen && is_plain), stop, preparing).await;
        applied?;
        let (next, judged, size) = came?;
        self.page_size = size;
        Ok((next, judged))
    }

    async fn next(&mut self, ahead: &mut Ahead<'_>, cursor: Option<Mark>) -> Result<Next, Error> {
        let (next, size) = unless_stopped(self.stop, ahead.next(cursor, self.page_size)).await?;
        self.page_size = size;
        Ok(next)
    }

    pub(super) fn cursor(&self) -> Option<Mark> {
        self.progress.pass.as_ref().and_then(|pass| pass.cursor.clone())
    }

    fn progress_at(&self, last: &Mark, fetched: &Fetched) -> Progress {
        let mut progress = self.progress.clone();
        if let Some(pass) = &mut progress.pass {
            pass.cursor = Some(last.clone());
        }
        if last.modified != Stamp::never() {
            progress.watermark = progress.watermark.after(last, fetched.read, self.hq_now(fetched));
        }
        progress
    }
}

/// Those records of a page whose names stand above the cursor's: [`Breakage::ClientOrder`].
fn above(cursor: Option<Mark>, mut fetched: Fetched) -> (Option<Mark>, Fetched) {
    let place = |mark: &Mark| (mark.modified.clone(), mark.name.clone());
    let marks = fetched
        .page
        .marks()
        .iter()
        .filter(|mark| cursor.as_ref().is_none_or(|from| place(mark) > place(from)));
    let names: Vec<String> = marks.map(|mark| mark.name.clone()).collect();
    fetched.page = fetched.page.only(&names.iter().map(String::as_str).collect::<Vec<_>>());
    (cursor, fetched)
}
