//! What is refused, and by which field.

use serde_json::{Value, json};

use proptest::prelude::*;

use super::{Object, object};
use crate::network_policy::{Change, World};

fn network_policy(spec: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
           "metadata": {"name": "p", "namespace": "x"}, "spec": spec})
}

fn cluster(spec: &Value) -> Value {
    let mut whole = json!({"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}});
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
           "metadata": {"name": "p"}, "spec": whole})
}

fn refused(value: &Value, expected: &str) {
    match object(value, "default") {
        Ok(object) => panic!("{value} is taken for {object:?}"),
        Err(error) => {
            let error = error.to_string();
            assert!(
                error.starts_with(expected),
                "{error:?} does not begin with {expected:?}"
            );
        }
    }
}

#[test]
fn a_network_policy_is_refused_by_field() {
    let peer = |peer: Value| json!({"ingress": [{}, {"from": [peer]}]});
    let port = |port: Value| json!({"egress": [{"ports": [{}, port]}]});
    let block =
        |cidr: &str, except: Value| peer(json!({"ipBlock": {"cidr": cidr, "except": except}}));
    for (spec, expected) in [
        (json!([]), "spec: must be an object"),
        (
            json!({"podSelectors": {}}),
            "spec: unknown field \"podSelectors\"",
        ),
        (
            json!({"podSelector": {"matchLabels": {"a": 1}}}),
            "spec.podSelector.matchLabels: the value of \"a\"",
        ),
        (
            json!({"podSelector": {"app": "web"}}),
            "spec.podSelector: unknown field \"app\"",
        ),
        (
            json!({"policyTypes": ["ingress"]}),
            "spec.policyTypes[0]: must be Ingress or Egress",
        ),
        (json!({"ingress": {}}), "spec.ingress: must be a list"),
        (
            json!({"ingress": [{"to": []}]}),
            "spec.ingress[0]: unknown field \"to\"",
        ),
        (peer(json!({})), "spec.ingress[1].from[0]: must hold"),
        (peer(json!(null)), "spec.ingress[1].from[0]: must hold"),
        (
            peer(json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}})),
            "spec.ingress[1].from[0]: must not hold both",
        ),
        (
            peer(
                json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "in", "values": ["1"]}]}}),
            ),
            "spec.ingress[1].from[0].podSelector.matchExpressions[0].operator: must be In",
        ),
        (
            peer(json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}})),
            "spec.ingress[1].from[0].podSelector.matchExpressions[0].values: must hold",
        ),
        (
            peer(
                json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["1"]}]}}),
            ),
            "spec.ingress[1].from[0].podSelector.matchExpressions[0].values: must be empty",
        ),
        (
            peer(json!({"podSelector": {"matchExpressions": [{"operator": "Exists"}]}})),
            "spec.ingress[1].from[0].podSelector.matchExpressions[0].key: is required",
        ),
        (
            block("10.0.0.0", json!(null)),
            "spec.ingress[1].from[0].ipBlock.cidr: must be a CIDR",
        ),
        (
            block("10.0.0.0/33", json!(null)),
            "spec.ingress[1].from[0].ipBlock.cidr: must be a CIDR",
        ),
        (
            block("", json!(null)),
            "spec.ingress[1].from[0].ipBlock.cidr: is required",
        ),
        (
            block("10.0.0.0/8", json!(["11.0.0.0/16"])),
            "spec.ingress[1].from[0].ipBlock.except[0]: 11.0.0.0/16 must be a part of cidr",
        ),
        (
            block("10.0.0.0/8", json!(["10.0.0.0/8"])),
            "spec.ingress[1].from[0].ipBlock.except[0]: 10.0.0.0/8 must be",
        ),
        (
            block("0.0.0.0/0", json!(["::/1"])),
            "spec.ingress[1].from[0].ipBlock.except[0]: ::/1 must be",
        ),
        (
            port(json!({"protocol": "tcp"})),
            "spec.egress[0].ports[1].protocol: must be TCP",
        ),
        (
            port(json!({"port": 0})),
            "spec.egress[0].ports[1].port: must be a port from 1 to 65535",
        ),
        (
            port(json!({"port": 65536})),
            "spec.egress[0].ports[1].port: must be a port",
        ),
        (
            port(json!({"port": -1})),
            "spec.egress[0].ports[1].port: must be a port",
        ),
        (
            port(json!({"port": 1.5})),
            "spec.egress[0].ports[1].port: must be a whole number",
        ),
        (
            port(json!({"port": "80"})),
            "spec.egress[0].ports[1].port: must be a port's number, or its name",
        ),
        (
            port(json!({"port": "Web"})),
            "spec.egress[0].ports[1].port: must be a port's number",
        ),
        (
            port(json!({"port": 80, "endPort": 79})),
            "spec.egress[0].ports[1].endPort: must not be less",
        ),
        (
            port(json!({"port": "web", "endPort": 90})),
            "spec.egress[0].ports[1].endPort: must not be set where",
        ),
        (
            port(json!({"endPort": 90})),
            "spec.egress[0].ports[1].endPort: must not be set without",
        ),
    ] {
        refused(&network_policy(&spec), expected);
    }
}

#[test]
fn a_cluster_network_policy_is_refused_by_field() {
    let rule = |rule: Value| json!({"egress": [rule]});
    let to = |peer: Value| rule(json!({"action": "Accept", "to": [peer]}));
    let on = |protocol: Value| {
        rule(json!({"action": "Deny", "to": [{"namespaces": {}}], "protocols": [protocol]}))
    };
    for (spec, expected) in [
        (
            json!({"tier": "NetworkPolicy"}),
            "spec.tier: must be Admin or Baseline",
        ),
        (
            json!({"priority": 1001}),
            "spec.priority: must be from 0 to 1000",
        ),
        (
            json!({"priority": null}),
            "spec.priority: must be from 0 to 1000",
        ),
        (
            json!({"subject": {}}),
            "spec.subject: must hold one of namespaces, pods",
        ),
        (
            json!({"subject": {"namespaces": {}, "pods": {"podSelector": {}}}}),
            "spec.subject: must hold one of namespaces, pods, not several",
        ),
        (
            json!({"subject": {"pods": {}}}),
            "spec.subject.pods.podSelector: is required",
        ),
        (
            json!({"ingress": vec![json!({"action": "Deny", "from": [{"namespaces": {}}]}); 26]}),
            "spec.ingress: must hold 25 items at the most",
        ),
        (
            json!({"ingress": [{"action": "Deny", "from": [{"networks": ["10.0.0.0/8"]}]}]}),
            "spec.ingress[0].from[0]: unknown field \"networks\"",
        ),
        (
            rule(json!({"action": "Allow", "to": [{"namespaces": {}}]})),
            "spec.egress[0].action: must be Accept, Deny or Pass",
        ),
        (
            rule(json!({"action": "Accept"})),
            "spec.egress[0].to: must hold an item",
        ),
        (
            rule(json!({"action": "Deny", "to": [{"domainNames": ["example.com"]}]})),
            "spec.egress[0].to[0].domainNames: must not be set unless",
        ),
        (to(json!({})), "spec.egress[0].to[0]: must hold one of"),
        (
            to(json!({"services": {}})),
            "spec.egress[0].to[0]: unknown field \"services\"",
        ),
        (
            to(json!({"networks": ["10.0.0.0/8", "x"]})),
            "spec.egress[0].to[0].networks[1]: must be a CIDR",
        ),
        (
            to(json!({"domainNames": ["*"]})),
            "spec.egress[0].to[0].domainNames[0]: must be a domain name",
        ),
        (
            to(json!({"domainNames": ["a.*.com"]})),
            "spec.egress[0].to[0].domainNames[0]: must be a domain name",
        ),
        (
            on(json!({})),
            "spec.egress[0].protocols[0]: must hold one of",
        ),
        (
            on(json!({"tcp": {}})),
            "spec.egress[0].protocols[0].tcp: must hold one of destinationPort",
        ),
        (
            on(json!({"tcp": {"destinationPort": {"number": 0}}})),
            "spec.egress[0].protocols[0].tcp.destinationPort.number: must be a port",
        ),
        (
            on(json!({"udp": {"destinationPort": {"range": {"start": 5, "end": 5}}}})),
            "spec.egress[0].protocols[0].udp.destinationPort.range.end: must be more",
        ),
        (
            on(json!({"udp": {"destinationPort": {"range": {"start": 5}}}})),
            "spec.egress[0].protocols[0].udp.destinationPort.range: must hold start and end",
        ),
        (
            rule(
                json!({"action": "Deny", "to": [{"networks": ["10.0.0.0/8"]}], "protocols": [{"destinationNamedPort": "web"}]}),
            ),
            "spec.egress[0].protocols[0].destinationNamedPort: networks",
        ),
    ] {
        refused(&cluster(&spec), expected);
    }
}

#[test]
fn objects_that_cannot_be_meant_are_refused_and_others_passed_over() {
    for (value, expected) in [
        (json!([]), "object: must be an object"),
        (
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}}),
            "metadata.name: is required",
        ),
        (
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": {}}}}),
            "metadata.labels: the value of \"a\"",
        ),
        (
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "status": {"podIPs": [{"ip": "10.0.0.256"}]}}),
            "status.podIPs[0].ip: must be an address",
        ),
        (
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"ports": [{"containerPort": 70000}]}]}}),
            "spec.containers[0].ports[0].containerPort: must be a port",
        ),
        (
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "p"}, "spec": {"template": {"spec": {"hostNetwork": "yes"}}}}),
            "spec.template.spec.hostNetwork: must be true or false",
        ),
        (
            json!({"apiVersion": "policy.networking.k8s.io/v1alpha1", "kind": "AdminNetworkPolicy", "metadata": {"name": "p"}}),
            "kind: AdminNetworkPolicy is not judged",
        ),
        (
            json!({"apiVersion": "policy.networking.k8s.io/v1alpha3", "kind": "ClusterNetworkPolicy", "metadata": {"name": "p"}}),
            "apiVersion: must be policy.networking.k8s.io/v1alpha2",
        ),
    ] {
        refused(&value, expected);
    }
    for value in [
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}),
        // Another project's kind of the same name.
        json!({"apiVersion": "crd.projectcalico.org/v1", "kind": "NetworkPolicy", "metadata": {"name": "s"}}),
        json!({}),
    ] {
        assert_eq!(object(&value, "default"), Ok(None), "{value}");
    }
}

#[test]
fn makers_of_pods_stand_for_one_and_ended_pods_for_none() {
    let template = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"containers": []}});
    for (api_version, kind, spec) in [
        ("apps/v1", "Deployment", json!({"template": template})),
        ("apps/v1", "StatefulSet", json!({"template": template})),
        ("batch/v1", "Job", json!({"template": template})),
        (
            "batch/v1",
            "CronJob",
            json!({"jobTemplate": {"spec": {"template": template}}}),
        ),
        ("v1", "ReplicationController", json!({"template": template})),
    ] {
        let value = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "m"}, "spec": spec});
        let Ok(Some(Object::Pod(pod))) = object(&value, "here") else {
            panic!("{kind}");
        };
        assert_eq!(pod.to_string(), format!("here/{}/m", kind.to_lowercase()));
        assert_eq!(pod.labels.get("a"), Some("1"));
    }
    let ended = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "status": {"phase": "Succeeded", "podIP": "10.0.0.1"}});
    assert!(matches!(
        object(&ended, "here"),
        Ok(Some(Object::Ended { .. }))
    ));
}

/// Objects in which a value somewhere is another.
fn spoilt() -> impl Strategy<Value = Value> {
    let selector = json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "In", "values": ["1", "2"]}]});
    let whole = [
        network_policy(&json!({
            "podSelector": selector, "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": selector, "namespaceSelector": selector}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
                         "ports": [{"port": 80, "endPort": 90, "protocol": "UDP"}, {"port": "web"}]}],
            "egress": [{"to": [{"ipBlock": {"cidr": "::/0"}}], "ports": [{"protocol": "SCTP"}]}],
        })),
        cluster(&json!({
            "subject": {"pods": {"namespaceSelector": selector, "podSelector": selector}},
            "ingress": [{"action": "Deny", "from": [{"namespaces": {}}], "protocols": [{"destinationNamedPort": "web"}, {"tcp": {"destinationPort": {"range": {"start": 1, "end": 9}}}}]}],
            "egress": [{"action": "Accept", "to": [{"domainNames": ["*.a.b"]}, {"networks": ["10.0.0.0/8"]}, {"nodes": {}}]}],
        })),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "x", "labels": {"a": "1"}},
               "spec": {"hostNetwork": false, "containers": [{"ports": [{"name": "web", "containerPort": 80, "protocol": "TCP"}]}],
                        "initContainers": [{"restartPolicy": "Always", "ports": [{"containerPort": 1}]}]},
               "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}], "hostIPs": [{"ip": "fd00::1"}]}}),
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}}),
    ];
    let leaf = prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(65536),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("\u{0}\u{1F980}"),
        json!("0.0.0.0/0"),
        json!("1.2.3.4/99"),
        json!("::ffff:1.2.3.4/128"),
        json!("*."),
        json!([]),
        json!([null]),
        json!([[[]]]),
        json!({}),
        json!({"a": {"b": []}}),
    ]);
    let places = prop::collection::vec((any::<prop::sample::Index>(), leaf), 1..4);
    (prop::sample::select(whole.to_vec()), places).prop_map(|(mut object, places)| {
        for (at, leaf) in places {
            let mut pointers = Vec::new();
            pointers_of(&object, String::new(), &mut pointers);
            let place = at.get(&pointers).clone();
            if let Some(value) = object.pointer_mut(&place) {
                *value = leaf;
            }
        }
        object
    })
}

fn pointers_of(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            pointers_of(member, format!("{at}/{name}"), found);
        }),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| {
            pointers_of(item, format!("{at}/{i}"), found);
        }),
        _ => {}
    }
    found.push(at);
}

proptest! {
    /// Whatever is read can be judged, and what cannot be read says where.
    #[test]
    fn nothing_that_is_written_is_a_panic(objects in prop::collection::vec(spoilt(), 1..6)) {
        let mut world = World::new();
        for value in &objects {
            match object(value, "default") {
                Ok(Some(object)) => {
                    let difference = world.difference(Change::Is(object.clone()));
                    world.apply(Change::Is(object));
                    prop_assert_eq!(difference.after.reaches(world.everyone()), world.reaches(world.everyone()));
                }
                Ok(None) => {}
                Err(error) => prop_assert!(!error.path.is_empty() && !error.problem.is_empty()),
            }
        }
    }
}

#[test]
fn more_than_anybody_means_is_refused() {
    let blocks: Vec<Value> = (0..20_000)
        .map(|_| json!({"ipBlock": {"cidr": "10.0.0.0/8"}}))
        .collect();
    refused(
        &network_policy(&json!({"ingress": [{"from": blocks}]})),
        "spec.ingress[0].from: no more than 16384 items",
    );
    let many = |item: Value| vec![item; 1025];
    refused(
        &network_policy(&json!({"ingress": many(json!({}))})),
        "spec.ingress: holds 1025",
    );
    refused(
        &network_policy(&json!({"ingress": [{"ports": many(json!({}))}]})),
        "spec.ingress[0]: holds 1025",
    );
    refused(
        &network_policy(&json!({"ingress": [{"from": many(json!({"podSelector": {}}))}]})),
        "spec.ingress[0]: holds 1025",
    );
    let ports: Vec<Value> = (0..1024).map(|i| json!({"port": 2 * i + 1})).collect();
    let blocks: Vec<Value> = (0..8192)
        .map(|i| json!({"ipBlock": {"cidr": format!("10.{}.{}.0/24", i / 256, 2 * (i % 128))}}))
        .collect();
    assert!(
        object(
            &network_policy(&json!({"ingress": [{"ports": ports, "from": blocks}]})),
            "x"
        )
        .is_ok()
    );
}
