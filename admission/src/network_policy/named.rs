//! Ports by their names: what containers give names to, and which policies name them.
//!
//! Two pods are alike to a policy if they are alike in what it names. So the names of each policy are read once, and
//! of a pod's ports only those count that somebody who selects it asks for.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::pod::NamedPort;
use super::policy::{Direction, Policy, PortMatch, Ports};
use super::port::{PortSet, Protocol};
use super::quick::Quick;
use super::world::{Compiled, World};

/// The named ports of a pod.
pub(super) type PodPorts = Arc<[NamedPort]>;

/// The pods that give a port a name, by the port.
pub(super) type NamedPods = BTreeMap<(Protocol, u16), RoaringBitmap>;

/// The names that the rules of a direction name: sets of them, and which of these each policy has, by its place in the order.
#[derive(Debug, Default)]
pub(super) struct Naming {
    sets: Vec<BTreeSet<Arc<str>>>,
    of: Vec<Option<u32>>,
}

impl Naming {
    pub(super) fn of(order: &[Arc<Compiled>], direction: Direction) -> Self {
        let mut naming = Naming::default();
        let mut known: HashMap<BTreeSet<Arc<str>>, u32> = HashMap::new();
        for compiled in order {
            let names: BTreeSet<Arc<str>> = names(&compiled.policy, direction).collect();
            let set = (!names.is_empty()).then(|| {
                *known.entry(names).or_insert_with_key(|names| {
                    naming.sets.push(names.clone());
                    naming.sets.len() as u32 - 1
                })
            });
            naming.of.push(set);
        }
        naming
    }

    /// Whether any policy names a port.
    pub(super) fn is_there(&self) -> bool {
        !self.sets.is_empty()
    }

    /// Whether one of some policies names a port.
    pub(super) fn is_any(&self, places: &[u32]) -> bool {
        self.is_there() && places.iter().any(|place| self.set(*place).is_some())
    }

    fn set(&self, place: u32) -> Option<u32> {
        self.of.get(place as usize).copied().flatten()
    }

    /// The pods behind the names, by name and by the port it is.
    pub(super) fn pods(&self, world: &World) -> HashMap<Arc<str>, NamedPods> {
        let wanted: BTreeSet<&Arc<str>> = self.sets.iter().flatten().collect();
        let mut named: HashMap<Arc<str>, NamedPods> = HashMap::new();
        if wanted.is_empty() {
            return named;
        }
        // Most pods share their ports with others, and are told apart by where these are kept.
        let mut kept: Quick<*const [NamedPort], (&PodPorts, Vec<u32>)> = Quick::default();
        for number in world.everyone() {
            if let Some(pod) = world.pod(number) {
                let kind = kept.entry(Arc::as_ptr(&pod.ports));
                let (_, pods) = kind.or_insert_with(|| (&pod.ports, Vec::new()));
                pods.push(number);
            }
        }
        for (ports, pods) in kept.into_values() {
            // They are in order, so that there is no error.
            let pods = RoaringBitmap::from_sorted_iter(pods).unwrap_or_default();
            for port in ports.iter().filter(|port| wanted.contains(&port.name)) {
                let by_number = named.entry(port.name.clone()).or_default();
                *(by_number.entry((port.protocol, port.number))).or_default() |= &pods;
            }
        }
        named
    }
}

/// Pods by what they give the names that some policies name.
pub(super) struct Kinds<'a> {
    naming: &'a Naming,
    world: &'a World,
    /// What is named by policies with certain sets, by these.
    numbers: HashMap<Vec<u32>, u32>,
    names: Vec<BTreeSet<Arc<str>>>,
    /// By what is named, and by where the ports of pods are kept.
    known: Quick<(u32, *const [NamedPort]), PodPorts>,
    /// Each of them once.
    shared: HashSet<PodPorts>,
}

impl<'a> Kinds<'a> {
    pub(super) fn new(naming: &'a Naming, world: &'a World) -> Self {
        Kinds {
            naming,
            world,
            numbers: HashMap::new(),
            names: Vec::new(),
            known: Quick::default(),
            shared: HashSet::new(),
        }
    }

    /// A number for what some policies name; None where they name nothing.
    pub(super) fn names<'p>(&mut self, places: impl Iterator<Item = &'p u32>) -> Option<u32> {
        let mut sets: Vec<u32> = places.filter_map(|place| self.naming.set(*place)).collect();
        sets.sort_unstable();
        sets.dedup();
        if sets.is_empty() {
            return None;
        }
        let number = self.numbers.entry(sets).or_insert_with_key(|sets| {
            let sets = (sets.iter()).filter_map(|set| self.naming.sets.get(*set as usize));
            self.names.push(sets.flatten().cloned().collect());
            self.names.len() as u32 - 1
        });
        Some(*number)
    }

    /// Of the ports of a pod those that are named so, kept in one place for all that have the same.
    pub(super) fn of(&mut self, names: u32, pod: u32) -> Option<PodPorts> {
        let ports = &self.world.pod(pod)?.ports;
        let key = (names, Arc::as_ptr(ports));
        if let Some(known) = self.known.get(&key) {
            return Some(Arc::clone(known));
        }
        let wanted = self.names.get(names as usize)?;
        let named = ports.iter().filter(|port| wanted.contains(&port.name));
        let named: PodPorts = named.cloned().collect();
        let named = match self.shared.get(&named) {
            Some(known) => Arc::clone(known),
            None => named,
        };
        self.shared.insert(Arc::clone(&named));
        self.known.insert(key, Arc::clone(&named));
        Some(named)
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
