//! The walk over HQ's list: names and stamps, or whole records as far as the requests allow.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use crate::conflict::Care;
use crate::crash::{self, Point};
use crate::reconciled::Repaired;
use crate::record::{Mark, Stamp};
use crate::run::Counts;
use crate::source::frappe::Fetched;
use crate::source::{self, PageSize};
use crate::store::Standing;
use crate::sync::ahead::{Ahead, Next};
use crate::sync::poll::is_end;
use crate::sync::run::{Work, unless_stopped};
use crate::sync::{Error, Event};

/// Names and stamps asked for in one request: up to 3 MB.
const LISTING_SIZE: (usize, usize) = (1_000, 50_000);

/// A walk that was cut goes on within this time; what it has compared is too old then.
const LIFETIME: TimeDelta = TimeDelta::days(1);

/// Records that the ledger does not hold are kept until it is known which of its own are gone, as they may be those
/// renamed; of more, the first are taken for what they are.
const NEWCOMERS: usize = 5_000;

/// Names looked up in the ledger at once.
const LOOKUP_SIZE: usize = 5_000;

/// A walk under way, as it is kept with every page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Walk {
    begun_at: DateTime<Utc>,
    mapping: i64,
    all_values: bool,
    /// The last mark that was compared; `None` before the first page.
    cursor: Option<Mark>,
    /// The list has been walked to its end.
    is_listed: bool,
    /// The names of the list that the ledger holds.
    pub(super) digest: Digest,
    /// How many that were.
    pub(super) listed: u64,
    /// How many names the list held in all.
    pub(super) shown: u64,
    /// Those that the ledger does not hold.
    pub(super) newcomers: Vec<Mark>,
    /// The walk reads whole records.
    is_by_value: bool,
    /// Requests spent on whole records.
    pub(super) spent: u64,
    /// Records whose values were compared.
    pub(super) compared: u64,
    pub(super) repaired: Repaired,
}

impl Walk {
    /// The highest stamp of the list.
    pub(super) fn end(&self) -> Option<&Stamp> {
        self.cursor.as_ref().map(|mark| &mark.modified)
    }
}

impl Work<'_> {
    /// The walk that is under way, or a new one; how far values have been compared by those before; and whether the walk
    /// was cut.
    pub(super) async fn take_up(&mut self, all_values: bool) -> Result<(Walk, Standing, bool), Error> {
        let standing = self.engine.store.reconcile(&self.job.name).await;
        let mut standing = standing.map_err(Error::store("reading where the reconcile stands"))?;
        let given_up = self.engine.store.given_up(&self.job.name).await;
        self.given_up = given_up.map_err(Error::store("reading what was given up"))?;
        let under_way: Option<Walk> = standing.walk.take().and_then(|walk| serde_json::from_str(&walk).ok());
        let age = |walk: &Walk| self.started - walk.begun_at;
        let goes_on = |walk: &Walk| {
            // One that was begun before all is read again, or HQ was restored, has compared what is no more.
            self.is_loaded()
                && !self.has_confirmed_restore
                && walk.mapping == self.fingerprint()
                && age(walk) >= TimeDelta::zero()
                && age(walk) < LIFETIME
                && (walk.all_values || !all_values)
        };
        if let Some(walk) = under_way.filter(goes_on) {
            tracing::info!(job = self.job.name, "the reconcile goes on where it was cut");
            return Ok((walk, standing, true));
        }
        if all_values {
            standing.compared_to = None;
        }
        let walk = Walk {
            begun_at: self.started,
            mapping: self.fingerprint(),
            all_values,
            cursor: None,
            is_listed: false,
            digest: Digest::default(),
            listed: 0,
            shown: 0,
            newcomers: Vec::new(),
            is_by_value: standing.compared_to.is_none(),
            spent: 0,
            compared: 0,
            repaired: Repaired::default(),
        };
        Ok((walk, standing, false))
    }

    /// Walks the list to its end.
    pub(super) async fn compare_list(&mut self, walk: &mut Walk, standing: &mut Standing) -> Result<(), Error> {
        self.listing_size = PageSize::between(LISTING_SIZE.0, LISTING_SIZE.1);
        let mut size = self.value_size(None);
        while !walk.is_listed {
            self.go_on()?;
            self.tell_total(walk.cursor.as_ref(), walk.shown).await?;
            if walk.is_by_value && !self.affords(walk) {
                walk.is_by_value = false;
                standing.compared_to = walk.cursor.clone();
            }
            let next = if walk.is_by_value {
                self.whole_page(walk, walk.cursor.clone(), &mut size).await?
            } else {
                Next::Page(walk.cursor.clone(), self.names_page(walk.cursor.clone()).await?)
            };
            match next {
                Next::Page(cursor, fetched) => self.compare_page(walk, cursor, &fetched).await?,
                // Too large to be had even alone; its name and stamp count.
                Next::TooLarge(_, fetched) => self.compare_names(walk, fetched.page.marks()).await?,
            }
            self.save_walk(walk, standing).await?;
            self.engine.tell(&Event::Walked { job: self.job.name.clone(), records: walk.shown });
        }
        Ok(())
    }

    async fn compare_page(&mut self, walk: &mut Walk, cursor: Option<Mark>, fetched: &Fetched) -> Result<(), Error> {
        let marks = fetched.page.marks();
        let Some(last) = marks.last() else {
            self.confirm_end_of_list(walk).await?;
            walk.is_listed = true;
            return Ok(());
        };
        if cursor.as_ref() == Some(last) {
            let cause = source::Error::Stuck { mark: format!("{} {}", last.modified, last.name) };
            return Err(Error::source("comparing HQ's list")(cause));
        }
        if walk.is_by_value {
            self.compare_values(walk, &fetched.page).await?;
        }
        let is_stamped = last.modified != Stamp::never();
        let is_last = is_stamped && is_end(fetched);
        self.compare_names(walk, marks).await?;
        // Where it is not, nothing of this page is kept, and the next reconcile asks for it again.
        if is_last {
            self.confirm_end_of_list(walk).await?;
        }
        walk.is_listed = is_last;
        Ok(())
    }

    /// HQ's list is whole only if nothing that HQ had given out when the run began lies behind its end.
    async fn confirm_end_of_list(&self, walk: &Walk) -> Result<(), Error> {
        let Some(bound) = self.progress.watermark.seen.as_ref().map(|seen| &seen.modified) else { return Ok(()) };
        if walk.end().is_some_and(|end| end >= bound) {
            return Ok(());
        }
        let (job, step) = (self.job, "asking HQ whether the list ends here");
        let asking = self.engine.hq.newest(&job.doctype, &job.filters, "modified", Some(bound), self.meter);
        let asking = async { asking.await.map_err(Error::source(step)) };
        let (newest, _) = unless_stopped(self.stop, asking).await?;
        match newest {
            Some(newest) if walk.end().is_none_or(|end| *end < newest.modified) => {
                let reason = format!("the list ended before HQ's record of {}", newest.modified);
                Err(Error::source("comparing HQ's list")(source::Error::Unreadable(reason)))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Compares names and stamps with the ledger; fetches what it holds at another stamp.
    async fn compare_names(&mut self, walk: &mut Walk, marks: &[Mark]) -> Result<(), Error> {
        let mut changed = Vec::new();
        for some in marks.chunks(LOOKUP_SIZE) {
            let names: Vec<&str> = some.iter().map(|mark| mark.name.as_str()).collect();
            let known = self.engine.store.known(&self.job.name, &names, true).await;
            let known = known.map_err(Error::store("reading the ledger"))?;
            for mark in some {
                let taken = known.get(&mark.name).and_then(|known| known.present.as_ref());
                let is_parked = self.parked.get(&mark.name) == Some(&mark.modified)
                    || self.is_waiting(&mark.name, &mark.modified)
                    || self.given_up.get(&mark.name) == Some(&mark.modified);
                match taken {
                    Some(stamp) => {
                        walk.digest.add(&mark.name);
                        walk.listed += 1;
                        if *stamp != mark.modified && !is_parked {
                            changed.push(mark.clone());
                        }
                    }
                    None if is_parked => {}
                    None => walk.newcomers.push(mark.clone()),
                }
            }
        }
        walk.shown += marks.len() as u64;
        walk.cursor = marks.last().cloned().or_else(|| walk.cursor.take());
        walk.repaired.changed += changed.len() as u64;
        self.take(&changed, Care::News).await?;
        if walk.newcomers.len() > NEWCOMERS {
            self.take_early(walk).await?;
        }
        Ok(())
    }

    /// Takes the newcomers without waiting for what is gone: renames among them are recognised by HQ's word only.
    async fn take_early(&mut self, walk: &mut Walk) -> Result<(), Error> {
        let names: Vec<String> = walk.newcomers.iter().map(|mark| mark.name.clone()).collect();
        self.move_remarked(walk).await?;
        self.take_newcomers(walk).await?;
        for some in names.chunks(LOOKUP_SIZE) {
            let some: Vec<&str> = some.iter().map(String::as_str).collect();
            let known = self.engine.store.known(&self.job.name, &some, true).await;
            let known = known.map_err(Error::store("reading the ledger"))?;
            for name in some.iter().filter(|name| known.get(**name).is_some_and(|known| known.present.is_some())) {
                walk.digest.add(name);
                walk.listed += 1;
            }
        }
        Ok(())
    }

    /// Goes on comparing values from where the reconciles before came to.
    pub(super) async fn compare_values_on(&mut self, walk: &mut Walk, standing: &mut Standing) -> Result<(), Error> {
        let mut size = self.value_size(None);
        while let Some(from) = standing.compared_to.clone().filter(|_| self.affords(walk)) {
            self.go_on()?;
            match self.whole_page(walk, Some(from), &mut size).await? {
                Next::Page(_, fetched) => {
                    let marks = fetched.page.marks();
                    let is_last = is_end(&fetched);
                    self.compare_values(walk, &fetched.page).await?;
                    standing.compared_to = marks.last().filter(|_| !is_last).cloned();
                }
                Next::TooLarge(mark, _) => standing.compared_to = Some(mark),
            }
            self.save_walk(walk, standing).await?;
        }
        Ok(())
    }

    async fn whole_page(&mut self, walk: &mut Walk, from: Option<Mark>, size: &mut PageSize) -> Result<Next, Error> {
        let (before, _, _) = self.meter.so_far();
        let mut pages = Ahead::in_turn_only(self.engine, self.job, self.meter);
        let asked = size.get();
        let (next, left) = Box::pin(unless_stopped(self.stop, pages.next(from, *size))).await?;
        // One that HQ or the line had to have smaller stays so.
        *size = match &next {
            Next::Page(_, fetched) if !fetched.page.is_empty() && left.get() >= asked => self.value_size(Some(fetched)),
            Next::Page(..) | Next::TooLarge(..) => left,
        };
        walk.spent += self.meter.so_far().0.saturating_sub(before);
        Ok(next)
    }

    /// Names and stamps after `cursor`; records without a stamp come first.
    async fn names_page(&mut self, mut cursor: Option<Mark>) -> Result<Fetched, Error> {
        let (hq, job, meter) = (&self.engine.hq, self.job, self.meter);
        let is_unstamped = |mark: &Mark| mark.modified == Stamp::never();
        if cursor.as_ref().is_none_or(|mark| is_unstamped(mark) && !mark.name.is_empty()) {
            let name = cursor.as_ref().map_or("", |mark| mark.name.as_str());
            let size = &mut self.page_size;
            let asking = unless_stopped(self.stop, async { Ok(hq.unstamped(job, name, size, meter).await) });
            match asking.await? {
                Ok(fetched) if !fetched.page.is_empty() && fetched.page.marks().iter().all(is_unstamped) => {
                    return Ok(fetched);
                }
                // A server that refuses, or does not know, `is not set`, as with a pass.
                Ok(_) | Err(source::Error::Refused { .. }) => {
                    cursor = Some(Mark { modified: Stamp::never(), name: String::new() });
                }
                Err(error) => return Err(Error::source("comparing HQ's list")(error)),
            }
        }
        let size = &mut self.listing_size;
        let asking = async { hq.listing(job, cursor.as_ref(), size, meter).await };
        let asking = async { asking.await.map_err(Error::source("comparing HQ's list")) };
        unless_stopped(self.stop, asking).await
    }

    /// Whether one more page of whole records lies within the requests that the job allows.
    fn affords(&self, walk: &Walk) -> bool {
        let page = 1 + self.job.mapping.children().len() as u64;
        walk.all_values || walk.spent + page <= u64::from(self.job.reconcile_requests)
    }

    async fn save_walk(&mut self, walk: &Walk, standing: &mut Standing) -> Result<(), Error> {
        let keeping = || Error::store("keeping where the reconcile stands");
        standing.walk = Some(serde_json::to_string(walk).unwrap_or_default());
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        tx.save_reconcile(&self.job.name, standing).await.map_err(keeping())?;
        self.save_counts(&mut tx, &Counts::default()).await?;
        tx.commit().await.map_err(keeping())?;
        crash::point(Point::PageCompared);
        Ok(())
    }
}
