//! ClusterNetworkPolicy, case by case, in the model of [`cases`](super::cases).

use serde_json::{Value, json};

use super::cases::{hold, model, put};
use crate::network_policy::*;

fn cluster(name: &str, tier: &str, priority: u16, rules: &Value) -> Value {
    let mut spec = json!({"tier": tier, "priority": priority, "subject": {"namespaces": {"matchLabels": {"ns": "x"}}}});
    for (field, value) in rules.as_object().unwrap() {
        spec[field] = value.clone();
    }
    json!({
        "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
        "metadata": {"name": name}, "spec": spec,
    })
}

fn ingress(name: &str, tier: &str, priority: u16, action: &str) -> Value {
    cluster(
        name,
        tier,
        priority,
        &json!({"ingress": [{"action": action, "from": [{"namespaces": {}}]}]}),
    )
}

fn namespaced(rules: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": "x", "name": "p"},
        "spec": {"podSelector": {"matchLabels": {"pod": "a"}}, "policyTypes": ["Ingress"], "ingress": rules},
    })
}

fn check(policies: &[Value], claims: &[&str]) {
    let mut world = model();
    for policy in policies {
        put(&mut world, policy);
    }
    hold(&world, claims);
}

#[test]
fn tiers_are_asked_one_after_the_other() {
    let (nobody, everybody) = (namespaced(&json!([])), namespaced(&json!([{}])));
    // Of the pods, the NetworkPolicy is about x/a only.
    for (policies, to_a, to_b) in [
        (
            vec![ingress("k", "Admin", 1, "Deny"), everybody.clone()],
            "no k at spec.ingress[0].from[0] (Deny in the Admin tier)",
            "no",
        ),
        (
            vec![ingress("k", "Admin", 1, "Accept"), nobody.clone()],
            "yes (Accept in the Admin tier)",
            "yes",
        ),
        (
            vec![ingress("k", "Admin", 1, "Pass"), nobody.clone()],
            "no isolated by x/p",
            "yes",
        ),
        (
            vec![
                ingress("k", "Admin", 1, "Pass"),
                ingress("l", "Admin", 2, "Deny"),
                everybody.clone(),
            ],
            "yes x/p",
            "yes",
        ),
        (
            vec![
                ingress("k", "Admin", 1, "Deny"),
                ingress("l", "Admin", 2, "Accept"),
            ],
            "no",
            "no",
        ),
        (
            vec![
                ingress("k", "Admin", 2, "Deny"),
                ingress("l", "Admin", 1, "Accept"),
            ],
            "yes",
            "yes",
        ),
        (
            vec![
                ingress("k", "Admin", 1, "Deny"),
                ingress("l", "Admin", 1, "Accept"),
            ],
            "no",
            "no",
        ),
        // The baseline is for whom no NetworkPolicy selects.
        (
            vec![ingress("k", "Baseline", 0, "Deny"), everybody.clone()],
            "yes",
            "no (Deny in the Baseline tier)",
        ),
        (
            vec![ingress("k", "Baseline", 0, "Accept"), nobody.clone()],
            "no",
            "yes (Accept in the Baseline tier)",
        ),
        (
            vec![
                ingress("k", "Baseline", 0, "Pass"),
                ingress("l", "Baseline", 1, "Deny"),
            ],
            "yes",
            "yes",
        ),
        (
            vec![
                ingress("k", "Admin", 0, "Pass"),
                ingress("l", "Baseline", 0, "Deny"),
            ],
            "no",
            "no",
        ),
    ] {
        check(
            &policies,
            &[
                &format!("y/a > x/a TCP 80 {to_a}"),
                &format!("y/a > x/b TCP 80 {to_b}"),
                "y/a > z/a TCP 80 yes",
            ],
        );
    }
}

#[test]
fn rules_are_asked_in_their_order() {
    let rules = json!({"ingress": [
        {"name": "clients", "action": "Accept", "from": [{"pods": {"namespaceSelector": {"matchLabels": {"ns": "y"}}, "podSelector": {"matchLabels": {"pod": "a"}}}}]},
        {"action": "Deny", "from": [{"namespaces": {"matchLabels": {"ns": "y"}}}], "protocols": [{"tcp": {"destinationPort": {"range": {"start": 80, "end": 90}}}}, {"destinationNamedPort": "serve-81-udp"}]},
    ]});
    check(
        &[cluster("k", "Admin", 1, &rules)],
        &[
            "y/a > x/a TCP 80 yes k at spec.ingress[0].from[0]",
            "y/b > x/a TCP 80 no k at spec.ingress[1].from[0]",
            "y/b > x/a TCP 79 yes no policy speaks of it",
            "y/b > x/a UDP 81 no",
            "y/b > x/a UDP 80 yes",
            "z/b > x/a TCP 80 yes",
            // It is about pods, not about addresses, and rules of ingress know pods only.
            "8.8.8.8 > x/a TCP 80 yes",
        ],
    );
}

#[test]
fn egress_knows_networks_nodes_and_names() {
    let mut world = model();
    put(
        &mut world,
        &json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {"role": "edge"}},
            "status": {"addresses": [{"type": "InternalIP", "address": "172.16.0.1"}, {"type": "Hostname", "address": "n"}]},
        }),
    );
    put(
        &mut world,
        &cluster(
            "k",
            "Admin",
            1,
            &json!({"egress": [
                {"action": "Accept", "to": [{"domainNames": ["*.kubernetes.io", "example.com."]}]},
                {"action": "Accept", "to": [{"nodes": {"matchLabels": {"role": "edge"}}}]},
                {"action": "Pass", "to": [{"namespaces": {}}]},
                {"action": "Deny", "to": [{"networks": ["0.0.0.0/0", "::/0"]}]},
            ]}),
        ),
    );
    hold(
        &world,
        &[
            "x/a > 172.16.0.1 TCP 10250 yes spec.egress[1].to[0]",
            "x/a > 172.16.0.2 TCP 10250 no spec.egress[3].to[0]",
            "x/a > y/a TCP 80 yes no policy speaks of it",
            "x/a > 8.8.8.8 TCP 443 no",
            "x/a > 2606:4700::1 TCP 443 no",
            "y/a > 8.8.8.8 TCP 443 yes",
        ],
    );
    let from = Endpoint::Pod(world.find("x", "a")[0]);
    for (name, expected) in [
        ("www.kubernetes.io", "all ports"),
        ("example.com", "all ports"),
        ("kubernetes.io", "no port"),
    ] {
        let to = Endpoint::Domain(name.to_string());
        assert_eq!(world.ports(&from, &to).to_string(), expected, "{name}");
        let found = world.connectivity(&from, &to, Protocol::Tcp, 443);
        assert_eq!(
            found.is_allowed(),
            expected == "all ports",
            "{name}: {}",
            found.egress
        );
    }
}

#[test]
fn an_object_without_rules_says_nothing() {
    for rules in [json!({}), json!({"ingress": [], "egress": null})] {
        check(
            &[cluster("k", "Admin", 0, &rules)],
            &["y/a > x/a TCP 80 yes", "x/a > y/a TCP 80 yes"],
        );
    }
}
