//! Connections that can be cut from the inside, as a broken line cuts them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// How a connection ends that is cut.
#[derive(Debug, Clone, Default)]
pub(super) enum End {
    /// Without another byte.
    #[default]
    Silent,
    /// By a reset.
    Reset,
    /// After these bytes.
    After(Vec<u8>),
}

/// Says that a connection is to be closed.
#[derive(Debug, Clone, Default)]
pub(super) struct Cut(Arc<Mutex<Option<End>>>);

impl Cut {
    /// Lets nothing more out but what `end` says; the server then closes the connection.
    pub(super) fn now(&self, end: End) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }

    fn end(&self) -> Option<End> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Connected<IncomingStream<'_, Tap>> for Cut {
    fn connect_info(stream: IncomingStream<'_, Tap>) -> Self {
        stream.io().cut.clone()
    }
}

/// A listener whose connections can be cut.
pub(super) struct Tap(pub(super) TcpListener);

impl Listener for Tap {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Frappe's servers send small answers at once.
        drop(stream.set_nodelay(true));
        (Wire { stream, cut: Cut::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection; once cut, writing to it fails, which makes the server close it.
pub(super) struct Wire {
    stream: TcpStream,
    cut: Cut,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.cut.end() {
            None => {}
            Some(end) => {
                match end {
                    End::Silent => {}
                    End::Reset => self.stream.set_zero_linger()?,
                    // So few bytes always fit the empty buffer of the connection.
                    End::After(last) => drop(self.stream.try_write(&last)?),
                }
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
