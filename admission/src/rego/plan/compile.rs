//! From modules to a program: which rules the entry needs, and what each is.
//!
//! Only what is needed is compiled, so that a rule nobody asks for may do what plans do not.

use std::collections::BTreeMap;

use regorus::Value;
use regorus::unstable::{Expr, Module, Ref, Rule as Syntax, RuleAssign, RuleBody, RuleHead};

use super::body::Body;
use super::program::{Alternative, Definition, Kind, Program, Rule, RuleId, Term};
use super::{Function, Unplanned};
use crate::rego::names::{Functions, Names, package_of, rule_name};

/// How many statements are looked at: those that wait for others are looked at again.
const LOOKS_MAX: usize = 200_000;

pub(super) fn compile(
    modules: &[Ref<Module>],
    entry: &str,
    functions: &dyn Fn(&str) -> Option<Function>,
) -> Result<Program, Unplanned> {
    let mut known = Functions::default();
    for module in modules {
        known.add(module);
    }
    let mut sources: BTreeMap<String, Vec<Source<'_>>> = BTreeMap::new();
    let mut names = Vec::new();
    for (number, module) in modules.iter().enumerate() {
        names.push(Names::new(module, &known));
        let package = package_of(module);
        for rule in &module.policy {
            let name = rule_name(rule).ok_or(Unplanned::Construct("a rule without a name"))?;
            let source = Source {
                module: number,
                rule,
            };
            sources
                .entry(format!("{package}.{name}"))
                .or_default()
                .push(source);
        }
    }
    let mut compiler = Compiler {
        names: &names,
        packages: modules.iter().map(|module| package_of(module)).collect(),
        sources: &sources,
        functions,
        ids: BTreeMap::new(),
        waiting: Vec::new(),
        looks: 0,
    };
    let entry = compiler
        .rule(entry)
        .ok_or(Unplanned::Construct("a rule that is not there"))?;
    let mut rules: BTreeMap<RuleId, Rule> = BTreeMap::new();
    while let Some((id, name)) = compiler.waiting.pop() {
        let rule = compiler.compile(&name)?;
        rules.insert(id, rule);
    }
    Ok(Program {
        rules: rules.into_values().collect(),
        entry,
    })
}

/// A rule as a module has it.
pub(super) struct Source<'a> {
    module: usize,
    rule: &'a Syntax,
}

/// What the bodies of all rules share.
pub(super) struct Compiler<'a> {
    names: &'a [Names],
    packages: Vec<String>,
    sources: &'a BTreeMap<String, Vec<Source<'a>>>,
    functions: &'a dyn Fn(&str) -> Option<Function>,
    ids: BTreeMap<String, RuleId>,
    waiting: Vec<(RuleId, String)>,
    looks: usize,
}

impl<'a> Compiler<'a> {
    /// The rule of a full name, which is compiled if it was not yet.
    pub(super) fn rule(&mut self, name: &str) -> Option<RuleId> {
        if let Some(id) = self.ids.get(name) {
            return Some(*id);
        }
        if !self.sources.contains_key(name) {
            return None;
        }
        let id = self.ids.len();
        self.ids.insert(name.to_string(), id);
        self.waiting.push((id, name.to_string()));
        Some(id)
    }

    pub(super) fn names(&self, module: usize) -> Option<&'a Names> {
        self.names.get(module)
    }

    /// The full name of a rule of a module's package, whichever module of it has the rule.
    pub(super) fn rule_of_package(&self, module: usize, name: &str) -> Option<String> {
        let full = format!("{}.{name}", self.packages.get(module)?);
        self.sources.contains_key(&full).then_some(full)
    }

    /// Whether a package stands at this path, or below it.
    pub(super) fn has_package(&self, path: &str) -> bool {
        let below = |package: &String| {
            package
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.packages.iter().any(below)
    }

    /// The builtin of a name.
    pub(super) fn builtin(&self, name: &str) -> Option<Function> {
        (self.functions)(name)
    }

    /// Counts a look at a statement.
    pub(super) fn look(&mut self) -> Result<(), Unplanned> {
        self.looks += 1;
        match self.looks {
            0..LOOKS_MAX => Ok(()),
            _ => Err(Unplanned::Construct("a body as tangled as this")),
        }
    }

    fn compile(&mut self, name: &str) -> Result<Rule, Unplanned> {
        let sources = self.sources;
        let mut rule = Rule::default();
        let mut kinds = Vec::new();
        for source in sources.get(name).into_iter().flatten() {
            match source.rule {
                Syntax::Default {
                    args, value, refr, ..
                } => {
                    let is_variable = |expr: &Ref<Expr>| matches!(expr.as_ref(), Expr::Var { .. });
                    if !is_variable(refr) || !args.iter().all(is_variable) {
                        return Err(Unplanned::Construct("a default like this"));
                    }
                    let mut body = Body::new(self, source.module);
                    let Term::Constant(value) = body.term(value)? else {
                        return Err(Unplanned::Construct("a default that is computed"));
                    };
                    rule.default = Some(value);
                }
                Syntax::Spec { head, bodies, .. } => {
                    kinds.push(self.definitions(source.module, head, bodies, &mut rule)?);
                }
            }
        }
        rule.kind = *kinds
            .first()
            .ok_or(Unplanned::Construct("a default alone"))?;
        if kinds.iter().any(|kind| *kind != rule.kind) {
            return Err(Unplanned::Construct("a rule of several kinds"));
        }
        rule.only = only_value(&rule.definitions);
        Ok(rule)
    }

    /// Adds the definitions that one rule of a module makes.
    fn definitions(
        &mut self,
        module: usize,
        head: &RuleHead,
        bodies: &[RuleBody],
        rule: &mut Rule,
    ) -> Result<Kind, Unplanned> {
        let no_arguments: &[Ref<Expr>] = &[];
        let (kind, arguments, key, value) = match head {
            RuleHead::Func {
                refr, args, assign, ..
            } if matches!(refr.as_ref(), Expr::Var { .. }) => {
                let kind = Kind::Function(args.len());
                (kind, args.as_slice(), None, of(assign.as_ref()))
            }
            RuleHead::Set {
                refr,
                key: Some(key),
                ..
            } if matches!(refr.as_ref(), Expr::Var { .. }) => {
                (Kind::Set, no_arguments, None, Some(key))
            }
            RuleHead::Compr { refr, assign, .. } => match (refr.as_ref(), assign) {
                (Expr::Var { .. }, _) => (Kind::Complete, no_arguments, None, of(assign.as_ref())),
                (Expr::RefBrack { refr, index, .. }, Some(assign))
                    if matches!(refr.as_ref(), Expr::Var { .. }) =>
                {
                    (Kind::Object, no_arguments, Some(index), Some(&assign.value))
                }
                _ => return Err(Unplanned::Construct("a rule below another")),
            },
            _ => return Err(Unplanned::Construct("a rule below another")),
        };
        let is_partial = matches!(kind, Kind::Set | Kind::Object);
        let mut alternatives = Vec::new();
        let mut slots = 0;
        let mut patterns = Vec::new();
        if bodies.is_empty() {
            let mut body = Body::new(self, module);
            patterns = body.arguments(arguments)?;
            let alternative = body.alternative(None, key, value)?;
            rule.definitions.push(Definition {
                slots: body.slots(),
                arguments: patterns,
                alternatives: vec![alternative],
            });
            return Ok(kind);
        }
        for (number, one) in bodies.iter().enumerate() {
            if number > 0 && one.is_else == is_partial {
                return Err(Unplanned::Construct("a body after another"));
            }
            let value = match (number, &one.assign) {
                (0, _) => value,
                (_, Some(assign)) => Some(&assign.value),
                (_, None) if is_partial => value,
                (_, None) => None,
            };
            let mut body = Body::new(self, module);
            patterns = body.arguments(arguments)?;
            let alternative = body.alternative(Some(&one.query), key, value)?;
            slots = slots.max(body.slots());
            if is_partial {
                rule.definitions.push(Definition {
                    slots,
                    arguments: Vec::new(),
                    alternatives: vec![alternative],
                });
            } else {
                alternatives.push(alternative);
            }
        }
        if !is_partial {
            rule.definitions.push(Definition {
                slots,
                arguments: patterns,
                alternatives,
            });
        }
        Ok(kind)
    }
}

fn of(assign: Option<&RuleAssign>) -> Option<&Ref<Expr>> {
    assign.map(|assign| &assign.value)
}

/// The one constant that every alternative gives.
fn only_value(definitions: &[Definition]) -> Option<Value> {
    let mut alternatives = definitions.iter().flat_map(|d| &d.alternatives);
    let constant = |alternative: &Alternative| match &alternative.value {
        Term::Constant(value) if alternative.key.is_none() => Some(value.clone()),
        _ => None,
    };
    let first = constant(alternatives.next()?)?;
    alternatives
        .all(|other| constant(other).is_some_and(|value| value == first))
        .then_some(first)
}
