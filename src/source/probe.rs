//! The way to HQ, step by step and with a bound for each: the name, the connection, the certificate. What comes after is an
//! ordinary request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls_platform_verifier::Verifier;
use secrecy::ExposeSecret as _;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::{expiry, scheme};
use crate::config::{Hq, Tls};

/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;

/// One step of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `DNS`, `connect`, `TLS` or [`PLAIN`].
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
    /// What was found, or what is wrong.
    pub found: Result<String, String>,
    /// What is worth knowing although the step was taken.
    pub aside: Option<String>,
    /// Until when the certificate that was shown is good.
    pub expires: Option<DateTime<Utc>>,
}

/// Goes as far as it can; the last step is the one that failed, if one did. Every step has `limit`.
pub async fn walk(hq: &Hq, limit: Duration) -> Vec<Step> {
    let mut steps = Vec::new();
    let Some((host, port, is_tls)) = place(&hq.url) else { return steps };
    let began = Instant::now();
    let addresses = resolved(&host, port, limit).await;
    if host.parse::<IpAddr>().is_err() {
        let found = addresses.as_ref().map(|addresses| format!("{host} is {}", listed(addresses)));
        steps.push(Step {
            name: "DNS",
            took: began.elapsed(),
            found: found.map_err(Clone::clone),
            aside: None,
            expires: None,
        });
    }
    let Ok(addresses) = addresses else { return steps };

    let (stream, step) = connected(&addresses, limit).await;
    steps.push(step);
    let (Some(stream), true) = (stream, is_tls) else { return steps };

    let began = Instant::now();
    let shaken = match timeout(limit, shaken(&hq.tls, &host, stream)).await {
        Ok(shaken) => shaken,
        Err(_elapsed) => Err(format!("no end of the handshake within {} s", limit.as_secs())),
    };
    let took = began.elapsed();
    let expires = shaken.as_ref().ok().and_then(|(_, expires)| *expires);
    let found = shaken.map(|(found, _)| found);
    let is_plain = found.is_err() && timeout(limit, scheme::speaks_http(&host, port)).await == Ok(true);
    steps.push(match is_plain {
        true => {
            let found = Err("what answers there speaks plain HTTP".to_owned());
            Step { name: PLAIN, took, found, aside: None, expires }
        }
        false => Step { name: "TLS", took, found, aside: None, expires },
    });
    steps
}

/// The step at which a server of plain HTTP is met where `hq.url` says `https://`.
pub const PLAIN: &str = "https";

/// Whether a handshake is answered as one, whatever is made of the certificate.
pub(super) async fn speaks_tls(tls: &Tls, host: &str, port: u16) -> bool {
    let Ok(stream) = TcpStream::connect((host, port)).await else { return false };
    let Some((config, name)) = client(tls).ok().zip(ServerName::try_from(host.to_owned()).ok()) else { return false };
    match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        Ok(_) => true,
        Err(error) => {
            let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            cause.is_some_and(|cause| !matches!(cause, rustls::Error::InvalidMessage(_)))
        }
    }
}

/// Host, port, and whether TLS is spoken there.
pub(super) fn place(url: &str) -> Option<(String, u16, bool)> {
    let url = reqwest::Url::parse(url).ok()?;
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some((host, url.port_or_known_default()?, url.scheme() == "https"))
}

async fn resolved(host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, String> {
    match timeout(limit, lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let found: Vec<SocketAddr> = found.collect();
            if found.is_empty() { Err(format!("{host} has no address")) } else { Ok(found) }
        }
        Ok(Err(error)) => Err(format!("{host} is not found: {error}")),
        Err(_elapsed) => Err(format!("no answer about {host} within {} s", limit.as_secs())),
    }
}

fn listed(addresses: &[SocketAddr]) -> String {
    let mut listed: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    listed.dedup();
    listed.join(", ")
}

async fn connected(addresses: &[SocketAddr], limit: Duration) -> (Option<TcpStream>, Step) {
    let mut wrong = Vec::new();
    for address in addresses.iter().take(ADDRESSES) {
        let began = Instant::now();
        let why = match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let aside = (!wrong.is_empty()).then(|| wrong.join("; "));
                let step = Step {
                    name: "connect",
                    took: began.elapsed(),
                    found: Ok(address.to_string()),
                    aside,
                    expires: None,
                };
                return (Some(stream), step);
            }
            Ok(Err(error)) => format!("{address}: {error}"),
            Err(_elapsed) => format!("{address}: no answer within {} s", limit.as_secs()),
        };
        wrong.push(why);
    }
    (None, Step { name: "connect", took: limit, found: Err(wrong.join("; ")), aside: None, expires: None })
}

/// What the handshake came to, and until when HQ's certificate is good.
async fn shaken(tls: &Tls, host: &str, stream: TcpStream) -> Result<(String, Option<DateTime<Utc>>), String> {
    let config = client(tls).map_err(|error| error.to_string())?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let session = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| error.to_string())?;
    let (_, session) = session.get_ref();
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(_) | None => "TLS",
    };
    let known = if tls.ca.is_some() { "the system or hq.tls.ca" } else { "the system" };
    let shown = session.peer_certificates().and_then(|shown| shown.first());
    let expires = shown.and_then(|certificate| expiry::not_after(certificate));
    let until = expires.map(|expires| format!(", good until {}", expires.format("%Y-%m-%d"))).unwrap_or_default();
    Ok((format!("{version}, with a certificate that {known} vouches for{until}"), expires))
}

/// The same certificates as ordinary requests go by.
fn client(tls: &Tls) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unreadable = |error: rustls::pki_types::pem::Error| rustls::Error::General(error.to_string());
    let certificates = |pem: &str| CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let private = match &tls.ca {
        Some(pem) => certificates(pem).map_err(unreadable)?,
        None => Vec::new(),
    };
    let verifier = Verifier::new_with_extra_roots(private, Arc::clone(&provider))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    match &tls.identity {
        None => Ok(builder.with_no_client_auth()),
        Some(pem) => {
            let pem = pem.expose_secret();
            let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(unreadable)?;
            builder.with_client_auth_cert(certificates(pem).map_err(unreadable)?, key)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_hq_is_read_from_its_url() {
        let read = |url| place(url).unwrap();
        assert_eq!(read("https://hq.example.com"), ("hq.example.com".to_owned(), 443, true));
        assert_eq!(read("http://hq.example.com:8000/site"), ("hq.example.com".to_owned(), 8000, false));
        assert_eq!(read("https://[2001:db8::1]"), ("2001:db8::1".to_owned(), 443, true));
    }
}
