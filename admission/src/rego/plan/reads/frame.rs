//! A definition, gone through with places in place of values.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;

use super::super::program::{
    Alternative, Block, Collect, Definition, Gives, Kind, Op, Pattern, RuleId, Slot, Term,
};
use super::places::{Analysis, INPUT, Maker, PlaceId, Places};
use super::{name_of, text_of};

/// One definition, whose slots are its own.
pub(super) struct Frame<'a, 'p> {
    pub(super) analysis: &'a mut Analysis<'p>,
    pub(super) rule: RuleId,
    pub(super) definition: usize,
}

impl Frame<'_, '_> {
    fn of(&self, term: &Term) -> Places {
        match term {
            Term::Slot(slot) => {
                let slots = &self.analysis.slots;
                let known = slots.get(&(self.rule, self.definition, *slot));
                known.cloned().unwrap_or_default()
            }
            Term::Input => Places::from([INPUT]),
            Term::Constant(_) | Term::Data => Places::new(),
        }
    }

    fn need(&mut self, term: &Term) {
        let places = self.of(term);
        self.analysis.need(&places);
    }

    /// What stands at a name, or at each of those that it may be.
    fn step(&mut self, at: &Places, step: &Term) -> Places {
        let names = match step {
            Term::Slot(slot) => {
                let key = (self.rule, self.definition, *slot);
                self.analysis.names.get(&key).cloned()
            }
            _ => None,
        };
        match names {
            Some(names) => {
                let of = |name: &String| self.analysis.members(at, Some(name));
                names.iter().flat_map(of).collect()
            }
            None => self.analysis.members(at, name_of(step)),
        }
    }

    fn flow(&mut self, slot: Slot, places: &Places) {
        let key = (self.rule, self.definition, slot);
        flow(
            &mut self.analysis.slots,
            key,
            places,
            &mut self.analysis.grew,
        );
    }

    fn maker(&mut self, slot: Slot) -> PlaceId {
        let maker = Maker::Operation(self.rule, self.definition, slot);
        self.analysis.made(maker)
    }

    /// The first slots are the arguments; whoever calls has put them there.
    pub(super) fn arguments(&mut self, definition: &Definition) {
        for (slot, pattern) in definition.arguments.iter().enumerate() {
            let places = self.of(&Term::Slot(slot));
            self.matches(pattern, &places);
        }
    }

    pub(super) fn result(&mut self, alternative: &Alternative, kind: Kind, several: bool) {
        let value = self.of(&alternative.value);
        let rule = self.rule;
        let mut gives = value.clone();
        if let Some(key) = &alternative.key {
            self.need(key);
        }
        match kind {
            Kind::Complete | Kind::Function(_) => {
                // Two values of one rule are compared.
                let goes_through = |op: &Op| matches!(op, Op::Each { .. });
                if several || alternative.block.iter().any(goes_through) {
                    self.analysis.need(&value);
                }
            }
            Kind::Set | Kind::Object => {
                self.analysis.need(&value);
                let made = self.analysis.made(Maker::Rule(rule));
                self.analysis.put(made, None, &value);
                gives = Places::from([made]);
            }
        }
        flow(
            &mut self.analysis.rules,
            rule,
            &gives,
            &mut self.analysis.grew,
        );
    }

    pub(super) fn block(&mut self, block: &Block) {
        for op in block {
            self.operation(op);
        }
    }

    fn operation(&mut self, op: &Op) {
        match op {
            Op::Get { from, path, out } => {
                let mut at = self.of(from);
                for step in path {
                    self.need(step);
                    at = self.step(&at, step);
                }
                self.flow(*out, &at);
            }
            Op::Each {
                from, key, value, ..
            } => self.each(from, key, value),
            Op::Rule { rule, out } => {
                let places = self.analysis.rules.get(rule).cloned().unwrap_or_default();
                self.flow(*out, &places);
            }
            Op::Call {
                rule,
                arguments,
                out,
            } => {
                let callee = self.analysis.program.rules.get(*rule);
                let definitions = callee.map_or(0, |rule| rule.definitions.len());
                for (slot, argument) in arguments.iter().enumerate() {
                    let places = self.of(argument);
                    for definition in 0..definitions {
                        let key = (*rule, definition, slot);
                        flow(
                            &mut self.analysis.slots,
                            key,
                            &places,
                            &mut self.analysis.grew,
                        );
                    }
                }
                let places = self.analysis.rules.get(rule).cloned().unwrap_or_default();
                self.flow(*out, &places);
            }
            Op::Builtin {
                gives,
                arguments,
                out,
                ..
            } => self.builtin(*gives, arguments, *out),
            Op::Match { pattern, with } => {
                let places = self.of(with);
                self.matches(pattern, &places);
            }
            Op::Compare { left, right, .. } => self.compare(left, right),
            Op::Contains {
                key,
                value,
                collection,
                ..
            } => {
                for term in key.iter().chain([value, collection]) {
                    self.need(term);
                }
            }
            // Nothing but `false` is false, and a collection is none.
            Op::Test(_) | Op::Fail => {}
            Op::Not(block) => self.block(block),
            Op::Every {
                domain,
                key,
                value,
                block,
            } => {
                self.each(domain, key, value);
                self.block(block);
            }
            Op::Collect {
                what,
                block,
                value,
                out,
            } => {
                self.block(block);
                let places = self.of(value);
                match what {
                    Collect::Array => {}
                    Collect::Set => self.analysis.need(&places),
                    Collect::Object { key } => {
                        self.need(key);
                        self.analysis.need(&places);
                    }
                }
                self.makes(*out, None, &places);
            }
            Op::Array { items, out } => {
                for item in items {
                    let places = self.of(item);
                    self.makes(*out, None, &places);
                }
            }
            Op::Set { items, out } => {
                for item in items {
                    self.need(item);
                    let places = self.of(item);
                    self.makes(*out, None, &places);
                }
            }
            Op::Object { members, out } => self.object(members, *out),
        }
    }

    fn makes(&mut self, out: Slot, name: Option<&str>, places: &Places) {
        let made = self.maker(out);
        self.analysis.put(made, name, places);
        self.flow(out, &Places::from([made]));
    }

    fn object(&mut self, members: &[(Term, Term)], out: Slot) {
        let names: BTreeSet<_> = members.iter().filter_map(|(key, _)| name_of(key)).collect();
        for (key, value) in members {
            // Two values of one name are compared.
            if names.len() < members.len() {
                self.need(key);
                self.need(value);
            }
            let places = self.of(value);
            self.makes(out, name_of(key), &places);
        }
    }

    fn each(&mut self, from: &Term, key: &Pattern, value: &Pattern) {
        let from = self.of(from);
        let elements = self.analysis.members(&from, None);
        self.matches(value, &elements);
        // In a set, the element is its own key.
        let is_made = |id: &PlaceId| {
            let place = self.analysis.places.get(*id);
            place.is_none_or(|place| place.depth.is_none())
        };
        let made: Places = from.iter().copied().filter(is_made).collect();
        let keys = self.analysis.members(&made, None);
        self.matches(key, &keys);
    }

    fn builtin(&mut self, gives: Gives, arguments: &[Term], out: Slot) {
        match (gives, arguments) {
            (Gives::Itself, [of]) => {
                let places = self.of(of);
                self.flow(out, &places);
            }
            (Gives::Names, [of]) => {
                let places = self.of(of);
                self.analysis.need_names(&places);
            }
            (Gives::Joined, both) => {
                for one in both {
                    let places = self.of(one);
                    let elements = self.analysis.members(&places, None);
                    self.makes(out, None, &elements);
                }
            }
            (Gives::Member, [of, Term::Constant(path), otherwise]) => {
                let mut places = self.of(of);
                match path {
                    Value::Array(steps) => {
                        for step in steps.iter() {
                            places = self.analysis.members(&places, text_of(step));
                        }
                    }
                    step => places = self.analysis.members(&places, text_of(step)),
                }
                places.extend(self.of(otherwise));
                self.flow(out, &places);
            }
            (_, arguments) => {
                for argument in arguments {
                    self.need(argument);
                }
            }
        }
    }

    /// A value that is no collection differs from every collection, whatever that holds.
    fn compare(&mut self, left: &Term, right: &Term) {
        let plain = |term: &Term| match term {
            Term::Constant(value) => {
                !matches!(value, Value::Array(_) | Value::Set(_) | Value::Object(_))
            }
            _ => false,
        };
        if !plain(left) && !plain(right) {
            self.need(left);
            self.need(right);
        }
    }

    fn matches(&mut self, pattern: &Pattern, places: &Places) {
        match pattern {
            Pattern::Anything => {}
            Pattern::Bind(slot) => self.flow(*slot, places),
            Pattern::Equal(term) => {
                self.need(term);
                self.analysis.need(places);
            }
            Pattern::Array(parts) => {
                self.analysis.need_names(places);
                let elements = self.analysis.members(places, None);
                for part in parts {
                    self.matches(part, &elements);
                }
            }
            Pattern::Object(parts) => {
                self.analysis.need_names(places);
                for (key, part) in parts {
                    self.need(key);
                    let members = self.analysis.members(places, name_of(key));
                    self.matches(part, &members);
                }
            }
        }
    }
}

/// Adds places to those that reach a variable.
fn flow<K: Ord>(known: &mut BTreeMap<K, Places>, of: K, places: &Places, grew: &mut bool) {
    if places.is_empty() {
        return;
    }
    let known = known.entry(of).or_default();
    let before = known.len();
    known.extend(places);
    *grew |= known.len() > before;
}
