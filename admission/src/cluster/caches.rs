//! All caches, and how they are started and stopped.
//!
//! Watches are tasks of one thread with a runtime of its own, named `cluster`: taking up ten thousand pods is work,
//! and must not hold up answers. Some caches come and go while it runs, for a template brings
//! a kind of constraints; whoever starts one does so here, so that "everything is listed" counts it from that
//! moment on.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::watch::{Keep, Pauses, Status, Watch};
use super::watched::Fields;
use crate::metrics::CacheMetrics;

/// How many kinds are watched at once; more than anybody has templates.
const CACHES_MAX: usize = 512;

/// The caches of a cluster.
#[derive(Clone)]
pub(crate) struct Caches {
    shared: Arc<Shared>,
}

struct Shared {
    client: kube::Client,
    runtime: Handle,
    pauses: Pauses,
    metrics: CacheMetrics,
    statuses: Mutex<Vec<Arc<Status>>>,
    news: Arc<Notify>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Caches {
    /// With a client that lives in `runtime`.
    pub(crate) fn new(
        client: kube::Client,
        runtime: Handle,
        pauses: Pauses,
        metrics: CacheMetrics,
    ) -> Self {
        Caches {
            shared: Arc::new(Shared {
                client,
                runtime,
                pauses,
                metrics,
                statuses: Mutex::default(),
                news: Arc::default(),
                stop: CancellationToken::new(),
                tasks: TaskTracker::new(),
            }),
        }
    }

    /// How long is waited between attempts.
    pub(crate) fn pauses(&self) -> Pauses {
        self.shared.pauses
    }

    /// Told when a cache has everything, or what policies are made from has changed.
    pub(crate) fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.shared.news)
    }

    /// A cache that counts from now on; None where there are too many.
    pub(crate) fn announce(&self, name: &str) -> Option<Arc<Status>> {
        let status = Status::new(name, &self.shared.metrics, Arc::clone(&self.shared.news));
        let mut statuses = self.shared.statuses.lock();
        if statuses.len() >= CACHES_MAX {
            tracing::error!(cache = name, "too many kinds are watched: this one is not");
            return None;
        }
        statuses.push(Arc::clone(&status));
        Some(status)
    }

    /// Starts to watch what was announced.
    pub(crate) fn start<F: Fields>(&self, status: Arc<Status>, watch: Watch, keep: Arc<dyn Keep>) {
        let stop = self.shared.stop.child_token();
        self.spawn(watch.run::<F>(self.shared.client.clone(), keep, status, stop));
    }

    /// Runs a task of the cluster's; it ends when all of them must.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.shared.stop.clone();
        self.shared.tasks.spawn_on(
            async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = task => {}
                }
            },
            &self.shared.runtime,
        );
    }

    /// The caches that do not have everything yet, by name.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let statuses = self.shared.statuses.lock();
        let waiting = statuses.iter().filter(|status| !status.is_synced());
        waiting.map(|status| status.name().to_string()).collect()
    }

    /// Ends all of them.
    pub(crate) async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}
