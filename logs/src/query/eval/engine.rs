//! The engine: what callers hold.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use model::labels::Labels;
use model::time::TimestampNs;
use model::vector::QueryValue;

use super::guard::{Guard, Limits};
use super::log;
use super::metric::Evaluation;
use super::windows::Steps;
use crate::query::ast::{Expr, MetricExpr, VectorOp};
use crate::query::error::QueryError;
use crate::query::parser::parse;
use crate::query::source::{Direction, Source};

/// How an engine is set up.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// What one query may cost.
    pub limits: Limits,
}

/// Answers queries over any source.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    options: EngineOptions,
    cancel: Option<Arc<AtomicBool>>,
}

/// What a query answers, and what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryOutput {
    /// The answer.
    pub value: QueryResult,
    /// The cost.
    pub stats: QueryStats,
}

/// The answer of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryResult {
    /// Lines, by stream.
    Streams(Vec<ResultStream>),
    /// Numbers.
    Metric(QueryValue),
}

/// Entries that share all their labels, in the direction asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResultStream {
    /// Every label: of the stream, of the metadata and from the line.
    pub labels: Labels,
    /// The labels of the stream.
    pub stream: Labels,
    /// The labels of the structured metadata.
    pub structured_metadata: Labels,
    /// The labels a stage made, error labels among them.
    pub parsed: Labels,
    /// The entries.
    pub entries: Vec<ResultEntry>,
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultEntry {
    /// When.
    pub timestamp: TimestampNs,
    /// The line as the stages left it.
    pub line: String,
}

/// What a query cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Entries looked at.
    pub entries_scanned: u64,
    /// Bytes of their lines.
    pub bytes_scanned: u64,
    /// Entries counted from page summaries, without being decoded.
    pub entries_summarized: u64,
    /// Entries of the answer, for a log query.
    pub entries_returned: u64,
}

impl Engine {
    /// An engine.
    pub fn new(options: EngineOptions) -> Self {
        Self {
            options,
            cancel: None,
        }
    }

    /// The same engine, whose queries end with [`QueryError::Canceled`] once the flag is set.
    #[must_use]
    pub fn cancelled_by(&self, flag: Arc<AtomicBool>) -> Self {
        Self {
            options: self.options.clone(),
            cancel: Some(flag),
        }
    }

    /// The limits queries run under.
    pub const fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// The value of a metric query at one instant. A log query has none and is refused, so
    /// `limit` and `direction` only matter to callers that treat both kinds alike.
    pub fn instant(
        &self,
        source: &dyn Source,
        query: &str,
        at: TimestampNs,
        _limit: usize,
        _direction: Direction,
    ) -> Result<QueryOutput, QueryError> {
        let mut guard = self.guard();
        match parse(query)? {
            Expr::Log(_) => Err(QueryError::BadRequest(
                "log queries are not supported as an instant query type, please change your query \
                 to a range query type"
                    .to_owned(),
            )),
            Expr::Metric(metric) => {
                let steps = Steps::instant(at);
                let mut evaluation = Evaluation::new(source, steps, &mut guard);
                let value = evaluation.metric(&metric, None)?;
                let value = value.into_instant(at, !keeps_order(&metric));
                Ok(output(QueryResult::Metric(value), &guard))
            }
        }
    }

    /// The lines of a log query in `[start, end)`, nearest to `start` or to `end` first as
    /// `direction` says, at most `limit`; or the values of a metric query at `start`,
    /// `start + step` and so on up to `end`.
    #[expect(
        clippy::too_many_arguments,
        reason = "these are the parameters of query_range"
    )]
    pub fn range(
        &self,
        source: &dyn Source,
        query: &str,
        start: TimestampNs,
        end: TimestampNs,
        step: Duration,
        limit: usize,
        direction: Direction,
    ) -> Result<QueryOutput, QueryError> {
        if end < start {
            return Err(QueryError::BadRequest(
                "end timestamp must not be before start time".to_owned(),
            ));
        }
        let mut guard = self.guard();
        match parse(query)? {
            Expr::Log(log) => {
                let most = self.options.limits.entries_max;
                if limit > most {
                    return Err(QueryError::BadRequest(format!(
                        "max entries limit per query exceeded, limit > max_entries_limit_per_query \
                         ({limit} > {most})"
                    )));
                }
                let streams =
                    log::evaluate(source, &log, start, end, limit, direction, &mut guard)?;
                Ok(output(QueryResult::Streams(streams), &guard))
            }
            Expr::Metric(metric) => {
                let steps = Steps::range(start, end, step, self.options.limits.steps_max)?;
                if contains_instant_only(&metric) {
                    return Err(QueryError::BadRequest(
                        "approx_topk is only supported on instant queries".to_owned(),
                    ));
                }
                let mut evaluation = Evaluation::new(source, steps, &mut guard);
                let value = evaluation.metric(&metric, None)?;
                Ok(output(QueryResult::Metric(value.into_range(steps)), &guard))
            }
        }
    }

    fn guard(&self) -> Guard<'_> {
        Guard::new(&self.options.limits, self.cancel.as_ref())
    }
}

fn output(value: QueryResult, guard: &Guard<'_>) -> QueryOutput {
    let mut stats = guard.stats;
    if let QueryResult::Streams(streams) = &value {
        stats.entries_returned = streams
            .iter()
            .map(|stream| stream.entries.len() as u64)
            .sum();
    }
    QueryOutput { value, stats }
}

/// Whether the order of the series was asked for.
fn keeps_order(metric: &MetricExpr) -> bool {
    contains_op(metric, &|op| {
        matches!(op, VectorOp::Sort | VectorOp::SortDesc)
    })
}

fn contains_instant_only(metric: &MetricExpr) -> bool {
    contains_op(metric, &|op| op == VectorOp::ApproxTopk)
}

fn contains_op(metric: &MetricExpr, wanted: &dyn Fn(VectorOp) -> bool) -> bool {
    match metric {
        MetricExpr::Vector(vector) => wanted(vector.op) || contains_op(&vector.inner, wanted),
        MetricExpr::LabelReplace(replace) => contains_op(&replace.inner, wanted),
        MetricExpr::Binary(binary) => {
            contains_op(&binary.left, wanted) || contains_op(&binary.right, wanted)
        }
        MetricExpr::Range(_) | MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) => false,
    }
}
