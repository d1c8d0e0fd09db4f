//! One kind of object, listed in pages and watched from there on, for ever.
//!
//! The order is a list's: what is listed is applied as it comes, and at its end what was not listed is
//! gone. So a cache is never empty in between, and a list that breaks off changes nothing that it
//! did not say. A watch that ends is taken up where it was; one that cannot be (410) begins with a list
//! again. Whatever fails is tried again, after pauses that grow.
//!
//! That the API server is still heard is seen at the connection: every piece of a good answer, a bookmark
//! too, is a sign of life ([`Status`]).

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::api::Api;
use kube::client::Body;
use kube::core::ApiResource;
use kube::runtime::watcher::{self, Event, watcher};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::connect::told;
use super::watched::{Fields, Key, Watched};
use crate::metrics::CacheMetrics;

/// How many objects a page of a list holds. What is kept of them is a tenth, and lies among what is let go, so that a large page
/// leaves holes that nothing fills: 62 MiB for 10,000 pods, 66 with five times as many a page.
const PAGE_SIZE: u32 = 50;

/// How long a watch lasts before it is taken up anew, so that a connection that died unnoticed is found out.
const WATCH_SECONDS: u32 = 120;

/// What is made of the objects of one kind. Called by one task; what it does must be quick.
pub(crate) trait Keep: Send + Sync + 'static {
    /// The object is now like this.
    fn apply(&self, key: &Key, object: Value);
    /// There is no such object any more.
    fn remove(&self, key: &Key);
    /// A whole list was applied: whatever is not in it is gone.
    fn retain(&self, listed: &HashSet<Key>);
}

/// Whether the API server may not know the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Every API server knows it.
    Always,
    /// It comes with a CustomResourceDefinition, which may come later, or never.
    Optional,
}

/// The pauses between attempts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pauses {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Pauses {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
        }
    }
}

/// Who waits for a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Readiness does.
    Readiness,
    /// Readiness does until it has failed once: whoever asks it is told that it is not known.
    Attempt,
}

/// How a cache fares.
#[derive(Debug)]
pub(crate) struct Status {
    name: String,
    need: Need,
    synced: AtomicBool,
    contact: Gauge<f64, AtomicU64>,
    failures: Counter,
    complaint: Mutex<Option<String>>,
    news: Arc<Notify>,
}

impl Status {
    pub(crate) fn new(
        name: &str,
        need: Need,
        metrics: &CacheMetrics,
        news: Arc<Notify>,
    ) -> Arc<Self> {
        let (contact, failures) = metrics.of(name);
        Arc::new(Status {
            name: name.to_string(),
            need,
            synced: AtomicBool::new(false),
            contact,
            failures,
            complaint: Mutex::new(None),
            news,
        })
    }

    /// Which cache it is.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it held everything at least once.
    pub(crate) fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// Whether readiness waits for it.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.is_synced() && (self.need == Need::Readiness || self.failures.get() == 0)
    }

    /// It holds everything now; or there is nothing to hold.
    pub(crate) fn set_synced(&self) {
        if !self.synced.swap(true, Ordering::AcqRel) {
            self.news.notify_one();
        }
    }

    /// How many attempts failed.
    #[cfg(test)]
    pub(crate) fn failures(&self) -> u64 {
        self.failures.get()
    }

    fn heard(&self) {
        let now = Timestamp::now().as_millisecond() as f64 / 1000.0;
        self.contact.set(now);
    }

    /// Says once what is wrong.
    pub(crate) fn complain(&self, problem: String) {
        self.failures.inc();
        if self.need == Need::Attempt {
            self.news.notify_one();
        }
        let mut complaint = self.complaint.lock();
        if complaint.as_ref() != Some(&problem) {
            warn!(cache = self.name, problem, "cannot watch; trying again");
            *complaint = Some(problem);
        }
    }

    fn content(&self) {
        if self.complaint.lock().take().is_some() {
            info!(cache = self.name, "watching again");
        }
    }
}

/// A client that notes when the API server was heard.
pub(crate) fn listening(client: &kube::Client, status: &Arc<Status>) -> kube::Client {
    let (inner, status) = (client.clone(), Arc::clone(status));
    let service = tower::service_fn(move |request: axum::http::Request<Body>| {
        let (inner, status) = (inner.clone(), Arc::clone(&status));
        async move {
            let response = inner.send(request).await?;
            let is_good = response.status().is_success();
            if is_good {
                status.heard();
            }
            Ok::<_, kube::Error>(response.map(move |body| {
                body.map_frame(move |frame| {
                    if is_good {
                        status.heard();
                    }
                    frame
                })
            }))
        }
    });
    kube::Client::new(service, client.default_namespace())
}

/// Which objects, and how they are watched.
pub(crate) struct Watch {
    pub(crate) resource: ApiResource,
    pub(crate) presence: Presence,
    /// Empty for all namespaces.
    pub(crate) namespace: String,
    /// Empty for all labels.
    pub(crate) labels: &'static str,
    pub(crate) pauses: Pauses,
}

impl Watch {
    /// All objects of a kind.
    pub(crate) fn all(resource: ApiResource, presence: Presence, pauses: Pauses) -> Self {
        Watch {
            resource,
            presence,
            namespace: String::new(),
            labels: "",
            pauses,
        }
    }

    /// Watches until `stop`.
    pub(crate) async fn run<F: Fields>(
        self,
        client: kube::Client,
        keep: Arc<dyn Keep>,
        status: Arc<Status>,
        stop: CancellationToken,
    ) {
        let client = listening(&client, &status);
        let mut pause = self.pauses.first;
        while !stop.is_cancelled() {
            let end = tokio::select! {
                () = stop.cancelled() => return,
                end = self.follow::<F>(client.clone(), &*keep, &status, &mut pause) => end,
            };
            match end {
                End::Absent => {
                    keep.retain(&HashSet::new());
                    status.set_synced();
                    debug!(
                        cache = status.name,
                        "the API server does not know this kind (yet)"
                    );
                }
                End::Outdated => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(self.pauses.longest);
        }
    }

    /// With version and kind, which the items of a list do not say.
    fn named(&self, mut object: Value) -> Value {
        if let Some(members) = object.as_object_mut() {
            members.insert(
                "apiVersion".into(),
                self.resource.api_version.clone().into(),
            );
            members.insert("kind".into(), self.resource.kind.clone().into());
        }
        object
    }

    async fn follow<F: Fields>(
        &self,
        client: kube::Client,
        keep: &dyn Keep,
        status: &Status,
        pause: &mut Duration,
    ) -> End {
        let api: Api<Watched<F>> = match self.namespace.as_str() {
            "" => Api::all_with(client, &self.resource),
            namespace => Api::namespaced_with(client, namespace, &self.resource),
        };
        let mut config = watcher::Config::default()
            .page_size(PAGE_SIZE)
            .timeout(WATCH_SECONDS);
        if !self.labels.is_empty() {
            config = config.labels(self.labels);
        }
        let mut events = pin!(watcher(api, config));
        let mut listed = HashSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(watched)) => {
                    let key = watched.key();
                    keep.apply(&key, self.named(watched.object));
                    listed.insert(key);
                }
                Ok(Event::InitDone) => {
                    keep.retain(&std::mem::take(&mut listed));
                    status.set_synced();
                    status.content();
                    *pause = self.pauses.first;
                }
                Ok(Event::Apply(watched)) => {
                    keep.apply(&watched.key(), self.named(watched.object));
                    status.content();
                    *pause = self.pauses.first;
                }
                Ok(Event::Delete(watched)) => {
                    keep.remove(&watched.key());
                    status.content();
                    *pause = self.pauses.first;
                }
                Err(error) => {
                    match (code(&error), self.presence) {
                        (Some(404), Presence::Optional) => return End::Absent,
                        (Some(410), _) => return End::Outdated,
                        _ => status.complain(problem(&error)),
                    }
                    tokio::time::sleep(*pause).await;
                    *pause = (*pause * 2).min(self.pauses.longest);
                }
            }
        }
        End::Outdated
    }
}

/// Why a watch cannot be taken up where it was.
enum End {
    /// The kind is not known.
    Absent,
    /// What it would go on from is forgotten.
    Outdated,
}

fn problem(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error) => format!("listing: {}", told(error)),
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            format!("watching: {}", told(error))
        }
        watcher::Error::WatchError(status) => {
            format!("watching: {} ({})", status.message, status.code)
        }
        other @ watcher::Error::NoResourceVersion => other.to_string(),
    }
}

fn code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}
