//! A policy and the sets of pods and addresses its selectors mean in a world.

use std::net::IpAddr;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::{Labels, Nodes, Pod, World};
use crate::network_policy::address::AddressSet;
use crate::network_policy::pod::Network;
use crate::network_policy::policy::{Direction, Namespaces, Peer, Peers, PodsPeer, Policy, Rule};
use crate::network_policy::region::PeerSet;
use crate::network_policy::selector::Selector;

/// A policy and whom it means.
#[derive(Debug, Clone)]
pub(in crate::network_policy) struct Compiled {
    pub(in crate::network_policy) policy: Policy,
    /// The pods it is about.
    pub(in crate::network_policy) subject: RoaringBitmap,
    /// The peers of each rule.
    pub(in crate::network_policy) ingress: Vec<PeerSet>,
    pub(in crate::network_policy) egress: Vec<PeerSet>,
}

impl Policy {
    /// Whether a rule depends on the addresses of nodes.
    pub(in crate::network_policy) fn names_nodes(&self) -> bool {
        let rules = self.egress.iter().flatten();
        rules
            .flat_map(peers)
            .any(|peer| matches!(peer, Peer::Nodes(_)))
    }
}

fn peers(rule: &Rule) -> &[Peer] {
    match &rule.peers {
        Peers::Everyone => &[],
        Peers::Only(peers) => peers,
    }
}

/// A namespace whose labels change: its name, the labels before, and those after.
type Relabelled<'a> = (&'a Arc<str>, &'a Labels, &'a Labels);

impl Compiled {
    pub(super) fn new(policy: Policy, world: &World) -> Self {
        let rules = |direction| {
            let rules = policy.rules(direction).unwrap_or_default();
            rules.iter().map(|rule| peer_set(rule, world)).collect()
        };
        let mut subject = pods_peer(&policy.subject, world);
        subject.optimize();
        Compiled {
            subject,
            ingress: rules(Direction::Ingress),
            egress: rules(Direction::Egress),
            policy,
        }
    }

    pub(in crate::network_policy) fn peers(&self, direction: Direction) -> &[PeerSet] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// With a pod that is new, changed or gone; None where that makes no difference.
    pub(super) fn with_pod(
        &self,
        number: u32,
        pod: Option<(&Pod, &Labels)>,
        nodes: &Nodes,
    ) -> Option<Self> {
        let selects = |peers: &Peers| {
            pod.is_some_and(|(pod, labels)| match peers {
                Peers::Everyone => true,
                Peers::Only(list) => list
                    .iter()
                    .any(|peer| selects_pod(peer, pod, labels, nodes)),
            })
        };
        let mut changed: Option<Compiled> = None;
        let is_subject = pod.is_some_and(|(pod, ns)| pods_selects(&self.policy.subject, pod, ns));
        if is_subject != self.subject.contains(number) {
            set(
                &mut changed.get_or_insert_with(|| self.clone()).subject,
                number,
                is_subject,
            );
        }
        for direction in [Direction::Ingress, Direction::Egress] {
            let rules = self.policy.rules(direction).unwrap_or_default();
            for (i, (rule, peers)) in rules.iter().zip(self.peers(direction)).enumerate() {
                let is_peer = selects(&rule.peers);
                if is_peer == peers.pods.contains(number) {
                    continue;
                }
                let changed = changed.get_or_insert_with(|| self.clone());
                let lists = match direction {
                    Direction::Ingress => &mut changed.ingress,
                    Direction::Egress => &mut changed.egress,
                };
                if let Some(peers) = lists.get_mut(i) {
                    set(&mut peers.pods, number, is_peer);
                }
            }
        }
        changed
    }

    /// With other labels of a namespace, which `world` already has, and whether its subject is
    /// another now; None where that makes no difference.
    pub(super) fn with_namespace(
        &self,
        world: &World,
        relabelled: Relabelled<'_>,
    ) -> Option<(Self, bool)> {
        let (name, before, after) = relabelled;
        let flips = |peer: &PodsPeer| match &peer.namespaces {
            Namespaces::Own(_) => false,
            Namespaces::Selected(selector) => selector.matches(before) != selector.matches(after),
        };
        let rule_flips = |rule: &Rule| {
            let mut list = peers(rule).iter();
            list.any(|peer| matches!(peer, Peer::Pods(peer) if flips(peer)))
        };
        let subject_flips = flips(&self.policy.subject);
        let mut rules = [Direction::Ingress, Direction::Egress].into_iter();
        let any_rule = rules.any(|direction| {
            let rules = self.policy.rules(direction).unwrap_or_default();
            rules.iter().any(rule_flips)
        });
        if !subject_flips && !any_rule {
            return None;
        }
        let everyone = world.pods_of(name);
        let mut changed = self.clone();
        if subject_flips {
            changed.subject -= &everyone;
            changed.subject |= pods_in(&self.policy.subject, world, name);
        }
        for direction in [Direction::Ingress, Direction::Egress] {
            let rules = self.policy.rules(direction).unwrap_or_default();
            let lists = match direction {
                Direction::Ingress => &mut changed.ingress,
                Direction::Egress => &mut changed.egress,
            };
            for (rule, set) in rules.iter().zip(lists) {
                if !rule_flips(rule) {
                    continue;
                }
                set.pods -= &everyone;
                for peer in peers(rule) {
                    if let Peer::Pods(peer) = peer {
                        set.pods |= pods_in(peer, world, name);
                    }
                }
                set.pods |= by_address(peers(rule), &set.addresses, world, &everyone);
            }
        }
        Some((changed, subject_flips))
    }
}

fn set(pods: &mut RoaringBitmap, number: u32, is_in: bool) {
    if is_in {
        pods.insert(number);
    } else {
        pods.remove(number);
    }
}

/// The addresses of the nodes with these labels.
fn node_addresses<'a>(
    selector: &'a Selector,
    nodes: &'a Nodes,
) -> impl Iterator<Item = &'a IpAddr> {
    let selected = nodes.values().filter(|node| selector.matches(&node.labels));
    selected.flat_map(|node| &node.addresses)
}

/// Whether a peer means an address.
pub(in crate::network_policy) fn selects_address(
    peer: &Peer,
    world: &World,
    address: IpAddr,
) -> bool {
    match peer {
        Peer::Block(block) => block.addresses.contains(address),
        Peer::Nodes(selector) => {
            node_addresses(selector, world.nodes()).any(|known| *known == address)
        }
        Peer::Pods(_) | Peer::Domains(_) => false,
    }
}

/// Whether a peer means a pod of a world.
pub(in crate::network_policy) fn peer_selects(peer: &Peer, world: &World, number: u32) -> bool {
    let Some(pod) = world.pod(number) else {
        return false;
    };
    let namespace = world.namespace_entry(&pod.namespace);
    namespace.is_some_and(|entry| selects_pod(peer, pod, &entry.labels, world.nodes()))
}

fn selects_pod(peer: &Peer, pod: &Pod, labels: &Labels, nodes: &Nodes) -> bool {
    match peer {
        Peer::Pods(peer) => pods_selects(peer, pod, labels),
        Peer::Block(block) => block.holds(&pod.addresses),
        Peer::Nodes(selector) => {
            node_addresses(selector, nodes).any(|address| pod.addresses.contains(address))
        }
        Peer::Domains(_) => false,
    }
}

fn pods_selects(peer: &PodsPeer, pod: &Pod, labels: &Labels) -> bool {
    let in_namespace = match &peer.namespaces {
        Namespaces::Own(name) => *name == pod.namespace,
        Namespaces::Selected(selector) => selector.matches(labels),
    };
    in_namespace && pod.network == Network::Own && peer.pods.matches(&pod.labels)
}

fn peer_set(rule: &Rule, world: &World) -> PeerSet {
    let list = match &rule.peers {
        Peers::Everyone => {
            return PeerSet {
                pods: world.everyone().clone(),
                addresses: AddressSet::everything(),
            };
        }
        Peers::Only(list) => list,
    };
    let mut set = PeerSet::default();
    let mut addresses = Vec::new();
    let mut all_nodes = Vec::new();
    for peer in list {
        match peer {
            Peer::Pods(peer) => set.pods |= pods_peer(peer, world),
            Peer::Block(block) => addresses.push(&block.addresses),
            Peer::Nodes(selector) => {
                let nodes = node_addresses(selector, world.nodes());
                all_nodes.extend(nodes.map(|address| AddressSet::of(*address)));
            }
            // Nobody knows which addresses these names have.
            Peer::Domains(_) => {}
        }
    }
    addresses.extend(&all_nodes);
    set.addresses = AddressSet::union_all(addresses);
    set.pods |= by_address(list, &set.addresses, world, world.everyone());
    set.pods.optimize();
    set
}

fn pods_peer(peer: &PodsPeer, world: &World) -> RoaringBitmap {
    match &peer.namespaces {
        Namespaces::Own(name) => pods_in(peer, world, name),
        Namespaces::Selected(selector) => {
            let mut pods = RoaringBitmap::new();
            for (name, namespace) in world.namespace_entries() {
                if selector.matches(&namespace.labels) {
                    pods |= pods_in(peer, world, name);
                }
            }
            pods
        }
    }
}

/// The pods of one namespace that a peer means.
fn pods_in(peer: &PodsPeer, world: &World, name: &str) -> RoaringBitmap {
    let Some(namespace) = world.namespace_entry(name) else {
        return RoaringBitmap::new();
    };
    let is_meant = match &peer.namespaces {
        Namespaces::Own(own) => **own == *name,
        Namespaces::Selected(selector) => selector.matches(&namespace.labels),
    };
    if !is_meant {
        return RoaringBitmap::new();
    }
    let selects = |number: &u32| {
        world
            .pod(*number)
            .is_some_and(|pod| pod.network == Network::Own && peer.pods.matches(&pod.labels))
    };
    namespace.pods.iter().filter(selects).collect()
}

/// The pods that one of a rule's peers means by their addresses, of which `addresses` is all.
fn by_address(
    list: &[Peer],
    addresses: &AddressSet,
    world: &World,
    among: &RoaringBitmap,
) -> RoaringBitmap {
    if addresses.is_empty() {
        return RoaringBitmap::new();
    }
    let unknown = list
        .iter()
        .any(|peer| matches!(peer, Peer::Block(block) if block.unknown));
    let selects = |number: &u32| {
        world.pod(*number).is_some_and(|pod| {
            let mut known = pod.addresses.iter();
            (pod.addresses.is_empty() && unknown) || known.any(|one| addresses.contains(*one))
        })
    };
    among.iter().filter(selects).collect()
}
