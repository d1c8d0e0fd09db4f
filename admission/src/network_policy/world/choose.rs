//! Which of many pods selectors choose.
//!
//! A policy has hundreds of selectors if it likes, and each of them may be about every pod. So pods are not asked
//! selector by selector: for each label that a selector names it is noted once which pods have which value of it,
//! and a selector is a few operations on sets.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::World;
use crate::network_policy::pod::Network;
use crate::network_policy::selector::{Operator, Requirement, Selector};

/// Some pods, to choose from.
pub(super) struct Choice<'a> {
    world: &'a World,
    /// No selector means a pod in its host's network.
    among: RoaringBitmap,
    by_label: RefCell<HashMap<String, Rc<Values>>>,
}

/// Which pods have which value of a label.
#[derive(Default)]
struct Values {
    any: RoaringBitmap,
    each: HashMap<Arc<str>, RoaringBitmap>,
}

impl<'a> Choice<'a> {
    pub(super) fn new(world: &'a World, among: &RoaringBitmap) -> Self {
        let is_own = |number: &u32| {
            let pod = world.pod(*number);
            pod.is_some_and(|pod| pod.network == Network::Own)
        };
        let mut among: RoaringBitmap = among.iter().filter(is_own).collect();
        among.optimize();
        Choice {
            world,
            among,
            by_label: RefCell::default(),
        }
    }

    /// Those of them that a selector chooses.
    pub(super) fn of(&self, selector: &Selector) -> RoaringBitmap {
        let mut chosen = self.among.clone();
        for Requirement { key, operator } in &selector.0 {
            let values = self.values(key);
            match operator {
                Operator::In(wanted) => chosen &= values.any_of(wanted),
                Operator::NotIn(unwanted) => chosen -= values.any_of(unwanted),
                Operator::Exists => chosen &= &values.any,
                Operator::DoesNotExist => chosen -= &values.any,
            }
        }
        chosen
    }

    fn values(&self, key: &str) -> Rc<Values> {
        if let Some(known) = self.by_label.borrow().get(key) {
            return Rc::clone(known);
        }
        let mut values = Values::default();
        for number in &self.among {
            let pod = self.world.pod(number);
            let Some(value) = pod.and_then(|pod| pod.labels.shared_value(key)) else {
                continue;
            };
            values.any.insert(number);
            let pods = values.each.entry(Arc::clone(value)).or_default();
            pods.insert(number);
        }
        let values = Rc::new(values);
        let mut known = self.by_label.borrow_mut();
        known.insert(key.to_string(), Rc::clone(&values));
        values
    }
}

impl Values {
    fn any_of(&self, wanted: &[String]) -> RoaringBitmap {
        let found = wanted
            .iter()
            .filter_map(|value| self.each.get(value.as_str()));
        found.fold(RoaringBitmap::new(), |all, pods| all | pods)
    }
}
