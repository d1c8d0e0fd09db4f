//! What OPA's compiler takes out of a negation, in its order.

use regorus::unstable::{AssignOp, BoolOp, Expr};

use super::{Edit, Normaliser};
use crate::rego::extent::bounds;
use crate::rego::walk::{Child, children, computes};

/// What is said before a negation.
#[derive(Default)]
pub(super) struct Prelude(pub(super) Vec<String>);

impl Normaliser<'_> {
    pub(super) fn negated(&mut self, expr: &Expr, prelude: &mut Prelude, edits: &mut Vec<Edit>) {
        match expr {
            Expr::AssignExpr {
                op: AssignOp::Eq,
                lhs,
                rhs,
                ..
            }
            | Expr::BoolExpr {
                op: BoolOp::Eq,
                lhs,
                rhs,
                ..
            } => {
                self.in_term(lhs, prelude, edits);
                self.in_term(rhs, prelude, edits);
            }
            Expr::Call { params, .. } => {
                for param in params {
                    self.argument(param, prelude, edits);
                }
            }
            _ if computes(expr) => {
                if !matches!(expr, Expr::Membership { .. }) {
                    self.operation(expr, edits);
                }
                for child in children(expr) {
                    if let Child::Expr(child) = child {
                        self.argument(child, prelude, edits);
                    }
                }
            }
            _ => self.in_term(expr, prelude, edits),
        }
    }

    /// An argument of a negated call: what may be undefined is evaluated before.
    fn argument(&mut self, expr: &Expr, prelude: &mut Prelude, edits: &mut Vec<Edit>) {
        match expr {
            Expr::RefDot { .. } | Expr::RefBrack { .. } => self.hoist(expr, prelude, edits),
            Expr::Var { value, .. } => {
                if value
                    .as_string()
                    .is_ok_and(|name| self.names.is_document(name))
                {
                    self.hoist(expr, prelude, edits);
                }
            }
            Expr::Array { .. } | Expr::Set { .. } | Expr::Object { .. } => {
                for child in children(expr) {
                    if let Child::Expr(child) = child {
                        self.argument(child, prelude, edits);
                    }
                }
            }
            _ if computes(expr) && !is_negative_number(expr) => self.hoist(expr, prelude, edits),
            _ => self.expr(expr, edits),
        }
    }

    /// A term that stays inside the negation: only what it computes is evaluated before.
    fn in_term(&mut self, expr: &Expr, prelude: &mut Prelude, edits: &mut Vec<Edit>) {
        match expr {
            Expr::RefDot { refr, .. } => self.in_term(refr, prelude, edits),
            Expr::RefBrack { refr, index, .. } => {
                self.in_term(refr, prelude, edits);
                self.argument(index, prelude, edits);
            }
            Expr::Array { .. } | Expr::Set { .. } | Expr::Object { .. } => {
                self.argument(expr, prelude, edits);
            }
            _ if computes(expr) && !is_negative_number(expr) => self.hoist(expr, prelude, edits),
            _ => self.expr(expr, edits),
        }
    }

    fn hoist(&mut self, expr: &Expr, prelude: &mut Prelude, edits: &mut Vec<Edit>) {
        let (start, end) = bounds(self.text, expr);
        let mut inner = Vec::new();
        self.expr(expr, &mut inner);
        let text = self.apply(start, end, inner);
        if text.contains('\n') && text.contains('#') {
            let problem = "a comment inside a negated call cannot be read: put it on a line before";
            self.refuse(expr.span().line, problem);
        }
        let name = self.fresh();
        // One line of its own text: its author's lines must stay where they are.
        let text = text
            .split('\n')
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(" ");
        let lines = self
            .text
            .get(start..end)
            .map_or(0, |old| old.matches('\n').count());
        edits.push(Edit {
            start,
            end,
            text: self.apart(format!("{name}{}", "\n".repeat(lines)), start),
        });
        prelude.0.push(format!("{name} := {text}"));
    }
}

fn is_negative_number(expr: &Expr) -> bool {
    matches!(expr, Expr::UnaryExpr { expr, .. } if matches!(expr.as_ref(), Expr::Number { .. }))
}
