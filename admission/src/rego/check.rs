//! What is refused at load, for it would decide wrongly, or never end, when it is asked.
//!
//! Unknown functions, which regorus finds out only where the call is reached; documents below
//! `data` that nobody provides, which would be undefined for ever; rules that need themselves; a
//! variable that only a negation knows. OPA and Gatekeeper refuse all of them too, but
//! `http.send`, which a webhook must not wait for.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{AssignOp, Expr, Literal, Module, Query, Rule, RuleHead};

use super::Refusal;
use super::builtins;
use super::names::{Names, head_of, rule_name};
use super::walk::{Child, children, path_of, variables, walked};
use crate::data::{self, Allowed};

/// A chain of rules that need each other is no longer than this: each takes its share of the stack.
const CHAIN_MAX: usize = 64;

/// Which rule needs which, by full name.
pub type Needs = BTreeMap<String, BTreeSet<String>>;

/// What modules may use that is neither theirs nor a builtin of OPA's.
pub struct Provided<'a> {
    /// The documents below `data`.
    pub roots: &'a [&'a str],
    /// How many arguments a builtin takes.
    pub arity: &'a dyn Fn(&str) -> Option<usize>,
    /// Which of the builtins that ask the data.
    pub allowed: Allowed,
}

/// Checks a module, and notes what its rules need. True where it uses a document that no module provides.
pub fn check(
    module: &Module,
    file: &str,
    names: &Names,
    provided: &Provided<'_>,
    needs: &mut Needs,
) -> Result<bool, Refusal> {
    let mut checker = Checker {
        file,
        names,
        provided,
        rule: String::new(),
        declared: BTreeSet::new(),
        asks_data: false,
        needs,
    };
    for import in &module.imports {
        checker.data(&import.refr)?;
    }
    for rule in &module.policy {
        checker.rule(rule)?;
    }
    Ok(checker.asks_data)
}

/// Refuses rules that need themselves, and chains that are too long.
pub fn check_needs(needs: &Needs, file: &str) -> Result<(), Refusal> {
    let mut heights = BTreeMap::new();
    for rule in needs.keys() {
        height(rule, needs, &mut Vec::new(), &mut heights).map_err(|problem| Refusal {
            name: file.to_string(),
            line: 0,
            problem,
        })?;
    }
    Ok(())
}

fn height<'a>(
    rule: &'a str,
    needs: &'a Needs,
    path: &mut Vec<&'a str>,
    heights: &mut BTreeMap<&'a str, usize>,
) -> Result<usize, String> {
    if let Some(height) = heights.get(rule) {
        return Ok(*height);
    }
    if path.contains(&rule) {
        return Err(format!(
            "the rule {rule} needs itself: rules must not be recursive"
        ));
    }
    if path.len() >= CHAIN_MAX {
        return Err(format!(
            "more than {CHAIN_MAX} rules need one another down to {rule}: divide them"
        ));
    }
    path.push(rule);
    let mut highest = 0;
    for needed in needs.get(rule).into_iter().flatten() {
        highest = highest.max(height(needed, needs, path, heights)? + 1);
    }
    path.pop();
    heights.insert(rule, highest);
    Ok(highest)
}

struct Checker<'a> {
    file: &'a str,
    names: &'a Names,
    provided: &'a Provided<'a>,
    rule: String,
    /// What is declared in the rule, and so no rule of that name.
    declared: BTreeSet<String>,
    asks_data: bool,
    needs: &'a mut Needs,
}

impl Checker<'_> {
    fn refuse<T>(&self, expr: &Expr, problem: String) -> Result<T, Refusal> {
        Err(Refusal {
            name: self.file.to_string(),
            line: expr.span().line,
            problem,
        })
    }

    fn rule(&mut self, rule: &Rule) -> Result<(), Refusal> {
        let name = rule_name(rule).unwrap_or_default();
        if matches!(name.as_str(), "input" | "data") {
            let problem = format!("a rule named {name} would hide the document: rename it");
            return self.refuse(head_of(rule), problem);
        }
        self.rule = self.names.rule(&name).unwrap_or_default();
        self.needs.entry(self.rule.clone()).or_default();
        let none = BTreeSet::new();
        let (head, bodies) = match rule {
            Rule::Default { value, .. } => return self.expr(value, &none),
            Rule::Spec { head, bodies, .. } => (head, bodies),
        };
        self.declared = declared(rule);
        let mut arguments = BTreeSet::new();
        let (refr, parts) = match head {
            RuleHead::Compr { refr, .. } => (refr, Vec::new()),
            RuleHead::Set { refr, key, .. } => (refr, key.iter().collect()),
            RuleHead::Func { refr, args, .. } => {
                for arg in args {
                    variables(arg, &mut arguments);
                }
                (refr, args.iter().collect())
            }
        };
        // A head knows what any of its bodies knows.
        let mut all = arguments.clone();
        for body in bodies {
            positive(&body.query, &mut all);
        }
        self.head(refr, &all)?;
        for part in parts {
            self.expr(part, &all)?;
        }
        if let RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } = head {
            assign.iter().try_for_each(|a| self.expr(&a.value, &all))?;
        }
        for body in bodies {
            body.assign
                .iter()
                .try_for_each(|a| self.expr(&a.value, &all))?;
            self.query(&body.query, &arguments)?;
        }
        Ok(())
    }

    /// A head names the rule itself, which is no need of it; what is in its brackets may be one.
    fn head(&mut self, refr: &Expr, bound: &BTreeSet<String>) -> Result<(), Refusal> {
        match refr {
            Expr::RefDot { refr, .. } => self.head(refr, bound),
            Expr::RefBrack { refr, index, .. } => {
                self.head(refr, bound)?;
                self.expr(index, bound)
            }
            _ => Ok(()),
        }
    }

    fn query(&mut self, query: &Query, outer: &BTreeSet<String>) -> Result<(), Refusal> {
        let mut bound = outer.clone();
        positive(query, &mut bound);
        bound.remove("_");
        for stmt in &query.stmts {
            for with in &stmt.with_mods {
                self.expr(&with.r#as, &bound)?;
            }
            match &stmt.literal {
                Literal::SomeVars { .. } => {}
                Literal::Expr { expr, .. } => match walked(expr) {
                    Some(walked) => {
                        self.expr(walked.pattern, &bound)?;
                        self.expr(walked.of, &bound)?;
                    }
                    None => self.expr(expr, &bound)?,
                },
                Literal::NotExpr { expr, .. } => {
                    self.negated(expr, &bound)?;
                    self.expr(expr, &bound)?;
                }
                Literal::SomeIn {
                    key,
                    value,
                    collection,
                    ..
                } => {
                    for expr in key.iter().chain([value, collection]) {
                        self.expr(expr, &bound)?;
                    }
                }
                Literal::Every {
                    key,
                    value,
                    domain,
                    query,
                    ..
                } => {
                    self.expr(domain, &bound)?;
                    let mut bound = bound.clone();
                    bound.extend(
                        key.iter()
                            .chain([value])
                            .map(|span| span.text().to_string()),
                    );
                    self.query(query, &bound)?;
                }
            }
        }
        Ok(())
    }

    /// Every variable of a negation must have its value from elsewhere.
    fn negated(&self, expr: &Expr, bound: &BTreeSet<String>) -> Result<(), Refusal> {
        let mut used = BTreeSet::new();
        variables(expr, &mut used);
        let unsafe_one = used
            .into_iter()
            .find(|name| !bound.contains(name) && !self.names.is_document(name));
        match unsafe_one {
            Some(name) => self.refuse(
                expr,
                format!(
                    "the variable {name} is only known inside a negation: give it a value in a \
                     statement of its own"
                ),
            ),
            None => Ok(()),
        }
    }

    fn expr(&mut self, expr: &Expr, bound: &BTreeSet<String>) -> Result<(), Refusal> {
        match expr {
            Expr::Call { fcn, params, .. } => self.call(expr, fcn, params.len())?,
            Expr::RefDot { .. } | Expr::RefBrack { .. } => self.data(expr)?,
            Expr::Var { value, .. } => {
                let name = value
                    .as_string()
                    .map_or(String::new(), std::string::ToString::to_string);
                if let Some(rule) = self
                    .names
                    .rule(&name)
                    .filter(|_| !self.declared.contains(&name))
                {
                    self.need(rule);
                }
            }
            _ => {}
        }
        let mut inner = None;
        for child in children(expr) {
            if let Child::Query(query) = child {
                let bound: &mut BTreeSet<String> = inner.get_or_insert_with(|| bound.clone());
                self.query(query, bound)?;
                positive(query, bound);
            }
        }
        let bound = inner.as_ref().unwrap_or(bound);
        let function = usize::from(matches!(expr, Expr::Call { .. }));
        for child in children(expr).into_iter().skip(function) {
            if let Child::Expr(child) = child {
                self.expr(child, bound)?;
            }
        }
        Ok(())
    }

    fn need(&mut self, needed: String) {
        self.needs
            .entry(self.rule.clone())
            .or_default()
            .insert(needed);
    }

    fn call(&mut self, expr: &Expr, fcn: &Expr, given: usize) -> Result<(), Refusal> {
        let Some(path) = path_of(fcn) else {
            return self.refuse(expr, "a call must name its function".to_string());
        };
        let name = path.join(".");
        if name == "walk" && given == 1 {
            let problem =
                "walk gives many values, so it cannot stand here: write [path, value] := walk(x)";
            return self.refuse(expr, problem.to_string());
        }
        let arity = if let Some((full, arity)) = self.names.function(&path) {
            self.need(full);
            Some(arity)
        } else if let Some(why) = self.provided.allowed.refusal(&name) {
            return self.refuse(expr, why);
        } else if let Some(arity) = data::arity(&name).or_else(|| (self.provided.arity)(&name)) {
            Some(arity)
        } else if let Some(why) = builtins::refused(&name) {
            return self.refuse(expr, why);
        } else if name == "print" {
            None
        } else if let Some(arity) = builtins::arity(&name) {
            Some(arity)
        } else {
            return self.refuse(
                expr,
                format!("there is no function {name}: neither a builtin nor one of the modules"),
            );
        };
        match arity {
            // One more is where the result goes.
            Some(arity) if given != arity && given != arity + 1 => self.refuse(
                expr,
                format!("{name} takes {arity} arguments, and {given} are given"),
            ),
            _ => Ok(()),
        }
    }

    /// Only what is provided can be asked of `data`; what the modules themselves provide is needed.
    fn data(&mut self, expr: &Expr) -> Result<(), Refusal> {
        let Some(path) = self.names.path(expr) else {
            return Ok(());
        };
        if path.first().map(String::as_str) != Some("data") {
            return Ok(());
        }
        if !path
            .get(1)
            .is_some_and(|root| self.provided.roots.contains(&root.as_str()))
        {
            let roots: Vec<_> = (self.provided.roots)
                .iter()
                .map(|root| format!("data.{root}"))
                .collect();
            let problem = format!("only {} can be asked of data", roots.join(" and "));
            return self.refuse(expr, problem);
        }
        let provided = path.get(..2).unwrap_or_default().join(".");
        self.asks_data |= !self.names.provides(&provided);
        for end in 2..=path.len() {
            let prefix = path.get(..end).unwrap_or_default().join(".");
            if self.names.is_rule_path(&prefix) {
                self.need(prefix);
            }
        }
        Ok(())
    }
}

/// What a rule declares: its arguments, and what `:=`, `some` and `every` name.
fn declared(rule: &Rule) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let Rule::Spec { head, bodies, .. } = rule {
        if let RuleHead::Func { args, .. } = head {
            for arg in args {
                variables(arg, &mut found);
            }
        }
        let (values, key) = match head {
            RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => {
                (assign.as_ref(), None)
            }
            RuleHead::Set { key, .. } => (None, key.as_ref()),
        };
        let values = values.map(|assign| &assign.value).into_iter().chain(key);
        values.for_each(|value| declared_in(value, &mut found));
        for body in bodies {
            declared_by(&body.query, &mut found);
        }
    }
    found
}

fn declared_by(query: &Query, found: &mut BTreeSet<String>) {
    for stmt in &query.stmts {
        match &stmt.literal {
            Literal::SomeVars { vars, .. } => {
                found.extend(vars.iter().map(|var| var.text().to_string()));
            }
            Literal::SomeIn {
                key,
                value,
                collection,
                ..
            } => {
                key.iter()
                    .chain([value])
                    .for_each(|expr| variables(expr, found));
                declared_in(collection, found);
            }
            Literal::Every {
                key,
                value,
                domain,
                query,
                ..
            } => {
                found.extend(
                    key.iter()
                        .chain([value])
                        .map(|span| span.text().to_string()),
                );
                declared_in(domain, found);
                declared_by(query, found);
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => declared_in(expr, found),
        }
    }
}

fn declared_in(expr: &Expr, found: &mut BTreeSet<String>) {
    if let Expr::AssignExpr {
        op: AssignOp::ColEq,
        lhs,
        ..
    } = expr
    {
        variables(lhs, found);
    }
    for child in children(expr) {
        match child {
            Child::Expr(child) => declared_in(child, found),
            Child::Query(query) => declared_by(query, found),
        }
    }
}

/// The variables of all statements of a body that are not negated.
fn positive(query: &Query, found: &mut BTreeSet<String>) {
    for stmt in &query.stmts {
        match &stmt.literal {
            Literal::NotExpr { .. } | Literal::SomeVars { .. } => {}
            Literal::Expr { expr, .. } => variables(expr, found),
            Literal::SomeIn {
                key,
                value,
                collection,
                ..
            } => key
                .iter()
                .chain([value, collection])
                .for_each(|expr| variables(expr, found)),
            Literal::Every { domain, .. } => variables(domain, found),
        }
    }
}
