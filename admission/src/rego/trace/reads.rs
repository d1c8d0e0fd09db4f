//! What a body read of the input.
//!
//! Every reference of the body that leads into the input, and those of the rules and functions that it asked. A reference that only
//! gives a variable its value counts where the variable is used, and an argument where the function uses it, so that what is told is the field that
//! was compared and not the container around it. A rule or function that had nothing to say, as inside a negation, is read as it is written.

use regorus::Value;
use regorus::unstable::{Expr, Literal, LiteralStmt, Query};

use super::super::builtins::COLLECTION;
use super::super::walk::{Child, children, path_of};
use super::trail::{DEPTH_MAX, Scope, Step, Trail, child};
use super::{Body, Note, Spot, Traces};

/// How many are told of one body.
const READS_MAX: usize = 48;

/// Something a rule looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Read {
    /// Its path, beginning with `input`.
    pub(crate) path: String,
    /// What it found; none where there is nothing.
    pub(crate) value: Option<Value>,
}

impl Traces<'_> {
    /// What a body that held read, and through which others.
    pub(super) fn reads(&self, body: &Body, note: &Note) -> (Vec<Read>, Vec<Spot>) {
        let mut reader = Reader {
            traces: self,
            reads: Vec::new(),
            through: Vec::new(),
            asked: Vec::new(),
        };
        if let Some(scope) = self.scope(body, Some(note), 0) {
            reader.body(&scope);
        }
        (reader.reads, reader.through)
    }
}

struct Reader<'a> {
    traces: &'a Traces<'a>,
    reads: Vec<Read>,
    through: Vec<Spot>,
    /// The rules that were read already, with the element that was asked for.
    asked: Vec<(String, Option<Value>)>,
}

impl<'a> Reader<'a> {
    fn body(&mut self, scope: &Scope<'a>) {
        if let Some(query) = scope.queries.first().copied() {
            self.query(query, scope);
        }
        // An element that another rule took out of here counts where that one uses it.
        if let Some(value) = scope.body.value(scope.module)
            && (scope.depth == 0 || !matches!(value, Expr::Var { .. }))
        {
            self.expr(value, scope);
        }
    }

    fn query(&mut self, query: &'a Query, scope: &Scope<'a>) {
        for stmt in &query.stmts {
            self.statement(stmt, scope);
        }
    }

    fn statement(&mut self, stmt: &'a LiteralStmt, scope: &Scope<'a>) {
        if !stmt.with_mods.is_empty() {
            // It is asked about another input.
            return;
        }
        match &stmt.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn {
                value, collection, ..
            } => self.defined(value, collection, scope),
            Literal::Expr { expr, .. } => match expr.as_ref() {
                Expr::AssignExpr { lhs, rhs, .. } if is_variable(lhs, scope) => {
                    self.defined(lhs, rhs, scope);
                }
                Expr::AssignExpr { lhs, rhs, .. } if is_variable(rhs, scope) => {
                    self.defined(rhs, lhs, scope);
                }
                // An element of a set that is asked for by itself: what counts is how it came into the set.
                Expr::RefBrack { refr, index, .. }
                    if self.traces.rule_of(refr, scope).is_some() =>
                {
                    let element = self.traces.value_of(index, scope);
                    let rule = self.traces.rule_of(refr, scope).unwrap_or_default();
                    self.rule(rule, element, scope);
                }
                _ => self.expr(expr, scope),
            },
            Literal::NotExpr { expr, .. } => self.expr(expr, scope),
            Literal::Every {
                key,
                value,
                domain,
                query,
                ..
            } => {
                let trail = self.traces.trail(domain, scope);
                if trail.is_none() {
                    self.expr(domain, scope);
                }
                let mut inner = scope.within(query);
                if let Some(key) = key {
                    inner.trails.insert(key.text().to_string(), None);
                }
                let each = trail.map(|mut trail| {
                    trail.push(Step::Each);
                    trail
                });
                inner.trails.insert(value.text().to_string(), each);
                self.query(query, &inner);
            }
        }
    }

    /// A variable that takes its value from `from`.
    fn defined(&mut self, variable: &'a Expr, from: &'a Expr, scope: &Scope<'a>) {
        let is_used = match variable {
            Expr::Var { span, .. } => is_used(span.text(), scope),
            _ => false,
        };
        if is_used && is_reference(from) && self.traces.trail(from, scope).is_some() {
            return self.rules_in(from, scope);
        }
        self.expr(from, scope);
    }

    /// The rules that a reference goes through.
    fn rules_in(&mut self, expr: &'a Expr, scope: &Scope<'a>) {
        if let Expr::RefBrack { refr, index, .. } = expr
            && let Some(rule) = self.traces.rule_of(refr, scope)
        {
            let element = self.traces.value_of(index, scope);
            return self.rule(rule, element, scope);
        }
        if let Some(rule) = self.traces.rule_of(expr, scope) {
            return self.rule(rule, None, scope);
        }
        match expr {
            Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => self.rules_in(refr, scope),
            Expr::Call { params, .. } => {
                if let Some(first) = params.first() {
                    self.rules_in(first, scope);
                }
            }
            _ => {}
        }
    }

    fn expr(&mut self, expr: &'a Expr, scope: &Scope<'a>) {
        match expr {
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                self.reference(expr, scope);
            }
            Expr::Call { fcn, params, .. } => {
                let path = path_of(fcn).unwrap_or_default();
                if let Some((function, _)) = scope.module.names.function(&path) {
                    let params: Vec<_> = params.iter().map(AsRef::as_ref).collect();
                    return self.call(&function, &params, scope);
                }
                if path.join(".") == "object.get"
                    && let Some(trail) = self.traces.trail(expr, scope)
                {
                    self.add(&trail);
                    return self.rules_in(expr, scope);
                }
                if path.join(".") == COLLECTION
                    && let Some(first) = params.first()
                {
                    return self.expr(first, scope);
                }
                for param in params {
                    self.expr(param, scope);
                }
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                let inner = scope.within(query);
                self.query(query, &inner);
                self.expr(term, &inner);
            }
            Expr::ObjectCompr {
                key, value, query, ..
            } => {
                let inner = scope.within(query);
                self.query(query, &inner);
                self.expr(key, &inner);
                self.expr(value, &inner);
            }
            _ => {
                for part in children(expr) {
                    if let Child::Expr(part) = part {
                        self.expr(part, scope);
                    }
                }
            }
        }
    }

    fn reference(&mut self, expr: &'a Expr, scope: &Scope<'a>) {
        let trail = self.traces.trail(expr, scope);
        if let Some(trail) = &trail {
            self.add(trail);
        }
        self.rules_in(expr, scope);
        let mut at = expr;
        loop {
            match at {
                Expr::RefBrack { refr, index, .. } => {
                    if !matches!(index.as_ref(), Expr::Var { .. }) {
                        self.expr(index, scope);
                    }
                    at = refr;
                }
                Expr::RefDot { refr, .. } => at = refr,
                Expr::Var { .. } => return,
                // What a call gives has no place in the input; what it was given has.
                _ => return self.expr(at, scope),
            }
        }
    }

    /// What a rule read that gave a value or an element.
    fn rule(&mut self, rule: String, element: Option<Value>, scope: &Scope<'a>) {
        let asked = (rule, element);
        if self.asked.contains(&asked) || scope.depth > DEPTH_MAX {
            return;
        }
        let (rule, element) = asked.clone();
        self.asked.push(asked);
        let (body, note) = self.traces.gave(&rule, element.as_ref());
        if element.is_some()
            && let Some(spot) = body.and_then(|body| self.traces.spot(body))
            && !self.through.contains(&spot)
        {
            self.through.push(spot);
        }
        if let Some(scope) = body.and_then(|body| self.traces.scope(body, note, scope.depth + 1)) {
            return self.body(&scope);
        }
        for body in self.traces.bodies_of(&rule) {
            if let Some(scope) = self.traces.scope(body, None, scope.depth + 1) {
                self.body(&scope);
            }
        }
    }

    /// What a function read: the body that held for these arguments, or all of them as they are written.
    fn call(&mut self, function: &str, params: &[&'a Expr], scope: &Scope<'a>) {
        if scope.depth > DEPTH_MAX || self.reads.len() >= READS_MAX {
            return;
        }
        let trails: Vec<_> = (params.iter())
            .map(|param| self.traces.trail(param, scope))
            .collect();
        let values: Vec<_> = (params.iter())
            .map(|param| self.traces.value_of(param, scope))
            .collect();
        let before = self.reads.len();
        for (param, trail) in params.iter().zip(&trails) {
            if trail.is_none() {
                self.expr(param, scope);
            } else {
                self.rules_in(param, scope);
            }
        }
        let all_known = values.iter().all(Option::is_some);
        let traces = self.traces;
        let (body, note) = traces.noted(function, |note| {
            all_known
                && traces
                    .tracer
                    .bodies
                    .get(note.body)
                    .and_then(|body| traces.scope(body, Some(note), 0).map(|scope| (body, scope)))
                    .is_some_and(|(body, scope)| {
                        let arguments = body.arguments(scope.module);
                        arguments.len() == values.len()
                            && arguments.iter().zip(&values).all(|(argument, value)| {
                                traces
                                    .value_of(argument, &scope)
                                    .is_none_or(|known| Some(&known) == value.as_ref())
                            })
                    })
        });
        let held: Vec<(&'a Body, Option<&'a Note>)> = match body {
            Some(body) => vec![(body, note)],
            None => traces
                .bodies_of(function)
                .map(|body| (body, None))
                .collect(),
        };
        for (body, note) in held {
            let Some(mut inner) = traces.scope(body, note, scope.depth + 1) else {
                continue;
            };
            for (argument, trail) in body.arguments(inner.module).iter().zip(&trails) {
                if let Expr::Var { span, .. } = argument {
                    inner.trails.insert(span.text().to_string(), trail.clone());
                }
            }
            self.body(&inner);
            if let Some(value @ Expr::Var { .. }) = body.value(inner.module) {
                self.expr(value, &inner);
            }
        }
        if self.reads.len() == before {
            for trail in trails.iter().flatten() {
                self.add(trail);
            }
        }
    }

    /// Notes what stands at the ends of a trail.
    fn add(&mut self, trail: &Trail) {
        self.follow("input".to_string(), Some(&self.traces.input), trail);
    }

    fn follow(&mut self, path: String, at: Option<&'a Value>, rest: &[Step]) {
        if self.reads.len() >= READS_MAX {
            return;
        }
        match (rest.split_first(), at) {
            (Some((Step::To(key), rest)), at) => {
                let path = joined(&path, key);
                self.follow(path, at.and_then(|at| child(at, key)), rest);
            }
            (Some((Step::Each, rest)), Some(Value::Array(items))) if !items.is_empty() => {
                for (i, item) in items.iter().enumerate() {
                    self.follow(format!("{path}[{i}]"), Some(item), rest);
                }
            }
            (Some((Step::Each, rest)), Some(Value::Object(members))) if !members.is_empty() => {
                for (key, member) in members.iter_sorted() {
                    self.follow(joined(&path, key), Some(member), rest);
                }
            }
            // Without elements there is nothing further on.
            (Some((Step::Each, _)) | None, at) => {
                let read = Read {
                    path,
                    value: at.cloned(),
                };
                if !self.reads.contains(&read) {
                    self.reads.push(read);
                }
            }
        }
    }
}

/// A path with one more step, written as Rego has it.
fn joined(path: &str, key: &Value) -> String {
    match key {
        Value::String(name) if is_word(name) => format!("{path}.{name}"),
        key => {
            let key = serde_json::to_string(key).unwrap_or_default();
            format!("{path}[{key}]")
        }
    }
}

fn is_word(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

fn is_reference(expr: &Expr) -> bool {
    match expr {
        Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => true,
        Expr::Call { fcn, .. } => path_of(fcn)
            .is_some_and(|path| matches!(path.join(".").as_str(), COLLECTION | "object.get")),
        _ => false,
    }
}

/// Whether a name stands for a variable of the body, and not for a document.
fn is_variable(expr: &Expr, scope: &Scope<'_>) -> bool {
    matches!(expr, Expr::Var { span, .. } if !scope.module.names.is_document(span.text()))
}

/// Whether a variable stands anywhere but where it takes its value.
fn is_used(name: &str, scope: &Scope<'_>) -> bool {
    let Some(rule) = scope.body.rule(scope.module) else {
        return false;
    };
    let text = rule.span().text();
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words.filter(|word| *word == name).count() > 1
}
