//! Named places at which a test has the process die as by `kill -9`: nothing is flushed, closed or given back.
//!
//! Only in builds for development, and only where `MILKRUN_CRASH_AT=name` or `name:3` (the third time) asks for it; in a
//! release nothing of it is left.

/// A place where a crash would cost something if the order of things were wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A migration was applied, the next one was not.
    BetweenMigrations,
    /// The lease was taken and no run is logged yet; neither is committed.
    LeaseTaken,
    /// The run is in the log, nothing was read yet.
    RunLogged,
    /// HQ's page is in hand, its transaction not opened.
    PageFetched,
    /// A page's rows are written, its ledger entries are not.
    RowsWritten,
    /// All of a page is written and nothing committed.
    PageWritten,
    /// A page is committed.
    PageCommitted,
    /// The watermark was saved on its own, at the end of a poll or a pass.
    WatermarkSaved,
    /// Rows that are gone at HQ were removed, some names or the watermark of the deletes are still to come.
    RowsRetired,
    /// The tombstones that were carried out are written and not committed.
    TombstonesWritten,
    /// Records outside the filters are noted and not committed.
    AbsentNoted,
    /// A reconcile has compared a page of HQ's list and kept how far it has come.
    PageCompared,
    /// All is done, and the log does not say so yet.
    RunDone,
    /// The log says how the run ended, and the lease was given back with it.
    RunEnded,
}

impl Point {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::BetweenMigrations,
        Self::LeaseTaken,
        Self::RunLogged,
        Self::PageFetched,
        Self::RowsWritten,
        Self::PageWritten,
        Self::PageCommitted,
        Self::WatermarkSaved,
        Self::RowsRetired,
        Self::TombstonesWritten,
        Self::AbsentNoted,
        Self::PageCompared,
        Self::RunDone,
        Self::RunEnded,
    ];

    /// The name that `MILKRUN_CRASH_AT` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BetweenMigrations => "between_migrations",
            Self::LeaseTaken => "lease_taken",
            Self::RunLogged => "run_logged",
            Self::PageFetched => "page_fetched",
            Self::RowsWritten => "rows_written",
            Self::PageWritten => "page_written",
            Self::PageCommitted => "page_committed",
            Self::WatermarkSaved => "watermark_saved",
            Self::RowsRetired => "rows_retired",
            Self::TombstonesWritten => "tombstones_written",
            Self::AbsentNoted => "absent_noted",
            Self::PageCompared => "page_compared",
            Self::RunDone => "run_done",
            Self::RunEnded => "run_ended",
        }
    }
}

/// Dies here if a test asked for it.
#[cfg(debug_assertions)]
pub fn point(here: Point) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static MET: AtomicU32 = AtomicU32::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("MILKRUN_CRASH_AT").ok()?;
        Some(match text.split_once(':') {
            Some((name, nth)) => (name.to_owned(), nth.parse().unwrap_or(1)),
            None => (text, 1),
        })
    });
    if let Some((name, nth)) = wanted
        && name == here.name()
        && MET.fetch_add(1, Ordering::Relaxed) + 1 == *nth
    {
        std::process::abort();
    }
    trap::spring(here);
}

/// Nothing, in a release.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_here: Point) {}

/// What stands for the death of the process where a test has many histories in one process: the thread unwinds, and
/// whatever the run held is dropped where it stood.
#[cfg(debug_assertions)]
pub mod trap {
    use std::cell::Cell;

    use super::Point;

    thread_local! {
        static SET: Cell<Option<(Point, u32)>> = const { Cell::new(None) };
    }

    /// What the thread unwinds with.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Sprung(pub Point);

    /// Has this thread unwind with [`Sprung`] the `nth` time, from 1, that it comes by a place; or no more, with `None`.
    pub fn set(at: Option<(Point, u32)>) {
        SET.set(at);
    }

    pub(super) fn spring(here: Point) {
        match SET.get() {
            Some((wanted, nth)) if wanted == here && nth <= 1 => {
                SET.set(None);
                std::panic::resume_unwind(Box::new(Sprung(here)));
            }
            Some((wanted, nth)) if wanted == here => SET.set(Some((wanted, nth - 1))),
            Some(_) | None => {}
        }
    }
}
