//! Faults a test scripts: what goes wrong, for which request.
//!
//! Faults wait in a queue. A request takes the first one that is meant for it; with an empty queue HQ is healthy.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection is closed before anything is answered or done.
    Refuse,
    /// The answer comes this much later.
    Late(Duration),
    /// Nothing is done or answered until the test releases it.
    Hold(Hold),
    /// The work is done and the connection closed without an answer.
    LoseAnswer,
    /// The connection is reset before anything is answered or done.
    Reset,
    /// These bytes go out in place of an answer, whatever they are, then the connection closes.
    Raw(Vec<u8>),
    /// The headers and half of the body arrive, then the connection closes.
    CutBody,
    /// The headers and half of the body arrive, then nothing more.
    StallBody,
    /// The body comes byte by byte.
    Trickle,
    /// A gzip body that ends in the middle, its length told rightly.
    CutGzip,
    /// What claims to be gzip and is not.
    GarbageGzip,
    /// A gzip body of this many MiB once unpacked.
    Bomb(usize),
    /// Another answer: status, content type, body.
    Answer(u16, String, Vec<u8>),
    /// A page of HTML with status 200, as a captive portal sends.
    HtmlPage,
    /// 302 to `/login`.
    LoginRedirect,
    /// A redirect of this status to this place.
    Redirect(u16, String),
    /// 429 with `Retry-After` in seconds (recording 871).
    TooMany(u64),
    /// 429 with this `Retry-After`.
    Asked(String),
    /// The HTML page of a proxy in front of HQ: 502, 503, 504.
    Proxy(u16),
    /// A Frappe error of this status and `exc_type`, such as 500 `QueryTimeoutError` (recording 861).
    Exception(u16, String),
    /// The user's token stops working: 401 now and from then on (recording 801).
    TokenExpires,
    /// An answer of this many bytes, valid JSON of the right shape otherwise empty.
    Oversized(usize),
    /// JSON of the wrong shape, such as `{"data": {}}`, with status 200.
    Shape(Value),
    /// The right body under this content type.
    ContentType(String),
    /// A list request is answered with no rows.
    EmptyList,
    /// A list request is answered with the page before it again.
    RepeatPage,
    /// The field is missing from the answer.
    DropField(String),
    /// Every row of the page comes twice.
    DoubleRows,
    /// A list begins at its beginning, whatever `limit_start` says.
    IgnoreStart,
    /// A list holds so many rows at most, whatever is asked for.
    CutList(usize),
}

/// Which request a fault is for; everything left open fits every request.
#[derive(Debug, Clone, Default)]
pub struct When {
    method: Option<String>,
    doctype: Option<String>,
    path: Option<String>,
    query: Option<String>,
    skip: usize,
}

impl When {
    /// Any request.
    pub fn any() -> Self {
        Self::default()
    }

    /// A request about records of this DocType, by whichever endpoint.
    pub fn doctype(doctype: &str) -> Self {
        Self { doctype: Some(doctype.to_owned()), ..Self::default() }
    }

    /// A request whose decoded path holds this text.
    pub fn path(part: &str) -> Self {
        Self { path: Some(part.to_owned()), ..Self::default() }
    }

    /// A request with this key in its query.
    pub fn query(key: &str) -> Self {
        Self { query: Some(key.to_owned()), ..Self::default() }
    }

    /// Only requests by this HTTP method.
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only the n-th request that fits, counted from 1 and from now.
    pub fn nth(mut self, n: usize) -> Self {
        self.skip = n.saturating_sub(1);
        self
    }

    fn fits(&self, (method, path, query): Asked<'_>, doctype: Option<&str>) -> bool {
        let has = |wanted: &str| query.iter().any(|(key, _)| key == wanted);
        self.query.as_deref().is_none_or(has)
            && self.method.as_deref().is_none_or(|wanted| wanted == method)
            && self.path.as_deref().is_none_or(|part| path.contains(part))
            && self.doctype.as_deref().is_none_or(|wanted| Some(wanted) == doctype)
    }
}

/// A request kept waiting; clones are the same hold.
#[derive(Debug, Clone, Default)]
pub struct Hold(Arc<Held>);

#[derive(Debug, Default)]
struct Held {
    state: Mutex<HoldState>,
    reached: Condvar,
    released: Notify,
}

#[derive(Debug, Default)]
struct HoldState {
    is_reached: bool,
    is_released: bool,
}

impl Hold {
    /// A hold no request has reached yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the request go on.
    pub fn release(&self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).is_released = true;
        self.0.released.notify_waiters();
    }

    /// Waits until a request is being held; false if none came in time.
    pub fn wait_until_reached(&self, patience: Duration) -> bool {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.reached.wait_timeout_while(state, patience, |state| !state.is_reached);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_reached
    }

    pub(super) async fn wait(&self) {
        {
            self.0.state.lock().unwrap_or_else(PoisonError::into_inner).is_reached = true;
            self.0.reached.notify_all();
        }
        loop {
            // Registered before looking, or a release in between would be missed.
            let released = self.0.released.notified();
            if self.0.state.lock().unwrap_or_else(PoisonError::into_inner).is_released {
                return;
            }
            released.await;
        }
    }
}

/// A request's method, path and query.
pub(super) type Asked<'r> = (&'r str, &'r str, &'r [(String, String)]);

/// The faults still to come, in order.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<Scripted>);

#[derive(Debug)]
struct Scripted {
    when: When,
    fault: Fault,
    is_lasting: bool,
}

impl Queue {
    pub(super) fn push(&mut self, when: When, fault: Fault, is_lasting: bool) {
        self.0.push_back(Scripted { when, fault, is_lasting });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The fault meant for a request, if any. Faults meant for a later one count it.
    pub(super) fn take(&mut self, asked: Asked<'_>, doctype: Option<&str>) -> Option<Fault> {
        let mut found = None;
        for (place, scripted) in self.0.iter_mut().enumerate() {
            if scripted.when.fits(asked, doctype) {
                if scripted.when.skip == 0 {
                    found = Some((place, scripted.is_lasting, scripted.fault.clone()));
                    break;
                }
                scripted.when.skip -= 1;
            }
        }
        let (place, is_lasting, fault) = found?;
        if !is_lasting {
            self.0.remove(place);
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_taken_in_order_by_the_requests_they_are_for() {
        let mut queue = Queue::default();
        queue.push(When::doctype("Item").nth(2), Fault::CutBody, false);
        queue.push(When::any(), Fault::Refuse, false);
        let asked = ("GET", "/api/resource/x", &[][..]);
        let mut take = |doctype| queue.take(asked, Some(doctype)).map(|fault| format!("{fault:?}"));
        assert_eq!(take("UOM").as_deref(), Some("Refuse"));
        assert_eq!(take("Item"), None);
        assert_eq!(take("Item").as_deref(), Some("CutBody"));
        assert_eq!(take("Item"), None);
    }
}
