//! What was said already: a state of a job that lasts is worth a warning when it begins, not with every run.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// The states that were said and last; as many as there are jobs and kinds, at most.
#[derive(Debug, Default)]
pub(super) struct Said(Mutex<BTreeSet<(String, &'static str)>>);

impl Said {
    /// Notes whether the job is in this state now; true where it was not, and is.
    pub(super) fn is_news(&self, job: &str, state: &'static str, is_so: bool) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = (job.to_owned(), state);
        if is_so {
            return said.insert(entry);
        }
        said.remove(&entry);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_news_when_it_begins() {
        let said = Said::default();
        let states = [true, true, false, false, true].map(|is_so| said.is_news("items", "future", is_so));
        assert_eq!(states, [true, false, false, false, true]);
        assert!(said.is_news("others", "future", true));
    }
}
