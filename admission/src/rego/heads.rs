//! Heads of rules that may have no value.
//!
//! OPA's compiler takes what has to be looked up or computed out of a head and into the body: `p[x.name] { … }` means
//! `p[name] { …; name := x.name }`. So a solution of the body for which the head has no value is passed over, and the others
//! count. regorus computes the head after the body, and where it has no value throws away what the rule gave before: a
//! violation among them would be lost. The same as OPA does is written out here. `else` follows where a head has no value, as in OPA.
//!
//! What is moved is moved within the rule's lines, so positions stay lines.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use regorus::unstable::{Expr, Module, Query, Rule, RuleAssign, RuleHead};

use super::edit::{Edit, edited};
use super::extent::{bounds, one_line};
use super::names::{Functions, Names, package_of, rule_name};
use super::prepare::parse;
use super::walk::{Child, children, computes};
use super::{Edition, Refusal, Text};

/// The modules, with their heads' values computed in the bodies.
pub(crate) fn lifted(texts: &[Text]) -> Result<Vec<Text>, Refusal> {
    let parsed = texts.iter().map(|text| parse(text, &text.rego));
    let parsed: Vec<Module> = parsed.collect::<Result<_, _>>()?;
    let mut functions = Functions::default();
    for module in &parsed {
        functions.add(module);
    }
    let mut objects = Objects::of(&parsed);
    let lifted = texts.iter().zip(&parsed).map(|(text, module)| Text {
        rego: Lifter::new(text, Names::new(module, &functions)).module(module)
            + &objects.defaults(text, module),
        ..text.clone()
    });
    Ok(lifted.collect())
}

/// Rules that are objects of sets or of objects, `r[x] contains y` or `r[x].y := z`. In OPA one of which nothing holds is empty; in
/// regorus it is undefined, unless a default says so.
struct Objects(BTreeSet<String>);

impl Objects {
    fn of(modules: &[Module]) -> Self {
        let (mut objects, mut others) = (BTreeSet::new(), BTreeSet::new());
        for module in modules {
            for rule in &module.policy {
                let Some(name) = rule_name(rule) else {
                    continue;
                };
                let path = format!("{}.{name}", package_of(module));
                if is_object(rule) {
                    objects.insert(path);
                } else {
                    others.insert(path);
                }
            }
        }
        Objects(&objects - &others)
    }

    /// The defaults of those that a module is the first to define, behind its last line.
    fn defaults(&mut self, text: &Text, module: &Module) -> String {
        let mut said = String::new();
        for name in module.policy.iter().filter_map(|rule| rule_name(rule)) {
            if self.0.remove(&format!("{}.{name}", package_of(module))) {
                let equals = match text.edition {
                    Edition::V0 => "=",
                    Edition::V1 => ":=",
                };
                let _ = write!(said, "\ndefault {name} {equals} {{}}\n");
            }
        }
        said
    }
}

/// Whether a key that varies stands next to the rule's name, and something else behind it.
fn is_object(rule: &Rule) -> bool {
    let Rule::Spec { head, .. } = rule else {
        return false;
    };
    let (refr, is_deep) = match head {
        RuleHead::Set { refr, key, .. } => (refr, key.is_some()),
        RuleHead::Compr { refr, .. } => (refr, false),
        RuleHead::Func { .. } => return false,
    };
    let (mut at, mut depth) = (refr.as_ref(), 0);
    loop {
        match at {
            Expr::RefDot { refr, .. } => (at, depth) = (refr, depth + 1),
            Expr::RefBrack { refr, index, .. } => {
                if matches!(refr.as_ref(), Expr::Var { .. }) {
                    let varies = !matches!(index.as_ref(), Expr::String { .. });
                    return varies && (is_deep || depth > 0);
                }
                (at, depth) = (refr, depth + 1);
            }
            _ => return false,
        }
    }
}

struct Lifter<'a> {
    text: &'a str,
    edition: Edition,
    names: Names,
    edits: Vec<Edit>,
    count: usize,
}

impl<'a> Lifter<'a> {
    fn new(text: &'a Text, names: Names) -> Self {
        Lifter {
            text: &text.rego,
            edition: text.edition,
            names,
            edits: Vec::new(),
            count: 0,
        }
    }

    fn module(mut self, module: &Module) -> String {
        for rule in &module.policy {
            if let Rule::Spec { head, bodies, .. } = rule.as_ref() {
                let (values, end) = self.head(head);
                let mut bodies = bodies.iter();
                self.append(bodies.next().map(|body| body.query.as_ref()), end, &values);
                for other in bodies {
                    let mut values = Vec::new();
                    self.assign(other.assign.as_ref(), &mut values);
                    let end = other.assign.as_ref().map_or(0, |assign| assign.span.end);
                    self.append(Some(&other.query), self.after(end), &values);
                }
            }
        }
        edited(self.text, self.edits)
    }

    /// The assignments that a body needs, and where the head ends.
    fn head(&mut self, head: &RuleHead) -> (Vec<String>, usize) {
        let mut values = Vec::new();
        let (refr, key, assign) = match head {
            RuleHead::Set { refr, key, .. } => (refr, key.as_ref(), None),
            RuleHead::Compr { refr, assign, .. } | RuleHead::Func { refr, assign, .. } => {
                (refr, None, assign.as_ref())
            }
        };
        self.reference(refr, &mut values);
        if let Some(key) = key {
            self.value(key, &mut values);
        }
        self.assign(assign, &mut values);
        let span = match head {
            RuleHead::Compr { span, .. }
            | RuleHead::Set { span, .. }
            | RuleHead::Func { span, .. } => span,
        };
        (values, self.after(span.end))
    }

    /// `p[k]`: its keys. Of sets regorus takes no key that is written as a collection.
    fn reference(&mut self, refr: &Expr, values: &mut Vec<String>) {
        match refr {
            Expr::RefBrack { refr, index, .. } => {
                self.reference(refr, values);
                match index.as_ref() {
                    Expr::Array { .. } | Expr::Set { .. } | Expr::Object { .. } => {
                        self.lift(index, values);
                    }
                    index => self.value(index, values),
                }
            }
            Expr::RefDot { refr, .. } => self.reference(refr, values),
            _ => {}
        }
    }

    fn assign(&mut self, assign: Option<&RuleAssign>, values: &mut Vec<String>) {
        if let Some(assign) = assign {
            self.value(&assign.value, values);
        }
    }

    /// Puts a name in the place of what may have no value.
    fn value(&mut self, expr: &Expr, values: &mut Vec<String>) {
        if self.may_fail(expr) {
            self.lift(expr, values);
        }
    }

    fn lift(&mut self, expr: &Expr, values: &mut Vec<String>) {
        self.count += 1;
        let name = format!("__taffrail_head_{}", self.count);
        let (start, end) = bounds(self.text, expr);
        let text = self.text.get(start..end).unwrap_or_default();
        let lines = "\n".repeat(text.matches('\n').count());
        values.push(format!("{name} := {}", one_line(text)));
        self.edits.push(Edit {
            start,
            end,
            text: format!("{name}{lines}"),
        });
    }

    /// Whether it looks something up or computes it. Comprehensions always have a value.
    fn may_fail(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Var { value, .. } => {
                (value.as_string()).is_ok_and(|name| self.names.is_document(name))
            }
            Expr::RefDot { .. } | Expr::RefBrack { .. } => true,
            Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => false,
            Expr::UnaryExpr { expr, .. } => !matches!(expr.as_ref(), Expr::Number { .. }),
            _ => {
                computes(expr)
                    || matches!(expr, Expr::ArithExpr { .. })
                    || children(expr)
                        .iter()
                        .any(|child| matches!(child, Child::Expr(expr) if self.may_fail(expr)))
            }
        }
    }

    /// At the end of a body; where there is none, as one behind what gives the value, which ends at `value_end`.
    fn append(&mut self, query: Option<&Query>, value_end: usize, values: &[String]) {
        if values.is_empty() {
            return;
        }
        let values = values.join("; ");
        let Some((query, last)) = query.and_then(|query| Some((query, query.stmts.last()?))) else {
            let word = match self.edition {
                Edition::V0 => "",
                Edition::V1 => "if ",
            };
            return self.insert(value_end, format!(" {word}{{ {values} }}"));
        };
        let end = self.after(last.span.end);
        // `if x`: one statement without braces becomes several, which need them.
        let is_bare =
            (query.stmts.first()).is_some_and(|first| first.span.start == query.span.start);
        if is_bare {
            let start = query.span.start as usize;
            let start = match self.text.get(..start) {
                Some(before) if before.ends_with(['"', '`']) => start - 1,
                _ => start,
            };
            self.insert(start, "{ ".to_string());
            self.insert(end, format!("; {values} }}"));
        } else {
            self.insert(end, format!("; {values}"));
        }
    }

    fn insert(&mut self, at: usize, text: String) {
        self.edits.push(Edit::insert(at, text));
    }

    /// The end of a token: that of a text leaves out its quote.
    fn after(&self, end: u32) -> usize {
        let end = end as usize;
        match self.text.get(end..) {
            Some(rest) if rest.starts_with(['"', '`']) => end + 1,
            _ => end,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use regorus::Value;

    use super::super::Program;
    use super::super::tests::text;
    use super::*;

    #[test]
    fn what_may_have_no_value_is_computed_in_the_body() {
        for (rego, edition, expected) in [
            (
                "package t\nviolation[{\"msg\": c.image}] { c := input.cs[_] }\n",
                Edition::V0,
                "package t\nviolation[@1] { c := input.cs[_]; @1 := {\"msg\": c.image} }\n",
            ),
            (
                "package t\nv[{\n  \"m\": x.a, # {\n}] {\n  x := \"#\"\n}\np[x] { x := 1 }\n",
                Edition::V0,
                "package t\nv[@1\n\n] {\n  x := \"#\"; @1 := {   \"m\": x.a,  }\n}\np[x] { x := 1 }\n",
            ),
            (
                "package t\nby[x.k] := f(x) if some x in input\nf(x) := x.v if x.ok else := x.w if \"a\" == x.v\n",
                Edition::V1,
                "package t\nby[@1] := @2 if { some x in input; @1 := x.k; @2 := f(x) }\n\
                 f(x) := @3 if { x.ok; @3 := x.v } else := @4 if { \"a\" == x.v; @4 := x.w }\n",
            ),
            (
                "package t\ns contains input.a[_]\nn := 1\ns contains n if { true # }\n}\n",
                Edition::V1,
                "package t\ns contains @1 if { @1 := input.a[_] }\nn := 1\ns contains @2 if { true; @2 := n # }\n}\n",
            ),
        ] {
            let found = lifted(&[text(rego, edition)]).unwrap().remove(0).rego;
            assert_eq!(found, expected.replace('@', "__taffrail_head_"));
        }
    }

    /// As OPA 1.22 answers.
    #[test]
    fn a_head_without_a_value_takes_nothing_from_other_solutions() {
        let input = r#"{"xs": [{"a": 1, "k": "x"}, {"k": "y"}, {"a": 2}], "none": [{}, {"a": 3}]}"#;
        let input = Value::from_json_str(input).unwrap();
        for (rego, expected) in [
            ("r contains x.a if some x in input.xs", "[1,2]"),
            ("r contains x.a if some x in input.none", "[3]"),
            (
                "r contains {\"m\": sprintf(\"%v\", [x.a])} if some x in input.xs",
                r#"[{"m":"1"},{"m":"2"}]"#,
            ),
            ("r contains input.xs[_].a", "[1,2]"),
            ("r contains to_number(x.k) if some x in input.xs", "[]"),
            ("r[x.k] := x.a if some x in input.xs", r#"{"x":1}"#),
            ("r[x.k] contains x.a if some x in input.xs", r#"{"x":[1]}"#),
            ("r := x.a if some x in input.none", "3"),
            ("r := input.nothing if true else := 4", "4"),
            (
                "r := [y | y := f(input.none)]\nf(xs) := x.a if some x in xs",
                "[3]",
            ),
            (
                "r := [y | some x in input.xs; y := g(x)]\ng(x) := x.a if true else := 0",
                "[1,0,2]",
            ),
        ] {
            let text = text(&format!("package t\nimport rego.v1\n{rego}"), Edition::V1);
            let program = Program::new(&text, &[], "r", &[]).unwrap();
            let nothing = Arc::new(Value::new_object());
            let limit = Duration::from_mins(1);
            let interpreted = program.interpret(&input, &nothing, limit).unwrap().value;
            let asked = program.ask(&input, &nothing, limit).unwrap().value;
            for found in [interpreted, asked] {
                assert_eq!(serde_json::to_string(&found).unwrap(), expected, "{rego}");
            }
        }
    }
}
