//! An AdmissionReview: any bytes as its body, or as the object in it, judged by the whole evaluator with the embedded bundle and
//! every rule about networks. The first byte says which; the second chooses level and version. What can be read is judged, also
//! where no API server would ever send it, and the answer says what the verdict does.
#![no_main]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use admission::bundle::Bundle;
use admission::config::{
    DeniedDirection, Exemptions, FailMode, NetworkPolicyConfig, NeverOpen, Refused,
};
use admission::evaluate::{Evaluator, NamespaceLabels, NamespaceLookupError, Unjudged};
use admission::gatekeeper::documents;
use admission::network_policy::builtins::{ClusterState, StateUnknown};
use admission::network_policy::{Ends, Manifests, World};
use admission::pod_security::{Level, LevelVersion, Policy, Version};
use admission::review::{Review, respond};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| Bundle::embedded().expect("compiles"));
static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    let text = include_str!("../../../admission/policies/network_policy/test_cluster.yaml");
    let mut manifests = Manifests::default();
    manifests.read(text, "default").expect("a cluster");
    Cluster(Arc::new(manifests.world()))
});

#[derive(Clone)]
struct Cluster(Arc<World>);

impl ClusterState for Cluster {
    fn world(&self) -> Result<Arc<World>, StateUnknown> {
        Ok(self.0.clone())
    }
}

/// A namespace's labels are what the second byte says, sometimes unreadable, and of one namespace nobody knows them.
struct Labels(u8);

impl NamespaceLabels for Labels {
    fn labels(
        &self,
        namespace: &str,
    ) -> Result<Arc<BTreeMap<String, String>>, NamespaceLookupError> {
        if namespace == "unknown" {
            return Err(NamespaceLookupError {
                namespace: namespace.to_owned(),
                problem: "not found".to_owned(),
            });
        }
        let enforce = ["restricted", "baseline", "privileged", "none"];
        let label =
            |name: &str, value: String| (format!("pod-security.kubernetes.io/{name}"), value);
        Ok(Arc::new([
            label("enforce", enforce[usize::from(self.0 % 4)].to_owned()),
            label("enforce-version", format!("v1.{}", self.0 / 4)),
        ]
        .into()))
    }
}

fn rules() -> NetworkPolicyConfig {
    let internet = Ends {
        internet: true,
        ..Ends::default()
    };
    NetworkPolicyConfig {
        refuse: [
            Refused::WorldOpenIngress,
            Refused::WorldOpenEgress,
            Refused::MetadataAddress,
            Refused::EmptySelectors,
        ]
        .into(),
        default_deny: [DeniedDirection::Ingress, DeniedDirection::Egress].into(),
        separate: [["sandbox".to_owned(), "payments".to_owned()]].into(),
        never_open: vec![NeverOpen {
            name: "exposed".to_owned(),
            from: internet,
            to: Ends::namespace("payments"),
        }],
        exempt_namespaces: ["exempt".to_owned()].into(),
    }
}

/// The object in a review that would store it; the text may hold a second one, which it takes the place of.
fn wrapped(kind: u8, bytes: &[u8]) -> Option<Value> {
    let mut objects = documents::parse("object", str::from_utf8(bytes).ok()?)
        .ok()?
        .into_iter();
    let object = objects.next()?.object;
    let old = objects
        .next()
        .map(|document| document.object)
        .unwrap_or_default();
    let text = |at: &str| {
        object
            .pointer(at)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (group, version) = text("/apiVersion")
        .split_once('/')
        .unwrap_or(("", text("/apiVersion")));
    let operation = match (kind % 4, old.is_null()) {
        (1, _) => "DELETE",
        (_, false) => "UPDATE",
        (_, true) => "CREATE",
    };
    let is_deletion = operation == "DELETE";
    Some(json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "operation": operation,
            "kind": {"group": group, "version": version, "kind": text("/kind")},
            "namespace": text("/metadata/namespace"), "name": text("/metadata/name"),
            "userInfo": {"username": "jane"},
            "object": if is_deletion { &Value::Null } else { &object },
            "oldObject": if is_deletion { &object } else { &old },
        },
    }))
}

fn judge(chosen: u8, body: &[u8]) {
    let Ok(review) = Review::read(body) else {
        return;
    };
    let policy = |level| LevelVersion {
        level,
        version: Version::Latest,
    };
    let defaults = Policy {
        enforce: policy(Level::Restricted),
        audit: policy(Level::Restricted),
        warn: policy(Level::Baseline),
    };
    let evaluator = Evaluator::new(
        defaults,
        Exemptions::default(),
        FailMode::Closed,
        Arc::new(Labels(chosen)),
    )
    .with_network(rules(), Arc::new(CLUSTER.clone()));
    let deadline = Instant::now() + Duration::from_secs(20);
    let verdict = match evaluator.evaluate(&review, &BUNDLE, deadline) {
        Ok(verdict) => verdict,
        Err(Unjudged::Deadline) => return,
        // A policy that fails on what was read as well-formed is a policy, or a reader, to be mended.
        Err(error) => panic!("cannot be judged: {error}"),
    };
    let answer = respond(&review.uid, &verdict);
    let text = serde_json::to_vec(&answer).expect("it is JSON");
    assert_eq!(
        serde_json::from_slice::<Value>(&text).expect("it is JSON"),
        answer
    );
    let response = &answer["response"];
    assert_eq!(response["uid"], review.uid.as_str());
    assert_eq!(response["allowed"], verdict.allows());
    if !verdict.allows() {
        assert!(response["status"]["code"].as_u64() >= Some(400));
        assert_ne!(response["status"]["message"], "");
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [kind, chosen, rest @ ..] = bytes else {
        return;
    };
    if kind % 4 == 0 {
        judge(*chosen, rest);
    } else if let Some(review) = wrapped(*kind, rest) {
        judge(*chosen, &serde_json::to_vec(&review).expect("it is JSON"));
    }
});
