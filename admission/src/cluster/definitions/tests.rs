//! Definitions against an API server that takes them, or does not.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use serde_json::json;

use super::*;
use crate::bundle::Sources;
use crate::cluster::tests::fake::Fake;
use crate::cluster::tests::{PAUSES, until};
use crate::metrics::CacheMetrics;

const TEMPLATES: &str = "/apis/templates.gatekeeper.sh/v1/constrainttemplates";

/// As much of an API server as definitions need: what is applied is there, and has a manager.
#[derive(Clone, Default)]
struct Kinds(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    known: HashMap<String, Value>,
    /// How it answers what is applied.
    refusals: HashMap<String, StatusCode>,
    /// `get NAME` and `apply NAME`, in order.
    requests: Vec<String>,
}

impl Kinds {
    async fn start(&self) -> kube::Client {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        let mut config = kube::Config::new(url.parse().unwrap());
        config.default_retry = false;
        kube::Client::try_from(config).unwrap()
    }

    fn written_by(&self, manager: &str, name: &str, metadata: &Value) {
        let fields = |fields: Value, subresource: &str| {
            json!({"manager": manager, "operation": "Update", "fieldsType": "FieldsV1",
                   "fieldsV1": fields, "subresource": subresource})
        };
        let mut object = json!({"metadata": metadata});
        let mut spec = fields(json!({"f:spec": {"f:group": {}}}), "");
        spec.as_object_mut().unwrap().remove("subresource");
        let status = fields(json!({"f:status": {}}), "status");
        object["metadata"]["name"] = name.into();
        object["metadata"]["managedFields"] = json!([spec, status]);
        self.0.lock().known.insert(name.to_string(), object);
    }

    fn refuse(&self, name: &str, code: Option<StatusCode>) {
        let refusals = &mut self.0.lock().refusals;
        match code {
            Some(code) => refusals.insert(name.to_string(), code),
            None => refusals.remove(name),
        };
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().requests)
    }
}

async fn answer(State(kinds): State<Kinds>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let (_, name) = parts.uri.path().rsplit_once('/').unwrap();
    let failure = |code: StatusCode| {
        let is_absent = code == StatusCode::NOT_FOUND;
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                            "message": format!("{name}: as the test says"), "code": code.as_u16(),
                            "reason": if is_absent { "NotFound" } else { "Test" }});
        (code, Json(status)).into_response()
    };
    if parts.method == Method::GET {
        let mut inner = kinds.0.lock();
        inner.requests.push(format!("get {name}"));
        return match inner.known.get(name) {
            Some(object) => Json(object.clone()).into_response(),
            None => failure(StatusCode::NOT_FOUND),
        };
    }
    assert_eq!(parts.method, Method::PATCH);
    assert_eq!(parts.headers[CONTENT_TYPE], "application/apply-patch+yaml");
    let query = parts.uri.query().unwrap_or_default();
    assert!(query.contains("fieldManager=taffrail"), "{query}");
    assert!(!query.contains("force"), "{query}");
    let object: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(object["metadata"]["name"], name);
    let refusal = {
        let mut inner = kinds.0.lock();
        inner.requests.push(format!("apply {name}"));
        inner.refusals.get(name).copied()
    };
    if let Some(code) = refusal {
        return failure(code);
    }
    kinds.written_by(MANAGER, name, &json!({}));
    Json(object).into_response()
}

/// Definitions of templates that a watched cluster has.
struct Applying {
    templates: Fake,
    kinds: Kinds,
    cluster: Cluster,
    definitions: Definitions,
}

impl Applying {
    async fn start(templates: &[(&str, &str)]) -> Self {
        let fake = Fake::start().await;
        for (name, schema) in templates {
            fake.put(TEMPLATES, template(name, schema));
        }
        let metrics = CacheMetrics::register(&mut Registry::default());
        let cluster = Cluster::start_at(fake.config(), metrics, PAUSES);
        let cluster = cluster.await.unwrap();
        until("the templates", || cluster.caches().waiting().is_empty()).await;
        let kinds = Kinds::default();
        let bundles = Arc::new(Bundles::new(Bundle::embedded().unwrap()));
        let mut definitions = Definitions::new(&cluster, bundles, Arc::default());
        let kind = resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        definitions.api = Api::all_with(kinds.start().await, &kind);
        Applying {
            templates: fake,
            kinds,
            cluster,
            definitions,
        }
    }

    /// Applies, and says what was asked for and how many failed.
    async fn apply(&mut self, scope: Scope) -> (Vec<String>, usize) {
        let sources = Sources::read(None, None).unwrap();
        let (objects, before) = (
            self.cluster.policies.snapshot(),
            Bundle::embedded().unwrap(),
        );
        let (bundle, _) = Bundle::with_objects(sources, &objects, &before).unwrap();
        let failed = self.definitions.apply_all(&bundle, scope).await;
        (self.kinds.requests(), failed)
    }

    /// Changes the templates, and waits until that is known.
    async fn change(&self, change: impl FnOnce(&Fake)) {
        let before = self.cluster.policies.generation();
        change(&self.templates);
        until("the change", || {
            self.cluster.policies.generation() != before
        })
        .await;
    }

    fn complaint(&self, name: &str) -> &str {
        &self.definitions.complaints[&full(name)]
    }
}

fn template(name: &str, parameter: &str) -> Value {
    let schema = json!({"type": "object", "properties": {parameter: {"type": "string"}}});
    json!({
        "apiVersion": "templates.gatekeeper.sh/v1",
        "kind": "ConstraintTemplate",
        "metadata": {"name": name, "uid": name},
        "spec": {
            "crd": {"spec": {"names": {"kind": name.to_uppercase()}, "validation": {"openAPIV3Schema": schema}}},
            "targets": [{"target": "admission.k8s.gatekeeper.sh",
                         "rego": "package p\nviolation[{\"msg\": \"m\"}] { true }"}],
        },
    })
}

fn full(name: &str) -> String {
    format!("{name}.constraints.gatekeeper.sh")
}

fn asked(names: &[&str]) -> Vec<String> {
    let of = |name: &&str| {
        [
            format!("get {}", full(name)),
            format!("apply {}", full(name)),
        ]
    };
    names.iter().flat_map(of).collect()
}

#[tokio::test]
async fn what_says_nothing_new_is_applied_every_so_often() {
    let mut applying = Applying::start(&[("a", "p"), ("b", "p")]).await;
    assert_eq!(
        applying.apply(Scope::Changed).await,
        (asked(&["a", "b"]), 0)
    );
    assert_eq!(applying.apply(Scope::Changed).await, (vec![], 0));
    assert_eq!(applying.apply(Scope::All).await, (asked(&["a", "b"]), 0));

    let change = |fake: &Fake| fake.put(TEMPLATES, template("b", "q"));
    applying.change(change).await;
    assert_eq!(applying.apply(Scope::Changed).await, (asked(&["b"]), 0));
    applying.cluster.stop().await;
}

#[tokio::test]
async fn only_templates_in_force_have_a_kind() {
    let mut applying = Applying::start(&[("a", "p"), ("b", "p")]).await;
    let mut broken = template("b", "p");
    broken["spec"]["targets"][0]["rego"] = "package p\nviolation[".into();
    let change = |fake: &Fake| fake.put(TEMPLATES, broken);
    applying.change(change).await;
    let mut leaving = template("a", "p");
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let change = |fake: &Fake| fake.put(TEMPLATES, leaving);
    applying.change(change).await;
    assert_eq!(applying.apply(Scope::All).await, (vec![], 0));

    // Deleted and made anew it is another template, though it says the same.
    let change = |fake: &Fake| fake.put(TEMPLATES, template("a", "p"));
    applying.change(change).await;
    assert_eq!(applying.apply(Scope::Changed).await, (asked(&["a"]), 0));
    let mut anew = template("a", "p");
    anew["metadata"]["uid"] = "another".into();
    let change = |fake: &Fake| fake.put(TEMPLATES, anew);
    applying.change(change).await;
    assert_eq!(applying.apply(Scope::Changed).await, (asked(&["a"]), 0));
    applying.cluster.stop().await;
}

#[tokio::test]
async fn what_another_manager_wrote_is_left_as_it_is() {
    let mut applying = Applying::start(&[("a", "p"), ("b", "p")]).await;
    applying
        .kinds
        .written_by("gatekeeper", &full("a"), &json!({}));
    let mut expected = vec![format!("get {}", full("a"))];
    expected.extend(asked(&["b"]));
    assert_eq!(applying.apply(Scope::Changed).await, (expected, 0));
    assert_eq!(
        applying.complaint("a"),
        "it was written by \"gatekeeper\" and is left as it is"
    );
    assert_eq!(applying.apply(Scope::Changed).await, (vec![], 0));

    // Where it is gone, ours comes.
    applying.kinds.0.lock().known.remove(&full("a"));
    assert_eq!(applying.apply(Scope::All).await, (asked(&["a", "b"]), 0));
    assert!(applying.definitions.complaints.is_empty());
    applying.cluster.stop().await;
}

#[tokio::test]
async fn what_is_refused_costs_itself_only() {
    let mut applying = Applying::start(&[("a", "p"), ("b", "p")]).await;
    let invalid = StatusCode::UNPROCESSABLE_ENTITY;
    applying.kinds.refuse(&full("a"), Some(invalid));
    assert_eq!(
        applying.apply(Scope::Changed).await,
        (asked(&["a", "b"]), 0)
    );
    let said = format!("{}: as the test says (422)", full("a"));
    assert_eq!(applying.complaint("a"), said);
    assert_eq!(applying.apply(Scope::Changed).await, (vec![], 0));

    applying.kinds.refuse(&full("a"), None);
    let change = |fake: &Fake| fake.put(TEMPLATES, template("a", "q"));
    applying.change(change).await;
    assert_eq!(applying.apply(Scope::Changed).await, (asked(&["a"]), 0));
    assert!(applying.definitions.complaints.is_empty());
    applying.cluster.stop().await;
}

#[tokio::test]
async fn what_fails_otherwise_is_tried_again() {
    let mut applying = Applying::start(&[("a", "p"), ("b", "p")]).await;
    for code in [
        StatusCode::FORBIDDEN,
        StatusCode::CONFLICT,
        StatusCode::SERVICE_UNAVAILABLE,
    ] {
        applying.kinds.refuse(&full("a"), Some(code));
        let (requests, failed) = applying.apply(Scope::All).await;
        assert_eq!((requests, failed), (asked(&["a", "b"]), 1), "{code}");
        let said = format!("{}: as the test says ({})", full("a"), code.as_u16());
        assert_eq!(applying.complaint("a"), said);
    }
    assert_eq!(applying.apply(Scope::Changed).await, (asked(&["a"]), 1));

    applying.kinds.refuse(&full("a"), None);
    let leaving = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
    applying.kinds.written_by(MANAGER, &full("a"), &leaving);
    let expected = vec![format!("get {}", full("a"))];
    assert_eq!(applying.apply(Scope::Changed).await, (expected, 1));
    assert_eq!(applying.complaint("a"), "it is still being deleted");
    applying.kinds.0.lock().known.remove(&full("a"));
    assert_eq!(applying.apply(Scope::Changed).await, (asked(&["a"]), 0));
    applying.cluster.stop().await;
}
