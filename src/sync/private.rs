//! Private values, out of what ends a run: its error goes to the run log, the status page and the log.
//!
//! milkrun's own words never hold one. A database may quote what it refuses, and two records that share a private key
//! would be told by that key.

use super::Error;
use super::run::Work;
use crate::conflict::{Clash, Incoming};
use crate::store;

impl Work<'_> {
    /// The error without the private values of these records; without any records, without all that the database
    /// quotes.
    pub(super) fn without_private(&self, error: Error, incoming: &[Incoming]) -> Error {
        let mapping = &self.job.mapping;
        if !mapping.has_private() {
            return error;
        }
        match error {
            // Of a statement that carried no row the database says how it is itself.
            Error::Store {
                step,
                cause:
                    cause @ (store::Error::Unavailable(_)
                    | store::Error::Full(_)
                    | store::Error::Denied(_)
                    | store::Error::Absent { .. }),
            } if incoming.is_empty() => Error::Store { step, cause },
            Error::Store { step, cause } => {
                let records = || incoming.iter().map(|record| (&record.mapped.row, record.children.as_slice()));
                Error::Store { step, cause: cause.said(|sentence| mapping.scrub(sentence, records())) }
            }
            other @ (Error::Source { .. }
            | Error::Shared(_)
            | Error::TooManyParked { .. }
            | Error::TooManyWaiting { .. }
            | Error::TooManyGone { .. }
            | Error::Hidden { .. }
            | Error::WentBack(_)
            | Error::Foreign(_)
            | Error::Vanished { .. }
            | Error::NotAtHq(_)
            | Error::OutsideFilters(_)
            | Error::AheadOfHq(_)
            | Error::Busy { .. }
            | Error::Waits(_)
            | Error::Stopped) => other,
        }
    }

    /// What the database said of one record, without its private values.
    pub(super) fn reason_without_private(&self, said: &store::Error, record: &Incoming) -> String {
        let records = std::iter::once((&record.mapped.row, record.children.as_slice()));
        self.job.mapping.scrub(&said.to_string(), records)
    }

    /// A clash, told without a key that is private.
    pub(super) fn clash_without_private(&self, clash: &Clash) -> String {
        if self.job.mapping.has_private_key() {
            return Clash { key: "(private)".into(), ..clash.clone() }.to_string();
        }
        clash.to_string()
    }
}
