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

/// What is known of a name without reading it again: `modified` of the version that was taken, or of the version
/// that was found not to belong here (left the filter, deleted).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// The record is here, in the version of this stamp.
    Present(Stamp),
    /// The record of this stamp is known not to belong here.
    Absent(Stamp),
}
