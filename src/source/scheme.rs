//! Whether what answers at `hq.url` speaks the other of the two protocols: asked where a connection comes to nothing, so that
//! who wrote `https://` for `http://` is told that, and not of a silence.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::probe;
use crate::config::Tls;

/// A server that speaks TLS has answered by then, on all but the worst of lines; to ask costs one small connection.
const DOUBT: Duration = Duration::from_secs(2);

/// How long the question may take.
const LIMIT: Duration = Duration::from_secs(3);

/// A request that any server of plain HTTP answers, and that tells it nothing.
const REQUEST: &[u8] = b"GET /api/method/ping HTTP/1.0\r\n\r\n";

/// Whether plain HTTP is spoken where TLS is expected; asked only once an answer is late.
pub(super) async fn is_plain(url: &str) -> bool {
    sleep(DOUBT).await;
    let Some((host, port, _)) = probe::place(url) else { return false };
    timeout(LIMIT, speaks_http(&host, port)).await == Ok(true)
}

/// Whether TLS is spoken where plain HTTP is expected.
pub(super) async fn is_tls(url: &str, tls: &Tls) -> bool {
    let Some((host, port, _)) = probe::place(url) else { return false };
    timeout(LIMIT, probe::speaks_tls(tls, &host, port)).await == Ok(true)
}

/// Whether a plain request is answered as one. What speaks TLS may say in plain HTTP that it does.
pub(super) async fn speaks_http(host: &str, port: u16) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect((host, port)).await?;
        stream.write_all(REQUEST).await?;
        let mut answer = Vec::new();
        stream.take(1024).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    asked.await.is_ok_and(|answer| {
        let text = String::from_utf8_lossy(&answer);
        text.starts_with("HTTP/") && !text.contains("HTTPS")
    })
}
