//! What changed since the watermark.
//!
//! HQ is asked for the names and stamps of all that lies above the start, whether or not it matches the job's
//! filters; what the ledger already holds at that stamp is passed over, and only the news are fetched whole. So a
//! quiet HQ costs one small request, and a record that left the filter is noticed by not coming with the news. Where most of
//! the list is news, what lies there is read in order instead ([`super::stretch`]).

use std::collections::HashSet;

use super::Error;
use super::page::Step;
use super::retire::Gone;
use super::run::{Work, unless_stopped};
use super::stretch::{Listed, came_back};
use super::whole::Batch;
use crate::breakage::{self, Breakage};
use crate::conflict::Care;
use crate::record::{Mark, Page, Stamp};
use crate::source;
use crate::source::frappe::Fetched;
use crate::watermark::{Clocks, Watermark};

/// Names and stamps asked for in one request, at least and at most: up to 3 MB, 10 seconds on a line of 2 Mbit/s.
pub(super) const LISTING_SIZE: (usize, usize) = (100, 50_000);

/// Names looked up in the ledger at once; what they give is held beside the whole listing.
const LOOKUP_SIZE: usize = 5_000;

/// A mark that the ledger does not hold at its stamp.
#[derive(Debug, Clone, Copy)]
pub(super) struct News<'m> {
    pub(super) mark: &'m Mark,
    /// The ledger holds the record at another stamp.
    is_ours: bool,
}

impl News<'_> {
    /// Name and stamp, to be remembered.
    fn known(&self) -> (String, Stamp) {
        (self.mark.name.clone(), self.mark.modified.clone())
    }
}

/// Where a list begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// With the record of the mark itself.
    With,
    /// After it.
    After,
}

/// What became of records that were asked for by name.
#[derive(Debug)]
pub(super) struct Fate {
    /// Those that came.
    pub(super) page: Page,
    /// Those that HQ has and, asked twice, does not show under the job's filters.
    pub(super) outside: Vec<String>,
    /// Those that HQ does not have: deleted or renamed a moment ago, which is their tombstone's or reconcile's to tell.
    pub(super) missing: Vec<String>,
    /// Those that are larger than any answer milkrun takes.
    pub(super) too_large: Vec<String>,
    /// How many of the names were asked for, from the first on.
    pub(super) asked: usize,
}

/// A poll that has read everything, and let go of nothing yet.
#[derive(Debug)]
pub(super) struct Read {
    /// The watermark it began with.
    begun: Watermark,
    started: Clocks,
    /// A stamp that HQ had given out when the first answer came.
    newest: Option<Stamp>,
    /// Records that the ledger holds and that no longer match the filters.
    leavers: Vec<(String, Stamp)>,
}

impl Read {
    /// Records that the ledger holds and that no longer matched the filters.
    pub(super) fn leavers(&self) -> impl Iterator<Item = &str> {
        self.leavers.iter().map(|(name, _)| name.as_str())
    }
}

impl Work<'_> {
    /// Applies all that changed since the watermark. That this went well is kept by who comes next: the run's closing, or a
    /// step of the run before it writes on.
    pub(super) async fn poll(&mut self) -> Result<(), Error> {
        let mut read = self.read_changes().await?;
        self.retire_leavers(std::mem::take(&mut read.leavers)).await?;
        self.settle_after(&read);
        self.owed.records = Some(self.progress.clone());
        Ok(())
    }

    /// Lets the watermark settle after a poll whose leavers were seen to, and keeps that.
    pub(super) async fn end_poll(&mut self, read: &Read) -> Result<(), Error> {
        self.settle_after(read);
        self.save_progress().await
    }

    fn settle_after(&mut self, read: &Read) {
        let Read { begun, started, newest, leavers: _ } = read;
        self.progress.watermark = self.progress.watermark.settle(begun, *started, newest.as_ref(), self.job.overlap);
        if self.from_the_future > 0 {
            self.doubt_zone();
        }
    }

    /// Applies all that changed since the watermark.
    pub(super) async fn read_changes(&mut self) -> Result<Read, Error> {
        let at_start = self.progress.watermark.clone();
        let mut first = self.listing(at_start.settled.as_ref(), Start::With).await?;
        self.engine.say_apart(first.read);
        let started = first.read.back_to(self.started);
        let mut begun = at_start.resume(started, self.zone);
        // Only the answer tells HQ's clock; where that has gone back, the start goes back with it.
        if begun.settled != at_start.settled {
            self.say_going_back(&begun);
            first = self.listing(begun.settled.as_ref(), Start::With).await?;
        }
        first = self.notice_going_back(&mut begun, (&at_start, started), first).await?;
        self.progress.watermark = begun.clone();
        let mut leavers = Vec::new();
        let newest = self.read_from(first, Care::News, &mut leavers).await?;
        Ok(Read { begun, started, newest, leavers })
    }

    /// `--since`: reads again what HQ stamped at or after `stamp`. The watermark keeps its claim.
    pub(super) async fn since(&mut self, stamp: &Stamp) -> Result<(), Error> {
        let start = Mark { modified: stamp.clone(), name: String::new() };
        let first = self.listing(Some(&start), Start::With).await?;
        if self.is_ahead(stamp, &first) {
            return Err(Error::AheadOfHq(stamp.clone()));
        }
        let mut leavers = Vec::new();
        self.read_from(first, Care::Repair, &mut leavers).await?;
        self.retire_leavers(leavers).await
    }

    /// `--name`: reads these records again.
    pub(super) async fn names(&mut self, names: &[String]) -> Result<(), Error> {
        let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
        let (mut missing, mut outside) = (Vec::new(), Vec::new());
        let mut rest = wanted.as_slice();
        while !rest.is_empty() {
            let fate = self.fetch_news(rest).await?;
            let too_large = fate.too_large.into_iter().map(|name| (name, Stamp::never()));
            self.park_oversized(&too_large.collect::<Vec<_>>()).await?;
            let step = Step::new(self.progress.clone(), Care::Repair);
            self.page(fate.page, step).await?;
            missing.extend(fate.missing);
            outside.extend(fate.outside);
            rest = rest.get(fate.asked..).unwrap_or_default();
        }
        self.retire(&Gone::at_no_known_time(&outside)).await?;
        self.forget_parked(&outside.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        self.all_let_go()?;
        match (missing.is_empty(), outside.is_empty()) {
            (false, _) => Err(Error::NotAtHq(missing)),
            (true, false) => Err(Error::OutsideFilters(outside)),
            (true, true) => Ok(()),
        }
    }

    /// Lets the rows of records go that left the filters, and remembers that they are outside at this stamp.
    pub(super) async fn retire_leavers(&mut self, leavers: Vec<(String, Stamp)>) -> Result<(), Error> {
        let names: Vec<String> = leavers.iter().map(|(name, _)| name.clone()).collect();
        let gone = leavers.iter().map(|(name, at)| Gone { name: name.clone(), at: Some(at.clone()) });
        self.retire(&gone.collect::<Vec<_>>()).await?;
        self.forget_parked(&names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        self.note_absent(&leavers).await
    }

    /// Applies all news of the list, whose `first` page has come; returns a stamp that HQ had given out when that
    /// answer came. Records that the ledger holds and that no longer match the filters are added to `leavers`.
    async fn read_from(
        &mut self,
        first: Fetched,
        care: Care,
        leavers: &mut Vec<(String, Stamp)>,
    ) -> Result<Option<Stamp>, Error> {
        let mut cursor: Option<Mark> = None;
        let mut newest = None;
        let mut listing = first;
        while let Some(last) = listing.page.marks().last().cloned() {
            if cursor.as_ref() == Some(&last) {
                let cause = source::Error::Stuck { mark: format!("{} {}", last.modified, last.name) };
                return Err(Error::source("reading the list of changes")(cause));
            }
            self.note_the_future(&listing);
            newest = newest.or_else(|| self.highest_present(&listing));
            let is_last = is_end(&listing);
            let beyond = self.apply_news(&listing, is_last, care, leavers).await?;
            if is_last {
                break;
            }
            self.go_on()?;
            let last = beyond.unwrap_or(last);
            listing = self.listing(Some(&last), Start::After).await?;
            cursor = Some(last);
        }
        Ok(newest)
    }

    pub(super) async fn listing(&mut self, cursor: Option<&Mark>, start: Start) -> Result<Fetched, Error> {
        let is_with = start == Start::With;
        let asking = self.engine.hq.changes(self.job, cursor, is_with, &mut self.listing_size, self.meter);
        let asking = async { asking.await.map_err(Error::source("asking HQ what changed")) };
        unless_stopped(self.stop, asking).await
    }

    /// Applies the news of a list; gives the mark to go on from, where that is not its last one.
    async fn apply_news(
        &mut self,
        listing: &Fetched,
        is_last: bool,
        care: Care,
        leavers: &mut Vec<(String, Stamp)>,
    ) -> Result<Option<Mark>, Error> {
        let marks = listing.page.marks();
        let mut news = self.news_of_list(marks, care).await?;
        let mut beyond = None;
        if self.is_mostly_news(news.len(), marks.len()) {
            beyond = Box::pin(self.read_stretch(Listed { marks, is_last }, &mut news, care, leavers)).await?;
        }
        let mut rest = news.as_slice();
        while !rest.is_empty() {
            self.go_on()?;
            let chunk = rest.get(..self.page_size.get()).unwrap_or(rest);
            let applied = match self.apply_chunk(chunk, listing, care, leavers).await {
                Err(_) if breakage::is(Breakage::ErrorDropped) => chunk.len(),
                applied => applied?,
            };
            rest = rest.get(applied..).unwrap_or_default();
        }
        if let Some(last) = marks.last() {
            let watermark = self.progress.watermark.after(last, listing.read, self.hq_now(listing));
            self.progress.watermark = watermark;
        }
        Ok(beyond)
    }

    /// The marks of a list that the ledger does not hold at their stamp, once those of renamed records are known.
    pub(super) async fn news_of_list<'m>(&mut self, marks: &'m [Mark], care: Care) -> Result<Vec<News<'m>>, Error> {
        let mut news = self.news_among(marks, care).await?;
        if let Some(left) = &mut self.left {
            left.extend(news.iter().filter(|news| !news.is_ours).map(|news| news.mark.clone()));
            news.retain(|news| news.is_ours);
        }
        let unknown: Vec<&Mark> = news.iter().filter(|news| !news.is_ours).map(|news| news.mark).collect();
        if self.recognise_renamed(&unknown, marks).await? {
            news = self.news_among(marks, care).await?;
        }
        Ok(news)
    }

    /// The marks that the ledger does not hold at their stamp.
    async fn news_among<'m>(&self, marks: &'m [Mark], care: Care) -> Result<Vec<News<'m>>, Error> {
        let mut news = Vec::new();
        for some in marks.chunks(LOOKUP_SIZE) {
            let names: Vec<&str> = some.iter().map(|mark| mark.name.as_str()).collect();
            let known = self.engine.store.known(&self.job.name, &names, self.has_absent).await;
            let known = known.map_err(Error::store("reading the ledger"))?;
            for mark in some {
                let known = known.get(&mark.name);
                let is_ours = known.is_some_and(|known| known.present.is_some());
                let is_parked =
                    self.parked.get(&mark.name) == Some(&mark.modified) || self.is_waiting(&mark.name, &mark.modified);
                let is_old = is_parked || known.is_some_and(|known| known.covers(&mark.modified));
                if breakage::is(Breakage::TiesIgnored)
                    && news.last().is_some_and(|last: &News<'_>| last.mark.modified == mark.modified)
                {
                    continue;
                }
                if care == Care::Repair || !is_old {
                    news.push(News { mark, is_ours });
                }
            }
        }
        Ok(news)
    }

    /// Applies the first of the news, and gives their number.
    async fn apply_chunk(
        &mut self,
        chunk: &[News<'_>],
        listing: &Fetched,
        care: Care,
        leavers: &mut Vec<(String, Stamp)>,
    ) -> Result<usize, Error> {
        let names: Vec<&str> = chunk.iter().map(|news| news.mark.name.as_str()).collect();
        let Fate { page, outside, missing: _, too_large, asked } = self.fetch_news(&names).await?;
        let chunk = chunk.get(..asked).unwrap_or(chunk);
        if let (Some(name), true) = (outside.first(), self.job.filters.is_empty()) {
            let reason = format!("it lists {name:?} and does not send it");
            return Err(Error::source("reading changed records")(source::Error::Unreadable(reason)));
        }
        let mut progress = self.progress.clone();
        if let Some(last) = chunk.last() {
            progress.watermark = progress.watermark.after(last.mark, listing.read, self.hq_now(listing));
        }
        // One that came back while the run went on is no leaver.
        came_back(leavers, &page);
        self.page(page, Step::of_news(progress, care)).await?;
        let too_large: HashSet<String> = too_large.into_iter().collect();
        let too_large =
            chunk.iter().filter(|news| too_large.contains(&news.mark.name)).map(News::known).collect::<Vec<_>>();
        self.park_oversized(&too_large).await?;
        let outside: HashSet<String> = outside.into_iter().collect();
        let (ours, strangers): (Vec<&News<'_>>, Vec<&News<'_>>) =
            chunk.iter().filter(|news| outside.contains(&news.mark.name)).partition(|news| news.is_ours);
        leavers.extend(ours.into_iter().map(News::known));
        let strangers: Vec<(String, Stamp)> = strangers.into_iter().map(News::known).collect();
        self.forget_parked(&strangers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>()).await?;
        self.note_absent(&strangers).await?;
        Ok(asked)
    }

    /// The whole records of the first of `names`, as many as memory should hold at once, under the job's filters, and what became of the others.
    ///
    /// That a record does not come proves little: an answer may be empty or short by a fault. So HQ is asked which
    /// of the absent it has at all, filters aside, and then for those once more.
    pub(super) async fn fetch_news(&mut self, names: &[&str]) -> Result<Fate, Error> {
        let Batch { page, mut too_large, asked } = self.some_records(names).await?;
        let names = names.get(..asked).unwrap_or(names);
        let page = page.only(names);
        let mut absent = absent_from(&page, names);
        absent.retain(|name| !too_large.iter().any(|large| large == name));
        if absent.is_empty() {
            return Ok(Fate { page, outside: Vec::new(), missing: Vec::new(), too_large, asked });
        }
        if breakage::is(Breakage::AbsenceIsDelete) {
            let outside = absent.into_iter().map(str::to_owned).collect();
            return Ok(Fate { page, outside, missing: Vec::new(), too_large, asked });
        }
        let living = self.living(&absent).await?;
        let (alive, missing): (Vec<&str>, Vec<&str>) = absent.into_iter().partition(|name| living.contains(*name));
        let page = match alive.as_slice() {
            [] => page,
            alive => {
                let (mut page, mut rest) = (page, alive);
                while !rest.is_empty() {
                    let more = self.some_records(rest).await?;
                    too_large.extend(more.too_large);
                    page = page.joined(&more.page.only(rest));
                    rest = rest.get(more.asked..).unwrap_or_default();
                }
                page
            }
        };
        let outside =
            absent_from(&page, &alive).into_iter().filter(|name| !too_large.iter().any(|large| large == name));
        let outside = outside.map(str::to_owned).collect();
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Ok(Fate { outside, missing: owned(missing), too_large, asked, page })
    }

    /// Counts the records of a page that are stamped ahead of HQ's clock.
    pub(super) fn note_the_future(&mut self, fetched: &Fetched) {
        let ahead = |mark: &&Mark| self.is_ahead(&mark.modified, fetched);
        self.from_the_future += fetched.page.marks().iter().rev().take_while(ahead).count() as u64;
    }

    /// The highest stamp of a page that is not ahead of HQ's clock.
    pub(super) fn highest_present(&self, fetched: &Fetched) -> Option<Stamp> {
        let now = self.hq_now(fetched);
        let mut marks = fetched.page.marks().iter().rev();
        marks.find(|mark| mark.modified.moment() <= now).map(|mark| mark.modified.clone())
    }

    fn say_going_back(&self, begun: &Watermark) {
        let from = begun.settled.as_ref().map_or_else(|| "the beginning".to_owned(), |mark| mark.modified.to_string());
        tracing::info!(
            job = self.job.name,
            from,
            "HQ's wall clock has gone back (the end of summer time, a clock or a zone that was set): what changed since \
             is listed again"
        );
    }
}

fn absent_from<'n>(page: &Page, names: &[&'n str]) -> Vec<&'n str> {
    let came: HashSet<&str> = page.marks().iter().map(|mark| mark.name.as_str()).collect();
    names.iter().filter(|name| !came.contains(**name)).copied().collect()
}

/// Whether HQ's list ends with this answer: it is shorter than asked for. One that was asked for ahead does not tell: HQ may
/// have read it before the page before it, and what was saved in between stands in neither.
pub(super) fn is_end(fetched: &Fetched) -> bool {
    !fetched.is_ahead && fetched.page.len() < fetched.asked && !may_be_cut(fetched.page.len())
}

/// Whether a list may have been cut by a server or proxy with a page limit of its own: such limits are round numbers.
/// One more request then tells; a list of another length has come to its end.
fn may_be_cut(len: usize) -> bool {
    len >= 20 && len.is_multiple_of(10)
}
