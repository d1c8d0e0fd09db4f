//! Who may reach whom, at 10,000 pods and 1,000 policies: what a change does, single connections,
//! and how long it takes to get there.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout
)] // criterion's macros, and a bench may assert and tell

use std::hint::black_box;

use admission::network_policy::{Change, Endpoint, Object, PolicyName, Protocol, World, object};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};

const NAMESPACES: usize = 100;
const APPS: usize = 10;
const REPLICAS: usize = 10;
const POLICIES_OF_APPS: usize = 6;

fn read(value: &Value) -> Object {
    let read = object(value, "default").expect("a valid object");
    read.expect("of a kind that matters")
}

fn namespace(i: usize, tier: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace",
           "metadata": {"name": format!("team-{i}"), "labels": {"tier": tier, "team": format!("{i}")}}})
}

fn pod(i: usize, app: usize, replica: usize, role: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("app-{app}-{replica}"), "namespace": format!("team-{i}"),
            // As a StatefulSet labels them: no two pods have equal labels.
            "labels": {"app": format!("app-{app}"), "role": role, "controller-revision-hash": format!("{i}-{app}"),
                       "statefulset.kubernetes.io/pod-name": format!("app-{app}-{replica}")},
        },
        "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}]}]},
        "status": {"podIP": format!("10.{i}.{app}.{replica}"), "hostIP": format!("192.168.0.{}", (i + app + replica) % 200)},
    })
}

fn policy(i: usize, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
           "metadata": {"name": name, "namespace": format!("team-{i}")}, "spec": spec})
}

fn app_policy(i: usize, app: usize) -> Value {
    policy(
        i,
        &format!("app-{app}"),
        &json!({
            "podSelector": {"matchLabels": {"app": format!("app-{app}")}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [{"podSelector": {"matchLabels": {"app": format!("app-{}", (app + 1) % APPS)}}}], "ports": [{"port": "http"}]},
                {"from": [{"namespaceSelector": {"matchLabels": {"tier": "monitoring"}}}], "ports": [{"port": "metrics"}]},
            ],
            "egress": [
                {"to": [{"podSelector": {"matchLabels": {"app": format!("app-{}", (app + APPS - 1) % APPS)}}}], "ports": [{"port": 8080}]},
            ],
        }),
    )
}

fn default_deny(i: usize) -> Value {
    policy(
        i,
        "default-deny",
        &json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
    )
}

fn objects() -> Vec<Value> {
    let mut list = Vec::new();
    for i in 0..NAMESPACES {
        list.push(namespace(
            i,
            if i % 20 == 0 { "monitoring" } else { "apps" },
        ));
        for app in 0..APPS {
            for replica in 0..REPLICAS {
                list.push(pod(i, app, replica, "server"));
            }
        }
        list.push(default_deny(i));
        list.push(policy(i, "dns", &json!({"policyTypes": ["Egress"], "egress": [
            {"to": [{"namespaceSelector": {"matchLabels": {"team": "0"}}}], "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]},
        ]})));
        list.push(policy(i, "outside", &json!({"podSelector": {"matchLabels": {"app": "app-0"}}, "policyTypes": ["Egress"], "egress": [
            {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.169.254/32"]}}], "ports": [{"port": 443}]},
        ]})));
        list.push(policy(i, "neighbour", &json!({"podSelector": {"matchLabels": {"app": "app-9"}}, "ingress": [
            {"from": [{"namespaceSelector": {"matchLabels": {"team": format!("{}", (i + 1) % NAMESPACES)}}, "podSelector": {"matchLabels": {"app": "app-9"}}}], "ports": [{"port": 8000, "endPort": 9000}]},
        ]})));
        for app in 0..POLICIES_OF_APPS {
            list.push(app_policy(i, app));
        }
    }
    list
}

fn world(objects: &[Value]) -> World {
    let mut world = World::new();
    for value in objects {
        world.apply(Change::Is(read(value)));
    }
    world
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let words = line.and_then(|line| line.split_whitespace().nth(1));
    words.and_then(|kib| kib.parse().ok()).expect("a number")
}

fn cluster_policy(spec: &Value) -> Value {
    json!({"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {"name": "c"}, "spec": spec})
}

fn changes() -> Vec<(&'static str, Change)> {
    let gone = |i: usize, name: &str| {
        Change::PolicyGone(PolicyName::NetworkPolicy {
            namespace: format!("team-{i}").into(),
            name: name.into(),
        })
    };
    let everyone = json!({"namespaces": {}});
    vec![
        (
            "a policy of one app",
            Change::Is(read(&policy(
                7,
                "app-3",
                &json!({
                    "podSelector": {"matchLabels": {"app": "app-3"}},
                    "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"tier": "apps"}}}], "ports": [{"port": "http"}]}],
                }),
            ))),
        ),
        (
            "a namespace opened to all",
            Change::Is(read(&policy(
                7,
                "open",
                &json!({"ingress": [{}], "egress": [{}], "policyTypes": ["Ingress", "Egress"]}),
            ))),
        ),
        ("a default deny gone", gone(7, "default-deny")),
        ("a pod's labels", Change::Is(read(&pod(7, 3, 3, "client")))),
        ("a pod that joins another app", {
            let mut other = pod(7, 3, 3, "server");
            other["metadata"]["labels"]["app"] = json!("app-9");
            Change::Is(read(&other))
        }),
        (
            "a namespace's labels",
            Change::Is(read(&namespace(7, "monitoring"))),
        ),
        (
            "a ClusterNetworkPolicy that denies one port to all",
            Change::Is(read(&cluster_policy(&json!({
                "tier": "Admin", "priority": 1, "subject": everyone,
                "ingress": [{"action": "Deny", "from": [everyone], "protocols": [{"tcp": {"destinationPort": {"number": 9090}}}]}],
            })))),
        ),
        (
            "a ClusterNetworkPolicy that accepts all from all",
            Change::Is(read(&cluster_policy(&json!({
                "tier": "Admin", "priority": 1, "subject": everyone,
                "ingress": [{"action": "Accept", "from": [everyone]}], "egress": [{"action": "Accept", "to": [everyone]}],
            })))),
        ),
    ]
}

fn network_policy(c: &mut Criterion) {
    let objects = objects();
    let before = resident_kib();
    let world = world(&objects);
    let policies = world.policies().count();
    println!(
        "{} pods, {policies} policies: {} KiB resident more",
        world.everyone().len(),
        resident_kib() - before
    );
    // The first question works out the groups, which stay until a change.
    let _ = world.difference(Change::NamespaceGone("nobody".into()));
    println!("and with groups: {} KiB", resident_kib() - before);
    let mut group = c.benchmark_group("difference, 10,000 pods, 1,000 policies");
    group.sample_size(20);
    for (name, change) in changes() {
        let found = world.difference(change.clone());
        println!(
            "{name}: {} flows opened, {} closed",
            found.opened.len(),
            found.closed.len()
        );
        group.bench_function(name, |b| {
            b.iter(|| black_box(world.difference(change.clone())));
        });
    }
    println!("after all: {} KiB", resident_kib() - before);
    group.finish();

    let mut group = c.benchmark_group("10,000 pods, 1,000 policies");
    group.sample_size(20);
    let [from, to] = [(7, 4), (7, 3)].map(|(i, app)| {
        let found = world.find(&format!("team-{i}"), &format!("app-{app}-0"));
        Endpoint::Pod(*found.first().expect("a pod"))
    });
    group.bench_function("connection", |b| {
        b.iter(|| black_box(world.connectivity(&from, &to, Protocol::Tcp, 8080)));
    });
    group.bench_function("ports of a connection", |b| {
        b.iter(|| black_box(world.ports(&from, &to)));
    });
    let namespace = world.pods_of("team-7");
    group.bench_function("who reaches a namespace", |b| {
        b.iter(|| black_box(world.reaches(&namespace)));
    });
    let deny = Change::Is(read(&default_deny(7)));
    group.bench_function("a change taken in", |b| {
        let mut world = world.clone();
        b.iter(|| world.apply(deny.clone()));
    });
    group.bench_function("a pod taken in", |b| {
        let mut world = world.clone();
        let pods = ["server", "client"].map(|role| Change::Is(read(&pod(7, 3, 3, role))));
        b.iter(|| pods.clone().map(|change| world.apply(change)));
    });
    group.finish();
}

criterion_group!(benches, network_policy);
criterion_main!(benches);
