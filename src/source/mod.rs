//! HQ, read only. Knows HTTP and Frappe; knows nothing of the outlet's database.

mod answer;
mod client;
mod error;
mod exchange;
pub mod frappe;
pub mod gate;
mod headers;
mod page_size;
mod scrub;
mod tls;

pub use client::{Answer, Client, Meter, Request};
pub use error::{Error, Stage};
pub use exchange::MAX_BODY;
pub use page_size::{Came, PageSize};
