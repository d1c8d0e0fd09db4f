//! Writing notes into a module.
//!
//! A note is the last statement of a body, so it is reached where all others hold: the number of the body, its variables, and what
//! it gives. Variables are those of the body itself; what is inside a negation or a comprehension has none to tell
//! outside. Those without a name get one here, for which element was found is what the input is followed back by.
//!
//! The text that is made here is for the engine only. Lines are those of the text it was made from, whose
//! syntax tree is kept.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Expr, Literal, LiteralStmt, Module, Rule, RuleBody, RuleHead};

use super::super::extent::bounds;
use super::super::names::Names;
use super::super::walk::{Child, children};
use super::super::{Edition, Text};
use super::{Body, NOTE, head, path_of_rule};

/// A module with its notes.
pub(super) struct Noted {
    pub(super) rego: String,
    pub(super) bodies: Vec<Body>,
    pub(super) unnamed: BTreeMap<u32, String>,
}

/// Puts text at a place, in the place of `end - start` bytes.
struct Edit {
    start: usize,
    end: usize,
    text: String,
}

/// The text of `module` with a note in each body, their numbers following those of `before`.
pub(super) fn note(
    text: &Text,
    ast: &Module,
    names: &Names,
    module: usize,
    before: &[Body],
) -> Noted {
    let mut noted = Noted {
        rego: String::new(),
        bodies: Vec::new(),
        unnamed: BTreeMap::new(),
    };
    let mut edits = Vec::new();
    for (at, rule) in ast.policy.iter().enumerate() {
        let Some(path) = path_of_rule(ast, rule) else {
            continue;
        };
        let body = |body, variables| Body {
            module,
            rule: at,
            at: body,
            path: path.clone(),
            variables,
        };
        let Rule::Spec { bodies, .. } = rule.as_ref() else {
            continue;
        };
        let (arguments, given) = head(rule);
        if bodies.is_empty() {
            let number = before.len() + noted.bodies.len();
            if let Rule::Spec {
                head: RuleHead::Set { key: Some(key), .. },
                ..
            } = rule.as_ref()
            {
                always(text, key, number, &mut edits);
            }
            noted.bodies.push(body(None, Vec::new()));
        }
        for (i, one) in bodies.iter().enumerate() {
            let mut found = Variables {
                names,
                found: BTreeSet::new(),
                unnamed: &mut noted.unnamed,
                edits: &mut edits,
            };
            for argument in &arguments {
                // An argument without a name is looked at by nobody.
                found.pattern(argument);
            }
            for stmt in &one.query.stmts {
                found.statement(stmt);
            }
            let variables: Vec<String> = found.found.into_iter().collect();
            let own = one.assign.as_ref().map(|assign| assign.value.as_ref());
            let value = own.or(given).map_or("true", |value| {
                let (start, end) = bounds(&text.rego, value);
                text.rego.get(start..end).unwrap_or("true")
            });
            let number = before.len() + noted.bodies.len();
            let note = format!("\n{NOTE}({number}, [{}], {value})\n", variables.join(", "));
            write(text, one, note, &mut edits);
            noted.bodies.push(body(Some(i), variables));
        }
    }
    noted.rego = apply(&text.rego, edits);
    noted
}

/// An element that is there always: it gets a body.
fn always(text: &Text, key: &Expr, number: usize, edits: &mut Vec<Edit>) {
    let (start, mut end) = bounds(&text.rego, key);
    let value = text.rego.get(start..end).unwrap_or("true");
    let rest = text.rego.get(end..).unwrap_or_default();
    if rest.trim_start().starts_with(']') {
        end += rest.find(']').map_or(0, |at| at + 1);
    }
    let note = format!(
        "{} {{\n{NOTE}({number}, [], {value})\n}}",
        before_body(text)
    );
    edits.push(Edit {
        start: end,
        end,
        text: note,
    });
}

fn before_body(text: &Text) -> &'static str {
    match text.edition {
        Edition::V0 => "",
        Edition::V1 => " if",
    }
}

/// At the end of a body, which gets braces where it had none.
fn write(text: &Text, body: &RuleBody, note: String, edits: &mut Vec<Edit>) {
    let query = &body.query;
    let put = |at: usize, text: String| Edit {
        start: at,
        end: at,
        text,
    };
    let Some(first) = query.stmts.first() else {
        // `else := value` holds always.
        if let Some(assign) = &body.assign {
            let (_, end) = bounds(&text.rego, &assign.value);
            edits.push(put(end, format!("{} {{{note}}}", before_body(text))));
        }
        return;
    };
    let (start, end) = (query.span.start as usize, query.span.end as usize);
    if first.span.start != query.span.start {
        edits.push(put(end.saturating_sub(1), note));
        return;
    }
    // The span of a text is without its quotes.
    let is_quote = |at: usize| matches!(text.rego.as_bytes().get(at), Some(b'"' | b'`'));
    let before = usize::from(start > 0 && is_quote(start.saturating_sub(1)));
    edits.push(put(start.saturating_sub(before), "{ ".to_string()));
    let end = end + usize::from(is_quote(end));
    edits.push(put(end, format!("{note}}}")));
}

fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| (edit.start, edit.end));
    let mut written = String::with_capacity(text.len() * 2);
    let mut done = 0;
    for edit in edits {
        written.push_str(text.get(done..edit.start).unwrap_or_default());
        written.push_str(&edit.text);
        done = edit.end.max(done);
    }
    written.push_str(text.get(done..).unwrap_or_default());
    written
}

/// The variables of a body, which all have a value where it holds.
struct Variables<'a> {
    names: &'a Names,
    found: BTreeSet<String>,
    unnamed: &'a mut BTreeMap<u32, String>,
    edits: &'a mut Vec<Edit>,
}

impl Variables<'_> {
    fn statement(&mut self, stmt: &LiteralStmt) {
        match &stmt.literal {
            Literal::Expr { expr, .. } => self.expr(expr),
            Literal::SomeIn {
                key,
                value,
                collection,
                ..
            } => {
                if let Some(key) = key {
                    self.expr(key);
                } else {
                    let at = value.span().start;
                    // A text begins before its span does, and is compared with what is there.
                    if matches!(value.as_ref(), Expr::Var { .. }) {
                        let name = self.name(at);
                        self.edits.push(Edit {
                            start: at as usize,
                            end: at as usize,
                            text: format!("{name}, "),
                        });
                    }
                }
                let key_of_it = self.unnamed.get(&value.span().start).cloned();
                if !(key_of_it.is_some() && is_unnamed(value)) {
                    self.expr(value);
                }
                self.expr(collection);
            }
            Literal::Every { domain, .. } => self.expr(domain),
            Literal::SomeVars { .. } | Literal::NotExpr { .. } => {}
        }
    }

    /// The variables of an argument.
    fn pattern(&mut self, expr: &Expr) {
        if !is_unnamed(expr) {
            if let Expr::Var { span, .. } = expr {
                self.found.insert(span.text().to_string());
            }
            for child in children(expr) {
                if let Child::Expr(child) = child {
                    self.pattern(child);
                }
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Var { span, .. } if is_unnamed(expr) => {
                let name = self.name(span.start);
                self.edits.push(Edit {
                    start: span.start as usize,
                    end: span.end as usize,
                    text: name,
                });
            }
            Expr::Var { span, .. } => {
                let name = span.text();
                if !self.names.is_document(name) {
                    self.found.insert(name.to_string());
                }
            }
            Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => {}
            Expr::Call { params, .. } => params.iter().for_each(|param| self.expr(param)),
            _ => {
                for child in children(expr) {
                    if let Child::Expr(child) = child {
                        self.expr(child);
                    }
                }
            }
        }
    }

    fn name(&mut self, at: u32) -> String {
        let name = format!("taffrail_unnamed_{at}");
        self.unnamed.insert(at, name.clone());
        self.found.insert(name.clone());
        name
    }
}

fn is_unnamed(expr: &Expr) -> bool {
    matches!(expr, Expr::Var { span, .. } if span.text() == "_")
}
