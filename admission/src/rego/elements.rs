//! Counting what the interpreter puts into collections.
//!
//! A comprehension over three lists of a thousand makes a thousand million elements, and memory ends before the clock does. So what
//! becomes an element goes through a builtin ([`KEPT`]) that gives it back as it is, and counts it for the evaluation
//! ([`bounds`](super::bounds)): the elements of comprehensions, and those of rules that are sets or objects. A plan counts its
//! elements itself, and does without.
//!
//! All of this is text put in within a line, as that of [`normalise`](super::normalise).

use regorus::unstable::{Expr, Literal, LiteralStmt, Module, Query, Rule, RuleAssign, RuleHead};

use super::edit::{Edit, edited};
use super::extent::bounds;
use super::prepare::parse;
use super::walk::{Child, children};
use super::{Refusal, Text};

/// Gives an element as it is, and counts it. Only this module calls it.
pub(super) const KEPT: &str = "__taffrail_kept";

/// The module with its elements counted.
pub(crate) fn counted(text: &Text) -> Result<Text, Refusal> {
    let module = parse(text, &text.rego)?;
    let mut elements = Elements {
        text: &text.rego,
        edits: Vec::new(),
    };
    elements.module(&module);
    Ok(Text {
        rego: edited(&text.rego, elements.edits),
        ..text.clone()
    })
}

/// Makes what becomes an element the argument of a call. Elements lie in one another, or apart.
struct Elements<'a> {
    text: &'a str,
    edits: Vec<Edit>,
}

impl Elements<'_> {
    fn module(&mut self, module: &Module) {
        for rule in &module.policy {
            match rule.as_ref() {
                Rule::Spec { head, bodies, .. } => {
                    let is_object = self.head(head);
                    for body in bodies {
                        self.assign(body.assign.as_ref(), is_object);
                        self.query(&body.query);
                    }
                }
                Rule::Default { value, .. } => self.expr(value),
            }
        }
    }

    /// Whether the rule is an object, of which each value is an element.
    fn head(&mut self, head: &RuleHead) -> bool {
        match head {
            RuleHead::Compr { refr, assign, .. } => {
                self.expr(refr);
                let is_object = matches!(refr.as_ref(), Expr::RefBrack { .. });
                self.assign(assign.as_ref(), is_object);
                is_object
            }
            RuleHead::Set { refr, key, .. } => {
                self.expr(refr);
                if let Some(key) = key {
                    self.element(key);
                }
                false
            }
            RuleHead::Func { assign, .. } => {
                self.assign(assign.as_ref(), false);
                false
            }
        }
    }

    fn assign(&mut self, assign: Option<&RuleAssign>, is_element: bool) {
        match assign {
            Some(assign) if is_element => self.element(&assign.value),
            Some(assign) => self.expr(&assign.value),
            None => {}
        }
    }

    fn element(&mut self, expr: &Expr) {
        let (start, end) = bounds(self.text, expr);
        self.edits.push(Edit::insert(start, format!("{KEPT}(")));
        self.edits.push(Edit::insert(end, ")"));
        self.expr(expr);
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.element(term);
                self.query(query);
            }
            Expr::ObjectCompr {
                key, value, query, ..
            } => {
                self.expr(key);
                self.element(value);
                self.query(query);
            }
            _ => {
                for child in children(expr) {
                    match child {
                        Child::Expr(expr) => self.expr(expr),
                        Child::Query(query) => self.query(query),
                    }
                }
            }
        }
    }

    fn query(&mut self, query: &Query) {
        for stmt in &query.stmts {
            self.statement(stmt);
        }
    }

    fn statement(&mut self, stmt: &LiteralStmt) {
        for with in &stmt.with_mods {
            self.expr(&with.r#as);
        }
        match &stmt.literal {
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expr(expr),
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { collection, .. } => self.expr(collection),
            Literal::Every { domain, query, .. } => {
                self.expr(domain);
                self.query(query);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use regorus::Value;

    use super::super::tests::text;
    use super::super::{Edition, Program, ProgramError};
    use super::*;

    #[test]
    fn what_becomes_an_element_is_wrapped_where_it_stands() {
        for (rego, edition, expected) in [
            (
                "package t\na := [[x, \"]\"] | x := [y | y := input.b[_]][_]] # [c | d]\n",
                Edition::V0,
                "package t\na := [@([x, \"]\"]) | x := [@(y) | y := input.b[_]][_]] # [c | d]\n",
            ),
            (
                "package t\nviolation[{\"msg\": msg}] { msg := concat(\"\", {(m) | m := input[_]}) }\n",
                Edition::V0,
                "package t\nviolation[@({\"msg\": msg})] { msg := concat(\"\", {(@(m)) | m := input[_]}) }\n",
            ),
            (
                "package t\nr contains x if { not {k: v | some k, v in input}.a; every y in [z | z := 1] { y == x } }\n",
                Edition::V1,
                "package t\nr contains @(x) if { not {k: @(v) | some k, v in input}.a; every y in [@(z) | z := 1] { y == x } }\n",
            ),
            (
                "package t\nby[k] := v if some k, v in input\nf(x) := [1] if x\none := 2 if input.a\n",
                Edition::V1,
                "package t\nby[k] := @(v) if some k, v in input\nf(x) := [1] if x\none := 2 if input.a\n",
            ),
        ] {
            let found = counted(&text(rego, edition)).unwrap().rego;
            assert_eq!(found, expected.replace('@', KEPT));
        }
    }

    fn interpret(rego: &str, input: &str) -> Result<Value, ProgramError> {
        let rego = format!("package t\nimport rego.v1\n{rego}");
        let program = Program::new(&text(&rego, Edition::V1), &[], "r", &[]).unwrap();
        let nothing = Arc::new(Value::new_object());
        let input = Value::from_json_str(input).unwrap();
        let answer = program.interpret(&input, &nothing, Duration::from_mins(5))?;
        Ok(answer.value)
    }

    #[test]
    fn elements_are_what_they_were() {
        for (rego, expected) in [
            ("r := [x.a | some x in input]", "[1,2]"),
            ("r := {x.a: x.b | some x in input}", r#"{"1":null}"#),
            ("r contains x.a if some x in input", "[1,2]"),
            ("r[i] := x.a if some i, x in input", r#"{"0":1,"1":2}"#),
        ] {
            let found = interpret(rego, r#"[{"a": 1, "b": null}, {"a": 2}, {}]"#).unwrap();
            assert_eq!(serde_json::to_string(&found).unwrap(), expected, "{rego}");
        }
    }

    /// Without a bound each of them needs gigabytes.
    #[test]
    fn more_and_more_elements_are_refused_before_memory_is_gone() {
        let loops = "some i in n; some j in n; some l in n";
        let element = format!("[l, j, {}]", ["i"; 60].join(", "));
        for rule in [
            "r := count([@ | $])",
            "r := count({@ | $})",
            "r := {k: @ | $; k := [i, j, l]}",
            "r contains @ if { $ }",
            "r contains x if { $; x := @ }",
            "r[k] := @ if { $; k := [i, j, l] }",
        ] {
            let rule = rule.replace('@', &element).replace('$', loops);
            let rule = format!("n := numbers.range(1, 1000)\n{rule}");
            let error = interpret(&rule, "{}").expect_err(&rule);
            assert!(error.to_string().contains("more than"), "{rule}: {error}");
        }
    }
}
