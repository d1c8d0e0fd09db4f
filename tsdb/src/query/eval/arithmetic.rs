//! One operator between two samples.

use std::sync::Arc;

use model::histogram::trim::Keep;
use model::histogram::{CounterResetHint, Histogram};
use model::sample::stale_nan;

use super::{Evaluator, Sample};
use crate::query::annotations::HistogramOperation;
use crate::query::ast::{Binary, BinaryOp, Span};

/// What an operator makes of two samples.
pub(super) struct Outcome {
    /// The value; for a comparison the left side.
    pub sample: Sample,
    /// Whether a comparison holds.
    pub holds: bool,
}

/// A value of either side, borrowed.
#[derive(Clone, Copy)]
pub(super) enum Operand<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

impl Operand<'_> {
    const fn kind(self) -> &'static str {
        match self {
            Self::Float(_) => "float",
            Self::Histogram(_) => "histogram",
        }
    }

    pub(super) fn to_sample(self) -> Sample {
        match self {
            Self::Float(value) => Sample::Float(value),
            Self::Histogram(histogram) => Sample::Histogram(Arc::clone(histogram)),
        }
    }
}

impl Sample {
    pub(super) const fn operand(&self) -> Operand<'_> {
        match self {
            Self::Float(value) => Operand::Float(*value),
            Self::Histogram(histogram) => Operand::Histogram(histogram),
        }
    }
}

/// An operator between floats; a comparison yields 0 or 1.
pub(super) fn floats(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Atan2 => a.atan2(b),
        _ => f64::from(compares(op, a, b)),
    }
}

/// What an operation with an operator of floats yields for two floats: the staleness marker where a
/// comparison does not hold, and `passed` where it does.
pub(super) fn of_floats(node: &Binary, a: f64, b: f64, passed: f64) -> f64 {
    if !node.op.is_comparison() {
        return floats(node.op, a, b);
    }
    match (compares(node.op, a, b), node.returns_bool) {
        (holds, true) => f64::from(holds),
        (true, false) => passed,
        (false, false) => stale_nan(),
    }
}

/// Whether a comparison between floats holds.
pub(super) fn compares(op: BinaryOp, a: f64, b: f64) -> bool {
    match op {
        BinaryOp::Equal => a == b,
        BinaryOp::NotEqual => a != b,
        BinaryOp::Less => a < b,
        BinaryOp::LessOrEqual => a <= b,
        BinaryOp::Greater => a > b,
        BinaryOp::GreaterOrEqual => a >= b,
        _ => false,
    }
}

impl Evaluator<'_> {
    /// An operator between samples; nothing where it has no meaning, which is noted.
    pub(super) fn combine(
        &mut self,
        op: BinaryOp,
        lhs: Operand<'_>,
        rhs: Operand<'_>,
        span: Span,
    ) -> Option<Outcome> {
        use Operand::{Float, Histogram as Native};
        let value = |sample| {
            Some(Outcome {
                sample,
                holds: true,
            })
        };
        let native = |histogram| value(Sample::Histogram(Arc::new(histogram)));
        match (lhs, rhs) {
            (Float(a), Float(b)) if op.is_comparison() => Some(Outcome {
                sample: Sample::Float(a),
                holds: compares(op, a, b),
            }),
            (Float(a), Float(b)) if op.changes_meaning() => value(Sample::Float(floats(op, a, b))),
            (Float(factor), Native(histogram)) if op == BinaryOp::Mul => {
                native(Histogram::clone(histogram).scaled(factor).compacted())
            }
            (Native(histogram), Float(b)) => match op {
                BinaryOp::Mul => native(Histogram::clone(histogram).scaled(b).compacted()),
                BinaryOp::Div => native(Histogram::clone(histogram).divided(b).compacted()),
                BinaryOp::TrimUpper => native(histogram.trimmed(b, Keep::Below)),
                BinaryOp::TrimLower => native(histogram.trimmed(b, Keep::Above)),
                _ => self.meaningless(op, lhs, rhs, span),
            },
            (Native(a), Native(b)) => match op {
                BinaryOp::Add | BinaryOp::Sub => self.combine_histograms(op, a, b, span),
                BinaryOp::Equal | BinaryOp::NotEqual => Some(Outcome {
                    sample: lhs.to_sample(),
                    holds: a.equals(b) == (op == BinaryOp::Equal),
                }),
                _ => self.meaningless(op, lhs, rhs, span),
            },
            _ => self.meaningless(op, lhs, rhs, span),
        }
    }

    fn meaningless(
        &mut self,
        op: BinaryOp,
        lhs: Operand<'_>,
        rhs: Operand<'_>,
        span: Span,
    ) -> Option<Outcome> {
        self.annotations
            .incompatible_types(span, lhs.kind(), op.as_str(), rhs.kind());
        None
    }

    fn combine_histograms(
        &mut self,
        op: BinaryOp,
        a: &Histogram,
        b: &Histogram,
        span: Span,
    ) -> Option<Outcome> {
        let (combined, operation) = match op {
            BinaryOp::Add => (a.plus(b), HistogramOperation::Addition),
            _ => (a.minus(b), HistogramOperation::Subtraction),
        };
        let Ok((mut histogram, settled)) = combined else {
            self.annotations.incompatible_buckets(span, op.as_str());
            return None;
        };
        if op == BinaryOp::Sub {
            histogram.counter_reset_hint = CounterResetHint::Gauge;
        }
        if settled.resets_collided {
            self.annotations.reset_collision(span, operation);
        }
        if settled.bounds_reconciled {
            self.annotations.reconciled_buckets(span, operation);
        }
        Some(Outcome {
            sample: Sample::Histogram(Arc::new(histogram.compacted())),
            holds: true,
        })
    }
}
