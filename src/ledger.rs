//! What milkrun last took from HQ for each record; the base of every later decision.

use crate::record::Stamp;

/// The ledger's knowledge of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// HQ's `name`.
    pub hq_name: String,
    /// The local row's key as [`crate::row::Key::text`].
    pub local_key: String,
    /// HQ's `modified` of the version last taken.
    pub hq_modified: Stamp,
    /// Fingerprint of the mapped columns that HQ owns, as last taken.
    pub row_hash: i64,
    /// Fingerprint of the mapped child rows, as last taken; 0 where the job has no child tables.
    pub children_hash: i64,
}

/// What is known of a name without reading it again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// The record is here, in the version of this stamp.
    pub present: Option<Stamp>,
    /// The version of this stamp was found not to belong here: it left the filter, was deleted, or was given up.
    pub absent: Option<Stamp>,
}

impl Known {
    /// Whether the version of this stamp needs no reading.
    #[must_use]
    pub fn covers(&self, stamp: &Stamp) -> bool {
        self.present.as_ref() == Some(stamp) || self.absent.as_ref() == Some(stamp)
    }
}
