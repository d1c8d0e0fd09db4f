//! A cluster of a hundred teams with ten apps each, and changes as people make them.

use admission::network_policy::{Change, Object, PolicyName, World, object};
use serde_json::{Value, json};

const NAMESPACES: usize = 100;
const APPS: usize = 10;
const REPLICAS: usize = 10;
const POLICIES_OF_APPS: usize = 6;

pub(crate) fn read(value: &Value) -> Object {
    let read = object(value, "default").expect("a valid object");
    read.expect("of a kind that matters")
}

pub(crate) fn namespace(i: usize, tier: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace",
           "metadata": {"name": format!("team-{i}"), "labels": {"tier": tier, "team": format!("{i}")}}})
}

pub(crate) fn pod(i: usize, app: usize, replica: usize, role: &str) -> Value {
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

pub(crate) fn policy(i: usize, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
           "metadata": {"name": name, "namespace": format!("team-{i}")}, "spec": spec})
}

pub(crate) fn app_policy(i: usize, app: usize) -> Value {
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

pub(crate) fn default_deny(i: usize) -> Value {
    policy(
        i,
        "default-deny",
        &json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
    )
}

pub(crate) fn objects() -> Vec<Value> {
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

pub(crate) fn world(objects: &[Value]) -> World {
    let mut world = World::new();
    for value in objects {
        world.apply(Change::Is(read(value)));
    }
    world
}

pub(crate) fn cluster_policy(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {"name": name}, "spec": spec})
}

pub(crate) fn gone(i: usize, name: &str) -> Change {
    Change::PolicyGone(PolicyName::NetworkPolicy {
        namespace: format!("team-{i}").into(),
        name: name.into(),
    })
}

pub(crate) fn changes() -> Vec<(&'static str, Change)> {
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
            Change::Is(read(&cluster_policy(
                "c",
                &json!({
                    "tier": "Admin", "priority": 1, "subject": everyone,
                    "ingress": [{"action": "Deny", "from": [everyone], "protocols": [{"tcp": {"destinationPort": {"number": 9090}}}]}],
                }),
            ))),
        ),
        (
            "a ClusterNetworkPolicy that accepts all from all",
            Change::Is(read(&cluster_policy(
                "c",
                &json!({
                    "tier": "Admin", "priority": 1, "subject": everyone,
                    "ingress": [{"action": "Accept", "from": [everyone]}], "egress": [{"action": "Accept", "to": [everyone]}],
                }),
            ))),
        ),
    ]
}
