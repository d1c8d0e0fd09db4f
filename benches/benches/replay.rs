//! Replay: what a recorded decision costs that is tried again.
//!
//! The goal is a million in six minutes of a core: 360 µs each.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing)] // criterion's macros; a bench may assert

use std::path::PathBuf;

use admission::AdmissionConfig;
use admission::pod_security::Level;
use admission::replay::{Candidate, Report, Scope};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};

/// How many different records there are.
const RECORDS: usize = 1000;

/// What records are mostly of: pods of one to three containers, made by controllers, a fifth of them updates;
/// deployments; config maps, which nobody judges.
fn record(i: usize) -> String {
    let container = |name: usize| {
        json!({
            "name": format!("c{name}"), "image": format!("registry.example/team/app:{i}"),
            "securityContext": {"allowPrivilegeEscalation": i.is_multiple_of(7), "runAsNonRoot": true,
                "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}},
            "resources": {"limits": {"cpu": "100m", "memory": "128Mi"}},
            "env": [{"name": "LEVEL", "value": "info"}, {"name": "TOKEN", "value": "<redacted>"}],
            "ports": [{"containerPort": 8080}],
            "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets", "readOnly": true}],
            "livenessProbe": {"httpGet": {"path": "/live", "port": 8080}, "periodSeconds": 10},
        })
    };
    let containers: Vec<Value> = (0..=i % 3).map(container).collect();
    let spec = json!({"containers": containers, "serviceAccountName": "app", "nodeSelector": {"pool": "a"},
        "volumes": [{"name": "token", "projected": {"sources": []}}]});
    let metadata = json!({"name": format!("web-{i}"), "namespace": format!("team-{}", i % 40),
        "labels": {"app": "web", "team": "a", "pod-template-hash": "abcdef"}});
    let (group, version, kind, resource, object) = match i % 10 {
        0 => (
            "",
            "v1",
            "ConfigMap",
            "configmaps",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}),
        ),
        1 | 2 => (
            "apps",
            "v1",
            "Deployment",
            "deployments",
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
                "spec": {"replicas": 3, "template": {"metadata": metadata, "spec": spec}}}),
        ),
        _ => (
            "",
            "v1",
            "Pod",
            "pods",
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}),
        ),
    };
    let old = match i % 5 {
        3 => object.clone(),
        _ => Value::Null,
    };
    let (user, operation) = (
        "system:serviceaccount:kube-system:replicaset-controller",
        match old {
            Value::Null => "CREATE",
            _ => "UPDATE",
        },
    );
    json!({
        "time": "2026-11-22T00:00:00Z", "uid": format!("u{i}"), "user": user, "verdict": "allow", "rules": [],
        "operation": operation, "kind": kind, "namespace": metadata["namespace"], "name": metadata["name"],
        "microseconds": 300, "times": [{"rule": "PodSecurity", "microseconds": 200}],
        "redacted": ["object.spec.containers[0].env[1].value"],
        "review": {"uid": format!("u{i}"), "operation": operation, "namespace": metadata["namespace"],
            "name": metadata["name"], "kind": {"group": group, "version": version, "kind": kind},
            "resource": {"group": group, "version": version, "resource": resource},
            "userInfo": {"username": user, "groups": ["system:serviceaccounts", "system:authenticated"]},
            "object": object, "oldObject": old},
    })
    .to_string()
}

fn replay(c: &mut Criterion) {
    let records: Vec<String> = (0..RECORDS).map(record).collect();
    let mut config = AdmissionConfig::default();
    config.pod_security.enforce = Level::Restricted;
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../admission/tests/gatekeeper/capabilities"
    );
    let template: Vec<PathBuf> = vec![folder.into()];
    let mut group = c.benchmark_group("replay");
    for (name, files, scope) in [
        (
            "a decision under the restricted level",
            vec![],
            Scope::FilesAndLevel,
        ),
        ("a decision under a template", template, Scope::Files),
    ] {
        let candidate = Candidate::new(&config, &files, scope).expect("a candidate of our own");
        let mut next = records.iter().cycle();
        let mut report = Report::default();
        group.bench_function(name, |b| {
            b.iter(|| candidate.replay(next.next().expect("an endless cycle"), &mut report));
        });
        assert!(report.not_replayed.is_empty(), "{:?}", report.not_replayed);
    }
    group.finish();
}

criterion_group!(benches, replay);
criterion_main!(benches);
