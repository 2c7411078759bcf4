//! HTTP to HQ: credentials, pace, bounds, timeouts, and the repeating of what may succeed a moment later.
//!
//! Keeps no cookies: a live session cookie would outrank the token (recordings 1306 and 1306b). Follows no redirects.

use std::io::Read as _;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::BytesMut;
use chrono::{DateTime, Utc};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use reqwest::header::{self, HeaderMap, HeaderValue};
use secrecy::ExposeSecret as _;

use super::answer;
use super::error::Error;
use super::scrub::Secrets;
use super::tls;
use crate::config::{Auth, Hq};
use crate::retry::{Backoff, Retry};

/// No answer is taken that is larger than this once unpacked; far below the 4 GiB that a page's offsets can hold.
pub const MAX_BODY: usize = 64 << 20;

/// A connection is made within this time or not at all, however long an answer may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A whole answer may take this many times `hq.timeout`, which bounds each of its pieces: a page of 5 MB on a line of
/// 1 Mbit/s takes 40 s and makes progress all the time.
const WHOLE_FACTOR: u32 = 10;

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
}

/// The connection to one HQ, shared by all jobs.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    authorization: HeaderValue,
    secrets: Secrets,
    timeout: Duration,
    backoff: Backoff,
    pace: Option<DefaultDirectRateLimiter>,
    // When HQ names a time before which it wants no request, all jobs wait for it.
    not_before: Mutex<Option<Instant>>,
}

impl Client {
    /// A client for the HQ of the configuration; connects to nothing yet.
    ///
    /// # Errors
    /// Credentials that no header can hold, or a TLS set-up that fails.
    pub fn new(hq: &Hq, site: &str) -> Result<Self, Error> {
        // An error means that a provider is installed already, which serves as well.
        rustls::crypto::ring::default_provider().install_default().ok();
        if hq.is_in_clear() {
            tracing::warn!(
                url = hq.url,
                "hq.url is http://: the API secret and all records go over the line in clear; use https://"
            );
        }
        let http = tls::builder(&hq.tls)?
            .user_agent(format!("milkrun/{} ({})", env!("CARGO_PKG_VERSION"), header_safe(site)))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(hq.timeout.min(CONNECT_LIMIT))
            .read_timeout(hq.timeout)
            .timeout(hq.timeout.saturating_mul(WHOLE_FACTOR))
            .build()
            .map_err(|cause| Error::Unreachable { step: "setting up TLS", cause: Box::new(cause) })?;
        Ok(Self {
            http,
            url: hq.url.trim_end_matches('/').to_owned(),
            authorization: authorization(&hq.auth)?,
            secrets: Secrets::new(&hq.auth),
            timeout: hq.timeout,
            backoff: hq.retry,
            pace: hq
                .max_requests_per_second
                .and_then(NonZeroU32::new)
                .map(|bound| RateLimiter::direct(Quota::per_second(bound).allow_burst(NonZeroU32::MIN))),
            not_before: Mutex::new(None),
        })
    }

    /// Sends the request, again after a pause where that may help, as often as `hq.retry` allows.
    ///
    /// # Errors
    /// The last attempt's error.
    pub async fn send(&self, request: &Request, meter: &Meter) -> Result<Answer, Error> {
        let mut failed = 0;
        loop {
            self.wait_for_turn().await;
            meter.requests.fetch_add(1, Ordering::Relaxed);
            let error = match self.attempt(request, meter).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failed += 1;
            let Retry::Later(after) = error.retry() else { return Err(error) };
            if let Some(after) = after {
                self.hold_back(after);
            }
            let Some(wait) = self.backoff.wait(failed, after, rand::random()) else { return Err(error) };
            tracing::debug!(what = request.what, failed, wait_ms = wait.as_millis(), %error, "asking HQ again");
            meter.retries.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(wait).await;
        }
    }

    async fn wait_for_turn(&self) {
        loop {
            let until = self.not_before.lock().map(|until| *until).unwrap_or_default();
            match until.and_then(|until| until.checked_duration_since(Instant::now())) {
                Some(rest) if !rest.is_zero() => tokio::time::sleep(rest).await,
                Some(_) | None => break,
            }
        }
        if let Some(pace) = &self.pace {
            pace.until_ready().await;
        }
    }

    fn hold_back(&self, after: Duration) {
        // Beyond the longest wait the run ends instead; the next run asks again.
        let until = Instant::now() + after.min(self.backoff.max_delay);
        if let Ok(mut not_before) = self.not_before.lock() {
            *not_before = Some(not_before.map_or(until, |known| known.max(until)));
        }
    }

    async fn attempt(&self, request: &Request, meter: &Meter) -> Result<Answer, Error> {
        let url = format!("{}{}", self.url, request.path);
        let builder = match &request.body {
            Some(body) => self.http.post(url).header(header::CONTENT_TYPE, "application/json").body(body.clone()),
            None => self.http.get(url),
        };
        let response = builder
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, "gzip")
            .send()
            .await
            .map_err(|cause| self.transport(cause, "answer"))?;
        let status = response.status().as_u16();
        let headers = self.secrets.out_of_headers(response.headers());
        let body = self.body(response, meter).await.map(|body| self.secrets.out_of_body(status, body));
        if let Some(said) = body.as_ref().ok().and_then(|body| tls::page_of_refusal(status, body)) {
            return Err(Error::ClientCertificate { cause: said.into() });
        }
        // Of an error the status counts, whether or not its body arrived.
        answer::judge(&request.what, status, &headers, body).map(|body| Answer { body, date: date(&headers) })
    }

    async fn body(&self, mut response: reqwest::Response, meter: &Meter) -> Result<Vec<u8>, Error> {
        let is_gzip = response.headers().get(header::CONTENT_ENCODING).is_some_and(|name| name == "gzip");
        let mut wire = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(|cause| self.transport(cause, "finish its answer"))? {
            meter.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if wire.len() + piece.len() > MAX_BODY {
                return Err(Error::TooLarge { limit: MAX_BODY });
            }
            wire.extend_from_slice(&piece);
        }
        if is_gzip { unpack(&wire) } else { Ok(wire.into()) }
    }

    fn transport(&self, cause: reqwest::Error, step: &'static str) -> Error {
        // The error's own URL holds the query, which is long, and the host, which hq.url names already.
        let cause = cause.without_url();
        if cause.is_timeout() {
            if cause.is_connect() {
                return Error::TimedOut { step: "accept a connection", limit: self.timeout.min(CONNECT_LIMIT) };
            }
            return Error::TimedOut { step, limit: self.timeout };
        }
        match tls::refusal(&cause) {
            Some(tls::Refusal::Theirs) => return Error::Certificate { cause: Box::new(cause) },
            Some(tls::Refusal::Ours) => return Error::ClientCertificate { cause: Box::new(cause) },
            None => {}
        }
        let step = if cause.is_connect() { "connecting" } else { "the connection broke" };
        Error::Unreachable { step, cause: Box::new(cause) }
    }
}

fn unpack(wire: &[u8]) -> Result<Vec<u8>, Error> {
    let mut body = Vec::with_capacity(wire.len().saturating_mul(6).min(MAX_BODY));
    let bound = u64::try_from(MAX_BODY).unwrap_or(u64::MAX);
    flate2::read::MultiGzDecoder::new(wire)
        .take(bound + 1)
        .read_to_end(&mut body)
        .map_err(|error| Error::Unreadable(format!("its compression is damaged ({error})")))?;
    if body.len() > MAX_BODY { Err(Error::TooLarge { limit: MAX_BODY }) } else { Ok(body) }
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

fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let text = headers.get(header::DATE)?.to_str().ok()?;
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.with_timezone(&Utc))
}

fn header_safe(site: &str) -> String {
    site.chars().map(|c| if c.is_ascii_graphic() && c != '(' && c != ')' { c } else { '_' }).collect()
}
