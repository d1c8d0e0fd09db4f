//! Who reaches whom, as flows: exact sets of sources, destinations and ports.
//!
//! A connection needs both ends: what the source may send and what the destination lets in. So
//! one end is worked out first, as regions of some groups, and then met with what the other
//! end allows of exactly these.

use std::collections::HashMap;

use roaring::RoaringBitmap;

use super::group::{Group, NO_GROUP, Partition};
use super::policy::Direction;
use super::port::PortSet;
use super::region::{PeerSet, Region};
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
    fn without_loop(mut self) -> Option<Flow> {
        let is_one = |end: &PeerSet| end.pods.len() == 1 && end.addresses.is_empty();
        if is_one(&self.to) {
            self.from.pods -= &self.to.pods;
        } else if is_one(&self.from) {
            self.to.pods -= &self.from.pods;
        }
        (!self.from.is_empty() && !self.to.is_empty()).then_some(self)
    }
}

/// Pods at one end, and what their side allows of the other.
pub(super) struct Near {
    pub(super) members: RoaringBitmap,
    pub(super) region: Region,
}

/// The groups at the other end, and what each of them allows.
pub(super) struct Far<'a, F> {
    pub(super) partition: &'a dyn Groups,
    pub(super) side: F,
}

/// Pods in groups that are numbered.
pub(super) trait Groups {
    fn len(&self) -> usize;
    fn members(&self, group: u32) -> Option<&RoaringBitmap>;
    fn group_of(&self, pod: u32) -> u32;
}

impl Groups for Partition {
    fn len(&self) -> usize {
        self.groups.len()
    }

    fn members(&self, group: u32) -> Option<&RoaringBitmap> {
        self.groups.get(group as usize).map(|group| &group.members)
    }

    fn group_of(&self, pod: u32) -> u32 {
        Partition::group_of(self, pod)
    }
}

/// The groups that some pods are in, with their part of each.
fn parts(pods: &RoaringBitmap, groups: &dyn Groups) -> Vec<(u32, RoaringBitmap)> {
    let mut found = Vec::new();
    if pods.len() as usize > groups.len() {
        for group in 0..groups.len() as u32 {
            let members = groups.members(group);
            if let Some(part) = members.filter(|m| !m.is_disjoint(pods)).map(|m| m & pods) {
                found.push((group, part));
            }
        }
        return found;
    }
    let mut at: HashMap<u32, usize> = HashMap::new();
    for pod in pods {
        let group = groups.group_of(pod);
        if group == NO_GROUP {
            continue;
        }
        let fresh = found.len();
        let place = *at.entry(group).or_insert(fresh);
        if place == fresh {
            found.push((group, RoaringBitmap::new()));
        }
        if let Some((_, part)) = found.get_mut(place) {
            part.insert(pod);
        }
    }
    found
}

/// Meets one end with the other. `near` is at the destination for ingress, and at the source
/// for egress; `far.side` says what a group of the other end allows of some pods of this one.
pub(super) fn meet<F: Fn(u32, &PeerSet) -> Region>(
    direction: Direction,
    near: &[Near],
    far: &Far<'_, F>,
) -> Vec<Flow> {
    let mut flows = Flows::new(direction);
    let mut everyone_near = RoaringBitmap::new();
    for near in near.iter().filter(|near| !near.region.is_empty()) {
        everyone_near |= &near.members;
    }
    let everyone_near = PeerSet::of_pods(everyone_near);
    let mut sides: HashMap<u32, Region> = HashMap::new();
    for Near { members, region } in near {
        for piece in region.pieces() {
            if !piece.peers.addresses.is_empty() {
                let addresses = PeerSet {
                    pods: RoaringBitmap::new(),
                    addresses: piece.peers.addresses.clone(),
                };
                flows.push(members.clone(), addresses, piece.first, piece.last);
            }
            for (group, part) in parts(&piece.peers.pods, far.partition) {
                let side = sides
                    .entry(group)
                    .or_insert_with(|| (far.side)(group, &everyone_near));
                for other in side.pieces() {
                    let (first, last) = (other.first.max(piece.first), other.last.min(piece.last));
                    if first > last || other.peers.pods.is_disjoint(members) {
                        continue;
                    }
                    let near = members & &other.peers.pods;
                    flows.push(near, PeerSet::of_pods(part.clone()), first, last);
                }
            }
        }
    }
    flows.done()
}

/// Flows as they are found, joined where they differ in one part only.
struct Flows {
    direction: Direction,
    found: Vec<(RoaringBitmap, PeerSet, u32, u32)>,
}

/// How far back a flow is looked for that the next can join.
const JOIN_LOOK_BACK: usize = 16;

impl Flows {
    fn new(direction: Direction) -> Self {
        Flows {
            direction,
            found: Vec::new(),
        }
    }

    fn push(&mut self, near: RoaringBitmap, far: PeerSet, first: u32, last: u32) {
        let recent = self.found.len().saturating_sub(JOIN_LOOK_BACK);
        for known in self.found.iter_mut().skip(recent) {
            if known.2 == first && known.3 == last && known.0 == near {
                known.1 = known.1.union(&far);
                return;
            }
        }
        self.found.push((near, far, first, last));
    }

    fn done(self) -> Vec<Flow> {
        let mut flows: Vec<Flow> = Vec::new();
        // Equal ends become one flow with all their ports; what is told of the ends to find
        // equal ones need not tell all.
        let mut by_ends: HashMap<_, Vec<usize>> = HashMap::new();
        for (near, far, first, last) in self.found {
            let near = PeerSet::of_pods(near);
            let ports = PortSet::of_places(first, last);
            let (from, to) = match self.direction {
                Direction::Ingress => (far, near),
                Direction::Egress => (near, far),
            };
            let key = (
                from.pods.len(),
                from.pods.min(),
                to.pods.len(),
                to.pods.min(),
            );
            let candidates = by_ends.entry(key).or_default();
            let known = candidates.iter().copied().find(|at| {
                let flow = flows.get(*at);
                flow.is_some_and(|flow| flow.from == from && flow.to == to)
            });
            if let Some(flow) = known.and_then(|at| flows.get_mut(at)) {
                flow.ports = flow.ports.union(&ports);
            } else {
                candidates.push(flows.len());
                flows.push(Flow { from, to, ports });
            }
        }
        flows.into_iter().filter_map(Flow::without_loop).collect()
    }
}

/// Everybody there is.
pub(super) fn everybody(world: &World) -> PeerSet {
    PeerSet {
        pods: world.everyone().clone(),
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
        let grouping = self.grouping();
        let everybody = everybody(self);
        let near: Vec<Near> = parts(pods, grouping.partition(direction))
            .into_iter()
            .filter_map(|(group, members)| {
                let group = self.group(direction, group)?;
                Some(Near {
                    members,
                    region: grouping.side(direction, group, &everybody),
                })
            })
            .collect();
        let other = direction.other();
        let far = Far {
            partition: grouping.partition(other),
            side: |group, within: &PeerSet| self.side(other, group, within),
        };
        meet(direction, &near, &far)
    }

    fn group(&self, direction: Direction, group: u32) -> Option<&Group> {
        let partition = self.grouping().partition(direction);
        partition.groups.get(group as usize)
    }

    /// What a group allows; nothing where there is no such group.
    pub(super) fn side(&self, direction: Direction, group: u32, within: &PeerSet) -> Region {
        let group = self.group(direction, group);
        group.map_or_else(Region::default, |group| {
            self.grouping().side(direction, group, within)
        })
    }
}
