//! Aggregations that compute: each group has a state for each instant, and every series is walked
//! once, adding its values to the states of its group.
//!
//! - [`states`]: what a group has come to.

mod states;

use std::collections::HashMap;
use std::sync::Arc;

use model::histogram::{CounterResetHint, Histogram};
use model::labels::Labels;
use model::vector::format_float;
use storage::pages::Pages;

use self::states::{Settled, States};
use super::column::SERIES_BYTES;
use super::finish::{OutputSeries, is_metadata};
use super::groups::{Groups, Left};
use super::{Column, EvalError, Evaluator, Grid, Result, Sample, Series, Value};
use crate::query::annotations::HistogramOperation;
use crate::query::ast::{Aggregate, AggregateOp, Expr, Grouping};
use crate::query::functions::Body;
use crate::query::functions::over_time::{mean_of, sum_of};
use crate::query::giving_up::let_go;
use crate::query::quoting::{is_valid_utf8, quote};

/// What counting a value at an instant takes.
const COUNT_BYTES: usize = 2 * size_of::<((usize, usize), f64)>();
/// As many short steps as adding a histogram takes.
const HISTOGRAM_STEPS: usize = 16;

/// A group of series.
struct Group {
    drops_name: bool,
    metric: String,
    states: States,
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
        let unseen = self.leaves_names_unseen(node);
        let series = if let Some(contenders) = self.contenders(node, grid)? {
            contenders
        } else {
            self.names_unseen = unseen;
            let series = self.vector(&node.expr, grid)?;
            // Nobody may have asked, where there were no instants.
            self.names_unseen = false;
            series
        };
        if node.op.selects_series() {
            return self.choose(node, &params, series, grid);
        }
        if node.op == AggregateOp::Quantile
            && let Some(param) = &node.param
        {
            self.warn_of_quantile_range(&params, param.span());
        }
        let (groups, labels) = self.grouped(node, &series, grid)?;
        let_go(series, self.guard)?;
        let mut result = Vec::with_capacity(groups.len());
        let groups = groups.into_pages().flatten().zip(labels);
        for (at, (mut group, labels)) in groups.enumerate() {
            self.guard.check_wide(at, grid.len)?;
            if unseen {
                // It is not what the values are of.
                group.metric.clear();
            }
            let mut column = Column::absent(grid.len);
            for index in 0..grid.len {
                let q = params.get(index).copied().unwrap_or(f64::NAN);
                match group.states.settle(index, q) {
                    Settled::Nothing => {}
                    Settled::Float(value) => column.set_float(index, value),
                    Settled::Histograms(histograms, floats) => {
                        let total =
                            self.settle_histograms(node, histograms, floats, &group.metric)?;
                        if let Some(sample) = total {
                            column.set(index, sample);
                        }
                    }
                }
            }
            if !column.is_empty() {
                let mut series = Series::new(labels, column);
                series.drops_name = group.drops_name;
                result.push(series);
            }
        }
        Ok(Value::Vector(result))
    }

    /// Whether the series that are aggregated are a range function's, whose names are to be dropped, and no
    /// name would be seen in the groups if they were not.
    fn leaves_names_unseen(&self, node: &Aggregate) -> bool {
        let Expr::Call(call) = node.expr.unwrapped() else {
            return false;
        };
        matches!(call.function.body, Body::Range(_))
            && !call.function.keeps_name()
            && !self.options.delayed_name_removal
            && !node.op.selects_series()
            && node.grouping == Grouping::By
            && !node.labels.iter().any(|name| is_metadata(name))
            && self.repeats.number(node.expr.unwrapped()).is_none()
    }

    /// The groups of series, and their labels.
    fn grouped(
        &mut self,
        node: &Aggregate,
        series: &[Series],
        grid: Grid,
    ) -> Result<(Pages<Group>, Vec<Labels>)> {
        let mut numbers = Groups::new(Left::by(node));
        // Groups may be many and are large: a list that moves because it grows cannot be interrupted.
        let mut groups: Pages<Group> = Pages::default();
        for one in series {
            self.guard.check()?;
            let number = numbers.number(&one.labels);
            if number == groups.len() {
                self.room(SERIES_BYTES + grid.len * States::BYTES)?;
                groups.push(Group {
                    drops_name: false,
                    metric: one.labels.metric_name().to_owned(),
                    states: States::new(node.op, grid.len),
                });
            }
            if node.op == AggregateOp::Quantile {
                // Every value is kept, in lists that grow by doubling.
                self.room(2 * size_of::<f64>() * grid.len)?;
            }
            let Some(group) = groups.get_mut(number as u32) else {
                continue;
            };
            group.drops_name |= one.drops_name;
            if !group.states.add(&one.column) {
                let op = node.op.as_str();
                self.annotations
                    .ignored_in_aggregation(node.expr.span(), op);
            }
        }
        Ok((groups, numbers.into_labels()))
    }

    fn settle_histograms(
        &mut self,
        node: &Aggregate,
        all: &[Arc<Histogram>],
        floats: usize,
        metric: &str,
    ) -> Result<Option<Sample>> {
        let span = node.expr.span();
        if floats > 0 {
            self.annotations.mixed_group(span);
            return Ok(None);
        }
        // Which hints there are is seen on the way, and whether anybody still waits.
        let (mut reset, mut not_reset, mut going) = (false, false, Ok(()));
        let mut histograms = all.iter().enumerate().map_while(|(at, histogram)| {
            going = self.guard.check_wide(at, HISTOGRAM_STEPS);
            let hint = histogram.counter_reset_hint;
            reset |= hint == CounterResetHint::Reset;
            not_reset |= hint == CounterResetHint::NotReset;
            going.is_ok().then_some(&**histogram)
        });
        let total = match node.op {
            AggregateOp::Sum => sum_of(&mut histograms),
            _ => mean_of(&mut histograms),
        };
        going?;
        let Ok((histogram, reconciled)) = total else {
            self.annotations.mixed_schemas(span, metric);
            return Ok(None);
        };
        if reset && not_reset {
            self.annotations
                .reset_collision(span, HistogramOperation::Aggregation);
        }
        if reconciled {
            self.annotations
                .reconciled_buckets(span, HistogramOperation::Aggregation);
        }
        Ok(Some(Sample::Histogram(Arc::new(histogram.compacted()))))
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
                let labels = Left::by(&by_label).of(&labels.build());
                let place = output.place(labels, one.drops_name)?;
                *counts.entry((place, index)).or_default() += 1.0;
            }
        }
        for (at, ((place, index), count)) in counts.into_iter().enumerate() {
            self.guard.check_at(at)?;
            output.set(place, index, Sample::Float(count))?;
        }
        let_go(series, self.guard)?;
        Ok(Value::Vector(output.finish()?))
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
