//! Records that are gone at HQ: by a tombstone in `Deleted Document`, or because they left the job's filters.
//!
//! A tombstone alone proves nothing, as a name can be deleted and made again (recordings 733 and 909): a row goes
//! only when HQ, asked for the name, has no such record. Rows that never came from HQ are in no ledger and are never
//! touched. All of a run's deletes are counted against `delete_limit` before the first is carried out.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;

use super::retire::Gone;
use super::run::{Work, unless_stopped};
use super::{Engine, Error};
use chrono::{DateTime, Utc};

use crate::config::Deletes;
use crate::crash::{self, Point};
use crate::record::{Mark, Page, Stamp};
use crate::source;
use crate::source::Meter;
use crate::source::frappe::Fetched;
use crate::store::Stream;
use crate::watermark::{Clocks, Progress, Watermark};

/// Tombstones asked for in one request.
const PAGE_SIZE: usize = 5_000;

/// Names written or asked about at once.
pub(super) const CHUNK: usize = 1_000;

/// The tombstones that the jobs of a round asked for together.
#[derive(Debug)]
pub(super) struct Tombstones {
    shared: Shared,
}

#[derive(Debug)]
enum Shared {
    /// Not asked for, or the user may not see them.
    None,
    /// The first page above the lowest start of all jobs; `newest` for those that have no start yet.
    Page(Box<First>),
}

#[derive(Debug)]
struct First {
    fetched: Option<Fetched>,
    /// Above which they were asked for.
    from: Option<Mark>,
    newest: Option<Mark>,
    read: Clocks,
    asked_at: DateTime<Utc>,
}

impl Tombstones {
    pub(super) fn none() -> Self {
        Self { shared: Shared::None }
    }
}

impl Engine {
    /// One request for the tombstones of all these jobs, and one more where a job begins to watch them.
    pub(super) async fn tombstones(&self, jobs: &[usize], meter: &Meter) -> Result<Tombstones, Error> {
        let mut starts: Vec<Option<Mark>> = Vec::new();
        let mut doctypes: Vec<&str> = Vec::new();
        let mut has_beginner = false;
        let settled = self.store.settled(Stream::Deletes).await;
        let mut settled = settled.map_err(Error::store("reading the watermark of the deletes"))?;
        for job in jobs.iter().filter_map(|at| self.config.jobs.get(*at)) {
            match settled.remove(&job.name) {
                Some(settled) => {
                    starts.push(settled);
                    if !doctypes.contains(&job.doctype.as_str()) {
                        doctypes.push(&job.doctype);
                    }
                }
                None => has_beginner = true,
            }
        }
        match self.ask_for_tombstones(&doctypes, &starts, has_beginner, meter).await {
            Ok(shared) => Ok(Tombstones { shared }),
            // Whatever keeps HQ from telling its deletes must not keep its records from coming.
            Err(
                cause @ (source::Error::Forbidden { .. }
                | source::Error::Unknown { .. }
                | source::Error::Refused { .. }),
            ) => {
                if !self.has_said_no_tombstones.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        %cause,
                        "HQ does not list Deleted Document to this user: deletes at HQ stay unnoticed until a reconcile; \
                         give a role of the user read permission on it at HQ (Role Permissions Manager)"
                    );
                }
                Ok(Tombstones::none())
            }
            Err(cause) => Err(Error::source("asking HQ what was deleted")(cause)),
        }
    }

    async fn ask_for_tombstones(
        &self,
        doctypes: &[&str],
        starts: &[Option<Mark>],
        has_beginner: bool,
        meter: &Meter,
    ) -> Result<Shared, source::Error> {
        let mut newest = None;
        let asked_at = self.clock.now();
        let mut read = Clocks { outlet: asked_at, hq: asked_at };
        if has_beginner {
            let (mark, fetched) =
                self.hq.newest(source::frappe::DELETED_DOCUMENT, &[], "creation", None, meter).await?;
            newest = mark;
            read = fetched.read;
        }
        let from = lowest(starts);
        let fetched = match doctypes {
            [] => None,
            doctypes => Some(self.hq.tombstones(doctypes, from.as_ref(), PAGE_SIZE, meter).await?),
        };
        Ok(Shared::Page(Box::new(First { fetched, from, newest, read, asked_at })))
    }
}

/// The lowest start by stamp, with its name where all share it; `None` where one starts from the beginning.
fn lowest(starts: &[Option<Mark>]) -> Option<Mark> {
    let known: Option<Vec<&Mark>> = starts.iter().map(Option::as_ref).collect();
    let known = known?;
    let lowest = known.iter().min_by_key(|mark| &mark.modified)?;
    let is_shared = known.iter().all(|mark| mark == lowest);
    // Names have no order here: where starts differ, all of the lowest stamp is asked for again.
    let name = if is_shared { lowest.name.clone() } else { String::new() };
    Some(Mark { modified: lowest.modified.clone(), name })
}

/// The tombstones that concern a job, read and not yet carried out.
#[derive(Debug)]
pub(super) struct Burial {
    /// Records that are gone, with the stamps of their deletes.
    pub(super) gone: BTreeMap<String, Stamp>,
    /// Records that were made again.
    alive: Vec<(String, Stamp)>,
    /// What is true once they are carried out.
    progress: Progress,
}

impl Work<'_> {
    /// Carries out the tombstones that concern this job.
    pub(super) async fn bury(&mut self, tombstones: &Tombstones) -> Result<(), Error> {
        let Some(burial) = self.read_tombstones(tombstones).await? else { return Ok(()) };
        let deleted = burial.gone.iter().map(|(name, at)| Gone { name: name.clone(), at: Some(at.clone()) });
        self.retire(&deleted.collect::<Vec<_>>()).await?;
        self.end_burial(burial).await
    }

    /// Notes that the tombstones were carried out.
    pub(super) async fn end_burial(&mut self, burial: Burial) -> Result<(), Error> {
        let Burial { gone, alive, progress } = burial;
        let names: Vec<&str> = gone.keys().map(String::as_str).collect();
        self.forget_parked(&names).await?;
        self.lapse_untaken(&names).await?;
        let done: Vec<(String, Stamp)> = gone.into_iter().chain(alive).collect();
        if done.is_empty() {
            // Nothing was written that it would have to go along with.
            self.owed.deletes = Some(progress);
            return Ok(());
        }
        self.save_deletes(&progress, &done).await
    }

    /// Reads the tombstones that concern this job; `None` where there are none to be had.
    pub(super) async fn read_tombstones(&mut self, tombstones: &Tombstones) -> Result<Option<Burial>, Error> {
        let Shared::Page(shared) = &tombstones.shared else { return Ok(None) };
        let First { fetched, from, newest, read, asked_at } = shared.as_ref();
        let Some(at_start) = self.deletes.clone() else {
            self.begin_to_watch(newest.clone(), *read).await?;
            return Ok(None);
        };
        let Some(first) = fetched else { return Ok(None) };
        let started = first.read.back_to(self.started.min(*asked_at));
        let begun = at_start.watermark.resume(started, self.zone);
        let mut progress = Progress { watermark: begun.clone(), ..at_start.clone() };
        let mut gone: BTreeMap<String, Stamp> = BTreeMap::new();
        let mut alive: Vec<(String, Stamp)> = Vec::new();
        let mut bound = None;
        let start = begun.settled.as_ref();
        // Only the answer told HQ's clock; where that has gone back, the shared page began too high.
        let is_too_high = from.as_ref().is_some_and(|from| start.is_none_or(|start| start.modified < from.modified));
        let mut further = if is_too_high { Some(self.more_tombstones(start).await?) } else { None };
        loop {
            let page = further.as_ref().unwrap_or(first);
            self.sift(&page.page, &mut gone, &mut alive).await?;
            let Some(last) = page.page.marks().last().cloned() else { break };
            bound = bound.or_else(|| Some(last.modified.clone()).filter(|stamp| stamp.moment() <= self.hq_now(page)));
            progress.watermark = progress.watermark.after(&last, page.read, self.hq_now(page));
            if page.page.len() < PAGE_SIZE {
                break;
            }
            self.go_on()?;
            further = Some(self.more_tombstones(Some(&last)).await?);
        }
        progress.watermark = progress.watermark.settle(&begun, started, bound.as_ref(), self.job.overlap);
        Ok(Some(Burial { gone, alive, progress }))
    }

    async fn more_tombstones(&self, from: Option<&Mark>) -> Result<Fetched, Error> {
        let doctypes = [self.job.doctype.as_str()];
        let asking = self.engine.hq.tombstones(&doctypes, from, PAGE_SIZE, self.meter);
        let asking = async { asking.await.map_err(Error::source("asking HQ what was deleted")) };
        unless_stopped(self.stop, asking).await
    }

    /// The tombstones of a page that concern rows of this job, parted into records that are gone and records that
    /// were made again.
    async fn sift(
        &self,
        page: &Page,
        gone: &mut BTreeMap<String, Stamp>,
        alive: &mut Vec<(String, Stamp)>,
    ) -> Result<(), Error> {
        let ours = page.records().filter(|record| record.text("deleted_doctype") == self.job.doctype.as_str());
        let ours: BTreeMap<String, Stamp> =
            ours.map(|record| (record.text("deleted_name").into_owned(), record.modified().clone())).collect();
        let names: Vec<&str> = ours.keys().map(String::as_str).collect();
        let reading = || Error::store("reading the ledger");
        let known = self.engine.store.known(&self.job.name, &names, true).await.map_err(reading())?;
        let buried = self.engine.store.buried(&self.job.name, &names).await.map_err(reading())?;
        let is_open = |(name, stamp): &(&String, &Stamp)| {
            let is_ours = known.get(*name).is_some_and(|known| known.present.is_some());
            let waits = self.parked.contains_key(*name) || self.open.contains_key(*name);
            (is_ours || waits) && buried.get(*name).is_none_or(|done| done < *stamp)
        };
        let open: Vec<(&String, &Stamp)> = ours.iter().filter(is_open).collect();
        for chunk in open.chunks(CHUNK) {
            let names: Vec<&str> = chunk.iter().map(|(name, _)| name.as_str()).collect();
            let living = self.living(&names).await?;
            for (name, stamp) in chunk {
                if living.contains(*name) {
                    alive.push(((*name).clone(), (*stamp).clone()));
                } else {
                    gone.insert((*name).clone(), (*stamp).clone());
                }
            }
        }
        Ok(())
    }

    /// Which of these names HQ has a record of. A name counts as dead only when an answer showed none of those asked
    /// for, so that a list that was cut short kills nobody.
    pub(super) async fn living(&self, names: &[&str]) -> Result<HashSet<String>, Error> {
        let mut living: HashSet<String> = HashSet::new();
        for chunk in names.chunks(CHUNK) {
            let mut open: Vec<&str> = chunk.to_vec();
            while !open.is_empty() {
                let asking = self.engine.hq.living(&self.job.doctype, &open, self.meter);
                let asking = async { asking.await.map_err(Error::source("asking HQ whether records are gone")) };
                let found = unless_stopped(self.stop, asking).await?;
                let before = open.len();
                open.retain(|name| !found.contains(*name));
                living.extend(found);
                if open.len() == before {
                    break;
                }
            }
        }
        Ok(living)
    }

    pub(super) async fn check_limit(&self, more: u64) -> Result<(), Error> {
        if self.has_confirmed_deletes || self.job.deletes == Deletes::Keep {
            return Ok(());
        }
        let rows =
            self.engine.store.count_entries(&self.job.name).await.map_err(Error::store("counting the ledger"))?;
        let already = self.counts.deleted;
        let (gone, before) = (already + more, already + rows);
        if self.job.delete_limit.is_passed(gone, before) {
            return Err(self.too_many_gone(gone, before));
        }
        Ok(())
    }

    pub(super) fn too_many_gone(&self, gone: u64, rows: u64) -> Error {
        let (limit, job, already) = (self.job.delete_limit, self.job.name.clone(), self.counts.deleted);
        let command = if self.is_reconcile { "reconcile" } else { "sync" };
        Error::TooManyGone { gone, rows, limit, job, already, command }
    }

    /// The job's first sight of tombstones: what was deleted before its first load is no concern of its.
    async fn begin_to_watch(&self, newest: Option<Mark>, read: Clocks) -> Result<(), Error> {
        let begun = Watermark { zone: Some(self.zone), ..Watermark::default() };
        let mut watermark = begun.clone();
        if let Some(newest) = newest {
            watermark = watermark.after(&newest, read, newest.modified.moment());
            watermark = watermark.settle(&begun, read, Some(&newest.modified), self.job.overlap);
        }
        self.save_deletes(&Progress { watermark, ..Progress::default() }, &[]).await
    }

    async fn save_deletes(&self, progress: &Progress, done: &[(String, Stamp)]) -> Result<(), Error> {
        let saving = || Error::store("saving the watermark of the deletes");
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        let now = self.engine.clock.now();
        tx.note_buried(&self.job.name, done, now).await.map_err(saving())?;
        if let Some(settled) = &progress.watermark.settled {
            tx.forget_buried_below(&self.job.name, &settled.modified).await.map_err(saving())?;
        }
        tx.save_progress(&self.job.name, Stream::Deletes, progress, now).await.map_err(saving())?;
        crash::point(Point::TombstonesWritten);
        tx.commit().await.map_err(saving())
    }
}
