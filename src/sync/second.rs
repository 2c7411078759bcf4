//! The page after one that is still under way: a second request on a long way, so that the line is not silent between two
//! pages.
//!
//! It names its page by place, and is of use only once the page before it has come and proved it: that one held as many
//! records as were asked for, and this one begins with its last (`source/frappe/beyond.rs`). Whatever else comes of it, an
//! error too, the page is asked for in its turn. So what is read, and from which cursor, is as it would be without.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};

use futures_util::future::{MaybeDone, maybe_done};
use tokio::time::Instant;

use crate::record::Mark;
use crate::source::frappe::Fetched;

/// A page that has come, for the second one to follow.
#[derive(Debug)]
pub(super) struct Given {
    from: Mark,
    last: Mark,
    asked: usize,
    rows: usize,
}

impl Given {
    pub(super) fn of(from: &Mark, fetched: &Fetched) -> Option<Self> {
        let last = fetched.page.marks().last()?.clone();
        Some(Self { from: from.clone(), last, asked: fetched.asked, rows: fetched.page.len() })
    }
}

type Coming<'e> = Pin<Box<dyn Future<Output = Option<Fetched>> + Send + 'e>>;

/// A page that was asked for by its place.
pub(super) struct Second<'e> {
    /// The cursor of the page before it.
    from: Mark,
    /// How many records that one was asked for.
    of: usize,
    /// How many it was asked for itself.
    pub(super) limit: usize,
    /// When its request went, or is to go.
    pub(super) at: Instant,
    coming: MaybeDone<Coming<'e>>,
}

impl fmt::Debug for Second<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Second").field("from", &self.from).field("of", &self.of).finish_non_exhaustive()
    }
}

impl<'e> Second<'e> {
    pub(super) fn new(from: Mark, of: usize, limit: usize, at: Instant, asking: Coming<'e>) -> Self {
        Self { from, of, limit, at, coming: maybe_done(asking) }
    }

    /// Whether it was asked for as what follows `given`, which ended at `last`.
    pub(super) fn follows(&self, given: &Given, last: &Mark) -> bool {
        let is_after = self.from == given.from && given.last == *last;
        // One that was asked for in smaller pieces, or that HQ or a proxy cut, has another end.
        is_after && self.of == given.asked && given.rows == given.asked
    }

    /// Whether waiting for it is over.
    pub(super) fn has_come(&self) -> bool {
        !matches!(self.coming, MaybeDone::Future(_))
    }

    /// Ends once it has come, or has not.
    pub(super) fn coming(&mut self) -> &mut (impl Future<Output = ()> + Unpin + use<'e>) {
        &mut self.coming
    }

    /// What came.
    pub(super) fn take(&mut self) -> Option<Fetched> {
        Pin::new(&mut self.coming).take_output().flatten()
    }
}

/// Waits for `first`, and has another page come on meanwhile.
pub(super) async fn beside<T>(
    first: impl Future<Output = T>,
    mut second: Option<impl Future<Output = ()> + Unpin>,
) -> T {
    let mut first = pin!(first);
    poll_fn(|context| {
        if second.as_mut().is_some_and(|second| Pin::new(second).poll(context).is_ready()) {
            second = None;
        }
        first.as_mut().poll(context)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Stamp;

    fn mark(name: &str) -> Mark {
        Mark { modified: Stamp::parse("2024-05-05 10:00:00").unwrap(), name: name.to_owned() }
    }

    #[test]
    fn a_second_page_follows_the_full_page_that_it_was_asked_for_with() {
        let second = Second::new(mark("A"), 100, 400, Instant::now(), Box::pin(async { None }));
        let given = || Given { from: mark("A"), last: mark("M"), asked: 100, rows: 100 };
        assert!(second.follows(&given(), &mark("M")));
        let others = [
            Given { from: mark("B"), ..given() },
            Given { asked: 25, rows: 25, ..given() },
            Given { rows: 99, ..given() },
        ];
        assert!(others.iter().all(|other| !second.follows(other, &mark("M"))), "{others:?}");
        assert!(!second.follows(&given(), &mark("L")), "the pass goes on from another mark");
    }
}
