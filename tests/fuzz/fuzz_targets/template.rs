//! Gatekeeper's documents: any text as templates, constraints and expansions, as the Rego of a template, as a constraint of known
//! templates, or as an object that known constraints judge. The first byte says which. What loads is asked about a pod; it answers or
//! fails before its time is up, and what fails is told.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use admission::config::FailMode;
use admission::gatekeeper::documents::{self, Document};
use admission::gatekeeper::matching::Origin;
use admission::gatekeeper::{EnforcementPoint, Inventory, Policies, Request};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// How long a template may look at an object.
const PATIENCE: Duration = Duration::from_millis(500);
/// What comes on top, on a machine that is busy.
const PATIENCE_OVERRUN_MAX: Duration = Duration::from_secs(20);

/// Templates and constraints of the tests, for constraints and objects to go with.
const KNOWN: &str = concat!(
    include_str!("../../../admission/tests/gatekeeper/capabilities/template.yaml"),
    "\n---\n",
    include_str!("../../../admission/tests/gatekeeper/limits/template.yaml"),
    "\n---\n",
    include_str!("../../../admission/tests/gatekeeper/owner_labels/template.yaml"),
    "\n---\n",
    include_str!("../../../admission/tests/gatekeeper/unique_hosts/template.yaml"),
);
const CONSTRAINTS: &str = concat!(
    "\n---\n",
    include_str!("../../../admission/tests/gatekeeper/capabilities/constraint.yaml"),
    "\n---\n",
    include_str!("../../../admission/tests/gatekeeper/limits/constraint.yaml"),
    "\n---\n",
    include_str!("../../../admission/tests/gatekeeper/owner_labels/constraint.yaml"),
    "\n---\n",
    include_str!("../../../admission/tests/gatekeeper/unique_hosts/constraint.yaml"),
);

static TEMPLATES: LazyLock<Vec<Document>> = LazyLock::new(|| read(KNOWN).expect("documents"));
static POLICIES: LazyLock<Policies> = LazyLock::new(|| {
    let documents = read(&[KNOWN, CONSTRAINTS].concat()).expect("documents");
    Policies::read(&documents).expect("policies")
});

fn read(text: &str) -> Option<Vec<Document>> {
    documents::parse("fuzz", text).ok()
}

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "shop", "labels": {"app": "web", "owner": "me.agilebank.demo"}},
        "spec": {"containers": [
            {"name": "a", "image": "registry.example/a:1", "resources": {"limits": {"cpu": "100m", "memory": "1Gi"}}},
            {"name": "b", "image": "b", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}},
        ]},
    })
}

fn ask(policies: &Policies, object: &Value) {
    let Ok(request) = Request::of_object(object, Origin::Original) else {
        return;
    };
    let inventory = Inventory::new(&[pod()]);
    let begun = Instant::now();
    let found = policies.review_expanded(
        &request,
        &inventory,
        EnforcementPoint::Audit,
        FailMode::Closed,
        begun + PATIENCE,
    );
    assert!(
        begun.elapsed() < PATIENCE + PATIENCE_OVERRUN_MAX,
        "out of time"
    );
    if let Ok(found) = found {
        for finding in &found.findings {
            assert!(!finding.actions.is_empty(), "{finding:?}");
        }
    }
}

/// A template whose Rego is this.
fn template(rego: &str, edition: &str) -> Vec<Document> {
    let object = json!({
        "apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate", "metadata": {"name": "fuzzed"},
        "spec": {
            "crd": {"spec": {"names": {"kind": "Fuzzed"}, "validation": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
            "targets": [{"target": "admission.k8s.gatekeeper.sh", "code": [
                {"engine": "Rego", "source": {"version": edition, "rego": rego}},
            ]}],
        },
    });
    let constraint = json!({
        "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "Fuzzed", "metadata": {"name": "one"},
        "spec": {"parameters": {"list": ["a", "b"], "object": {"key": 1}, "text": "a-b", "number": 3}},
    });
    [object, constraint]
        .map(|object| Document {
            place: "fuzz".to_owned(),
            object,
        })
        .into()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = str::from_utf8(rest) else {
        return;
    };
    let documents = match kind % 5 {
        0 => read(text),
        1 => Some(template(text, "v0")),
        2 => Some(template(text, "v1")),
        3 => read(text).map(|constraints| [TEMPLATES.clone(), constraints].concat()),
        _ => {
            for object in read(text).unwrap_or_default() {
                ask(&POLICIES, &object.object);
            }
            return;
        }
    };
    if let Some(policies) = documents.and_then(|documents| Policies::read(&documents).ok()) {
        ask(&policies, &pod());
    }
});
