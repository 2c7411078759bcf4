//! TLS towards HQ: always verified, against the system's CAs and those of `hq.tls`.

use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::AlertDescription as Alert;
use secrecy::ExposeSecret as _;

use super::error::Error;
use crate::config::Tls;

/// Whose certificate was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// HQ's, by us.
    Theirs,
    /// Ours, by HQ; or it was missed.
    Ours,
}

/// A builder that knows the certificates of the configuration.
pub(super) fn builder(tls: &Tls) -> Result<ClientBuilder, Error> {
    let unusable = |cause| Error::Unreachable { step: "setting up TLS", cause: Box::new(cause) };
    let mut builder = reqwest::Client::builder();
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
            // What TLS 1.2 says for a certificate that is missed.
            | Alert::HandshakeFailure,
        ) => Some(Refusal::Ours),
        _ => None,
    }
}
