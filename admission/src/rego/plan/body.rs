//! A body: its variables, and its statements in an order in which they are known.
//!
//! A statement that needs a variable which only a later one gives waits for it. So a statement is tried, and taken back
//! where it turns out to need what is not there yet.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;
use regorus::unstable::{AssignOp, BoolOp, Expr, Literal, LiteralStmt, Query, Ref};

use super::Unplanned;
use super::compile::Compiler;
use super::program::{Alternative, Block, Op, Pattern, Slot, Term};
use crate::rego::names::Names;
use crate::rego::walk::variables;

/// The frame of a definition while it is made.
pub(super) struct Body<'c, 'a> {
    pub(super) compiler: &'c mut Compiler<'a>,
    pub(super) module: usize,
    scopes: Vec<Scope>,
    /// Which slots have a value by now.
    known: BTreeSet<Slot>,
    pub(super) block: Block,
    slots: usize,
}

/// The variables of a query.
type Scope = BTreeMap<String, Slot>;

/// What a variable stands for.
pub(super) enum Variable {
    /// One that has a value.
    Known(Slot),
    /// One of the query itself, without a value yet.
    Open(Slot),
    /// One of a query around it, without a value yet.
    Outer,
    /// None.
    Nothing,
}

impl<'c, 'a> Body<'c, 'a> {
    pub(super) fn new(compiler: &'c mut Compiler<'a>, module: usize) -> Self {
        Body {
            compiler,
            module,
            scopes: vec![Scope::new()],
            known: BTreeSet::new(),
            block: Block::new(),
            slots: 0,
        }
    }

    /// How many slots the frame needs.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    pub(super) fn names(&self) -> Option<&'a Names> {
        self.compiler.names(self.module)
    }

    /// The arguments of a function, which stand in the first slots.
    pub(super) fn arguments(&mut self, arguments: &[Ref<Expr>]) -> Result<Vec<Pattern>, Unplanned> {
        let slots: Vec<Slot> = arguments.iter().map(|_| self.filled()).collect();
        let mut all = BTreeSet::new();
        for argument in arguments {
            variables(argument, &mut all);
        }
        let mut patterns = Vec::new();
        for (argument, slot) in arguments.iter().zip(slots) {
            match argument.as_ref() {
                Expr::Var { value, .. } => patterns.push(self.argument(&text(value), slot)),
                other => {
                    for name in &all {
                        self.declare(name);
                    }
                    patterns.push(self.pattern(other)?);
                }
            }
        }
        if self.block.is_empty() {
            Ok(patterns)
        } else {
            Err(Unplanned::Construct("an argument that is computed"))
        }
    }

    /// An argument that is a variable: it is where the argument is.
    fn argument(&mut self, name: &str, slot: Slot) -> Pattern {
        if name == "_" {
            return Pattern::Anything;
        }
        match self.variable(name) {
            Variable::Known(first) => Pattern::Equal(Term::Slot(first)),
            Variable::Open(open) => {
                self.known.insert(open);
                Pattern::Bind(open)
            }
            Variable::Outer | Variable::Nothing => {
                if let Some(scope) = self.scopes.last_mut() {
                    scope.insert(name.to_string(), slot);
                }
                Pattern::Anything
            }
        }
    }

    /// A body with what follows of it.
    pub(super) fn alternative(
        &mut self,
        query: Option<&Ref<Query>>,
        key: Option<&Ref<Expr>>,
        value: Option<&Ref<Expr>>,
    ) -> Result<Alternative, Unplanned> {
        if let Some(query) = query {
            self.open(query);
            self.statements(query)?;
        }
        let key = key.map(|key| self.term(key)).transpose()?;
        let value = match value {
            Some(value) => self.term(value)?,
            None => Term::Constant(Value::Bool(true)),
        };
        Ok(Alternative {
            block: std::mem::take(&mut self.block),
            key,
            value,
        })
    }

    /// A slot for what has no name.
    pub(super) fn slot(&mut self) -> Slot {
        self.slots += 1;
        self.slots - 1
    }

    /// A slot that has a value from now on.
    pub(super) fn filled(&mut self) -> Slot {
        let slot = self.slot();
        self.known.insert(slot);
        slot
    }

    /// A variable has its value from now on.
    pub(super) fn know(&mut self, slot: Slot) {
        self.known.insert(slot);
    }

    pub(super) fn variable(&self, name: &str) -> Variable {
        let mut scopes = self.scopes.iter().rev().enumerate();
        let found = scopes.find_map(|(depth, scope)| scope.get(name).map(|slot| (depth, *slot)));
        match found {
            Some((_, slot)) if self.known.contains(&slot) => Variable::Known(slot),
            Some((0, slot)) => Variable::Open(slot),
            Some(_) => Variable::Outer,
            None => Variable::Nothing,
        }
    }

    fn is_document(&self, name: &str) -> bool {
        matches!(name, "input" | "data")
            || self.compiler.rule_of_package(self.module, name).is_some()
            || self
                .names()
                .is_some_and(|names| names.import(name).is_some())
    }

    /// A new variable of the innermost query, unless it has it.
    fn declare(&mut self, name: &str) {
        let is_new = self
            .scopes
            .last()
            .is_some_and(|scope| !scope.contains_key(name));
        if name != "_" && is_new {
            let slot = self.slot();
            if let Some(scope) = self.scopes.last_mut() {
                scope.insert(name.to_string(), slot);
            }
        }
    }

    /// Runs `inner` on a block of its own, with the variables of a query around it in sight.
    pub(super) fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, Unplanned>,
    ) -> Result<(Block, T), Unplanned> {
        let outer = std::mem::take(&mut self.block);
        let known = self.known.clone();
        self.scopes.push(Scope::new());
        let result = inner(self);
        self.scopes.pop();
        self.known = known;
        let block = std::mem::replace(&mut self.block, outer);
        result.map(|value| (block, value))
    }

    /// The variables of a query that are its own: those it declares, and those that nobody around it has.
    pub(super) fn open(&mut self, query: &Query) {
        let (mut declared, mut used) = (BTreeSet::new(), BTreeSet::new());
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { vars, .. } => {
                    declared.extend(vars.iter().map(|var| var.text().to_string()));
                }
                Literal::SomeIn {
                    key,
                    value,
                    collection,
                    ..
                } => {
                    for expr in key.iter().chain([value]) {
                        variables(expr, &mut declared);
                    }
                    variables(collection, &mut used);
                }
                Literal::Expr { expr, .. } => match expr.as_ref() {
                    Expr::AssignExpr {
                        op: AssignOp::ColEq,
                        lhs,
                        rhs,
                        ..
                    } => {
                        variables(lhs, &mut declared);
                        variables(rhs, &mut used);
                    }
                    other => variables(other, &mut used),
                },
                Literal::Every { domain, .. } => variables(domain, &mut used),
                Literal::NotExpr { .. } => {}
            }
        }
        for name in &declared {
            self.declare(name);
        }
        self.own(&used);
    }

    /// What a comprehension gives of its query may have variables of its own, as the index of what it goes through.
    pub(super) fn open_term(&mut self, term: &Expr) {
        let mut used = BTreeSet::new();
        variables(term, &mut used);
        self.own(&used);
    }

    fn own(&mut self, used: &BTreeSet<String>) {
        for name in used {
            if matches!(self.variable(name), Variable::Nothing) && !self.is_document(name) {
                self.declare(name);
            }
        }
    }

    /// All statements of a query whose variables are open.
    pub(super) fn statements(&mut self, query: &Query) -> Result<(), Unplanned> {
        let mut waiting: Vec<&LiteralStmt> = query.stmts.iter().collect();
        while !waiting.is_empty() {
            let mut missing = None;
            let mut done = None;
            for (number, statement) in waiting.iter().enumerate() {
                self.compiler.look()?;
                let (operations, known) = (self.block.len(), self.known.clone());
                match self.statement(statement) {
                    Ok(()) => {
                        done = Some(number);
                        break;
                    }
                    Err(Unplanned::Unbound(name)) => {
                        self.block.truncate(operations);
                        self.known = known;
                        missing.get_or_insert(Unplanned::Unbound(name));
                    }
                    Err(error) => return Err(error),
                }
            }
            match (done, missing) {
                (Some(number), _) => {
                    waiting.remove(number);
                }
                (None, missing) => {
                    let missing = missing.unwrap_or(Unplanned::Construct("a body like this"));
                    return Err(missing);
                }
            }
        }
        Ok(())
    }

    fn statement(&mut self, statement: &LiteralStmt) -> Result<(), Unplanned> {
        if !statement.with_mods.is_empty() {
            return Err(Unplanned::Construct("with"));
        }
        match &statement.literal {
            Literal::SomeVars { .. } => Ok(()),
            Literal::Expr { expr, .. } => self.holds(expr),
            Literal::NotExpr { expr, .. } => {
                let (block, ()) = self.nested(|body| body.holds(expr))?;
                self.block.push(Op::Not(block));
                Ok(())
            }
            Literal::SomeIn {
                key,
                value,
                collection,
                ..
            } => {
                let from = self.term(collection)?;
                let key = match key {
                    Some(key) => self.pattern(key)?,
                    None => Pattern::Anything,
                };
                let value = self.pattern(value)?;
                self.block.push(Op::Each {
                    from,
                    key,
                    value,
                    lenient: false,
                });
                Ok(())
            }
            Literal::Every {
                key,
                value,
                domain,
                query,
                ..
            } => {
                let domain = self.term(domain)?;
                let (block, (key, value)) = self.nested(|body| {
                    let key = match key {
                        Some(key) => body.fresh(key.text()),
                        None => Pattern::Anything,
                    };
                    let value = body.fresh(value.text());
                    body.scopes.push(Scope::new());
                    body.open(query);
                    let done = body.statements(query);
                    body.scopes.pop();
                    done.map(|()| (key, value))
                })?;
                self.block.push(Op::Every {
                    domain,
                    key,
                    value,
                    block,
                });
                Ok(())
            }
        }
    }

    /// A variable that has a value from here on.
    fn fresh(&mut self, name: &str) -> Pattern {
        if name == "_" {
            return Pattern::Anything;
        }
        let slot = self.filled();
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_string(), slot);
        }
        Pattern::Bind(slot)
    }

    /// An expression as a statement.
    fn holds(&mut self, expr: &Expr) -> Result<(), Unplanned> {
        match expr {
            Expr::AssignExpr { lhs, rhs, .. } => self.unify(lhs, rhs),
            Expr::BoolExpr { op, lhs, rhs, .. } => {
                let (left, right) = (self.term(lhs)?, self.term(rhs)?);
                self.block.push(Op::Compare {
                    op: op.clone(),
                    left,
                    right,
                    out: None,
                });
                Ok(())
            }
            Expr::Membership {
                key,
                value,
                collection,
                ..
            } => {
                let op = self.contains(key.as_ref(), value, collection, None)?;
                self.block.push(op);
                Ok(())
            }
            other => {
                let term = self.term(other)?;
                self.block.push(Op::Test(term));
                Ok(())
            }
        }
    }

    fn unify(&mut self, left: &Expr, right: &Expr) -> Result<(), Unplanned> {
        match (self.is_open(left), self.is_open(right)) {
            (false, false) => {
                let (left, right) = (self.term(left)?, self.term(right)?);
                self.block.push(Op::Compare {
                    op: BoolOp::Eq,
                    left,
                    right,
                    out: None,
                });
                Ok(())
            }
            (true, false) => self.matches(left, right),
            (false, true) => self.matches(right, left),
            (true, true) => match (left, right) {
                (Expr::Array { items: some, .. }, Expr::Array { items: others, .. }) => {
                    if some.len() != others.len() {
                        self.block.push(Op::Fail);
                    }
                    some.iter()
                        .zip(others)
                        .try_for_each(|(left, right)| self.unify(left, right))
                }
                _ => Err(Unplanned::Unbound("on both sides".to_string())),
            },
        }
    }

    fn matches(&mut self, pattern: &Expr, with: &Expr) -> Result<(), Unplanned> {
        let with = self.term(with)?;
        let pattern = self.pattern(pattern)?;
        self.block.push(Op::Match { pattern, with });
        Ok(())
    }
}

/// The name of a variable.
pub(super) fn text(value: &Value) -> String {
    value
        .as_string()
        .map(ToString::to_string)
        .unwrap_or_default()
}
