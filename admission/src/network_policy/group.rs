//! Pods that the same policies select, taken together.
//!
//! What a pod lets in is decided by which policies select it, and by the numbers its named
//! ports have where one of them names a port; what it may send, by which policies select it.
//! Ten thousand pods are a few hundred such groups, and everything that is asked about sets of
//! pods is asked of groups.
//!
//! How they are found is in [`partition`](super::partition), and what a group allows is worked out in [`side`](super::side).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::named::{NamedPods, Naming};
use super::partition::{Partition, Selecting};
use super::policy::{Direction, Tier};
use super::quick::Quick;
use super::world::{Compiled, World};

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
        let partition = |direction, naming: &Naming| {
            Partition::of(world, &order, &network_policies, direction, naming)
        };
        let [naming, egress_naming] =
            [Direction::Ingress, Direction::Egress].map(|direction| Naming::of(&order, direction));
        Grouping {
            everyone: world.everyone().clone(),
            ingress: partition(Direction::Ingress, &naming),
            egress: partition(Direction::Egress, &egress_naming),
            named: egress_naming.pods(world),
            network_policies,
            order,
        }
    }

    pub(super) fn partition(&self, direction: Direction) -> &Partition {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// The NetworkPolicies among some, and those of the Baseline tier.
    pub(super) fn after_admin<'s>(&self, others: &'s Selecting) -> (&'s [u32], &'s [u32]) {
        let end = self.network_policies.end;
        let places = &*others.places;
        places.split_at(places.partition_point(|place| *place < end))
    }

    /// Whether NetworkPolicies isolate a group; None where there is no such group.
    pub(super) fn is_isolated(&self, direction: Direction, group: u32) -> Option<bool> {
        let (_, kin, _) = self.partition(direction).kin(group)?;
        Some(!self.after_admin(&kin.others).0.is_empty())
    }
}

/// Which groups of a direction are decided as others were before: by the same policies, of which nothing has changed, and
/// with the same ports. Where destinations' ports are named these may have changed, too.
pub(super) struct Unchanged<'a> {
    direction: Direction,
    /// After and before.
    partitions: [&'a Partition; 2],
    /// The place that each policy had before, if there was just this one.
    places: Vec<Option<u32>>,
    /// Of kins that were asked about, after and before.
    kins: Quick<(u32, u32), bool>,
    admins: Quick<(u32, u32), bool>,
}

impl<'a> Unchanged<'a> {
    pub(super) fn new(direction: Direction, after: &'a Grouping, before: &'a Grouping) -> Self {
        let then = before.order.iter().map(Arc::as_ptr).zip(0..);
        let then: Quick<*const Compiled, u32> = then.collect();
        let now = after.order.iter().map(Arc::as_ptr);
        Unchanged {
            direction,
            partitions: [after, before].map(|grouping| grouping.partition(direction)),
            places: now.map(|now| then.get(&now).copied()).collect(),
            kins: Quick::default(),
            admins: Quick::default(),
        }
    }

    /// Whether it is so of a group after a change and of another before.
    pub(super) fn is_as(&mut self, now: u32, then: u32) -> bool {
        let [after, before] = self.partitions;
        let (Some(now), Some(then)) = (after.kin(now), before.kin(then)) else {
            return false;
        };
        let ((group, of, admin), (other, of_other, other_admin)) = (now, then);
        let places = &self.places;
        let same = |now: &Selecting, then: &Selecting| {
            let mut both = now.places.iter().zip(&then.places);
            now.places.len() == then.places.len()
                && both.all(|(now, then)| places.get(*now as usize) == Some(&Some(*then)))
        };
        let by_admins = self.admins.entry((of.admin, of_other.admin));
        let names_others = self.direction == Direction::Egress && (admin.names || of.others.names);
        let kins = self.kins.entry((group.kin, other.kin));
        !names_others
            && *by_admins.or_insert_with(|| same(admin, other_admin))
            && *kins.or_insert_with(|| same(&of.others, &of_other.others))
            && group.ports == other.ports
    }
}
