//! The places that values may come from, and what is looked at of each.

use std::collections::{BTreeMap, BTreeSet};

use super::super::program::{Program, RuleId, Slot};
use super::frame::Frame;
use super::{Reads, names};

/// Below this all is looked at: a pod is less deep where rules ask, and what is deeper may never end.
const DEPTH_MAX: usize = 16;

pub(super) type PlaceId = usize;

/// Where values come from.
pub(super) type Places = BTreeSet<PlaceId>;

/// One place of the input, or what one operation makes.
#[derive(Default)]
pub(super) struct Place {
    /// How deep in the input; None for what is made.
    pub(super) depth: Option<usize>,
    whole: bool,
    names: bool,
    each: Places,
    members: BTreeMap<String, Places>,
}

/// What makes something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Maker {
    Rule(RuleId),
    /// The operation whose value is in this slot of a definition.
    Operation(RuleId, usize, Slot),
}

/// The place of the whole input.
pub(super) const INPUT: PlaceId = 0;

pub(super) struct Analysis<'p> {
    pub(super) program: &'p Program,
    pub(super) places: Vec<Place>,
    makers: BTreeMap<Maker, PlaceId>,
    /// The slots whose value is one of a few names.
    pub(super) names: BTreeMap<(RuleId, usize, Slot), BTreeSet<String>>,
    pub(super) slots: BTreeMap<(RuleId, usize, Slot), Places>,
    pub(super) rules: BTreeMap<RuleId, Places>,
    pub(super) grew: bool,
}

/// What a program looks at of its input.
pub(in super::super) fn of(program: &Program) -> Reads {
    let input = Place {
        depth: Some(0),
        ..Place::default()
    };
    let mut analysis = Analysis {
        program,
        places: vec![input],
        makers: BTreeMap::new(),
        names: names::of(program),
        slots: BTreeMap::new(),
        rules: BTreeMap::new(),
        grew: true,
    };
    while std::mem::take(&mut analysis.grew) {
        analysis.go_through();
    }
    let mut reads = analysis.told(INPUT);
    reads.spread();
    reads
}

impl Analysis<'_> {
    fn go_through(&mut self) {
        let program = self.program;
        for (id, rule) in program.rules.iter().enumerate() {
            let several = rule.definitions.len() > 1;
            for (number, definition) in rule.definitions.iter().enumerate() {
                let mut frame = Frame {
                    analysis: self,
                    rule: id,
                    definition: number,
                };
                frame.arguments(definition);
                for alternative in &definition.alternatives {
                    frame.block(&alternative.block);
                    frame.result(alternative, rule.kind, several);
                }
            }
        }
        let answer = self.rules.get(&program.entry).cloned().unwrap_or_default();
        self.need(&answer);
    }

    /// All of these is looked at.
    pub(super) fn need(&mut self, places: &Places) {
        let mut waiting: Vec<PlaceId> = places.iter().copied().collect();
        while let Some(id) = waiting.pop() {
            let Some(place) = self.places.get_mut(id).filter(|place| !place.whole) else {
                continue;
            };
            place.whole = true;
            self.grew = true;
            waiting.extend(place.each.iter().chain(place.members.values().flatten()));
        }
    }

    /// Their members are counted, or named.
    pub(super) fn need_names(&mut self, places: &Places) {
        for id in places {
            if let Some(place) = self.places.get_mut(*id).filter(|place| !place.names) {
                place.names = true;
                self.grew = true;
            }
        }
    }

    /// What a member of these comes from; of any member where it is not known which.
    pub(super) fn members(&mut self, places: &Places, name: Option<&str>) -> Places {
        let mut found = Places::new();
        for id in places {
            let fresh = self.places.len();
            let Some(place) = self.places.get_mut(*id) else {
                continue;
            };
            // What is below it is looked at already.
            if place.whole {
                continue;
            }
            let Some(depth) = place.depth else {
                found.extend(&place.each);
                match name {
                    Some(name) => found.extend(place.members.get(name).into_iter().flatten()),
                    None => found.extend(place.members.values().flatten()),
                }
                continue;
            };
            if depth >= DEPTH_MAX {
                place.whole = true;
                self.grew = true;
                continue;
            }
            let members = match name {
                Some(name) => place.members.entry(name.to_string()).or_default(),
                None => &mut place.each,
            };
            if members.is_empty() {
                members.insert(fresh);
                self.grew = true;
                self.places.push(Place {
                    depth: Some(depth + 1),
                    ..Place::default()
                });
                found.insert(fresh);
            } else {
                found.extend(members.iter());
            }
        }
        found
    }

    /// The place of what somebody makes.
    pub(super) fn made(&mut self, maker: Maker) -> PlaceId {
        let fresh = self.places.len();
        let id = *self.makers.entry(maker).or_insert(fresh);
        if id == fresh {
            self.places.push(Place::default());
            self.grew = true;
        }
        id
    }

    /// Puts values into what is made, at a name or anywhere.
    pub(super) fn put(&mut self, into: PlaceId, name: Option<&str>, places: &Places) {
        let Some(place) = self.places.get_mut(into) else {
            return;
        };
        let members = match name {
            Some(name) => place.members.entry(name.to_string()).or_default(),
            None => &mut place.each,
        };
        let before = members.len();
        members.extend(places);
        self.grew |= members.len() > before;
        if place.whole {
            self.need(places);
        }
    }

    fn told(&self, id: PlaceId) -> Reads {
        let Some(place) = self.places.get(id) else {
            return Reads::whole();
        };
        if place.whole {
            return Reads::whole();
        }
        let all = |places: &Places| {
            let mut reads = Reads::default();
            for id in places {
                reads.join(&self.told(*id));
            }
            reads
        };
        Reads {
            whole: false,
            names: place.names,
            each: (!place.each.is_empty()).then(|| Box::new(all(&place.each))),
            members: (place.members.iter())
                .map(|(name, places)| (name.clone(), all(places)))
                .collect(),
        }
    }
}
