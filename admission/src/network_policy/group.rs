//! Pods that the same policies select, taken together.
//!
//! What a pod lets in is decided by which policies select it, and by the numbers its named
//! ports have where one of them names a port; what it may send, by which policies select it.
//! Ten thousand pods are a few hundred such groups, and everything that is asked about sets of
//! pods is asked of groups.
//!
//! What a group allows is worked out in [`side`](super::side).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::named::{NamedPods, Naming, PodPorts};
use super::policy::{Direction, Tier};
use super::world::{Compiled, World};

/// A pod that is in no group: there is no such pod.
pub(super) const NO_GROUP: u32 = u32::MAX;

/// How many pods are put into their groups one by one in the time in which one group is intersected.
const PODS_OF_A_GROUP: usize = 8;

/// Pods in groups that are numbered.
pub(super) trait Groups {
    fn len(&self) -> usize;
    fn members(&self, group: u32) -> Option<&RoaringBitmap>;
    fn group_of(&self, pod: u32) -> u32;
}

/// The groups that some pods are in, with their part of each.
pub(super) fn parts(pods: &RoaringBitmap, groups: &dyn Groups) -> Vec<(u32, RoaringBitmap)> {
    let mut found = Vec::new();
    if pods.len() as usize > groups.len().saturating_mul(PODS_OF_A_GROUP) {
        for group in 0..groups.len() as u32 {
            match groups.members(group) {
                Some(members) if members.is_subset(pods) => found.push((group, members.clone())),
                Some(members) if !members.is_disjoint(pods) => found.push((group, members & pods)),
                _ => {}
            }
        }
        return found;
    }
    let mut by_group: Vec<(u32, u32)> = (pods.iter())
        .map(|pod| (groups.group_of(pod), pod))
        .filter(|(group, _)| *group != NO_GROUP)
        .collect();
    by_group.sort_unstable();
    for part in by_group.chunk_by(|one, next| one.0 == next.0) {
        let pods = part.iter().map(|(_, pod)| *pod);
        // They are in order, so that there is no error.
        let pods = RoaringBitmap::from_sorted_iter(pods).unwrap_or_default();
        found.extend(part.first().map(|(group, _)| (*group, pods)));
    }
    found
}

/// The groups of a world, both ways.
#[derive(Debug)]
pub(super) struct Grouping {
    /// Every pod.
    pub(super) everyone: RoaringBitmap,
    /// The policies in the order they are asked.
    pub(super) order: Vec<Arc<Compiled>>,
    /// The places of NetworkPolicies in that order; before them is the Admin tier, behind them the Baseline tier.
    pub(super) network_policies: Range<u32>,
    ingress: Partition,
    egress: Partition,
    /// The pods that give a name to a port, by name and by the port it is.
    pub(super) named: HashMap<Arc<str>, NamedPods>,
    /// The names that policies name, for ingress and for egress.
    naming: [Naming; 2],
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
    pub(super) policies: Vec<u32>,
    /// The first of the groups that the same policies select.
    pub(super) kin: u32,
    /// The named ports they have in common, where a policy names one.
    pub(super) ports: Option<PodPorts>,
    pub(super) members: RoaringBitmap,
}

impl Partition {
    /// Refines one group of everyone by each policy in turn: a group that a policy selects a
    /// part of falls in two.
    fn of(world: &World, order: &[Arc<Compiled>], direction: Direction, naming: &Naming) -> Self {
        let mut partition = Partition::one(world.everyone());
        for (place, compiled) in order.iter().enumerate() {
            if compiled.policy.rules(direction).is_none() {
                continue;
            }
            let place = place as u32;
            for (at, part) in parts(&compiled.subject, &partition) {
                match partition.groups.get_mut(at as usize) {
                    Some(group) if group.members.len() == part.len() => group.policies.push(place),
                    _ => partition.split(at, part, Some(place), None),
                }
            }
        }
        if direction == Direction::Ingress {
            partition.split_by_ports(world, naming);
        }
        partition
    }

    fn one(everyone: &RoaringBitmap) -> Self {
        let Some(last) = everyone.max() else {
            return Partition::default();
        };
        let mut members = everyone.clone();
        members.optimize();
        let mut group_of = vec![NO_GROUP; last as usize + 1];
        for pod in everyone {
            if let Some(slot) = group_of.get_mut(pod as usize) {
                *slot = 0;
            }
        }
        let (policies, ports) = (Vec::new(), None);
        Partition {
            group_of,
            groups: vec![Group {
                policies,
                kin: 0,
                ports,
                members,
            }],
        }
    }

    /// Some members of a group become one of their own, which one more policy may select.
    fn split(
        &mut self,
        at: u32,
        members: RoaringBitmap,
        policy: Option<u32>,
        ports: Option<PodPorts>,
    ) {
        let fresh = self.groups.len() as u32;
        for pod in &members {
            if let Some(slot) = self.group_of.get_mut(pod as usize) {
                *slot = fresh;
            }
        }
        let Some(from) = self.groups.get_mut(at as usize) else {
            return;
        };
        from.members -= &members;
        let kin = policy.map_or(at, |_| fresh);
        let policies = from.policies.iter().copied().chain(policy).collect();
        self.groups.push(Group {
            policies,
            kin,
            ports,
            members,
        });
    }

    /// Only to a destination belong the names of its ports.
    fn split_by_ports(&mut self, world: &World, naming: &Naming) {
        for at in 0..self.groups.len() {
            let Some(group) = self.groups.get_mut(at) else {
                continue;
            };
            if !naming.is_any(&group.policies) {
                continue;
            }
            let mut kinds = naming
                .kinds(&group.policies, &group.members, world)
                .into_iter();
            // The first stay where they are.
            group.ports = kinds.next().map(|(ports, _)| ports);
            for (ports, members) in kinds {
                self.split(at as u32, members, None, Some(ports));
            }
        }
    }
}

impl Groups for Partition {
    fn len(&self) -> usize {
        self.groups.len()
    }

    fn members(&self, group: u32) -> Option<&RoaringBitmap> {
        self.groups.get(group as usize).map(|group| &group.members)
    }

    fn group_of(&self, pod: u32) -> u32 {
        self.group_of.get(pod as usize).copied().unwrap_or(NO_GROUP)
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
        let first = |is_before: fn(Tier) -> bool| {
            order.partition_point(|compiled| is_before(compiled.policy.tier)) as u32
        };
        let network_policies =
            first(|tier| tier < Tier::NetworkPolicy)..first(|tier| tier <= Tier::NetworkPolicy);
        let naming = Naming::of(&order, Direction::Ingress);
        let egress_naming = Naming::of(&order, Direction::Egress);
        Grouping {
            everyone: world.everyone().clone(),
            ingress: Partition::of(world, &order, Direction::Ingress, &naming),
            egress: Partition::of(world, &order, Direction::Egress, &egress_naming),
            named: egress_naming.pods(world),
            naming: [naming, egress_naming],
            network_policies,
            order,
        }
    }

    /// Which policies name ports in their rules of a direction.
    pub(super) fn naming(&self, direction: Direction) -> &Naming {
        let [ingress, egress] = &self.naming;
        match direction {
            Direction::Ingress => ingress,
            Direction::Egress => egress,
        }
    }

    pub(super) fn partition(&self, direction: Direction) -> &Partition {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// Whether a group is decided as another was before: by the same policies, of which nothing has changed, and with
    /// the same ports. Where destinations' ports are named these may have changed, too.
    pub(super) fn is_as(
        &self,
        direction: Direction,
        group: u32,
        (before, other): (&Grouping, u32),
    ) -> bool {
        let group = self.partition(direction).groups.get(group as usize);
        let other = before.partition(direction).groups.get(other as usize);
        let (Some(group), Some(other)) = (group, other) else {
            return false;
        };
        let (now, then) = (&group.policies, &other.policies);
        let names_others = || direction == Direction::Egress && self.naming(direction).is_any(now);
        let same = |(now, then): (&u32, &u32)| {
            let now = self.order.get(*now as usize);
            let then = before.order.get(*then as usize);
            now.zip(then)
                .is_some_and(|(now, then)| Arc::ptr_eq(now, then))
        };
        now.len() == then.len()
            && group.ports == other.ports
            && now.iter().zip(then).all(same)
            && !names_others()
    }

    /// Whether NetworkPolicies isolate a group; None where there is no such group.
    pub(super) fn is_isolated(&self, direction: Direction, group: u32) -> Option<bool> {
        let group = self.partition(direction).groups.get(group as usize)?;
        let mut policies = group.policies.iter();
        Some(policies.any(|place| {
            let compiled = self.order.get(*place as usize);
            compiled.is_some_and(|compiled| compiled.policy.tier == Tier::NetworkPolicy)
        }))
    }
}
