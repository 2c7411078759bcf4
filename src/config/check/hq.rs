//! `[hq]`: address, credentials, patience.

use std::path::Path as FilePath;
use std::time::Duration;

use super::tls;
use crate::config::findings::Findings;
use crate::config::path::Path;
use crate::config::raw::{RawAuth, RawAuthKind, RawHq, RawRetry};
use crate::config::said::Said;
use crate::config::{Auth, Hq, duration, url};
use crate::retry::Backoff;

/// Half a minute without a byte is no slow answer any more, and short enough for a few attempts within a run.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// 5,000 records a second at the usual page size, which no first load outruns, while an outlet is one of many.
const DEFAULT_MAX_REQUESTS_PER_SECOND: u32 = 10;

/// What a first load takes of HQ's limit and no more, so that twenty of them fit beside each other. An idle outlet takes far
/// less (7 ms a poll), and the reserve that each leaves bounds all of them together.
const DEFAULT_BUDGET_SHARE: f64 = 5.0;

/// With the delays below, the last attempt falls within a quarter of a minute: past a restart of HQ's web server, and
/// before the next run is due.
const DEFAULT_MAX_ATTEMPTS: u32 = 6;

/// A dropped connection is often good again at once.
const DEFAULT_FIRST_DELAY: Duration = Duration::from_millis(500);

/// A `Retry-After` beyond this is better met by ending the run.
const DEFAULT_MAX_DELAY: Duration = Duration::from_secs(120);

/// Makes `[hq]`; `None` where something is missing.
pub(super) fn hq(raw: RawHq, folder: &FilePath, findings: &mut Findings<'_>) -> Option<Hq> {
    let retry = retry(&raw.retry, findings);
    let tls = tls::tls(raw.tls, raw.url.as_deref(), folder, findings);
    let auth = auth(raw.auth);
    let bound = raw.max_requests_per_second.unwrap_or(DEFAULT_MAX_REQUESTS_PER_SECOND);
    Some(Hq {
        // Its faults were reported by the walk, which read it as here.
        url: url::hq(&raw.url?).ok()?,
        auth: auth?,
        tls,
        time_zone: raw.time_zone?,
        timeout: raw.timeout.map_or(DEFAULT_TIMEOUT, |time| time.0),
        max_requests_per_second: (bound > 0).then_some(bound),
        budget_share: raw.budget_share.unwrap_or(DEFAULT_BUDGET_SHARE),
        retry,
    })
}

fn auth(raw: RawAuth) -> Option<Auth> {
    let (api_key, api_secret) = (raw.api_key?.into(), raw.api_secret?.into());
    Some(match raw.kind? {
        RawAuthKind::Token => Auth::Token { api_key, api_secret },
        RawAuthKind::Basic => Auth::Basic { api_key, api_secret },
    })
}

fn retry(raw: &RawRetry, findings: &mut Findings<'_>) -> Backoff {
    let first_delay = raw.first_delay.map_or(DEFAULT_FIRST_DELAY, |time| time.0);
    // A longer first delay alone raises the bound with it.
    let max_delay = raw.max_delay.map_or(DEFAULT_MAX_DELAY.max(first_delay), |time| time.0);
    if first_delay > max_delay {
        let at = Path::of(["hq", "retry", if raw.first_delay.is_some() { "first_delay" } else { "max_delay" }]);
        let (first, max) = (duration::shown(first_delay), duration::shown(max_delay));
        let said = Said::from(format!("the first delay, {first}, is longer than the longest, {max}"));
        findings.at_value(&at, said.help("let first_delay be at most max_delay"));
    }
    Backoff { max_attempts: raw.max_attempts.unwrap_or(DEFAULT_MAX_ATTEMPTS), first_delay, max_delay }
}
