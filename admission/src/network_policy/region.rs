//! What one end allows of the other, as an exact set: for each port, which peers.
//!
//! A [`Region`] is a function from the axis of ports to sets of peers, constant between a few
//! places: pieces, sorted, not empty, and merged where neighbours hold equal peers. Union,
//! intersection and difference walk both operands where they overlap. All that is said about reachability is
//! made of these three, so there is no second notion of who reaches whom to disagree with.
//!
//! The peers of a piece are shared: what an operation leaves as it is costs nothing, and what is kept in one place is
//! equal without a look.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use roaring::RoaringBitmap;

use super::address::AddressSet;
use super::port::{AXIS_LAST, PortSet};
use super::quick::Quick;

/// Some pods, by their numbers in a world, and some addresses.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PeerSet {
    /// The pods.
    pub pods: RoaringBitmap,
    /// The addresses, whoever has them.
    pub addresses: AddressSet,
}

impl PeerSet {
    /// Only pods.
    pub fn of_pods(pods: RoaringBitmap) -> Self {
        PeerSet {
            pods,
            addresses: AddressSet::default(),
        }
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty() && self.addresses.is_empty()
    }

    /// What is quick to tell, to find others that may be the same.
    pub(super) fn look(&self) -> impl std::hash::Hash + use<> {
        let pods = &self.pods;
        let middle = pods.select(pods.len() as u32 / 2);
        (
            pods.len(),
            pods.min(),
            pods.max(),
            middle,
            self.addresses.any(),
        )
    }

    /// Whether anybody is in both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        !self.pods.is_disjoint(&other.pods) || self.addresses.meets(&other.addresses)
    }

    /// Whoever is in one or the other.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        PeerSet {
            pods: &self.pods | &other.pods,
            addresses: self.addresses.union(&other.addresses),
        }
    }

    /// Whoever is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        PeerSet {
            pods: &self.pods & &other.pods,
            addresses: self.addresses.intersection(&other.addresses),
        }
    }

    /// Whoever is in this one only.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        PeerSet {
            pods: &self.pods - &other.pods,
            addresses: self.addresses.difference(&other.addresses),
        }
    }
}

/// Peers that many pieces may share.
pub(super) type Peers = Rc<PeerSet>;

/// Whether they are the same peers.
pub(super) fn are_same(one: &Peers, other: &Peers) -> bool {
    Rc::ptr_eq(one, other) || one == other
}

/// What came of some peers and others, kept in one place with those it is as many as: it is never others than all of
/// these, or never fewer.
fn kept<const N: usize>(came: PeerSet, of: [&Peers; N]) -> Peers {
    let is_same = |of: &&Peers| came.pods.len() == of.pods.len() && came.addresses == of.addresses;
    match of.into_iter().find(is_same) {
        Some(same) => Rc::clone(same),
        None => Rc::new(came),
    }
}

fn union(left: &Peers, right: &Peers) -> Peers {
    if Rc::ptr_eq(left, right) {
        return Rc::clone(left);
    }
    kept(left.union(right), [left, right])
}

fn intersection(left: &Peers, right: &Peers) -> Peers {
    if Rc::ptr_eq(left, right) {
        return Rc::clone(left);
    }
    kept(left.intersection(right), [left, right])
}

fn difference(left: &Peers, right: &Peers) -> Option<Peers> {
    (!Rc::ptr_eq(left, right)).then(|| kept(left.difference(right), [left]))
}

/// Peers on neighbouring ports.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// The first place on the axis.
    pub(super) first: u32,
    /// The last place.
    pub(super) last: u32,
    /// Who.
    pub(super) peers: Peers,
}

impl PartialEq for Piece {
    fn eq(&self, other: &Self) -> bool {
        (self.first, self.last) == (other.first, other.last) && are_same(&self.peers, &other.peers)
    }
}

/// For each port, which peers.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Region(Vec<Piece>);

impl Region {
    /// These peers on every port.
    pub(super) fn everywhere(peers: impl Into<Peers>) -> Self {
        Self::at(0, AXIS_LAST, peers)
    }

    /// These peers from one place of the axis to another.
    pub(super) fn at(first: u32, last: u32, peers: impl Into<Peers>) -> Self {
        let peers = peers.into();
        if peers.is_empty() {
            return Region::default();
        }
        Region(vec![Piece { first, last, peers }])
    }

    /// These peers on these ports.
    pub(super) fn on(ports: &PortSet, peers: impl Into<Peers>) -> Self {
        let peers = peers.into();
        if peers.is_empty() {
            return Region::default();
        }
        let piece = |(first, last)| Piece {
            first,
            last,
            peers: Rc::clone(&peers),
        };
        Region(ports.places().map(piece).collect())
    }

    /// Of pieces in order that are not empty, and of which neighbours are not alike.
    pub(super) fn of_pieces(pieces: Vec<Piece>) -> Self {
        Region(pieces)
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The pieces that somewhere are between two places of the axis.
    pub(super) fn pieces_within(&self, first: u32, last: u32) -> &[Piece] {
        self.0.get(self.within(first, last)).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the same peers are in it on every port.
    pub(super) fn is_even(&self) -> bool {
        let ends = self.0.first().map(|piece| (piece.first, piece.last));
        self.0.len() == 1 && ends == Some((0, AXIS_LAST))
    }

    /// The peers at one place of the axis.
    pub(super) fn peers_at(&self, place: u32) -> Option<&PeerSet> {
        let at = self.0.partition_point(|piece| piece.last < place);
        let piece = self.0.get(at).filter(|piece| piece.first <= place)?;
        Some(&piece.peers)
    }

    /// Every port on which somebody is, and everybody who is there on any.
    pub(super) fn hull(&self) -> (PortSet, PeerSet) {
        let places = self.0.iter().map(|piece| (piece.first, piece.last));
        let mut peers = PeerSet::default();
        let mut addresses: Vec<&AddressSet> = Vec::new();
        for piece in &self.0 {
            peers.pods |= &piece.peers.pods;
            if addresses.last() != Some(&&piece.peers.addresses) {
                addresses.push(&piece.peers.addresses);
            }
        }
        peers.addresses = match addresses.as_slice() {
            [one] => AddressSet::clone(one),
            many => AddressSet::union_all(many.iter().copied()),
        };
        (PortSet::of_all(places.collect()), peers)
    }

    /// Where its pieces overlap those from `first` to `last`.
    fn within(&self, first: u32, last: u32) -> Range<usize> {
        let from = self.0.partition_point(|piece| piece.last < first);
        let to = self.0.partition_point(|piece| piece.first <= last);
        from..to.max(from)
    }

    pub(super) fn union(&self, other: &Region) -> Region {
        let (few, many) = if self.0.len() <= other.0.len() {
            (self, other)
        } else {
            (other, self)
        };
        let mut region = many.clone();
        region.add(few);
        region
    }

    fn add(&mut self, other: &Region) {
        self.change(other, |left, right| match (left, right) {
            (Some(left), Some(right)) => Some(union(left, right)),
            (one, other) => one.or(other).map(Rc::clone),
        });
    }

    /// All of them together. Two by two, and these again: one after the other, the pieces of the first would be
    /// gone through once for each of the others.
    pub(super) fn union_all(mut regions: Vec<Region>) -> Region {
        while regions.len() > 1 {
            let mut pairs = Vec::with_capacity(regions.len().div_ceil(2));
            let mut rest = regions.into_iter();
            while let Some(mut left) = rest.next() {
                if let Some(mut right) = rest.next() {
                    if left.0.len() < right.0.len() {
                        std::mem::swap(&mut left, &mut right);
                    }
                    left.add(&right);
                }
                pairs.push(left);
            }
            regions = pairs;
        }
        regions.pop().unwrap_or_default()
    }

    pub(super) fn intersection(&self, other: &Region) -> Region {
        let (few, many) = if self.0.len() <= other.0.len() {
            (self, other)
        } else {
            (other, self)
        };
        let mut pieces = Vec::new();
        for piece in &few.0 {
            for other in many.pieces_within(piece.first, piece.last) {
                let (first, last) = (piece.first.max(other.first), piece.last.min(other.last));
                let common = intersection(&piece.peers, &other.peers);
                push(&mut pieces, first, last, common);
            }
        }
        Region(pieces)
    }

    pub(super) fn difference(mut self, other: &Region) -> Region {
        self.change(other, |left, right| match (left, right) {
            (Some(left), Some(right)) => difference(left, right),
            (left, None) => left.map(Rc::clone),
            (None, _) => None,
        });
        self
    }

    /// Asks `of` for the peers of each stretch on which both are constant, from the first piece of `other` to its last.
    /// What is beyond stays as it is, and is not even looked at: a rule about one port costs nothing at the
    /// others.
    fn change(
        &mut self,
        other: &Region,
        of: impl Fn(Option<&Peers>, Option<&Peers>) -> Option<Peers>,
    ) {
        let (Some(first), Some(last)) = (other.0.first(), other.0.last()) else {
            return;
        };
        // With the neighbours, which may be one with what comes to be beside them.
        let before = first.first.saturating_sub(1);
        let here = self.within(before, last.last.saturating_add(1));
        let changed = {
            let pieces = self.0.get(here.clone()).unwrap_or_default();
            combine(pieces, &other.0, of)
        };
        self.0.splice(here, changed);
    }
}

/// Two peers, and what is in the one only and in the other only.
type Differing = ([Peers; 2], [Option<Peers>; 2]);

/// Differences of regions that have their peers in common, of which each is worked out once.
#[derive(Default)]
pub(super) struct Apart {
    /// By where the operands are kept, and these, so that nothing else is kept there.
    known: RefCell<Quick<[*const PeerSet; 2], Differing>>,
}

impl Apart {
    /// What is in the one only, and what in the other only, in one walk.
    pub(super) fn of(&self, one: &Region, other: &Region) -> [Region; 2] {
        let mut known = self.known.borrow_mut();
        let (mut ones, mut others) = (one.0.iter(), other.0.iter());
        let (mut left, mut right) = (ones.next(), others.next());
        let mut apart = [Vec::new(), Vec::new()];
        let mut place = 0;
        loop {
            while left.is_some_and(|piece| piece.last < place) {
                left = ones.next();
            }
            while right.is_some_and(|piece| piece.last < place) {
                right = others.next();
            }
            let begins = |piece: &Piece| piece.first.max(place);
            let last = match (left, right) {
                (Some(one), Some(other)) if begins(one) == begins(other) => {
                    let (begin, last) = (begins(one), one.last.min(other.last));
                    if !Rc::ptr_eq(&one.peers, &other.peers) {
                        let both = [&one.peers, &other.peers];
                        let fresh = || {
                            let apart =
                                [difference(both[0], both[1]), difference(both[1], both[0])];
                            (both.map(Rc::clone), apart)
                        };
                        let (_, found) = known.entry(both.map(Rc::as_ptr)).or_insert_with(fresh);
                        for (pieces, peers) in apart.iter_mut().zip(found) {
                            if let Some(peers) = peers {
                                push(pieces, begin, last, Rc::clone(peers));
                            }
                        }
                    }
                    last
                }
                // Up to where the other begins there is this one only.
                (Some(one), other) if other.is_none_or(|other| begins(one) < begins(other)) => {
                    let until = other.map_or(AXIS_LAST, |other| begins(other) - 1);
                    let last = one.last.min(until);
                    push(&mut apart[0], begins(one), last, Rc::clone(&one.peers));
                    last
                }
                (one, Some(other)) => {
                    let until = one.map_or(AXIS_LAST, |one| begins(one) - 1);
                    let last = other.last.min(until);
                    push(&mut apart[1], begins(other), last, Rc::clone(&other.peers));
                    last
                }
                _ => return apart.map(Region),
            };
            place = last + 1;
        }
    }
}

/// Walks both and asks `of` for the peers of each stretch on which both are constant.
fn combine(
    left: &[Piece],
    right: &[Piece],
    of: impl Fn(Option<&Peers>, Option<&Peers>) -> Option<Peers>,
) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::with_capacity(left.len() + right.len());
    let (mut lefts, mut rights) = (left.iter().peekable(), right.iter().peekable());
    let mut place = 0;
    loop {
        while lefts.peek().is_some_and(|piece| piece.last < place) {
            lefts.next();
        }
        while rights.peek().is_some_and(|piece| piece.last < place) {
            rights.next();
        }
        let heads = [lefts.peek(), rights.peek()];
        // Where the next piece begins, if none is here.
        let begin = heads
            .iter()
            .flatten()
            .map(|piece| piece.first.max(place))
            .min();
        let Some(begin) = begin else { break };
        let here = heads.map(|head| head.filter(|piece| piece.first <= begin));
        let end = heads
            .iter()
            .flatten()
            .map(|piece| {
                if piece.first <= begin {
                    piece.last
                } else {
                    piece.first - 1
                }
            })
            .min()
            .unwrap_or(AXIS_LAST);
        let [in_left, in_right] = here.map(|piece| piece.map(|piece| &piece.peers));
        if let Some(peers) = of(in_left, in_right) {
            push(&mut pieces, begin, end, peers);
        }
        place = end + 1;
    }
    pieces
}

fn push(pieces: &mut Vec<Piece>, first: u32, last: u32, peers: Peers) {
    if peers.is_empty() {
        return;
    }
    match pieces.last_mut() {
        Some(before) if before.last + 1 == first && are_same(&before.peers, &peers) => {
            before.last = last;
        }
        _ => pieces.push(Piece { first, last, peers }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Regions over twelve ports and six pods, and the same as a table.
    fn region() -> impl Strategy<Value = (Region, Vec<u8>)> {
        prop::collection::vec((0_u32..12, 0_u32..5, 0_u8..64), 0..5).prop_map(|list| {
            let mut region = Region::default();
            let mut table = vec![0_u8; 20];
            for (first, length, mask) in list {
                let pods = (0..6).filter(|pod| mask & (1 << pod) != 0).collect();
                let at = Region::at(first, first + length, PeerSet::of_pods(pods));
                region = region.union(&at);
                for place in first..=first + length {
                    table[place as usize] |= mask;
                }
            }
            (region, table)
        })
    }

    /// Whether there is no other way to write it.
    fn is_merged(region: &Region) -> bool {
        let pieces = region.pieces();
        pieces
            .iter()
            .all(|piece| !piece.peers.is_empty() && piece.first <= piece.last)
            && pieces.windows(2).all(|pair| {
                let touch = pair[0].last + 1 == pair[1].first;
                pair[0].last < pair[1].first && !(touch && pair[0].peers == pair[1].peers)
            })
    }

    fn mask(region: &Region, place: usize) -> u8 {
        let peers = region.peers_at(place as u32);
        let pods = peers.into_iter().flat_map(|peers| peers.pods.iter());
        pods.fold(0, |mask, pod| mask | 1 << pod)
    }

    proptest! {
        #[test]
        fn regions_are_sets((a, of_a) in region(), (b, of_b) in region()) {
            let (union, common) = (a.union(&b), a.intersection(&b));
            let left = a.clone().difference(&b);
            prop_assert!([&union, &common, &left].into_iter().all(is_merged));
            let apart = Apart::default().of(&a, &b);
            prop_assert_eq!(apart, [left.clone(), b.clone().difference(&a)]);
            for (place, (a, b)) in of_a.iter().zip(&of_b).enumerate() {
                prop_assert_eq!(mask(&union, place), a | b);
                prop_assert_eq!(mask(&common, place), a & b);
                prop_assert_eq!(mask(&left, place), a & !b);
            }
            prop_assert_eq!(left.union(&common), a);
        }

        #[test]
        fn many_are_one(list in prop::collection::vec(region(), 0..7)) {
            let (regions, tables): (Vec<Region>, Vec<Vec<u8>>) = list.into_iter().unzip();
            let union = Region::union_all(regions.clone());
            prop_assert!(is_merged(&union));
            for place in 0..20 {
                let of = tables.iter().fold(0, |all, table| all | table[place]);
                prop_assert_eq!(mask(&union, place), of);
            }
            let (ports, peers) = union.hull();
            prop_assert_eq!(ports.places().map(|(first, last)| last - first + 1).sum::<u32>(),
                union.pieces().iter().map(|piece| piece.last - piece.first + 1).sum::<u32>());
            prop_assert!(union.pieces().iter().all(|piece| piece.peers.pods.is_subset(&peers.pods)));
        }
    }
}
