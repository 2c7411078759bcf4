//! The next page of a pass, fetched while one is applied.
//!
//! Its request goes out as soon as the page before is decoded, so that HQ and the line work while the database does. On a
//! long way it goes before that (`second.rs`).

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::early::Early;
use super::poll::is_end;
use super::run::unless_stopped;
use super::second::{Given, Second, beside};
use super::{Engine, Error};
use crate::config::Job;
use crate::record::{Mark, Stamp};
use crate::source::frappe::Fetched;
use crate::source::{self, Lead, Meter, PageSize};

/// Applies a page while the next one is fetched, and prepared for being applied.
pub(super) async fn meanwhile<A, F, P>(
    applying: impl Future<Output = A>,
    fetching: impl Future<Output = F>,
    preparing: impl AsyncFnOnce(F) -> P,
) -> (A, P) {
    let fetching = async { preparing(fetching.await).await };
    tokio::join!(applying, fetching)
}

/// Requests under way at once for the first page: for records without a stamp, for others, and for the page after those.
pub(super) const AT_THE_START: u32 = 3;

/// What comes next in a pass.
#[derive(Debug)]
pub(super) enum Next {
    /// A page, and the cursor it was asked from.
    Page(Option<Mark>, Fetched),
    /// A record that is too large to be had even alone, and the answer that named it.
    TooLarge(Mark, Fetched),
}

/// The pages of a pass, one after the other.
#[derive(Debug)]
pub(super) struct Ahead<'e> {
    engine: &'e Engine,
    job: &'e Job,
    meter: &'e Meter,
    lead: Lead,
    /// The page that was given last.
    given: Option<Given>,
    /// The page after the one that is being waited for, or after the one that was given last.
    second: Option<Second<'e>>,
    /// The page after the one that was given last, asked for in its turn.
    early: Option<Early<'e>>,
}

impl<'e> Ahead<'e> {
    pub(super) fn new(engine: &'e Engine, job: &'e Job, meter: &'e Meter) -> Self {
        Self { engine, job, meter, lead: engine.lead, given: None, second: None, early: None }
    }

    /// For who asks for each page once he knows what he wants of it.
    pub(super) fn in_turn_only(engine: &'e Engine, job: &'e Job, meter: &'e Meter) -> Self {
        Self { lead: Lead::never(), ..Self::new(engine, job, meter) }
    }

    /// The page after `cursor`; an empty one at the end. Records without a stamp come first.
    pub(super) async fn next(&mut self, cursor: Option<Mark>, mut size: PageSize) -> Result<(Next, PageSize), Error> {
        let given = self.given.take();
        if let Some(early) = self.early.take().filter(|early| early.follows(cursor.as_ref()))
            && let Some((fetched, then)) = early.came().await
        {
            match fetched {
                Ok(fetched) => return Ok((self.page(cursor, fetched), then)),
                Err(source::Error::TooLarge { .. }) if then.get() == 1 => size = then,
                Err(error) => return Err(Error::source("reading a page")(error)),
            }
        }
        if let (Some(second), Some(from)) = (self.second.take(), &cursor) {
            if given.is_some_and(|given| second.follows(&given, from)) {
                if let Some(fetched) = self.proved(second, from, &size).await {
                    size.came(&fetched.came);
                    return Ok((self.page(cursor, fetched), size));
                }
                self.second = None;
            }
            self.lead.missed();
        }
        if cursor.is_none() && self.is_far() && self.engine.hq.has_room_for(AT_THE_START) {
            return Box::pin(self.at_the_start(size)).await;
        }
        Box::pin(self.in_turn(cursor, size)).await
    }

    /// Applies a page while the one after its end `last` is fetched and prepared for being applied, and whatever is under way
    /// comes on.
    pub(super) async fn meanwhile<A, P>(
        &mut self,
        applying: impl Future<Output = A>,
        (last, size, is_plain): (Mark, PageSize, bool),
        stop: &CancellationToken,
        preparing: impl AsyncFnOnce(Result<(Next, PageSize), Error>) -> P,
    ) -> (A, P) {
        let (mut applying, mut applied) = (pin!(applying), None);
        let came = {
            let mut fetching = Box::pin(unless_stopped(stop, self.next(Some(last), size)));
            poll_fn(|context| {
                let came = fetching.as_mut().poll(context);
                if came.is_pending()
                    && applied.is_none()
                    && let Poll::Ready(done) = applying.as_mut().poll(context)
                {
                    applied = Some(done);
                }
                came
            })
            .await
        };
        if let Ok((Next::Page(_, fetched), size)) = &came
            && is_plain
        {
            self.hurry(fetched, *size);
        }
        let rest = async {
            let preparing = preparing(came);
            match applied {
                Some(applied) => (applied, preparing.await),
                None => {
                    let (prepared, applied) = tokio::join!(biased; preparing, applying);
                    (applied, prepared)
                }
            }
        };
        match (&mut self.early, &mut self.second) {
            (Some(early), _) => beside(rest, Some(early.coming())).await,
            (None, second) => beside(rest, second.as_mut().map(Second::coming)).await,
        }
    }

    /// Asks for the page after the one that has come, where the list goes on and the way is short; on a long one pages are
    /// asked for by [`Second`].
    fn hurry(&mut self, fetched: &Fetched, size: PageSize) {
        let last = fetched.page.marks().last().filter(|last| last.modified != Stamp::never());
        if let Some(last) = last
            && self.second.is_none()
            && !is_end(fetched)
            && !self.is_far()
        {
            self.early = Some(Early::ask(self.engine, self.job, self.meter, last.clone(), size));
        }
    }

    fn is_far(&self) -> bool {
        self.lead.is_for(self.engine.hq.way())
    }

    /// What was asked for ahead, if it is the page after `from`, and not an empty one.
    async fn proved(&mut self, mut second: Second<'e>, from: &Mark, size: &PageSize) -> Option<Fetched> {
        // If it lies ready, the database is what is waited for.
        if !second.has_come() {
            let apart = self.lead.apart(second.limit, size.by_hq(second.limit), self.engine.hq.way());
            self.second = apart.map(|apart| self.ask(from, second.limit, second.at + apart, size));
        }
        beside(second.coming(), self.second.as_mut().map(Second::coming)).await;
        second.take()?.after(from).filter(|fetched| !fetched.page.is_empty())
    }

    /// Asks for the page after the `of` records that follow `from`, at that moment.
    fn ask(&self, from: &Mark, of: usize, at: Instant, size: &PageSize) -> Second<'e> {
        let (hq, job, meter, limit) = (&self.engine.hq, self.job, self.meter, size.get());
        let asked_from = from.clone();
        let asking = async move {
            tokio::time::sleep_until(at).await;
            hq.beyond(job, &asked_from, of, limit, meter).await
        };
        Second::new(from.clone(), of, limit, at, Box::pin(asking))
    }

    fn page(&mut self, cursor: Option<Mark>, fetched: Fetched) -> Next {
        self.lead.came(&fetched.came);
        self.given = cursor.as_ref().and_then(|from| Given::of(from, &fetched));
        Next::Page(cursor, fetched)
    }

    /// The first page of all. That there are records without a stamp, which come first, is rare: on a long way the first page
    /// of the others is asked for at once, and once more where it was too early.
    async fn at_the_start(&mut self, size: PageSize) -> Result<(Next, PageSize), Error> {
        let (engine, job, meter) = (self.engine, self.job, self.meter);
        let mut of_unstamped = size;
        let unstamped = Box::pin(engine.hq.unstamped(job, "", &mut of_unstamped, meter));
        let stamped = Box::pin(self.in_turn(Some(before_all()), size));
        // The one that brings most goes over the connection that stands already.
        let (stamped, unstamped) = tokio::join!(biased; stamped, unstamped);
        match unstamped {
            Ok(fetched) if is_of_unstamped(&fetched) => {
                (self.given, self.second) = (None, None);
                Ok((self.page(None, fetched), of_unstamped))
            }
            Ok(_) => stamped,
            Err(error @ source::Error::Refused { .. }) => {
                // Where the others are refused as well, it is for another reason.
                let stamped = stamped?;
                say_unlisted(job, &error);
                Ok(stamped)
            }
            Err(error) => Err(Error::source("reading a page")(error)),
        }
    }

    /// The page after `cursor`, asked for now.
    async fn in_turn(&mut self, mut cursor: Option<Mark>, mut size: PageSize) -> Result<(Next, PageSize), Error> {
        let (engine, job, meter) = (self.engine, self.job, self.meter);
        let mut unlisted = None;
        loop {
            let unstamped = match &cursor {
                None => Some(""),
                Some(mark) if mark.modified == Stamp::never() && !mark.name.is_empty() => Some(mark.name.as_str()),
                Some(_) => None,
            };
            let fetched = match (unstamped, &cursor) {
                (Some(name), _) => engine.hq.unstamped(job, name, &mut size, meter).await,
                (None, Some(from)) => {
                    let of = size.get();
                    let apart = self.lead.apart(of, size.by_hq(of), engine.hq.way());
                    self.second = apart.map(|apart| self.ask(from, of, Instant::now() + apart, &size));
                    let asking = Box::pin(engine.hq.page(job, Some(from), &mut size, meter));
                    beside(asking, self.second.as_mut().map(Second::coming)).await
                }
                (None, None) => engine.hq.page(job, None, &mut size, meter).await,
            };
            match fetched {
                // Records without a stamp are rare, and no reason to do without all the others.
                Err(error @ source::Error::Refused { .. }) if unstamped.is_some() => {
                    unlisted = Some(error);
                    cursor = Some(before_all());
                }
                Ok(fetched) if unstamped.is_some() && !is_of_unstamped(&fetched) => cursor = Some(before_all()),
                // The page has been made smaller until the record stood alone; the others are read on from its mark.
                Err(error @ source::Error::TooLarge { .. }) if unstamped.is_none() && size.get() == 1 => {
                    self.second = None;
                    let read = engine.hq.mark_after(job, cursor.as_ref(), meter).await;
                    let read = read.map_err(Error::source("reading a page"))?;
                    return match read.page.marks().first().cloned() {
                        Some(mark) => Ok((Next::TooLarge(mark, read), size)),
                        None => Err(Error::source("reading a page")(error)),
                    };
                }
                fetched => {
                    let fetched = fetched.map_err(Error::source("reading a page"))?;
                    // Where the others are refused as well, it is for another reason.
                    if let Some(error) = &unlisted {
                        say_unlisted(job, error);
                    }
                    return Ok((self.page(cursor, fetched), size));
                }
            }
        }
    }
}

/// Before all records that have a stamp.
fn before_all() -> Mark {
    Mark { modified: Stamp::never(), name: String::new() }
}

/// Whether a page is of records without a stamp. A server that does not know `is not set` sends others; they come in their own
/// order.
fn is_of_unstamped(fetched: &Fetched) -> bool {
    !fetched.page.is_empty() && fetched.page.marks().iter().all(|mark| mark.modified == Stamp::never())
}

fn say_unlisted(job: &Job, error: &source::Error) {
    tracing::warn!(job = job.name, %error, "HQ does not list records without `modified`; they are left out");
}
