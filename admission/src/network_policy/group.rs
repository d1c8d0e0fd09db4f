//! Pods that the same policies select, taken together.
//!
//! What a pod lets in is decided by which policies select it, and by the numbers its named
//! ports have where one of them names a port; what it may send, by which policies select it.
//! Ten thousand pods are a few hundred such groups, and everything that is asked about sets of
//! pods is asked of groups.
//!
//! [`Grouping::side`] is where the meaning of policies is: tier after tier, rule after rule, as
//! sets.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::pod::NamedPort;
use super::policy::{Action, Direction, Policy, PortMatch, Ports, Tier};
use super::port::{PortSet, Protocol};
use super::region::{PeerSet, Region};
use super::world::{Compiled, World};

/// The named ports of a pod.
type PodPorts = Arc<[NamedPort]>;

/// The pods that give a port a name, by the port.
type NamedPods = BTreeMap<(Protocol, u16), RoaringBitmap>;

/// A pod that is in no group: there is no such pod.
pub(super) const NO_GROUP: u32 = u32::MAX;

/// The groups of a world, both ways.
#[derive(Debug)]
pub(super) struct Grouping {
    /// The policies in the order they are asked.
    pub(super) order: Vec<Arc<Compiled>>,
    pub(super) ingress: Partition,
    pub(super) egress: Partition,
    /// The pods that give a name to a port, by name and by the port it is.
    named: HashMap<Arc<str>, NamedPods>,
}

/// Every pod in one group.
#[derive(Debug, Default)]
pub(super) struct Partition {
    group_of: Vec<u32>,
    pub(super) groups: Vec<Group>,
}

/// Pods for which a direction is decided alike.
#[derive(Debug)]
pub(super) struct Group {
    /// The policies that select them, by their place in the order.
    policies: Vec<u32>,
    /// The named ports they have in common, where a policy names one.
    ports: Option<PodPorts>,
    pub(super) members: RoaringBitmap,
}

impl Partition {
    pub(super) fn group_of(&self, pod: u32) -> u32 {
        self.group_of.get(pod as usize).copied().unwrap_or(NO_GROUP)
    }

    /// Refines one group of everyone by each policy in turn: a group that a policy selects a
    /// part of falls in two.
    fn of(world: &World, order: &[Arc<Compiled>], direction: Direction) -> Self {
        let pods = world.everyone().max().map_or(0, |last| last as usize + 1);
        let mut group_of = vec![NO_GROUP; pods];
        for pod in world.everyone() {
            set(&mut group_of, pod, 0);
        }
        // Each group is the one it was split from, and a policy.
        let mut parents: Vec<Option<(u32, u32)>> = vec![None];
        let mut split: HashMap<u32, u32> = HashMap::new();
        for (policy, compiled) in order.iter().enumerate() {
            if compiled.policy.rules(direction).is_none() {
                continue;
            }
            split.clear();
            for pod in &compiled.subject {
                let Some(group) = group_of.get_mut(pod as usize) else {
                    continue;
                };
                let fresh = parents.len() as u32;
                *group = *split.entry(*group).or_insert_with_key(|old| {
                    parents.push(Some((*old, policy as u32)));
                    fresh
                });
            }
        }
        let lineage = |group: u32| {
            let parent = |group: &u32| parents.get(*group as usize).copied().flatten();
            let mut policies: Vec<u32> =
                std::iter::successors(parent(&group), |(older, _)| parent(older))
                    .map(|(_, policy)| policy)
                    .collect();
            policies.reverse();
            policies
        };
        let mut partition = Partition::default();
        let mut known: HashMap<(u32, Option<PodPorts>), u32> = HashMap::new();
        let mut names_ports: HashMap<u32, bool> = HashMap::new();
        for pod in world.everyone() {
            let Some(old) = group_of.get(pod as usize).copied() else {
                continue;
            };
            // Only to a destination belong the names of its ports.
            let by_ports = direction == Direction::Ingress
                && *names_ports.entry(old).or_insert_with(|| {
                    let mut policies = lineage(old).into_iter();
                    policies.any(|policy| {
                        let compiled = order.get(policy as usize);
                        compiled.is_some_and(|c| c.policy.names_ports(direction))
                    })
                });
            let ports = world.pod(pod).filter(|_| by_ports).map(|p| p.ports.clone());
            let fresh = partition.groups.len() as u32;
            let group = *known.entry((old, ports)).or_insert_with_key(|(_, ports)| {
                partition.groups.push(Group {
                    policies: lineage(old),
                    ports: ports.clone(),
                    members: RoaringBitmap::new(),
                });
                fresh
            });
            set(&mut group_of, pod, group);
            if let Some(group) = partition.groups.get_mut(group as usize) {
                group.members.insert(pod);
            }
        }
        partition.group_of = group_of;
        partition
    }
}

fn set(group_of: &mut [u32], pod: u32, group: u32) {
    if let Some(slot) = group_of.get_mut(pod as usize) {
        *slot = group;
    }
}

impl Grouping {
    pub(super) fn of(world: &World) -> Self {
        let mut order: Vec<Arc<Compiled>> = world.compiled().cloned().collect();
        // Where priorities are equal Kubernetes leaves the order open; here names decide.
        order.sort_by(|a, b| {
            let (a, b) = (&a.policy, &b.policy);
            a.tier.cmp(&b.tier).then_with(|| a.name.cmp(&b.name))
        });
        Grouping {
            ingress: Partition::of(world, &order, Direction::Ingress),
            egress: Partition::of(world, &order, Direction::Egress),
            named: named_ports(world, &order),
            order,
        }
    }

    pub(super) fn partition(&self, direction: Direction) -> &Partition {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// The policies of a group, in the order they are asked.
    pub(super) fn policies(&self, group: &Group) -> impl Iterator<Item = &Compiled> {
        let places = group.policies.clone();
        places
            .into_iter()
            .filter_map(|place| self.order.get(place as usize).map(|c| &**c))
    }

    /// What a group allows of `within` in a direction.
    pub(super) fn side(&self, direction: Direction, group: &Group, within: &PeerSet) -> Region {
        let mut accepted = Region::default();
        let mut undecided = Region::everywhere(within.clone());
        let mut passed = Region::default();
        let mut isolated = false;
        let mut before: Option<Tier> = None;
        for compiled in self.policies(group) {
            let tier = compiled.policy.tier;
            if before.is_some_and(|before| before.as_str() != tier.as_str()) {
                // What a tier passed on, the next one is asked.
                undecided = undecided.union(std::mem::take(&mut passed));
                if isolated {
                    break;
                }
            }
            before = Some(tier);
            let rules = compiled.policy.rules(direction).unwrap_or_default();
            for (rule, peers) in rules.iter().zip(compiled.peers(direction)) {
                let peers = peers.intersection(within);
                if peers.is_empty() {
                    continue;
                }
                let matched = self.rule(direction, group, &rule.ports, &peers);
                let matched = matched.intersection(&undecided);
                if tier == Tier::NetworkPolicy {
                    accepted = accepted.union(matched);
                    continue;
                }
                undecided = undecided.difference(&matched);
                match rule.action {
                    Action::Accept => accepted = accepted.union(matched),
                    Action::Pass => passed = passed.union(matched),
                    Action::Deny => {}
                }
            }
            isolated |= tier == Tier::NetworkPolicy;
        }
        if isolated {
            return accepted;
        }
        accepted.union(undecided).union(passed)
    }

    fn rule(&self, direction: Direction, group: &Group, ports: &Ports, peers: &PeerSet) -> Region {
        let list = match ports {
            Ports::Every => return Region::everywhere(peers.clone()),
            Ports::Only(list) => list,
        };
        let numbers = PortSet::union_all(list.iter().filter_map(|port| match port {
            PortMatch::Numbers(numbers) => Some(numbers),
            PortMatch::Named { .. } => None,
        }));
        let mut region = Region::on(&numbers, peers);
        for port in list {
            let on = match port {
                PortMatch::Numbers(_) => continue,
                PortMatch::Named { protocol, name } => match direction {
                    Direction::Ingress => {
                        let numbers = numbers_of(group.ports.as_deref(), *protocol, name);
                        Region::on(&numbers, peers)
                    }
                    Direction::Egress => self.named_at(*protocol, name, peers),
                },
            };
            region = region.union(on);
        }
        region
    }

    /// The destinations among `peers` that give a port this name, each at its own number.
    fn named_at(&self, protocol: Option<Protocol>, name: &Arc<str>, peers: &PeerSet) -> Region {
        let mut region = Region::default();
        for ((of, number), pods) in self.named.get(name).into_iter().flatten() {
            if protocol.is_none_or(|protocol| protocol == *of) {
                let pods = PeerSet::of_pods(pods & &peers.pods);
                region = region.union(Region::on(&PortSet::of(*of, *number, *number), &pods));
            }
        }
        region
    }
}

/// The numbers that containers give a name to.
pub(super) fn numbers_of(
    ports: Option<&[NamedPort]>,
    protocol: Option<Protocol>,
    name: &str,
) -> PortSet {
    let mut numbers = PortSet::default();
    for port in ports.unwrap_or_default() {
        if *port.name == *name && protocol.is_none_or(|protocol| protocol == port.protocol) {
            numbers = numbers.union(&PortSet::of(port.protocol, port.number, port.number));
        }
    }
    numbers
}

/// The pods behind the names that rules of egress name.
fn named_ports(world: &World, order: &[Arc<Compiled>]) -> HashMap<Arc<str>, NamedPods> {
    let egress = order
        .iter()
        .flat_map(|compiled| egress_names(&compiled.policy));
    let wanted: HashSet<Arc<str>> = egress.collect();
    let mut named: HashMap<Arc<str>, NamedPods> = HashMap::new();
    if wanted.is_empty() {
        return named;
    }
    for number in world.everyone() {
        let ports = world.pod(number).map(|pod| pod.ports.iter());
        for port in ports
            .into_iter()
            .flatten()
            .filter(|p| wanted.contains(&p.name))
        {
            let by_number = named.entry(port.name.clone()).or_default();
            let pods = by_number.entry((port.protocol, port.number)).or_default();
            pods.insert(number);
        }
    }
    named
}

fn egress_names(policy: &Policy) -> impl Iterator<Item = Arc<str>> {
    let rules = policy.rules(Direction::Egress).unwrap_or_default();
    let lists = rules.iter().filter_map(|rule| match &rule.ports {
        Ports::Every => None,
        Ports::Only(list) => Some(list),
    });
    lists.flatten().filter_map(|port| match port {
        PortMatch::Named { name, .. } => Some(name.clone()),
        PortMatch::Numbers(_) => None,
    })
}
