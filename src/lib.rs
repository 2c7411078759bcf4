//! milkrun keeps every outlet in step with its HQ.

pub mod config;
pub mod demo;
pub mod ledger;
pub mod mapping;
pub mod record;
pub mod retry;
pub mod row;
pub mod run;
pub mod store;
pub mod watermark;
