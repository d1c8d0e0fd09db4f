//! From modules as they are written to modules as regorus is given them: mended, and checked.

use std::collections::BTreeSet;

use regorus::Source;
use regorus::unstable::{Module, Parser};

use super::check::{Needs, Provided, check, check_needs};
use super::names::{Functions, Names, package_of, rule_name};
use super::normalise::normalise;
use super::{Edition, LENGTHS, Refusal, Text, heads, source};
use crate::data::Allowed;

/// A template's modules.
pub(super) struct Template {
    /// Its own first.
    pub(super) modules: Vec<Text>,
    /// The full path of the rule that is asked.
    pub(super) rule: String,
    /// Whether they ask for documents that no module provides.
    pub(super) asks_data: bool,
}

/// Those of a template: the module that is asked for its rule of the name `rule`, and its libraries. `roots` are the documents
/// below `data` that they may use.
pub(super) fn template(
    entry: &Text,
    libraries: &[Text],
    rule: &str,
    roots: &[&str],
    allowed: Allowed,
) -> Result<Template, Refusal> {
    let read = Read::all(std::iter::once(entry).chain(libraries))?;
    let declared = read.modules.first().and_then(|module| {
        let mut names = module.ast.policy.iter().map(|rule| rule_name(rule));
        let package = package_of(&module.ast);
        (names.any(|name| name.as_deref() == Some(rule))).then(|| format!("{package}.{rule}"))
    });
    let Some(rule) = declared else {
        return Err(Refusal {
            name: entry.name.clone(),
            line: 0,
            problem: format!("the module holds no rule {rule}, which is what is asked"),
        });
    };
    let provided = Provided {
        roots,
        arity: &|_| None,
        allowed,
    };
    let (modules, asks_data) = read.prepared(&provided)?;
    Ok(Template {
        modules,
        rule,
        asks_data,
    })
}

/// Those of a bundle, which may use one another and nothing else below `data`. `arity` tells how many arguments
/// a builtin takes that is none of OPA's.
pub(crate) fn bundle(
    texts: &[Text],
    arity: &dyn Fn(&str) -> Option<usize>,
    allowed: Allowed,
) -> Result<Vec<Text>, Refusal> {
    let read = Read::all(texts)?;
    let packages: Vec<_> = (read.modules.iter())
        .map(|module| package_of(&module.ast))
        .collect();
    let roots: BTreeSet<_> = (packages.iter())
        .filter_map(|package| package.split('.').nth(1))
        .collect();
    let provided = Provided {
        roots: &roots.into_iter().collect::<Vec<_>>(),
        arity,
        allowed,
    };
    read.prepared(&provided).map(|(modules, _)| modules)
}

/// A module with what its parser would read otherwise mended.
struct ReadModule<'a> {
    text: &'a Text,
    mended: String,
    ast: Module,
}

/// Modules that belong together, parsed.
struct Read<'a> {
    modules: Vec<ReadModule<'a>>,
    functions: Functions,
}

impl<'a> Read<'a> {
    fn all(texts: impl IntoIterator<Item = &'a Text>) -> Result<Self, Refusal> {
        let mut read = Read {
            modules: Vec::new(),
            functions: Functions::default(),
        };
        for text in texts {
            let mended = source::mend(text)?;
            let ast = parse(text, &mended)?;
            read.functions.add(&ast);
            read.modules.push(ReadModule { text, mended, ast });
        }
        Ok(read)
    }

    /// Checks and mends them; whether they ask for documents that none of them provides.
    fn prepared(&self, provided: &Provided<'_>) -> Result<(Vec<Text>, bool), Refusal> {
        let mut needs = Needs::new();
        let mut asks_data = false;
        let mut prepared = Vec::new();
        for ReadModule { text, mended, ast } in &self.modules {
            let names = Names::new(ast, &self.functions);
            asks_data |= check(ast, &text.name, &names, provided, &mut needs)?;
            prepared.push(Text {
                rego: normalise(ast, mended, &text.name, &names)?,
                ..(*text).clone()
            });
        }
        if let Some(first) = prepared.first() {
            check_needs(&needs, &first.name)?;
        }
        Ok((heads::lifted(&prepared)?, asks_data))
    }
}

/// Parses what a module became.
pub(super) fn parse(text: &Text, mended: &str) -> Result<Module, Refusal> {
    let refuse = |error: &dyn std::fmt::Display| Refusal::from_regorus(&text.name, error);
    let source =
        Source::from_contents(text.name.clone(), mended.to_string()).map_err(|e| refuse(&e))?;
    let mut parser = Parser::new(&source).map_err(|e| refuse(&e))?;
    parser.set_max_col(LENGTHS.max_col);
    if text.edition == Edition::V1 {
        parser.enable_rego_v1().map_err(|e| refuse(&e))?;
    }
    parser.parse().map_err(|e| refuse(&e))
}
