//! A plain HTTP client, so that what is compared is what was on the wire.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// An answer as it came.
pub(super) struct Answer {
    pub(super) status: u64,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body uncompressed.
    pub(super) fn text(&self) -> String {
        if self.header("content-encoding") == Some("gzip") {
            let mut text = String::new();
            flate2::read::GzDecoder::new(self.body.as_slice()).read_to_string(&mut text).unwrap();
            return text;
        }
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a recorded request.
pub(super) fn send(address: SocketAddr, request: &Value) -> Result<Answer, String> {
    let method = request["method"].as_str().unwrap();
    let mut target = encode(request["path"].as_str().unwrap(), "/");
    let query: Vec<String> = pairs(&request["query"]);
    if !query.is_empty() {
        target = format!("{target}?{}", query.join("&"));
    }
    let body = match (&request["body"], request["body"].get("form")) {
        (_, Some(form)) => pairs(form).join("&"),
        (Value::Null, None) => String::new(),
        (Value::String(text), None) => text.clone(),
        (json, None) => json.to_string(),
    };
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: hq.test\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in request["headers"].as_object().unwrap() {
        write!(head, "{name}: {}\r\n", value.as_str().unwrap()).unwrap();
    }
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).map_err(|error| error.to_string())?;
    receive(&mut stream, method == "HEAD")
}

fn receive(stream: &mut TcpStream, is_head: bool) -> Result<Answer, String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 65_536];
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let mut lines = head.lines();
            let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
            let headers: Vec<(String, String)> = lines
                .map(|line| line.split_once(": ").unwrap_or((line.trim_end_matches(':'), "")))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let length = headers
                .iter()
                .find(|(name, _)| name == "content-length")
                .map_or(0, |(_, length)| length.parse().unwrap());
            let body = bytes[end + 4..].to_vec();
            if is_head || body.len() >= length {
                return Ok(Answer { status, headers, body });
            }
        }
        match stream.read(&mut piece) {
            Ok(0) => return Err("the connection closed in the middle of an answer".to_owned()),
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn pairs(values: &Value) -> Vec<String> {
    let pairs = values.as_object().into_iter().flatten();
    pairs
        .map(|(key, value)| format!("{}={}", encode(key, ""), encode(value.as_str().unwrap(), "")))
        .collect()
}

fn encode(text: &str, kept: &str) -> String {
    text.bytes()
        .map(|byte| match char::from(byte) {
            c if c.is_ascii_alphanumeric() || "-_.".contains(c) || kept.contains(c) => c.to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
