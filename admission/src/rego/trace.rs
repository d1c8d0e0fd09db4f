//! Which rule said it, and what of the input that rests on.
//!
//! The engine that judges tells an answer and nothing else. So the same modules are loaded a second time with a note at
//! the end of every body ([`notes`]): a body that holds writes down which one it is, what its variables are, and the value it gives.
//! An answer is then looked up among these notes, and from the body that gave it the references are followed back to the input
//! ([`trail`], [`reads`]), through helper rules and functions by the notes that those left. Nothing is evaluated a second
//! time by other means, so an explanation cannot be of another evaluation than the one that took place.
//!
//! This is for people who ask, not for reviews: notes cost about as much as the evaluation.

mod notes;
mod reads;
mod trail;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use regorus::unstable::{Expr, Module, Rule, RuleBody, RuleHead};
use regorus::{Engine, Value};

pub(crate) use reads::Read;

use super::names::{Functions, Names, package_of};
use super::prepare::{parse, template};
use super::program::{ProgramError, failed, set_limit};
use super::{Edition, Errors, LENGTHS, Refusal, Text, bounds, builtins, install};
use crate::data::{self, Allowed};

/// What the notes are written with. Only here it is put into modules.
const NOTE: &str = "__taffrail_note";

/// How many notes of one evaluation are kept.
const NOTES_MAX: usize = 1 << 16;

thread_local! {
    static NOTES: RefCell<Vec<Note>> = const { RefCell::new(Vec::new()) };
}

/// A body that held.
#[derive(Debug, Clone)]
struct Note {
    /// Its number.
    body: usize,
    /// Its variables, in the order of [`Body::variables`].
    variables: Vec<Value>,
    /// The value, the element, or the key it gave.
    value: Value,
}

/// One body of a rule.
#[derive(Debug)]
struct Body {
    module: usize,
    /// Which rule of the module.
    rule: usize,
    /// Which body of the rule; none for a rule that has none, which holds always.
    at: Option<usize>,
    /// The rule's path below `data`.
    path: String,
    /// What the note tells of it.
    variables: Vec<String>,
}

/// A module as the engine has it, but for the notes.
struct Traced {
    name: String,
    ast: Module,
    names: Names,
    /// What stands in for variables without a name, by where they begin.
    unnamed: BTreeMap<u32, String>,
}

/// Modules that tell which of their bodies held.
pub(crate) struct Tracer {
    engine: Engine,
    rule: String,
    modules: Vec<Traced>,
    bodies: Vec<Body>,
}

/// Where a body stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The rule's path, with `data` before it.
    pub(crate) rule: String,
    /// The module.
    pub(crate) module: String,
    /// The line of the module where the rule begins, or the body of an `else`.
    pub(crate) line: u32,
}

/// A body that gave a value, and what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cause {
    /// Where it stands.
    pub(crate) spot: Spot,
    /// The bodies that gave it the elements of sets it found.
    pub(crate) through: Vec<Spot>,
    /// What it read of the input, in the order it was found.
    pub(crate) reads: Vec<Read>,
}

/// An answer, and how it came about.
pub(crate) struct Traces<'a> {
    tracer: &'a Tracer,
    input: Value,
    notes: Vec<Note>,
    /// What the rule answered.
    value: Value,
}

impl Tracer {
    /// Of a program in Rego as others wrote it; see [`super::Program::allowing`].
    pub(crate) fn of_program(
        entry: &Text,
        libraries: &[Text],
        rule: &str,
        roots: &[&str],
        allowed: Allowed,
    ) -> Result<Self, Refusal> {
        let prepared = template(entry, libraries, rule, roots, allowed)?;
        // As OPA does, and as the second engine of a program: where the first one has an answer, it is the same.
        let errors = Errors::Swallowed;
        Tracer::new(Engine::new(), prepared.modules, prepared.rule, errors)
    }

    /// Of modules that are prepared, in an engine that has what they call beside OPA's builtins; `rule` is a full path.
    pub(crate) fn of_modules(
        engine: Engine,
        modules: Vec<Text>,
        rule: &str,
    ) -> Result<Self, Refusal> {
        Tracer::new(engine, modules, rule.to_string(), Errors::Told)
    }

    fn new(
        engine: Engine,
        texts: Vec<Text>,
        rule: String,
        errors: Errors,
    ) -> Result<Self, Refusal> {
        let mut parsed = Vec::new();
        let mut functions = Functions::default();
        for text in texts {
            let ast = parse(&text, &text.rego)?;
            functions.add(&ast);
            parsed.push((text, ast));
        }
        let mut tracer = Tracer {
            engine,
            rule,
            modules: Vec::new(),
            bodies: Vec::new(),
        };
        tracer
            .engine
            .set_strict_builtin_errors(errors == Errors::Told);
        tracer.engine.set_policy_length_config(LENGTHS);
        tracer.engine.set_gather_prints(true);
        let _ = tracer.engine.add_extension(
            NOTE.to_string(),
            3,
            Box::new(|said: Vec<Value>| {
                note(&said);
                Ok(Value::from(true))
            }),
        );
        for (text, ast) in parsed {
            let names = Names::new(&ast, &functions);
            let noted = notes::note(&text, &ast, &names, tracer.modules.len(), &tracer.bodies);
            install(&mut tracer.engine, &text.rego, errors);
            tracer.engine.set_rego_v0(text.edition == Edition::V0);
            (tracer.engine)
                .add_policy(text.name.clone(), noted.rego)
                .map_err(|error| Refusal::from_regorus(&text.name, &error))?;
            tracer.bodies.extend(noted.bodies);
            tracer.modules.push(Traced {
                name: text.name,
                ast,
                names,
                unnamed: noted.unnamed,
            });
        }
        (tracer.engine)
            .compile_with_entrypoint(&tracer.rule.as_str().into())
            .map_err(|error| Refusal::from_regorus("", &error))?;
        Ok(tracer)
    }

    /// Asks about `input`, and keeps the notes.
    pub(crate) fn ask(
        &self,
        input: &Value,
        data: Option<&Arc<Value>>,
        limit: Duration,
    ) -> Result<Traces<'_>, ProgramError> {
        let mut engine = self.engine.clone();
        if let Some(data) = data {
            engine.add_data(data.as_ref().clone()).map_err(failed)?;
        }
        set_limit(&mut engine, limit);
        engine.set_input(input.clone());
        bounds::begin();
        NOTES.with_borrow_mut(Vec::clear);
        let value = engine.eval_rule(self.rule.clone()).map_err(failed);
        builtins::swallowed();
        let notes = NOTES.take();
        if let Some(problem) = data::failure() {
            return Err(ProgramError::Failed(problem));
        }
        Ok(Traces {
            tracer: self,
            input: input.clone(),
            notes,
            value: value?,
        })
    }
}

/// Writes down a body that held.
fn note(said: &[Value]) {
    if let [number, variables, value] = said
        && let (Ok(number), Ok(variables)) = (number.as_u32(), variables.as_array())
    {
        NOTES.with_borrow_mut(|notes| {
            if notes.len() < NOTES_MAX {
                notes.push(Note {
                    body: number as usize,
                    variables: variables.to_vec(),
                    value: value.clone(),
                });
            }
        });
    }
}

impl Traces<'_> {
    /// The bodies of the rule that was asked, or of any rule where it was put together from theirs, which gave a value that
    /// `is_it`. The same body with the same reads is told once; where a value went through several rules, the first one counts.
    pub(crate) fn causes(&self, anywhere: bool, is_it: impl Fn(&Value) -> bool) -> Vec<Cause> {
        let mut causes = Vec::new();
        if !self.elements().any(&is_it) {
            return causes;
        }
        let mut rules = BTreeSet::new();
        for note in self.notes.iter().filter(|note| is_it(&note.value)) {
            let Some(body) = self.tracer.bodies.get(note.body) else {
                continue;
            };
            if !anywhere && body.path != self.tracer.rule {
                continue;
            }
            if anywhere && !rules.is_empty() && !rules.contains(&body.path) {
                continue;
            }
            rules.insert(body.path.clone());
            let Some(cause) = self.cause(body, note) else {
                continue;
            };
            if !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        causes
    }

    /// What was answered, one by one; a rule that is an object has what it says as keys.
    fn elements(&self) -> Box<dyn Iterator<Item = &Value> + '_> {
        match &self.value {
            Value::Set(elements) => Box::new(elements.iter()),
            Value::Array(elements) => Box::new(elements.iter()),
            Value::Object(members) => Box::new(members.iter().map(|(key, _)| key)),
            other => Box::new(std::iter::once(other)),
        }
    }

    fn cause(&self, body: &Body, note: &Note) -> Option<Cause> {
        let (reads, through) = self.reads(body, note);
        Some(Cause {
            spot: self.spot(body)?,
            through,
            reads,
        })
    }

    fn spot(&self, body: &Body) -> Option<Spot> {
        let module = self.tracer.modules.get(body.module)?;
        let line = match body.else_body(module) {
            Some(other) => other.span.line,
            None => body.rule(module)?.span().line,
        };
        Some(Spot {
            rule: body.path.clone(),
            module: module.name.clone(),
            line,
        })
    }
}

impl Body {
    fn rule<'a>(&self, module: &'a Traced) -> Option<&'a Rule> {
        module.ast.policy.get(self.rule).map(AsRef::as_ref)
    }

    fn body<'a>(&self, module: &'a Traced) -> Option<&'a RuleBody> {
        match self.rule(module)? {
            Rule::Spec { bodies, .. } => bodies.get(self.at?),
            Rule::Default { .. } => None,
        }
    }

    fn else_body<'a>(&self, module: &'a Traced) -> Option<&'a RuleBody> {
        self.body(module)
            .filter(|_| self.at.is_some_and(|at| at > 0))
    }

    /// The expression that is its value; none where that is `true`.
    fn value<'a>(&self, module: &'a Traced) -> Option<&'a Expr> {
        let own = self.body(module).and_then(|body| body.assign.as_ref());
        own.map(|assign| assign.value.as_ref())
            .or_else(|| head(self.rule(module)?).1)
    }

    /// The arguments of a function.
    fn arguments<'a>(&self, module: &'a Traced) -> Vec<&'a Expr> {
        self.rule(module).map_or_else(Vec::new, |rule| head(rule).0)
    }
}

/// The arguments of a head, and what it gives.
fn head(rule: &Rule) -> (Vec<&Expr>, Option<&Expr>) {
    match rule {
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { assign, .. } => {
                (Vec::new(), assign.as_ref().map(|a| a.value.as_ref()))
            }
            RuleHead::Set { key, .. } => (Vec::new(), key.as_ref().map(AsRef::as_ref)),
            RuleHead::Func { args, assign, .. } => (
                args.iter().map(AsRef::as_ref).collect(),
                assign.as_ref().map(|a| a.value.as_ref()),
            ),
        },
        Rule::Default { value, .. } => (Vec::new(), Some(value.as_ref())),
    }
}

/// The path of a rule below `data`, as far as it is written out.
fn path_of_rule(module: &Module, rule: &Rule) -> Option<String> {
    let refr = match rule {
        Rule::Default { refr, .. } => refr,
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. }
            | RuleHead::Set { refr, .. }
            | RuleHead::Func { refr, .. } => refr,
        },
    };
    let name = match super::walk::path_of(refr) {
        // `checks["name"]` is an entry of the rule `checks`.
        Some(path) if matches!(refr.as_ref(), Expr::RefDot { .. }) => path.join("."),
        _ => super::names::rule_name(rule)?,
    };
    Some(format!("{}.{name}", package_of(module)))
}

#[cfg(test)]
mod tests;
