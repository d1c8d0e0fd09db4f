//! Clusters that are hard on the evaluator, each of 10,000 pods and 1,000 policies.
//!
//! - moves: ten namespaces of a thousand pods, whose labels let them in elsewhere
//! - ports: rules by ports that every pod numbers otherwise, and by blocks with many exceptions
//! - all: a thousand policies that all select all pods, each with peers and a port of its own
//! - passes: a hundred ClusterNetworkPolicies of 25 rules each, most of which pass on

use admission::network_policy::Change;
use serde_json::{Value, json};

use crate::objects::{app_policy, cluster_policy, default_deny, gone, namespace, policy, read};

/// A cluster, and changes to it.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) objects: Vec<Value>,
    pub(crate) changes: Vec<(&'static str, Change)>,
}

pub(crate) fn shapes() -> Vec<Shape> {
    vec![moves(), ports(), all(), passes()]
}

fn is(value: &Value) -> Change {
    Change::Is(read(value))
}

/// A pod of a namespace of many, whose ports have numbers of their own.
pub(crate) fn pod(i: usize, app: usize, replica: usize, role: &str) -> Value {
    let (high, low) = (replica / 250, replica % 250);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("app-{app}-{replica}"), "namespace": format!("team-{i}"),
            "labels": {"app": format!("app-{app}"), "role": role, "pod-template-hash": format!("{i}-{app}"),
                       "shard": format!("{}", replica % 40)},
        },
        "spec": {"containers": [{"name": "c", "ports": [
            {"name": "http", "containerPort": 8000 + app}, {"name": "metrics", "containerPort": 9000 + replica % 7},
        ]}]},
        "status": {"podIP": format!("10.{i}.{}.{low}", app + high), "hostIP": format!("192.168.0.{}", (i + app + replica) % 200)},
    })
}

fn pods(namespaces: usize, apps: usize, replicas: usize) -> Vec<Value> {
    let mut list = Vec::new();
    for i in 0..namespaces {
        list.push(namespace(i, if i == 0 { "monitoring" } else { "apps" }));
        for app in 0..apps {
            list.extend((0..replicas).map(|replica| pod(i, app, replica, "server")));
        }
    }
    list
}

fn moves() -> Shape {
    let mut objects = pods(10, 10, 100);
    for i in 0..10 {
        objects.push(default_deny(i));
        objects.extend((0..10).map(|app| app_policy(i, app)));
        for shard in 0..89 {
            objects.push(policy(i, &format!("shard-{shard}"), &json!({
                "podSelector": {"matchLabels": {"shard": format!("{}", shard % 40)}},
                "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"tier": "monitoring"}},
                                       "podSelector": {"matchLabels": {"app": format!("app-{}", shard % 10)}}}],
                             "ports": [{"port": "metrics"}, {"port": 5000 + shard}]}],
            })));
        }
    }
    Shape {
        name: "moves",
        objects,
        changes: vec![
            (
                "a namespace's labels, that move 1,000 pods in",
                is(&namespace(7, "monitoring")),
            ),
            ("and out", is(&namespace(0, "apps"))),
            ("the only default deny gone", gone(7, "default-deny")),
        ],
    }
}

/// A block with many exceptions, which cut pods out of it.
fn block(seed: usize, exceptions: usize) -> Value {
    let except: Vec<_> = (0..exceptions)
        .map(|i| {
            format!(
                "10.{}.{}.{}/30",
                i % 10,
                (seed + i) % 40,
                (i * 8) % 250 / 4 * 4
            )
        })
        .collect();
    json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": except}})
}

fn ports() -> Shape {
    let mut objects = pods(10, 10, 100);
    for i in 0..10 {
        objects.push(default_deny(i));
        for at in 0..99 {
            objects.push(policy(i, &format!("block-{at}"), &json!({
                "podSelector": {"matchLabels": {"shard": format!("{}", at % 40)}},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": [block(at, 10)], "ports": [{"port": "metrics"}, {"port": "http"}]}],
                "egress": [{"to": [block(at + 7, 10), {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}],
                            "ports": [{"port": "http"}, {"port": 443}]},
                           {"to": [{"namespaceSelector": {}}], "ports": [{"port": "metrics"}]}],
            })));
        }
    }
    let blocks: Vec<Value> = (0..20).map(|seed| block(seed, 50)).collect();
    Shape {
        name: "ports",
        objects,
        changes: vec![(
            "named ports, and twenty blocks with fifty exceptions",
            is(&policy(
                7,
                "block-3",
                &json!({
                    "podSelector": {}, "policyTypes": ["Ingress", "Egress"],
                    "ingress": [{"from": blocks, "ports": [{"port": "metrics"}, {"port": "http"}, {"port": 1000, "endPort": 2000}]}],
                    "egress": [{"to": blocks, "ports": [{"port": "metrics"}, {"port": "http"}]}],
                }),
            )),
        )],
    }
}

fn all() -> Shape {
    let mut objects = pods(1, 100, 100);
    for at in 0..999 {
        let peer = json!({"podSelector": {"matchLabels": {"app": format!("app-{}", at % 100), "shard": format!("{}", at % 37)}}});
        objects.push(policy(
            0,
            &format!("all-{at}"),
            &json!({
                "podSelector": {}, "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": [peer], "ports": [{"port": 1000 + at}, {"port": "http"}]}],
                "egress": [{"to": [peer], "ports": [{"port": 1000 + at, "endPort": 1010 + at}]}],
            }),
        ));
    }
    objects.push(default_deny(0));
    let mut other = pod(0, 7, 7, "server");
    other["metadata"]["labels"]["app"] = json!("app-8");
    Shape {
        name: "all",
        objects,
        changes: vec![
            ("one of a thousand that select all gone", gone(0, "all-500")),
            ("a pod's labels, where a thousand select all", is(&other)),
            (
                "all let in, where a thousand select all",
                is(&policy(
                    0,
                    "all-3",
                    &json!({"podSelector": {}, "ingress": [{}]}),
                )),
            ),
        ],
    }
}

/// A ClusterNetworkPolicy whose rules pass on but for the last.
fn passing(at: usize, tier: &str, last: &str) -> Value {
    let rule = |direction: &str, i: usize, action: &str| {
        let peer = json!({"pods": {"namespaceSelector": {"matchLabels": {"team": format!("{}", (at + i) % 100)}},
                                   "podSelector": {"matchLabels": {"app": format!("app-{}", i % 10)}}}});
        let port = 1000 + (at * 25 + i) % 3000;
        json!({"action": action, direction: [peer], "protocols": [{"tcp": {"destinationPort": {"range": {"start": port, "end": port + 500}}}}]})
    };
    let rules = |direction: &str| {
        let action = |i| if i == 24 { last } else { "Pass" };
        (0..25)
            .map(|i| rule(direction, i, action(i)))
            .collect::<Vec<_>>()
    };
    cluster_policy(
        &format!("pass-{at}"),
        &json!({
            "tier": tier, "priority": 10 + at, "subject": {"namespaces": {}}, "ingress": rules("from"), "egress": rules("to"),
        }),
    )
}

fn passes() -> Shape {
    let mut objects = pods(100, 10, 10);
    for at in 0..100 {
        objects.push(passing(at, "Admin", "Deny"));
    }
    for i in 0..100 {
        objects.push(default_deny(i));
        objects.extend((0..8).map(|app| app_policy(i, app)));
    }
    Shape {
        name: "passes",
        objects,
        changes: vec![
            (
                "the last of a hundred that pass on accepts",
                is(&passing(99, "Admin", "Accept")),
            ),
            (
                "and is of another tier",
                is(&passing(50, "Baseline", "Deny")),
            ),
            ("a pod's role, below them", is(&pod(7, 3, 3, "client"))),
        ],
    }
}
