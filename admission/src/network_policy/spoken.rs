//! What rules speak of within a region: for each port, which peers.
//!
//! Rules that do the same are taken together. Peers on equal ports become one set before any ports are looked at, and
//! whoever is spoken of on every port is left out of all else: a thousand rules beside one that lets everybody in cost
//! no more than that one.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use roaring::MultiOps as _;

use super::address::AddressSet;
use super::named::{NamedPods, numbers_of};
use super::pod::NamedPort;
use super::policy::{Action, Direction, PortMatch, Ports, Rule};
use super::port::{PortSet, Protocol};
use super::region::{PeerSet, Peers, Region, are_same};
use super::world::Compiled;

/// What rules that do the same speak of.
#[derive(Debug)]
pub(super) struct Spoken {
    pub(super) action: Action,
    /// The same in every group.
    pub(super) numbers: Region,
    /// What names mean depends on who is asked.
    named: Vec<(Option<Protocol>, Arc<str>, Peers)>,
}

impl Spoken {
    /// Whether something is meant by its name.
    pub(super) fn is_named(&self) -> bool {
        !self.named.is_empty()
    }

    /// What ports by their names add, in a group; None where none is meant by its name.
    pub(super) fn at_names(&self, ports: Option<&[NamedPort]>) -> Option<Region> {
        if self.named.is_empty() {
            return None;
        }
        let named = self.named.iter().map(|(protocol, name, peers)| {
            Region::on(&numbers_of(ports, *protocol, name), Peers::clone(peers))
        });
        Some(Region::union_all(named.collect()))
    }

    /// All of it, in a group.
    pub(super) fn region(&self, ports: Option<&[NamedPort]>) -> Cow<'_, Region> {
        match self.at_names(ports) {
            None => Cow::Borrowed(&self.numbers),
            Some(named) => Cow::Owned(self.numbers.union(&named)),
        }
    }
}

/// Within what is asked, and what names mean there.
pub(super) struct Scope<'a> {
    pub(super) direction: Direction,
    /// The pods that give a port a name, at the other end.
    pub(super) named: &'a HashMap<Arc<str>, NamedPods>,
    /// The ports on which there is somebody.
    pub(super) ports: &'a PortSet,
    /// Everybody who is asked about.
    pub(super) peers: &'a PeerSet,
    /// Whether these are all the pods there are.
    pub(super) everyone: bool,
}

/// A rule, and whom of its peers is asked about.
#[derive(Debug, Clone)]
pub(super) struct Asked<'a> {
    /// Its peers are not to be looked at.
    pub(super) rule: &'a Rule,
    pub(super) peers: Peers,
}

/// Whether they say the same of what is asked.
impl PartialEq for Asked<'_> {
    fn eq(&self, other: &Self) -> bool {
        let (rule, other_rule) = (self.rule, other.rule);
        rule.action == other_rule.action
            && rule.ports == other_rule.ports
            && are_same(&self.peers, &other.peers)
    }
}

/// Of how many sets it is quicker to make one by way of all numbers there are than one after the other.
const MANY: usize = 8;

/// Sets of peers, to be one.
#[derive(Default)]
struct Union(Vec<Peers>);

impl Union {
    fn add(&mut self, peers: &Peers) {
        self.0.push(Peers::clone(peers));
    }

    fn peers(self) -> Peers {
        if let [one] = self.0.as_slice() {
            return Peers::clone(one);
        }
        let mut all = PeerSet::default();
        if self.0.len() < MANY {
            for peers in &self.0 {
                all.pods |= &peers.pods;
            }
        } else {
            all.pods = self.0.iter().map(|peers| &peers.pods).union();
        }
        let addresses = self.0.iter().map(|peers| &peers.addresses);
        all.addresses = AddressSet::union_all(addresses.filter(|some| !some.is_empty()));
        all.into()
    }
}

impl Scope<'_> {
    /// The rules of a direction that may speak of what is asked, and of whom.
    pub(super) fn asked<'c>(&self, compiled: &'c Compiled) -> Vec<Asked<'c>> {
        let rules = compiled.rules(self.direction).filter(|(rule, peers)| {
            let is_anybody = self.everyone && !peers.pods.is_empty();
            self.may_meet(&rule.ports) && (is_anybody || peers.meets(self.peers))
        });
        rules
            .map(|(rule, peers)| Asked {
                rule,
                peers: self.limited(peers),
            })
            .collect()
    }

    fn may_meet(&self, ports: &Ports) -> bool {
        match ports {
            Ports::Every => true,
            Ports::Only(list) => list.iter().any(|port| match port {
                PortMatch::Numbers(numbers) => numbers.meets(self.ports),
                PortMatch::Named { .. } => true,
            }),
        }
    }

    fn limited(&self, peers: &PeerSet) -> Peers {
        let pods = if self.everyone {
            peers.pods.clone()
        } else {
            &peers.pods & &self.peers.pods
        };
        let addresses = peers.addresses.intersection(&self.peers.addresses);
        PeerSet { pods, addresses }.into()
    }

    /// What one rule speaks of, where destinations have these ports.
    pub(super) fn region(&self, rule: &Rule, peers: &Peers, ports: Option<&[NamedPort]>) -> Region {
        let list = match &rule.ports {
            Ports::Every => return Region::everywhere(Peers::clone(peers)),
            Ports::Only(list) => list,
        };
        let regions = list.iter().map(|port| match port {
            PortMatch::Numbers(numbers) => Region::on(numbers, Peers::clone(peers)),
            PortMatch::Named { protocol, name } => match self.direction {
                Direction::Ingress => {
                    Region::on(&numbers_of(ports, *protocol, name), Peers::clone(peers))
                }
                Direction::Egress => self.named_at(*protocol, name, peers),
            },
        });
        Region::union_all(regions.collect())
    }

    /// What rules speak of that all do what the first of them does.
    pub(super) fn spoken(&self, rules: &[Asked<'_>]) -> Spoken {
        let action = rules
            .first()
            .map_or(Action::Accept, |asked| asked.rule.action);
        let mut everywhere = Union::default();
        for Asked { rule, peers } in rules {
            if rule.ports == Ports::Every {
                everywhere.add(peers);
            }
        }
        let everywhere = everywhere.peers();
        let mut spoken = Spoken {
            action,
            numbers: Region::default(),
            named: Vec::new(),
        };
        if *everywhere != *self.peers {
            self.on_ports(rules, &everywhere, &mut spoken);
        }
        spoken.numbers = spoken.numbers.union(&Region::everywhere(everywhere));
        spoken
    }

    /// Of those rules that are about some ports, and of peers that are not known to be spoken of `everywhere`.
    fn on_ports(&self, rules: &[Asked<'_>], everywhere: &PeerSet, spoken: &mut Spoken) {
        let mut by_number: HashMap<PortSet, Union> = HashMap::new();
        let mut by_name: BTreeMap<(Option<Protocol>, &Arc<str>), Union> = BTreeMap::new();
        for Asked { rule, peers } in rules {
            let Ports::Only(list) = &rule.ports else {
                continue;
            };
            let mut numbers = Vec::new();
            for port in list {
                match port {
                    PortMatch::Numbers(ports) => numbers.push(ports),
                    PortMatch::Named { protocol, name } => {
                        by_name.entry((*protocol, name)).or_default().add(peers);
                    }
                }
            }
            let numbers = match numbers.as_slice() {
                [one] => PortSet::clone(one),
                many => PortSet::union_all(many.iter().copied()),
            };
            if numbers.meets(self.ports) {
                by_number.entry(numbers).or_default().add(peers);
            }
        }
        let others = |union: Union| {
            let peers = union.peers();
            if everywhere.is_empty() {
                return peers;
            }
            peers.difference(everywhere).into()
        };
        let numbers = by_number.into_iter();
        let mut regions: Vec<Region> = numbers
            .map(|(ports, peers)| Region::on(&ports, others(peers)))
            .collect();
        for ((protocol, name), peers) in by_name {
            let peers = others(peers);
            if peers.is_empty() {
                continue;
            }
            match self.direction {
                Direction::Ingress => spoken.named.push((protocol, Arc::clone(name), peers)),
                Direction::Egress => regions.push(self.named_at(protocol, name, &peers)),
            }
        }
        spoken.numbers = Region::union_all(regions);
    }

    /// The destinations among `peers` that give a port this name, each at its own number.
    fn named_at(&self, protocol: Option<Protocol>, name: &Arc<str>, peers: &PeerSet) -> Region {
        let named = self.named.get(name).into_iter().flatten();
        let regions = named.filter_map(|((of, number), pods)| {
            let is_meant = protocol.is_none_or(|protocol| protocol == *of);
            let pods = || PeerSet::of_pods(pods & &peers.pods);
            is_meant.then(|| Region::on(&PortSet::of(*of, *number, *number), pods()))
        });
        Region::union_all(regions.collect())
    }
}
