//! `sync.toml` as written, typed: what the `config` crate makes of the file and the environment.
//!
//! Everything may be missing here: what must be there and is not was reported by the walk, and the checks go on with
//! the rest. Nothing here is `Debug`, as it holds the secrets.

use std::net::SocketAddr;
use std::time::Duration;

use chrono_tz::Tz;
use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, de};

use super::{Deletes, duration};
use crate::conflict::Rule;
use crate::mapping::{Literal, Owner};

/// The whole file.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) site: RawSite,
    pub(super) hq: RawHq,
    pub(super) local: RawLocal,
    pub(super) daemon: RawDaemon,
    pub(super) job: Vec<RawJob>,
}

/// `[site]`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSite {
    pub(super) name: Option<String>,
    pub(super) time_zone: Option<Tz>,
}

/// `[hq]`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawHq {
    pub(super) url: Option<String>,
    pub(super) auth: RawAuth,
    pub(super) tls: RawTls,
    pub(super) time_zone: Option<Tz>,
    pub(super) timeout: Option<Time>,
    pub(super) max_requests_per_second: Option<u32>,
    pub(super) budget_share: Option<f64>,
    pub(super) retry: RawRetry,
}

/// `hq.auth`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAuth {
    pub(super) kind: Option<RawAuthKind>,
    pub(super) api_key: Option<String>,
    pub(super) api_secret: Option<String>,
}

/// `hq.auth.kind`.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawAuthKind {
    Token,
    Basic,
}

/// `hq.tls`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTls {
    pub(super) ca: Option<String>,
    pub(super) client_cert: Option<String>,
    pub(super) client_key: Option<String>,
}

/// `hq.retry`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRetry {
    pub(super) max_attempts: Option<u32>,
    pub(super) first_delay: Option<Time>,
    pub(super) max_delay: Option<Time>,
}

/// `[local]`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLocal {
    pub(super) url: Option<String>,
}

/// `[daemon]`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawDaemon {
    pub(super) listen: Option<SocketAddr>,
    pub(super) splay: Option<Time>,
}

/// `[[job]]`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawJob {
    pub(super) name: Option<String>,
    pub(super) doctype: Option<String>,
    pub(super) schedule: Option<String>,
    pub(super) after: Vec<String>,
    pub(super) filters: Option<serde_json::Value>,
    pub(super) page_size: Option<u32>,
    pub(super) overlap: Option<Time>,
    pub(super) table: Option<String>,
    pub(super) key: Option<Vec<String>>,
    pub(super) create_table: Option<bool>,
    pub(super) deletes: Option<RawDeletes>,
    pub(super) delete_limit: RawDeleteLimit,
    pub(super) conflict: Option<RawConflict>,
    pub(super) otherwise: Option<RawConflict>,
    pub(super) local_modified: Option<String>,
    pub(super) reconcile: Option<String>,
    pub(super) reconcile_requests: Option<u32>,
    pub(super) fields: RawFields,
    pub(super) children: Vec<RawChild>,
    pub(super) test: Vec<RawTest>,
}

/// `deletes`.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawDeletes {
    Delete,
    Mark,
    Keep,
}

impl From<RawDeletes> for Deletes {
    fn from(raw: RawDeletes) -> Self {
        match raw {
            RawDeletes::Delete => Self::Delete,
            RawDeletes::Mark => Self::Mark,
            RawDeletes::Keep => Self::Keep,
        }
    }
}

/// `conflict`, and `otherwise`.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawConflict {
    HqWins,
    LocalWins,
    NewestWins,
    Merge,
    Manual,
}

impl From<RawConflict> for Rule {
    fn from(raw: RawConflict) -> Self {
        match raw {
            RawConflict::HqWins => Self::HqWins,
            RawConflict::LocalWins => Self::LocalWins,
            RawConflict::NewestWins => Self::NewestWins,
            RawConflict::Merge => Self::Merge,
            RawConflict::Manual => Self::Manual,
        }
    }
}

/// `delete_limit`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawDeleteLimit {
    pub(super) rows: Option<u64>,
    pub(super) percent: Option<f64>,
}

/// `[job.fields]`: columns in the order written.
pub(super) type RawFields = IndexMap<String, RawField>;

/// A field; `column = "hq_field"` arrives as `{ from = "hq_field" }`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawField {
    pub(super) from: Option<String>,
    pub(super) expr: Option<String>,
    pub(super) r#const: Option<RawLiteral>,
    pub(super) r#type: Option<String>,
    pub(super) scale: Option<u32>,
    pub(super) trim: bool,
    pub(super) max_length: Option<u32>,
    pub(super) map: Option<IndexMap<String, RawLiteral>>,
    pub(super) default: Option<RawLiteral>,
    pub(super) lookup: Option<RawLookup>,
    pub(super) owner: Option<RawOwner>,
    pub(super) private: bool,
    pub(super) conflict: Option<RawConflict>,
}

/// A literal, under the name of its type.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawLiteral {
    Text(String),
    Int(i64),
    Float(String),
    Bool(bool),
}

impl From<RawLiteral> for Literal {
    fn from(raw: RawLiteral) -> Self {
        match raw {
            RawLiteral::Text(text) => Self::Text(text),
            RawLiteral::Int(number) => Self::Int(number),
            RawLiteral::Float(text) => Self::Float(text),
            RawLiteral::Bool(claim) => Self::Bool(claim),
        }
    }
}

/// `owner`.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawOwner {
    Hq,
    Once,
    UntilEdited,
}

impl From<RawOwner> for Owner {
    fn from(raw: RawOwner) -> Self {
        match raw {
            RawOwner::Hq => Self::Hq,
            RawOwner::Once => Self::Once,
            RawOwner::UntilEdited => Self::UntilEdited,
        }
    }
}

/// `lookup`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLookup {
    pub(super) table: Option<String>,
    pub(super) r#match: Option<String>,
    pub(super) take: Option<String>,
}

/// `[[job.children]]`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawChild {
    pub(super) field: Option<String>,
    pub(super) table: Option<String>,
    pub(super) parent_key: Option<String>,
    pub(super) fields: RawFields,
}

/// `[[job.test]]`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTest {
    pub(super) given: Option<serde_json::Map<String, serde_json::Value>>,
    pub(super) expect: Option<serde_json::Map<String, serde_json::Value>>,
}

/// A length of time.
#[derive(Clone, Copy)]
pub(super) struct Time(pub(super) Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = || de::Error::custom(format!("expected {}", duration::EXPECTED));
        duration::parse(&text).map(Self).ok_or_else(expected)
    }
}
