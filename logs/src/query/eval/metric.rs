//! The walk over a metric expression.

use model::labels::Labels;

use super::guard::Guard;
use super::matrix::{Columns, Series};
use super::windows::Steps;
use super::{binary, label_replace, range_aggregation, vector_aggregation};
use crate::query::ast::{Grouping, MetricExpr, RangeOp, VectorAggregation, VectorOp};
use crate::query::error::QueryError;
use crate::query::source::Source;

/// What stays the same while one query is evaluated.
pub(super) struct Evaluation<'q, 'e> {
    source: &'q dyn Source,
    steps: Steps,
    guard: &'q mut Guard<'e>,
}

impl<'q, 'e> Evaluation<'q, 'e> {
    pub(super) fn new(source: &'q dyn Source, steps: Steps, guard: &'q mut Guard<'e>) -> Self {
        Self {
            source,
            steps,
            guard,
        }
    }

    /// Evaluates an expression. `outer` is the grouping of a sum directly around it.
    pub(super) fn metric(
        &mut self,
        expr: &MetricExpr,
        outer: Option<&Grouping>,
    ) -> Result<Columns, QueryError> {
        self.guard.check()?;
        match expr {
            MetricExpr::Literal(value) => Ok(Columns::Scalar(*value)),
            MetricExpr::VectorLiteral(value) => Ok(Columns::Series(vec![Series {
                labels: Labels::empty(),
                points: vec![Some(*value); self.steps.count],
            }])),
            MetricExpr::Range(aggregation) => {
                range_aggregation::evaluate(self.source, aggregation, outer, self.steps, self.guard)
                    .map(Columns::Series)
            }
            MetricExpr::Vector(aggregation) => self.vector(aggregation).map(Columns::Series),
            MetricExpr::LabelReplace(replace) => {
                let inner = self.series(&replace.inner, None)?;
                Ok(Columns::Series(label_replace::evaluate(replace, inner)))
            }
            MetricExpr::Binary(operation) => {
                let left = self.metric(&operation.left, None)?;
                let right = self.metric(&operation.right, None)?;
                let value = binary::evaluate(operation, left, right, self.steps)?;
                if let Columns::Series(series) = &value {
                    self.guard.series(series.len(), self.steps.count)?;
                }
                Ok(value)
            }
        }
    }

    fn vector(&mut self, aggregation: &VectorAggregation) -> Result<Vec<Series>, QueryError> {
        let everything = Grouping::By(Vec::new());
        let grouping = aggregation.grouping.as_ref().unwrap_or(&everything);
        let adds_up = aggregation.op == VectorOp::Sum && is_additive(&aggregation.inner);
        let inner = self.series(&aggregation.inner, adds_up.then_some(grouping))?;
        Ok(vector_aggregation::evaluate(aggregation, inner, self.steps))
    }

    /// Evaluates an expression that must have series; a number is one without labels.
    fn series(
        &mut self,
        expr: &MetricExpr,
        outer: Option<&Grouping>,
    ) -> Result<Vec<Series>, QueryError> {
        Ok(match self.metric(expr, outer)? {
            Columns::Series(series) => series,
            Columns::Scalar(value) => vec![Series {
                labels: Labels::empty(),
                points: vec![Some(value); self.steps.count],
            }],
        })
    }
}

/// Whether a sum of the groups is the sum of the series: so it is for counts and sizes, whose
/// sums are exact in any order.
fn is_additive(expr: &MetricExpr) -> bool {
    match expr {
        MetricExpr::Range(aggregation) => {
            aggregation.range.unwrap.is_none()
                && matches!(
                    aggregation.op,
                    RangeOp::CountOverTime
                        | RangeOp::Rate
                        | RangeOp::BytesOverTime
                        | RangeOp::BytesRate
                )
        }
        _ => false,
    }
}
