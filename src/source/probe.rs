//! The way to HQ, step by step and with a bound for each: the name, the connection, the certificate. What comes after is an
//! ordinary request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls_platform_verifier::Verifier;
use secrecy::ExposeSecret as _;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use crate::config::{Hq, Tls};

/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;

/// One step of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `DNS`, `connect` or `TLS`.
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
    /// What was found, or what is wrong.
    pub found: Result<String, String>,
    /// What is worth knowing although the step was taken.
    pub aside: Option<String>,
}

/// Goes as far as it can; the last step is the one that failed, if one did. Every step has `limit`.
pub async fn walk(hq: &Hq, limit: Duration) -> Vec<Step> {
    let mut steps = Vec::new();
    let Some((host, port, is_tls)) = place(&hq.url) else { return steps };
    let began = Instant::now();
    let addresses = resolved(&host, port, limit).await;
    if host.parse::<IpAddr>().is_err() {
        let found = addresses.as_ref().map(|addresses| format!("{host} is {}", listed(addresses)));
        steps.push(Step { name: "DNS", took: began.elapsed(), found: found.map_err(Clone::clone), aside: None });
    }
    let Ok(addresses) = addresses else { return steps };

    let (stream, step) = connected(&addresses, limit).await;
    steps.push(step);
    let (Some(stream), true) = (stream, is_tls) else { return steps };

    let began = Instant::now();
    let found = match timeout(limit, shaken(&hq.tls, &host, stream)).await {
        Ok(found) => found,
        Err(_elapsed) => Err(format!("no end of the handshake within {} s", limit.as_secs())),
    };
    steps.push(Step { name: "TLS", took: began.elapsed(), found, aside: None });
    steps
}

/// Host, port, and whether TLS is spoken there.
fn place(url: &str) -> Option<(String, u16, bool)> {
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
                let step = Step { name: "connect", took: began.elapsed(), found: Ok(address.to_string()), aside };
                return (Some(stream), step);
            }
            Ok(Err(error)) => format!("{address}: {error}"),
            Err(_elapsed) => format!("{address}: no answer within {} s", limit.as_secs()),
        };
        wrong.push(why);
    }
    (None, Step { name: "connect", took: limit, found: Err(wrong.join("; ")), aside: None })
}

async fn shaken(tls: &Tls, host: &str, stream: TcpStream) -> Result<String, String> {
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
    Ok(format!("{version}, with a certificate that {known} vouches for"))
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
