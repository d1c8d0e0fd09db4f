//! What the names of a set of modules stand for.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Expr, Module, Rule, RuleHead};

use super::walk::path_of;

/// The functions of all modules by their full path, and the paths of all rules.
#[derive(Debug, Default)]
pub struct Functions {
    arities: BTreeMap<String, usize>,
    rules: BTreeSet<String>,
}

/// The names as one module knows them.
#[derive(Debug)]
pub struct Names {
    package: String,
    imports: BTreeMap<String, String>,
    functions: BTreeMap<String, usize>,
    rule_paths: BTreeSet<String>,
}

impl Functions {
    /// Adds those of a module.
    pub fn add(&mut self, module: &Module) {
        let package = package_of(module);
        for rule in &module.policy {
            if let Some(name) = rule_name(rule) {
                self.rules.insert(format!("{package}.{name}"));
            }
            let (refr, arity) = match rule.as_ref() {
                Rule::Spec {
                    head: RuleHead::Func { refr, args, .. },
                    ..
                } => (refr, args.len()),
                Rule::Default { refr, args, .. } if !args.is_empty() => (refr, args.len()),
                _ => continue,
            };
            if let Some(path) = path_of(refr) {
                self.arities
                    .insert(format!("{package}.{}", path.join(".")), arity);
            }
        }
    }
}

/// `data.` and the package.
pub fn package_of(module: &Module) -> String {
    let path = path_of(&module.package.refr).unwrap_or_default();
    format!("data.{}", path.join("."))
}

/// What a rule's head calls it.
pub fn head_of(rule: &Rule) -> &Expr {
    match rule {
        Rule::Default { refr, .. } => refr,
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. }
            | RuleHead::Set { refr, .. }
            | RuleHead::Func { refr, .. } => refr,
        },
    }
}

/// The first name of a rule's head.
pub fn rule_name(rule: &Rule) -> Option<String> {
    let mut at = head_of(rule);
    loop {
        match at {
            Expr::RefBrack { refr, .. } | Expr::RefDot { refr, .. } => at = refr,
            Expr::Var { value, .. } => {
                return value.as_string().ok().map(ToString::to_string);
            }
            _ => return None,
        }
    }
}

impl Names {
    /// The names of `module`, one of those whose functions are `functions`.
    pub fn new(module: &Module, functions: &Functions) -> Self {
        let imports = module.imports.iter().filter_map(|import| {
            let path = path_of(&import.refr)?;
            if matches!(path.first().map(String::as_str), Some("future" | "rego")) {
                return None;
            }
            let alias = match &import.r#as {
                Some(alias) => alias.text().to_string(),
                None => path.last()?.clone(),
            };
            Some((alias, path.join(".")))
        });
        Names {
            package: package_of(module),
            imports: imports.collect(),
            functions: functions.arities.clone(),
            rule_paths: functions.rules.clone(),
        }
    }

    /// The full path of a function that a call names, and how many arguments it takes.
    pub fn function(&self, path: &[String]) -> Option<(String, usize)> {
        let (first, rest) = path.split_first()?;
        let imported = self.imports.get(first).map(|target| {
            std::iter::once(target.as_str())
                .chain(rest.iter().map(String::as_str))
                .collect::<Vec<_>>()
                .join(".")
        });
        let path = path.join(".");
        [
            Some(format!("{}.{path}", self.package)),
            imported,
            Some(path),
        ]
        .into_iter()
        .flatten()
        .find_map(|full| {
            self.functions
                .get(&full)
                .map(|arity| (full.clone(), *arity))
        })
    }

    /// Whether a call of this path is one of a function of the modules.
    pub fn is_function(&self, path: &[String]) -> bool {
        self.function(path).is_some()
    }

    /// Whether a bare name stands for a document, which may be undefined, and not for a variable.
    pub fn is_document(&self, name: &str) -> bool {
        matches!(name, "input" | "data")
            || self.imports.contains_key(name)
            || self.rule(name).is_some()
    }

    /// The rule of this package that a bare name stands for.
    pub fn rule(&self, name: &str) -> Option<String> {
        let path = format!("{}.{name}", self.package);
        self.is_rule_path(&path).then_some(path)
    }

    /// The path that an imported name stands for.
    pub fn import(&self, name: &str) -> Option<&str> {
        self.imports.get(name).map(String::as_str)
    }

    /// Whether a full path is that of a rule.
    pub fn is_rule_path(&self, path: &str) -> bool {
        self.rule_paths.contains(path)
    }

    /// Whether a module provides what stands below this path.
    pub fn provides(&self, path: &str) -> bool {
        let below = format!("{path}.");
        self.rule_paths.iter().any(|rule| rule.starts_with(&below))
    }

    /// The beginning of a reference that is written out, its import resolved.
    pub fn path(&self, expr: &Expr) -> Option<Vec<String>> {
        let mut path = Vec::new();
        let mut at = expr;
        loop {
            match at {
                Expr::RefDot { refr, field, .. } => {
                    path.push(field.1.as_string().ok()?.to_string());
                    at = refr;
                }
                Expr::RefBrack { refr, index, .. } => {
                    match index.as_ref() {
                        Expr::String { value, .. } => {
                            path.push(value.as_string().ok()?.to_string());
                        }
                        _ => path.clear(),
                    }
                    at = refr;
                }
                Expr::Var { value, .. } => {
                    let name = value.as_string().ok()?;
                    match self.imports.get(name.as_ref()) {
                        Some(target) => path.extend(target.rsplit('.').map(str::to_string)),
                        None => path.push(name.to_string()),
                    }
                    break;
                }
                _ => return None,
            }
        }
        path.reverse();
        Some(path)
    }
}
