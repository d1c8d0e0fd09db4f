//! The part of a cluster between an API server and the replicas of a webhook.
//!
//! A connection to the Service goes to one of the replicas that are ready, in turn, and stays there whatever
//! becomes of it, as with kube-proxy. Whether a replica is ready is asked of it again and again, as the kubelet
//! asks, so that the Service learns of a replica that stops a little too late, as it does.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How often a replica is asked whether it is ready.
const PROBED_EVERY: Duration = Duration::from_millis(100);

/// One address in front of several replicas.
pub(crate) struct Service {
    inner: Arc<Inner>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Inner {
    endpoints: Mutex<Vec<Endpoint>>,
    turn: AtomicUsize,
}

struct Endpoint {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    probing: JoinHandle<()>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.probing.abort();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Service {
    /// Listens at the Service's own address and port.
    pub(crate) async fn start(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap_or_else(|error| {
            panic!("{address}: {error}: be root, or lower net.ipv4.ip_unprivileged_port_start")
        });
        let inner = Arc::new(Inner::default());
        let shared = Arc::clone(&inner);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Without an endpoint the connection is refused.
                if let Some(endpoint) = shared.next() {
                    tokio::spawn(carry(stream, endpoint));
                }
            }
        });
        Self { inner, accepting }
    }

    /// A replica comes into being; it gets connections once it is ready.
    pub(crate) fn add(&self, address: SocketAddr) {
        let ready = Arc::new(AtomicBool::new(false));
        let probing = tokio::spawn(probe(address, Arc::clone(&ready)));
        let endpoint = Endpoint {
            address,
            ready,
            probing,
        };
        self.endpoints().push(endpoint);
    }

    /// A replica is no more.
    pub(crate) fn remove(&self, address: SocketAddr) {
        self.endpoints()
            .retain(|endpoint| endpoint.address != address);
    }

    /// Whether a replica is ready, as far as is known.
    pub(crate) fn is_ready(&self, address: SocketAddr) -> bool {
        self.endpoints()
            .iter()
            .any(|endpoint| endpoint.address == address && endpoint.ready.load(Ordering::Acquire))
    }

    fn endpoints(&self) -> std::sync::MutexGuard<'_, Vec<Endpoint>> {
        self.inner.endpoints.lock().expect("no panic")
    }
}

impl Inner {
    fn next(&self) -> Option<SocketAddr> {
        let endpoints = self.endpoints.lock().expect("no panic");
        let ready: Vec<_> = endpoints
            .iter()
            .filter(|endpoint| endpoint.ready.load(Ordering::Acquire))
            .map(|endpoint| endpoint.address)
            .collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        ready.get(turn.checked_rem(ready.len())?).copied()
    }
}

async fn carry(mut from: TcpStream, to: SocketAddr) {
    if let Ok(mut to) = TcpStream::connect(to).await {
        let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
    }
}

/// The readiness probe of the manifest: HTTPS, its certificate not looked at.
async fn probe(address: SocketAddr, ready: Arc<AtomicBool>) {
    let client = reqwest::Client::builder()
        .danger_accept_invalid_certs(true)
        .pool_max_idle_per_host(0)
        .timeout(Duration::from_secs(1))
        .build()
        .expect("a client");
    let url = format!("https://{address}/readyz");
    loop {
        let answer = client.get(&url).send().await;
        let answered = answer.is_ok_and(|response| response.status() == 200);
        ready.store(answered, Ordering::Release);
        tokio::time::sleep(PROBED_EVERY).await;
    }
}
