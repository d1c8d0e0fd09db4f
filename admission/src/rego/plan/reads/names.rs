//! Variables that stand for a few names, as in `some field in ["livenessProbe", "readinessProbe"]`: what is looked at in their place
//! is known beforehand.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;

use super::super::program::{Block, Op, Pattern, Program, RuleId, Slot, Term};
use super::text_of;

/// The slots that get nothing but the elements of lists of names, which stand in the text.
pub(super) fn of(program: &Program) -> BTreeMap<(RuleId, usize, Slot), BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for (id, rule) in program.rules.iter().enumerate() {
        for (number, definition) in rule.definitions.iter().enumerate() {
            let mut known = BTreeMap::new();
            for (slot, pattern) in definition.arguments.iter().enumerate() {
                known.insert(slot, None);
                unknown(pattern, &mut known);
            }
            for alternative in &definition.alternatives {
                named(&alternative.block, &mut known);
            }
            let known = known.into_iter();
            all.extend(known.filter_map(|(slot, names)| Some(((id, number, slot), names?))));
        }
    }
    all
}

/// The names that a slot may get; None where it may be anything.
type Named = BTreeMap<Slot, Option<BTreeSet<String>>>;

fn named(block: &Block, known: &mut Named) {
    for op in block {
        match op {
            Op::Each {
                from, key, value, ..
            } => {
                unknown(key, known);
                match (value, listed(from)) {
                    (Pattern::Bind(slot), Some(names)) => {
                        let of = known.entry(*slot).or_insert_with(|| Some(BTreeSet::new()));
                        if let Some(of) = of {
                            of.extend(names);
                        }
                    }
                    (value, _) => unknown(value, known),
                }
            }
            Op::Every {
                key, value, block, ..
            } => {
                unknown(key, known);
                unknown(value, known);
                named(block, known);
            }
            Op::Not(block) => named(block, known),
            Op::Collect { block, out, .. } => {
                named(block, known);
                known.insert(*out, None);
            }
            Op::Match { pattern, .. } => unknown(pattern, known),
            Op::Get { out, .. }
            | Op::Rule { out, .. }
            | Op::Call { out, .. }
            | Op::Builtin { out, .. }
            | Op::Compare { out: Some(out), .. }
            | Op::Contains { out: Some(out), .. }
            | Op::Array { out, .. }
            | Op::Set { out, .. }
            | Op::Object { out, .. } => {
                known.insert(*out, None);
            }
            Op::Compare { out: None, .. }
            | Op::Contains { out: None, .. }
            | Op::Test(_)
            | Op::Fail => {}
        }
    }
}

fn unknown(pattern: &Pattern, known: &mut Named) {
    match pattern {
        Pattern::Anything | Pattern::Equal(_) => {}
        Pattern::Bind(slot) => {
            known.insert(*slot, None);
        }
        Pattern::Array(parts) => parts.iter().for_each(|part| unknown(part, known)),
        Pattern::Object(parts) => parts.iter().for_each(|(_, part)| unknown(part, known)),
    }
}

/// A list of names and nothing else.
fn listed(from: &Term) -> Option<BTreeSet<String>> {
    let Term::Constant(Value::Array(items)) = from else {
        return None;
    };
    let name = |item: &Value| text_of(item).map(str::to_string);
    items.iter().map(name).collect()
}
