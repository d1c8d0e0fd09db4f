//! From an expression back to the place of the input that it names.
//!
//! A trail is a path in the input, with a step for each element where it is not known which one was meant, as inside a
//! comprehension. Where a variable has a value, what stands at the end of its trail must be that value, or there
//! is no trail: what cannot be followed is not told, rather than guessed.

use std::collections::BTreeMap;

use regorus::Value;
use regorus::unstable::{Expr, Literal, Query, Ref, Rule, RuleHead};

use super::super::builtins::COLLECTION;
use super::super::walk::path_of;
use super::{Body, Note, Traced, Traces};

/// How far calls and rules are followed.
pub(super) const DEPTH_MAX: usize = 16;

/// A step of a trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// To a member or an element.
    To(Value),
    /// To each of them.
    Each,
}

/// A path in the input.
pub(super) type Trail = Vec<Step>;

/// A body as it is read: what its names stand for.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    pub(super) module: &'a Traced,
    pub(super) body: &'a Body,
    /// The queries around, the innermost last.
    pub(super) queries: Vec<&'a Query>,
    /// What the note tells; nothing where the body did not hold.
    pub(super) values: BTreeMap<&'a str, &'a Value>,
    /// Where arguments, and what `every` goes through, come from.
    pub(super) trails: BTreeMap<String, Option<Trail>>,
    /// The variables that are being followed.
    defining: Vec<String>,
    pub(super) depth: usize,
}

impl<'a> Scope<'a> {
    /// With another query inside.
    pub(super) fn within(&self, query: &'a Query) -> Self {
        let mut inner = self.clone();
        inner.queries.push(query);
        inner
    }
}

impl Traces<'_> {
    /// A body by its note, or as it is written where there is none.
    pub(super) fn scope<'a>(
        &'a self,
        body: &'a Body,
        note: Option<&'a Note>,
        depth: usize,
    ) -> Option<Scope<'a>> {
        let module = self.tracer.modules.get(body.module)?;
        let values = note.map_or(&[][..], |note| note.variables.as_slice());
        let names = body.variables.iter().map(String::as_str);
        Some(Scope {
            module,
            body,
            queries: body
                .body(module)
                .map(|b| b.query.as_ref())
                .into_iter()
                .collect(),
            values: names.zip(values).collect(),
            trails: BTreeMap::new(),
            defining: Vec::new(),
            depth,
        })
    }

    /// Where in the input the value of an expression stands.
    pub(super) fn trail<'a>(&'a self, expr: &'a Expr, scope: &Scope<'a>) -> Option<Trail> {
        if scope.depth > DEPTH_MAX {
            return None;
        }
        match expr {
            Expr::Var { span, .. } => self.trail_of_name(span.text(), scope),
            Expr::RefDot { refr, field, .. } => {
                if let Some(rule) = self.rule_of(expr, scope) {
                    return self.trail_of_rule(&rule, None, scope);
                }
                let mut trail = self.trail(refr, scope)?;
                trail.push(Step::To(field.1.clone()));
                Some(trail)
            }
            Expr::RefBrack { refr, index, .. } => {
                let at = self.value_of(index, scope);
                if let Some(rule) = self.rule_of(refr, scope)
                    && self.is_set(&rule)
                {
                    return self.trail_of_rule(&rule, at.as_ref(), scope);
                }
                let mut trail = self.trail(refr, scope)?;
                trail.push(at.map_or(Step::Each, Step::To));
                Some(trail)
            }
            Expr::Call { fcn, params, .. } => {
                let path = path_of(fcn)?.join(".");
                let first = params.first()?;
                match path.as_str() {
                    COLLECTION => self.trail(first, scope),
                    "object.get" => {
                        let mut trail = self.trail(first, scope)?;
                        match self.value_of(params.get(1)?, scope)? {
                            Value::Array(keys) => trail.extend(keys.iter().cloned().map(Step::To)),
                            key => trail.push(Step::To(key)),
                        }
                        Some(trail)
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn trail_of_name<'a>(&'a self, name: &str, scope: &Scope<'a>) -> Option<Trail> {
        if name == "input" {
            return Some(Trail::new());
        }
        let trail = if let Some(known) = scope.trails.get(name) {
            known.clone()?
        } else if let Some(defined) = self.definition(name, scope) {
            defined
        } else if let Some(path) = scope.module.names.import(name) {
            let mut steps = path.split('.');
            if steps.next() == Some("input") {
                return Some(steps.map(|step| Step::To(Value::from(step))).collect());
            }
            return self.trail_of_rule(path, None, scope);
        } else {
            return self.trail_of_rule(&scope.module.names.rule(name)?, None, scope);
        };
        match scope.values.get(name) {
            Some(value) if !trail.contains(&Step::Each) => {
                (self.lookup(&trail) == Some(*value)).then_some(trail)
            }
            _ => Some(trail),
        }
    }

    /// What a variable is said to be in the queries around.
    fn definition<'a>(&'a self, name: &str, scope: &Scope<'a>) -> Option<Trail> {
        if scope.defining.iter().any(|known| known == name) {
            // It is said to be what is said to be it.
            return None;
        }
        let mut scope = scope.clone();
        scope.defining.push(name.to_string());
        let scope = &scope;
        let is_it = |expr: &Expr| matches!(expr, Expr::Var { span, .. } if span.text() == name);
        for query in scope.queries.iter().rev() {
            for stmt in query.stmts.iter().filter(|stmt| stmt.with_mods.is_empty()) {
                let trail = match &stmt.literal {
                    Literal::Expr { expr, .. } => match expr.as_ref() {
                        Expr::AssignExpr { lhs, rhs, .. } if is_it(lhs) => self.trail(rhs, scope),
                        Expr::AssignExpr { lhs, rhs, .. } if is_it(rhs) => self.trail(lhs, scope),
                        _ => None,
                    },
                    Literal::SomeIn {
                        key,
                        value,
                        collection,
                        ..
                    } if is_it(value) => self.trail(collection, scope).map(|mut trail| {
                        let at = match key {
                            Some(key) => self.value_of(key, scope),
                            None => unnamed(value.span().start, scope),
                        };
                        trail.push(at.map_or(Step::Each, Step::To));
                        trail
                    }),
                    _ => None,
                };
                if trail.is_some() {
                    return trail;
                }
            }
        }
        None
    }

    /// Where the value of a rule stands, or the element of a set.
    fn trail_of_rule(
        &self,
        rule: &str,
        element: Option<&Value>,
        scope: &Scope<'_>,
    ) -> Option<Trail> {
        let (body, note) = self.gave(rule, element);
        let body = body.or_else(|| self.only_body(rule))?;
        let inner = self.scope(body, note, scope.depth + 1)?;
        self.trail(body.value(inner.module)?, &inner)
    }

    /// The first body of a rule that held, of those that `is_it`.
    pub(super) fn noted(
        &self,
        rule: &str,
        is_it: impl Fn(&Note) -> bool,
    ) -> (Option<&Body>, Option<&Note>) {
        let body = |note: &Note| self.tracer.bodies.get(note.body);
        let is_of = |note: &&Note| body(note).is_some_and(|body| body.path == rule);
        let note = self.notes.iter().filter(is_of).find(|note| is_it(note));
        (note.and_then(body), note)
    }

    /// The body that gave an element of a rule; or its value, where it gave one and no other.
    pub(super) fn gave(
        &self,
        rule: &str,
        element: Option<&Value>,
    ) -> (Option<&Body>, Option<&Note>) {
        if let Some(element) = element {
            return self.noted(rule, |note| note.value == *element);
        }
        let (body, first) = self.noted(rule, |_| true);
        let is_other = |note: &Note| first.is_some_and(|first| first.value != note.value);
        match self.noted(rule, is_other) {
            (None, _) => (body, first),
            _ => (None, None),
        }
    }

    /// All bodies of a rule.
    pub(super) fn bodies_of(&self, rule: &str) -> impl Iterator<Item = &Body> {
        self.tracer
            .bodies
            .iter()
            .filter(move |body| body.path == rule)
    }

    /// The body of a rule that has one only.
    fn only_body(&self, rule: &str) -> Option<&Body> {
        let mut bodies = self.bodies_of(rule);
        bodies.next().filter(|_| bodies.next().is_none())
    }

    /// The path of the rule that an expression names.
    pub(super) fn rule_of(&self, expr: &Expr, scope: &Scope<'_>) -> Option<String> {
        let path = match expr {
            Expr::Var { span, .. } => {
                let name = span.text();
                if scope.values.contains_key(name) || scope.trails.contains_key(name) {
                    return None;
                }
                (scope.module.names.rule(name))
                    .or_else(|| scope.module.names.import(name).map(str::to_string))?
            }
            _ => scope.module.names.path(expr)?.join("."),
        };
        let is_rule = self.bodies_of(&path).next().is_some();
        is_rule.then_some(path)
    }

    fn is_set(&self, rule: &str) -> bool {
        self.bodies_of(rule).any(|body| {
            let module = self.tracer.modules.get(body.module);
            let rule = module.and_then(|module| body.rule(module));
            matches!(
                rule,
                Some(Rule::Spec {
                    head: RuleHead::Set { .. },
                    ..
                })
            )
        })
    }

    /// What an expression is, where that is known without evaluating it.
    pub(super) fn value_of<'a>(&'a self, expr: &'a Expr, scope: &Scope<'a>) -> Option<Value> {
        match expr {
            Expr::String { value, .. }
            | Expr::RawString { value, .. }
            | Expr::Number { value, .. }
            | Expr::Bool { value, .. }
            | Expr::Null { value, .. } => Some(value.clone()),
            Expr::Array { items, .. } => {
                let items = items.iter().map(|item| self.value_of(item, scope));
                Some(Value::from(items.collect::<Option<Vec<_>>>()?))
            }
            Expr::Object { fields, .. } => {
                let member = |(_, key, value): &'a (_, Ref<Expr>, Ref<Expr>)| {
                    Some((self.value_of(key, scope)?, self.value_of(value, scope)?))
                };
                let members = fields
                    .iter()
                    .map(member)
                    .collect::<Option<BTreeMap<_, _>>>();
                Some(Value::from(members?))
            }
            Expr::Var { span, .. } if span.text() == "_" => unnamed(span.start, scope),
            Expr::Var { span, .. } if scope.values.contains_key(span.text()) => {
                scope.values.get(span.text()).copied().cloned()
            }
            _ => {
                let trail = self.trail(expr, scope)?;
                self.lookup(&trail).cloned()
            }
        }
    }

    /// What stands at the end of a trail without forks.
    pub(super) fn lookup(&self, trail: &[Step]) -> Option<&Value> {
        trail.iter().try_fold(&self.input, |at, step| match step {
            Step::To(key) => child(at, key),
            Step::Each => None,
        })
    }
}

/// The value of a variable without a name, by where it begins.
fn unnamed(at: u32, scope: &Scope<'_>) -> Option<Value> {
    let name = scope.module.unnamed.get(&at)?;
    scope.values.get(name.as_str()).copied().cloned()
}

/// The member or the element of this name or number.
pub(super) fn child<'a>(value: &'a Value, key: &Value) -> Option<&'a Value> {
    match value {
        Value::Object(members) => members.get(key),
        Value::Array(items) => items.get(usize::try_from(key.as_u64().ok()?).ok()?),
        _ => None,
    }
}
