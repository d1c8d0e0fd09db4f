//! The specification, read as directly as it can be: one connection at a time, from the objects
//! as they are written. Slow, and independent of all that it is held against.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde_json::Value;

/// A cluster as a list of objects.
#[derive(Debug, Clone, Default)]
pub(super) struct Cluster {
    objects: BTreeMap<String, Value>,
}

/// An end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Pod(String),
    Address(IpAddr),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Pod(name) => f.write_str(name),
            End::Address(address) => address.fmt(f),
        }
    }
}

impl Cluster {
    pub(super) fn objects(&self) -> impl Iterator<Item = Value> {
        self.objects.values().cloned()
    }

    pub(super) fn put(&mut self, object: Value) {
        let text = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or("");
        // Sorted so that namespaces are no special case: policies and pods come before them.
        let key = format!(
            "{} {}/{}",
            text("/kind"),
            text("/metadata/namespace"),
            text("/metadata/name")
        );
        self.objects.insert(key, object);
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<Value> {
        let key = self.objects.keys().nth(at).cloned()?;
        // A namespace with pods in it cannot go.
        if key.starts_with("Namespace ") {
            return None;
        }
        self.objects.remove(&key)
    }

    fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects
            .values()
            .filter(move |object| object["kind"] == kind)
    }

    pub(super) fn pods(&self) -> impl Iterator<Item = String> {
        self.of_kind("Pod").map(|pod| {
            let metadata = &pod["metadata"];
            let part = |name: &str| metadata[name].as_str().unwrap().to_string();
            format!("{}/{}", part("namespace"), part("name"))
        })
    }

    fn pod(&self, name: &str) -> &Value {
        let (namespace, name) = name.split_once('/').unwrap();
        self.of_kind("Pod")
            .find(|pod| {
                pod["metadata"]["namespace"] == namespace && pod["metadata"]["name"] == name
            })
            .unwrap()
    }

    fn namespace_labels(&self, name: &str) -> Value {
        let namespace = self
            .of_kind("Namespace")
            .find(|n| n["metadata"]["name"] == name);
        let mut labels = namespace.map(|n| n["metadata"]["labels"].clone());
        if labels.as_ref().is_none_or(Value::is_null) {
            labels = Some(serde_json::json!({}));
        }
        let mut labels = labels.unwrap();
        labels["kubernetes.io/metadata.name"] = Value::from(name);
        labels
    }
}

pub(super) fn allowed(cluster: &Cluster, from: &End, to: &End, protocol: &str, port: u16) -> bool {
    let out = side(cluster, "egress", from, to, to, protocol, port);
    let into = side(cluster, "ingress", to, from, to, protocol, port);
    out && into
}

fn side(
    cluster: &Cluster,
    direction: &str,
    subject: &End,
    other: &End,
    destination: &End,
    protocol: &str,
    port: u16,
) -> bool {
    let End::Pod(name) = subject else { return true };
    let pod = cluster.pod(name);
    if on_host(pod) {
        return true;
    }
    match cluster_tier(
        cluster,
        "Admin",
        direction,
        pod,
        other,
        destination,
        protocol,
        port,
    ) {
        Some("Accept") => return true,
        Some("Deny") => return false,
        _ => {}
    }
    let mut isolated = false;
    for policy in cluster.of_kind("NetworkPolicy") {
        let spec = &policy["spec"];
        let namespace = policy["metadata"]["namespace"].as_str().unwrap();
        if pod["metadata"]["namespace"] != namespace
            || !selects(&spec["podSelector"], &pod["metadata"]["labels"])
            || !concerns(spec, direction)
        {
            continue;
        }
        isolated = true;
        for rule in list(&spec[direction]) {
            let peers = list(&rule[if direction == "ingress" { "from" } else { "to" }]);
            let ports = list(&rule["ports"]);
            let is_peer = peers.is_empty()
                || peers
                    .iter()
                    .any(|p| policy_peer(cluster, p, namespace, other));
            let is_port = ports.is_empty()
                || ports
                    .iter()
                    .any(|p| policy_port(cluster, p, destination, protocol, port));
            if is_peer && is_port {
                return true;
            }
        }
    }
    if isolated {
        return false;
    }
    let last = cluster_tier(
        cluster,
        "Baseline",
        direction,
        pod,
        other,
        destination,
        protocol,
        port,
    );
    last != Some("Deny")
}

fn concerns(spec: &Value, direction: &str) -> bool {
    let types = list(&spec["policyTypes"]);
    if types.is_empty() {
        return direction == "ingress" || !list(&spec["egress"]).is_empty();
    }
    types
        .iter()
        .any(|t| t.as_str().unwrap().to_lowercase() == direction)
}

fn on_host(pod: &Value) -> bool {
    pod["spec"]["hostNetwork"] == true
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn selects(selector: &Value, labels: &Value) -> bool {
    let value = |key: &str| labels.get(key).and_then(Value::as_str);
    let wanted = selector["matchLabels"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let equal = wanted.iter().all(|(key, v)| value(key) == v.as_str());
    equal
        && list(&selector["matchExpressions"]).iter().all(|e| {
            let found = value(e["key"].as_str().unwrap());
            let values = list(&e["values"]);
            let is_one = found.is_some_and(|f| values.iter().any(|v| v == f));
            match e["operator"].as_str().unwrap() {
                "In" => is_one,
                "NotIn" => !is_one,
                "Exists" => found.is_some(),
                _ => found.is_none(),
            }
        })
}

fn policy_peer(cluster: &Cluster, peer: &Value, own: &str, other: &End) -> bool {
    if !peer["ipBlock"].is_null() {
        return in_block(cluster, &peer["ipBlock"], other);
    }
    let End::Pod(name) = other else { return false };
    let pod = cluster.pod(name);
    if on_host(pod) {
        return false;
    }
    let namespace = pod["metadata"]["namespace"].as_str().unwrap();
    let in_namespace = if peer["namespaceSelector"].is_null() {
        namespace == own
    } else {
        selects(
            &peer["namespaceSelector"],
            &cluster.namespace_labels(namespace),
        )
    };
    in_namespace && selects(&peer["podSelector"], &pod["metadata"]["labels"])
}

fn addresses(cluster: &Cluster, end: &End) -> Vec<IpAddr> {
    match end {
        End::Address(address) => vec![*address],
        End::Pod(name) => {
            let status = &cluster.pod(name)["status"];
            let many = list(&status["podIPs"]);
            let written = many.iter().map(|ip| &ip["ip"]).chain([&status["podIP"]]);
            written
                .filter_map(|ip| ip.as_str())
                .map(|ip| ip.parse().unwrap())
                .collect()
        }
    }
}

fn in_block(cluster: &Cluster, block: &Value, end: &End) -> bool {
    let all = addresses(cluster, end);
    let except = list(&block["except"]);
    let cidr = block["cidr"].as_str().unwrap();
    if all.is_empty() {
        return cidr.ends_with("/0")
            && except
                .iter()
                .all(|e| e.as_str().unwrap().starts_with("169.254"));
    }
    all.iter().any(|address| {
        in_net(cidr, *address) && !except.iter().any(|e| in_net(e.as_str().unwrap(), *address))
    })
}

/// Compares bit by bit.
fn in_net(net: &str, address: IpAddr) -> bool {
    let (base, bits) = net.split_once('/').unwrap();
    let bits: u32 = bits.parse().unwrap();
    match (base.parse().unwrap(), address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            (0..bits).all(|bit| (base.to_bits() ^ address.to_bits()) & (1 << (31 - bit)) == 0)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            (0..bits).all(|bit| (base.to_bits() ^ address.to_bits()) & (1 << (127 - bit)) == 0)
        }
        _ => false,
    }
}

fn policy_port(
    cluster: &Cluster,
    wanted: &Value,
    destination: &End,
    protocol: &str,
    port: u16,
) -> bool {
    if wanted["protocol"].as_str().unwrap_or("TCP") != protocol {
        return false;
    }
    match &wanted["port"] {
        Value::Null => true,
        Value::String(name) => is_named(cluster, destination, name, protocol, port),
        number => {
            let first = number.as_u64().unwrap();
            let last = wanted["endPort"].as_u64().unwrap_or(first);
            (first..=last).contains(&u64::from(port))
        }
    }
}

fn is_named(cluster: &Cluster, destination: &End, name: &str, protocol: &str, port: u16) -> bool {
    let End::Pod(pod) = destination else {
        return false;
    };
    let containers = list(&cluster.pod(pod)["spec"]["containers"]);
    containers.iter().flat_map(|c| list(&c["ports"])).any(|p| {
        p["name"] == name
            && p["protocol"].as_str().unwrap_or("TCP") == protocol
            && p["containerPort"] == port
    })
}

/// The action of the first rule of a tier that matches, in the order of priorities and names.
#[allow(
    clippy::too_many_arguments,
    reason = "a connection has that many parts"
)]
fn cluster_tier<'a>(
    cluster: &'a Cluster,
    tier: &str,
    direction: &str,
    subject: &Value,
    other: &End,
    destination: &End,
    protocol: &str,
    port: u16,
) -> Option<&'a str> {
    let mut policies: Vec<&Value> = cluster
        .of_kind("ClusterNetworkPolicy")
        .filter(|policy| policy["spec"]["tier"] == tier)
        .collect();
    policies.sort_by_key(|policy| {
        let name = policy["metadata"]["name"].as_str().unwrap();
        (
            policy["spec"]["priority"].as_u64().unwrap(),
            name.to_string(),
        )
    });
    let namespace = subject["metadata"]["namespace"].as_str().unwrap();
    for policy in policies {
        let spec = &policy["spec"];
        if !pods_selected(
            cluster,
            &spec["subject"],
            namespace,
            &subject["metadata"]["labels"],
        ) {
            continue;
        }
        for rule in spec[direction].as_array().into_iter().flatten() {
            let peers = list(&rule[if direction == "ingress" { "from" } else { "to" }]);
            let protocols = list(&rule["protocols"]);
            let is_peer = peers.iter().any(|p| cluster_peer(cluster, p, other));
            let is_port = protocols.is_empty()
                || protocols
                    .iter()
                    .any(|p| cluster_port(cluster, p, destination, protocol, port));
            if is_peer && is_port {
                return rule["action"].as_str();
            }
        }
    }
    None
}

fn pods_selected(cluster: &Cluster, chosen: &Value, namespace: &str, labels: &Value) -> bool {
    let of_namespace = cluster.namespace_labels(namespace);
    if !chosen["namespaces"].is_null() {
        return selects(&chosen["namespaces"], &of_namespace);
    }
    let pods = &chosen["pods"];
    !pods.is_null()
        && selects(&pods["namespaceSelector"], &of_namespace)
        && selects(&pods["podSelector"], labels)
}

fn cluster_peer(cluster: &Cluster, peer: &Value, other: &End) -> bool {
    let all = addresses(cluster, other);
    if !peer["networks"].is_null() {
        return list(&peer["networks"])
            .iter()
            .any(|net| in_block(cluster, &serde_json::json!({"cidr": net}), other));
    }
    if !peer["nodes"].is_null() {
        return cluster.of_kind("Node").any(|node| {
            selects(&peer["nodes"], &node["metadata"]["labels"])
                && list(&node["status"]["addresses"]).iter().any(|address| {
                    let address: Option<IpAddr> =
                        address["address"].as_str().and_then(|a| a.parse().ok());
                    address.is_some_and(|address| all.contains(&address))
                })
        });
    }
    let End::Pod(name) = other else { return false };
    let pod = cluster.pod(name);
    let namespace = pod["metadata"]["namespace"].as_str().unwrap();
    !on_host(pod) && pods_selected(cluster, peer, namespace, &pod["metadata"]["labels"])
}

fn cluster_port(
    cluster: &Cluster,
    wanted: &Value,
    destination: &End,
    protocol: &str,
    port: u16,
) -> bool {
    if let Some(name) = wanted["destinationNamedPort"].as_str() {
        return is_named(cluster, destination, name, protocol, port);
    }
    let port_field = &wanted[protocol.to_lowercase()]["destinationPort"];
    if port_field.is_null() {
        return false;
    }
    let (first, last) = match port_field["number"].as_u64() {
        Some(number) => (number, number),
        None => (
            port_field["range"]["start"].as_u64().unwrap(),
            port_field["range"]["end"].as_u64().unwrap(),
        ),
    };
    (first..=last).contains(&u64::from(port))
}
