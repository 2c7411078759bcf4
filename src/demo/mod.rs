//! A sample HQ over HTTP: a Frappe look-alike for the demo, the tests and the benches.
//!
//! A [`Site`] holds DocTypes, records, users and a clock; [`serve`] answers HTTP requests for it as a recorded Frappe
//! did (the numbers in the comments name the recordings, replayed by `tests/contract.rs`). A test edits records through
//! the same handle while the server runs, scripts [`Fault`]s, and reads what was asked with [`Site::requests`].
//!
//! ```no_run
//! use milkrun::demo::{self, DocType, Fault, Field, Naming, Site, User, When};
//! use serde_json::json;
//!
//! let hq = Site::new(chrono_tz::Asia::Kolkata)
//!     .doctype(DocType::new("UOM").named_by(Naming::Field("uom_name".into())).field(Field::new("uom_name", "Data")))
//!     .user(User::system_manager("sync@hq.test", "key", "secret"));
//! let server = demo::serve(&hq, ([127, 0, 0, 1], 0).into())?;
//! hq.insert("UOM", json!({"uom_name": "Nos"}))?;
//! hq.fault_when(When::doctype("UOM").nth(2), Fault::CutBody);
//! println!("{}", server.url());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing here is shared with the rest of the crate: a wrong reading of Frappe must not agree with itself.

mod cell;
mod clock;
mod collation;
mod control;
pub mod data;
mod doctype;
mod edit;
mod fault;
mod filter;
mod front;
mod gone;
mod http;
mod json;
mod list;
mod query;
mod records;
mod refusal;
mod row;
mod site;
mod table;
mod user;
mod walk;

pub use doctype::{DocType, Field, Naming};
pub use fault::{Fault, Hold, When};
pub use front::{Line, Maintenance, RateLimit, Request, Transport};
pub use http::{Server, serve};
pub use refusal::Refusal;
pub use site::{Late, Site};
pub use user::User;
