//! As much of an API server as the webhook needs: discovery, lists in pages, watches, and a store that takes decisions.
//!
//! Objects are kept as text, so that ten thousand pods cost this process little and nothing is
//! encoded while somebody is measured.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// A kind that is served.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: &'static str,
    pub(crate) name: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
}

impl Kind {
    fn group_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    fn path(&self) -> String {
        let root = if self.group.is_empty() { "api" } else { "apis" };
        format!("/{root}/{}/{}", self.group_version(), self.plural)
    }
}

/// The objects of a kind, by namespace and name, and who watches them.
struct Collection {
    kind: Kind,
    objects: BTreeMap<String, String>,
    watches: Vec<mpsc::UnboundedSender<Bytes>>,
}

#[derive(Default)]
struct Inner {
    version: u64,
    collections: BTreeMap<String, Collection>,
}

/// The server, which ends with the process.
#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<Inner>>);

impl Server {
    /// Serves from now on; returns where.
    pub(crate) async fn start(&self) -> anyhow::Result<String> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(format!("http://{address}"))
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is this kind from now on.
    pub(crate) fn know(&self, kind: Kind) {
        let collection = Collection {
            kind,
            objects: BTreeMap::new(),
            watches: Vec::new(),
        };
        let path = collection.kind.path();
        self.inner().collections.insert(path, collection);
    }

    /// Makes or changes an object of a kind.
    pub(crate) fn put(&self, plural: &str, mut object: Value) -> anyhow::Result<()> {
        let mut inner = self.inner();
        inner.version += 1;
        let version = inner.version.to_string();
        let collection = inner.of(plural)?;
        object["metadata"]["resourceVersion"] = version.into();
        let key = key(&object);
        let text = object.to_string();
        let is_new = collection.objects.insert(key, text.clone()).is_none();
        collection.tell(if is_new { "ADDED" } else { "MODIFIED" }, &text);
        Ok(())
    }

    /// Removes an object of a kind.
    pub(crate) fn delete(&self, plural: &str, object: &Value) -> anyhow::Result<()> {
        let mut inner = self.inner();
        inner.version += 1;
        let collection = inner.of(plural)?;
        let text = collection.objects.remove(&key(object));
        let text = text.context("there is no such object")?;
        collection.tell("DELETED", &text);
        Ok(())
    }
}

fn key(object: &Value) -> String {
    let metadata = &object["metadata"];
    let of = |name: &str| metadata[name].as_str().unwrap_or_default();
    format!("{}/{}", of("namespace"), of("name"))
}

impl Inner {
    fn of(&mut self, plural: &str) -> anyhow::Result<&mut Collection> {
        let mut collections = self.collections.values_mut();
        collections
            .find(|collection| collection.kind.plural == plural)
            .with_context(|| format!("no kind {plural}"))
    }
}

impl Collection {
    fn tell(&mut self, event: &str, text: &str) {
        // An object of a list does not say what it is; one of a watch does.
        let (kind, version) = (&self.kind.name, self.kind.group_version());
        let members = text.strip_prefix('{').unwrap_or_default();
        let line = format!(
            "{{\"type\":\"{event}\",\"object\":{{\"kind\":\"{kind}\",\"apiVersion\":\"{version}\",{members}}}\n"
        );
        let line = Bytes::from(line);
        self.watches
            .retain(|watch| watch.send(line.clone()).is_ok());
    }

    fn list(&self, version: u64, query: &HashMap<String, String>) -> String {
        let number = |name: &str| query.get(name).and_then(|n| n.parse::<usize>().ok());
        let (begin, limit) = (number("continue").unwrap_or(0), number("limit"));
        let page = self.objects.values().skip(begin);
        let page: Vec<&str> = page
            .take(limit.unwrap_or(usize::MAX))
            .map(String::as_str)
            .collect();
        let end = begin + page.len();
        let more = if end < self.objects.len() {
            end.to_string()
        } else {
            String::new()
        };
        format!(
            "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{{\"resourceVersion\":\"{}\",\"continue\":\"{more}\"}},\"items\":[{}]}}",
            self.kind.name,
            self.kind.group_version(),
            version.max(1),
            page.join(",")
        )
    }
}

async fn answer(
    State(server): State<Server>,
    Query(query): Query<HashMap<String, String>>,
    request: Request,
) -> Response {
    // Decisions, findings: taken, and forgotten.
    if request.method() != Method::GET {
        let _ = axum::body::to_bytes(request.into_body(), usize::MAX).await;
        return StatusCode::NO_CONTENT.into_response();
    }
    let path = request.uri().path();
    let mut inner = server.inner();
    if path == "/api" || path == "/apis" {
        let kind =
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList".to_owned();
        let groups = discovery(&inner, path == "/api");
        return ([(header::CONTENT_TYPE, kind)], groups.to_string()).into_response();
    }
    let version = inner.version;
    let Some(collection) = inner.collections.get_mut(path) else {
        return absent();
    };
    if query.contains_key("watch") {
        let (lines, receiver) = mpsc::unbounded_channel();
        collection.watches.push(lines);
        let lines = stream::unfold(receiver, |mut receiver| async {
            let line = receiver.recv().await?;
            Some((Ok::<_, std::io::Error>(line), receiver))
        });
        return json_of(Body::from_stream(lines));
    }
    json_of(Body::from(collection.list(version, &query)))
}

fn json_of(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn absent() -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                        "message": "the server could not find the requested resource",
                        "reason": "NotFound", "code": 404});
    (StatusCode::NOT_FOUND, axum::Json(status)).into_response()
}

/// Groups, their versions and their kinds, aggregated.
fn discovery(inner: &Inner, is_core: bool) -> Value {
    let mut groups: BTreeMap<&str, BTreeMap<&str, Vec<Value>>> = BTreeMap::new();
    for Collection { kind, .. } in inner.collections.values() {
        if kind.group.is_empty() != is_core || kind.plural.contains('/') {
            continue;
        }
        let scope = if kind.namespaced {
            "Namespaced"
        } else {
            "Cluster"
        };
        let versions = groups.entry(&kind.group).or_default();
        versions.entry(kind.version).or_default().push(json!({
            "resource": kind.plural, "singularResource": kind.name.to_lowercase(), "scope": scope,
            "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.name},
            "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
        }));
    }
    let items: Vec<Value> = (groups.into_iter())
        .map(|(group, versions)| {
            let versions: Vec<Value> = (versions.into_iter())
                .map(|(version, resources)| json!({"version": version, "resources": resources}))
                .collect();
            json!({"metadata": {"name": group}, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}
