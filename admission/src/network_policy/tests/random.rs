//! Small random clusters, in which everything that can meet does.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::oracle::Cluster;

const NAMESPACES: [&str; 3] = ["x", "y", "z"];

/// An object that is new or other, or the one at that place gone.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Put(Value),
    Remove(usize),
}

fn labels() -> impl Strategy<Value = Value> {
    let value = || option::of(select(vec!["1", "2"]));
    (value(), value()).prop_map(|(a, b)| {
        let mut labels = json!({});
        for (key, value) in [("a", a), ("b", b)] {
            if let Some(value) = value {
                labels[key] = Value::from(value);
            }
        }
        labels
    })
}

fn selector() -> impl Strategy<Value = Value> {
    let expression = (
        select(vec!["a", "b", "kubernetes.io/metadata.name"]),
        0..4,
        0..3,
    )
        .prop_map(|(key, operator, values)| {
            let values =
                [json!(["1"]), json!(["2", "x"]), json!(["1", "2", "y"])][values as usize].clone();
            match operator {
                0 => json!({"key": key, "operator": "In", "values": values}),
                1 => json!({"key": key, "operator": "NotIn", "values": values}),
                2 => json!({"key": key, "operator": "Exists"}),
                _ => json!({"key": key, "operator": "DoesNotExist"}),
            }
        });
    prop_oneof![
        2 => Just(json!({})),
        2 => labels().prop_map(|labels| json!({"matchLabels": labels})),
        2 => prop::collection::vec(expression.clone(), 0..3)
            .prop_map(|list| json!({"matchExpressions": list})),
        1 => (labels(), expression)
            .prop_map(|(labels, e)| json!({"matchLabels": labels, "matchExpressions": [e]})),
    ]
}

fn namespace() -> impl Strategy<Value = Value> {
    (select(NAMESPACES.to_vec()), labels()).prop_map(|(name, labels)| {
        json!({"apiVersion": "v1", "kind": "Namespace",
               "metadata": {"name": name, "labels": labels}})
    })
}

fn pod() -> impl Strategy<Value = Value> {
    let port = (select(vec!["web", "dns"]), select(vec![53, 80, 8080]), select(vec!["TCP", "UDP"]))
        .prop_map(|(name, port, protocol)| {
            json!({"name": name, "containerPort": port, "protocol": protocol})
        });
    let status = prop_oneof![
        1 => Just(json!({})),
        4 => (0..6).prop_map(|n| json!({"podIP": format!("10.0.0.{n}")})),
        2 => (0..6).prop_map(|n| json!({
            "podIP": format!("10.0.0.{n}"),
            "podIPs": [{"ip": format!("10.0.0.{n}")}, {"ip": format!("fd00::{n}")}],
        })),
    ];
    (
        select(NAMESPACES.to_vec()),
        select(vec!["p", "q", "r"]),
        labels(),
        prop::collection::vec(port, 0..3),
        prop::bool::weighted(0.1),
        status,
    )
        .prop_map(|(namespace, name, labels, ports, host, status)| {
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"namespace": namespace, "name": name, "labels": labels},
                "spec": {"hostNetwork": host, "containers": [{"name": "c", "ports": ports}]},
                "status": status,
            })
        })
}

fn node() -> impl Strategy<Value = Value> {
    (select(vec!["n", "m"]), labels(), 0..6).prop_map(|(name, labels, n)| {
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": labels},
            "status": {"addresses": [
                {"type": "Hostname", "address": name},
                {"type": "InternalIP", "address": format!("10.0.0.{n}")},
            ]},
        })
    })
}

fn block() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"cidr": "0.0.0.0/0"}),
        json!({"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}),
        json!({"cidr": "0.0.0.0/0", "except": ["10.0.0.0/30", "8.0.0.0/8"]}),
        json!({"cidr": "10.0.0.0/8"}),
        json!({"cidr": "10.0.0.0/29", "except": ["10.0.0.2/31", "10.0.0.4/32"]}),
        json!({"cidr": "10.0.0.3/32"}),
        json!({"cidr": "::/0"}),
        json!({"cidr": "fd00::/126"}),
    ])
}

fn peer() -> impl Strategy<Value = Value> {
    prop_oneof![
        selector().prop_map(|s| json!({"podSelector": s})),
        selector().prop_map(|s| json!({"namespaceSelector": s, "podSelector": null})),
        (selector(), selector())
            .prop_map(|(n, p)| json!({"namespaceSelector": n, "podSelector": p})),
        block().prop_map(|b| json!({"ipBlock": b})),
    ]
}

fn port() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"port": 80}),
        json!({"protocol": "UDP", "port": 53}),
        json!({"protocol": "UDP"}),
        json!({}),
        json!({"protocol": "SCTP", "port": 79, "endPort": 81}),
        json!({"port": 1, "endPort": 80}),
        json!({"port": 80, "endPort": 65535}),
        json!({"port": "web"}),
        json!({"protocol": "UDP", "port": "dns"}),
    ])
}

fn rules(peers: &'static str) -> impl Strategy<Value = Value> {
    let list = |inner| option::weighted(0.8, inner);
    let rule = (
        list(prop::collection::vec(peer(), 0..3)),
        option::weighted(0.6, prop::collection::vec(port(), 0..3)),
    )
        .prop_map(move |(of, ports)| json!({peers: of, "ports": ports}));
    option::of(prop::collection::vec(rule, 0..3)).prop_map(|rules| json!(rules))
}

fn network_policy() -> impl Strategy<Value = Value> {
    let types = select(vec![
        json!(null),
        json!([]),
        json!(["Ingress"]),
        json!(["Egress"]),
        json!(["Ingress", "Egress"]),
    ]);
    (
        select(NAMESPACES.to_vec()),
        select(vec!["a", "b"]),
        selector(),
        types,
        rules("from"),
        rules("to"),
    )
        .prop_map(|(namespace, name, selector, types, ingress, egress)| {
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"namespace": namespace, "name": name},
                "spec": {"podSelector": selector, "policyTypes": types,
                         "ingress": ingress, "egress": egress},
            })
        })
}

fn chosen() -> impl Strategy<Value = Value> {
    prop_oneof![
        selector().prop_map(|s| json!({"namespaces": s})),
        (selector(), selector())
            .prop_map(|(n, p)| json!({"pods": {"namespaceSelector": n, "podSelector": p}})),
    ]
}

fn protocols(with_names: bool) -> impl Strategy<Value = Value> {
    let mut known = vec![
        json!({"tcp": {"destinationPort": {"number": 80}}}),
        json!({"udp": {"destinationPort": {"range": {"start": 50, "end": 60}}}}),
        json!({"sctp": {"destinationPort": {"range": {"start": 1, "end": 80}}}}),
    ];
    if with_names {
        known.push(json!({"destinationNamedPort": "web"}));
    }
    option::of(prop::collection::vec(select(known), 1..3)).prop_map(|list| json!(list))
}

fn cluster_rules(direction: &'static str) -> BoxedStrategy<Value> {
    let action = || select(vec!["Accept", "Deny", "Pass"]);
    let rule = move |peer: BoxedStrategy<Value>, names| {
        let peers = if direction == "ingress" { "from" } else { "to" };
        (action(), prop::collection::vec(peer, 1..3), protocols(names)).prop_map(
            move |(action, of, protocols)| {
                json!({"action": action, peers: of, "protocols": protocols})
            },
        )
    };
    let networks = select(vec![
        json!({"networks": ["10.0.0.0/30", "fd00::/16"]}),
        json!({"networks": ["0.0.0.0/0"]}),
        json!({"networks": ["8.8.0.0/16", "10.0.0.200/32"]}),
    ]);
    let nodes = selector().prop_map(|s| json!({"nodes": s}));
    let outside = prop_oneof![chosen(), networks, nodes].boxed();
    let one = if direction == "ingress" {
        rule(chosen().boxed(), true).boxed()
    } else {
        prop_oneof![rule(chosen().boxed(), true), rule(outside, false)].boxed()
    };
    option::of(prop::collection::vec(one, 0..4))
        .prop_map(|list| json!(list))
        .boxed()
}

fn cluster_network_policy() -> impl Strategy<Value = Value> {
    (
        select(vec!["k", "l", "m"]),
        select(vec!["Admin", "Baseline"]),
        0..3,
        chosen(),
        cluster_rules("ingress"),
        cluster_rules("egress"),
    )
        .prop_map(|(name, tier, priority, subject, ingress, egress)| {
            json!({
                "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
                "metadata": {"name": name},
                "spec": {"tier": tier, "priority": priority, "subject": subject,
                         "ingress": ingress, "egress": egress},
            })
        })
}

pub(super) fn cluster() -> impl Strategy<Value = Cluster> {
    (
        prop::collection::vec(namespace(), 0..4),
        prop::collection::vec(pod(), 1..6),
        prop::collection::vec(node(), 0..3),
        prop::collection::vec(network_policy(), 0..5),
        prop::collection::vec(cluster_network_policy(), 0..4),
    )
        .prop_map(|(namespaces, pods, nodes, policies, cluster_policies)| {
            let mut cluster = Cluster::default();
            for object in [namespaces, pods, nodes, policies, cluster_policies].concat() {
                cluster.put(object);
            }
            cluster
        })
}

/// Policies that nearly all are about everybody, one on the other: most ClusterNetworkPolicies pass on what they match, and
/// NetworkPolicies let in by the same ports.
pub(super) fn crowded() -> impl Strategy<Value = Cluster> {
    let everyone = || prop_oneof![3 => Just(json!({"namespaces": {}})), 1 => chosen()];
    let action = || prop_oneof![3 => Just("Pass"), 1 => Just("Deny"), 1 => Just("Accept")];
    let rules = move |peers: &'static str| {
        let with_names = peers == "from";
        let rule = (action(), chosen(), protocols(with_names)).prop_map(
            move |(action, peer, protocols)| {
                json!({"name": "r", "action": action, peers: [peer], "protocols": protocols})
            },
        );
        prop::collection::vec(rule, 0..5)
    };
    let stacked = (
        select(vec!["Admin", "Baseline"]),
        everyone(),
        rules("from"),
        rules("to"),
    );
    let stack = prop::collection::vec(stacked, 0..6).prop_map(|list| {
        let object = |(at, (tier, subject, ingress, egress)): (usize, (_, _, _, _))| {
            json!({
                "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
                "metadata": {"name": format!("stack-{at}")},
                "spec": {"tier": tier, "priority": at, "subject": subject, "ingress": ingress, "egress": egress},
            })
        };
        list.into_iter().enumerate().map(object).collect::<Vec<Value>>()
    });
    let peers = || prop_oneof![1 => Just(json!([])), 4 => prop::collection::vec(peer(), 1..3).prop_map(|list| json!(list))];
    let ports = || prop::collection::vec(port(), 0..3);
    let added = (
        select(NAMESPACES.to_vec()),
        peers(),
        ports(),
        peers(),
        ports(),
    );
    let many = prop::collection::vec(added, 0..8).prop_map(|list| {
        let object = |(at, (namespace, from, ports, to, to_ports)): (usize, (_, _, _, _, _))| {
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"namespace": namespace, "name": format!("many-{at}")},
                "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
                         "ingress": [{"from": from, "ports": ports}], "egress": [{"to": to, "ports": to_ports}]},
            })
        };
        list.into_iter().enumerate().map(object).collect::<Vec<Value>>()
    });
    let pods = prop::collection::vec(pod(), 2..6);
    (prop::collection::vec(namespace(), 0..4), pods, stack, many).prop_map(
        |(namespaces, pods, stack, many)| {
            let mut cluster = Cluster::default();
            for object in [namespaces, pods, stack, many].concat() {
                cluster.put(object);
            }
            cluster
        },
    )
}

/// Namespaces with the same policies each, and as many pods as there can be, whose ports have numbers of their own.
pub(super) fn alike() -> impl Strategy<Value = Cluster> {
    let policies = prop::collection::vec(network_policy(), 1..5);
    let pods = prop::collection::vec(pod(), 6..12);
    let cluster_policies = prop::collection::vec(cluster_network_policy(), 0..3);
    let namespaces = prop::collection::vec(namespace(), 0..4);
    (namespaces, pods, policies, cluster_policies).prop_map(
        |(namespaces, pods, policies, cluster_policies)| {
            let mut cluster = Cluster::default();
            for object in [namespaces, pods, cluster_policies].concat() {
                cluster.put(object);
            }
            for (at, mut policy) in policies.into_iter().enumerate() {
                policy["metadata"]["name"] = json!(format!("alike-{at}"));
                for namespace in NAMESPACES {
                    policy["metadata"]["namespace"] = json!(namespace);
                    cluster.put(policy.clone());
                }
            }
            cluster
        },
    )
}

pub(super) fn change() -> impl Strategy<Value = Edit> {
    prop_oneof![
        2 => pod().prop_map(Edit::Put),
        2 => namespace().prop_map(Edit::Put),
        1 => node().prop_map(Edit::Put),
        3 => network_policy().prop_map(Edit::Put),
        2 => cluster_network_policy().prop_map(Edit::Put),
        3 => (0_usize..12).prop_map(Edit::Remove),
    ]
}
