//! Mending on the syntax tree: what regorus would evaluate otherwise than OPA.
//!
//! **Negation.** OPA takes the arguments of a call out of a `not` before it evaluates it:
//! `not f(input.a)` means `x := input.a; not f(x)`, so where there is no `input.a` the body
//! fails, while regorus takes the negation for true. Equality is no call there:
//! `not input.a == 1` keeps its references inside, and holds where there is no `input.a`.
//! The same is written out here, as OPA's compiler does it: nested calls first, then
//! references.
//!
//! **Patterns.** `some {"a": x} in xs` matches objects with that one key in OPA, and with more
//! keys in regorus: what is found is compared once more.
//!
//! **Collections.** `some x in xs` and `every x in xs` find nothing where xs is no collection; regorus
//! fails.
//!
//! **Operators.** Arithmetic with what is no number, or a union with what is no set, is an error of a builtin in OPA,
//! and of the evaluation in regorus; and OPA counts in decimals. So an operation becomes a call.
//!
//! **Membership** as a value, `x := 1 in xs`, has none where there is no xs in OPA, and is false in regorus: it becomes a call, too.
//!
//! **Minus** before anything but a number is a subtraction from 0.
//!
//! **Results as last argument**, `split(a, "/", parts)`, become `parts = split(a, "/")`, so that
//! builtins of ours can be called so too.
//!
//! All of this is text put in place of text within a line: positions move within it only.

mod negation;
mod operators;

use std::collections::BTreeSet;

use regorus::unstable::{AssignOp, Expr, Literal, LiteralStmt, Module, Query, Rule, RuleHead};

use negation::Prelude;

use super::Refusal;
use super::builtins;
use super::edit::Edit;
use super::extent::{bounds, one_line};
use super::names::Names;
use super::walk::{Child, Walked, children, computes, path_of, walked};

/// Writes a module anew; `text` is what it was parsed from.
pub fn normalise(
    module: &Module,
    text: &str,
    file: &str,
    names: &Names,
) -> Result<String, Refusal> {
    let mut normaliser = Normaliser {
        text,
        file,
        names,
        count: 0,
        problem: None,
    };
    let mut edits = Vec::new();
    for rule in &module.policy {
        normaliser.rule(rule, &mut edits);
    }
    let written = normaliser.apply(0, text.len(), edits);
    match normaliser.problem {
        Some(problem) => Err(problem),
        None => Ok(written),
    }
}

struct Normaliser<'a> {
    text: &'a str,
    file: &'a str,
    names: &'a Names,
    count: usize,
    problem: Option<Refusal>,
}

impl Normaliser<'_> {
    fn rule(&mut self, rule: &Rule, edits: &mut Vec<Edit>) {
        let Rule::Spec { head, bodies, .. } = rule else {
            return;
        };
        let (refr, others, assign) = match head {
            RuleHead::Compr { refr, assign, .. } => (refr, Vec::new(), assign.as_ref()),
            RuleHead::Set { refr, key, .. } => (refr, key.iter().collect(), None),
            RuleHead::Func {
                refr, args, assign, ..
            } => (refr, args.iter().collect(), assign.as_ref()),
        };
        self.expr(refr, edits);
        for other in others {
            self.expr(other, edits);
        }
        if let Some(assign) = assign {
            self.expr(&assign.value, edits);
        }
        for body in bodies {
            if let Some(assign) = &body.assign {
                self.expr(&assign.value, edits);
            }
            self.query(&body.query, edits);
        }
    }

    fn query(&mut self, query: &Query, edits: &mut Vec<Edit>) {
        let mut local = Vec::new();
        let mut longer = false;
        for stmt in &query.stmts {
            longer |= self.statement(stmt, &mut local);
        }
        // `if not f(x)`: one statement without braces becomes several, which need them.
        let bare = match query.stmts.first() {
            Some(first) => first.span.start == query.span.start,
            None => false,
        };
        if longer && bare {
            let start = query.span.start as usize;
            let end = query.span.end as usize;
            let inner = self.apply(start, end, local);
            edits.push(Edit {
                start,
                end,
                text: format!("{{ {inner} }}"),
            });
        } else {
            edits.extend(local);
        }
    }

    /// True where one statement became several.
    fn statement(&mut self, stmt: &LiteralStmt, edits: &mut Vec<Edit>) -> bool {
        for with in &stmt.with_mods {
            self.expr(&with.r#as, edits);
        }
        match &stmt.literal {
            Literal::NotExpr { expr, span } => {
                let mut prelude = Prelude::default();
                self.negated(expr, &mut prelude, edits);
                if prelude.0.is_empty() {
                    return false;
                }
                let with = self.with_text(stmt);
                let start = span.start as usize;
                let text = prelude.0.iter().map(|said| format!("{said}{with}; "));
                edits.push(Edit {
                    start,
                    end: start,
                    text: text.collect(),
                });
                true
            }
            Literal::Expr { expr, .. } => match expr.as_ref() {
                _ if let Some(walked) = walked(expr) => {
                    self.walk(stmt, &walked, edits);
                    true
                }
                Expr::AssignExpr { lhs, rhs, .. }
                    if holds_object(lhs) != holds_object(rhs)
                        && (computes_or_refers(lhs) || computes_or_refers(rhs)) =>
                {
                    self.unification(stmt, lhs, rhs, edits);
                    true
                }
                Expr::Call { fcn, params, .. }
                    if path_of(fcn).is_some_and(|path| path == ["walk"])
                        && params.get(1).is_some_and(|result| holds_object(result)) =>
                {
                    for param in params.iter().take(1) {
                        self.expr(param, edits);
                    }
                    for result in params.iter().skip(1) {
                        self.pattern(stmt, result, expr, edits);
                    }
                    true
                }
                // As a condition, what is not and what is undefined are one.
                Expr::Membership { .. } => {
                    self.below(expr, edits);
                    false
                }
                _ => {
                    self.result_argument(expr, edits);
                    false
                }
            },
            Literal::SomeVars { .. } => false,
            Literal::SomeIn {
                value, collection, ..
            } => {
                self.collection(collection, edits);
                if holds_object(value) {
                    self.pattern(stmt, value, collection, edits);
                    return true;
                }
                self.expr(value, edits);
                false
            }
            Literal::Every { domain, query, .. } => {
                self.collection(domain, edits);
                self.query(query, edits);
                false
            }
        }
    }

    /// The modifiers of a statement as they are written, with a blank before them.
    fn with_text(&self, stmt: &LiteralStmt) -> String {
        let mut said = String::new();
        for with in &stmt.with_mods {
            let (start, _) = bounds(self.text, &with.refr);
            let (_, end) = bounds(self.text, &with.r#as);
            said.push_str(" with ");
            said.push_str(self.text.get(start..end).unwrap_or_default());
        }
        said
    }

    /// What `some` and `every` go through: regorus fails where it is no collection, OPA finds nothing.
    fn collection(&mut self, expr: &Expr, edits: &mut Vec<Edit>) {
        let is_one = matches!(
            expr,
            Expr::Array { .. }
                | Expr::Set { .. }
                | Expr::Object { .. }
                | Expr::ArrayCompr { .. }
                | Expr::SetCompr { .. }
                | Expr::ObjectCompr { .. }
        );
        if is_one {
            return self.expr(expr, edits);
        }
        let (start, end) = bounds(self.text, expr);
        edits.push(Edit::insert(
            start,
            self.apart(format!("{}(", builtins::COLLECTION), start),
        ));
        self.expr(expr, edits);
        edits.push(Edit {
            start: end,
            end,
            text: ")".to_string(),
        });
    }

    /// Visits what is not negated.
    fn expr(&mut self, expr: &Expr, edits: &mut Vec<Edit>) {
        self.operation(expr, edits);
        self.below(expr, edits);
    }

    fn below(&mut self, expr: &Expr, edits: &mut Vec<Edit>) {
        for child in children(expr) {
            match child {
                Child::Expr(expr) => self.expr(expr, edits),
                Child::Query(query) => self.query(query, edits),
            }
        }
    }

    /// The first problem counts.
    fn refuse(&mut self, line: u32, problem: &str) {
        self.problem.get_or_insert_with(|| Refusal {
            name: self.file.to_string(),
            line,
            problem: problem.to_string(),
        });
    }

    /// `pattern := walk(of)`, which regorus takes for one value.
    fn walk(&mut self, stmt: &LiteralStmt, walked: &Walked<'_>, edits: &mut Vec<Edit>) {
        let Walked { pattern, of, op } = walked;
        let name = self.fresh();
        let (start, behind) = bounds(self.text, pattern);
        let (_, end) = bounds(self.text, of);
        let text = self.text.get(start..behind).unwrap_or_default();
        let lines = "\n".repeat(text.matches('\n').count());
        let Some(call) = (self.text.get(behind..end)).and_then(|text| text.find("walk")) else {
            return self.refuse(
                stmt.span.line,
                "a call of walk cannot be read: write it on one line",
            );
        };
        edits.push(Edit {
            start,
            end: behind + call,
            text: lines,
        });
        self.expr(of, edits);
        edits.push(Edit::insert(end, format!(", {name}")));
        let with = stmt.with_mods.last();
        let after = (self.text.get(end..)).and_then(|text| text.find(')'));
        let stop = match (with, after) {
            (Some(with), _) => bounds(self.text, &with.r#as).1,
            (None, after) => end + after.map_or(0, |at| at + 1),
        };
        let checks = self.keys(pattern, &name);
        let text = one_line(text);
        let equals = match op {
            AssignOp::ColEq => ":=",
            AssignOp::Eq => "=",
        };
        let found = format!("; {text} {equals} {name}{checks}");
        edits.push(Edit::insert(stop, found));
    }

    fn result_argument(&mut self, expr: &Expr, edits: &mut Vec<Edit>) {
        if let Expr::Call { fcn, params, .. } = expr
            && let Some(path) = path_of(fcn)
            && let Some((result, arguments)) = params.split_last()
            && let Some(last) = arguments.last()
            && !self.names.is_function(&path)
            // It gives many results, one after the other.
            && path != ["walk"]
            && builtins::arity(&path.join(".")) == Some(arguments.len())
        {
            let (start, end) = bounds(self.text, expr);
            let (result_start, result_end) = bounds(self.text, result);
            let (_, last_end) = bounds(self.text, last);
            let result_text = self.text.get(result_start..result_end).unwrap_or_default();
            edits.push(Edit {
                start,
                end: start,
                text: format!("{result_text} = "),
            });
            for argument in arguments {
                self.expr(argument, edits);
            }
            edits.push(Edit {
                start: last_end,
                end,
                text: ")".to_string(),
            });
            return;
        }
        self.expr(expr, edits);
    }

    /// `xs[i] = {"a": x}`: what is found is compared once more.
    fn unification(&mut self, stmt: &LiteralStmt, lhs: &Expr, rhs: &Expr, edits: &mut Vec<Edit>) {
        let (pattern, found) = if holds_object(lhs) {
            (lhs, rhs)
        } else {
            (rhs, lhs)
        };
        let (start, end) = bounds(self.text, found);
        let mut inner = Vec::new();
        self.expr(found, &mut inner);
        let text = self.apply(start, end, inner);
        let name = self.fresh();
        let with = self.with_text(stmt);
        let lines = "\n".repeat(text.matches('\n').count());
        let (at, _) = bounds(self.text, lhs);
        let text = text.replace('\n', " ");
        edits.push(Edit {
            start: at,
            end: at,
            text: format!("{name} := {text}{with}; "),
        });
        edits.push(Edit {
            start,
            end,
            text: format!("{name}{lines}"),
        });
        self.expr(pattern, edits);
        let stop = self.statement_end(stmt, rhs);
        let checks = self.keys(pattern, &name);
        edits.push(Edit {
            start: stop,
            end: stop,
            text: checks,
        });
    }

    /// Takes a pattern with objects out of a statement that finds what it is matched with.
    fn pattern(&mut self, stmt: &LiteralStmt, value: &Expr, last: &Expr, edits: &mut Vec<Edit>) {
        let name = self.fresh();
        let (start, end) = bounds(self.text, value);
        let pattern = self
            .text
            .get(start..end)
            .unwrap_or_default()
            .replace('\n', " ");
        let lines = "\n".repeat(
            self.text
                .get(start..end)
                .unwrap_or_default()
                .matches('\n')
                .count(),
        );
        let mut variables = BTreeSet::new();
        if matches!(stmt.literal, Literal::SomeIn { .. }) {
            variables_of(value, &mut variables);
            variables.remove("_");
        }
        let declared = match variables.len() {
            0 => String::new(),
            _ => format!(
                "; some {}",
                variables.into_iter().collect::<Vec<_>>().join(", ")
            ),
        };
        edits.push(Edit {
            start,
            end,
            text: format!("{name}{lines}"),
        });
        let stop = self.statement_end(stmt, last);
        let checks = self.keys(value, &name);
        edits.push(Edit {
            start: stop,
            end: stop,
            text: format!("{declared}; {name} = {pattern}{checks}"),
        });
    }

    fn statement_end(&self, stmt: &LiteralStmt, last: &Expr) -> usize {
        match stmt.with_mods.last() {
            Some(with) => bounds(self.text, &with.r#as).1,
            None => bounds(self.text, last).1,
        }
    }

    /// Statements that say which keys the objects of a pattern have, and no others.
    fn keys(&self, pattern: &Expr, at: &str) -> String {
        match pattern {
            Expr::Array { items, .. } => items
                .iter()
                .enumerate()
                .map(|(i, item)| self.keys(item, &format!("{at}[{i}]")))
                .collect(),
            Expr::Object { fields, .. } => {
                let keys: Vec<_> = fields
                    .iter()
                    .map(|(_, key, _)| {
                        let (start, end) = bounds(self.text, key);
                        self.text
                            .get(start..end)
                            .unwrap_or_default()
                            .replace('\n', " ")
                    })
                    .collect();
                let inner: String = fields
                    .iter()
                    .zip(&keys)
                    .map(|((_, _, value), key)| self.keys(value, &format!("{at}[{key}]")))
                    .collect();
                if keys.is_empty() {
                    String::new()
                } else {
                    format!("; object.keys({at}) == {{{}}}{inner}", keys.join(", "))
                }
            }
            _ => String::new(),
        }
    }

    /// `text[start..end]` with the edits that lie within it. Edits that overlap would be lost, so
    /// the module is refused.
    fn apply(&mut self, start: usize, end: usize, mut edits: Vec<Edit>) -> String {
        edits.sort_by_key(|edit| (edit.start, edit.end));
        let mut out = String::new();
        let mut done = start;
        for edit in edits {
            if edit.start < done || edit.end > end || edit.end < edit.start {
                let line = self
                    .text
                    .get(..edit.start)
                    .map_or(0, |text| text.matches('\n').count());
                self.problem.get_or_insert_with(|| Refusal {
                    name: self.file.to_string(),
                    line: u32::try_from(line).unwrap_or(0) + 1,
                    problem: "the statement is too entangled to be read as OPA reads it: divide it"
                        .to_string(),
                });
                continue;
            }
            out.push_str(self.text.get(done..edit.start).unwrap_or_default());
            out.push_str(&edit.text);
            done = edit.end;
        }
        out.push_str(self.text.get(done..end).unwrap_or_default());
        out
    }

    fn fresh(&mut self) -> String {
        self.count += 1;
        format!("__taffrail_{}", self.count)
    }
}

fn holds_object(expr: &Expr) -> bool {
    match expr {
        Expr::Object { .. } => true,
        Expr::Array { items, .. } => items.iter().any(|item| holds_object(item)),
        _ => false,
    }
}

/// Whether it may stand for several values, or none.
fn computes_or_refers(expr: &Expr) -> bool {
    matches!(expr, Expr::RefDot { .. } | Expr::RefBrack { .. }) || computes(expr)
}

/// The variables of a pattern: not the keys of its objects.
fn variables_of(expr: &Expr, found: &mut BTreeSet<String>) {
    match expr {
        Expr::Var { value, .. } => {
            if let Ok(name) = value.as_string() {
                found.insert(name.to_string());
            }
        }
        Expr::Array { items, .. } => {
            for item in items {
                variables_of(item, found);
            }
        }
        Expr::Object { fields, .. } => {
            for (_, _, value) in fields {
                variables_of(value, found);
            }
        }
        _ => {}
    }
}
