//! A line of a given delay and speed: a relay that HQ's answers and the requests pass through.
//!
//! Every connection shares the line. What goes through waits its turn (the speed) and then half a round trip (the way);
//! opening a connection costs one round trip more. Played are neither losses nor TCP's slow start.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

/// How long and how wide it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) round_trip: Duration,
    /// 0 is as fast as it goes.
    pub(crate) bits_per_second: u32,
}

/// Pieces that may be under way on a connection: what a router in between would hold.
const UNDER_WAY: usize = 64;

/// The largest piece, about that of a packet, so that connections take turns.
const PIECE: usize = 1_460;

/// The relay, as long as the process lives.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    answers: Arc<Way>,
}

/// One way of the line.
#[derive(Debug)]
struct Way {
    line: Line,
    is_free_at: Mutex<Instant>,
    bytes: AtomicU64,
}

impl Relay {
    pub(crate) fn start(hq: SocketAddr, line: Line) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (up, down) = (Arc::new(Way::new(line)), Arc::new(Way::new(line)));
        let answers = Arc::clone(&down);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Whoever cannot be served finds the connection closed.
                drop(connect(client, hq, &up, &down));
            }
        });
        Ok(Self { address, answers })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes of answers that came through since the last time.
    pub(crate) fn take_bytes(&self) -> u64 {
        self.answers.bytes.swap(0, Ordering::Relaxed)
    }
}

fn connect(client: TcpStream, hq: SocketAddr, up: &Arc<Way>, down: &Arc<Way>) -> Result<()> {
    let server = TcpStream::connect(hq)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let opened = Instant::now() + up.line.round_trip;
    pump(Arc::clone(up), client.try_clone()?, server.try_clone()?, opened);
    pump(Arc::clone(down), server, client, opened);
    Ok(())
}

/// Two threads: one takes what comes and says when it is due, one lets it out then.
fn pump(way: Arc<Way>, from: TcpStream, to: TcpStream, not_before: Instant) {
    let (sender, receiver) = sync_channel(UNDER_WAY);
    std::thread::spawn(move || take(&way, from, &sender, not_before));
    std::thread::spawn(move || give(to, &receiver));
}

fn take(way: &Way, mut from: TcpStream, to: &SyncSender<(Instant, Vec<u8>)>, not_before: Instant) {
    let mut buffer = [0; PIECE];
    while let Ok(read) = from.read(&mut buffer) {
        let piece: Vec<u8> = buffer.iter().take(read).copied().collect();
        if read == 0 || to.send((way.due(read).max(not_before), piece)).is_err() {
            break;
        }
    }
}

fn give(mut to: TcpStream, from: &Receiver<(Instant, Vec<u8>)>) {
    while let Ok((due, piece)) = from.recv() {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&piece).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
}

impl Way {
    fn new(line: Line) -> Self {
        Self { line, is_free_at: Mutex::new(Instant::now()), bytes: AtomicU64::new(0) }
    }

    /// When so many bytes that set out now are there.
    fn due(&self, bytes: usize) -> Instant {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let mut is_free_at = self.is_free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let began = (*is_free_at).max(Instant::now());
        let takes = match self.line.bits_per_second {
            0 => Duration::ZERO,
            bits => Duration::from_secs(bytes as u64 * 8) / bits,
        };
        *is_free_at = began + takes;
        *is_free_at + self.line.round_trip / 2
    }
}
