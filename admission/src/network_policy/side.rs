//! What pods allow in a direction: where the meaning of policies is, tier after tier, rule after rule, as sets.
//!
//! It is worked out within a region, for whoever asks about a change asks about what the change
//! can touch only, and rules that say nothing of that cost a glance. Many groups are asked
//! within the same region, and most of what they are asked is the same. So it is worked out once what a
//! ClusterNetworkPolicy speaks of, what the Admin tier decides for all groups that the same ones of its policies select, and
//! what comes of that for all that the same policies select and whose ports have other numbers only. Namespaces that were made
//! from one template have policies of their own, which say the same of what is asked: what comes of these is worked out once,
//! too, and its region is kept in one place, so that whoever has it by then need not compare.

use std::borrow::Cow;
use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::rc::Rc;
use std::sync::Arc;

use super::first::First;
use super::group::Grouping;
use super::partition::{Group, Kin, Selecting};
use super::pod::NamedPort;
use super::policy::{Action, Direction};
use super::port::PortSet;
use super::quick::{Multiplied, Quick};
use super::region::{PeerSet, Peers, Region};
use super::spoken::{Asked, Scope, Spoken};
use super::world::Compiled;

/// What was worked out already, by numbers of what it depends on and places where that is kept.
type Known<K, V> = RefCell<Quick<K, Rc<V>>>;

/// The same, by a number of which there are few.
struct Numbered<V>(RefCell<Vec<Option<Rc<V>>>>);

/// Policies that select a group, by a number, and where the ports are kept that they may name.
type Selected = (u32, Option<*const [NamedPort]>);

/// A region within which is asked what groups allow, and what is the same before and after a change.
pub(super) struct Within<'a> {
    region: Rc<Region>,
    direction: Direction,
    /// The ports on which there is somebody, and everybody.
    hull: (PortSet, PeerSet),
    /// Whom the rules of policies speak of, by where these are kept.
    asked: Known<*const Compiled, Vec<Asked<'a>>>,
    alike: RefCell<Alike<'a>>,
}

/// What groups allow within a region.
pub(super) struct Sides<'a> {
    grouping: &'a Grouping,
    within: Rc<Within<'a>>,
    /// Whether everybody within is all the pods there are.
    everyone: bool,
    /// What is decided before any policy is asked.
    nothing: Rc<Decided>,
    nobody: Rc<Region>,
    groups: Numbered<Region>,
    /// What each ClusterNetworkPolicy speaks of within, in turn.
    spoken: Numbered<Vec<Spoken>>,
    /// What the Admin tier decides, by which of its policies select a group.
    admin: Known<Selected, Decided>,
    /// By the kin of a group, and ports that the Admin tier may name.
    bases: Known<Selected, Base>,
    /// By what was decided before, and the rules that are asked then.
    by_rules: Known<(*const Decided, Vec<*const Vec<Asked<'a>>>), Base>,
    /// By what comes of rules, and ports that they name.
    at_names: Known<(*const Base, Option<*const [NamedPort]>), Region>,
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
    /// Whether they speak of nobody but within that.
    is_within: bool,
}

/// What is known, or else what `work` makes of it.
fn known<K: Eq + Hash, V>(all: &Known<K, V>, key: K, work: impl FnOnce() -> Rc<V>) -> Rc<V> {
    if let Some(known) = all.borrow().get(&key) {
        return Rc::clone(known);
    }
    let fresh = work();
    all.borrow_mut().insert(key, Rc::clone(&fresh));
    fresh
}

impl<V> Default for Numbered<V> {
    fn default() -> Self {
        Numbered(RefCell::default())
    }
}

impl<V> Numbered<V> {
    /// What is known, or else what `work` makes of it.
    fn known(&self, number: u32, work: impl FnOnce() -> Rc<V>) -> Rc<V> {
        let at = number as usize;
        if let Some(Some(known)) = self.0.borrow().get(at) {
            return Rc::clone(known);
        }
        let fresh = work();
        let mut all = self.0.borrow_mut();
        if all.len() <= at {
            all.resize(at + 1, None);
        }
        if let Some(slot) = all.get_mut(at) {
            *slot = Some(Rc::clone(&fresh));
        }
        fresh
    }
}

impl Within<'_> {
    pub(super) fn new(region: Rc<Region>, direction: Direction) -> Self {
        Within {
            hull: region.hull(),
            region,
            direction,
            asked: RefCell::default(),
            alike: RefCell::default(),
        }
    }
}

impl<'a> Sides<'a> {
    pub(super) fn new(grouping: &'a Grouping, within: &Rc<Within<'a>>) -> Self {
        let (_, peers) = &within.hull;
        Sides {
            grouping,
            everyone: grouping.everyone.is_subset(&peers.pods),
            nothing: Rc::new(Decided {
                accepted: Rc::default(),
                undecided: Rc::clone(&within.region),
            }),
            within: Rc::clone(within),
            nobody: Rc::default(),
            groups: Numbered::default(),
            spoken: Numbered::default(),
            admin: RefCell::default(),
            bases: RefCell::default(),
            by_rules: RefCell::default(),
            at_names: RefCell::default(),
        }
    }

    /// What a group allows; nothing where there is no such group. It stays where it is for as long as these sides do, so that
    /// whoever compares sides may go by that.
    pub(super) fn of(&self, group: u32) -> Rc<Region> {
        let partition = self.grouping.partition(self.within.direction);
        match partition.kin(group) {
            Some((of, kin, admin)) if !self.within.region.is_empty() => {
                (self.groups).known(group, || self.of_group(of, kin, admin))
            }
            _ => Rc::clone(&self.nobody),
        }
    }

    fn of_group(&self, group: &Group, kin: &Kin, admin: &Selecting) -> Rc<Region> {
        // Whoever NetworkPolicies select is isolated but for what they accept; others ask the Baseline tier.
        let (added, baseline) = self.grouping.after_admin(&kin.others);
        let ports = group.ports.as_deref();
        if added.is_empty() {
            let decided = self.admin(group, kin, admin);
            if baseline.is_empty() && decided.accepted.is_empty() {
                return Rc::clone(&decided.undecided);
            }
            let last = self.tier(ports, baseline, &decided);
            return Rc::new(last.accepted.union(&last.undecided));
        }
        let key = (group.kin, self.named_by(group, admin));
        let base = known(&self.bases, key, || {
            self.base(&self.admin(group, kin, admin), added)
        });
        if !base.spoken.is_named() {
            return Rc::clone(&base.accepted);
        }
        let key = (Rc::as_ptr(&base), group.ports.as_ref().map(Arc::as_ptr));
        known(&self.at_names, key, || {
            let named = base.spoken.at_names(ports).unwrap_or_default();
            let named = if base.is_within {
                named
            } else {
                named.intersection(&base.undecided)
            };
            Rc::new(base.accepted.union(&named))
        })
    }

    /// The ports of a group, if some policies name any: only to a destination belong the names of its ports.
    fn named_by(&self, group: &Group, selecting: &Selecting) -> Option<*const [NamedPort]> {
        let by_ports = self.within.direction == Direction::Ingress && selecting.names;
        group.ports.as_ref().filter(|_| by_ports).map(Arc::as_ptr)
    }

    fn admin(&self, group: &Group, kin: &Kin, admin: &Selecting) -> Rc<Decided> {
        if admin.places.is_empty() {
            return Rc::clone(&self.nothing);
        }
        let key = (kin.admin, self.named_by(group, admin));
        known(&self.admin, key, || {
            Rc::new(self.tier(group.ports.as_deref(), &admin.places, &self.nothing))
        })
    }

    /// What the policies of a tier of ClusterNetworkPolicies decide of what was not decided.
    fn tier(&self, ports: Option<&[NamedPort]>, places: &[u32], before: &Decided) -> Decided {
        if let Some(decided) = self.tier_by_pods(ports, places, before) {
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
            let regions = alike.iter().map(|one| one.region(ports));
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
    fn tier_by_pods(
        &self,
        ports: Option<&[NamedPort]>,
        places: &[u32],
        before: &Decided,
    ) -> Option<Decided> {
        let mut regions = Vec::new();
        for place in places {
            for Asked { rule, peers } in self.asked(*place).iter() {
                let region = self.scope().region(rule, peers, ports);
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
        self.spoken.known(place, || {
            let rules = self.asked(place);
            let alike = rules.chunk_by(|one, next| one.rule.action == next.rule.action);
            Rc::new(alike.map(|rules| self.scope().spoken(rules)).collect())
        })
    }

    /// The rules of a policy that may speak of what is within, and of whom.
    fn asked(&self, place: u32) -> Rc<Vec<Asked<'a>>> {
        let Some(compiled) = self.grouping.order.get(place as usize) else {
            return Rc::default();
        };
        known(&self.within.asked, Arc::as_ptr(compiled), || {
            let asked = self.scope().asked(compiled);
            self.within.alike.borrow_mut().asked(asked)
        })
    }

    fn scope(&self) -> Scope<'_> {
        let (ports, peers) = &self.within.hull;
        Scope {
            direction: self.within.direction,
            named: &self.grouping.named,
            ports,
            peers,
            everyone: self.everyone,
        }
    }

    /// What is accepted of all that comes after the Admin tier, but for ports that have other numbers in each group. Policies
    /// of many namespaces say the same of what is asked.
    fn base(&self, decided: &Rc<Decided>, added: &[u32]) -> Rc<Base> {
        let mut all: Vec<Rc<Vec<Asked<'a>>>> = Vec::new();
        if !decided.undecided.is_empty() {
            all.extend(added.iter().map(|place| self.asked(*place)));
        }
        all.retain(|asked| !asked.is_empty());
        all.sort_unstable_by_key(Rc::as_ptr);
        all.dedup_by_key(|asked| Rc::as_ptr(asked));
        let key = all.iter().map(Rc::as_ptr).collect();
        known(&self.by_rules, (Rc::as_ptr(decided), key), || {
            let rules: Vec<Asked<'_>> =
                all.iter().flat_map(|asked| asked.iter().cloned()).collect();
            let spoken = self.scope().spoken(&rules);
            // Nobody speaks of others than those that are asked about.
            let is_within =
                Rc::ptr_eq(&decided.undecided, &self.within.region) && self.within.region.is_even();
            let accepted = if is_within {
                spoken.numbers.clone()
            } else {
                let numbers = spoken.numbers.intersection(&decided.undecided);
                decided.accepted.union(&numbers)
            };
            Rc::new(Base {
                accepted: Rc::new(accepted),
                spoken,
                undecided: Rc::clone(&decided.undecided),
                is_within,
            })
        })
    }
}

/// Rules and peers that were found before, by what is quick to tell of them, so that what is the same is kept in one place.
#[derive(Default)]
struct Alike<'a> {
    peers: Quick<u64, Vec<Peers>>,
    asked: Quick<u64, Vec<Rc<Vec<Asked<'a>>>>>,
}

/// With how many that look alike something is compared.
const ALIKE_MAX: usize = 8;

/// What is the same as `fresh`, or else that.
fn same<T: PartialEq>(alike: &mut Vec<Rc<T>>, fresh: Rc<T>) -> Rc<T> {
    if let Some(known) = alike.iter().find(|known| ***known == *fresh) {
        return Rc::clone(known);
    }
    if alike.len() < ALIKE_MAX {
        alike.push(Rc::clone(&fresh));
    }
    fresh
}

impl<'a> Alike<'a> {
    fn asked(&mut self, mut asked: Vec<Asked<'a>>) -> Rc<Vec<Asked<'a>>> {
        let mut shape = Multiplied::default();
        for asked in &mut asked {
            let mut of_peers = DefaultHasher::new();
            asked.peers.look().hash(&mut of_peers);
            let alike = self.peers.entry(of_peers.finish()).or_default();
            asked.peers = same(alike, Rc::clone(&asked.peers));
            Rc::as_ptr(&asked.peers).hash(&mut shape);
        }
        let alike = self.asked.entry(shape.finish()).or_default();
        same(alike, Rc::new(asked))
    }
}
