//! Aggregations that compute: each group has a state for each instant, and every series is walked
//! once, adding its values to the states of its group.

use std::collections::HashMap;
use std::sync::Arc;

use model::histogram::kahan::{Kahan, Mean};
use model::histogram::{CounterResetHint, Histogram};
use model::labels::{Labels, METRIC_NAME};
use model::vector::format_float;

use super::column::SERIES_BYTES;
use super::finish::OutputSeries;
use super::{Column, EvalError, Evaluator, Grid, Result, Sample, Series, Value};
use crate::query::annotations::HistogramOperation;
use crate::query::ast::{Aggregate, AggregateOp, Expr, Grouping};
use crate::query::functions::over_time::{mean_of, sum_of};
use crate::query::functions::quantile::quantile_of;
use crate::query::quoting::{is_valid_utf8, quote};

/// The labels of the group a series belongs to.
pub(super) fn group_labels(labels: &Labels, node: &Aggregate) -> Labels {
    let named = |name: &str| node.labels.iter().any(|label| label == name);
    match node.grouping {
        Grouping::By => labels.filtered(named),
        Grouping::Without => labels.filtered(|name| name != METRIC_NAME && !named(name)),
    }
}

/// What a group has come to at one instant.
#[derive(Default)]
struct State {
    count: f64,
    total: Kahan,
    mean: Mean,
    /// Of the squared distances, for the variance.
    spread: (f64, f64),
    extreme: f64,
    values: Vec<f64>,
    histograms: Vec<Arc<Histogram>>,
    floats: usize,
}

/// A state, and the value it comes to.
const STATE_BYTES: usize = size_of::<State>() + size_of::<f64>();
/// What counting a value at an instant takes.
const COUNT_BYTES: usize = 2 * size_of::<((usize, usize), f64)>();

/// A group of series.
struct Group {
    labels: Labels,
    drops_name: bool,
    metric: String,
    states: Vec<State>,
}

impl Evaluator<'_> {
    pub(super) fn aggregate(&mut self, node: &Aggregate, grid: Grid) -> Result<Value> {
        if node.op == AggregateOp::CountValues {
            return self.count_values(node, grid);
        }
        let params = match &node.param {
            Some(param) => self.scalar(param, grid)?,
            None => Vec::new(),
        };
        let series = match self.contenders(node, grid)? {
            Some(contenders) => contenders,
            None => self.vector(&node.expr, grid)?,
        };
        if node.op.selects_series() {
            return self.choose(node, &params, series, grid);
        }
        if node.op == AggregateOp::Quantile
            && let Some(param) = &node.param
        {
            self.warn_of_quantile_range(&params, param.span());
        }
        let groups = self.grouped(node, &series, grid)?;
        let mut result = Vec::with_capacity(groups.len());
        for (at, group) in groups.into_iter().enumerate() {
            self.guard.check_at(at)?;
            let mut column = Column::absent(grid.len);
            for (index, state) in group.states.into_iter().enumerate() {
                let q = params.get(index).copied().unwrap_or(f64::NAN);
                if let Some(sample) = self.settle(node, state, q, &group.metric) {
                    column.set(index, sample);
                }
            }
            if !column.is_empty() {
                let mut series = Series::new(group.labels, column);
                series.drops_name = group.drops_name;
                result.push(series);
            }
        }
        Ok(Value::Vector(result))
    }

    fn grouped(&mut self, node: &Aggregate, series: &[Series], grid: Grid) -> Result<Vec<Group>> {
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        for one in series {
            self.guard.check()?;
            let labels = group_labels(&one.labels, node);
            let place = if let Some(place) = places.get(&labels) {
                *place
            } else {
                self.room(SERIES_BYTES + grid.len * STATE_BYTES)?;
                groups.push(Group {
                    labels: labels.clone(),
                    drops_name: false,
                    metric: one.labels.metric_name().to_owned(),
                    states: (0..grid.len).map(|_| State::default()).collect(),
                });
                places.insert(labels, groups.len() - 1);
                groups.len() - 1
            };
            if node.op == AggregateOp::Quantile {
                // Every value is kept, in lists that grow by doubling.
                self.room(2 * size_of::<f64>() * grid.len)?;
            }
            let Some(group) = groups.get_mut(place) else {
                continue;
            };
            group.drops_name |= one.drops_name;
            for (index, value) in one.column.floats() {
                if let Some(state) = group.states.get_mut(index) {
                    state.add(node.op, value);
                }
            }
            let mut ignored = false;
            for (index, histogram) in one.column.histograms() {
                if let Some(state) = group.states.get_mut(index) {
                    ignored |= !state.add_histogram(node.op, histogram);
                }
            }
            if ignored {
                let op = node.op.as_str();
                self.annotations
                    .ignored_in_aggregation(node.expr.span(), op);
            }
        }
        Ok(groups)
    }

    /// The value of a state.
    fn settle(&mut self, node: &Aggregate, state: State, q: f64, metric: &str) -> Option<Sample> {
        if state.floats == 0 && state.histograms.is_empty() && state.count == 0.0 {
            return None;
        }
        let value = match node.op {
            AggregateOp::Sum | AggregateOp::Avg if !state.histograms.is_empty() => {
                return self.settle_histograms(node, &state, metric);
            }
            AggregateOp::Sum => state.total.value(),
            AggregateOp::Avg => state.mean.value(),
            AggregateOp::Count => state.count,
            AggregateOp::Group => 1.0,
            AggregateOp::Min | AggregateOp::Max => state.extreme,
            AggregateOp::Stdvar => state.spread.1 / state.floats as f64,
            AggregateOp::Stddev => (state.spread.1 / state.floats as f64).sqrt(),
            _ => quantile_of(q, &mut { state.values }),
        };
        Some(Sample::Float(value))
    }

    fn settle_histograms(
        &mut self,
        node: &Aggregate,
        state: &State,
        metric: &str,
    ) -> Option<Sample> {
        let span = node.expr.span();
        if state.floats > 0 {
            self.annotations.mixed_group(span);
            return None;
        }
        let mut histograms = state.histograms.iter().map(|histogram| &**histogram);
        let total = match node.op {
            AggregateOp::Sum => sum_of(&mut histograms),
            _ => mean_of(&mut histograms),
        };
        let Ok((histogram, reconciled)) = total else {
            self.annotations.mixed_schemas(span, metric);
            return None;
        };
        let seen = |hint| {
            state
                .histograms
                .iter()
                .any(|h| h.counter_reset_hint == hint)
        };
        if seen(CounterResetHint::Reset) && seen(CounterResetHint::NotReset) {
            self.annotations
                .reset_collision(span, HistogramOperation::Aggregation);
        }
        if reconciled {
            self.annotations
                .reconciled_buckets(span, HistogramOperation::Aggregation);
        }
        Some(Sample::Histogram(Arc::new(histogram.compacted())))
    }

    fn count_values(&mut self, node: &Aggregate, grid: Grid) -> Result<Value> {
        let label = match node.param.as_deref().map(Expr::unwrapped) {
            Some(Expr::Text(text)) if !text.value.is_empty() && is_valid_utf8(&text.value) => {
                text.value.as_str()
            }
            Some(Expr::Text(text)) => {
                let message = format!("invalid label name {}", quote(&text.value));
                return Err(EvalError::Message(message));
            }
            _ => {
                let message = "count_values needs a label name as a string literal".to_owned();
                return Err(EvalError::Message(message));
            }
        };
        let series = self.vector(&node.expr, grid)?;
        let mut by_label = node.clone();
        if node.grouping == Grouping::By {
            by_label.labels.push(label.to_owned());
        }
        let mut counts: HashMap<(usize, usize), f64> = HashMap::new();
        let mut output = OutputSeries::new(grid.len, self.guard);
        for one in &series {
            self.guard.check()?;
            self.room(grid.len * COUNT_BYTES)?;
            for index in 0..grid.len {
                let text = match one.column.get(index) {
                    None => continue,
                    Some(Sample::Float(value)) => plain_float(value),
                    Some(Sample::Histogram(histogram)) => histogram.to_string(),
                };
                let mut labels = one.labels.to_builder();
                labels.set(label, &text);
                let labels = group_labels(&labels.build(), &by_label);
                let place = output.place(labels, one.drops_name)?;
                *counts.entry((place, index)).or_default() += 1.0;
            }
        }
        for (at, ((place, index), count)) in counts.into_iter().enumerate() {
            self.guard.check_at(at)?;
            output.set(place, index, Sample::Float(count))?;
        }
        Ok(Value::Vector(output.finish()))
    }
}

impl State {
    fn add(&mut self, op: AggregateOp, value: f64) {
        self.floats += 1;
        match op {
            AggregateOp::Sum if self.floats == 1 => self.total = Kahan::new(value),
            AggregateOp::Sum => self.total.add(value),
            AggregateOp::Avg => self.mean.add(value),
            AggregateOp::Min if self.floats == 1 || value < self.extreme => self.extreme = value,
            AggregateOp::Max if self.floats == 1 || value > self.extreme => self.extreme = value,
            AggregateOp::Min | AggregateOp::Max if self.extreme.is_nan() => self.extreme = value,
            AggregateOp::Stdvar | AggregateOp::Stddev => {
                let count = self.floats as f64;
                let (mean, squares) = self.spread;
                self.spread = if count == 1.0 {
                    let spread = if value.is_finite() { 0.0 } else { f64::NAN };
                    (value, spread)
                } else {
                    let delta = value - mean;
                    let mean = mean + delta / count;
                    (mean, squares + delta * (value - mean))
                };
            }
            AggregateOp::Quantile => self.values.push(value),
            _ => self.count += 1.0,
        }
    }

    /// Adds a histogram; false where the aggregation has no use for it.
    fn add_histogram(&mut self, op: AggregateOp, histogram: &Arc<Histogram>) -> bool {
        match op {
            AggregateOp::Sum | AggregateOp::Avg => {
                self.histograms.push(Arc::clone(histogram));
                true
            }
            AggregateOp::Count | AggregateOp::Group => {
                self.count += 1.0;
                true
            }
            _ => false,
        }
    }
}

/// A float in full, without exponent.
fn plain_float(value: f64) -> String {
    if value.is_finite() {
        format!("{value}")
    } else {
        format_float(value)
    }
}
