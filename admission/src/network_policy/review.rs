//! What a policy says that nobody should, told for rules to judge.
//!
//! A rule in Rego could take the object apart itself, and would miss that two halves of the
//! address space are the whole of it. So it is given the reading that everything else here
//! works with: which addresses a peer holds after its exceptions, which selectors are empty, and
//! which direction is open to the world.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::address::AddressSet;
use super::policy::{Action, Direction, Namespaces, Peer, Peers, PodsPeer, Policy, Ports, Rule};
use super::policy::{PolicyName, PortMatch};
use super::port::PortSet;
use super::region::{PeerSet, Region};

/// Where the machines of a cloud learn who they are, and what they may.
const METADATA: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// The reading of a policy, for rules.
pub(super) fn reading(policy: &Policy) -> Value {
    let mut rules = Vec::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        for (i, rule) in policy
            .rules(direction)
            .unwrap_or_default()
            .iter()
            .enumerate()
        {
            rules.push(read_rule(direction, i, rule));
        }
    }
    let (namespace, name) = match &policy.name {
        PolicyName::NetworkPolicy { namespace, name } => (&**namespace, name),
        PolicyName::ClusterNetworkPolicy { name } => ("", name),
    };
    let accepts = |direction| {
        let mut rules = policy.rules(direction).unwrap_or_default().iter();
        rules.any(|rule| rule.action == Action::Accept)
    };
    json!({
        "kind": policy.name.kind(),
        "namespace": namespace,
        "name": &**name,
        "accepts": accepts(Direction::Ingress) || accepts(Direction::Egress),
        "empty": empty_subject(policy),
        "rules": rules,
        "worldOpen": {
            "ingress": world_open(policy, Direction::Ingress),
            "egress": world_open(policy, Direction::Egress),
        },
    })
}

fn read_rule(direction: Direction, i: usize, rule: &Rule) -> Value {
    let path = format!("spec.{}[{i}]", direction.as_str());
    let peers: Vec<Value> = match &rule.peers {
        Peers::Everyone => Vec::new(),
        Peers::Only(list) => list
            .iter()
            .enumerate()
            .map(|(j, peer)| {
                let path = format!("{path}.{}[{j}]", direction.peers());
                json!({
                    "path": path,
                    "empty": empty_selectors(peer, &path),
                    "metadata": metadata(&addresses(peer)),
                })
            })
            .collect(),
    };
    let everyone = matches!(rule.peers, Peers::Everyone);
    json!({
        "direction": direction.as_str(),
        "path": path,
        "action": rule.action.as_str(),
        "everyone": everyone,
        "peers": peers,
    })
}

fn metadata(addresses: &AddressSet) -> Vec<String> {
    let held = METADATA.into_iter().filter(|one| addresses.contains(*one));
    held.map(|one| one.to_string()).collect()
}

fn addresses(peer: &Peer) -> AddressSet {
    match peer {
        Peer::Block(block) => block.addresses.clone(),
        Peer::Pods(_) | Peer::Nodes(_) | Peer::Domains(_) => AddressSet::default(),
    }
}

/// The paths of a subject's selectors that select everything.
fn empty_subject(policy: &Policy) -> Vec<String> {
    let everything = match &policy.subject.namespaces {
        Namespaces::Own(_) => true,
        Namespaces::Selected(selector) => selector.is_empty(),
    };
    if !everything || !policy.subject.pods.is_empty() {
        return Vec::new();
    }
    vec![match &policy.name {
        PolicyName::NetworkPolicy { .. } => "spec.podSelector".to_string(),
        PolicyName::ClusterNetworkPolicy { .. } => "spec.subject".to_string(),
    }]
}

/// A peer that selects every pod of its namespace, or of all, has no selector that asks for
/// anything.
fn empty_selectors(peer: &Peer, path: &str) -> Vec<String> {
    match peer {
        Peer::Pods(PodsPeer { namespaces, pods }) if pods.is_empty() => match namespaces {
            Namespaces::Own(_) => vec![format!("{path}.podSelector")],
            Namespaces::Selected(selector) if selector.is_empty() => vec![path.to_string()],
            Namespaces::Selected(_) => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The rules and peers by which a direction is open to the world on some port: those that hold
/// public addresses, if together they hold half or more of all of a family.
fn world_open(policy: &Policy, direction: Direction) -> Vec<String> {
    let internet = AddressSet::internet();
    let mut region = Region::default();
    let mut paths = Vec::new();
    for (i, rule) in policy
        .rules(direction)
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        if rule.action != Action::Accept {
            continue;
        }
        let rule_path = format!("spec.{}[{i}]", direction.as_str());
        let mut open = |public: &AddressSet, path: String| {
            if !public.is_empty() {
                paths.push(path);
            }
        };
        let mut parts = Vec::new();
        match &rule.peers {
            Peers::Everyone => {
                open(&internet, rule_path);
                parts.push(internet.clone());
            }
            Peers::Only(list) => {
                for (j, peer) in list.iter().enumerate() {
                    let public = addresses(peer).intersection(&internet);
                    open(&public, format!("{rule_path}.{}[{j}]", direction.peers()));
                    parts.push(public);
                }
            }
        }
        let peers = PeerSet {
            addresses: AddressSet::union_all(&parts),
            ..PeerSet::default()
        };
        region = region.union(&Region::on(&numbers(&rule.ports), peers));
    }
    let mut pieces = region.pieces().iter();
    if pieces.any(|piece| piece.peers.addresses.is_half_of(&internet)) {
        paths
    } else {
        Vec::new()
    }
}

/// The ports of a rule; a name may stand for any of them.
fn numbers(ports: &Ports) -> PortSet {
    let list = match ports {
        Ports::Every => return PortSet::everything(),
        Ports::Only(list) => list,
    };
    list.iter()
        .fold(PortSet::default(), |all, port| match port {
            PortMatch::Numbers(numbers) => all.union(numbers),
            PortMatch::Named { .. } => PortSet::everything(),
        })
}
