//! Saying when: the schedules, the rounds, the status page, and the end.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `schedule.rs` | when a job is due: cron, zone, daylight saving, splay |
//! | `ticker.rs` | tokio-cron-scheduler, made to keep those times |
//! | `rounds.rs` | who runs when: together, beside each other, never twice |
//! | `snapshot.rs` | how the jobs stand |
//! | `status/` | the page, `/healthz`, `/metrics` |
//! | `shutdown.rs` | signals |
//! | `outlet.rs` | the daemon's life, from start to end |
//! | `engine.rs` | the only file that knows the engine |

mod engine;
mod outlet;
mod rounds;
pub mod schedule;
mod shutdown;
pub mod snapshot;
pub mod status;
mod ticker;

pub use engine::{Ends, read, run, run_until};
pub use shutdown::stop_on_signals;
