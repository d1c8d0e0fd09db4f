//! What pods allow in a direction: where the meaning of policies is, tier after tier, rule after rule, as sets.
//!
//! It is worked out within a region, for whoever asks about a change asks about what the change
//! can touch only, and rules that say nothing of that cost a glance. Many groups are asked
//! within the same region, and most of what they are asked is the same. So it is worked out once what a
//! ClusterNetworkPolicy speaks of, what the Admin tier decides for all groups that the same ones of its policies select, and
//! what comes of that for all that the same policies select and whose ports have other numbers only.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::first::First;
use super::group::{Group, Grouping};
use super::named::PodPorts;
use super::policy::{Action, Direction};
use super::port::PortSet;
use super::region::{PeerSet, Region};
use super::spoken::{Asked, Scope, Spoken};

/// Policies by their place in the order, and the ports they may name.
type Deciding = (Vec<u32>, Option<PodPorts>);

/// What was worked out already, by what it depends on.
type Known<K, V> = RefCell<HashMap<K, Rc<V>>>;

/// What groups allow within a region.
pub(super) struct Sides<'a> {
    grouping: &'a Grouping,
    direction: Direction,
    within: Rc<Region>,
    /// The ports on which there is somebody within, and everybody within.
    hull: (PortSet, PeerSet),
    /// Whether everybody within is all the pods there are.
    everyone: bool,
    groups: Known<u32, Region>,
    /// Whom each policy's rules speak of within.
    asked: Known<u32, Vec<Asked<'a>>>,
    /// What each ClusterNetworkPolicy speaks of within, in turn.
    spoken: Known<u32, Vec<Spoken>>,
    /// What the Admin tier decides.
    admin: Known<Deciding, Decided>,
    /// What was asked last of it: most groups have the same policies there.
    last_admin: RefCell<Option<(Deciding, Rc<Decided>)>>,
    /// By the first of the groups that the same policies select, and ports that the Admin tier may name.
    bases: Known<(u32, Option<PodPorts>), Base>,
}

/// How far it is decided.
#[derive(Debug, Clone)]
struct Decided {
    accepted: Rc<Region>,
    /// What no rule spoke of, and what the tier passed on.
    undecided: Rc<Region>,
}

/// What NetworkPolicies leave to decide by the numbers of named ports.
#[derive(Debug)]
struct Base {
    accepted: Rc<Region>,
    /// What NetworkPolicies speak of, and within what they are asked.
    spoken: Spoken,
    undecided: Rc<Region>,
}

/// What is known, or else what `work` makes of it.
fn known<K: Eq + std::hash::Hash, V>(all: &Known<K, V>, key: K, work: impl FnOnce() -> V) -> Rc<V> {
    if let Some(known) = all.borrow().get(&key) {
        return Rc::clone(known);
    }
    let fresh = Rc::new(work());
    all.borrow_mut().insert(key, Rc::clone(&fresh));
    fresh
}

impl<'a> Sides<'a> {
    pub(super) fn new(grouping: &'a Grouping, direction: Direction, within: Rc<Region>) -> Self {
        let hull = within.hull();
        Sides {
            grouping,
            direction,
            everyone: grouping.everyone.is_subset(&hull.1.pods),
            hull,
            within,
            groups: RefCell::default(),
            asked: RefCell::default(),
            spoken: RefCell::default(),
            admin: RefCell::default(),
            last_admin: RefCell::default(),
            bases: RefCell::default(),
        }
    }

    /// What a group allows; nothing where there is no such group.
    pub(super) fn of(&self, group: u32) -> Rc<Region> {
        let partition = self.grouping.partition(self.direction);
        match partition.groups.get(group as usize) {
            Some(of) if !self.within.is_empty() => {
                if let Some(known) = self.groups.borrow().get(&group) {
                    return Rc::clone(known);
                }
                let region = self.of_group(of);
                (self.groups.borrow_mut()).insert(group, Rc::clone(&region));
                region
            }
            _ => Rc::default(),
        }
    }

    fn of_group(&self, group: &Group) -> Rc<Region> {
        let places = group.policies.as_slice();
        let tier = &self.grouping.network_policies;
        let before = |end: u32| places.partition_point(|place| *place < end);
        let (others, baseline) = places.split_at(before(tier.end));
        let (admin, added) = others.split_at(before(tier.start));
        // Whoever NetworkPolicies select is isolated but for what they accept; others ask the Baseline tier.
        if added.is_empty() {
            let decided = self.admin(group, admin);
            if baseline.is_empty() && decided.accepted.is_empty() {
                return Rc::clone(&decided.undecided);
            }
            let last = self.tier(group, baseline, &decided);
            return Rc::new(last.accepted.union(&last.undecided));
        }
        let key = (group.kin, self.ports(group, admin).cloned());
        let base = known(&self.bases, key, || self.base(group, admin, added));
        match base.spoken.at_names(group.ports.as_deref()) {
            None => Rc::clone(&base.accepted),
            Some(named) => {
                let named = named.intersection(&base.undecided);
                Rc::new(base.accepted.union(&named))
            }
        }
    }

    /// The ports of a group, if some policies name any: only to a destination belong the names of its ports.
    fn ports<'g>(&self, group: &'g Group, places: &[u32]) -> Option<&'g PodPorts> {
        let by_ports = self.direction == Direction::Ingress
            && self.grouping.naming(self.direction).is_any(places);
        group.ports.as_ref().filter(|_| by_ports)
    }

    fn admin(&self, group: &Group, places: &[u32]) -> Rc<Decided> {
        if places.is_empty() {
            return Rc::new(Decided {
                accepted: Rc::default(),
                undecided: Rc::clone(&self.within),
            });
        }
        let ports = self.ports(group, places);
        if let Some(((known, of), decided)) = &*self.last_admin.borrow()
            && known == places
            && of.as_ref() == ports
        {
            return Rc::clone(decided);
        }
        let key = (places.to_vec(), ports.cloned());
        let decided = known(&self.admin, key.clone(), || {
            let nothing = Decided {
                accepted: Rc::default(),
                undecided: Rc::clone(&self.within),
            };
            self.tier(group, places, &nothing)
        });
        *self.last_admin.borrow_mut() = Some((key, Rc::clone(&decided)));
        decided
    }

    /// What the policies of a tier of ClusterNetworkPolicies decide of what was not decided.
    fn tier(&self, group: &Group, places: &[u32], before: &Decided) -> Decided {
        if let Some(decided) = self.tier_by_pods(group, places, before) {
            return decided;
        }
        let policies: Vec<_> = places.iter().map(|place| self.spoken(*place)).collect();
        let all: Vec<&Spoken> = policies.iter().flat_map(|spoken| spoken.iter()).collect();
        let passes = all.iter().any(|spoken| spoken.action == Action::Pass);
        let mut accepted = Region::clone(&before.accepted);
        let mut open = Region::clone(&before.undecided);
        let mut denied = Region::default();
        // What rules that follow each other do alike is one.
        for alike in all.chunk_by(|one, next| one.action == next.action) {
            let Some(first) = alike.first() else { continue };
            if open.is_empty() {
                break;
            }
            let regions = alike.iter().map(|one| one.region(group.ports.as_deref()));
            let region = Region::union_all(regions.map(Cow::into_owned).collect());
            match first.action {
                Action::Accept => accepted = accepted.union(&region.intersection(&open)),
                Action::Deny if passes => denied = denied.union(&region.intersection(&open)),
                Action::Deny | Action::Pass => {}
            }
            open = open.difference(&region);
        }
        let undecided = if passes {
            // With what is accepted, which stays so whatever others say.
            Region::clone(&before.undecided).difference(&denied)
        } else {
            open
        };
        Decided {
            accepted: Rc::new(accepted),
            undecided: Rc::new(undecided),
        }
    }

    /// The same, where that is told sooner pod by pod.
    fn tier_by_pods(&self, group: &Group, places: &[u32], before: &Decided) -> Option<Decided> {
        let mut regions = Vec::new();
        for place in places {
            for (rule, peers) in self.asked(*place).iter() {
                let region = self.scope().region(rule, peers, group.ports.as_deref());
                regions.push((rule.action, region));
            }
        }
        let First { accepted, denied } = First::of(&regions)?;
        let passes = regions.iter().any(|(action, _)| *action == Action::Pass);
        let spoken = if passes {
            denied
        } else {
            Region::union_all(regions.into_iter().map(|(_, region)| region).collect())
        };
        let accepted = accepted.intersection(&before.undecided);
        Some(Decided {
            accepted: Rc::new(before.accepted.union(&accepted)),
            undecided: Rc::new(Region::clone(&before.undecided).difference(&spoken)),
        })
    }

    fn spoken(&self, place: u32) -> Rc<Vec<Spoken>> {
        known(&self.spoken, place, || {
            let rules = self.asked(place);
            let alike = rules.chunk_by(|(one, _), (next, _)| one.action == next.action);
            alike.map(|rules| self.scope().spoken(rules)).collect()
        })
    }

    /// The rules of a policy that may speak of what is within, and of whom.
    fn asked(&self, place: u32) -> Rc<Vec<Asked<'a>>> {
        known(&self.asked, place, || {
            let compiled = self.grouping.order.get(place as usize);
            compiled.map_or_else(Vec::new, |compiled| self.scope().asked(compiled))
        })
    }

    fn scope(&self) -> Scope<'_> {
        let (ports, peers) = &self.hull;
        Scope {
            direction: self.direction,
            named: &self.grouping.named,
            ports,
            peers,
            everyone: self.everyone,
        }
    }

    /// What is accepted of all that comes after the Admin tier, but for ports that have other numbers in each group.
    fn base(&self, group: &Group, admin: &[u32], added: &[u32]) -> Base {
        let decided = self.admin(group, admin);
        let mut rules: Vec<Asked<'_>> = Vec::new();
        if !decided.undecided.is_empty() {
            for place in added {
                rules.extend(self.asked(*place).iter().cloned());
            }
        }
        let spoken = self.scope().spoken(&rules);
        // Nobody speaks of others than those that are asked about.
        if Rc::ptr_eq(&decided.undecided, &self.within) && self.within.is_even() {
            return Base {
                accepted: Rc::new(spoken.numbers.clone()),
                spoken,
                undecided: Rc::clone(&decided.undecided),
            };
        }
        let numbers = spoken.numbers.intersection(&decided.undecided);
        Base {
            accepted: Rc::new(decided.accepted.union(&numbers)),
            spoken,
            undecided: Rc::clone(&decided.undecided),
        }
    }
}
