//! Every pod in one group of those that are decided alike in a direction.
//!
//! Groups are refined policy by policy: one of which a policy selects a part falls in two. Only counts and numbers are kept
//! while that goes on; ten thousand sets of a few pods each would take longer to make than all the rest.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::named::{Kinds, Naming, PodPorts};
use super::policy::Direction;
use super::world::{Compiled, World};

/// A pod that is in no group: there is no such pod.
pub(super) const NO_GROUP: u32 = u32::MAX;

/// Every pod in one group.
#[derive(Debug, Default)]
pub(super) struct Partition {
    group_of: Vec<u32>,
    pub(super) groups: Vec<Group>,
    /// By the number of the first of the groups that are of this kin.
    pub(super) kins: Vec<Kin>,
    /// Which policies of the Admin tier there are that select the same pods, by a number that kins name.
    pub(super) admins: Vec<Selecting>,
}

/// Pods for which a direction is decided alike.
#[derive(Debug)]
pub(super) struct Group {
    /// The first of the groups that the same policies select.
    pub(super) kin: u32,
    /// The named ports they have in common, where a policy names one; kept once for all groups that have these.
    pub(super) ports: Option<PodPorts>,
}

/// Groups that the same policies select.
#[derive(Debug)]
pub(super) struct Kin {
    /// Those of the Admin tier.
    pub(super) admin: u32,
    /// The NetworkPolicies and those of the Baseline tier.
    pub(super) others: Selecting,
}

/// Policies that select some pods, by their place in the order.
#[derive(Debug, Default)]
pub(super) struct Selecting {
    pub(super) places: Box<[u32]>,
    /// Whether one of them names a port.
    pub(super) names: bool,
}

impl Selecting {
    fn of(places: Vec<u32>, naming: &Naming) -> Self {
        Selecting {
            names: naming.is_any(&places),
            places: places.into_boxed_slice(),
        }
    }
}

impl Partition {
    pub(super) fn of(
        world: &World,
        order: &[Arc<Compiled>],
        network_policies: &Range<u32>,
        direction: Direction,
        naming: &Naming,
    ) -> Self {
        let Some(mut refined) = Refined::one(world.everyone()) else {
            return Partition::default();
        };
        let (admin, others) = order.split_at(network_policies.start as usize);
        refined.by(admin, 0, direction);
        let admins = std::mem::take(&mut refined.policies);
        refined.policies = vec![Vec::new(); admins.len()];
        let mut admin_of: Vec<u32> = (0..admins.len() as u32).collect();
        refined.parents = Vec::new();
        refined.by(others, network_policies.start, direction);
        for parent in &refined.parents {
            // Whoever falls off a group was selected by the same before.
            let admin = admin_of.get(*parent as usize).copied().unwrap_or(NO_GROUP);
            admin_of.push(admin);
        }
        let kins = (admin_of.into_iter().zip(refined.policies)).map(|(admin, others)| Kin {
            admin,
            others: Selecting::of(others, naming),
        });
        let mut partition = Partition {
            group_of: refined.group_of,
            kins: kins.collect(),
            admins: (admins.into_iter().map(|of| Selecting::of(of, naming))).collect(),
            groups: Vec::new(),
        };
        let first = (0..partition.kins.len() as u32).map(|kin| Group { kin, ports: None });
        partition.groups = first.collect();
        if direction == Direction::Ingress && naming.is_there() {
            partition.split_by_ports(world, naming);
        }
        partition
    }

    /// Only to a destination belong the names of its ports. Those of the kin's first pod stay in its group.
    fn split_by_ports(&mut self, world: &World, naming: &Naming) {
        let mut kinds = Kinds::new(naming, world);
        let names: Vec<Option<u32>> = (self.kins.iter())
            .map(|kin| {
                let admin = self.admins.get(kin.admin as usize);
                let selecting = admin.into_iter().chain([&kin.others]);
                kinds.names(selecting.filter(|of| of.names).flat_map(|of| &of.places))
            })
            .collect();
        let by_kin = ByGroup::of(world.everyone(), self);
        for (kin, pods) in by_kin.iter() {
            let Some(Some(names)) = names.get(kin as usize) else {
                continue;
            };
            let mut found: Vec<(PodPorts, u32)> = Vec::new();
            for pod in pods {
                let Some(ports) = kinds.of(*names, *pod) else {
                    continue;
                };
                let known = found.iter().find(|(known, _)| Arc::ptr_eq(known, &ports));
                let group = if let Some((_, group)) = known {
                    *group
                } else {
                    let group = if found.is_empty() {
                        kin
                    } else {
                        self.groups.push(Group { kin, ports: None });
                        self.groups.len() as u32 - 1
                    };
                    if let Some(of) = self.groups.get_mut(group as usize) {
                        of.ports = Some(Arc::clone(&ports));
                    }
                    found.push((ports, group));
                    group
                };
                if let Some(slot) = self.group_of.get_mut(*pod as usize) {
                    *slot = group;
                }
            }
        }
    }

    /// The kin of a group, and which policies of the Admin tier select it.
    pub(super) fn kin(&self, group: u32) -> Option<(&Group, &Kin, &Selecting)> {
        let group = self.groups.get(group as usize)?;
        let kin = self.kins.get(group.kin as usize)?;
        Some((group, kin, self.admins.get(kin.admin as usize)?))
    }
}

impl Groups for Partition {
    fn len(&self) -> usize {
        self.groups.len()
    }

    fn group_of(&self, pod: u32) -> u32 {
        self.group_of.get(pod as usize).copied().unwrap_or(NO_GROUP)
    }
}

/// Groups while policy after policy refines them.
struct Refined {
    group_of: Vec<u32>,
    sizes: Vec<u32>,
    /// The policies that select each.
    policies: Vec<Vec<u32>>,
    /// Of those that fell off others, in turn: off which.
    parents: Vec<u32>,
    everyone: u64,
}

impl Refined {
    /// None where there is nobody.
    fn one(everyone: &RoaringBitmap) -> Option<Self> {
        let mut group_of = vec![NO_GROUP; everyone.max()? as usize + 1];
        for pod in everyone {
            if let Some(slot) = group_of.get_mut(pod as usize) {
                *slot = 0;
            }
        }
        Some(Refined {
            group_of,
            sizes: vec![everyone.len() as u32],
            policies: vec![Vec::new()],
            parents: Vec::new(),
            everyone: everyone.len(),
        })
    }

    /// By policies that follow each other in the order, the first of which has that place there.
    fn by(&mut self, order: &[Arc<Compiled>], first: u32, direction: Direction) {
        // How many of a group a policy selects, and which group they are in afterwards.
        let mut selected: Vec<u32> = vec![0; self.sizes.len()];
        let mut moved: Vec<u32> = (0..self.sizes.len() as u32).collect();
        let mut touched: Vec<u32> = Vec::new();
        for (place, compiled) in (first..).zip(order) {
            if compiled.policy.rules(direction).is_none() {
                continue;
            }
            if compiled.subject.len() == self.everyone {
                for policies in &mut self.policies {
                    policies.push(place);
                }
                continue;
            }
            touched.clear();
            for pod in &compiled.subject {
                let group = self.group_of.get(pod as usize).copied();
                let group = group.unwrap_or(NO_GROUP);
                if let Some(count) = selected.get_mut(group as usize) {
                    if *count == 0 {
                        touched.push(group);
                    }
                    *count += 1;
                }
            }
            touched.sort_unstable();
            let mut is_split = false;
            for group in &touched {
                let count = selected.get_mut(*group as usize).map(std::mem::take);
                let to = self.select(*group, count.unwrap_or(0), place);
                if let Some(moved) = moved.get_mut(*group as usize) {
                    *moved = to;
                }
                is_split |= to != *group;
            }
            if !is_split {
                continue;
            }
            for pod in &compiled.subject {
                if let Some(group) = self.group_of.get_mut(pod as usize)
                    && let Some(to) = moved.get(*group as usize)
                {
                    *group = *to;
                }
            }
            selected.resize(self.sizes.len(), 0);
            moved.extend(moved.len() as u32..self.sizes.len() as u32);
        }
    }

    /// In which group those members of a group are that a policy selects.
    fn select(&mut self, group: u32, count: u32, place: u32) -> u32 {
        let at = group as usize;
        let (Some(size), Some(policies)) = (self.sizes.get_mut(at), self.policies.get_mut(at))
        else {
            return group;
        };
        if *size == count {
            policies.push(place);
            return group;
        }
        *size -= count;
        let policies = policies.iter().copied().chain([place]).collect();
        self.policies.push(policies);
        self.sizes.push(count);
        self.parents.push(group);
        self.sizes.len() as u32 - 1
    }
}

/// Pods in groups that are numbered.
pub(super) trait Groups {
    fn len(&self) -> usize;
    fn group_of(&self, pod: u32) -> u32;

    /// All pods of a group, where that is kept.
    fn members(&self, _group: u32) -> Option<&Rc<RoaringBitmap>> {
        None
    }
}

/// Some pods, group by group.
struct ByGroup {
    pods: Vec<u32>,
    /// The groups they are in, and where each of them ends among the pods.
    ends: Vec<(u32, u32)>,
}

/// In how many groups a pod may be for each to be counted; where there are more, it is quicker to sort.
const GROUPS_OF_A_POD: usize = 4;

impl ByGroup {
    fn of(pods: &RoaringBitmap, groups: &dyn Groups) -> Self {
        if (pods.len() as usize).saturating_mul(GROUPS_OF_A_POD) < groups.len() {
            return Self::sorted(pods, groups);
        }
        let numbers: Vec<(u32, u32)> = (pods.iter())
            .map(|pod| (groups.group_of(pod), pod))
            .collect();
        // Where each group's next pod goes; at last that is its end.
        let mut next = vec![0_u32; groups.len()];
        for (group, _) in &numbers {
            if let Some(count) = next.get_mut(*group as usize) {
                *count += 1;
            }
        }
        let mut ends = Vec::new();
        let mut end = 0;
        for (group, next) in (0..).zip(&mut next) {
            let count = std::mem::replace(next, end);
            if count > 0 {
                end += count;
                ends.push((group, end));
            }
        }
        let mut pods = vec![0; end as usize];
        for (group, pod) in numbers {
            if let Some(next) = next.get_mut(group as usize)
                && let Some(slot) = pods.get_mut(*next as usize)
            {
                *slot = pod;
                *next += 1;
            }
        }
        ByGroup { pods, ends }
    }

    fn sorted(pods: &RoaringBitmap, groups: &dyn Groups) -> Self {
        let mut numbers: Vec<(u32, u32)> = (pods.iter())
            .map(|pod| (groups.group_of(pod), pod))
            .filter(|(group, _)| *group != NO_GROUP)
            .collect();
        numbers.sort_unstable();
        let mut ends: Vec<(u32, u32)> = Vec::new();
        for (end, (group, _)) in (1..).zip(&numbers) {
            match ends.last_mut() {
                Some((last, until)) if last == group => *until = end,
                _ => ends.push((*group, end)),
            }
        }
        let pods = numbers.into_iter().map(|(_, pod)| pod).collect();
        ByGroup { pods, ends }
    }

    /// Group by group in the order of their numbers, the pods in the order of theirs.
    fn iter(&self) -> impl Iterator<Item = (u32, &[u32])> {
        let mut from = 0;
        self.ends.iter().map(move |(group, end)| {
            let pods = self.pods.get(from as usize..*end as usize);
            from = *end;
            (*group, pods.unwrap_or_default())
        })
    }
}

/// A part of a group, which may be all of it.
pub(super) type Part = (u32, Rc<RoaringBitmap>);

/// The groups that some pods are in, with their part of each.
pub(super) fn parts(pods: &RoaringBitmap, groups: &dyn Groups) -> Vec<Part> {
    let part = |(group, some): (u32, &[u32])| {
        let all = groups.members(group);
        let all = all.filter(|all| all.len() == some.len() as u64);
        // They are in order, so that there is no error.
        let some = || RoaringBitmap::from_sorted_iter(some.iter().copied()).unwrap_or_default();
        (group, all.map_or_else(|| Rc::new(some()), Rc::clone))
    };
    ByGroup::of(pods, groups).iter().map(part).collect()
}
