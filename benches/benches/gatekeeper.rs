//! Gatekeeper's policies: what a review costs under one template, and under fifty.

#![allow(missing_docs, clippy::expect_used)] // criterion's macros, and a bench may assert

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use admission::config::FailMode;
use admission::gatekeeper::matching::Origin;
use admission::gatekeeper::{EnforcementPoint, Inventory, Policies, Request, documents};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};

/// The template of the suites that most resembles what people use: two libraries' worth of helpers, sets,
/// prefixes, messages.
const TEMPLATE: &str = include_str!("../../admission/tests/gatekeeper/capabilities/template.yaml");

fn policies(templates: usize) -> Policies {
    let mut all = String::new();
    for i in 0..templates {
        let kind = format!("DropsCapabilities{i}");
        let template = TEMPLATE
            .replace(
                "name: dropscapabilities",
                &format!("name: {}", kind.to_lowercase()),
            )
            .replace("kind: DropsCapabilities", &format!("kind: {kind}"));
        let constraint = format!(
            "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: {kind}\nmetadata: {{name: caps}}\n\
             spec: {{match: {{kinds: [{{apiGroups: [''], kinds: [Pod]}}]}}, parameters: {{allowed: [NET_BIND_SERVICE], drop: [NET_RAW]}}}}\n"
        );
        let _ = write!(all, "---\n{template}---\n{constraint}");
    }
    let documents = documents::parse("bench", &all).expect("documents of our own");
    Policies::read(&documents).expect("templates of our own")
}

/// A pod of three containers that violates nothing, which is the commonest.
fn pod() -> Value {
    let container = |name: &str| {
        json!({
            "name": name, "image": "registry.example/app:1",
            "securityContext": {"capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true},
            "resources": {"limits": {"cpu": "100m", "memory": "128Mi"}},
            "ports": [{"containerPort": 8080}],
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "shop", "labels": {"app": "web", "team": "a"}},
        "spec": {"containers": [container("a"), container("b"), container("c")]},
    })
}

fn review(c: &mut Criterion) {
    let pod = pod();
    let inventory = Inventory::default();
    let mut group = c.benchmark_group("gatekeeper");
    for templates in [1, 50] {
        let policies = policies(templates);
        group.bench_function(format!("review under {templates} templates"), |b| {
            b.iter(|| {
                let request = Request::of_object(&pod, Origin::Original).expect("a pod");
                let deadline = Instant::now() + Duration::from_secs(10);
                let point = EnforcementPoint::Webhook;
                let found =
                    policies.review(&request, &inventory, point, FailMode::Closed, deadline);
                assert!(found.asked == templates && found.findings.is_empty());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, review);
criterion_main!(benches);
