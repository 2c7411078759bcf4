//! A line to HQ that a test can count on: it tells when so many bytes have come through, and can be cut then.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// What happens once the bytes have come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The test is told, and the line goes on.
    Tell,
    /// All connections are cut, and new ones are cut until the proxy is healed; the test is told.
    Cut,
}

/// The proxy; it stands as long as the test process.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    passed: u64,
    trap: Option<(u64, Then, Sender<()>)>,
    is_cut: bool,
    open: Vec<TcpStream>,
}

impl Proxy {
    pub(crate) fn to(hq: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(hq) else { continue };
                let mut state = shared.lock().unwrap();
                if state.is_cut {
                    continue;
                }
                state.open.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                drop(state);
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || pass(from, to, |_| ()));
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || pass(server, client, |bytes| shared.lock().unwrap().count(bytes)));
            }
        });
        Self { address, state }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Does `then` once HQ has sent so many bytes from now on; the test hears of it.
    pub(crate) fn after(&self, bytes: u64, then: Then) -> Receiver<()> {
        let (tell, told) = channel();
        let mut state = self.state.lock().unwrap();
        state.trap = Some((state.passed + bytes, then, tell));
        told
    }

    /// Lets everything through again.
    pub(crate) fn heal(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_cut = false;
        state.trap = None;
    }

    /// Bytes that HQ has sent so far.
    pub(crate) fn passed(&self) -> u64 {
        self.state.lock().unwrap().passed
    }
}

impl State {
    fn count(&mut self, bytes: usize) {
        self.passed += bytes as u64;
        if self.trap.as_ref().is_some_and(|(at, _, _)| *at <= self.passed) {
            let (_, then, tell) = self.trap.take().unwrap();
            if then == Then::Cut {
                self.is_cut = true;
                for stream in self.open.drain(..) {
                    stream.shutdown(Shutdown::Both).unwrap_or_default();
                }
            }
            // The test may have lost interest.
            tell.send(()).unwrap_or_default();
        }
    }
}

/// In small pieces, so that the trap springs in the middle of an answer.
fn pass(mut from: TcpStream, mut to: TcpStream, count: impl Fn(usize)) {
    let mut piece = [0; 512];
    while let Ok(read) = from.read(&mut piece) {
        if read == 0 || to.write_all(&piece[..read]).is_err() {
            break;
        }
        count(read);
    }
    for stream in [from, to] {
        stream.shutdown(Shutdown::Both).unwrap_or_default();
    }
}
