//! What pods allow in a direction: where the meaning of policies is, tier after tier, rule after rule, as sets.
//!
//! It is worked out within a region, for whoever asks about a change asks about what the change
//! can touch only, and rules that say nothing of that cost a glance. Many groups are asked
//! within the same region: what a rule speaks of there is worked out once, and so is what the Admin tier decides for
//! all groups that the same ones of its policies select, as ClusterNetworkPolicies are mostly about all of them.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::group::{Group, Grouping, PodPorts, numbers_of};
use super::pod::NamedPort;
use super::policy::{Action, Direction, PortMatch, Ports, Tier};
use super::port::{PortSet, Protocol};
use super::region::{PeerSet, Region};
use super::world::Compiled;

/// Policies by their place in the order, and the ports they may name.
type Deciding = (Vec<u32>, Option<PodPorts>);

/// What groups allow within a region.
pub(super) struct Sides<'a> {
    grouping: &'a Grouping,
    direction: Direction,
    within: &'a Region,
    /// The ports on which there is somebody within, and everybody within.
    hull: (PortSet, PeerSet),
    /// What each policy in the order speaks of within, once it was asked.
    spoken: Vec<OnceCell<Vec<Spoken>>>,
    /// What the Admin tier decides, by its policies and by the ports they may name.
    admin: RefCell<HashMap<Deciding, Rc<Decided>>>,
}

/// What a rule speaks of.
#[derive(Debug, Clone)]
enum Spoken {
    /// The same in every group.
    Always(Action, Region),
    /// By the number of the rule: what names mean depends on who is asked.
    ByPorts(usize, PeerSet),
}

/// How far it is decided.
#[derive(Debug, Clone)]
struct Decided {
    accepted: Region,
    /// What no rule spoke of, and what the tier passed on.
    undecided: Region,
}

impl<'a> Sides<'a> {
    pub(super) fn new(grouping: &'a Grouping, direction: Direction, within: &'a Region) -> Self {
        Sides {
            grouping,
            direction,
            within,
            hull: within.hull(),
            spoken: vec![OnceCell::new(); grouping.order.len()],
            admin: RefCell::default(),
        }
    }

    /// What a group allows; nothing where there is no such group.
    pub(super) fn of(&self, group: u32) -> Region {
        let partition = self.grouping.partition(self.direction);
        match partition.groups.get(group as usize) {
            Some(group) if !self.within.is_empty() => self.of_group(group),
            _ => Region::default(),
        }
    }

    fn of_group(&self, group: &Group) -> Region {
        let places = group.policies.as_slice();
        let (admin, others) =
            places.split_at(self.count(places, |tier| tier < Tier::NetworkPolicy));
        let (added, baseline) =
            others.split_at(self.count(others, |tier| tier == Tier::NetworkPolicy));
        if admin.is_empty() {
            return self.below(group, added, baseline, Region::default(), self.within);
        }
        let decided = self.admin(group, admin);
        let Decided {
            accepted,
            undecided,
        } = &*decided;
        self.below(group, added, baseline, accepted.clone(), undecided)
    }

    /// How many policies at the beginning are of a tier.
    fn count(&self, places: &[u32], is_of: impl Fn(Tier) -> bool) -> usize {
        let mut policies = self.policies(places);
        let first = policies.position(|compiled| !is_of(compiled.policy.tier));
        first.unwrap_or(places.len())
    }

    fn policies(&self, places: &[u32]) -> impl Iterator<Item = &'a Compiled> {
        let order = &self.grouping.order;
        let places = places.iter().copied();
        places.filter_map(|place| order.get(place as usize).map(|compiled| &**compiled))
    }

    fn admin(&self, group: &Group, places: &[u32]) -> Rc<Decided> {
        let mut policies = self.policies(places);
        // Only to a destination belong the names of its ports.
        let by_ports = self.direction == Direction::Ingress
            && policies.any(|compiled| compiled.policy.names_ports(self.direction));
        let key = (places.to_vec(), group.ports.clone().filter(|_| by_ports));
        if let Some(known) = self.admin.borrow().get(&key) {
            return Rc::clone(known);
        }
        let decided = Rc::new(self.tier(group, places, Region::default(), self.within));
        self.admin.borrow_mut().insert(key, Rc::clone(&decided));
        decided
    }

    /// What the policies of a tier of ClusterNetworkPolicies decide.
    fn tier(
        &self,
        group: &Group,
        places: &[u32],
        mut accepted: Region,
        undecided: &Region,
    ) -> Decided {
        let mut undecided = undecided.clone();
        let mut passed = Region::default();
        for place in places {
            for (action, spoken_of) in self.rules(group, *place) {
                let matched = spoken_of.intersection(&undecided);
                if matched.is_empty() {
                    continue;
                }
                undecided = undecided.difference(&matched);
                match action {
                    Action::Accept => accepted = accepted.union(matched),
                    Action::Pass => passed = passed.union(matched),
                    Action::Deny => {}
                }
            }
        }
        Decided {
            accepted,
            undecided: undecided.union(passed),
        }
    }

    /// What comes after the Admin tier: whoever NetworkPolicies select is isolated but for what they accept; others
    /// ask the Baseline tier.
    fn below(
        &self,
        group: &Group,
        added: &[u32],
        baseline: &[u32],
        accepted: Region,
        undecided: &Region,
    ) -> Region {
        if added.is_empty() {
            let Decided {
                accepted,
                undecided,
            } = self.tier(group, baseline, accepted, undecided);
            return accepted.union(undecided);
        }
        let rules = added.iter().flat_map(|place| self.rules(group, *place));
        let rules = rules.map(|(_, spoken_of)| spoken_of.into_owned());
        let added = Region::union_all(rules.collect());
        accepted.union(added.intersection(undecided))
    }

    /// What the rules of a policy speak of within, for a group.
    fn rules<'s>(
        &'s self,
        group: &'s Group,
        place: u32,
    ) -> impl Iterator<Item = (Action, Cow<'s, Region>)> {
        let policy = self.grouping.order.get(place as usize);
        let spoken = self.spoken.get(place as usize).zip(policy);
        let spoken =
            spoken.map(|(cell, policy)| (cell.get_or_init(|| self.spoken(policy)), policy));
        let each = |(list, compiled): (&'s Vec<Spoken>, &'s Arc<Compiled>)| {
            let rules = compiled.policy.rules(self.direction).unwrap_or_default();
            list.iter().filter_map(move |spoken| match spoken {
                Spoken::Always(action, region) => Some((*action, Cow::Borrowed(region))),
                Spoken::ByPorts(at, peers) => {
                    let rule = rules.get(*at)?;
                    let region = self.rule(group.ports.as_deref(), &rule.ports, peers);
                    Some((rule.action, Cow::Owned(region)))
                }
            })
        };
        spoken.map(each).into_iter().flatten()
    }

    fn spoken(&self, compiled: &Compiled) -> Vec<Spoken> {
        let rules = compiled.policy.rules(self.direction).unwrap_or_default();
        let rules = rules.iter().zip(compiled.peers(self.direction)).enumerate();
        let spoken = rules.filter_map(|(at, (rule, peers))| {
            if !self.may_meet(&rule.ports) {
                return None;
            }
            let peers = peers.intersection(&self.hull.1);
            if peers.is_empty() {
                return None;
            }
            if self.direction == Direction::Ingress && rule.ports.numbers().is_none() {
                return Some(Spoken::ByPorts(at, peers));
            }
            let region = self.rule(None, &rule.ports, &peers);
            (!region.is_empty()).then_some(Spoken::Always(rule.action, region))
        });
        spoken.collect()
    }

    fn may_meet(&self, ports: &Ports) -> bool {
        match ports {
            Ports::Every => true,
            Ports::Only(list) => list.iter().any(|port| match port {
                PortMatch::Numbers(numbers) => numbers.meets(&self.hull.0),
                PortMatch::Named { .. } => true,
            }),
        }
    }

    fn rule(&self, named: Option<&[NamedPort]>, ports: &Ports, peers: &PeerSet) -> Region {
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
                PortMatch::Named { protocol, name } => match self.direction {
                    Direction::Ingress => {
                        let numbers = numbers_of(named, *protocol, name);
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
        let named = self.grouping.named.get(name);
        let regions = named
            .into_iter()
            .flatten()
            .filter_map(|((of, number), pods)| {
                let is_meant = protocol.is_none_or(|protocol| protocol == *of);
                let pods = || PeerSet::of_pods(pods & &peers.pods);
                is_meant.then(|| Region::on(&PortSet::of(*of, *number, *number), &pods()))
            });
        Region::union_all(regions.collect())
    }
}
