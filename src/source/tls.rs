//! TLS towards HQ: always verified, against the system's CAs and those of `hq.tls`.

use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::AlertDescription as Alert;
use secrecy::ExposeSecret as _;

use super::error::Error;
use crate::config::Tls;

/// A page says in its first lines what is wrong.
const PAGE: usize = 1024;

/// Whose certificate was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// HQ's, by us.
    Theirs,
    /// Ours, by HQ; or it was missed.
    Ours,
}

/// Where a proxy for plain HTTP may be named.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// A builder that knows the certificates of the configuration, and those of the system where a connection to `url` may need
/// them.
pub(super) fn builder(tls: &Tls, url: &str) -> Result<ClientBuilder, Error> {
    let unusable = |cause| Error::Unreachable { step: "setting up TLS", cause: Box::new(cause) };
    let mut builder = reqwest::Client::builder();
    let is_https = |url: &str| url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"));
    let is_proxied = || PROXIES.into_iter().filter_map(std::env::var_os).any(|url| is_https(&url.to_string_lossy()));
    if !is_https(url) && !is_proxied() {
        return Ok(builder.tls_certs_only([]));
    }
    if let Some(ca) = &tls.ca {
        builder = builder.tls_certs_merge(Certificate::from_pem_bundle(ca.as_bytes()).map_err(unusable)?);
    }
    if let Some(identity) = &tls.identity {
        builder = builder.identity(Identity::from_pem(identity.expose_secret().as_bytes()).map_err(unusable)?);
    }
    Ok(builder)
}

/// Whether somewhere among the causes a certificate was refused. An I/O error hides what it wraps from `source`.
///
/// In TLS 1.3 HQ's refusal comes when our side of the handshake is done, as an alert in place of the answer.
pub(super) fn refusal(error: &(dyn std::error::Error + 'static)) -> Option<Refusal> {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error
        .downcast_ref::<rustls::Error>()
        .and_then(judged)
        .or_else(|| wrapped.and_then(|inner| refusal(inner)))
        .or_else(|| error.source().and_then(refusal))
}

/// The words of nginx where it misses a client certificate or does not accept it: it lets the handshake pass, and
/// answers 400 with a page, or 495 and 496 where it is told to.
pub(super) fn page_of_refusal(status: u16, body: &[u8]) -> Option<&'static str> {
    let page = String::from_utf8_lossy(body.get(..PAGE).unwrap_or(body));
    match status {
        400 if page.contains("No required SSL certificate was sent") => Some("No required SSL certificate was sent"),
        400 if page.contains("The SSL certificate error") => Some("The SSL certificate error"),
        495 => Some("SSL certificate error"),
        496 => Some("SSL certificate required"),
        _ => None,
    }
}

fn judged(error: &rustls::Error) -> Option<Refusal> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's errors and alerts are non-exhaustive; the rest is trouble on the line"
    )]
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => Some(Refusal::Theirs),
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
            // What TLS 1.2 says for a certificate that is missed.
            | Alert::HandshakeFailure,
        ) => Some(Refusal::Ours),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_a_proxy_that_misses_a_certificate_is_understood() {
        let page = |title: &str| format!("<html>\r\n<head><title>400 {title}</title></head>\r\n<body>").into_bytes();
        assert!(page_of_refusal(400, &page("No required SSL certificate was sent")).is_some());
        assert!(page_of_refusal(400, &page("The SSL certificate error")).is_some());
        assert!(page_of_refusal(496, b"").is_some());
        assert!(page_of_refusal(400, &page("Bad Request")).is_none());
        assert!(page_of_refusal(500, &page("The SSL certificate error")).is_none());
    }
}
