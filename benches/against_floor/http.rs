//! HTTP/1.1 on a socket, and no more of it than this bench's HQ needs: the floor pays for no client library.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use flate2::bufread::GzDecoder;
use milkrun::demo::data::READER;

/// A connection to HQ, kept open.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    head: String,
    /// What was received and not yet taken.
    received: Vec<u8>,
    pub(crate) requests: usize,
    /// Bytes of bodies as they came over the line.
    pub(crate) bytes: usize,
}

impl Client {
    /// Connects. Compression is asked for only where the line is worth it.
    pub(crate) fn connect(url: &str, is_compressed: bool) -> Result<Self> {
        let address = url.strip_prefix("http://").context("the bench speaks plain HTTP only")?;
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", READER.0, READER.1));
        let encoding = if is_compressed { "Accept-Encoding: gzip\r\n" } else { "" };
        let head = format!("Host: {address}\r\nAuthorization: Basic {pair}\r\n{encoding}");
        Ok(Self { stream, head, received: Vec::new(), requests: 0, bytes: 0 })
    }

    /// Asks and fills `body` with what comes.
    pub(crate) fn get(&mut self, path: &str, body: &mut Vec<u8>) -> Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\n{}\r\n", self.head);
        self.send(&request, body)
    }

    /// As [`Self::get`], for a question that is too long for a path.
    pub(crate) fn post(&mut self, path: &str, question: &str, body: &mut Vec<u8>) -> Result<()> {
        let (head, length) = (&self.head, question.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{question}"
        );
        self.send(&request, body)
    }

    fn send(&mut self, request: &str, body: &mut Vec<u8>) -> Result<()> {
        self.stream.write_all(request.as_bytes())?;
        self.requests += 1;
        self.received.clear();
        let mut piece = [0; 16 << 10];
        let end = loop {
            let read = self.stream.read(&mut piece)?;
            ensure!(read > 0, "HQ closed the connection");
            self.received.extend_from_slice(piece.get(..read).unwrap_or_default());
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = std::str::from_utf8(self.received.get(..end).unwrap_or_default())?;
        if !head.starts_with("HTTP/1.1 200") {
            bail!("HQ answered {}", head.lines().next().unwrap_or_default());
        }
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let length: usize = header("content-length:").context("no content-length")?.parse()?;
        let is_gzip = header("content-encoding:") == Some("gzip");
        self.bytes += length;
        let began = self.received.split_off(end);
        body.clear();
        if is_gzip {
            let mut wire = began;
            self.rest(&mut wire, length)?;
            GzDecoder::new(wire.as_slice()).read_to_end(body)?;
        } else {
            body.extend_from_slice(&began);
            self.rest(body, length)?;
        }
        Ok(())
    }

    fn rest(&mut self, body: &mut Vec<u8>, length: usize) -> Result<()> {
        let missing = length.checked_sub(body.len()).context("HQ sent more than it said")?;
        body.reserve_exact(missing);
        let read = (&mut self.stream).take(missing as u64).read_to_end(body)?;
        ensure!(read == missing, "HQ broke off");
        Ok(())
    }
}

/// Percent-encoded for a path.
pub(crate) fn encode(plain: &str) -> String {
    let mut text = String::new();
    for byte in plain.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
