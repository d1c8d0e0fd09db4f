//! What a plan looks at of its input.
//!
//! Most of a pod is what no rule asks about: images, resources, mounts. Making values of it costs as much as judging it, so only
//! what is asked about is made into values. To know it, the plan is gone through once with *places* instead of values: where in
//! the input a value may come from, or which operation made it. The places that reach a variable only grow, and it is gone
//! through until none does.
//!
//! **It tells too much, never too little.** What becomes of a value that is compared, is put into a set, or is given to a builtin
//! which is not known here is not followed: all of it is looked at. What a rule sees of the rest is what it can tell apart: a
//! collection is there and is a collection, its members are there if somebody goes through them or counts them.
//!
//! - `key`: what is looked at of a value, to tell whether another one looks the same.
//! - `places`: the places, and what is looked at of each.
//! - `frame`: a definition, gone through with them.
//! - `names`: variables that stand for a few names.

mod frame;
mod key;
mod names;
mod places;

use std::collections::BTreeMap;

use regorus::Value;
use serde_json::Value as Json;

pub(crate) use key::{Key, TooLong};
pub(super) use places::of;

use super::program::Term;

/// What is looked at of a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    /// All there is, however deep.
    whole: bool,
    /// Which members there are, or how many elements.
    names: bool,
    /// What of every member and element.
    each: Option<Box<Reads>>,
    /// What of these members, [`Reads::each`] included.
    members: BTreeMap<String, Reads>,
}

impl Reads {
    /// All there is.
    pub(crate) fn whole() -> Self {
        Reads {
            whole: true,
            ..Reads::default()
        }
    }

    /// What of a member; None where nobody asks about it.
    pub(crate) fn of(&self, name: &str) -> Option<&Reads> {
        if self.whole {
            return Some(self);
        }
        self.members.get(name).or(self.each.as_deref())
    }

    /// What of every element; None where nobody asks about any.
    pub(crate) fn each(&self) -> Option<&Reads> {
        if self.whole {
            return Some(self);
        }
        self.each.as_deref()
    }

    /// A value of what is looked at, of those members that `counts`.
    pub(crate) fn value_of(&self, json: &Json, counts: fn(&Json) -> bool) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(bool) => Value::from(*bool),
            Json::Number(number) => number
                .as_i64()
                .map(Value::from)
                .or_else(|| number.as_u64().map(Value::from))
                .or_else(|| number.as_f64().map(Value::from))
                .unwrap_or(Value::Null),
            Json::String(text) => Value::from(text.as_str()),
            Json::Array(items) => match self.each() {
                Some(each) => {
                    let items = items.iter().map(|item| each.value_of(item, counts));
                    Value::from(items.collect::<Vec<_>>())
                }
                None if self.names => Value::from(vec![Value::Null; items.len()]),
                None => Value::new_array(),
            },
            Json::Object(members) => {
                let members = members.iter().filter(|(_, value)| counts(value));
                let members = members.filter_map(|(name, value)| {
                    let value = match self.of(name) {
                        Some(reads) => reads.value_of(value, counts),
                        None if self.names => Value::Null,
                        None => return None,
                    };
                    Some((Value::from(name.as_str()), value))
                });
                Value::from(members.collect::<BTreeMap<_, _>>())
            }
        }
    }

    fn join(&mut self, other: &Reads) {
        self.whole |= other.whole;
        self.names |= other.names;
        if let Some(each) = &other.each {
            self.each.get_or_insert_default().join(each);
        }
        for (name, member) in &other.members {
            self.members.entry(name.clone()).or_default().join(member);
        }
    }

    /// Adds what is asked of every member to what is asked of each.
    fn spread(&mut self) {
        if let Some(each) = &self.each {
            for member in self.members.values_mut() {
                member.join(each);
            }
        }
        if let Some(each) = &mut self.each {
            each.spread();
        }
        self.members.values_mut().for_each(Reads::spread);
    }
}

/// The name of a member that is known beforehand.
fn name_of(term: &Term) -> Option<&str> {
    match term {
        Term::Constant(value) => text_of(value),
        _ => None,
    }
}

fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}
