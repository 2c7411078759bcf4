//! Histories that failed once, shrunk: each with the seed of its outlet.

use super::step::Step;

/// Played before all others.
pub(crate) const FOUND: &[(u64, &[Step])] = &[];
