//! The floor: the least that a program must do which keeps a table in step with HQ, written by hand for this one table.
//!
//! It fetches pages by keyset from where it stopped (as arrays, the next page while the last one is written), reads them
//! without a tree, upserts twelve columns and a ledger row a record, and notes how far it came, in the same
//! transaction. Nothing else: no mapping, no conflicts, no deletes, no second look at what came late, no checks of what HQ
//! sends. Several pages are one transaction, and what each database is best fed with was measured (`docs/performance.md`).

mod columns;
mod feed;
mod mariadb;
mod postgres;
mod sqlite;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::database::{Kind, block_on};

/// What is to be done, as the bench passes it on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) database: Kind,
    /// Of the outlet's database.
    pub(crate) url: String,
    pub(crate) hq: String,
    pub(crate) doctypes: Vec<String>,
    /// Records a page: what milkrun came to.
    pub(crate) page: usize,
    /// Whether HQ is asked to compress.
    pub(crate) is_compressed: bool,
    /// Whether the ledger keeps each record's values as well.
    pub(crate) has_base: bool,
    /// Whether the items' child rows are fetched and replaced with them.
    pub(crate) has_children: bool,
    /// Whether pages are only fetched and read: the way that a run must go which then has nothing to write.
    pub(crate) is_read_only: bool,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// Pages that make one transaction.
const PAGES: usize = 8;

/// Does the task.
pub(crate) fn run(task: &Task) -> Result<Done> {
    match task.database {
        Kind::Sqlite => sqlite::run(task),
        Kind::Postgres => block_on(postgres::run(task)),
        Kind::Mariadb => block_on(mariadb::run(task)),
    }
}
