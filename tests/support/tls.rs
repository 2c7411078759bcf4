//! HQ behind TLS: a private CA, certificates of it, and a server that ends TLS before the simulated HQ.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// A CA that no system knows.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("CA {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a host or, as well, for a client.
    pub(crate) fn pair(&self, host: &str) -> Pair {
        self.signed(CertificateParams::new([host.to_owned()]).unwrap())
    }

    /// One whose time is over.
    pub(crate) fn expired_pair(&self, host: &str) -> Pair {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        self.signed(params)
    }

    fn signed(&self, params: CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { cert, key: key.serialize_pem() }
    }

    fn root(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()
    }
}

/// A server that ends TLS and hands on what it carries.
pub(crate) struct Front {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<u8>>>,
    stop: Option<oneshot::Sender<()>>,
}

/// How it is set up.
pub(crate) struct Setup<'a> {
    pub(crate) pair: &'a Pair,
    /// Clients must show a certificate of this CA.
    pub(crate) clients: Option<&'a Authority>,
    pub(crate) version: &'static SupportedProtocolVersion,
}

impl Front {
    /// Stands before the server at `behind`.
    pub(crate) fn before(behind: SocketAddr, setup: &Setup<'_>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(&[setup.version]).unwrap();
        let builder = match setup.clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.root()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let chain = vec![CertificateDer::from_pem_slice(setup.pair.cert.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(setup.pair.key.as_bytes()).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()));

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, heard) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (stop, stopped) = oneshot::channel::<()>();
        let (counted, hearing) = (Arc::clone(&connections), Arc::clone(&heard));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let accepting = async {
                    loop {
                        let (stream, _) = listener.accept().await.unwrap();
                        counted.fetch_add(1, Ordering::Relaxed);
                        tokio::spawn(carry(acceptor.clone(), stream, behind, Arc::clone(&hearing)));
                    }
                };
                tokio::select! { () = accepting => {}, _ = stopped => {} }
            });
        });
        Self { address, connections, heard, stop: Some(stop) }
    }

    /// Its address under the name of a host.
    pub(crate) fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.address.port())
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// All that came through TLS.
    pub(crate) fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

async fn carry(acceptor: TlsAcceptor, stream: TcpStream, behind: SocketAddr, heard: Arc<Mutex<Vec<u8>>>) {
    // A handshake that fails has told the client by an alert.
    let Ok(outer) = acceptor.accept(stream).await else { return };
    let Ok(inner) = TcpStream::connect(behind).await else { return };
    let (mut from_client, mut to_client) = tokio::io::split(outer);
    let (mut from_hq, mut to_hq) = inner.into_split();
    let up = async {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = from_client.read(&mut piece).await {
            heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..length]);
            if to_hq.write_all(&piece[..length]).await.is_err() {
                return;
            }
        }
    };
    let down = async {
        tokio::io::copy(&mut from_hq, &mut to_client).await.ok();
        to_client.shutdown().await.ok();
    };
    tokio::select! { () = up => {}, () = down => {} }
}
