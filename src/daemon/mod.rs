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
//! | `outlet.rs` | the daemon's life, and the status page's |
//! | `report.rs` | what is told of the runs, and how often |
//! | `inbox.rs` | one message a job, whatever was sent |
//! | `engine.rs` | the only file that knows the engine |

pub mod answer;
mod engine;
mod inbox;
mod moments;
mod notify;
mod outlet;
mod pulse;
mod report;
pub mod retries;
mod rounds;
pub mod schedule;
mod shutdown;
pub mod snapshot;
pub mod status;
mod ticker;

pub use engine::{Ends, read, run, run_until};
pub use report::ended_well;
pub use shutdown::stop_on_signals;
