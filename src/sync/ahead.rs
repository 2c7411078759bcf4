//! The next page of a pass, fetched while one is applied.
//!
//! Its request goes out as soon as the page before is decoded, so that HQ and the line work while the database does.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Engine, Error};
use crate::config::Job;
use crate::record::{Mark, Stamp};
use crate::source::frappe::Fetched;
use crate::source::{self, Meter, PageSize};

/// Applies a page while the next one is fetched, and prepared for being applied; says also whether the database had to wait
/// for its coming.
pub(super) async fn meanwhile<A, F, P>(
    applying: impl Future<Output = A>,
    fetching: impl Future<Output = F>,
    preparing: impl AsyncFnOnce(F) -> P,
) -> (A, P, bool) {
    let is_applied = AtomicBool::new(false);
    let applying = async {
        let applied = applying.await;
        is_applied.store(true, Ordering::Relaxed);
        applied
    };
    let fetching = async {
        let fetched = fetching.await;
        let was_waited_for = is_applied.load(Ordering::Relaxed);
        (preparing(fetched).await, was_waited_for)
    };
    // What has come is taken first, or a page that lay ready would look late.
    let ((prepared, was_waited_for), applied) = tokio::join!(biased; fetching, applying);
    (applied, prepared, was_waited_for)
}

/// What comes next in a pass.
#[derive(Debug)]
pub(super) enum Next {
    /// A page, and the cursor it was asked from.
    Page(Option<Mark>, Fetched),
    /// A record that is too large to be had even alone, and the answer that named it.
    TooLarge(Mark, Fetched),
}

/// The page after `cursor`; an empty one at the end. Records without a stamp come first.
pub(super) async fn ahead(
    engine: &Engine,
    job: &Job,
    meter: &Meter,
    mut cursor: Option<Mark>,
    mut size: PageSize,
) -> Result<(Next, PageSize), Error> {
    loop {
        let unstamped = match &cursor {
            None => Some(""),
            Some(mark) if mark.modified == Stamp::never() && !mark.name.is_empty() => Some(mark.name.as_str()),
            Some(_) => None,
        };
        let fetched = match unstamped {
            Some(name) => engine.hq.unstamped(job, name, &mut size, meter).await,
            None => engine.hq.page(job, cursor.as_ref(), &mut size, meter).await,
        };
        match fetched {
            // Records without a stamp are rare, and no reason to do without all the others.
            Err(error @ source::Error::Refused { .. }) if unstamped.is_some() => {
                tracing::warn!(job = job.name, %error, "HQ does not list records without `modified`; they are left out");
                cursor = Some(Mark { modified: Stamp::never(), name: String::new() });
            }
            // A server that does not know `is not set` sends other records; they come in their own order.
            Ok(fetched)
                if unstamped.is_some()
                    && (fetched.page.is_empty()
                        || fetched.page.marks().iter().any(|mark| mark.modified != Stamp::never())) =>
            {
                cursor = Some(Mark { modified: Stamp::never(), name: String::new() });
            }
            // The page has been made smaller until the record stood alone; the others are read on from its mark.
            Err(error @ source::Error::TooLarge { .. }) if unstamped.is_none() && size.get() == 1 => {
                let read = engine.hq.mark_after(job, cursor.as_ref(), meter).await;
                let read = read.map_err(Error::source("reading a page"))?;
                return match read.page.marks().first().cloned() {
                    Some(mark) => Ok((Next::TooLarge(mark, read), size)),
                    None => Err(Error::source("reading a page")(error)),
                };
            }
            fetched => {
                let fetched = fetched.map_err(Error::source("reading a page"))?;
                return Ok((Next::Page(cursor, fetched), size));
            }
        }
    }
}
