//! Who reaches whom, as flows: exact sets of sources, destinations and ports.
//!
//! A connection needs both ends: what the source may send and what the destination lets in. So
//! one end is worked out first, as regions of some groups, and then met with what the other
//! end allows of exactly these.

use std::rc::Rc;

use roaring::RoaringBitmap;

use super::meet::{Far, Side, meet};
use super::partition::{Part, parts};
use super::policy::Direction;
use super::port::PortSet;
use super::region::{PeerSet, Region};
use super::side::{Sides, Within};
use super::world::World;

/// Connections from each of some sources to each of some destinations, on some ports. A pod
/// always reaches itself, which no flow speaks of.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// From whom.
    pub from: PeerSet,
    /// To whom.
    pub to: PeerSet,
    /// On which ports of the destination.
    pub ports: PortSet,
}

impl Flow {
    /// What of it is from `from` to `to`; None if nothing is.
    pub fn between(&self, from: &PeerSet, to: &PeerSet) -> Option<Flow> {
        let flow = Flow {
            from: self.from.intersection(from),
            to: self.to.intersection(to),
            ports: self.ports.clone(),
        };
        flow.without_loop()
    }

    /// Without a pod that is all of one end at the other; None if nothing is left.
    pub(super) fn without_loop(mut self) -> Option<Flow> {
        let is_one = |end: &PeerSet| end.pods.len() == 1 && end.addresses.is_empty();
        if is_one(&self.to) {
            self.from.pods -= &self.to.pods;
        } else if is_one(&self.from) {
            self.to.pods -= &self.from.pods;
        }
        (!self.from.is_empty() && !self.to.is_empty()).then_some(self)
    }
}

/// Everybody there is, as runs: what is left when a few are taken out of ten thousand is then as short as what was taken out.
pub(super) fn everybody(world: &World) -> PeerSet {
    let mut pods = world.everyone().clone();
    pods.optimize();
    PeerSet {
        pods,
        addresses: super::address::AddressSet::everything(),
    }
}

impl World {
    /// Who reaches some pods, and on which ports.
    pub fn reaches(&self, to: &RoaringBitmap) -> Vec<Flow> {
        self.flows(Direction::Ingress, to)
    }

    /// Whom some pods reach, and on which ports.
    pub fn reached_by(&self, from: &RoaringBitmap) -> Vec<Flow> {
        self.flows(Direction::Egress, from)
    }

    fn flows(&self, direction: Direction, pods: &RoaringBitmap) -> Vec<Flow> {
        let everybody = Rc::new(Region::everywhere(everybody(self)));
        let near = self.sides(
            direction,
            &everybody,
            parts(pods, self.grouping().partition(direction)),
        );
        let other = direction.other();
        let far = Far {
            partition: self.grouping().partition(other),
            sides: |within: &Rc<Region>, groups| self.sides(other, within, groups),
        };
        meet(direction, near, &far)
    }

    /// What groups allow within a region, of each some members.
    fn sides(&self, direction: Direction, within: &Rc<Region>, groups: Vec<Part>) -> Vec<Side> {
        let within = Rc::new(Within::new(Rc::clone(within), direction));
        let sides = Sides::new(self.grouping(), &within);
        let side = |(group, members)| Side {
            members,
            region: sides.of(group),
        };
        groups.into_iter().map(side).collect()
    }

    /// What a group allows of some peers; nothing where there is no such group.
    pub(super) fn side(&self, direction: Direction, group: u32, within: PeerSet) -> Rc<Region> {
        let within = Within::new(Rc::new(Region::everywhere(within)), direction);
        Sides::new(self.grouping(), &Rc::new(within)).of(group)
    }
}
