//! All caches, and how they are started and stopped.
//!
//! Watches are tasks of one thread with a runtime of its own, named `cluster`: taking up ten thousand pods is work,
//! and must not hold up answers. Some caches come and go while it runs, for a template brings
//! a kind of constraints; whoever starts one announces it here, so that "everything is listed" counts it from that
//! moment on.

use std::sync::Arc;

use kube::core::ApiResource;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use super::watch::{Keep, Need, Pauses, Presence, Status, Watch};
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

/// A cache that was announced.
#[derive(Clone)]
pub(crate) struct Cache {
    pub(crate) status: Arc<Status>,
    stop: CancellationToken,
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

    /// The client.
    pub(crate) fn client(&self) -> &kube::Client {
        &self.shared.client
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
    pub(crate) fn announce(&self, name: &str, need: Need) -> Option<Cache> {
        let mut statuses = self.shared.statuses.lock();
        if statuses.len() >= CACHES_MAX {
            error!(cache = name, "too many kinds are watched: this one is not");
            return None;
        }
        let news = Arc::clone(&self.shared.news);
        let status = Status::new(name, need, &self.shared.metrics, news);
        statuses.push(Arc::clone(&status));
        Some(Cache {
            status,
            stop: self.shared.stop.child_token(),
        })
    }

    /// Starts to watch for a cache.
    pub(crate) fn start<F: Fields>(&self, cache: &Cache, watch: Watch, keep: Arc<dyn Keep>) {
        let (status, stop) = (Arc::clone(&cache.status), cache.stop.clone());
        let run = watch.run::<F>(self.shared.client.clone(), keep, status, stop);
        self.spawn(cache, run);
    }

    /// Announces and starts at once.
    pub(crate) fn watch<F: Fields>(
        &self,
        name: &str,
        resource: ApiResource,
        presence: Presence,
        keep: Arc<dyn Keep>,
    ) -> Option<Cache> {
        let cache = self.announce(name, Need::Readiness)?;
        let watch = Watch::all(resource, presence, self.shared.pauses);
        self.start::<F>(&cache, watch, keep);
        Some(cache)
    }

    /// Runs a task of a cache's; it ends with it.
    pub(crate) fn spawn(&self, cache: &Cache, task: impl Future<Output = ()> + Send + 'static) {
        let stop = cache.stop.clone();
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

    /// Ends a cache, which counts no more.
    pub(crate) fn end(&self, cache: &Cache) {
        cache.stop.cancel();
        let mut statuses = self.shared.statuses.lock();
        statuses.retain(|known| !Arc::ptr_eq(known, &cache.status));
        self.shared.metrics.forget(cache.status.name());
        drop(statuses);
        self.shared.news.notify_one();
    }

    /// The caches that readiness waits for, by name.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let statuses = self.shared.statuses.lock();
        let waiting = statuses.iter().filter(|status| status.is_awaited());
        waiting.map(|status| status.name().to_string()).collect()
    }

    /// Ends all of them.
    pub(crate) async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}
