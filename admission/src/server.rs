//! HTTPS in front of the evaluator.
//!
//! The webhook has threads of its own: neither a dashboard's queries nor a cluster's objects that are read anew keep a review
//! waiting, and a disk that does not answer stops reviews, which need it, and nothing else.
//!
//! A connection is accepted, shaken hands with and served by a task of its own; how many there
//! are is bounded, of one address and in all, and so is the time each step may take. Draining says first that we are not ready, and goes on
//! answering, for whoever sends connections here learns of it late; then it stops the listener, lets every
//! connection answer what it has begun, and cuts what is left at a deadline.
//!
//! What a request is and how it is answered is [`answer`]'s; here is only who may ask.

mod answer;
mod pace;
mod readiness;
mod shares;
mod silence;
mod timeout;
mod weight;
mod work;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::crypto::ring;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tracing::{debug, warn};

use answer::Peer;
pub(crate) use answer::Webhook;
pub use readiness::Readiness;
use shares::{Share, Shares};
use silence::Silence;

use crate::certificate::Certificate;

/// Who has not shaken hands by then is no API server.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may be there without a request that is being answered. Longer than the API server keeps one (90 s):
/// who closes first loses nothing, but a request that meets our closing would be lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(150);

/// After a failed accept, which is a lack of file descriptors more often than not.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A rule may be nested as deep as the loader lets it, and is evaluated so.
const STACK_BYTES: usize = 8 << 20;

/// How many tasks a thread runs before it looks what else has arrived. A task that judges takes a thousand times as long as
/// the look.
const TASKS_BETWEEN_EVENTS: u32 = 4;

/// The listener and its connections.
#[derive(Debug)]
pub(crate) struct Server {
    threads: Option<Runtime>,
    local_addr: SocketAddr,
    draining: CancellationToken,
    closing: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
}

/// What a connection needs.
#[derive(Clone)]
struct Shared {
    acceptor: TlsAcceptor,
    router: Router,
    /// What clients get that need a certificate and have none.
    strangers: Router,
    needs_certificate: bool,
    closing: CancellationToken,
    cut: CancellationToken,
}

impl Server {
    /// Serves `webhook` on a listener, as whom and to whom `certificate` says.
    pub(crate) fn start(
        listener: TcpListener,
        certificate: &Certificate,
        webhook: Webhook,
        connections_max: usize,
    ) -> Result<Self, std::io::Error> {
        let local_addr = listener.local_addr()?;
        let tls = tls(certificate).map_err(std::io::Error::other)?;
        let threads = Builder::new_multi_thread()
            .enable_all()
            .thread_name("webhook")
            .thread_stack_size(STACK_BYTES)
            .event_interval(TASKS_BETWEEN_EVENTS)
            .global_queue_interval(TASKS_BETWEEN_EVENTS)
            .build()?;
        let handle = threads.handle().clone();
        let server = Server {
            threads: Some(threads),
            local_addr,
            draining: webhook.readiness().draining().clone(),
            closing: CancellationToken::new(),
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let shared = Shared {
            acceptor: TlsAcceptor::from(Arc::new(tls)),
            strangers: answer::strangers(webhook.clone()),
            router: answer::router(webhook),
            needs_certificate: certificate.clients().is_some(),
            closing: server.closing.clone(),
            cut: server.cut.clone(),
        };
        let tasks = server.tasks.clone();
        let connections = Arc::new(Semaphore::new(connections_max));
        let of_one = Shares::new(connections_max);
        let listener = {
            let _inside = handle.enter();
            TcpListener::from_std(listener.into_std()?)?
        };
        let accept = accept(listener, shared, connections, of_one, tasks);
        server.tasks.spawn_on(accept, &handle);
        Ok(server)
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    #[cfg(test)]
    pub(crate) fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// Goes on for `delay` (half of `deadline` at the most) while it says that it is not ready, stops listening, waits
    /// for what was begun, and cuts what is left after `deadline`.
    pub(crate) async fn drain(self, delay: Duration, deadline: Duration) {
        self.draining.cancel();
        let delay = delay.min(deadline / 2);
        tokio::time::sleep(delay).await;
        self.closing.cancel();
        self.tasks.close();
        if tokio::time::timeout(deadline.saturating_sub(delay), self.tasks.wait())
            .await
            .is_err()
        {
            warn!(
                connections = self.tasks.len(),
                "webhook connections did not end in time and are cut"
            );
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            // Whoever drops it may not block; what is still judged is past its deadline.
            threads.shutdown_background();
        }
    }
}

fn tls(certificate: &Certificate) -> Result<ServerConfig, rustls::Error> {
    // The provider is named, not the process' default one: a library must not depend on who
    // installed which.
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    let builder = match certificate.clients() {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(certificate.resolver());
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

async fn accept(
    listener: TcpListener,
    shared: Shared,
    connections: Arc<Semaphore>,
    of_one: Shares,
    tasks: TaskTracker,
) {
    loop {
        let next = async {
            let permit = connections.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = shared.closing.cancelled() => return,
            next = next => next,
        };
        match (permit, accepted) {
            (Ok(permit), Ok((stream, peer))) => {
                let Some(share) = of_one.take(peer.ip(), 1) else {
                    debug!(%peer, "cut: its address has half of limits.connections_max");
                    continue;
                };
                tasks.spawn(serve(stream, peer, shared.clone(), (permit, share)));
            }
            (Err(_), _) => return,
            (_, Err(error)) => {
                warn!(%error, "the webhook cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Shared,
    _place: (OwnedSemaphorePermit, Share),
) {
    // An answer is small, and must not wait until the client has acknowledged the one before it. Where this fails the
    // connection is broken, and will say so.
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, shared.acceptor.accept(stream));
    let stream = tokio::select! {
        () = shared.closing.cancelled() => return,
        done = handshake => match done {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return debug!(%peer, %error, "no TLS handshake"),
            Err(_) => return debug!(%peer, "no TLS handshake in time"),
        },
    };
    // One that was shown was verified, or there would be no handshake.
    let has_certificate = stream.get_ref().1.peer_certificates().is_some();
    let router = if shared.needs_certificate && !has_certificate {
        shared.strangers
    } else {
        shared.router
    };
    let silence = Silence::default();
    let asking = silence.clone();
    let service = tower::service_fn(move |mut request: Request<_>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        let (router, asked) = (router.clone(), asking.broken());
        async move {
            let answer = router.oneshot(request).await;
            drop(asked);
            answer
        }
    });
    let service = TowerToHyperService::new(service);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT);
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut closing = false;
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    debug!(%peer, %error, "a webhook connection broke");
                }
                return;
            }
            () = shared.closing.cancelled(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            () = silence.longer_than(IDLE_TIMEOUT) => return debug!(%peer, "cut: it asks nothing"),
            () = shared.cut.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests;
