//! What the webhook knows of its cluster, watched.
//!
//! The order of things: [`connect`] finds the API server, [`watch`] keeps one kind of object as it changes, and
//! what is kept of it is each consumer's own: labels and objects of namespaces, the state that decides who
//! reaches whom, what runs, the policies that are made as objects, and what they may know beside
//! the object they judge. One thing is made there, where it is switched on: the kinds of constraints ([`definitions`]). None of them ever waits for the API server to answer a review, but for a namespace that is
//! too new to be known.
//!
//! Memory is bounded by what is kept, not by what comes: objects are stripped while they are read
//! ([`watched`]), lists come in pages, and what many objects have in common is kept once.

mod caches;
pub mod connect;
pub(crate) mod definitions;
mod namespaces;
mod network;
mod pods;
mod policies;
mod referential;
mod watch;
mod watched;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::thread;

use kube::core::{ApiResource, GroupVersionKind};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::metrics::CacheMetrics;
pub(crate) use caches::Caches;
use connect::{ConnectError, KubernetesConfig};
use namespaces::Namespaces;
use network::{NetworkState, Part};
use pods::{PodFields, Pods};
use policies::PolicyObjects;
pub(crate) use policies::Snapshot;
use referential::Referential;
use watch::{Keep, Need, Pauses, Presence};
pub(crate) use watched::{All, Watched};
use watched::{Fields, Key};

/// Nodes without what changes all the time.
#[derive(Debug, Clone)]
struct NodeFields;

impl Fields for NodeFields {
    const DROPPED: &'static [&'static [&'static str]] = &[
        &["metadata", "annotations"],
        &["spec"],
        &["status", "allocatable"],
        &["status", "capacity"],
        &["status", "conditions"],
        &["status", "images"],
        &["status", "nodeInfo"],
        &["status", "volumesAttached"],
        &["status", "volumesInUse"],
    ];
}

/// The cluster, watched by a thread of its own.
pub(crate) struct Cluster {
    pub(crate) namespaces: Arc<Namespaces>,
    pub(crate) network: Arc<NetworkState>,
    pub(crate) pods: Arc<Pods>,
    pub(crate) policies: Arc<PolicyObjects>,
    pub(crate) referential: Arc<Referential>,
    caches: Caches,
    /// The thread, and what it waits for.
    running: Mutex<Option<(thread::JoinHandle<()>, oneshot::Sender<()>)>>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("waiting", &self.caches.waiting())
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Begins to watch; None where there is no cluster.
    pub(crate) async fn start(
        config: &KubernetesConfig,
        metrics: CacheMetrics,
    ) -> Result<Option<Self>, ConnectError> {
        let Some(connection) = config.connection().await? else {
            return Ok(None);
        };
        Self::start_at(connection, metrics, Pauses::default())
            .await
            .map(Some)
    }

    async fn start_at(
        connection: kube::Config,
        metrics: CacheMetrics,
        pauses: Pauses,
    ) -> Result<Self, ConnectError> {
        let namespace = connection.default_namespace.clone();
        let (thread, client, runtime, ended) = run_thread(connection).await?;
        let caches = Caches::new(client.clone(), runtime.clone(), pauses, metrics);
        let namespaces = Namespaces::new(client, runtime);
        let pods = Arc::new(Pods::default());
        let network = watch_state(&caches, &namespaces, &pods);
        let policies = PolicyObjects::watch(&caches, &namespace);
        let referential = Referential::watch(&caches, &namespace);
        Ok(Cluster {
            namespaces,
            network,
            pods,
            policies,
            referential,
            caches,
            running: Mutex::new(Some((thread, ended))),
        })
    }

    /// The caches.
    pub(crate) fn caches(&self) -> &Caches {
        &self.caches
    }

    /// Ends all watches.
    pub(crate) async fn stop(&self) {
        self.caches.stop().await;
        let running = self.running.lock().take();
        if let Some((thread, ended)) = running {
            drop(ended);
            // Its only error is a panic, which was reported where it happened.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

type Started = (
    thread::JoinHandle<()>,
    kube::Client,
    Handle,
    oneshot::Sender<()>,
);

/// A runtime on a thread of its own, and a client that lives there.
async fn run_thread(connection: kube::Config) -> Result<Started, ConnectError> {
    let (ready, started) = oneshot::channel();
    let (ended, wait) = oneshot::channel::<()>();
    let thread = thread::Builder::new()
        .name("cluster".to_string())
        .spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = ready.send(Err(ConnectError::Thread(error)));
                    return;
                }
            };
            let client = {
                let _inside = runtime.enter();
                kube::Client::try_from(connection)
                    .map_err(|error| ConnectError::Client(Box::new(error)))
            };
            let handle = runtime.handle().clone();
            if ready.send(client.map(|client| (client, handle))).is_ok() {
                // Ends when the other side is gone.
                let _ = runtime.block_on(wait);
            }
        })
        .map_err(ConnectError::Thread)?;
    match started.await {
        Ok(Ok((client, handle))) => Ok((thread, client, handle, ended)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ConnectError::Thread(std::io::Error::other("it ended"))),
    }
}

/// What decides about Pod Security and about who reaches whom.
fn watch_state(
    caches: &Caches,
    namespaces: &Arc<Namespaces>,
    pods: &Arc<Pods>,
) -> Arc<NetworkState> {
    let parts = [
        (
            "namespaces",
            Part::Namespaces,
            resource("", "v1", "Namespace"),
        ),
        ("nodes", Part::Nodes, resource("", "v1", "Node")),
        ("pods", Part::Pods, resource("", "v1", "Pod")),
        (
            "networkpolicies",
            Part::NetworkPolicies,
            resource("networking.k8s.io", "v1", "NetworkPolicy"),
        ),
        (
            "clusternetworkpolicies",
            Part::ClusterNetworkPolicies,
            resource(
                "policy.networking.k8s.io",
                "v1alpha2",
                "ClusterNetworkPolicy",
            ),
        ),
    ];
    let caches_of = parts
        .map(|(name, part, resource)| (caches.announce(name, Need::Readiness), part, resource));
    let announced = caches_of.iter().filter_map(|(cache, ..)| cache.as_ref());
    let network = NetworkState::new(announced.map(|cache| cache.status.clone()).collect());
    for (cache, part, resource) in caches_of {
        let Some(cache) = cache else { continue };
        let presence = match part {
            Part::ClusterNetworkPolicies => Presence::Optional,
            _ => Presence::Always,
        };
        let watch = watch::Watch::all(resource, presence, caches.pauses());
        let keep = network.keep(part);
        match part {
            Part::Namespaces => {
                let keep = Arc::new(Both(namespaces.clone(), keep));
                caches.start::<All>(&cache, watch, keep);
            }
            Part::Pods => {
                let keep = Arc::new(Both(pods.clone(), keep));
                caches.start::<PodFields>(&cache, watch, keep);
            }
            Part::Nodes => caches.start::<NodeFields>(&cache, watch, keep),
            Part::NetworkPolicies | Part::ClusterNetworkPolicies => {
                caches.start::<All>(&cache, watch, keep);
            }
        }
    }
    network
}

fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// Two that keep something of the same objects.
struct Both(Arc<dyn Keep>, Arc<dyn Keep>);

impl Keep for Both {
    fn apply(&self, key: &Key, object: Value) {
        self.0.apply(key, object.clone());
        self.1.apply(key, object);
    }

    fn remove(&self, key: &Key) {
        self.0.remove(key);
        self.1.remove(key);
    }

    fn retain(&self, listed: &HashSet<Key>) {
        self.0.retain(listed);
        self.1.retain(listed);
    }
}

#[cfg(test)]
pub(crate) mod tests;
