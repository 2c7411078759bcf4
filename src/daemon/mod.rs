//! Saying when: the schedules, the rounds, the status page, and the end.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `moments.rs` | the moments that a pattern names in a zone, through daylight saving |
//! | `schedule.rs` | when a job is due: pattern, zone, splay |
//! | `retries.rs` | when a job that failed is tried again before that |
//! | `ticker.rs` | tokio-cron-scheduler, made to keep those times |
//! | `rounds.rs` | who runs when: together, beside each other, never twice |
//! | `snapshot.rs` | how the jobs stand |
//! | `answer.rs` | the same in a sentence: can the shop be opened? |
//! | `status/` | the page, `/healthz`, `/metrics` |
//! | `shutdown.rs` | signals |
//! | `notify.rs` | what the service manager is told, and its watchdog |
//! | `pulse.rs` | signs of life |
//! | `outlet.rs` | what is kept going, and the status page |
//! | `life.rs` | from the first look at the file to the end |
//! | `watch.rs` | seeing that the file was edited |
//! | `reload.rs` | what becomes of an edited file |
//! | `desk.rs` | where a version waits for its turn |
//! | `handover.rs` | from one version's jobs to the next one's |
//! | `roster.rs` | the jobs of a version, as far as it matters when they run |
//! | `version.rs` | which version is in force, and why a newer one is not |
//! | `notice.rs` | what the daemon makes known of itself |
//! | `survey.rs` | what anybody else makes of that |
//! | `ground.rs` | whose logs they are, where the file cannot be read |
//! | `rival.rs` | another process that is in the way |
//! | `shown.rs` | what the page is given to show |
//! | `report.rs` | what is told of the runs, and how often |
//! | `inbox.rs` | one message a job, whatever was sent |
//! | `engine.rs` | rounds run by the engine, and what it says of the jobs |

pub mod answer;
mod desk;
mod engine;
mod ground;
mod handover;
mod inbox;
mod life;
mod moments;
mod notice;
mod notify;
mod outlet;
mod pulse;
mod reload;
mod report;
pub mod retries;
mod rival;
pub mod roster;
mod rounds;
pub mod schedule;
mod shown;
mod shutdown;
pub mod snapshot;
pub mod status;
mod survey;
mod ticker;
pub mod version;
mod watch;

pub use engine::{Ends, read};
pub use ground::Ground;
pub use life::{run, run_until};
pub use report::ended_well;
pub use shutdown::stop_on_signals;
pub use survey::{Asked, Place, ask_to_reload, jobs_in_force, survey};
