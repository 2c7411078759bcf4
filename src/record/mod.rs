//! What HQ sent, decoded but not yet judged: stamps, marks, and pages of records.
//!
//! Knows nothing of HTTP, of mappings or of databases.

mod page;
mod scalar;
mod stamp;

pub use page::{BadPage, Fields, Page, Record};
pub use scalar::Scalar;
pub use stamp::{BadStamp, Stamp};

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in HQ's order: `(modified, name)`.
///
/// Names have no order here on purpose: HQ orders them by its database's collation (recording 201), so two marks
/// are never compared by name on the outlet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// HQ's `modified`.
    pub modified: Stamp,
    /// HQ's `name`; empty where only the stamp matters (everything of that stamp still lies ahead).
    pub name: String,
}

impl Mark {
    /// A record whose stamp is not known.
    #[must_use]
    pub fn unstamped(name: String) -> Self {
        Self { modified: Stamp::never(), name }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.modified, self.name)
    }
}
