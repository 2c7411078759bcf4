//! A stretch of HQ's list that is mostly news, as after a bulk update: read whole and in order, the next page fetched
//! while one is applied.
//!
//! By name such news cost HQ and the line all the names once more, and a search for each. What was listed and does not
//! come with the stretch has left the filters, or HQ, or was saved again: it is asked for by name as ever. So a stretch
//! proves nothing; it brings most of what would have been asked for.

use std::collections::HashSet;

use super::Error;
use super::ahead::meanwhile;
use super::incoming::Judged;
use super::page::Step;
use super::poll::{News, is_end};
use super::run::{Work, unless_stopped};
use crate::conflict::Care;
use crate::record::{Mark, Page, Stamp};
use crate::source;
use crate::source::frappe::{Bounds, Fetched};

/// Records asked for at least, where less are missing: others may lie between.
const LEAST: usize = 100;

/// A list that has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed<'l> {
    pub(super) marks: &'l [Mark],
    /// HQ's list ends with it.
    pub(super) is_last: bool,
}

impl Work<'_> {
    /// Whether so many news are to be read with all that lies between them: they are more than one request would ask for
    /// by name.
    pub(super) fn is_mostly_news(&self, news: usize, listed: usize) -> bool {
        // A reconcile looks at what is new to the ledger by itself.
        self.left.is_none() && news > self.page_size.get() && is_most(news, listed)
    }

    /// Reads the listed stretch and applies it; what has come is taken out of `news`. Without filters it shows whatever a
    /// list would, and goes on beyond the listed as long as there are mostly news; gives the mark that the list is to go
    /// on from then.
    pub(super) async fn read_stretch(
        &mut self,
        listed: Listed<'_>,
        news: &mut Vec<News<'_>>,
        care: Care,
        leavers: &mut Vec<(String, Stamp)>,
    ) -> Result<Option<Mark>, Error> {
        let (Some(first), Some(last)) = (listed.marks.first(), listed.marks.last()) else { return Ok(None) };
        let is_open = self.job.filters.is_empty() && !listed.is_last;
        let mut missing: HashSet<&str> = news.iter().map(|news| news.mark.name.as_str()).collect();
        let upto = (!is_open).then(|| last.modified.clone());
        let mut bounds = Bounds { from: first.clone(), is_with: true, upto, most: missing.len() };
        let mut beyond = None;
        let (mut next, mut judged) = (self.of_stretch(&bounds).await?, None);
        while let Some(fetched) = next {
            self.go_on()?;
            let Some(end) = fetched.page.marks().last().cloned() else { break };
            if !bounds.is_with && bounds.from == end {
                let cause = source::Error::Stuck { mark: format!("{} {}", end.modified, end.name) };
                return Err(Error::source("reading changed records")(cause));
            }
            // Of a page of which only the stamp has changed, all is taken at once.
            let wanted = if self.may_restamp(care) {
                None
            } else {
                Some(self.wanted(&fetched.page, &missing, is_open, care).await?)
            };
            let is_news = |wanted: &Vec<String>| is_most(wanted.len(), fetched.page.len());
            let goes_on = is_open && wanted.as_ref().is_none_or(is_news);
            let before = missing.len();
            for mark in fetched.page.marks() {
                missing.remove(mark.name.as_str());
            }
            let is_through = missing.is_empty() || missing.len() == before || end.modified > last.modified;
            if is_open && (missing.is_empty() || end.modified > last.modified) {
                beyond = Some(end.clone());
            }
            let most = if is_open { usize::MAX } else { missing.len().max(LEAST) };
            bounds = Bounds { from: end.clone(), is_with: false, most, ..bounds };
            let following = (!is_end(&fetched) && (goes_on || !is_through)).then_some(&bounds);
            (next, judged) =
                self.apply_stretch(fetched, (wanted, judged.take()), (end, care), leavers, following).await?;
        }
        news.retain(|news| missing.contains(news.mark.name.as_str()));
        Ok(beyond)
    }

    /// The names of a page's records that are to be applied: those that are still missing, and in an open stretch whatever
    /// the ledger does not hold.
    async fn wanted(
        &mut self,
        page: &Page,
        missing: &HashSet<&str>,
        is_open: bool,
        care: Care,
    ) -> Result<Vec<String>, Error> {
        let marks = page.marks();
        let is_missing = |mark: &&Mark| missing.contains(mark.name.as_str());
        if !is_open || marks.iter().all(|mark| is_missing(&mark)) {
            return Ok(marks.iter().filter(is_missing).map(|mark| mark.name.clone()).collect());
        }
        let news = self.news_of_list(marks, care).await?;
        Ok(news.iter().map(|news| news.mark.name.clone()).collect())
    }

    /// Applies a page of a stretch and fetches the one that follows.
    async fn apply_stretch(
        &mut self,
        fetched: Fetched,
        (wanted, judged): (Option<Vec<String>>, Option<Judged>),
        (end, care): (Mark, Care),
        leavers: &mut Vec<(String, Stamp)>,
        following: Option<&Bounds>,
    ) -> Result<(Option<Fetched>, Option<Judged>), Error> {
        let mut progress = self.progress.clone();
        progress.watermark = progress.watermark.after(&end, fetched.read, self.hq_now(&fetched));
        let step = Step { judged, ..Step::of_news(progress, care) };
        let Some(bounds) = following else {
            self.take_stretch(fetched.page, wanted, step, leavers).await?;
            return Ok((None, None));
        };
        let (hq, job, meter, stop, mut size) = (&self.engine.hq, self.job, self.meter, self.stop, self.page_size);
        let asking = async { Ok(hq.stretch(job, bounds, &mut size, meter).await) };
        let (asking, mapper) = (Box::pin(unless_stopped(stop, asking)), self.mapper());
        let preparing = async |came: Result<Result<Fetched, source::Error>, Error>| match came {
            Ok(Ok(fetched)) => {
                let (page, judged) = mapper.aside(fetched.page).await;
                (Ok(Ok(Fetched { page, ..fetched })), judged)
            }
            failed => (failed, None),
        };
        let applying = Box::pin(self.take_stretch(fetched.page, wanted, step, leavers));
        let (applied, (next, judged)) = meanwhile(applying, asking, preparing).await;
        applied?;
        let next = next?;
        self.page_size = size;
        Ok((self.came_of_stretch(next)?, judged))
    }

    /// Applies what is wanted of a page; all news, where that has not been asked.
    async fn take_stretch(
        &mut self,
        page: Page,
        wanted: Option<Vec<String>>,
        mut step: Step,
        leavers: &mut Vec<(String, Stamp)>,
    ) -> Result<(), Error> {
        let wanted = match wanted {
            Some(wanted) => wanted,
            None => {
                match self.restamp(&page, step.judged.take(), &step.progress).await? {
                    Ok(()) => {
                        came_back(leavers, &page);
                        return Ok(());
                    }
                    Err(judged) => step.judged = Some(judged),
                }
                let news = self.news_of_list(page.marks(), step.care).await?;
                news.iter().map(|news| news.mark.name.clone()).collect()
            }
        };
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let came = page.len();
        let page = page.only(&wanted);
        // One that came back while the run went on is no leaver.
        came_back(leavers, &page);
        // That was made of the whole page.
        step.judged = step.judged.filter(|_| page.len() == came);
        self.page(page, step).await
    }

    async fn of_stretch(&mut self, bounds: &Bounds) -> Result<Option<Fetched>, Error> {
        let asking = self.engine.hq.stretch(self.job, bounds, &mut self.page_size, self.meter);
        let came = unless_stopped(self.stop, async { Ok(asking.await) }).await?;
        self.came_of_stretch(came)
    }

    /// A record that is too large to be had even alone ends a stretch: by name it is found out and parked.
    fn came_of_stretch(&self, came: Result<Fetched, source::Error>) -> Result<Option<Fetched>, Error> {
        match came {
            Ok(fetched) => Ok(Some(fetched)),
            Err(source::Error::TooLarge { .. }) if self.page_size.get() == 1 => Ok(None),
            Err(error) => Err(Error::source("reading changed records")(error)),
        }
    }
}

/// Takes the records of a page out of those that had left the filters.
pub(super) fn came_back(leavers: &mut Vec<(String, Stamp)>, page: &Page) {
    if !leavers.is_empty() {
        let came: HashSet<&str> = page.marks().iter().map(|mark| mark.name.as_str()).collect();
        leavers.retain(|(name, _)| !came.contains(name.as_str()));
    }
}

/// Whether so many of all are most of them: three of four, as what is known already costs more to bring along than the
/// names that it saves.
pub(super) fn is_most(news: usize, all: usize) -> bool {
    news.saturating_mul(4) >= all.saturating_mul(3)
}
