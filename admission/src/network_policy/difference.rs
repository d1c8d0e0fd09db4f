//! What a change makes reachable, and what it makes unreachable.
//!
//! The change is applied to a clone of the world, which says whom it touches; everything else
//! stays out of it. A connection is new if both ends allow it now and one of them did not, so
//! that either what the destination lets in has grown, or that has stayed and what the source
//! may send has grown. Both are differences of regions of the groups that were touched, and only
//! these are met with the other end.

use std::collections::HashMap;

use roaring::RoaringBitmap;

use super::group::NO_GROUP;
use super::meet::{Far, Groups, Side, meet};
use super::policy::Direction;
use super::reach::{Flow, everybody};
use super::region::{PeerSet, Region};
use super::world::{Change, Touched, World};

/// What is different between two states.
#[derive(Debug)]
pub struct Difference {
    /// The state before.
    pub before: World,
    /// The state after.
    pub after: World,
    /// What is reachable now and was not.
    pub opened: Vec<Flow>,
    /// What was reachable and is not.
    pub closed: Vec<Flow>,
}

impl World {
    /// What a change makes reachable and unreachable.
    pub fn difference(&self, change: Change) -> Difference {
        self.differences([change])
    }

    /// What several changes together do. What is new comes before what is gone.
    pub fn differences(&self, changes: impl IntoIterator<Item = Change>) -> Difference {
        let mut after = self.clone();
        let mut touched = Touched::default();
        for change in changes {
            touched.and(&after.change(change));
        }
        let states = States {
            joint: [Direction::Ingress, Direction::Egress]
                .map(|direction| Joint::of(direction, self, &after, &touched)),
            before: self,
            after: &after,
        };
        let [ingress, egress] = states
            .joint
            .each_ref()
            .map(|joint| states.changed(joint, &touched));
        let opened = states.ways(Moment::After, ingress.grown, egress.grown);
        let closed = states.ways(Moment::Before, ingress.shrunk, egress.shrunk);
        Difference {
            opened,
            closed,
            before: self.clone(),
            after,
        }
    }
}

/// Before or after.
#[derive(Clone, Copy)]
enum Moment {
    Before,
    After,
}

/// Both states, and groups that are groups in both.
struct States<'a> {
    before: &'a World,
    after: &'a World,
    joint: [Joint; 2],
}

/// What groups allow now and did not, and the other way round.
#[derive(Default)]
struct Changed {
    grown: Vec<Side>,
    shrunk: Vec<Side>,
}

impl States<'_> {
    fn side(&self, at: Moment, joint: &Joint, group: &JointGroup, within: &PeerSet) -> Region {
        match at {
            Moment::Before => self.before.side(joint.direction, group.before, within),
            Moment::After => self.after.side(joint.direction, group.after, within),
        }
    }

    fn changed(&self, joint: &Joint, touched: &Touched) -> Changed {
        let mut everybody = everybody(self.after);
        everybody.pods |= self.before.everyone();
        let touched = PeerSet::of_pods(touched.pods.clone());
        let mut changed = Changed::default();
        for group in &joint.groups {
            let within = if group.touched { &everybody } else { &touched };
            if within.is_empty() {
                continue;
            }
            let then = self.side(Moment::Before, joint, group, within);
            let now = self.side(Moment::After, joint, group, within);
            if then == now {
                continue;
            }
            let side = |region| Side {
                members: group.members.clone(),
                region,
            };
            changed.grown.push(side(now.difference(&then)));
            changed.shrunk.push(side(then.difference(&now)));
        }
        changed
    }

    /// The ways there are at a moment and not at the other, `ingress` and `egress` being what
    /// groups allow at it alone.
    fn ways(&self, at: Moment, ingress: Vec<Side>, egress: Vec<Side>) -> Vec<Flow> {
        let [into, out] = &self.joint;
        let mut flows = meet(
            Direction::Ingress,
            ingress,
            &Far {
                partition: out,
                side: |group, within: &PeerSet| {
                    let group = out.groups.get(group as usize);
                    group.map_or_else(Region::default, |group| self.side(at, out, group, within))
                },
            },
        );
        flows.extend(meet(
            Direction::Egress,
            egress,
            &Far {
                partition: into,
                side: |group, within: &PeerSet| {
                    let group = into.groups.get(group as usize);
                    group.map_or_else(Region::default, |group| {
                        // What ingress allows at this moment alone was told of above.
                        let before = self.side(Moment::Before, into, group, within);
                        before.intersection(&self.side(Moment::After, into, group, within))
                    })
                },
            },
        ));
        flows
    }
}

/// Groups of pods that are in one group before and in one group after, and are all touched or
/// none.
struct Joint {
    direction: Direction,
    groups: Vec<JointGroup>,
    group_of: Vec<u32>,
}

struct JointGroup {
    before: u32,
    after: u32,
    touched: bool,
    members: RoaringBitmap,
}

impl Joint {
    fn of(direction: Direction, before: &World, after: &World, touched: &Touched) -> Self {
        let touched = match direction {
            Direction::Ingress => &touched.ingress,
            Direction::Egress => &touched.egress,
        };
        let [then, now] = [before, after].map(|world| world.grouping().partition(direction));
        let everyone = before.everyone() | after.everyone();
        let count = everyone.max().map_or(0, |last| last as usize + 1);
        let mut joint = Joint {
            direction,
            groups: Vec::new(),
            group_of: vec![NO_GROUP; count],
        };
        let mut known: HashMap<(u32, u32, bool), u32> = HashMap::new();
        for pod in &everyone {
            let key = (then.group_of(pod), now.group_of(pod), touched.contains(pod));
            let fresh = joint.groups.len() as u32;
            let group = *known.entry(key).or_insert(fresh);
            if group == fresh {
                joint.groups.push(JointGroup {
                    before: key.0,
                    after: key.1,
                    touched: key.2,
                    members: RoaringBitmap::new(),
                });
            }
            if let Some(group) = joint.groups.get_mut(group as usize) {
                group.members.insert(pod);
            }
            if let Some(slot) = joint.group_of.get_mut(pod as usize) {
                *slot = group;
            }
        }
        joint
    }
}

impl Groups for Joint {
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
