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
use super::policy::Direction;
use super::reach::{Far, Flow, Groups, Near, everybody, meet};
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
        let flows = |from: &World, to: &World| {
            let joint = [Direction::Ingress, Direction::Egress]
                .map(|direction| Joint::of(direction, from, to, &touched));
            grown(from, to, &joint, &touched)
        };
        Difference {
            opened: flows(self, &after),
            closed: flows(&after, self),
            before: self.clone(),
            after,
        }
    }
}

/// What is reachable in `to` and not in `from`.
fn grown(from: &World, to: &World, joint: &[Joint; 2], touched: &Touched) -> Vec<Flow> {
    let [ingress, egress] = joint;
    let look = |joint: &Joint| -> Vec<Near> {
        let mut near = Vec::new();
        for group in &joint.groups {
            let within = if group.touched {
                let (mut all, others) = (everybody(from), everybody(to));
                all.pods |= &others.pods;
                all
            } else {
                PeerSet::of_pods(touched.pods.clone())
            };
            if within.is_empty() {
                continue;
            }
            let now = to.side(joint.direction, group.after, &within);
            let then = from.side(joint.direction, group.before, &within);
            let region = now.difference(&then);
            if !region.is_empty() {
                near.push(Near {
                    members: group.members.clone(),
                    region,
                });
            }
        }
        merged(near)
    };
    let mut flows = meet(
        Direction::Ingress,
        &look(ingress),
        &Far {
            partition: egress,
            side: |group, within: &PeerSet| {
                let groups = egress.groups.get(group as usize);
                groups.map_or_else(Region::default, |group| {
                    to.side(Direction::Egress, group.after, within)
                })
            },
        },
    );
    flows.extend(meet(
        Direction::Egress,
        &look(egress),
        &Far {
            partition: ingress,
            side: |group, within: &PeerSet| {
                let groups = ingress.groups.get(group as usize);
                groups.map_or_else(Region::default, |group| {
                    // Where ingress has grown too, the connection was told of above.
                    let now = to.side(Direction::Ingress, group.after, within);
                    now.intersection(&from.side(Direction::Ingress, group.before, within))
                })
            },
        },
    ));
    flows
}

/// Groups with the same region are one.
fn merged(list: Vec<Near>) -> Vec<Near> {
    let mut merged: Vec<Near> = Vec::new();
    for near in list {
        let same = merged.iter_mut().find(|known| known.region == near.region);
        match same {
            Some(known) => known.members |= &near.members,
            None => merged.push(near),
        }
    }
    merged
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
