//! `hq.tls`: a private CA and a client certificate, read and fitted together here, so that a wrong file is found before
//! HQ is asked.
//!
//! Nothing turns verification off: whoever could use such a switch would leave it on, and the credentials would go to
//! whoever answers.

use std::borrow::Cow;
use std::path::Path as FilePath;

use rustls::RootCertStore;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::config::findings::Findings;
use crate::config::path::Path;
use crate::config::raw::RawTls;
use crate::config::said::{Code, Said};
use crate::config::{Tls, substitute};

/// The CAs of a whole operating system fit.
const LARGEST_FILE: u64 = 1024 * 1024;

/// How PEM begins; a text that does so is taken for the PEM itself, as `${VAR}` may give it.
pub(in crate::config) const PEM_MARK: &str = "-----BEGIN";

/// Reads and checks the files; what is wrong goes to `findings`.
pub(super) fn tls(raw: RawTls, hq_url: Option<&str>, folder: &FilePath, findings: &mut Findings<'_>) -> Tls {
    let mut reading = Reading { folder, findings };
    let ca = raw.ca.and_then(|written| reading.ca(&written));
    let identity = match (raw.client_cert, raw.client_key) {
        (Some(cert), key) => reading.identity(&cert, key.as_deref()),
        (None, Some(_)) => {
            let said = Said::from("hq.tls has a client_key and no client_cert, without which it is of no use");
            reading.wrong("client_key", said.help("name the certificate's file in client_cert"));
            None
        }
        (None, None) => None,
    };
    let is_used = ca.is_some() || identity.is_some();
    if is_used && hq_url.is_some_and(|url| url.starts_with("http:")) {
        let at = Path::of(["hq", "tls"]);
        let said = Said::from("hq.url is http://, where no certificate is looked at");
        findings.at_key(&at, said.help("make it https://, or leave hq.tls out"));
    }
    Tls { ca, identity: identity.map(Into::into) }
}

struct Reading<'f, 't> {
    folder: &'f FilePath,
    findings: &'f mut Findings<'t>,
}

impl Reading<'_, '_> {
    /// The certificates of private CAs, as PEM.
    fn ca(&mut self, written: &str) -> Option<String> {
        let pem = self.pem("ca", written)?;
        let certificates = self.certificates("ca", written, &pem)?;
        let mut roots = RootCertStore::empty();
        for (at, certificate) in certificates.into_iter().enumerate() {
            if let Err(error) = roots.add(certificate) {
                let message = format!("certificate {} of {} is no CA's: {error}", at + 1, self.subject("ca", written));
                self.wrong("ca", invalid(message));
                return None;
            }
        }
        Some(pem)
    }

    /// The client's certificate, what leads from it to its CA, and the key, as PEM.
    fn identity(&mut self, cert: &str, key: Option<&str>) -> Option<String> {
        let pem = self.pem("client_cert", cert);
        let key_pem = key.map(|written| self.pem("client_key", written));
        let pem = pem?;
        let certificates = self.certificates("client_cert", cert, &pem)?;
        let (at, written, key_pem) = match (key, key_pem) {
            (Some(written), Some(read)) => ("client_key", written, Cow::Owned(read?)),
            (None | Some(_), _) => ("client_cert", cert, Cow::Borrowed(pem.as_str())),
        };
        let Ok(private_key) = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()) else {
            let subject = self.subject(at, written);
            let said = match (key_pem.contains("ENCRYPTED"), at) {
                (true, _) => invalid(format!("the private key of {subject} is encrypted"))
                    .help("store it decrypted, readable by milkrun only"),
                (false, "client_key") => invalid(format!("{subject} holds no private key"))
                    .help("name a PEM file with a section \"PRIVATE KEY\""),
                (false, _) => invalid(format!("{subject} holds no private key"))
                    .help("add it there, or name its file in client_key"),
            };
            self.wrong(at, said);
            return None;
        };
        let fits = any_supported_type(&private_key)
            .map_err(|_unsupported| "is of a kind that is not supported: use RSA, ECDSA or Ed25519".to_owned())
            .and_then(|key| {
                let pair = CertifiedKey::new(certificates, key);
                pair.keys_match().map_err(|error| format!("does not fit the certificate of client_cert: {error}"))
            });
        if let Err(offence) = fits {
            let message = format!("the private key of {} {offence}", self.subject(at, written));
            self.wrong(at, invalid(message));
            return None;
        }
        // The last key is the one that counts, where the certificate's file holds another.
        Some(if at == "client_key" { format!("{pem}\n{key_pem}") } else { pem })
    }

    /// The text of the file, or the text itself where it is PEM.
    fn pem(&mut self, key: &str, written: &str) -> Option<String> {
        if written.trim_start().starts_with(PEM_MARK) {
            return Some(written.to_owned());
        }
        match substitute::read_regular(&self.folder.join(written.trim()), LARGEST_FILE) {
            Ok(text) => Some(text),
            Err(reason) => {
                let is_binary = reason.contains("UTF-8");
                let said = invalid(format!("{} {reason}", self.subject(key, written)));
                self.wrong(
                    key,
                    match is_binary {
                        true => said.help("PEM is expected, DER is turned into it by `openssl x509 -inform der`"),
                        false => said.help("a relative path begins at the folder of sync.toml"),
                    },
                );
                None
            }
        }
    }

    fn certificates(&mut self, key: &str, written: &str, pem: &str) -> Option<Vec<CertificateDer<'static>>> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let offence = match found {
            Ok(found) if found.is_empty() => "holds no certificate (a PEM section \"CERTIFICATE\")".to_owned(),
            Ok(found) => return Some(found),
            Err(_) => "holds damaged PEM".to_owned(),
        };
        let said = invalid(format!("{} {offence}", self.subject(key, written)));
        self.wrong(key, said.help("name a PEM file"));
        None
    }

    /// The file in a sentence; never what it holds.
    fn subject(&self, key: &str, written: &str) -> String {
        if written.trim_start().starts_with(PEM_MARK) {
            return "the PEM text".to_owned();
        }
        format!("the file {}", self.findings.shown(&at(key), written))
    }

    fn wrong(&mut self, key: &str, said: Said) {
        self.findings.at_value(&at(key), said);
    }
}

fn invalid(what: String) -> Said {
    Said::new(Code::InvalidValue, what)
}

fn at(key: &str) -> Path {
    Path::of(["hq", "tls", key])
}
