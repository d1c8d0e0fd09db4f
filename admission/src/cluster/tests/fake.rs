//! As much of an API server as informers need: lists in pages, watches from a version on, and everything that
//! goes wrong with them, when the test says so.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// A server on a port of its own; it ends with the test.
#[derive(Clone)]
pub(crate) struct Fake {
    inner: Arc<Mutex<Inner>>,
    address: std::net::SocketAddr,
}

#[derive(Default)]
struct Inner {
    version: u64,
    collections: HashMap<String, Collection>,
    discovery: HashMap<String, Value>,
    /// `list PATH?QUERY` and `watch PATH?QUERY`, in order.
    requests: Vec<String>,
}

#[derive(Default)]
struct Collection {
    objects: BTreeMap<String, Value>,
    events: Vec<(u64, Value)>,
    /// Watches from before this version are told that it is gone.
    oldest: u64,
    watches: Vec<mpsc::UnboundedSender<Bytes>>,
    refusal: Option<StatusCode>,
    /// Pages that are still answered before one is refused with 410.
    pages_left: Option<usize>,
}

fn line(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{}\n", json!({"type": kind, "object": object})))
}

fn status(code: StatusCode) -> Value {
    let reason = match code {
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::GONE => "Expired",
        _ => "Test",
    };
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
           "message": "as the test says", "reason": reason, "code": code.as_u16()})
}

impl Collection {
    fn tell(&mut self, kind: &str, object: &Value) {
        let line = line(kind, object);
        self.watches
            .retain(|watch| watch.send(line.clone()).is_ok());
    }
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Fake {
            inner: Arc::default(),
            address: listener.local_addr().unwrap(),
        };
        let router = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        fake
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn config(&self) -> kube::Config {
        let mut config = kube::Config::new(self.url().parse().unwrap());
        config.default_retry = false;
        config
    }

    /// Makes or changes an object; `path` is that of its kind over all namespaces.
    pub(crate) fn put(&self, path: &str, mut object: Value) {
        let mut inner = self.inner.lock();
        inner.version += 1;
        let version = inner.version;
        object["metadata"]["resourceVersion"] = version.to_string().into();
        let metadata = &object["metadata"];
        let key = format!(
            "{}/{}",
            metadata["namespace"].as_str().unwrap_or_default(),
            metadata["name"].as_str().unwrap()
        );
        let collection = inner.collections.entry(path.to_string()).or_default();
        let is_new = collection.objects.insert(key, object.clone()).is_none();
        let kind = if is_new { "ADDED" } else { "MODIFIED" };
        let event = json!({"type": kind, "object": object});
        collection.events.push((version, event));
        collection.tell(kind, &object);
    }

    /// Removes an object.
    pub(crate) fn delete(&self, path: &str, namespace: &str, name: &str) {
        let mut inner = self.inner.lock();
        inner.version += 1;
        let version = inner.version;
        let collection = inner.collections.entry(path.to_string()).or_default();
        let key = format!("{namespace}/{name}");
        let mut object = collection.objects.remove(&key).unwrap();
        object["metadata"]["resourceVersion"] = version.to_string().into();
        let event = json!({"type": "DELETED", "object": object});
        collection.events.push((version, event));
        collection.tell("DELETED", &object);
    }

    /// A bookmark at the newest version, to all who watch.
    pub(crate) fn bookmark(&self, path: &str) {
        let mut inner = self.inner.lock();
        let version = inner.version.to_string();
        let object =
            json!({"kind": "X", "apiVersion": "v1", "metadata": {"resourceVersion": version}});
        let collection = inner.collections.entry(path.to_string()).or_default();
        collection.tell("BOOKMARK", &object);
    }

    /// Ends all watches without a word.
    pub(crate) fn disconnect(&self, path: &str) {
        let mut inner = self.inner.lock();
        let collection = inner.collections.entry(path.to_string()).or_default();
        collection.watches.clear();
    }

    /// Forgets what happened until now, and ends all watches with 410.
    pub(crate) fn forget(&self, path: &str) {
        let mut inner = self.inner.lock();
        // As in etcd, where everything else goes on.
        inner.version += 1;
        let version = inner.version;
        let collection = inner.collections.entry(path.to_string()).or_default();
        collection.events.clear();
        collection.oldest = version;
        collection.tell("ERROR", &status(StatusCode::GONE));
        collection.watches.clear();
    }

    /// Answers all further requests with a status, or as they should be.
    pub(crate) fn refuse(&self, path: &str, refusal: Option<StatusCode>) {
        let mut inner = self.inner.lock();
        let collection = inner.collections.entry(path.to_string()).or_default();
        collection.refusal = refusal;
        if refusal.is_some() {
            collection.watches.clear();
        }
    }

    /// After so many pages the token of the next is too old.
    pub(crate) fn expire_after_pages(&self, path: &str, pages: usize) {
        let mut inner = self.inner.lock();
        let collection = inner.collections.entry(path.to_string()).or_default();
        collection.pages_left = Some(pages);
    }

    /// Says which kinds there are in a group and version, for who looks a kind up.
    pub(crate) fn know(&self, path: &str, group_version: &str, kinds: &[(&str, &str)]) {
        let resources: Vec<Value> = kinds
            .iter()
            .map(|(kind, plural)| {
                json!({"name": plural, "singularName": "", "namespaced": true, "kind": kind,
                       "verbs": ["get", "list", "watch"]})
            })
            .collect();
        let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version,
                          "resources": resources});
        self.inner.lock().discovery.insert(path.to_string(), list);
    }

    /// What was asked for, and forgets it.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.lock().requests)
    }

    /// How many watch a collection.
    pub(crate) fn watching(&self, path: &str) -> usize {
        let inner = self.inner.lock();
        let watches = inner.collections.get(path).map(|c| c.watches.iter());
        watches.map_or(0, |watches| watches.filter(|w| !w.is_closed()).count())
    }
}

async fn answer(
    State(fake): State<Fake>,
    Query(query): Query<HashMap<String, String>>,
    request: Request,
) -> Response {
    let path = request.uri().path().to_string();
    let mut guard = fake.inner.lock();
    let inner = &mut *guard;
    let version = inner.version;
    if let Some(list) = inner.discovery.get(&path) {
        return axum::Json(list.clone()).into_response();
    }
    if let Some((collection, name)) = path.rsplit_once('/')
        && let Some(known) = inner.collections.get(collection)
    {
        inner.requests.push(format!("get {path}"));
        return match known.objects.get(&format!("/{name}")) {
            Some(object) if known.refusal.is_none() => axum::Json(object.clone()).into_response(),
            _ => refused(known.refusal.unwrap_or(StatusCode::NOT_FOUND)),
        };
    }
    let Some(collection) = inner.collections.get_mut(&path) else {
        // A kind of which there are no objects is known all the same, unless a test says otherwise.
        if query.contains_key("watch") || path.contains("/apis/custom/") {
            return refused(StatusCode::NOT_FOUND);
        }
        inner
            .collections
            .insert(path.clone(), Collection::default());
        inner.requests.push(format!("list {path}"));
        return list_of(version, &[], None);
    };
    if let Some(refusal) = collection.refusal {
        return refused(refusal);
    }
    if query.contains_key("watch") {
        let from: u64 = query["resourceVersion"].parse().unwrap();
        inner.requests.push(format!("watch {path} from {from}"));
        let (lines, receiver) = mpsc::unbounded_channel();
        if from < collection.oldest {
            lines
                .send(line("ERROR", &status(StatusCode::GONE)))
                .unwrap();
        } else {
            for (at, event) in &collection.events {
                if *at > from {
                    lines.send(Bytes::from(format!("{event}\n"))).unwrap();
                }
            }
            collection.watches.push(lines);
        }
        let lines = stream::unfold(receiver, |mut receiver| async {
            let line = receiver.recv().await?;
            Some((Ok::<_, std::io::Error>(line), receiver))
        });
        return Body::from_stream(lines).into_response();
    }
    let limit: usize = query
        .get("limit")
        .map_or(usize::MAX, |n| n.parse().unwrap());
    let begin: usize = query.get("continue").map_or(0, |n| n.parse().unwrap());
    inner.requests.push(format!("list {path} from {begin}"));
    match &mut collection.pages_left {
        Some(0) => {
            collection.pages_left = None;
            return refused(StatusCode::GONE);
        }
        Some(left) => *left -= 1,
        None => {}
    }
    let page = collection.objects.values().skip(begin).take(limit);
    let page: Vec<Value> = page.cloned().collect();
    let end = begin + page.len();
    let more = (end < collection.objects.len()).then(|| end.to_string());
    list_of(version, &page, more)
}

fn list_of(version: u64, items: &[Value], more: Option<String>) -> Response {
    // As in a real one, where the list says what its items are.
    let items: Vec<Value> = (items.iter().cloned())
        .map(|mut item| {
            let members = item.as_object_mut().unwrap();
            members.remove("apiVersion");
            members.remove("kind");
            item
        })
        .collect();
    let metadata = json!({"resourceVersion": version.max(1).to_string(), "continue": more.unwrap_or_default()});
    let list = json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items});
    axum::Json(list).into_response()
}

fn refused(code: StatusCode) -> Response {
    (code, axum::Json(status(code))).into_response()
}
