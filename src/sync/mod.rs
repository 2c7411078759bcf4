//! Putting source, mapping, conflict and store in order. Daemon and command line enter by one door: [`Engine::round`].
//!
//! | file | what is in it |
//! | --- | --- |
//! | `bases.rs` | what the ledger keeps of a row, and what both sides changed since |
//! | `conflicts.rs` | the log of conflicts, and the records that wait for an operator |
//! | `clocks.rs` | HQ's zone and clock, and saying where they are wrong |
//! | `round.rs` | several jobs one after another, and the tombstones they share |
//! | `run.rs` | one run of one job: what it is to read, and what it came to |
//! | `former.rs` | what the ledger took under a mapping before, held against the row as that one reads it |
//! | `frame.rs` | what opens a run and what closes it: lease, run log, what is kept at the end |
//! | `pass.rs` | reading a whole DocType: the first load, a full re-read |
//! | `beginning.rs` | what a pass asks before its first page, and that page |
//! | `ahead.rs` | the next page of a pass, fetched while one is applied |
//! | `second.rs` | the page after that, where the way to HQ is long |
//! | `poll.rs` | what changed since the watermark |
//! | `stretch.rs` | a list that is mostly news, read in order instead of by name |
//! | `restamp.rs` | a page of it of which only the stamp has changed |
//! | `whole.rs` | records with their child rows, read so that they belong together |
//! | `page.rs` | one page of records into the database: one transaction |
//! | `incoming.rs` | its records through the mapping |
//! | `landing.rs` | the mapped ones into their tables |
//! | `quarantine.rs` | those that could not be mapped or written |
//! | `reconsider.rs` | records that wait for an operator, once something has changed |
//! | `gone.rs` | records that are gone at HQ |
//! | `telling.rs` | what is done to rows, for who wants to be told |
//! | `reconcile/` | all of HQ compared with all of the outlet, and repaired |
//! | `retire.rs` | letting their rows go, unless they were edited here |
//! | `restored.rs` | an HQ that went back in time |
//! | `outline.rs` | a job's mapping in words, and what an edit changes in it |
//! | `plan.rs` | what an edited file would do |
//! | `succeed.rs` | an engine that takes over from another, with another configuration |
//! | `instance.rs` | a database that went back in time, or is another's |
//! | `why.rs` | what HQ, the ledger and the table have of one record |
//! | `said.rs` | what was said already and is still so |
//! | `tidy.rs` | keeping the run log short |
//! | `total.rs` | how many records there are, for who watches |
//! | `touched.rs` | noting which run made, changed or let go which row |
//! | `changed.rs` | telling it again |

mod ahead;
mod bases;
mod beginning;
mod changed;
pub mod clocks;
mod conflicts;
mod early;
mod error;
mod former;
mod frame;
mod gone;
mod incoming;
mod instance;
mod landing;
mod lease;
mod mapper;
mod outline;
mod page;
mod pass;
mod plan;
mod poll;
mod private;
mod quarantine;
mod reconcile;
mod reconsider;
mod refill;
mod refused;
mod restamp;
mod restored;
mod retire;
mod rewind;
mod round;
mod run;
mod said;
mod second;
mod stretch;
mod succeed;
mod telling;
mod tidy;
mod total;
mod touched;
mod whole;
mod why;

pub use changed::{Changed, FirstLoad, Listing};
pub use error::{Concern, Error, process};
pub use instance::Foreign;
pub use lease::{Life, life, tell_the_dead, this_process};
pub use outline::Change as MappingChange;
pub use plan::{Leaving, Plan, Reading, What};
pub use restored::Setback;
pub use round::Order;
pub use why::{Why, WhyColumn};

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::change::Change;
use crate::clock::Clock;
use crate::config::Config;
use crate::record::Stamp;
use crate::retry::Teller;
use crate::run::{Counts, Run};
use crate::source::Lead;
use crate::source::frappe::Frappe;
use crate::store::Store;

/// What a run is to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// What changed since the watermark; everything, the first time.
    Changes,
    /// Everything, compared with the local rows and repaired.
    Full,
    /// What HQ stamped at or after this moment, compared with the local rows and repaired.
    Since(Stamp),
    /// These records, compared with the local rows and repaired.
    Names(Vec<String>),
    /// These records of the quarantine, tried again.
    Parked(Vec<String>),
    /// What changed since the watermark; then all of HQ is compared with all of the outlet, and repaired.
    Reconcile {
        /// Compare all values, whatever number of requests that takes.
        all_values: bool,
        /// HQ went back in time, and is to be taken as it is now.
        has_confirmed_restore: bool,
    },
}

/// What may interest whoever watches a run.
#[derive(Debug, Clone)]
pub enum Event {
    /// A run has started.
    Started {
        /// The job.
        job: String,
        /// The run's number.
        run: i64,
    },
    /// A page has been committed.
    Page {
        /// The job.
        job: String,
        /// What the run did so far.
        counts: Counts,
    },
    /// HQ has counted what a first load, a full re-read or a reconcile is to go through; told only where the engine was
    /// opened to tell it, and where HQ counts.
    Total {
        /// The job.
        job: String,
        /// Records, of which those that [`Event::Page`] or [`Event::Walked`] told of before are some.
        records: u64,
    },
    /// A reconcile has walked on through HQ's list.
    Walked {
        /// The job.
        job: String,
        /// Records so far.
        records: u64,
    },
    /// What has been done to rows, in the order in which it was done; told once it is committed, and only where the engine
    /// was opened to tell it.
    Changes(Vec<Change>),
    /// A run has ended and is in the run log; whose trouble it was, if it did not end well.
    Ended(Run, Option<Concern>),
}

/// Whether HQ is asked how many records there are, for who shows how far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Totals {
    /// Never.
    Unwanted,
    /// Once a run has taken so long that somebody may wonder.
    AfterAWhile,
    /// As a run begins.
    AtOnce,
}

/// Whoever watches the runs.
pub type Watcher = Arc<dyn Fn(&Event) + Send + Sync>;

/// One outlet with its configuration, its database and its HQ.
pub struct Engine {
    config: Arc<Config>,
    store: Store,
    hq: Arc<Frappe>,
    clock: Clock,
    watcher: Watcher,
    holder: lease::Holder,
    known: Arc<clocks::Known>,
    // Said once a process: the user may not list tombstones.
    has_said_no_tombstones: Arc<AtomicBool>,
    said: Arc<said::Said>,
    tidied: Arc<tidy::Tidied>,
    /// Whether every change of a row is told.
    tells_changes: bool,
    /// Whether it is told how many records there are.
    totals: Totals,
    /// When a pass asks for two pages at once.
    lead: Lead,
    /// Who tells of its errors.
    teller: Teller,
    /// What looks after the database; nothing in tests and demos.
    guard: Option<Arc<instance::Guard>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("site", &self.config.site.name).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the local database; connects to HQ only when a run needs it.
    ///
    /// # Errors
    /// A database that cannot be opened, or credentials that cannot be sent.
    pub async fn open(config: Arc<Config>, clock: Clock, watcher: Watcher) -> Result<Self, Error> {
        let store = Store::open(&config.local).await.map_err(Error::store("opening the local database"))?;
        Self::on(store, config, clock, watcher)
    }

    /// Opens the local database for a dry run: all goes the same way, nothing stays, and every change is told.
    ///
    /// # Errors
    /// As [`Engine::open`]; no room for a copy of a SQLite file.
    pub async fn open_dry_run(config: Arc<Config>, clock: Clock, watcher: Watcher) -> Result<Self, Error> {
        let store = Store::dry_run(&config.local).await;
        let store = store.map_err(Error::store("opening the local database for a dry run"))?;
        Self::on(store, config, clock, watcher).map(Self::telling_changes)
    }

    /// Has every change of a row told by [`Event::Changes`].
    #[must_use]
    pub fn telling_changes(self) -> Self {
        Self { tells_changes: true, ..self }
    }

    /// Has its errors told as by the daemon, which tries again what failed.
    #[must_use]
    pub fn of_daemon(self) -> Self {
        Self { teller: Teller::Daemon, ..self }
    }

    /// Has [`Event::Total`] told.
    #[must_use]
    pub fn telling_totals(self, totals: Totals) -> Self {
        Self { totals, ..self }
    }

    /// Has every pass ask for two pages at once, whatever the way to HQ.
    #[must_use]
    pub fn always_asking_ahead(self) -> Self {
        Self { lead: Lead::always(), ..self }
    }

    fn on(store: Store, config: Arc<Config>, clock: Clock, watcher: Watcher) -> Result<Self, Error> {
        let hq = Frappe::new(&config.hq, &config.site.name, clock.clone()).map_err(Error::source("setting up HQ"))?;
        let holder = lease::Holder::this_process();
        let tells_changes = false;
        Ok(Self {
            config,
            store,
            hq: Arc::new(hq),
            clock,
            watcher,
            holder,
            known: Arc::default(),
            has_said_no_tombstones: Arc::default(),
            said: Arc::default(),
            tidied: Arc::default(),
            tells_changes,
            totals: Totals::Unwanted,
            lead: Lead::usual(),
            teller: Teller::Command,
            guard: None,
        })
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The outlet's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The outlet's database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn tell(&self, event: &Event) {
        (self.watcher)(event);
    }
}
