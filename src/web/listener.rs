//! TLS under the HTTP server: connections that have shaken hands.
//!
//! Handshakes run beside each other and beside what is served, a bounded number at a time and each within
//! a time, so that a client that does not shake hands keeps nobody waiting. Which configuration a handshake
//! sees is decided when its connection is accepted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Web;
use super::gate::Peer;

/// Who has not shaken hands by then does not want to.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes at a time; further connections wait to be accepted.
const HANDSHAKES_MAX: usize = 256;

/// Connections that have shaken hands.
pub(crate) struct TlsListener<L: Listener> {
    ready: mpsc::Receiver<(TlsStream<L::Io>, SocketAddr)>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl<L: Listener<Addr = SocketAddr>> TlsListener<L> {
    /// Shakes hands with whoever `listener` accepts, as `web` says at that moment.
    pub(crate) fn new(listener: L, web: Arc<Web>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (shaken, ready) = mpsc::channel(1);
        Ok(Self {
            ready,
            address,
            accepting: tokio::spawn(accept(listener, web, shaken)),
        })
    }
}

impl<L: Listener<Addr = SocketAddr>> Listener for TlsListener<L> {
    type Io = TlsStream<L::Io>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // Its task has ended in a panic, which was reported; there is nothing more to accept.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

/// The port is closed with the listener, not some time later.
impl<L: Listener> Drop for TlsListener<L> {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept<L: Listener<Addr = SocketAddr>>(
    mut listener: L,
    web: Arc<Web>,
    shaken: mpsc::Sender<(TlsStream<L::Io>, SocketAddr)>,
) {
    let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let (stream, peer) = listener.accept().await;
        let Some(config) = web.tls() else {
            // A port that has TLS keeps it.
            continue;
        };
        let shaken = shaken.clone();
        tokio::spawn(async move {
            let handshake = TlsAcceptor::from(config).accept(stream);
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                // Nobody takes it where the port has closed meanwhile.
                Ok(Ok(stream)) => drop(shaken.send((stream, peer)).await),
                Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS handshake"),
                Err(_) => tracing::debug!(%peer, "no TLS handshake in time"),
            }
            drop(place);
        });
    }
}

impl<L: Listener<Addr = SocketAddr>> Connected<IncomingStream<'_, TlsListener<L>>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener<L>>) -> Self {
        let shown = stream.io().get_ref().1.peer_certificates();
        Peer::new(shown.unwrap_or_default())
    }
}
