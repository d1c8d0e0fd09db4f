//! A policy and the sets of pods and addresses its selectors mean in a world.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::choose::Choice;
use super::{Labels, Nodes, Pod, World};
use crate::network_policy::address::AddressSet;
use crate::network_policy::pod::Network;
use crate::network_policy::policy::{Direction, Namespaces, Peer, Peers, PodsPeer, Policy, Rule};
use crate::network_policy::reach::everybody;
use crate::network_policy::region::{PeerSet, Region};
use crate::network_policy::selector::Selector;

/// A policy and whom it means.
#[derive(Debug, Clone)]
pub(in crate::network_policy) struct Compiled {
    pub(in crate::network_policy) policy: Arc<Policy>,
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

/// A namespace whose labels change.
pub(super) struct Relabelled<'a> {
    name: &'a Arc<str>,
    pods: &'a RoaringBitmap,
    choice: Choice<'a>,
    before: &'a Labels,
    after: &'a Labels,
}

impl<'a> Relabelled<'a> {
    pub(super) fn new(
        world: &'a World,
        (name, pods): (&'a Arc<str>, &'a RoaringBitmap),
        before: &'a Labels,
        after: &'a Labels,
    ) -> Self {
        Relabelled {
            name,
            pods,
            choice: Choice::new(world, pods),
            before,
            after,
        }
    }

    /// The pods of it that a peer means now.
    fn meant(&self, peer: &PodsPeer) -> RoaringBitmap {
        let is_meant = match &peer.namespaces {
            Namespaces::Own(name) => name == self.name,
            Namespaces::Selected(selector) => selector.matches(self.after),
        };
        if is_meant {
            self.choice.of(&peer.pods)
        } else {
            RoaringBitmap::new()
        }
    }
}

impl Compiled {
    pub(super) fn new(policy: Arc<Policy>, world: &World) -> Self {
        let meaning = Meaning::new(world);
        let rules = |direction| {
            let rules = policy.rules(direction).unwrap_or_default();
            rules.iter().map(|rule| meaning.of(rule)).collect()
        };
        let mut subject = meaning.pods(&policy.subject);
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

    /// Its rules of a direction, each with its peers.
    pub(in crate::network_policy) fn rules(
        &self,
        direction: Direction,
    ) -> impl Iterator<Item = (&Rule, &PeerSet)> {
        let rules = self.policy.rules(direction).unwrap_or_default();
        rules.iter().zip(self.peers(direction))
    }

    fn peers_mut(&mut self, direction: Direction) -> &mut [PeerSet] {
        match direction {
            Direction::Ingress => &mut self.ingress,
            Direction::Egress => &mut self.egress,
        }
    }

    /// What its rules of a direction speak of, at the least: a port that has a name may be any.
    pub(super) fn spoken_of(&self, direction: Direction) -> Region {
        let regions = (self.rules(direction)).map(|(rule, peers)| match rule.ports.numbers() {
            Some(numbers) => Region::on(&numbers, peers.clone()),
            None => Region::everywhere(peers.clone()),
        });
        Region::union_all(regions.collect())
    }

    /// With a pod that is new, changed or gone. What others still read is left to them, and what makes no difference
    /// to a policy leaves it as it is.
    pub(super) fn take_pod(
        compiled: &mut Arc<Self>,
        number: u32,
        pod: Option<(&Pod, &Labels)>,
        nodes: &Nodes,
    ) {
        let selects = |peers: &Peers| {
            pod.is_some_and(|(pod, labels)| match peers {
                Peers::Everyone => true,
                Peers::Only(list) => list
                    .iter()
                    .any(|peer| selects_pod(peer, pod, labels, nodes)),
            })
        };
        let policy = Arc::clone(&compiled.policy);
        let is_subject = pod.is_some_and(|(pod, ns)| pods_selects(&policy.subject, pod, ns));
        if is_subject != compiled.subject.contains(number) {
            set(&mut Arc::make_mut(compiled).subject, number, is_subject);
        }
        for direction in [Direction::Ingress, Direction::Egress] {
            let rules = policy.rules(direction).unwrap_or_default();
            for (i, rule) in rules.iter().enumerate() {
                let is_peer = selects(&rule.peers);
                let known = compiled.peers(direction).get(i);
                if known.is_none_or(|peers| peers.pods.contains(number) == is_peer) {
                    continue;
                }
                if let Some(peers) = Arc::make_mut(compiled).peers_mut(direction).get_mut(i) {
                    set(&mut peers.pods, number, is_peer);
                }
            }
        }
    }

    /// With other labels of a namespace, and whether its subject is another now; None where
    /// that makes no difference.
    pub(super) fn with_namespace(
        &self,
        world: &World,
        relabelled: &Relabelled<'_>,
    ) -> Option<(Self, bool)> {
        let flips = |peer: &PodsPeer| match &peer.namespaces {
            Namespaces::Own(_) => false,
            Namespaces::Selected(selector) => {
                selector.matches(relabelled.before) != selector.matches(relabelled.after)
            }
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
        let mut changed = self.clone();
        if subject_flips {
            changed.subject -= relabelled.pods;
            changed.subject |= relabelled.meant(&self.policy.subject);
        }
        for direction in [Direction::Ingress, Direction::Egress] {
            let rules = self.policy.rules(direction).unwrap_or_default();
            for (rule, set) in rules.iter().zip(changed.peers_mut(direction)) {
                if !rule_flips(rule) {
                    continue;
                }
                let mut meant = by_address(peers(rule), &set.addresses, world, relabelled.pods);
                for peer in peers(rule) {
                    if let Peer::Pods(peer) = peer {
                        meant |= relabelled.meant(peer);
                    }
                }
                set.pods -= relabelled.pods;
                set.pods |= meant;
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

/// What the selectors of a policy mean in a world.
struct Meaning<'a> {
    world: &'a World,
    everyone: OnceCell<Choice<'a>>,
    own: OnceCell<Choice<'a>>,
}

impl<'a> Meaning<'a> {
    fn new(world: &'a World) -> Self {
        Meaning {
            world,
            everyone: OnceCell::new(),
            own: OnceCell::new(),
        }
    }

    fn pods(&self, peer: &PodsPeer) -> RoaringBitmap {
        let world = self.world;
        match &peer.namespaces {
            // A policy has one namespace of its own.
            Namespaces::Own(name) => {
                let Some(namespace) = world.namespace_entry(name) else {
                    return RoaringBitmap::new();
                };
                let own = self.own.get_or_init(|| Choice::new(world, &namespace.pods));
                own.of(&peer.pods)
            }
            Namespaces::Selected(selector) => {
                let everyone = self
                    .everyone
                    .get_or_init(|| Choice::new(world, world.everyone()));
                let mut pods = RoaringBitmap::new();
                for (_, namespace) in world.namespace_entries() {
                    if selector.matches(&namespace.labels) {
                        pods |= &namespace.pods;
                    }
                }
                pods & everyone.of(&peer.pods)
            }
        }
    }

    fn of(&self, rule: &Rule) -> PeerSet {
        let list = match &rule.peers {
            Peers::Everyone => return everybody(self.world),
            Peers::Only(list) => list,
        };
        let mut set = PeerSet::default();
        let mut addresses = Vec::new();
        let mut all_nodes = Vec::new();
        for peer in list {
            match peer {
                Peer::Pods(peer) => set.pods |= self.pods(peer),
                Peer::Block(block) => addresses.push(&block.addresses),
                Peer::Nodes(selector) => {
                    let nodes = node_addresses(selector, self.world.nodes());
                    all_nodes.extend(nodes.map(|address| AddressSet::of(*address)));
                }
                // Nobody knows which addresses these names have.
                Peer::Domains(_) => {}
            }
        }
        addresses.extend(&all_nodes);
        set.addresses = AddressSet::union_all(addresses);
        set.pods |= by_address(list, &set.addresses, self.world, self.world.everyone());
        set.pods.optimize();
        set
    }
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
