//! A question: the operations of a plan on the values of one input.
//!
//! Operations are done one after another. One that goes through a collection does all that stand after it for each element;
//! what stands after the last is given by whoever asked for the block. So the stack grows by collections that are gone through
//! inside of one another, and by rules that need one another, both of which the text of a module bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Instant;

use regorus::Value;
use regorus::unstable::BoolOp;

use super::program::{
    Alternative, Collect, Definition, Kind, Op, Pattern, Program, Rule, RuleId, Slot, Term,
};
use crate::rego::{PANICKED, bounds, builtins};

/// How many operations are done between two looks at the clock.
const OPERATIONS_BETWEEN_CLOCK_LOOKS: u32 = 512;

/// Why a plan gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// It ran out of time.
    #[error("the evaluation ran out of time")]
    Time,
    /// It builds too much.
    #[error(
        "the evaluation builds more than {} MiB, or a call in it more than {} MiB",
        bounds::EVALUATION_BYTES_MAX >> 20,
        bounds::CALL_BYTES_MAX >> 20
    )]
    Size,
    /// Something failed, and the interpreter knows what follows.
    #[error("the evaluation failed")]
    Failed,
    /// It panicked.
    #[error("{PANICKED}")]
    Panicked,
}

/// How deep blocks stand in one another: each takes its share of the stack.
const DEPTH_MAX: u32 = 400;

/// What is done where a block holds: go on with what else holds, or be content.
pub(super) type Found<'f, 'p> = &'f mut dyn FnMut(&mut Run<'p>, usize) -> Flow;

/// One question.
pub(super) struct Run<'p> {
    program: &'p Program,
    input: &'p Value,
    data: &'p Value,
    /// The values of rules that were needed.
    rules: Vec<Option<Value>>,
    /// The frames of definitions, one above another.
    slots: Vec<Value>,
    deadline: Instant,
    operations: u32,
    depth: u32,
}

/// Whether there is more to be done.
type Flow = Result<ControlFlow<()>, Fault>;

const GO_ON: Flow = Ok(ControlFlow::Continue(()));

const ENOUGH: Flow = Ok(ControlFlow::Break(()));

/// What is done with the key and the value of an element.
type Element<'f, 'p> = &'f mut dyn FnMut(&mut Run<'p>, &Value, &Value) -> Flow;

static NOTHING: Value = Value::Undefined;

pub(super) fn ask(
    program: &Program,
    input: &Value,
    data: &Value,
    deadline: Instant,
) -> Result<Value, Fault> {
    let mut run = Run {
        program,
        input,
        data,
        rules: vec![None; program.rules.len()],
        slots: Vec::new(),
        deadline,
        operations: 0,
        depth: 0,
    };
    run.rule(program.entry)
}

impl<'p> Run<'p> {
    /// The value of a term in the frame at `base`.
    pub(super) fn value<'v>(&'v self, term: &'v Term, base: usize) -> &'v Value {
        match term {
            Term::Constant(value) => value,
            Term::Slot(slot) => self.slots.get(base + slot).unwrap_or(&NOTHING),
            Term::Input => self.input,
            Term::Data => self.data,
        }
    }

    pub(super) fn set(&mut self, base: usize, slot: Slot, value: Value) {
        if let Some(place) = self.slots.get_mut(base + slot) {
            *place = value;
        }
    }

    fn tick(&mut self) -> Result<(), Fault> {
        self.operations += 1;
        if self.operations < OPERATIONS_BETWEEN_CLOCK_LOOKS {
            return Ok(());
        }
        self.operations = 0;
        if Instant::now() < self.deadline {
            Ok(())
        } else {
            Err(Fault::Time)
        }
    }

    /// The value of a rule that is no function, which is found once.
    fn rule(&mut self, id: RuleId) -> Result<Value, Fault> {
        if let Some(Some(value)) = self.rules.get(id) {
            return Ok(value.clone());
        }
        let rule = self.program.rules.get(id).ok_or(Fault::Failed)?;
        let value = match rule.kind {
            Kind::Complete => self.complete(rule, &[])?,
            Kind::Set => self.members(rule)?,
            Kind::Object => self.entries(rule)?,
            Kind::Function(_) => return Err(Fault::Failed),
        };
        if let Some(place) = self.rules.get_mut(id) {
            *place = Some(value.clone());
        }
        Ok(value)
    }

    /// Runs what follows in a frame of its own, whose first slots are the arguments.
    fn framed(
        &mut self,
        definition: &'p Definition,
        arguments: &[Value],
        inner: impl FnOnce(&mut Self, usize) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let base = self.slots.len();
        self.slots.extend_from_slice(arguments);
        self.slots.resize(base + definition.slots, Value::Undefined);
        let mut fit = true;
        for (number, pattern) in definition.arguments.iter().enumerate() {
            if fit && !matches!(pattern, Pattern::Anything) {
                let argument = self.slots.get(base + number).cloned();
                fit = self.matches(pattern, &argument.unwrap_or(Value::Undefined), base);
            }
        }
        let result = if fit { inner(self, base) } else { Ok(()) };
        self.slots.truncate(base);
        result
    }

    /// The one value of a rule. Two are an error.
    fn complete(&mut self, rule: &'p Rule, arguments: &[Value]) -> Result<Value, Fault> {
        let mut value: Option<Value> = None;
        for definition in &rule.definitions {
            let known = &mut value;
            self.framed(definition, arguments, |run, base| {
                for alternative in &definition.alternatives {
                    if run.alternative(alternative, base, known)? {
                        break;
                    }
                }
                Ok(())
            })?;
            if value.is_some() && rule.only.is_some() {
                break;
            }
        }
        Ok(value
            .or_else(|| rule.default.clone())
            .unwrap_or(Value::Undefined))
    }

    /// Whether an alternative holds, and what it gives.
    fn alternative(
        &mut self,
        alternative: &'p Alternative,
        base: usize,
        known: &mut Option<Value>,
    ) -> Result<bool, Fault> {
        let mut holds = false;
        let is_constant = matches!(alternative.value, Term::Constant(_));
        let _ = self.block(&alternative.block, base, &mut |run, base| {
            holds = true;
            let value = run.value(&alternative.value, base);
            match known {
                Some(known) if known != value => return Err(Fault::Failed),
                Some(_) => {}
                None => *known = Some(value.clone()),
            }
            if is_constant { ENOUGH } else { GO_ON }
        })?;
        Ok(holds)
    }

    fn members(&mut self, rule: &'p Rule) -> Result<Value, Fault> {
        let mut members = BTreeSet::new();
        self.each_alternative(rule, &mut |run, base, alternative| {
            let member = run.value(&alternative.value, base);
            members.insert(member.clone());
            built(member)
        })?;
        Ok(Value::from(members))
    }

    fn entries(&mut self, rule: &'p Rule) -> Result<Value, Fault> {
        let mut entries = BTreeMap::new();
        self.each_alternative(rule, &mut |run, base, alternative| {
            let key = alternative.key.as_ref().ok_or(Fault::Failed)?;
            let (key, value) = (run.value(key, base), run.value(&alternative.value, base));
            entry(&mut entries, key, value)
        })?;
        Ok(Value::from(entries))
    }

    fn each_alternative(
        &mut self,
        rule: &'p Rule,
        found: &mut dyn FnMut(&mut Self, usize, &'p Alternative) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for definition in &rule.definitions {
            self.framed(definition, &[], |run, base| {
                for alternative in &definition.alternatives {
                    let _ = run.block(&alternative.block, base, &mut |run, base| {
                        found(run, base, alternative)?;
                        GO_ON
                    })?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Whether a block holds at all.
    fn holds(&mut self, block: &'p [Op], base: usize) -> Result<bool, Fault> {
        let flow = self.block(block, base, &mut |_, _| ENOUGH)?;
        Ok(flow.is_break())
    }

    fn block(&mut self, block: &'p [Op], base: usize, found: Found<'_, 'p>) -> Flow {
        if self.depth >= DEPTH_MAX {
            return Err(Fault::Failed);
        }
        self.depth += 1;
        let flow = self.operations(block, base, found);
        self.depth -= 1;
        flow
    }

    fn operations(&mut self, block: &'p [Op], base: usize, found: Found<'_, 'p>) -> Flow {
        let mut rest = block;
        while let Some((op, after)) = rest.split_first() {
            self.tick()?;
            rest = after;
            if let Op::Each {
                from,
                key,
                value,
                lenient,
            } = op
            {
                let from = self.value(from, base).clone();
                if !lenient && !is_collection(&from) {
                    return Err(Fault::Failed);
                }
                return self.elements(&from, &mut |run, one_key, one_value| {
                    run.tick()?;
                    if run.matches(key, one_key, base) && run.matches(value, one_value, base) {
                        run.block(after, base, &mut *found)
                    } else {
                        GO_ON
                    }
                });
            }
            if !self.operation(op, base)? {
                return GO_ON;
            }
        }
        found(self, base)
    }

    /// Keys and values of a collection; nothing for what is none.
    fn elements(&mut self, from: &Value, found: Element<'_, 'p>) -> Flow {
        match from {
            Value::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    if found(self, &Value::from(number), item)?.is_break() {
                        return ENOUGH;
                    }
                }
            }
            Value::Set(items) => {
                for item in items.iter_sorted() {
                    if found(self, item, item)?.is_break() {
                        return ENOUGH;
                    }
                }
            }
            Value::Object(members) => {
                for (key, value) in members.iter_sorted() {
                    if found(self, key, value)?.is_break() {
                        return ENOUGH;
                    }
                }
            }
            _ => {}
        }
        GO_ON
    }

    /// Whether an operation holds that does so once or not at all.
    fn operation(&mut self, op: &'p Op, base: usize) -> Result<bool, Fault> {
        let (out, value) = match op {
            Op::Get { from, path, out } => {
                let mut at = self.value(from, base);
                for step in path {
                    at = &at[self.value(step, base)];
                }
                (*out, at.clone())
            }
            Op::Rule { rule, out } => (*out, self.rule(*rule)?),
            Op::Call {
                rule,
                arguments,
                out,
            } => {
                let arguments = self.values(arguments, base);
                let rule = self.program.rules.get(*rule).ok_or(Fault::Failed)?;
                (*out, self.complete(rule, &arguments)?)
            }
            Op::Builtin {
                function,
                arguments,
                out,
                ..
            } => {
                let value = |term| self.value(term, base).clone();
                // So few that they need no list.
                let answer = match arguments.as_slice() {
                    [one] => function(&[value(one)]),
                    [one, two] => function(&[value(one), value(two)]),
                    [one, two, three] => function(&[value(one), value(two), value(three)]),
                    more => function(&self.values(more, base)),
                };
                (*out, answer.map_err(|_| failed())?)
            }
            Op::Match { pattern, with } => {
                let with = self.value(with, base).clone();
                return Ok(self.matches(pattern, &with, base));
            }
            Op::Compare {
                op,
                left,
                right,
                out,
            } => {
                let holds = compare(op, self.value(left, base), self.value(right, base));
                return Ok(self.tell(holds, *out, base));
            }
            Op::Contains {
                key,
                value,
                collection,
                out,
            } => {
                let key = key.as_ref().map(|key| self.value(key, base));
                let (value, all) = (self.value(value, base), self.value(collection, base));
                let holds = builtins::holds(all, key, value);
                return Ok(self.tell(holds, *out, base));
            }
            Op::Test(term) => return Ok(*self.value(term, base) != Value::Bool(false)),
            Op::Fail => return Ok(false),
            Op::Not(block) => return Ok(!self.holds(block, base)?),
            Op::Every {
                domain,
                key,
                value,
                block,
            } => {
                let domain = self.value(domain, base).clone();
                if !is_collection(&domain) {
                    return Err(Fault::Failed);
                }
                let flow = self.elements(&domain, &mut |run, one_key, one_value| {
                    let holds = run.matches(key, one_key, base)
                        && run.matches(value, one_value, base)
                        && run.holds(block, base)?;
                    if holds { GO_ON } else { ENOUGH }
                })?;
                return Ok(flow.is_continue());
            }
            Op::Collect {
                what,
                block,
                value,
                out,
            } => (*out, self.collect(what, block, value, base)?),
            Op::Array { items, out } => (*out, Value::from(self.values(items, base))),
            Op::Set { items, out } => {
                let items: BTreeSet<_> = self.values(items, base).into_iter().collect();
                (*out, Value::from(items))
            }
            Op::Object { members, out } => {
                let mut entries = BTreeMap::new();
                for (key, value) in members {
                    entry(&mut entries, self.value(key, base), self.value(value, base))?;
                }
                (*out, Value::from(entries))
            }
            Op::Each { .. } => return Err(Fault::Failed),
        };
        let is_there = value != Value::Undefined;
        self.set(base, out, value);
        Ok(is_there)
    }

    fn tell(&mut self, holds: bool, out: Option<Slot>, base: usize) -> bool {
        match out {
            Some(out) => {
                self.set(base, out, Value::Bool(holds));
                true
            }
            None => holds,
        }
    }

    fn values(&self, terms: &[Term], base: usize) -> Vec<Value> {
        terms
            .iter()
            .map(|term| self.value(term, base).clone())
            .collect()
    }

    fn collect(
        &mut self,
        what: &'p Collect,
        block: &'p [Op],
        value: &'p Term,
        base: usize,
    ) -> Result<Value, Fault> {
        match what {
            Collect::Array => {
                let mut items = Vec::new();
                let _ = self.block(block, base, &mut |run, base| {
                    let item = run.value(value, base);
                    items.push(item.clone());
                    built(item)?;
                    GO_ON
                })?;
                Ok(Value::from(items))
            }
            Collect::Set => {
                let mut items = BTreeSet::new();
                let _ = self.block(block, base, &mut |run, base| {
                    let item = run.value(value, base);
                    items.insert(item.clone());
                    built(item)?;
                    GO_ON
                })?;
                Ok(Value::from(items))
            }
            Collect::Object { key } => {
                let mut entries = BTreeMap::new();
                let _ = self.block(block, base, &mut |run, base| {
                    entry(&mut entries, run.value(key, base), run.value(value, base))?;
                    GO_ON
                })?;
                Ok(Value::from(entries))
            }
        }
    }
}

/// Why a builtin gives no answer: the interpreter would ask it again, and it would build as much again.
fn failed() -> Fault {
    if bounds::is_spent() {
        Fault::Size
    } else {
        Fault::Failed
    }
}

/// Counts an element of what is built.
fn built(element: &Value) -> Result<(), Fault> {
    bounds::element(element).map_err(|_| Fault::Size)
}

/// A member of an object. Two values for one key are an error.
fn entry(entries: &mut BTreeMap<Value, Value>, key: &Value, value: &Value) -> Result<(), Fault> {
    match entries.get(key) {
        Some(known) if known != value => Err(Fault::Failed),
        Some(_) => Ok(()),
        None => {
            entries.insert(key.clone(), value.clone());
            built(value)
        }
    }
}

fn is_collection(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Set(_) | Value::Object(_))
}

fn compare(op: &BoolOp, left: &Value, right: &Value) -> bool {
    match op {
        BoolOp::Eq => left == right,
        BoolOp::Ne => left != right,
        BoolOp::Lt => left < right,
        BoolOp::Le => left <= right,
        BoolOp::Gt => left > right,
        BoolOp::Ge => left >= right,
    }
}
