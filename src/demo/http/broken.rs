//! Answers and bodies as they should not be: broken off, endless, far too large.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};

use super::super::refusal::Refusal;
use super::answer::{self, Answer};
use super::request::Incoming;

/// A slow line sends a piece this often.
const PIECE_TIME: Duration = Duration::from_millis(20);

/// How a body ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Close {
    Well,
    BreaksOff,
    Never,
}

/// A body that comes piece by piece, and may not come to its end.
pub(super) fn pieces(body: Vec<u8>, bytes_per_second: Option<u32>, close: Close) -> Body {
    let per_piece = bytes_per_second.map_or(body.len(), |speed| usize::try_from(speed / 50).unwrap_or(1)).max(1);
    let pauses = bytes_per_second.is_some();
    let stream = futures_util::stream::unfold(Some(Bytes::from(body)), move |rest| async move {
        let mut rest = rest?;
        if rest.is_empty() {
            match close {
                Close::Well => return None,
                // Long enough for what came before to reach the other side.
                Close::BreaksOff => tokio::time::sleep(PIECE_TIME).await,
                Close::Never => std::future::pending().await,
            }
            return Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), None));
        }
        if pauses {
            tokio::time::sleep(PIECE_TIME).await;
        }
        let piece = rest.split_to(per_piece.min(rest.len()));
        Some((Ok(piece), Some(rest)))
    });
    Body::from_stream(stream)
}

/// 429 with this `Retry-After`.
pub(super) fn too_many(incoming: &Incoming, retry_after: String) -> Answer {
    let refusal = Refusal::new(429, "frappe.exceptions.TooManyRequestsError");
    let mut answer = Answer::refusal(incoming, &refusal);
    answer.headers.push(("retry-after", retry_after));
    answer
}

/// White space before an answer's end, packed once and repeated: gzip may consist of members.
pub(super) fn bomb(mebibytes: usize) -> Vec<u8> {
    let mut packed = answer::gzip(b"{\"data\": [");
    packed.extend(answer::gzip(&vec![b' '; 1 << 20]).repeat(mebibytes));
    packed.extend(answer::gzip(b"]}"));
    packed
}

/// A list of about this many bytes.
pub(super) fn oversized(bytes: usize) -> Answer {
    let row = format!(r#"{{"name":"{}"}},"#, "x".repeat(1000));
    let mut body = row.repeat(bytes / row.len());
    body.insert_str(0, r#"{"data":["#);
    body.push_str("{}]}");
    Answer::new(200, "application/json", body.into_bytes())
}
