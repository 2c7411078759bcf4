//! The page after the one that has just come, asked for before that one is applied: where the way is short, HQ works while a
//! page is mapped, too. One request is under way at a time, as ever, and it is the one that would have been sent.

use std::fmt;
use std::pin::Pin;

use futures_util::future::{MaybeDone, maybe_done};

use super::Engine;
use crate::config::Job;
use crate::record::Mark;
use crate::source::frappe::Fetched;
use crate::source::{self, Meter, PageSize};

/// What came, and the size of the page after it.
type Came = (Result<Fetched, source::Error>, PageSize);

/// A page that was asked for in its turn, before anybody waited for it.
pub(super) struct Early<'e> {
    from: Mark,
    coming: MaybeDone<Pin<Box<dyn Future<Output = Came> + Send + 'e>>>,
}

impl fmt::Debug for Early<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Early").field("from", &self.from).finish_non_exhaustive()
    }
}

impl<'e> Early<'e> {
    /// Asks for the page after `from`.
    pub(super) fn ask(engine: &'e Engine, job: &'e Job, meter: &'e Meter, from: Mark, mut size: PageSize) -> Self {
        let cursor = from.clone();
        let asking = async move {
            let fetched = engine.hq.page(job, Some(&cursor), &mut size, meter).await;
            (fetched, size)
        };
        Self { from, coming: maybe_done(Box::pin(asking)) }
    }

    /// Whether it is the page after `cursor`.
    pub(super) fn follows(&self, cursor: Option<&Mark>) -> bool {
        cursor == Some(&self.from)
    }

    /// Ends once it has come, or has not.
    pub(super) fn coming(&mut self) -> &mut (impl Future<Output = ()> + Unpin + use<'e>) {
        &mut self.coming
    }

    /// What came of it.
    pub(super) async fn came(mut self) -> Option<Came> {
        self.coming().await;
        Pin::new(&mut self.coming).take_output()
    }
}
