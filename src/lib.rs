//! milkrun keeps every outlet in step with its HQ.

pub mod breakage;
pub mod change;
pub mod cli;
pub mod clock;
pub mod config;
pub mod conflict;
pub mod crash;
pub mod daemon;
pub mod demo;
pub mod doctype;
pub mod ledger;
pub mod mapping;
pub mod quarantine;
pub mod reconciled;
pub mod record;
pub mod retry;
pub mod row;
pub mod run;
pub mod scaffold;
pub mod source;
pub mod store;
pub mod sync;
pub mod watermark;
