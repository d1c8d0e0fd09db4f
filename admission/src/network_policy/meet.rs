//! Two ends that both allow a connection.
//!
//! One end is worked out first, as regions of some groups; then what the other end allows of
//! exactly these pods, and both are met. Groups whose regions are equal are one, and the end
//! whose regions mean fewer pods is the one that is walked: a change for everybody still
//! meets the few that a group names.

use std::cell::OnceCell;
use std::hash::{Hash as _, Hasher as _};
use std::rc::Rc;

use roaring::{MultiOps as _, RoaringBitmap};

use super::address::AddressSet;
use super::partition::{Groups, NO_GROUP, Part, parts};
use super::policy::Direction;
use super::port::PortSet;
use super::quick::{Multiplied, Quick, QuickSet};
use super::reach::Flow;
use super::region::{PeerSet, Peers, Region};

/// Pods at one end, and what their side allows of the other.
pub(super) struct Side {
    pub(super) members: Rc<RoaringBitmap>,
    pub(super) region: Rc<Region>,
}

/// The groups at the other end, and what each of some of them allows within a region.
pub(super) struct Far<'a, F> {
    pub(super) partition: &'a dyn Groups,
    pub(super) sides: F,
}

/// Sides as groups of the pods they are about.
struct Sides<'a> {
    sides: &'a [Side],
    group_of: Vec<u32>,
}

impl<'a> Sides<'a> {
    fn of(sides: &'a [Side]) -> Self {
        let last = sides.iter().filter_map(|side| side.members.max()).max();
        let mut group_of = vec![NO_GROUP; last.map_or(0, |last| last as usize + 1)];
        for (group, side) in sides.iter().enumerate() {
            for pod in &*side.members {
                if let Some(slot) = group_of.get_mut(pod as usize) {
                    *slot = group as u32;
                }
            }
        }
        Sides { sides, group_of }
    }
}

impl Groups for Sides<'_> {
    fn len(&self) -> usize {
        self.sides.len()
    }

    fn members(&self, group: u32) -> Option<&Rc<RoaringBitmap>> {
        self.sides.get(group as usize).map(|side| &side.members)
    }

    fn group_of(&self, pod: u32) -> u32 {
        self.group_of.get(pod as usize).copied().unwrap_or(NO_GROUP)
    }
}

/// In how many places pods are counted to tell sets of them apart.
const SHAPE_PROBES: u32 = 16;

/// Of how many members it pays to keep them as runs.
const OPTIMIZED_MIN: u64 = 1024;

/// Groups with the same region are one; those with none are left out.
fn distinct(list: impl IntoIterator<Item = Side>) -> Vec<Side> {
    let mut sides: Vec<(Rc<Region>, Vec<Rc<RoaringBitmap>>)> = Vec::new();
    let mut by_place: Quick<*const Region, usize> = Quick::default();
    let mut by_shape: Quick<u64, Vec<usize>> = Quick::default();
    let mut shapes = Shapes::default();
    // Those that are left out are kept as well, so that nothing else is kept where they are.
    let mut kept: Vec<Rc<Region>> = Vec::new();
    for Side { members, region } in list {
        if region.is_empty() {
            continue;
        }
        let at = by_place.entry(Rc::as_ptr(&region)).or_insert_with(|| {
            let alike = by_shape.entry(shapes.of(&region)).or_default();
            let mut alike_sides = alike.iter().copied();
            let is_same = |at: &usize| sides.get(*at).is_some_and(|(known, _)| *known == region);
            kept.push(Rc::clone(&region));
            alike_sides.find(is_same).unwrap_or_else(|| {
                alike.push(sides.len());
                sides.push((region, Vec::new()));
                sides.len() - 1
            })
        });
        if let Some((_, all)) = sides.get_mut(*at) {
            all.push(members);
        }
    }
    let sides = sides.into_iter().map(|(region, members)| {
        let mut all = match members.as_slice() {
            [one] if one.len() < OPTIMIZED_MIN => {
                let members = Rc::clone(one);
                return Side { members, region };
            }
            [one] => RoaringBitmap::clone(one),
            many => many.iter().map(|members| &**members).union(),
        };
        // What they have in common with nearly everybody is as short then.
        all.optimize();
        Side {
            members: Rc::new(all),
            region,
        }
    });
    sides.collect()
}

/// What is cheap to tell of regions, so that few are compared whole.
#[derive(Default)]
struct Shapes {
    /// By where the peers are kept, and these, so that nothing else is kept there.
    of_peers: Quick<*const PeerSet, (Peers, u64)>,
}

impl Shapes {
    fn of(&mut self, region: &Region) -> u64 {
        let mut shape = Multiplied::default();
        for piece in region.pieces() {
            let known = self.of_peers.entry(Rc::as_ptr(&piece.peers));
            let fresh = || (Rc::clone(&piece.peers), shape_of(&piece.peers.pods));
            let (_, of_peers) = known.or_insert_with(fresh);
            (piece.first, piece.last, *of_peers).hash(&mut shape);
        }
        shape.finish()
    }
}

fn shape_of(pods: &RoaringBitmap) -> u64 {
    let mut shape = Multiplied::default();
    (pods.len(), pods.min(), pods.max()).hash(&mut shape);
    // Where in the middle they lie: what a change for everybody leaves of each group
    // is nearly everybody, but for a few here or there.
    let step = pods.max().unwrap_or(0) / SHAPE_PROBES;
    for probe in 1..SHAPE_PROBES {
        pods.rank(probe * step).hash(&mut shape);
    }
    shape.finish()
}

/// Meets one end with the other. `near` is at the destination for ingress, and at the source
/// for egress; `far.sides` says what groups of the other end allow of some pods of this one, on the
/// ports that matter here.
pub(super) fn meet<F: Fn(&Rc<Region>, Vec<Part>) -> Vec<Side>>(
    direction: Direction,
    near: Vec<Side>,
    far: &Far<'_, F>,
) -> Vec<Flow> {
    let mut flows = Flows::new(direction);
    let (mut asked, mut ports) = (RoaringBitmap::new(), Vec::new());
    let mut seen: QuickSet<*const PeerSet> = QuickSet::default();
    let mut regions: QuickSet<*const Region> = QuickSet::default();
    let regions = (near.iter()).filter(|side| regions.insert(Rc::as_ptr(&side.region)));
    for piece in regions.flat_map(|side| side.region.pieces()) {
        if seen.insert(Rc::as_ptr(&piece.peers)) {
            asked |= &piece.peers.pods;
        }
        if !piece.peers.pods.is_empty() {
            ports.push((piece.first, piece.last));
        }
    }
    let members = near.iter().filter(|side| !side.region.is_empty());
    let everyone_near = members.map(|side| &*side.members).union();
    let within = Region::on(&PortSet::of_all(ports), PeerSet::of_pods(everyone_near));
    let within = Rc::new(within);
    let far = distinct((far.sides)(&within, parts(&asked, far.partition)));
    let mut addressed = near.iter().flat_map(|side| side.region.pieces());
    if far.is_empty() && !addressed.any(|piece| !piece.peers.addresses.is_empty()) {
        return Vec::new();
    }
    let near = distinct(near);
    for Side { members, region } in &near {
        for (addresses, ports) in by_addresses(region) {
            let addresses = PeerSet {
                pods: RoaringBitmap::new(),
                addresses,
            };
            flows.push(RoaringBitmap::clone(members), addresses, ports);
        }
    }
    if steps(&near, far.len()) <= steps(&far, near.len()) {
        walk(&near, &Sides::of(&far), |near, far, first, last| {
            flows.push(near, PeerSet::of_pods(far), vec![(first, last)]);
        });
    } else {
        walk(&far, &Sides::of(&near), |far, near, first, last| {
            flows.push(near, PeerSet::of_pods(far), vec![(first, last)]);
        });
    }
    flows.done()
}

/// The addresses a region holds, each set of them with the places where it does.
fn by_addresses(region: &Region) -> Vec<(AddressSet, Places)> {
    let mut found: Vec<(AddressSet, Places)> = Vec::new();
    for piece in region.pieces() {
        let addresses = &piece.peers.addresses;
        if addresses.is_empty() {
            continue;
        }
        let recent = found.len().saturating_sub(JOIN_LOOK_BACK);
        let same = found
            .iter_mut()
            .skip(recent)
            .find(|(known, _)| known == addresses);
        match same {
            Some((_, places)) => places.push((piece.first, piece.last)),
            None => found.push((addresses.clone(), vec![(piece.first, piece.last)])),
        }
    }
    found
}

/// How many groups a walk over some sides meets at the most.
fn steps(sides: &[Side], groups: usize) -> u64 {
    let pieces = sides.iter().flat_map(|side| side.region.pieces());
    pieces
        .map(|piece| piece.peers.pods.len().min(groups as u64))
        .sum()
}

/// What both allow: some of the outer pods, some of the inner, and from which place to which.
fn walk(
    outer: &[Side],
    inner: &Sides<'_>,
    mut found: impl FnMut(RoaringBitmap, RoaringBitmap, u32, u32),
) {
    let mut parted: Quick<*const PeerSet, Parted<'_>> = Quick::default();
    // Inner groups share most of their peers: whom of an outer side's members they have in common with these is worked out once.
    let mut common: Quick<*const PeerSet, Rc<RoaringBitmap>> = Quick::default();
    for Side { members, region } in outer {
        common.clear();
        for piece in region.pieces() {
            // Inner groups that meet the same outer pods on the same ports are told together.
            let mut met: Vec<Met<'_>> = Vec::new();
            let parted = parted.entry(Rc::as_ptr(&piece.peers));
            let parted = parted.or_insert_with(|| Parted {
                parts: parts(&piece.peers.pods, inner),
                of: &piece.peers.pods,
                all: OnceCell::new(),
            });
            for (group, part) in &parted.parts {
                let Some(side) = inner.sides.get(*group as usize) else {
                    continue;
                };
                for other in side.region.pieces_within(piece.first, piece.last) {
                    let outer = common.entry(Rc::as_ptr(&other.peers));
                    let outer = outer.or_insert_with(|| {
                        if members.is_subset(&other.peers.pods) {
                            return Rc::clone(members);
                        }
                        Rc::new(&**members & &other.peers.pods)
                    });
                    if outer.is_empty() {
                        continue;
                    }
                    let (first, last) = (other.first.max(piece.first), other.last.min(piece.last));
                    let recent = met.len().saturating_sub(JOIN_LOOK_BACK);
                    let same = met.iter_mut().skip(recent).find(|met| {
                        let is_there = met.first == first && met.last == last;
                        is_there && (Rc::ptr_eq(&met.outer, outer) || met.outer == *outer)
                    });
                    match same {
                        Some(same) => same.inner.push(part),
                        None => met.push(Met {
                            outer: Rc::clone(outer),
                            inner: vec![part],
                            first,
                            last,
                        }),
                    }
                }
            }
            for met in met {
                let outer = RoaringBitmap::clone(&met.outer);
                found(outer, parted.joined(&met.inner), met.first, met.last);
            }
        }
    }
}

/// The groups that some peers are in, with their part of each.
struct Parted<'a> {
    of: &'a RoaringBitmap,
    parts: Vec<Part>,
    /// All of these together, if there are others.
    all: OnceCell<Option<RoaringBitmap>>,
}

impl Parted<'_> {
    /// Some of the parts together.
    fn joined(&self, some: &[&RoaringBitmap]) -> RoaringBitmap {
        if let [one] = some {
            return RoaringBitmap::clone(one);
        }
        if some.len() < self.parts.len() {
            return some.iter().copied().union();
        }
        let all = || {
            let count: u64 = self.parts.iter().map(|(_, part)| part.len()).sum();
            let is_all = count == self.of.len();
            (!is_all).then(|| self.parts.iter().map(|(_, part)| &**part).union())
        };
        let all = self.all.get_or_init(all).as_ref();
        all.unwrap_or(self.of).clone()
    }
}

/// Some outer pods, some inner, and from which place to which.
struct Met<'a> {
    outer: Rc<RoaringBitmap>,
    inner: Vec<&'a RoaringBitmap>,
    first: u32,
    last: u32,
}

/// How far back a meeting is looked for that the next can join.
const JOIN_LOOK_BACK: usize = 16;

/// Flows as they are found, joined where they differ in their ports only.
struct Flows {
    direction: Direction,
    found: Vec<(RoaringBitmap, PeerSet, Places)>,
}

/// Places of the axis of ports, from the first to the last of each stretch.
type Places = Vec<(u32, u32)>;

impl Flows {
    fn new(direction: Direction) -> Self {
        Flows {
            direction,
            found: Vec::new(),
        }
    }

    fn push(&mut self, near: RoaringBitmap, far: PeerSet, places: Places) {
        self.found.push((near, far, places));
    }

    fn done(self) -> Vec<Flow> {
        let mut flows: Vec<(PeerSet, PeerSet, Places)> = Vec::new();
        // Equal ends become one flow with all their ports; what is told of the ends to find
        // equal ones need not tell all.
        let mut by_ends: Quick<_, Vec<usize>> = Quick::default();
        for (near, far, places) in self.found {
            let near = PeerSet::of_pods(near);
            let (from, to) = match self.direction {
                Direction::Ingress => (far, near),
                Direction::Egress => (near, far),
            };
            let key = [&from.pods, &to.pods].map(|pods| {
                (
                    pods.len(),
                    pods.min(),
                    pods.max(),
                    pods.select(pods.len() as u32 / 2),
                )
            });
            let candidates = by_ends.entry(key).or_default();
            let known = candidates.iter().copied().find(|at| {
                let flow = flows.get(*at);
                flow.is_some_and(|(is_from, is_to, _)| *is_from == from && *is_to == to)
            });
            if let Some((_, _, known)) = known.and_then(|at| flows.get_mut(at)) {
                known.extend(places);
            } else {
                candidates.push(flows.len());
                flows.push((from, to, places));
            }
        }
        let flows = flows.into_iter().map(|(from, to, places)| Flow {
            from,
            to,
            ports: PortSet::of_all(places),
        });
        flows.filter_map(Flow::without_loop).collect()
    }
}
