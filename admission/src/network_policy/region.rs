//! What one end allows of the other, as an exact set: for each port, which peers.
//!
//! A [`Region`] is a function from the axis of ports to sets of peers, constant between a few
//! places: pieces, sorted, not empty, and merged where neighbours hold equal peers. Union,
//! intersection and difference walk both operands once. All that is said about reachability is
//! made of these three, so there is no second notion of who reaches whom to disagree with.

use roaring::RoaringBitmap;

use super::address::AddressSet;
use super::port::{AXIS_LAST, PortSet};

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

/// Peers on neighbouring ports.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    /// The first place on the axis.
    pub(super) first: u32,
    /// The last place.
    pub(super) last: u32,
    /// Who.
    pub(super) peers: PeerSet,
}

/// For each port, which peers.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Region(Vec<Piece>);

impl Region {
    /// These peers on every port.
    pub(super) fn everywhere(peers: PeerSet) -> Self {
        Self::at(0, AXIS_LAST, peers)
    }

    /// These peers from one place of the axis to another.
    pub(super) fn at(first: u32, last: u32, peers: PeerSet) -> Self {
        if peers.is_empty() {
            return Region::default();
        }
        Region(vec![Piece { first, last, peers }])
    }

    /// These peers on these ports.
    pub(super) fn on(ports: &PortSet, peers: &PeerSet) -> Self {
        if peers.is_empty() {
            return Region::default();
        }
        let piece = |(first, last)| Piece {
            first,
            last,
            peers: peers.clone(),
        };
        Region(ports.places().map(piece).collect())
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The peers at one place of the axis.
    pub(super) fn peers_at(&self, place: u32) -> Option<&PeerSet> {
        let at = self.0.partition_point(|piece| piece.last < place);
        let piece = self.0.get(at).filter(|piece| piece.first <= place)?;
        Some(&piece.peers)
    }

    pub(super) fn union(self, other: Region) -> Region {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        combine(&self, &other, |left, right| match (left, right) {
            (Some(left), Some(right)) => left.union(right),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => PeerSet::default(),
        })
    }

    pub(super) fn intersection(&self, other: &Region) -> Region {
        if self.is_empty() || other.is_empty() {
            return Region::default();
        }
        combine(self, other, |left, right| match (left, right) {
            (Some(left), Some(right)) => left.intersection(right),
            _ => PeerSet::default(),
        })
    }

    pub(super) fn difference(&self, other: &Region) -> Region {
        if self.is_empty() || other.is_empty() {
            return self.clone();
        }
        combine(self, other, |left, right| match (left, right) {
            (Some(left), Some(right)) => left.difference(right),
            (Some(left), None) => left.clone(),
            (None, _) => PeerSet::default(),
        })
    }
}

/// Walks both regions and asks `of` for the peers of each stretch on which both are constant.
fn combine(
    left: &Region,
    right: &Region,
    of: impl Fn(Option<&PeerSet>, Option<&PeerSet>) -> PeerSet,
) -> Region {
    let mut pieces: Vec<Piece> = Vec::with_capacity(left.0.len() + right.0.len());
    let (mut lefts, mut rights) = (left.0.iter().peekable(), right.0.iter().peekable());
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
        push(&mut pieces, begin, end, of(in_left, in_right));
        place = end + 1;
    }
    Region(pieces)
}

fn push(pieces: &mut Vec<Piece>, first: u32, last: u32, peers: PeerSet) {
    if peers.is_empty() {
        return;
    }
    match pieces.last_mut() {
        Some(before) if before.last + 1 == first && before.peers == peers => before.last = last,
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
                region = region.union(at);
                for place in first..=first + length {
                    table[place as usize] |= mask;
                }
            }
            (region, table)
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
            let (union, common) = (a.clone().union(b.clone()), a.intersection(&b));
            let left = a.difference(&b);
            for (place, (a, b)) in of_a.iter().zip(&of_b).enumerate() {
                prop_assert_eq!(mask(&union, place), a | b);
                prop_assert_eq!(mask(&common, place), a & b);
                prop_assert_eq!(mask(&left, place), a & !b);
            }
            prop_assert_eq!(left.union(common), a);
        }
    }
}
