//! Operators on two numbers.

use crate::query::ast::BinaryOp;

/// What an operator makes of two numbers; comparisons answer one or zero. Division by zero is
/// NaN here, unlike in PromQL.
pub(in crate::query) fn scalar_operation(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Compare(comparison) => f64::from(u8::from(comparison.holds(left, right))),
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div | BinaryOp::Mod if right == 0.0 => f64::NAN,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        // The parser refuses numbers at sets.
        BinaryOp::Or | BinaryOp::And | BinaryOp::Unless => f64::NAN,
    }
}

/// What an operator leaves of a pair of samples: a comparison keeps `kept` where it holds, unless
/// zero and one were asked for.
pub(super) fn sample_operation(
    op: BinaryOp,
    left: f64,
    right: f64,
    kept: f64,
    return_bool: bool,
) -> Option<f64> {
    match op {
        BinaryOp::Compare(comparison) if !return_bool => {
            comparison.holds(left, right).then_some(kept)
        }
        op => Some(scalar_operation(op, left, right)),
    }
}
