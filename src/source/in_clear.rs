//! Says that HQ is asked without TLS: once a process for each address, however many engines and checks it has.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::config::Hq;

/// The addresses of which it has been said.
static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// What is the matter.
pub const IN_CLEAR: &str = "hq.url is http://: the API secret and all records go over the line in clear";

/// What can be done about it.
pub const REMEDY: &str =
    "have HQ serve https:// (`bench setup lets-encrypt`, or a proxy before it), and begin hq.url with that";

/// Whether it is to be said of this HQ, and was not said before; whoever asks says it.
#[must_use]
pub fn is_to_be_said(hq: &Hq) -> bool {
    hq.is_in_clear() && SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(hq.url.clone())
}

/// Says it in the log, unless that was said.
pub(super) fn say(hq: &Hq) {
    if is_to_be_said(hq) {
        tracing::warn!(url = hq.url, "{IN_CLEAR}; {REMEDY}");
    }
}
