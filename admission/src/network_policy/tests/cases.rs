//! One NetworkPolicy, case by case, from the specification: targets, rules, peers, ports.
//!
//! Three namespaces x, y and z (labelled `ns`), in each the pods a, b and c (labelled `pod`),
//! which serve 80 and 81 over each protocol under names such as `serve-80-tcp`. A case is a few
//! policies and what then holds: `x/a > y/b TCP 80 yes`, or `no` and a part of the reason.

use serde_json::{Value, json};

use crate::network_policy::*;

pub(super) fn model() -> World {
    let mut world = World::new();
    for (i, ns) in ["x", "y", "z"].into_iter().enumerate() {
        put(&mut world, &namespace(ns, &json!({"ns": ns})));
        for (j, pod) in ["a", "b", "c"].into_iter().enumerate() {
            put(
                &mut world,
                &pod_of(
                    ns,
                    pod,
                    &json!({"pod": pod}),
                    &format!("192.168.{i}.{}", 10 + j),
                ),
            );
        }
    }
    world
}

pub(super) fn namespace(name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

pub(super) fn pod_of(namespace: &str, name: &str, labels: &Value, address: &str) -> Value {
    let mut ports = Vec::new();
    for number in [80, 81] {
        for protocol in Protocol::ALL {
            let name = format!("serve-{number}-{}", protocol.as_str().to_lowercase());
            ports.push(
                json!({"name": name, "containerPort": number, "protocol": protocol.as_str()}),
            );
        }
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"containers": [{"name": "c", "ports": ports}]},
        "status": {"podIP": address},
    })
}

pub(super) fn put(world: &mut World, value: &Value) {
    let object = object(value, "default").unwrap().unwrap();
    world.apply(Change::Is(object));
}

pub(super) fn policy(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": namespace, "name": name}, "spec": spec,
    })
}

/// A policy of x for all of its pods, with one rule of ingress.
pub(super) fn ingress(rule: &Value) -> Value {
    policy(
        "x",
        "p",
        &json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule]}),
    )
}

/// A policy of x for all of its pods, with one rule of egress.
pub(super) fn egress(rule: &Value) -> Value {
    policy(
        "x",
        "p",
        &json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}),
    )
}

pub(super) fn end(world: &World, text: &str) -> Endpoint {
    match text.split_once('/') {
        Some((namespace, name)) => Endpoint::Pod(world.find(namespace, name)[0]),
        None => Endpoint::Addresses(AddressSet::of(text.parse().unwrap())),
    }
}

pub(super) fn hold(world: &World, claims: &[&str]) {
    for claim in claims {
        let mut words = claim.splitn(7, ' ');
        let mut word = || words.next().unwrap();
        let (from, _, to) = (end(world, word()), word(), end(world, word()));
        let (protocol, port) = (word().parse().unwrap(), word().parse().unwrap());
        let (verdict, reason) = (word(), words.next().unwrap_or(""));
        let found = world.connectivity(&from, &to, protocol, port);
        let told = format!("{}; {}", found.egress, found.ingress);
        assert_eq!(found.is_allowed(), verdict == "yes", "{claim}: {told}");
        assert!(told.contains(reason), "{claim}: {told}");
        assert_eq!(
            world.ports(&from, &to).contains(protocol, port),
            verdict == "yes",
            "{claim}"
        );
    }
}

pub(super) fn check(policies: &[Value], claims: &[&str]) {
    let mut world = model();
    for policy in policies {
        put(&mut world, policy);
    }
    hold(&world, claims);
}

#[test]
fn without_policies_everybody_reaches_everybody() {
    check(
        &[],
        &[
            "x/a > y/b TCP 80 yes no policy speaks of it",
            "x/a > 8.8.8.8 UDP 53 yes no policy speaks of it for the source",
            "8.8.8.8 > x/a SCTP 1 yes the source is no pod",
            "x/a > x/a TCP 80 yes a pod always reaches itself",
        ],
    );
}

#[test]
fn a_target_is_chosen_by_labels_in_its_own_namespace() {
    let deny = |selector: Value| vec![policy("x", "p", &json!({"podSelector": selector}))];
    let isolated = "isolated by x/p, and none of their rules";
    for selector in [
        json!({"matchLabels": {"pod": "a"}}),
        json!({"matchExpressions": [{"key": "pod", "operator": "In", "values": ["a", "q"]}]}),
        json!({"matchExpressions": [{"key": "pod", "operator": "NotIn", "values": ["b", "c"]}]}),
        json!({"matchLabels": {"pod": "a"},
               "matchExpressions": [{"key": "pod", "operator": "Exists"}]}),
    ] {
        check(
            &deny(selector),
            &[
                &format!("y/a > x/a TCP 80 no {isolated}"),
                "y/a > x/b TCP 80 yes",
                "x/b > y/a TCP 80 yes",
                // Ingress only: what it may send is as it was.
                "x/a > y/a TCP 80 yes",
            ],
        );
    }
    for everyone in [
        json!({}),
        json!(null),
        json!({"matchLabels": {}, "matchExpressions": null}),
    ] {
        check(
            &deny(everyone),
            &[
                "y/a > x/a TCP 80 no",
                "x/b > x/c UDP 81 no",
                "x/a > y/a TCP 80 yes",
            ],
        );
    }
    let nobody = json!({"matchExpressions": [{"key": "pod", "operator": "DoesNotExist"}]});
    check(&deny(nobody), &["y/a > x/a TCP 80 yes"]);
    check(
        &deny(json!({"matchLabels": {"pod": "a", "x": "1"}})),
        &["y/a > x/a TCP 80 yes"],
    );
}

#[test]
fn directions_are_those_of_policy_types() {
    let is = |spec: Value| vec![policy("x", "p", &spec)];
    let (both, only_in) = (
        ["y/a > x/a TCP 80 no", "x/a > y/a TCP 80 no"],
        ["y/a > x/a TCP 80 no", "x/a > y/a TCP 80 yes"],
    );
    let only_out = ["y/a > x/a TCP 80 yes", "x/a > y/a TCP 80 no"];
    for (spec, claims) in [
        (json!({}), only_in),
        (json!({"policyTypes": []}), only_in),
        (json!({"egress": []}), only_in),
        (json!({"policyTypes": ["Ingress"]}), only_in),
        (json!({"policyTypes": ["Egress"]}), only_out),
        // Rules of a direction that is not among the types do nothing.
        (
            json!({"policyTypes": ["Egress"], "ingress": [{}]}),
            only_out,
        ),
        (json!({"policyTypes": ["Egress"], "ingress": []}), only_out),
        (json!({"policyTypes": ["Ingress"], "egress": [{}]}), only_in),
        (json!({"policyTypes": ["Ingress", "Egress"]}), both),
        (json!({"egress": [{"to": [{"podSelector": {}}]}]}), both),
    ] {
        check(&is(spec), &claims);
    }
}

#[test]
fn no_rules_deny_and_an_empty_rule_allows() {
    for rules in [json!(null), json!([])] {
        let spec = json!({"policyTypes": ["Ingress", "Egress"], "ingress": rules, "egress": rules});
        check(
            &[policy("x", "p", &spec)],
            &[
                "y/a > x/a TCP 80 no",
                "x/a > y/a TCP 80 no",
                "x/a > x/b TCP 80 no",
                "x/a > 8.8.8.8 TCP 443 no",
                "8.8.8.8 > x/a TCP 80 no",
                "x/a > x/a TCP 80 yes",
            ],
        );
    }
    for rule in [
        json!({}),
        json!(null),
        json!({"from": [], "ports": []}),
        json!({"from": null, "ports": null}),
    ] {
        check(
            &[ingress(&rule)],
            &[
                "y/a > x/a SCTP 9 yes NetworkPolicy x/p at spec.ingress[0]",
                "8.8.8.8 > x/a TCP 80 yes",
            ],
        );
    }
    // Rules are added up.
    let rules = json!({"ingress": [
        {"from": [{"podSelector": {"matchLabels": {"pod": "b"}}}]},
        {"ports": [{"port": 81}]},
    ]});
    check(
        &[policy("x", "p", &rules)],
        &[
            "x/b > x/a TCP 80 yes spec.ingress[0].from[0]",
            "y/b > x/a TCP 81 yes spec.ingress[1]",
            "y/b > x/a TCP 80 no",
        ],
    );
}

#[test]
fn peers_are_pods_namespaces_both_or_addresses() {
    let y_b = json!({"namespaceSelector": {"matchLabels": {"ns": "y"}},
                     "podSelector": {"matchLabels": {"pod": "b"}}});
    let expression = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
    // Who is meant, of x/b, y/b, y/c and 8.8.8.8.
    for (peers, [x_b, yb, yc, outside]) in [
        (json!([{"podSelector": {}}]), [true, false, false, false]),
        (
            json!([{"podSelector": {"matchLabels": {"pod": "b"}}}]),
            [true, false, false, false],
        ),
        (
            json!([{"podSelector": {"matchLabels": {"pod": "c"}}}]),
            [false, false, false, false],
        ),
        (
            json!([{"namespaceSelector": {}}]),
            [true, true, true, false],
        ),
        (
            json!([{"namespaceSelector": {}, "podSelector": {}}]),
            [true, true, true, false],
        ),
        (
            json!([{"namespaceSelector": {}, "podSelector": null}]),
            [true, true, true, false],
        ),
        (
            json!([{"namespaceSelector": null, "podSelector": {}}]),
            [true, false, false, false],
        ),
        (
            json!([{"namespaceSelector": {"matchLabels": {"ns": "y"}}}]),
            [false, true, true, false],
        ),
        (
            json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "y"}}}]),
            [false, true, true, false],
        ),
        (json!([y_b]), [false, true, false, false]),
        // Two peers are one or the other, not both.
        (
            json!([{"namespaceSelector": {"matchLabels": {"ns": "y"}}}, {"podSelector": {"matchLabels": {"pod": "b"}}}]),
            [true, true, true, false],
        ),
        (
            json!([{"namespaceSelector": expression("ns", "NotIn", json!(["x"]))}]),
            [false, true, true, false],
        ),
        (
            json!([{"namespaceSelector": expression("ns", "In", json!(["x", "z"])), "podSelector": expression("pod", "Exists", json!(null))}]),
            [true, false, false, false],
        ),
        (
            json!([{"namespaceSelector": {}, "podSelector": expression("pod", "NotIn", json!(["c"]))}]),
            [true, true, false, false],
        ),
        (
            json!([{"namespaceSelector": expression("ns", "DoesNotExist", json!([]))}]),
            [false, false, false, false],
        ),
        (
            json!([{"ipBlock": {"cidr": "0.0.0.0/0"}}]),
            [true, true, true, true],
        ),
        (
            json!([{"ipBlock": {"cidr": "8.0.0.0/8"}}]),
            [false, false, false, true],
        ),
        (
            json!([{"ipBlock": {"cidr": "192.168.1.0/24"}}]),
            [false, true, true, false],
        ),
        (
            json!([{"ipBlock": {"cidr": "192.168.1.0/24", "except": ["192.168.1.12/32"]}}]),
            [false, true, false, false],
        ),
        (
            json!([{"ipBlock": {"cidr": "192.168.0.0/16", "except": ["192.168.1.0/24"]}}]),
            [true, false, false, false],
        ),
        // What one block cuts out another may hold.
        (
            json!([{"ipBlock": {"cidr": "192.168.0.0/16", "except": ["192.168.1.0/24"]}}, {"ipBlock": {"cidr": "192.168.1.11/32"}}]),
            [true, true, false, false],
        ),
        (
            json!([{"ipBlock": {"cidr": "::/0"}}]),
            [false, false, false, false],
        ),
        (json!([]), [true, true, true, true]),
    ] {
        let yes = |allowed: bool| if allowed { "yes" } else { "no" };
        let rule = |field: &str| json!({field: peers});
        check(
            &[ingress(&rule("from"))],
            &[
                &format!("x/b > x/a TCP 80 {}", yes(x_b)),
                &format!("y/b > x/a TCP 80 {}", yes(yb)),
                &format!("y/c > x/a TCP 80 {}", yes(yc)),
                &format!("8.8.8.8 > x/a TCP 80 {}", yes(outside)),
            ],
        );
        check(
            &[egress(&rule("to"))],
            &[
                &format!("x/a > x/b TCP 80 {}", yes(x_b)),
                &format!("x/a > y/b TCP 80 {}", yes(yb)),
                &format!("x/a > y/c TCP 80 {}", yes(yc)),
                &format!("x/a > 8.8.8.8 TCP 80 {}", yes(outside)),
            ],
        );
    }
}

#[test]
fn ports_are_numbers_names_ranges_or_a_protocol() {
    // What is open of TCP 80, TCP 81, UDP 80 and SCTP 81.
    for (ports, open) in [
        (json!([]), [true, true, true, true]),
        (json!([{}]), [true, true, false, false]),
        (json!([{"protocol": "UDP"}]), [false, false, true, false]),
        (json!([{"port": 80}]), [true, false, false, false]),
        (
            json!([{"port": 80, "protocol": null}]),
            [true, false, false, false],
        ),
        (
            json!([{"port": 80, "protocol": "UDP"}]),
            [false, false, true, false],
        ),
        (
            json!([{"port": 81, "protocol": "SCTP"}]),
            [false, false, false, true],
        ),
        (
            json!([{"port": 79, "endPort": 80}]),
            [true, false, false, false],
        ),
        (
            json!([{"port": 80, "endPort": 81}]),
            [true, true, false, false],
        ),
        (
            json!([{"port": 81, "endPort": 81}]),
            [false, true, false, false],
        ),
        (
            json!([{"port": 1, "endPort": 65535}]),
            [true, true, false, false],
        ),
        (
            json!([{"port": "serve-80-tcp"}]),
            [true, false, false, false],
        ),
        (
            json!([{"port": "serve-80-udp", "protocol": "UDP"}]),
            [false, false, true, false],
        ),
        // A name that the protocol does not have means nothing.
        (
            json!([{"port": "serve-80-udp"}]),
            [false, false, false, false],
        ),
        (json!([{"port": "nobody"}]), [false, false, false, false]),
        (
            json!([{"port": 80}, {"port": "serve-81-sctp", "protocol": "SCTP"}]),
            [true, false, false, true],
        ),
    ] {
        let yes = |open: bool| if open { "yes" } else { "no" };
        for (policy, ends) in [
            (ingress(&json!({"ports": ports})), "y/b > x/a"),
            (egress(&json!({"ports": ports})), "x/a > y/b"),
            (
                ingress(
                    &json!({"ports": ports, "from": [{"ipBlock": {"cidr": "192.168.1.0/24"}}]}),
                ),
                "y/b > x/a",
            ),
            (
                egress(&json!({"ports": ports, "to": [{"ipBlock": {"cidr": "192.168.1.0/24"}}]})),
                "x/a > y/b",
            ),
        ] {
            let asked = ["TCP 80", "TCP 81", "UDP 80", "SCTP 81"];
            for (port, open) in asked.into_iter().zip(open) {
                check(
                    std::slice::from_ref(&policy),
                    &[&format!("{ends} {port} {}", yes(open))],
                );
            }
        }
    }
    // Outside nothing has a name.
    check(
        &[egress(&json!({"ports": [{"port": "serve-80-tcp"}]}))],
        &["x/a > 8.8.8.8 TCP 80 no"],
    );
    check(
        &[egress(&json!({"ports": [{"port": 80}]}))],
        &["x/a > 8.8.8.8 TCP 80 yes"],
    );
}
