//! What a change makes reachable, and what it makes unreachable.
//!
//! The change is applied to a clone of the world, which says whom it touches; everything else
//! stays out of it. A connection is new if both ends allow it now and one of them did not, so
//! that either what the destination lets in has grown, or that has stayed and what the source
//! may send has grown. Both are differences of regions of the groups that were touched, and only
//! these are met with the other end.

use std::cell::RefCell;
use std::rc::Rc;

use roaring::RoaringBitmap;

use super::group::Unchanged;
use super::meet::{Far, Side, meet};
use super::partition::{Groups, NO_GROUP, Part, parts};
use super::policy::Direction;
use super::quick::Quick;
use super::reach::{Flow, everybody};
use super::region::{Apart, PeerSet, Region};
use super::side::{Sides, Within};
use super::world::{Change, Touched, TouchedRules, World};

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

/// A change that was made, of which is asked what it does.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) before: World,
    pub(super) after: World,
    touched: Touched,
}

/// What is opened and what is closed.
#[derive(Debug, Default)]
pub(super) struct Flows {
    pub(super) opened: Vec<Flow>,
    pub(super) closed: Vec<Flow>,
}

/// The ends of connections that are asked about.
#[derive(Debug, Clone)]
pub(super) struct Between {
    pub(super) from: PeerSet,
    pub(super) to: PeerSet,
}

impl World {
    /// What a change makes reachable and unreachable.
    pub fn difference(&self, change: Change) -> Difference {
        self.differences([change])
    }

    /// What several changes together do. What is new comes before what is gone.
    pub fn differences(&self, changes: impl IntoIterator<Item = Change>) -> Difference {
        let applied = self.applied(changes);
        let Flows { opened, closed } = applied.flows();
        Difference {
            opened,
            closed,
            before: applied.before,
            after: applied.after,
        }
    }

    /// With changes, as [`World::differences`] takes them.
    pub(super) fn applied(&self, changes: impl IntoIterator<Item = Change>) -> Applied {
        let mut after = self.clone();
        let mut touched = Touched::default();
        for change in changes {
            touched.and(&after.change(change));
        }
        Applied {
            before: self.clone(),
            after,
            touched,
        }
    }
}

impl Applied {
    /// All that it opens and closes.
    pub(super) fn flows(&self) -> Flows {
        let mut everybody = everybody(&self.after);
        everybody.pods |= self.before.everyone();
        everybody.pods.optimize();
        self.flows_between(&Between {
            from: everybody.clone(),
            to: everybody,
        })
    }

    /// What it opens and closes from some ends to others; whoever is at neither end is not looked at.
    pub(super) fn flows_between(&self, between: &Between) -> Flows {
        let (before, after, touched) = (&self.before, &self.after, &self.touched);
        if !touched.is_between(&between.from.pods, &between.to.pods) {
            return Flows::default();
        }
        let states = States {
            joint: [Direction::Ingress, Direction::Egress].map(|direction| {
                let members = match direction {
                    Direction::Ingress => &between.to.pods,
                    Direction::Egress => &between.from.pods,
                };
                Joint::of(direction, [before, after], touched, members)
            }),
            before,
            after,
        };
        let [into, out] = &states.joint;
        let ingress = states.changed(into, touched, &between.from);
        let egress = states.changed(out, touched, &between.to);
        Flows {
            opened: states.ways(Moment::After, ingress.grown, egress.grown),
            closed: states.ways(Moment::Before, ingress.shrunk, egress.shrunk),
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

impl<'a> States<'a> {
    /// What groups allow before and after, within regions: one for each kind of being touched.
    fn sides(&self, at: Moment, within: &Rc<Within<'a>>) -> Sides<'a> {
        let world = match at {
            Moment::Before => self.before,
            Moment::After => self.after,
        };
        Sides::new(world.grouping(), within)
    }

    /// What groups allow of `others` at one moment only.
    fn changed(&self, joint: &Joint, touched: &Touched, others: &PeerSet) -> Changed {
        let direction = joint.direction;
        let touched_pods = PeerSet::of_pods(&touched.pods & &others.pods);
        let others = Region::everywhere(others.clone());
        let spoken_of = touched.rules(direction).spoken_of.intersection(&others);
        let touched_pods = Region::everywhere(touched_pods);
        let spoken_of = touched_pods.union(&spoken_of);
        let within = [touched_pods, spoken_of, others].map(Rc::new);
        let asked = within.map(|within| {
            let within = Rc::new(Within::new(within, direction));
            [Moment::Before, Moment::After].map(|at| self.sides(at, &within))
        });
        let mut changed = Changed::default();
        let mut known: Quick<[*const Region; 2], [Rc<Region>; 2]> = Quick::default();
        let apart = Apart::default();
        for group in joint.groups.iter().filter(|group| !group.is_unchanged) {
            let [others, spoken_of, everything] = &asked;
            let [before, after] = match self.touch(direction, group) {
                Touch::Others => others,
                Touch::Rules => spoken_of,
                Touch::Whole => everything,
            };
            let (then, now) = (before.of(group.before), after.of(group.after));
            // Both stay where they are for as long as it is asked.
            let known = known.entry([Rc::as_ptr(&then), Rc::as_ptr(&now)]);
            let [grown, shrunk] = known.or_insert_with(|| {
                if Rc::ptr_eq(&then, &now) || then == now {
                    return Default::default();
                }
                apart.of(&now, &then).map(Rc::new)
            });
            for (region, sides) in [(grown, &mut changed.grown), (shrunk, &mut changed.shrunk)] {
                if !region.is_empty() {
                    sides.push(Side {
                        members: Rc::clone(&group.members),
                        region: Rc::clone(region),
                    });
                }
            }
        }
        changed
    }

    /// A group that is isolated now and was not is another one altogether.
    fn touch(&self, direction: Direction, group: &JointGroup) -> Touch {
        let then = self.before.grouping().is_isolated(direction, group.before);
        let now = self.after.grouping().is_isolated(direction, group.after);
        match group.touch {
            Touch::Rules if then != now => Touch::Whole,
            touch => touch,
        }
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
                sides: |within: &Rc<Region>, groups| {
                    let within = Within::new(Rc::clone(within), Direction::Egress);
                    let sides = self.sides(at, &Rc::new(within));
                    out.sides(groups, |group| match at {
                        Moment::Before => sides.of(group.before),
                        Moment::After => sides.of(group.after),
                    })
                },
            },
        );
        flows.extend(meet(
            Direction::Egress,
            egress,
            &Far {
                partition: into,
                sides: |within: &Rc<Region>, groups| {
                    let within = Within::new(Rc::clone(within), Direction::Ingress);
                    let within = Rc::new(within);
                    let [before, after] =
                        [Moment::Before, Moment::After].map(|at| self.sides(at, &within));
                    let common = RefCell::new(Quick::default());
                    // What ingress allows at this moment alone was told of above.
                    into.sides(groups, |group| {
                        let then = before.of(group.before);
                        if group.is_unchanged {
                            return then;
                        }
                        let now = after.of(group.after);
                        let mut common = common.borrow_mut();
                        let common = common.entry([&then, &now].map(Rc::as_ptr));
                        let common = common.or_insert_with(|| Rc::new(then.intersection(&now)));
                        Rc::clone(common)
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
    touch: Touch,
    /// Whether it is decided as before.
    is_unchanged: bool,
    members: Rc<RoaringBitmap>,
}

/// How a change touches a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Touch {
    /// Its rules may mean others than before.
    Others,
    /// It has other rules as well, of which is known whom they speak of.
    Rules,
    /// Whatever it allows may be something else.
    Whole,
}

impl Joint {
    fn of(
        direction: Direction,
        [before, after]: [&World; 2],
        touched: &Touched,
        members: &RoaringBitmap,
    ) -> Self {
        let [then, now] = [before, after].map(|world| world.grouping().partition(direction));
        let count = members.max().map_or(0, |last| last as usize + 1);
        let touches = touches(touched.rules(direction), count);
        let mut joint = Joint {
            direction,
            groups: Vec::new(),
            group_of: vec![NO_GROUP; count],
        };
        let mut unchanged = Unchanged::new(direction, after.grouping(), before.grouping());
        let mut known: Quick<(u32, u32, Touch), u32> = Quick::default();
        for pod in members {
            let touch = touches.get(pod as usize).copied();
            let touch = touch.unwrap_or(Touch::Others);
            let key = (then.group_of(pod), now.group_of(pod), touch);
            let fresh = joint.groups.len() as u32;
            let group = *known.entry(key).or_insert(fresh);
            if group == fresh {
                joint.groups.push(JointGroup {
                    before: key.0,
                    after: key.1,
                    touch: key.2,
                    is_unchanged: unchanged.is_as(key.1, key.0),
                    members: Rc::default(),
                });
            }
            if let Some(slot) = joint.group_of.get_mut(pod as usize) {
                *slot = group;
            }
        }
        for (group, part) in parts(members, &joint) {
            if let Some(group) = joint.groups.get_mut(group as usize) {
                group.members = part;
            }
        }
        joint
    }
}

/// How each pod is touched.
fn touches(touched: &TouchedRules, count: usize) -> Vec<Touch> {
    let mut touches = vec![Touch::Others; count];
    for (pods, touch) in [
        (&touched.subjects, Touch::Rules),
        (&touched.whole, Touch::Whole),
    ] {
        for pod in pods {
            if let Some(slot) = touches.get_mut(pod as usize) {
                *slot = touch;
            }
        }
    }
    touches
}

impl Joint {
    fn sides(&self, groups: Vec<Part>, region: impl Fn(&JointGroup) -> Rc<Region>) -> Vec<Side> {
        let side = |(group, members): Part| {
            let region = self.groups.get(group as usize).map(&region)?;
            Some(Side { members, region })
        };
        groups.into_iter().filter_map(side).collect()
    }
}

impl Groups for Joint {
    fn len(&self) -> usize {
        self.groups.len()
    }

    fn members(&self, group: u32) -> Option<&Rc<RoaringBitmap>> {
        self.groups.get(group as usize).map(|group| &group.members)
    }

    fn group_of(&self, pod: u32) -> u32 {
        self.group_of.get(pod as usize).copied().unwrap_or(NO_GROUP)
    }
}
