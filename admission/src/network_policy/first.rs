//! Rules of which the first that matches decides, asked pod by pod.
//!
//! Rule after rule, what is still open is cut wherever one of the rules before it begins or ends on the axis of ports, and
//! most of it is everybody but a few. Where rules are about few pods it is the other way round: no pod is meant by
//! many of them, and of each it is told quickly which rule decides on which ports.

use std::rc::Rc;

use roaring::RoaringBitmap;

use super::policy::Action;
use super::port::AXIS_LAST;
use super::region::{PeerSet, Piece, Region};

/// How many steps with one pod take as long as one with a set of them.
const STEPS_OF_A_SET: usize = 32;

/// What the first rule that matches accepts, and what it denies; the others pass it on.
#[derive(Debug)]
pub(super) struct First {
    pub(super) accepted: Region,
    pub(super) denied: Region,
}

/// A rule that means a pod: its place among the rules, and from which port to which.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Meant {
    pod: u32,
    rule: u32,
    first: u32,
    last: u32,
}

/// A pod that begins or ends to be accepted or denied at a place of the axis.
struct Turn {
    place: u32,
    pod: u32,
    action: Action,
    begins: bool,
}

impl First {
    /// None where addresses are meant, or where it would take longer than rule after rule.
    pub(super) fn of(rules: &[(Action, Region)]) -> Option<Self> {
        let meant = meant(rules)?;
        let mut turns = Vec::new();
        for of_pod in meant.chunk_by(|one, next| one.pod == next.pod) {
            turn(of_pod, rules, &mut turns);
        }
        turns.sort_unstable_by_key(|turn| turn.place);
        let [mut accepted, mut denied] = [Kept::default(), Kept::default()];
        for turns in turns.chunk_by(|one, next| one.place == next.place) {
            for turn in turns {
                match turn.action {
                    Action::Accept => accepted.take(turn),
                    Action::Deny => denied.take(turn),
                    Action::Pass => {}
                }
            }
        }
        Some(First {
            accepted: accepted.done(),
            denied: denied.done(),
        })
    }
}

/// Which rules mean which pods, pod by pod and rule by rule.
fn meant(rules: &[(Action, Region)]) -> Option<Vec<Meant>> {
    let pieces = || rules.iter().flat_map(|(_, region)| region.pieces());
    if pieces().any(|piece| !piece.peers.addresses.is_empty()) {
        return None;
    }
    let mut places: Vec<u32> = pieces()
        .flat_map(|piece| [piece.first, piece.last.saturating_add(1)])
        .collect();
    places.sort_unstable();
    places.dedup();
    let within = |piece: &Piece| {
        let until = places.partition_point(|place| *place <= piece.last);
        until - places.partition_point(|place| *place < piece.first)
    };
    let steps = pieces().map(within).sum::<usize>() * STEPS_OF_A_SET;
    let pods = |piece: &Piece| piece.peers.pods.len() as usize;
    if pieces().map(pods).sum::<usize>() > steps {
        return None;
    }
    let mut meant = Vec::new();
    for (rule, (_, region)) in rules.iter().enumerate() {
        for piece in region.pieces() {
            meant.extend(piece.peers.pods.iter().map(|pod| Meant {
                pod,
                rule: rule as u32,
                first: piece.first,
                last: piece.last,
            }));
        }
    }
    meant.sort_unstable();
    let by_pod = meant.chunk_by(|one, next| one.pod == next.pod);
    let of_each = by_pod.map(|rules| rules.len() * rules.len());
    (of_each.sum::<usize>() <= steps).then_some(meant)
}

/// When a pod begins and ends to be accepted and denied, by the rules that mean it.
fn turn(meant: &[Meant], rules: &[(Action, Region)], turns: &mut Vec<Turn>) {
    let mut places: Vec<u32> = meant
        .iter()
        .flat_map(|rule| [rule.first, rule.last.saturating_add(1)])
        .collect();
    places.sort_unstable();
    places.dedup();
    let mut now = Action::Pass;
    for place in places {
        // They are in order, so that the first there is decides.
        let here = meant
            .iter()
            .find(|rule| rule.first <= place && place <= rule.last);
        let action = here.and_then(|rule| rules.get(rule.rule as usize));
        let action = action.map_or(Action::Pass, |(action, _)| *action);
        if action != now {
            for (action, begins) in [(now, false), (action, true)] {
                turns.extend((meant.first()).map(|rule| Turn {
                    place,
                    pod: rule.pod,
                    action,
                    begins,
                }));
            }
            now = action;
        }
    }
}

/// The pods at one place after the other.
#[derive(Default)]
struct Kept {
    pods: RoaringBitmap,
    from: u32,
    pieces: Vec<Piece>,
}

impl Kept {
    fn take(&mut self, turn: &Turn) {
        if self.from < turn.place {
            self.keep(turn.place - 1);
            self.from = turn.place;
        }
        if turn.begins {
            self.pods.insert(turn.pod);
        } else {
            self.pods.remove(turn.pod);
        }
    }

    fn keep(&mut self, last: u32) {
        if !self.pods.is_empty() {
            self.pieces.push(Piece {
                first: self.from,
                last,
                peers: Rc::new(PeerSet::of_pods(self.pods.clone())),
            });
        }
    }

    fn done(mut self) -> Region {
        self.keep(AXIS_LAST);
        Region::of_pieces(self.pieces)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> impl Strategy<Value = Vec<(Action, Region)>> {
        let action = prop_oneof![Just(Action::Accept), Just(Action::Deny), Just(Action::Pass)];
        let rule = (action, 0_u32..12, 0_u32..5, 1_u8..64);
        let rule = rule.prop_map(|(action, first, length, mask)| {
            let pods = (0..6).filter(|pod| mask & (1 << pod) != 0).collect();
            let last = if length == 4 {
                AXIS_LAST
            } else {
                first + length
            };
            (action, Region::at(first, last, PeerSet::of_pods(pods)))
        });
        prop::collection::vec(rule, 0..9)
    }

    /// What is asked of sets, one rule after the other.
    fn expected(rules: &[(Action, Region)], wanted: Action) -> Region {
        let (mut open, mut found) = (
            Region::everywhere(PeerSet::of_pods((0..6).collect())),
            Region::default(),
        );
        for (action, region) in rules {
            if *action == wanted {
                found = found.union(&region.intersection(&open));
            }
            open = open.difference(region);
        }
        found
    }

    proptest! {
        #[test]
        fn the_first_rule_decides(rules in rules()) {
            let first = First::of(&rules).unwrap();
            prop_assert_eq!(first.accepted, expected(&rules, Action::Accept));
            prop_assert_eq!(first.denied, expected(&rules, Action::Deny));
        }
    }

    #[test]
    fn what_would_take_longer_is_left() {
        let many = Region::everywhere(PeerSet::of_pods((0..10_000).collect()));
        assert!(First::of(&[(Action::Deny, many)]).is_none());
        let address = PeerSet {
            addresses: super::super::address::AddressSet::everything(),
            ..PeerSet::default()
        };
        assert!(First::of(&[(Action::Deny, Region::everywhere(address))]).is_none());
    }
}
