//! HQ, read only. Knows HTTP and Frappe; knows nothing of the outlet's database.

mod answer;
mod client;
mod error;
pub mod frappe;
mod scrub;
mod tls;

pub use client::{Answer, Client, MAX_BODY, Meter, Request};
pub use error::Error;
