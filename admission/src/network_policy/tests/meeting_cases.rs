//! Policies that meet each other, pods that differ, and changes, case by case, in the model of
//! [`cases`](super::cases).

use serde_json::json;

use super::cases::{check, egress, end, hold, ingress, model, namespace, pod_of, policy, put};
use crate::network_policy::*;

#[test]
fn a_name_is_each_destinations_own() {
    let mut world = model();
    let mut other = pod_of("y", "b", &json!({"pod": "b"}), "192.168.1.11");
    other["spec"]["containers"] = json!([
        {"name": "c", "ports": [{"name": "serve-80-tcp", "containerPort": 8080}]},
        {"name": "d", "ports": [{"name": "serve-80-tcp", "containerPort": 8081}]},
    ]);
    other["spec"]["initContainers"] = json!([
        {"name": "i", "ports": [{"name": "serve-80-tcp", "containerPort": 1}]},
        {"name": "s", "restartPolicy": "Always", "ports": [{"name": "serve-80-tcp", "containerPort": 8082}]},
    ]);
    put(&mut world, &other);
    put(
        &mut world,
        &egress(&json!({"ports": [{"port": "serve-80-tcp"}]})),
    );
    hold(
        &world,
        &[
            "x/a > y/a TCP 80 yes",
            "x/a > y/b TCP 80 no",
            "x/a > y/b TCP 8080 yes",
            "x/a > y/b TCP 8081 yes",
            "x/a > y/b TCP 8082 yes",
            "x/a > y/b TCP 1 no",
        ],
    );
}

/// The policies are the same ones before and after, and so are the pods they select.
#[test]
fn a_name_that_gets_another_number_is_a_difference() {
    for rule in [ingress, egress] {
        let mut world = model();
        put(
            &mut world,
            &rule(&json!({"ports": [{"port": "serve-80-tcp"}]})),
        );
        let mut other = pod_of("x", "a", &json!({"pod": "a"}), "192.168.0.10");
        other["spec"]["containers"][0]["ports"][0]["containerPort"] = json!(8080);
        let other = object(&other, "default").unwrap().unwrap();
        let difference = world.difference(Change::Is(other));
        for (flows, ports) in [
            (difference.opened, "TCP 8080"),
            (difference.closed, "TCP 80"),
        ] {
            assert!(!flows.is_empty());
            assert!(flows.iter().all(|flow| flow.ports.to_string() == ports));
        }
    }
}

#[test]
fn policies_that_meet_are_added_up_and_both_ends_count() {
    let deny_all = |ns: &str| {
        policy(
            ns,
            "deny",
            &json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
        )
    };
    let to_y = egress(&json!({"to": [{"namespaceSelector": {"matchLabels": {"ns": "y"}}}]}));
    let from_x = policy(
        "y",
        "q",
        &json!({"ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"ns": "x"}}}]}]}),
    );
    check(
        &[deny_all("x"), to_y.clone()],
        &[
            "x/a > y/a TCP 80 yes egress allowed by NetworkPolicy x/p at spec.egress[0].to[0]",
            "x/a > z/a TCP 80 no isolated by x/deny, x/p",
            "y/a > x/a TCP 80 no isolated by x/deny, and",
        ],
    );
    // One end that allows it is not enough.
    check(
        &[deny_all("y"), to_y.clone()],
        &["x/a > y/a TCP 80 no ingress denied"],
    );
    check(
        &[deny_all("x"), from_x.clone()],
        &["x/a > y/a TCP 80 no egress denied"],
    );
    check(
        &[deny_all("x"), deny_all("y"), to_y, from_x],
        &[
            "x/a > y/a TCP 80 yes",
            "z/a > y/a TCP 80 no",
            "y/a > x/a TCP 80 no",
        ],
    );
    let narrow = policy(
        "x",
        "narrow",
        &json!({"ingress": [{"from": [{"podSelector": {"matchLabels": {"pod": "b"}}}]}]}),
    );
    let wide = policy("x", "wide", &json!({"ingress": [{}]}));
    check(
        &[narrow, wide, deny_all("x")],
        &["z/c > x/a UDP 1 yes x/wide"],
    );
    // Each of two policies opens its own port to its own peers: no mixing.
    let one = policy(
        "x",
        "one",
        &json!({"ingress": [{"ports": [{"port": 80}], "from": [{"podSelector": {}}]}]}),
    );
    let two = policy(
        "x",
        "two",
        &json!({"ingress": [{"ports": [{"port": 81}], "from": [{"namespaceSelector": {"matchLabels": {"ns": "y"}}}]}]}),
    );
    check(
        &[one, two],
        &[
            "x/b > x/a TCP 80 yes",
            "x/b > x/a TCP 81 no",
            "y/b > x/a TCP 81 yes",
            "y/b > x/a TCP 80 no",
        ],
    );
}

#[test]
fn changes_of_policies_and_labels_take_effect() {
    let mut world = model();
    put(
        &mut world,
        &ingress(
            &json!({"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}, "podSelector": {"matchLabels": {"role": "client"}}}]}),
        ),
    );
    hold(&world, &["y/a > x/a TCP 80 no"]);
    put(
        &mut world,
        &namespace("y", &json!({"ns": "y", "team": "blue"})),
    );
    hold(&world, &["y/a > x/a TCP 80 no"]);
    put(
        &mut world,
        &pod_of("y", "a", &json!({"role": "client"}), "192.168.1.10"),
    );
    hold(&world, &["y/a > x/a TCP 80 yes", "y/b > x/a TCP 80 no"]);
    put(&mut world, &namespace("y", &json!({"ns": "y"})));
    hold(&world, &["y/a > x/a TCP 80 no"]);
    put(
        &mut world,
        &ingress(&json!({"from": [{"podSelector": {}}]})),
    );
    hold(&world, &["y/a > x/a TCP 80 no", "x/b > x/a TCP 80 yes"]);
    put(&mut world, &pod_of("x", "d", &json!({}), "192.168.0.13"));
    hold(&world, &["x/d > x/a TCP 80 yes", "y/a > x/d TCP 80 no"]);
    world.apply(Change::PolicyGone(PolicyName::NetworkPolicy {
        namespace: "x".into(),
        name: "p".into(),
    }));
    hold(&world, &["y/a > x/a TCP 80 yes", "y/a > x/d TCP 80 yes"]);
}

#[test]
fn the_hosts_network_is_not_selected_and_its_address_is() {
    let mut world = model();
    let mut host = pod_of("x", "h", &json!({"pod": "b"}), "10.0.0.1");
    host["spec"]["hostNetwork"] = json!(true);
    put(&mut world, &host);
    let mut near = pod_of("x", "near", &json!({"pod": "near"}), "192.168.0.20");
    near["status"]["hostIP"] = json!("10.0.0.1");
    put(&mut world, &near);
    put(
        &mut world,
        &ingress(&json!({"from": [{"podSelector": {}}]})),
    );
    hold(
        &world,
        &[
            "x/b > x/a TCP 80 yes",
            "x/h > x/a TCP 80 no",
            "y/a > x/h TCP 80 yes in its host's network",
            "x/h > x/near TCP 80 yes the node it runs on",
            "10.0.0.1 > x/near TCP 80 yes the node it runs on",
            "10.0.0.2 > x/near TCP 80 no",
        ],
    );
    put(
        &mut world,
        &ingress(&json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]})),
    );
    hold(
        &world,
        &[
            "x/b > x/a TCP 80 no",
            "x/h > x/a TCP 80 yes",
            "10.0.0.2 > x/a TCP 80 yes",
        ],
    );
}

#[test]
fn the_internet_is_asked_for_any_address_of_it() {
    let mut world = model();
    put(
        &mut world,
        &ingress(
            &json!({"from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["8.8.8.0/24"]}}], "ports": [{"port": 80}]}),
        ),
    );
    let (internet, x_a) = (
        Endpoint::Addresses(AddressSet::internet()),
        end(&world, "x/a"),
    );
    let asked = world.connectivity(&internet, &x_a, Protocol::Tcp, 80);
    assert!(
        asked
            .ingress
            .to_string()
            .contains("spec.ingress[0].from[0]"),
        "{}",
        asked.ingress
    );
    assert_eq!(world.ports(&internet, &x_a).to_string(), "TCP 80");
    hold(
        &world,
        &["8.8.8.8 > x/a TCP 80 no", "8.8.4.4 > x/a TCP 80 yes"],
    );
    // Private addresses are not the internet.
    put(
        &mut world,
        &ingress(&json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]})),
    );
    assert!(world.ports(&internet, &x_a).is_empty());
    assert!(
        !world
            .connectivity(&internet, &x_a, Protocol::Tcp, 80)
            .is_allowed()
    );
}

/// A database that only its application reaches, which only the internet reaches, with DNS.
#[test]
fn an_application_of_three_tiers() {
    let dns = json!({"ports": [{"port": 53, "protocol": "UDP"}], "to": [{"namespaceSelector": {"matchLabels": {"ns": "z"}}}]});
    check(
        &[
            policy(
                "x",
                "deny",
                &json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
            ),
            policy(
                "x",
                "dns",
                &json!({"policyTypes": ["Egress"], "egress": [dns]}),
            ),
            policy(
                "x",
                "web",
                &json!({
                    "podSelector": {"matchLabels": {"pod": "a"}},
                    "ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 80}]}],
                    "egress": [{"to": [{"podSelector": {"matchLabels": {"pod": "b"}}}], "ports": [{"port": 81}]}],
                }),
            ),
            policy(
                "x",
                "db",
                &json!({
                    "podSelector": {"matchLabels": {"pod": "b"}},
                    "ingress": [{"from": [{"podSelector": {"matchLabels": {"pod": "a"}}}], "ports": [{"port": 81}]}],
                }),
            ),
        ],
        &[
            "8.8.8.8 > x/a TCP 80 yes x/web",
            "8.8.8.8 > x/a TCP 81 no",
            "8.8.8.8 > x/b TCP 81 no",
            "x/a > x/b TCP 81 yes x/db",
            "x/a > x/b TCP 80 no",
            "x/c > x/b TCP 81 no",
            "x/b > x/a TCP 80 no x/dns",
            "x/b > z/a UDP 53 yes x/dns",
            "x/b > z/a TCP 53 no",
            "x/b > 8.8.8.8 TCP 443 no",
        ],
    );
}
