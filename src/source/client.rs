//! HTTP to HQ: credentials, pace, bounds, timeouts, and the repeating of what may succeed a moment later.
//!
//! Keeps no cookies: a live session cookie would outrank the token (recordings 1306 and 1306b). Follows no redirects.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use chrono::{DateTime, Utc};
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Response};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use super::error::{CONNECTING, Error, Outage};
use super::exchange::{self, Patience};
use super::gate::{Gate, Limits, Turn, Why};
use super::page_size::PageSize;
use super::scrub::Secrets;
use super::way::Way;
use super::{answer, headers, in_clear, scheme, tls};
use crate::clock::Clock;
use crate::config::{Auth, Hq, Tls};
use crate::retry::{Backoff, Retry};

/// Answered to anybody, without a login, in no time; in maintenance it is refused as everything is (recording 882).
const PING: &str = "/api/method/ping";

/// What requests cost, over one run.
#[derive(Debug, Default)]
pub struct Meter {
    requests: AtomicU64,
    bytes: AtomicU64,
    retries: AtomicU64,
}

impl Meter {
    /// Requests sent, bytes received over the line, and requests repeated, since the last call.
    pub fn take(&self) -> (u64, u64, u64) {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        (take(&self.requests), take(&self.bytes), take(&self.retries))
    }

    /// As [`Meter::take`], and counts on.
    pub fn so_far(&self) -> (u64, u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.requests), read(&self.bytes), read(&self.retries))
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Path and query below `hq.url`, percent-encoded.
    pub path: String,
    /// A JSON body makes it a POST.
    pub body: Option<String>,
    /// What is asked for, in the words of messages: `Item`, `Deleted Document`.
    pub what: String,
}

/// HQ's answer: a 2xx with a body of JSON, not yet judged further.
#[derive(Debug)]
pub struct Answer {
    /// The body, unpacked.
    pub body: String,
    /// HQ's clock as its `Date` header tells it.
    pub date: Option<DateTime<Utc>>,
    /// From the request to the last byte.
    pub took: Duration,
    /// How much of that HQ took, by its own word; or else what passed before the first byte beyond what passes before the
    /// first byte of any answer, unless another answer was on the line.
    pub by_hq: Option<Duration>,
    /// How much of it lay between the first byte and the last.
    pub on_line: Duration,
}

/// The connection to one HQ, shared by all jobs.
#[derive(Debug)]
pub struct Client {
    // Made for the first request: many a command sends none, and reading the system's CAs takes longer than all else of it.
    http: OnceLock<reqwest::Client>,
    agent: String,
    tls: Tls,
    url: String,
    authorization: HeaderValue,
    secrets: Secrets,
    patience: Patience,
    backoff: Backoff,
    clock: Clock,
    // The gate's moments count from here.
    began: Instant,
    gate: Mutex<Gate>,
    way: Way,
    // What answers speaks the protocol of the address.
    is_certain: AtomicBool,
    // What HQ last said when it was found to be down.
    last: Mutex<String>,
}

impl Client {
    /// A client for the HQ of the configuration; connects to nothing yet.
    ///
    /// # Errors
    /// Credentials that no header can hold.
    pub fn new(hq: &Hq, site: &str, clock: Clock) -> Result<Self, Error> {
        let patience = Patience::of(hq.timeout);
        in_clear::say(hq);
        Ok(Self {
            http: OnceLock::new(),
            agent: format!("milkrun/{} ({})", env!("CARGO_PKG_VERSION"), header_safe(site)),
            tls: hq.tls.clone(),
            url: hq.url.trim_end_matches('/').to_owned(),
            authorization: authorization(&hq.auth)?,
            secrets: Secrets::new(&hq.auth),
            patience,
            backoff: hq.retry,
            clock,
            began: Instant::now(),
            gate: Mutex::new(Gate::new(Limits::of(hq, site))),
            way: Way::default(),
            is_certain: AtomicBool::new(false),
            last: Mutex::default(),
        })
    }

    /// As [`Client::new`], in the place of another: what HQ has asked for and is known of it goes on holding, as far as it is
    /// the same HQ.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn after(other: &Self, hq: &Hq, site: &str) -> Result<Self, Error> {
        let new = Self::new(hq, site, other.clock.clone())?;
        if new.url != other.url {
            return Ok(new);
        }
        let gate = other.with_gate(|gate, _| gate.with_limits(Limits::of(hq, site)));
        let last = other.last.lock().map(|last| last.clone()).unwrap_or_default();
        Ok(Self { began: other.began, gate: Mutex::new(gate), last: Mutex::new(last), ..new })
    }

    fn http(&self) -> Result<&reqwest::Client, Error> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        // An error means that a provider is installed already, which serves as well.
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = tls::builder(&self.tls, &self.url)?
            .user_agent(&self.agent)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.patience.connect)
            .build()
            .map_err(|cause| Error::Unreachable { step: "setting up TLS", cause: Box::new(cause) })?;
        Ok(self.http.get_or_init(|| http))
    }

    /// How long HQ may stay silent.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience.silence
    }

    /// Sends the request, again after a pause where that may help, as often as `hq.retry` allows.
    ///
    /// # Errors
    /// The last attempt's error.
    pub async fn send(&self, request: &Request, meter: &Meter) -> Result<Answer, Error> {
        self.ask(&mut PageSize::fixed(1), |_size| request.clone(), |answer, _size| Ok(answer), meter).await
    }

    /// Sends the request of the present size, and takes what `read` makes of its answer. Repeats it as
    /// [`Client::send`]; one that was too much for HQ or the line, by a smaller size, for which the attempts may be
    /// more than configured until the size is at its least.
    ///
    /// # Errors
    /// The last attempt's error.
    pub async fn ask<T>(
        &self,
        size: &mut PageSize,
        request: impl Fn(usize) -> Request,
        read: impl Fn(Answer, usize) -> Result<T, Error>,
        meter: &Meter,
    ) -> Result<T, Error> {
        let (mut failed, mut last) = (0, None);
        let mut silent_since = None;
        loop {
            let is_probe = match (self.turn().await, last.take()) {
                (Ok(is_probe), _) => is_probe,
                // That HQ is down was found out by this request, or beside it.
                (Err(Error::Down { .. }), Some(error)) => return Err(error),
                (Err(refused), _) => return Err(refused),
            };
            let asked = size.get();
            let request = request(asked);
            let sent = self.began.elapsed();
            let answer = Box::pin(self.attempt(&request, meter)).await;
            let error = match answer.and_then(|answer| read(answer, asked)) {
                Ok(value) => {
                    self.with_gate(|gate, _| gate.answered());
                    return Ok(value);
                }
                Err(error) => error,
            };
            silent_since = silent_since.or(Some(sent));
            let is_smaller = error.asks_for_less() && size.shrink();
            if !(is_smaller && error.is_too_large()) {
                failed += 1;
            }
            let may_repeat = is_smaller || (error.is_worth_repeating() && failed < self.backoff.max_attempts);
            if is_probe || !may_repeat {
                Box::pin(self.give_up(&error, is_probe, meter)).await;
                self.with_gate(|gate, _| gate.down_since(silent_since.unwrap_or(sent)));
                return Err(error);
            }
            // A wait that HQ asked for is the gate's, which all jobs pass.
            let last_wait = self.backoff.max_attempts.saturating_sub(1);
            let wait = self.backoff.wait(failed.min(last_wait).max(1), None, rand::random()).unwrap_or_default();
            let (what, wait_ms) = (request.what, wait.as_millis());
            // A silence of `hq.timeout` is long for who looks on; all else is over in a moment.
            if error.is_silence() && failed == 1 {
                tracing::warn!(what, %error, "HQ is silent; it is asked again, for less if it is much");
            } else {
                tracing::debug!(what, failed, size = size.get(), wait_ms, %error, "asking HQ again");
            }
            meter.retries.fetch_add(1, Ordering::Relaxed);
            last = Some(error);
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends a request that can be done without, once, and only where HQ welcomes any: an error is no more than no answer.
    pub async fn ask_aside<T>(
        &self,
        request: &Request,
        read: impl FnOnce(Answer) -> Result<T, Error>,
        meter: &Meter,
    ) -> Option<T> {
        loop {
            let wait = self.with_gate(|gate, now| gate.aside(now))?;
            if wait.is_zero() {
                break;
            }
            tokio::time::sleep(wait).await;
        }
        match Box::pin(self.attempt(request, meter)).await.and_then(read) {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::debug!(what = request.what, %error, "what was asked for ahead did not come");
                None
            }
        }
    }

    /// Whether so many requests may go at once.
    #[must_use]
    pub fn has_room_for(&self, requests: u32) -> bool {
        self.with_gate(|gate, _| gate.has_room_for(requests))
    }

    /// How long a request and an answer of no length take, as far as it is known.
    #[must_use]
    pub fn way(&self) -> Option<Duration> {
        self.way.length()
    }

    /// Waits for leave to send; whether the request is the probe of an HQ that was found to be down.
    async fn turn(&self) -> Result<bool, Error> {
        loop {
            match self.with_gate(|gate, now| gate.turn(now, rand::random())) {
                Turn::Go { is_probe } => return Ok(is_probe),
                Turn::Wait(wait) => tokio::time::sleep(wait).await,
                Turn::Refused { until, why: Why::Down(since) } => {
                    let last = self.last.lock().map(|last| last.clone()).unwrap_or_default();
                    let (since, probe_at) = (self.moment(since), self.moment(until));
                    return Err(Error::Down { since, last, probe_at });
                }
                Turn::Refused { until, why } => return Err(Error::NotYet { why, until: self.moment(until) }),
            }
        }
    }

    /// Tells the gate what an error that ends a request means for all others.
    async fn give_up(&self, error: &Error, is_probe: bool, meter: &Meter) {
        let outage = match error.outage() {
            Outage::Perhaps => {
                let ping = Request { path: PING.to_owned(), body: None, what: "ping".to_owned() };
                self.attempt(&ping, meter).await.err().map_or(Outage::No, |error| error.outage())
            }
            told @ (Outage::No | Outage::Untold | Outage::Surely) => told,
        };
        match outage {
            Outage::No => return self.with_gate(|gate, _| gate.answered()),
            // Only of the probe it counts that HQ said anything at all.
            Outage::Untold if is_probe => return self.with_gate(|gate, _| gate.answered()),
            Outage::Untold => return,
            Outage::Perhaps | Outage::Surely => {}
        }
        let least = match error.retry() {
            Retry::Later(after) => after,
            Retry::ByPerson => None,
        };
        if let Ok(mut last) = self.last.lock() {
            *last = error.chain();
        }
        self.with_gate(|gate, now| gate.found_down(now, is_probe, least, rand::random()));
    }

    async fn attempt(&self, request: &Request, meter: &Meter) -> Result<Answer, Error> {
        meter.requests.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let url = format!("{}{}", self.url, request.path);
        let builder = match &request.body {
            Some(body) => self.http()?.post(url).header(header::CONTENT_TYPE, "application/json").body(body.clone()),
            None => self.http()?.get(url),
        };
        let builder = builder
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, "gzip");
        let is_tls = self.url.starts_with("https:");
        let response = self.begin(builder, is_tls).await?;
        let until_first = began.elapsed();
        let (by_hq, coming) = self.way.first_byte(Instant::now(), until_first);
        let status = response.status().as_u16();
        let headers: HeaderMap = self.secrets.out_of_headers(response.headers());
        let now = self.clock.now();
        let notice = headers::notice(&headers, now);
        self.with_gate(|gate, at| gate.noted(at, &notice, rand::random()));
        let count = |bytes| {
            meter.bytes.fetch_add(bytes, Ordering::Relaxed);
        };
        let body = exchange::finish(response, self.patience, began, count).await;
        drop(coming);
        let body = body.map(|body| self.secrets.out_of_body(status, body));
        if let Some(said) = body.as_ref().ok().and_then(|body| tls::page_of_refusal(status, body)) {
            return Err(Error::ClientCertificate { cause: said.into() });
        }
        // Of an error the status counts, whether or not its body arrived.
        let body = answer::judge(&request.what, status, &headers, body, is_tls, now)?;
        let by_hq = notice.budget.and_then(|budget| budget.used).or(by_hq);
        let took = began.elapsed();
        Ok(Answer { body, date: headers::date(&headers), took, by_hq, on_line: took.saturating_sub(until_first) })
    }

    /// Sends a request and waits for the head of its answer. As long as there was none, a server may speak the other protocol;
    /// that is asked about once.
    async fn begin(&self, builder: RequestBuilder, is_tls: bool) -> Result<Response, Error> {
        let mut sending = std::pin::pin!(exchange::begin(builder, self.patience, is_tls));
        if self.is_certain.load(Ordering::Relaxed) {
            return sending.await;
        }
        let begun = match is_tls {
            true => tokio::select! {
                biased;
                begun = &mut sending => begun,
                is_plain = scheme::is_plain(&self.url) => {
                    self.is_certain.fetch_or(!is_plain, Ordering::Relaxed);
                    if is_plain { Err(Error::WrongScheme { expected: "https" }) } else { sending.await }
                }
            },
            false => match sending.await {
                Err(broken @ Error::Unreachable { step, .. }) if step != CONNECTING => {
                    let is_other = scheme::is_tls(&self.url, &self.tls).await;
                    self.is_certain.fetch_or(!is_other, Ordering::Relaxed);
                    Err(if is_other { Error::WrongScheme { expected: "plain http" } } else { broken })
                }
                begun => begun,
            },
        };
        self.is_certain.fetch_or(begun.is_ok(), Ordering::Relaxed);
        begun
    }

    fn with_gate<T>(&self, act: impl FnOnce(&mut Gate, Duration) -> T) -> T {
        let mut gate = self.gate.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        act(&mut gate, self.began.elapsed())
    }

    /// A moment of the gate by the outlet's clock.
    fn moment(&self, at: Duration) -> DateTime<Utc> {
        let (now, elapsed) = (self.clock.now(), self.began.elapsed());
        let apart = |span: Duration| chrono::Duration::from_std(span).unwrap_or_default();
        if at >= elapsed { now + apart(at - elapsed) } else { now - apart(elapsed - at) }
    }
}

fn authorization(auth: &Auth) -> Result<HeaderValue, Error> {
    let text = match auth {
        Auth::Token { api_key, api_secret } => {
            format!("token {}:{}", api_key.expose_secret(), api_secret.expose_secret())
        }
        Auth::Basic { api_key, api_secret } => {
            let pair = format!("{}:{}", api_key.expose_secret(), api_secret.expose_secret());
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        }
    };
    let mut value = HeaderValue::from_str(&text).ok().ok_or(Error::Unauthorized { status: 0 })?;
    value.set_sensitive(true);
    Ok(value)
}

fn header_safe(site: &str) -> String {
    site.chars().map(|c| if c.is_ascii_graphic() && c != '(' && c != ')' { c } else { '_' }).collect()
}
