//! Expressions: the operations that compute them, and where their value is then.

use std::sync::Arc;

use regorus::Value;
use regorus::unstable::{Expr, Query, Ref};

use super::body::{Body, Variable, text};
use super::program::{Collect, Gives, Op, Pattern, Term};
use super::{Function, Unplanned};
use crate::rego::builtins::COLLECTION;
use crate::rego::elements::KEPT;

/// A step of a reference.
enum Step<'e> {
    Field(Value),
    Index(&'e Expr),
}

impl Body<'_, '_> {
    /// A value that is known here.
    pub(super) fn term(&mut self, expr: &Expr) -> Result<Term, Unplanned> {
        match expr {
            Expr::String { value, .. }
            | Expr::RawString { value, .. }
            | Expr::Number { value, .. }
            | Expr::Bool { value, .. }
            | Expr::Null { value, .. } => Ok(Term::Constant(value.clone())),
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr),
            Expr::Array { items, .. } => {
                let items = self.terms(items)?;
                if let Some(items) = constants(&items) {
                    return Ok(Term::Constant(Value::from(items)));
                }
                let out = self.filled();
                self.block.push(Op::Array { items, out });
                Ok(Term::Slot(out))
            }
            Expr::Set { items, .. } => {
                let items = self.terms(items)?;
                if let Some(items) = constants(&items) {
                    let items = items.into_iter().collect::<std::collections::BTreeSet<_>>();
                    return Ok(Term::Constant(Value::from(items)));
                }
                let out = self.filled();
                self.block.push(Op::Set { items, out });
                Ok(Term::Slot(out))
            }
            Expr::Object { fields, .. } => {
                let mut members = Vec::new();
                for (_, key, value) in fields {
                    members.push((self.term(key)?, self.term(value)?));
                }
                let out = self.filled();
                self.block.push(Op::Object { members, out });
                Ok(Term::Slot(out))
            }
            Expr::ArrayCompr { term, query, .. } => {
                self.comprehension(query, None, term, |_| Collect::Array)
            }
            Expr::SetCompr { term, query, .. } => {
                self.comprehension(query, None, term, |_| Collect::Set)
            }
            Expr::ObjectCompr {
                key, value, query, ..
            } => self.comprehension(query, Some(key), value, |key| match key {
                Some(key) => Collect::Object { key },
                None => Collect::Array,
            }),
            Expr::Call { fcn, params, .. } => self.call(fcn, params),
            Expr::BoolExpr { op, lhs, rhs, .. } => {
                let (left, right) = (self.term(lhs)?, self.term(rhs)?);
                let out = self.filled();
                self.block.push(Op::Compare {
                    op: op.clone(),
                    left,
                    right,
                    out: Some(out),
                });
                Ok(Term::Slot(out))
            }
            Expr::Membership {
                key,
                value,
                collection,
                ..
            } => {
                let out = self.slot();
                let op = self.contains(key.as_ref(), value, collection, Some(out))?;
                self.know(out);
                self.block.push(op);
                Ok(Term::Slot(out))
            }
            Expr::UnaryExpr { expr, .. } => match expr.as_ref() {
                Expr::Number { value, .. } => match value.as_i64() {
                    Ok(number) => Ok(Term::Constant(Value::from(number.wrapping_neg()))),
                    Err(_) => Err(Unplanned::Construct("a number like this")),
                },
                _ => Err(Unplanned::Construct("a minus")),
            },
            // What is prepared has calls in their place.
            Expr::BinExpr { .. } | Expr::ArithExpr { .. } => {
                Err(Unplanned::Construct("an operator"))
            }
            Expr::AssignExpr { .. } => Err(Unplanned::Construct("an assignment as a value")),
        }
    }

    fn terms(&mut self, exprs: &[Ref<Expr>]) -> Result<Vec<Term>, Unplanned> {
        exprs.iter().map(|expr| self.term(expr)).collect()
    }

    pub(super) fn contains(
        &mut self,
        key: Option<&Ref<Expr>>,
        value: &Expr,
        collection: &Expr,
        out: Option<usize>,
    ) -> Result<Op, Unplanned> {
        Ok(Op::Contains {
            key: key.map(|key| self.term(key)).transpose()?,
            value: self.term(value)?,
            collection: self.term(collection)?,
            out,
        })
    }

    fn comprehension(
        &mut self,
        query: &Query,
        key: Option<&Ref<Expr>>,
        value: &Expr,
        what: impl FnOnce(Option<Term>) -> Collect,
    ) -> Result<Term, Unplanned> {
        let (block, (key, value)) = self.nested(|body| {
            body.open(query);
            for term in key.iter().map(AsRef::as_ref).chain([value]) {
                body.open_term(term);
            }
            body.statements(query)?;
            let key = key.map(|key| body.term(key)).transpose()?;
            Ok((key, body.term(value)?))
        })?;
        let out = self.filled();
        self.block.push(Op::Collect {
            what: what(key),
            block,
            value,
            out,
        });
        Ok(Term::Slot(out))
    }

    fn call(&mut self, function: &Expr, parameters: &[Ref<Expr>]) -> Result<Term, Unplanned> {
        let path = crate::rego::walk::path_of(function)
            .ok_or(Unplanned::Construct("a call of a value"))?;
        let known = self.names().and_then(|names| names.function(&path));
        if let Some((name, arity)) = known {
            if arity != parameters.len() {
                return Err(Unplanned::Construct("a result as an argument"));
            }
            let rule = self
                .compiler
                .rule(&name)
                .ok_or(Unplanned::Construct("a function that is not there"))?;
            let arguments = self.terms(parameters)?;
            let out = self.filled();
            self.block.push(Op::Call {
                rule,
                arguments,
                out,
            });
            return Ok(Term::Slot(out));
        }
        let name = path.join(".");
        // A plan counts its elements itself.
        if let (KEPT, [element]) = (name.as_str(), parameters) {
            return self.term(element);
        }
        let function = self
            .compiler
            .builtin(&name)
            .ok_or(Unplanned::Construct("a builtin like this"))?;
        let function = straight(&name, function);
        let gives = match name.as_str() {
            COLLECTION => Gives::Itself,
            "object.get" => Gives::Member,
            "array.concat" => Gives::Joined,
            "object.keys" | "count" => Gives::Names,
            _ => Gives::Anything,
        };
        self.builtin(function, gives, parameters)
    }

    fn builtin(
        &mut self,
        function: Function,
        gives: Gives,
        parameters: &[Ref<Expr>],
    ) -> Result<Term, Unplanned> {
        let arguments = self.terms(parameters)?;
        let out = self.filled();
        self.block.push(Op::Builtin {
            function,
            gives,
            arguments,
            out,
        });
        Ok(Term::Slot(out))
    }

    fn reference(&mut self, expr: &Expr) -> Result<Term, Unplanned> {
        let mut steps = Vec::new();
        let mut at = expr;
        loop {
            match at {
                Expr::RefDot { refr, field, .. } => {
                    steps.push(Step::Field(field.1.clone()));
                    at = refr;
                }
                Expr::RefBrack { refr, index, .. } => {
                    steps.push(match index.as_ref() {
                        Expr::String { value, .. } => Step::Field(value.clone()),
                        other => Step::Index(other),
                    });
                    at = refr;
                }
                _ => break,
            }
        }
        let Expr::Var { value, .. } = at else {
            let from = self.term(at)?;
            return self.follow(from, steps);
        };
        let name = text(value);
        match self.variable(&name) {
            Variable::Known(slot) => return self.follow(Term::Slot(slot), steps),
            Variable::Open(_) | Variable::Outer => return Err(Unplanned::Unbound(name)),
            Variable::Nothing => {}
        }
        let names = self.names();
        if let Some(rule) = self.compiler.rule_of_package(self.module, &name) {
            let from = self.rule(&rule)?;
            return self.follow(from, steps);
        }
        let mut path = match names.and_then(|names| names.import(&name)) {
            Some(path) => path.split('.').map(str::to_string).collect(),
            None => vec![name.clone()],
        };
        match path.first().map(String::as_str) {
            Some("input") => {
                steps.extend(
                    path.iter()
                        .skip(1)
                        .rev()
                        .map(|name| Step::Field(Value::from(name.as_str()))),
                );
                self.follow(Term::Input, steps)
            }
            Some("data") => {
                while let Some(Step::Field(Value::String(name))) = steps.last() {
                    path.push(name.to_string());
                    steps.pop();
                }
                self.below_data(&path, steps)
            }
            _ => Err(Unplanned::Unbound(name)),
        }
    }

    /// What stands at a path below `data`: a rule of a module, or a document.
    fn below_data(&mut self, path: &[String], mut steps: Vec<Step<'_>>) -> Result<Term, Unplanned> {
        for end in 2..=path.len() {
            let (head, rest) = path.split_at(end);
            let name = head.join(".");
            if self.compiler.rule(&name).is_some() {
                let from = self.rule(&name)?;
                steps.extend(
                    rest.iter()
                        .rev()
                        .map(|name| Step::Field(Value::from(name.as_str()))),
                );
                return self.follow(from, steps);
            }
        }
        let (_, rest) = path.split_at(1);
        if rest.is_empty()
            || (1..=path.len()).any(|end| {
                let (head, _) = path.split_at(end);
                end > 1 && self.compiler.has_package(&head.join("."))
            })
        {
            return Err(Unplanned::Construct("a package as a value"));
        }
        steps.extend(
            rest.iter()
                .rev()
                .map(|name| Step::Field(Value::from(name.as_str()))),
        );
        self.follow(Term::Data, steps)
    }

    /// The value of a rule that is no function.
    fn rule(&mut self, name: &str) -> Result<Term, Unplanned> {
        let rule = self
            .compiler
            .rule(name)
            .ok_or(Unplanned::Construct("a rule that is not there"))?;
        let out = self.filled();
        self.block.push(Op::Rule { rule, out });
        Ok(Term::Slot(out))
    }

    /// From a value along the steps, of which the last is the first. An index that is an open variable goes through all.
    fn follow(&mut self, mut from: Term, mut steps: Vec<Step<'_>>) -> Result<Term, Unplanned> {
        let mut path = Vec::new();
        while let Some(step) = steps.pop() {
            match step {
                Step::Field(name) => path.push(Term::Constant(name)),
                Step::Index(index) if self.is_open(index) => {
                    from = self.get(from, std::mem::take(&mut path));
                    let key = self.pattern(index)?;
                    let out = self.filled();
                    self.block.push(Op::Each {
                        from,
                        key,
                        value: Pattern::Bind(out),
                        lenient: true,
                    });
                    from = Term::Slot(out);
                }
                Step::Index(index) => {
                    let index = self.term(index)?;
                    path.push(index);
                }
            }
        }
        Ok(self.get(from, path))
    }

    fn get(&mut self, from: Term, path: Vec<Term>) -> Term {
        if path.is_empty() {
            return from;
        }
        let out = self.filled();
        self.block.push(Op::Get { from, path, out });
        Term::Slot(out)
    }
}

/// A builtin that rules call more than others, for what it is called with more often than not.
fn straight(name: &str, builtin: Function) -> Function {
    match name {
        "count" => Arc::new(move |of| match of {
            [Value::Array(items)] => Ok(Value::from(items.len())),
            [Value::Set(items)] => Ok(Value::from(items.len())),
            [Value::Object(members)] => Ok(Value::from(members.len())),
            _ => builtin(of),
        }),
        "object.get" => Arc::new(move |of| match of {
            [Value::Object(members), key @ Value::String(_), otherwise] => {
                Ok(members.get(key).unwrap_or(otherwise).clone())
            }
            _ => builtin(of),
        }),
        _ => builtin,
    }
}

fn constants(terms: &[Term]) -> Option<Vec<Value>> {
    let constant = |term: &Term| match term {
        Term::Constant(value) => Some(value.clone()),
        _ => None,
    };
    terms.iter().map(constant).collect()
}
