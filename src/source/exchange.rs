//! One request on the wire and its answer, with a bound for every stage and a name for whatever goes wrong in it.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, header};
use tokio::time::{Instant, timeout};

use super::body::Body;
use super::error::{CONNECTING, Error, Stage};
use super::tls;

/// A connection is made within this time or not at all, however long an answer may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A whole answer may take this many times `hq.timeout`, which bounds each of its pieces: a page of 5 MB on a line of
/// 1 Mbit/s takes 40 s and makes progress all the time.
const WHOLE_FACTOR: u32 = 10;

/// How long each stage of an answer may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Until a connection stands, TLS included.
    pub(super) connect: Duration,
    /// Until the first byte, and between any two pieces.
    pub(super) silence: Duration,
    /// From the request to the last byte.
    pub(super) whole: Duration,
}

impl Patience {
    /// What `hq.timeout` gives. To connect may take half of it, or who waits could not tell the two stages apart.
    pub(super) fn of(timeout: Duration) -> Self {
        let connect = CONNECT_LIMIT.min(timeout / 2);
        Self { connect, silence: timeout, whole: timeout.saturating_mul(WHOLE_FACTOR) }
    }
}

/// Sends a request and waits for the head of its answer.
pub(super) async fn begin(builder: RequestBuilder, patience: Patience, is_tls: bool) -> Result<Response, Error> {
    let timed_out = |stage, limit| Err(Error::TimedOut { stage, limit });
    match timeout(patience.silence, builder.send()).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(cause)) if cause.is_timeout() && cause.is_connect() => timed_out(Stage::Connect, patience.connect),
        Ok(Err(cause)) => Err(transport(cause, is_tls)),
        Err(_elapsed) => timed_out(Stage::FirstByte, patience.silence),
    }
}

/// Reads the body and unpacks it as it comes; `count` is told of the bytes as they came over the line.
pub(super) async fn finish(
    mut response: Response,
    patience: Patience,
    began: Instant,
    count: impl Fn(u64),
) -> Result<Vec<u8>, Error> {
    let is_gzip = response.headers().get(header::CONTENT_ENCODING).is_some_and(|name| name == "gzip");
    let mut body = if is_gzip { Body::packed() } else { Body::plain(response.content_length()) };
    loop {
        let left = patience.whole.saturating_sub(began.elapsed());
        let piece = match timeout(patience.silence.min(left), response.chunk()).await {
            Ok(Ok(Some(piece))) => piece,
            Ok(Ok(None)) => break,
            // TLS 1.3 refuses a client's certificate only after the handshake.
            Ok(Err(cause)) if tls::refusal(&cause).is_some() => return Err(transport(cause, true)),
            Ok(Err(cause)) => return Err(Error::CutOff { cause: Box::new(cause.without_url()) }),
            Err(_elapsed) if left <= patience.silence => {
                return Err(Error::TimedOut { stage: Stage::Whole, limit: patience.whole });
            }
            Err(_elapsed) => return Err(Error::TimedOut { stage: Stage::NextPiece, limit: patience.silence }),
        };
        count(piece.len() as u64);
        body.take(&piece)?;
    }
    body.end()
}

fn transport(cause: reqwest::Error, is_tls: bool) -> Error {
    // The error's own URL holds the query, which is long, and the host, which hq.url names already.
    let cause = cause.without_url();
    match tls::refusal(&cause) {
        Some(tls::Refusal::Theirs) => return Error::Certificate { cause: Box::new(cause) },
        Some(tls::Refusal::Ours) => return Error::ClientCertificate { cause: Box::new(cause) },
        None => {}
    }
    if is_tls && among_causes(&cause, &is_not_tls) {
        return Error::WrongScheme { expected: "https" };
    }
    if !is_tls && among_causes(&cause, &is_not_http) {
        return Error::WrongScheme { expected: "plain http" };
    }
    let step = if cause.is_connect() { CONNECTING } else { "the connection broke" };
    Error::Unreachable { step, cause: Box::new(cause) }
}

type Cause = dyn std::error::Error + 'static;

/// Bytes that are no TLS: the port is plain HTTP's.
fn is_not_tls(error: &Cause) -> bool {
    error
        .downcast_ref::<rustls::Error>()
        .is_some_and(|error| matches!(error, rustls::Error::InvalidMessage(_)))
}

/// Bytes that are no HTTP, such as the alert of a TLS server.
fn is_not_http(error: &Cause) -> bool {
    error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)
}

/// Whether `is_it` holds for an error or one of its causes. An I/O error hides what it wraps from `source`.
fn among_causes(error: &Cause, is_it: &dyn Fn(&Cause) -> bool) -> bool {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    is_it(error)
        || wrapped.is_some_and(|inner| among_causes(inner, is_it))
        || error.source().is_some_and(|source| among_causes(source, is_it))
}
