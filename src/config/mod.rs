//! From `sync.toml` to a [`Config`] that cannot hold an invalid thing: everything is parsed, compiled and checked here,
//! and nothing downstream looks a word up again.
//!
//! The text becomes a tree with positions, and is mended on the way where it is no TOML (`toml`); the tree is held against the table of keys (`keys`, `walk`),
//! each text against its syntax (`syntax`); what passes goes through the `config` crate, which lays the environment
//! over it (`raw`); and what the values mean together is judged last (`check`). A step leaves out what the one before
//! it found wrong, so that [`Problems`] holds everything that is wrong with a file at once.

mod check;
mod cron;
mod database;
mod duration;
mod file;
mod findings;
mod json_schema;
mod keys;
mod load;
mod named;
mod overrides;
mod path;
mod places;
mod private;
mod problem;
mod raw;
mod reference;
mod report;
mod said;
mod same;
mod schema;
mod substitute;
mod syntax;
#[cfg(test)]
mod tests;
mod toml;
mod url;
mod walk;
mod words;

pub use database::database_of;
pub use file::read;
pub use json_schema::json_schema;
pub use load::{environment, files_of, folder_of, load, load_text, parse};
pub use named::place_of;
pub use problem::{Problem, Problems};
pub use reference::reference;
pub use report::Look;
pub use said::Code;
pub use substitute::Environment;
pub use words::nearest;

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use secrecy::ExposeSecret as _;

use crate::conflict::Rules;
use crate::mapping::Mapping;
use crate::retry::Backoff;

/// The checked form of `sync.toml`.
#[derive(Debug)]
pub struct Config {
    /// `[site]`.
    pub site: Site,
    /// `[hq]`.
    pub hq: Hq,
    /// `[local]`.
    pub local: Local,
    /// `[daemon]`.
    pub daemon: Daemon,
    /// `[[job]]`, in the order written.
    pub jobs: Vec<Arc<Job>>,
    /// What looks wrong and keeps no run from its work.
    doubts: Vec<Problem>,
}

impl Config {
    /// The examples in the file that do not hold; an edited file with one is not put in force.
    #[must_use]
    pub fn failed_examples(&self) -> Option<Problems> {
        Problems::some(self.doubts.iter().filter(|problem| problem.code == Code::Example))
    }

    /// As [`Config::failed_examples`], with what only the outlet's database could prove right.
    #[must_use]
    pub fn doubts(&self) -> Option<Problems> {
        Problems::some(&self.doubts)
    }
}

/// `[site]`: who this outlet is.
#[derive(Debug, Clone)]
pub struct Site {
    /// In logs, metrics and the User-Agent; also seeds the splay.
    pub name: String,
    /// The zone cron is read in.
    pub time_zone: Tz,
}

/// `[hq]`: how HQ is reached.
#[derive(Debug, Clone)]
pub struct Hq {
    /// `http(s)://host[:port][/path]`, without a trailing slash.
    pub url: String,
    /// The credentials.
    pub auth: Auth,
    /// A private CA, a client certificate.
    pub tls: Tls,
    /// The zone HQ writes its naive stamps in.
    pub time_zone: Tz,
    /// How long to wait for the first byte of an answer, and for each further piece.
    pub timeout: Duration,
    /// Requests a second at most, over all jobs; `None` for no bound.
    pub max_requests_per_second: Option<u32>,
    /// The share of HQ's time budget that this outlet takes in a window, in percent.
    pub budget_share: f64,
    /// How a request is repeated.
    pub retry: Backoff,
}

impl Hq {
    /// Whether the credentials go over a line where others may read them: plain HTTP to another machine.
    #[must_use]
    pub fn is_in_clear(&self) -> bool {
        url::is_in_clear(&self.url)
    }
}

/// `hq.tls`, checked: what HQ's certificate is held against, beside the system's CAs, and what is shown to HQ.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Certificates of private CAs, as PEM.
    pub ca: Option<String>,
    /// The client's certificate, those above it, and its key, as PEM.
    pub identity: Option<Secret>,
}

/// `hq.auth`.
#[derive(Debug, Clone)]
pub enum Auth {
    /// `Authorization: token KEY:SECRET`.
    Token {
        /// The API key.
        api_key: Secret,
        /// The API secret.
        api_secret: Secret,
    },
    /// HTTP basic, with the same pair.
    Basic {
        /// The API key.
        api_key: Secret,
        /// The API secret.
        api_secret: Secret,
    },
}

/// A text that must not be shown.
pub type Secret = secrecy::SecretString;

/// `[local]`: the outlet's own database.
#[derive(Debug, Clone)]
pub struct Local {
    /// Which database.
    pub kind: DatabaseKind,
    /// The whole URL, password included; relative SQLite paths are made relative to the folder of `sync.toml`.
    pub url: Secret,
}

impl Local {
    /// The URL without its password and parameters, for messages.
    #[must_use]
    pub fn shown(&self) -> String {
        url::shown(self.kind, self.url.expose_secret())
    }
}

/// The databases an outlet may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    /// Embedded, the default.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MariaDB or MySQL.
    Mysql,
}

/// `[daemon]`.
#[derive(Debug, Clone, Default)]
pub struct Daemon {
    /// Address of the status page; `None` listens on nothing.
    pub listen: Option<std::net::SocketAddr>,
    /// Each outlet starts up to this much later, always by the same amount.
    pub splay: Duration,
}

/// `[[job]]`: one DocType landing in one local table.
#[derive(Debug)]
pub struct Job {
    /// Name of the job.
    pub name: String,
    /// HQ's DocType.
    pub doctype: String,
    /// When it runs, in the site's zone.
    pub schedule: Cron,
    /// Jobs (by position in [`Config::jobs`]) whose run it waits for when they are due together.
    pub after: Vec<usize>,
    /// Conditions at HQ, each `[field, operator, value]`.
    pub filters: Vec<serde_json::Value>,
    /// Records asked for in one request, to start with.
    pub page_size: u32,
    /// How late a transaction at HQ may become visible after the `modified` it carries.
    pub overlap: Duration,
    /// The local table.
    pub table: String,
    /// How records become rows.
    pub mapping: Mapping,
    /// Make the table from the mapping if it is not there.
    pub create_table: bool,
    /// What a tombstone does.
    pub deletes: Deletes,
    /// Above both at once nothing is deleted and the operator is asked.
    pub delete_limit: DeleteLimit,
    /// Who wins where both sides changed a record.
    pub rules: Rules,
    /// When all of HQ is compared with all of the ledger, in the site's zone; `None` for by hand only.
    pub reconcile: Option<Cron>,
    /// Requests that a reconcile may spend on comparing values.
    pub reconcile_requests: u32,
    /// `[[job.test]]`.
    pub tests: Vec<Example>,
}

/// A cron pattern: as written, and parsed.
#[derive(Debug, Clone)]
pub struct Cron {
    /// The pattern as written in `sync.toml`.
    pub text: String,
    /// The parsed pattern (seconds first).
    pub pattern: croner::Cron,
}

/// `deletes`: what happens to the local row of a record that is gone at HQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deletes {
    /// The row goes too.
    #[default]
    Delete,
    /// `deleted_at` is set, the values stay.
    Mark,
    /// The row stays as it is.
    Keep,
}

/// `delete_limit`: above both at once nothing is deleted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeleteLimit {
    /// Rows of one run.
    pub rows: u64,
    /// Share of the rows that came from HQ, in percent.
    pub percent: f64,
}

impl DeleteLimit {
    /// Whether so many rows of so many may not go without a person's word.
    #[must_use]
    pub fn is_passed(&self, gone: u64, rows: u64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a share in percent needs no more than a float's precision")]
        let percent = 100.0 * gone as f64 / rows.max(1) as f64;
        gone > self.rows && percent > self.percent
    }
}

/// One `[[job.test]]`: an example of the mapping.
#[derive(Debug, Clone)]
pub struct Example {
    /// Line of `sync.toml` it stands on.
    pub line: usize,
    /// HQ's record.
    pub given: serde_json::Map<String, serde_json::Value>,
    /// The columns it must give.
    pub expect: serde_json::Map<String, serde_json::Value>,
}
