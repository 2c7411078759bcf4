//! What stands between the records and the wire: faults, the request log, hooks, limits and the kind of server.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::fault::Queue;
use super::query::Args;
use super::site::Site;

/// How many requests the log keeps; older ones are dropped.
const LOG_LENGTH: usize = 20_000;

/// Which server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// nginx in front: keep-alive, and gzip for who accepts it (recording 1510).
    #[default]
    Nginx,
    /// gunicorn by itself: `Connection: close` on every answer, no compression (recordings 1501, 1502).
    Gunicorn,
}

/// Whether HQ is down for maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Maintenance {
    /// Up.
    #[default]
    Off,
    /// Every call is 503 (recording 880).
    On,
    /// Reads work, writes are 503 (recordings 883-885).
    ReadsAllowed,
}

/// A site's rate limit: seconds of server time a window, shared by all users (recordings 870-873).
#[derive(Debug, Clone, Copy)]
pub struct RateLimit {
    /// Server time allowed in one window.
    pub budget: Duration,
    /// Length of a window.
    pub window: Duration,
    /// What each request counts for; a fixed figure, so that tests do not depend on the machine.
    pub cost: Duration,
}

/// A slow line to HQ.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line {
    /// Added before every answer.
    pub latency: Duration,
    /// Bytes of body a second; `None` is as fast as it goes.
    pub bytes_per_second: Option<u32>,
}

/// One request as HQ saw it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Counted from 1 over the life of the site.
    pub number: u64,
    /// HTTP method.
    pub method: String,
    /// Path, percent-decoded.
    pub path: String,
    /// Query pairs, decoded.
    pub query: Vec<(String, String)>,
    /// The body: JSON, a form as an object of texts, or the plain text.
    pub body: Value,
    /// `User-Agent` as sent.
    pub user_agent: String,
    /// The DocType it is about, if any.
    pub doctype: Option<String>,
    /// Who asked: an e-mail address, or `Guest`.
    pub user: String,
    /// The status answered; 0 where the connection was closed instead.
    pub status: u16,
    /// Rows of a list answered.
    pub rows: usize,
    /// Bytes of the body before compression.
    pub bytes: usize,
    /// The fault it met.
    pub fault: Option<String>,
}

/// Called after a list was read and before it is sent; says whether to call it again.
pub(super) type Hook = Box<dyn FnMut(&Site, &str) -> bool + Send>;

/// The front's state.
#[derive(Default)]
pub(super) struct Front {
    pub(super) faults: Queue,
    pub(super) log: VecDeque<Request>,
    pub(super) served: u64,
    pub(super) hooks: Vec<Hook>,
    pub(super) transport: Transport,
    pub(super) maintenance: Maintenance,
    pub(super) line: Line,
    pub(super) rate: Option<RateLimit>,
    used: Duration,
    window: i64,
    /// The last list request of each DocType, for a page that comes again.
    pub(super) last_lists: HashMap<String, Args>,
}

/// Where a request stands against the rate limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    pub(super) limit: Duration,
    pub(super) remaining: Duration,
    pub(super) used: Duration,
    pub(super) reset: u64,
    pub(super) is_spent: bool,
}

impl Front {
    /// Adds a request to the log.
    pub(super) fn record(&mut self, mut request: Request) {
        self.served += 1;
        request.number = self.served;
        if self.log.len() >= LOG_LENGTH {
            self.log.pop_front();
        }
        self.log.push_back(request);
    }

    /// Counts a request against the budget, which is checked before it is spent.
    pub(super) fn spend(&mut self, now: DateTime<Utc>) -> Option<Allowance> {
        let rate = self.rate?;
        let seconds = i64::try_from(rate.window.as_secs().max(1)).unwrap_or(i64::MAX);
        let window = now.timestamp().div_euclid(seconds);
        if window != self.window {
            (self.window, self.used) = (window, Duration::ZERO);
        }
        let remaining = rate.budget.saturating_sub(self.used);
        let is_spent = remaining.is_zero();
        if !is_spent {
            self.used += rate.cost;
        }
        let reset = (seconds - now.timestamp().rem_euclid(seconds)).unsigned_abs();
        Some(Allowance { limit: rate.budget, remaining, used: rate.cost, reset, is_spent })
    }
}
