//! HQ, read only. Knows HTTP and Frappe; knows nothing of the outlet's database.

mod answer;
mod body;
mod client;
mod error;
mod exchange;
mod expiry;
pub mod frappe;
pub mod gate;
mod headers;
pub mod in_clear;
mod lead;
mod pace;
mod page_size;
pub mod probe;
mod scheme;
mod scrub;
mod tls;
mod way;

pub use body::MAX_BODY;
pub use client::{Answer, Client, Meter, Request};
pub use error::{Error, Stage};
pub use lead::Lead;
pub use page_size::{Came, PageSize};
