//! Ports by their names: what containers give names to, and which policies name them.
//!
//! Two pods are alike to a policy if they are alike in what it names. So the names of each policy are read once, and
//! of a pod's ports only those count that somebody who selects it asks for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::pod::NamedPort;
use super::policy::{Direction, Policy, PortMatch, Ports};
use super::port::{PortSet, Protocol};
use super::world::{Compiled, World};

/// The named ports of a pod.
pub(super) type PodPorts = Arc<[NamedPort]>;

/// The pods that give a port a name, by the port.
pub(super) type NamedPods = BTreeMap<(Protocol, u16), RoaringBitmap>;

/// The names that the rules of a direction name, by the place of their policy in the order.
#[derive(Debug, Default)]
pub(super) struct Naming(HashMap<u32, BTreeSet<Arc<str>>>);

impl Naming {
    pub(super) fn of(order: &[Arc<Compiled>], direction: Direction) -> Self {
        let mut naming = Naming::default();
        for (place, compiled) in order.iter().enumerate() {
            let names: BTreeSet<Arc<str>> = names(&compiled.policy, direction).collect();
            if !names.is_empty() {
                naming.0.insert(place as u32, names);
            }
        }
        naming
    }

    /// Whether one of some policies names a port.
    pub(super) fn is_any(&self, places: &[u32]) -> bool {
        !self.0.is_empty() && places.iter().any(|place| self.0.contains_key(place))
    }

    /// What some policies name.
    fn by(&self, places: &[u32]) -> BTreeSet<Arc<str>> {
        let sets = places.iter().filter_map(|place| self.0.get(place));
        let mut names = BTreeSet::new();
        for set in sets {
            if !set.is_subset(&names) {
                names.extend(set.iter().cloned());
            }
        }
        names
    }

    /// Pods by what they give the names that some policies name, those with the first pod first.
    pub(super) fn kinds(
        &self,
        places: &[u32],
        members: &RoaringBitmap,
        world: &World,
    ) -> Vec<(PodPorts, RoaringBitmap)> {
        // Most pods share their ports with others, and are told apart by where these are kept.
        let mut kept: HashMap<*const [NamedPort], (&PodPorts, RoaringBitmap)> = HashMap::new();
        for number in members {
            if let Some(pod) = world.pod(number) {
                let kind = kept.entry(Arc::as_ptr(&pod.ports));
                let (_, pods) = kind.or_insert_with(|| (&pod.ports, RoaringBitmap::new()));
                pods.insert(number);
            }
        }
        let names = self.by(places);
        let mut kinds: BTreeMap<PodPorts, RoaringBitmap> = BTreeMap::new();
        for (ports, pods) in kept.into_values() {
            let named = ports.iter().filter(|port| names.contains(&port.name));
            *kinds.entry(named.cloned().collect()).or_default() |= pods;
        }
        let mut kinds: Vec<(PodPorts, RoaringBitmap)> = kinds.into_iter().collect();
        kinds.sort_unstable_by_key(|(_, members)| members.min());
        kinds
    }

    /// The pods behind the names, by name and by the port it is.
    pub(super) fn pods(&self, world: &World) -> HashMap<Arc<str>, NamedPods> {
        let wanted: BTreeSet<&Arc<str>> = self.0.values().flatten().collect();
        let mut named: HashMap<Arc<str>, NamedPods> = HashMap::new();
        if wanted.is_empty() {
            return named;
        }
        for number in world.everyone() {
            let ports = world.pod(number).map(|pod| pod.ports.iter());
            let ports = ports.into_iter().flatten();
            for port in ports.filter(|port| wanted.contains(&port.name)) {
                let by_number = named.entry(port.name.clone()).or_default();
                let pods = by_number.entry((port.protocol, port.number)).or_default();
                pods.insert(number);
            }
        }
        named
    }
}

fn names(policy: &Policy, direction: Direction) -> impl Iterator<Item = Arc<str>> {
    let rules = policy.rules(direction).unwrap_or_default();
    let lists = rules.iter().filter_map(|rule| match &rule.ports {
        Ports::Every => None,
        Ports::Only(list) => Some(list),
    });
    lists.flatten().filter_map(|port| match port {
        PortMatch::Named { name, .. } => Some(name.clone()),
        PortMatch::Numbers(_) => None,
    })
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
