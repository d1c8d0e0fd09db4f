//! Operators and membership, which become calls.

use regorus::unstable::{ArithOp, BinOp, Expr, Span};

use super::{Edit, Normaliser};
use crate::rego::builtins;
use crate::rego::extent::bounds;

impl Normaliser<'_> {
    /// An operation becomes a call of a builtin of ours.
    pub(super) fn operation(&mut self, expr: &Expr, edits: &mut Vec<Edit>) {
        let (name, sign, lhs, rhs) = match expr {
            Expr::ArithExpr { op, lhs, rhs, .. } => match op {
                ArithOp::Add => (builtins::PLUS, "+", lhs, rhs),
                ArithOp::Sub => (builtins::MINUS, "-", lhs, rhs),
                ArithOp::Mul => (builtins::MUL, "*", lhs, rhs),
                ArithOp::Div => (builtins::DIV, "/", lhs, rhs),
                ArithOp::Mod => (builtins::REM, "%", lhs, rhs),
            },
            Expr::BinExpr { op, lhs, rhs, .. } => match op {
                BinOp::Union => (builtins::OR, "|", lhs, rhs),
                BinOp::Intersection => (builtins::AND, "&", lhs, rhs),
            },
            Expr::Membership {
                key,
                value,
                collection,
                ..
            } => {
                let name = key.as_ref().map_or(builtins::IN, |_| builtins::PAIR_IN);
                (name, "in", value, collection)
            }
            Expr::UnaryExpr { expr: of, span, .. } => return self.minus(of, span, edits),
            _ => return,
        };
        let (start, end) = bounds(self.text, expr);
        let (_, left) = bounds(self.text, lhs);
        let (right, _) = bounds(self.text, rhs);
        // Between the two is the sign, and maybe parentheses.
        let between = self.text.get(left..right).unwrap_or_default();
        let Some(at) = between
            .find(sign)
            .map(|at| left + at)
            .filter(|_| !between.contains('#'))
        else {
            let problem = "a comment inside a calculation cannot be read: put it on a line before";
            return self.refuse(expr.span().line, problem);
        };
        edits.push(Edit {
            start,
            end: start,
            text: self.apart(format!("{name}("), start),
        });
        edits.push(Edit {
            start: at,
            end: at + sign.len(),
            text: ",".to_string(),
        });
        edits.push(Edit {
            start: end,
            end,
            text: ")".to_string(),
        });
    }

    /// What begins with a word and is put into the text, where another word may end.
    pub(super) fn apart(&self, text: String, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or_default();
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        if before.ends_with(is_word) {
            format!(" {text}")
        } else {
            text
        }
    }

    /// `-x` becomes a subtraction from 0.
    fn minus(&mut self, of: &Expr, span: &Span, edits: &mut Vec<Edit>) {
        if matches!(of, Expr::Number { .. }) {
            return;
        }
        let start = span.start as usize;
        let (_, end) = bounds(self.text, of);
        edits.push(Edit {
            start,
            end: start + 1,
            text: self.apart(format!("{}(0, (", builtins::MINUS), start),
        });
        edits.push(Edit::insert(end, "))"));
    }
}
