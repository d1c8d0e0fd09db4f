//! Functions of ranges: the samples of a window move through a series with the grid.
//!
//! A range comes from a selector, or from a subquery, whose inner expression is evaluated once over
//! a grid that covers all windows. Either way it is a list of samples, and both ends of a window
//! only ever move forward.

use std::borrow::Cow;
use std::sync::Arc;

use model::histogram::{CounterResetHint, Histogram};
use model::labels::Labels;
use model::sample::is_stale_nan;
use model::time::Timestamp;

use super::{Column, EvalError, Evaluator, Grid, Result, Series, Value};
use crate::query::ast::{Call, Expr, Extension, Span, Subquery, TimeShift};
use crate::query::functions::window::{RangeFunction, Window};
use crate::query::source::SelectedSeries;

/// Functions that make sense of samples before the range.
const ANCHORED: [&str; 5] = ["changes", "delta", "increase", "rate", "resets"];
/// Functions that make sense of interpolated ends.
const SMOOTHED: [&str; 3] = ["delta", "increase", "rate"];

type Points<'a> = Cow<'a, [(Timestamp, Arc<Histogram>)]>;

/// The samples of one series, without staleness markers.
pub(super) struct Samples<'a> {
    pub labels: Labels,
    drops_name: bool,
    times: Cow<'a, [i64]>,
    values: Cow<'a, [f64]>,
    starts: Cow<'a, [i64]>,
    histograms: Points<'a>,
    histogram_starts: Cow<'a, [i64]>,
}

/// The part of [`Samples`] between two instants.
pub(super) struct Part<'a> {
    pub times: &'a [i64],
    pub values: &'a [f64],
    pub starts: &'a [i64],
    pub histograms: &'a [(Timestamp, Arc<Histogram>)],
    pub histogram_starts: &'a [i64],
}

impl<'a> Samples<'a> {
    pub(super) fn of(series: &'a SelectedSeries) -> Self {
        let mut samples = Self {
            labels: series.labels.clone(),
            drops_name: false,
            times: Cow::Borrowed(&series.timestamps),
            values: Cow::Borrowed(&series.values),
            starts: Cow::Borrowed(&series.start_timestamps),
            histograms: Cow::Borrowed(&series.histograms),
            histogram_starts: Cow::Borrowed(&series.histogram_start_timestamps),
        };
        if series.values.iter().any(|value| is_stale_nan(*value)) {
            let stale: Vec<bool> = series.values.iter().map(|v| is_stale_nan(*v)).collect();
            retain(&mut samples.times, &stale);
            retain(&mut samples.values, &stale);
            retain(&mut samples.starts, &stale);
        }
        if series.histograms.iter().any(|(_, h)| h.is_stale()) {
            let stale: Vec<bool> = series
                .histograms
                .iter()
                .map(|(_, h)| h.is_stale())
                .collect();
            retain(&mut samples.histograms, &stale);
            retain(&mut samples.histogram_starts, &stale);
        }
        samples
    }

    /// The values of an evaluated subquery.
    fn of_subquery(series: &Series, grid: Grid) -> Self {
        let (indices, values): (Vec<usize>, Vec<f64>) = series.column.floats().unzip();
        let histograms = series.column.histograms().map(|(index, histogram)| {
            let mut histogram = Arc::clone(histogram);
            // A subquery may skip the sample that was reset, or show it twice.
            if matches!(
                histogram.counter_reset_hint,
                CounterResetHint::Reset | CounterResetHint::NotReset
            ) {
                Arc::make_mut(&mut histogram).counter_reset_hint = CounterResetHint::Unknown;
            }
            (Timestamp(grid.at(index)), histogram)
        });
        Self {
            labels: series.labels.clone(),
            drops_name: series.drops_name,
            times: indices.into_iter().map(|index| grid.at(index)).collect(),
            values: values.into(),
            starts: Cow::Borrowed(&[]),
            histograms: histograms.collect(),
            histogram_starts: Cow::Borrowed(&[]),
        }
    }

    /// Samples after `from` up to `to`.
    pub(super) fn between(&self, from: i64, to: i64) -> Part<'_> {
        let low = self.times.partition_point(|at| *at <= from);
        let high = self.times.partition_point(|at| *at <= to);
        let histogram_low = self
            .histograms
            .partition_point(|(at, _)| at.millis() <= from);
        let histogram_high = self.histograms.partition_point(|(at, _)| at.millis() <= to);
        self.part((low, high), (histogram_low, histogram_high))
    }

    fn part(&self, floats: (usize, usize), histograms: (usize, usize)) -> Part<'_> {
        Part {
            times: self.times.get(floats.0..floats.1).unwrap_or_default(),
            values: self.values.get(floats.0..floats.1).unwrap_or_default(),
            starts: self.starts.get(floats.0..floats.1).unwrap_or_default(),
            histograms: self
                .histograms
                .get(histograms.0..histograms.1)
                .unwrap_or_default(),
            histogram_starts: self
                .histogram_starts
                .get(histograms.0..histograms.1)
                .unwrap_or_default(),
        }
    }
}

fn retain<T: Clone>(samples: &mut Cow<'_, [T]>, stale: &[bool]) {
    let kept = samples.iter().zip(stale).filter(|(_, stale)| !**stale);
    *samples = kept.map(|(sample, _)| sample.clone()).collect();
}

/// A range argument: its series, and where windows lie.
pub(super) struct RangeArgument<'a> {
    series: Vec<Samples<'a>>,
    range_millis: i64,
    shift: &'a TimeShift,
    extension: Extension,
}

impl RangeArgument<'_> {
    /// How far beyond the range samples are wanted: before and after it.
    const fn beyond(&self, lookback: i64) -> (i64, i64) {
        beyond(self.extension, lookback)
    }
}

const fn beyond(extension: Extension, lookback: i64) -> (i64, i64) {
    match extension {
        Extension::None => (0, 0),
        Extension::Anchored => (lookback, 0),
        Extension::Smoothed => (lookback, lookback),
    }
}

impl Evaluator<'_> {
    /// Calls `with` with the samples a range expression selects for the grid.
    pub(super) fn with_range<T>(
        &mut self,
        expr: &Expr,
        grid: Grid,
        with: impl FnOnce(&mut Self, &RangeArgument<'_>) -> Result<T>,
    ) -> Result<T> {
        match expr.unwrapped() {
            Expr::Range(node) => {
                let selector = &node.selector;
                let range_millis = node.range.millis();
                let (before, after) = beyond(selector.extension, self.lookback_millis);
                let back = range_millis.saturating_add(before);
                let reach = Self::reach(&selector.shift, grid, back, after);
                let statistics = selector.histogram_statistics;
                let selected = self.selected(&selector.matchers, reach, statistics)?;
                let argument = RangeArgument {
                    series: selected.iter().map(Samples::of).collect(),
                    range_millis,
                    shift: &selector.shift,
                    extension: selector.extension,
                };
                with(self, &argument)
            }
            Expr::Subquery(node) => {
                let (series, inner) = self.subquery(node, grid)?;
                let samples = series
                    .iter()
                    .map(|series| Samples::of_subquery(series, inner));
                let argument = RangeArgument {
                    series: samples.collect(),
                    range_millis: node.range.millis(),
                    shift: &node.shift,
                    extension: Extension::None,
                };
                with(self, &argument)
            }
            other => Err(EvalError::Message(format!(
                "expected a range vector, got {}",
                other.value_type().documented()
            ))),
        }
    }

    /// Evaluates a subquery over a grid that covers the windows of the outer one.
    fn subquery(&mut self, node: &Subquery, grid: Grid) -> Result<(Vec<Series>, Grid)> {
        let step = match &node.step {
            Some(step) => step.millis(),
            None => self.options.subquery_step_millis,
        };
        let step = step.max(1);
        let first = node.shift.reference(grid.start);
        let before = first.saturating_sub(node.range.millis());
        // Evaluations lie on multiples of the step, whatever the query's own instants are.
        let mut start = step * (before / step);
        if start <= before {
            start = start.saturating_add(step);
        }
        let inner = Grid::new(start, node.shift.reference(grid.last()), step);
        self.allow(inner.len)?;
        Ok((self.vector(&node.expr, inner)?, inner))
    }

    pub(super) fn range_function(
        &mut self,
        call: &Call,
        run: RangeFunction,
        grid: Grid,
    ) -> Result<Value> {
        let name = call.function.name;
        let mut scalars = Vec::new();
        let mut range = None;
        for arg in &call.args {
            match arg.unwrapped() {
                Expr::Range(_) | Expr::Subquery(_) => range = Some(arg),
                _ => scalars.push(self.scalar(arg, grid)?),
            }
        }
        let Some(range) = range else {
            return Err(EvalError::Message(format!("{name} needs a range vector")));
        };
        let span = call.args.first().map_or(call.span, Expr::span);
        let series = self.with_range(range, grid, |evaluator, argument| {
            check_extension(argument.extension, name)?;
            let mut result = Vec::with_capacity(argument.series.len());
            for samples in &argument.series {
                evaluator.guard.check()?;
                let column = evaluator.windows(samples, argument, run, &scalars, span, grid)?;
                if !column.is_empty() {
                    evaluator.hold(column.budget_size())?;
                    result.push(evaluator.range_result(samples, call, column));
                }
            }
            Ok(result)
        })?;
        Ok(Value::Vector(self.apart(series)?))
    }

    fn range_result(&mut self, samples: &Samples<'_>, call: &Call, column: Column) -> Series {
        let metric = samples.labels.metric_name();
        let name = call.function.name;
        if matches!(name, "rate" | "increase")
            && !metric.is_empty()
            && column.floats().next().is_some()
            && !["_total", "_sum", "_count", "_bucket"]
                .iter()
                .any(|suffix| metric.ends_with(suffix))
        {
            let span = call.args.first().map_or(call.span, Expr::span);
            self.annotations.possibly_no_counter(span, metric);
        }
        let mut series = Series::new(samples.labels.clone(), column);
        series.drops_name = samples.drops_name;
        if !call.function.keeps_name() {
            self.drop_name(&mut series);
        }
        series
    }

    /// What a function makes of the windows of one series.
    fn windows(
        &mut self,
        samples: &Samples<'_>,
        argument: &RangeArgument<'_>,
        run: RangeFunction,
        scalars: &[Vec<f64>],
        span: Span,
        grid: Grid,
    ) -> Result<Column> {
        let (before, after) = argument.beyond(self.lookback_millis);
        let metric = samples.labels.metric_name();
        let mut column = Column::absent(grid.len);
        let mut floats = (0, 0);
        let mut histograms = (0, 0);
        let mut arguments = vec![f64::NAN; scalars.len()];
        for (index, evaluated_at) in grid.instants().enumerate() {
            let end = argument.shift.reference(evaluated_at);
            let start = end.saturating_sub(argument.range_millis);
            let (from, to) = (start.saturating_sub(before), end.saturating_add(after));
            forward(&samples.times, &mut floats, |at| *at, from, to);
            let histogram_at = |(at, _): &(Timestamp, Arc<Histogram>)| at.millis();
            forward(&samples.histograms, &mut histograms, histogram_at, from, to);
            let part = samples.part(floats, histograms);
            if part.times.is_empty() && part.histograms.is_empty() {
                continue;
            }
            self.allow(part.times.len() + part.histograms.len())?;
            for (argument, values) in arguments.iter_mut().zip(scalars) {
                *argument = values.get(index).copied().unwrap_or(f64::NAN);
            }
            let window = Window {
                times: part.times,
                values: part.values,
                starts: part.starts,
                histograms: part.histograms,
                histogram_starts: part.histogram_starts,
                start,
                end,
                evaluated_at,
                range_seconds: argument.range_millis as f64 / 1000.0,
                extension: argument.extension,
                scalars: &arguments,
                metric,
                span,
            };
            match run(&window, &mut self.annotations) {
                Ok(Some(sample)) => column.set(index, sample),
                Ok(None) => {}
                Err(message) => return Err(EvalError::Message(message)),
            }
        }
        Ok(column)
    }

    /// `absent_over_time`: 1 where no series has a sample in its window.
    pub(super) fn absent_over_time(&mut self, call: &Call, grid: Grid) -> Result<Value> {
        let Some(range) = call.args.first() else {
            return Ok(Value::Vector(Vec::new()));
        };
        let present = self.with_range(range, grid, |evaluator, argument| {
            check_extension(argument.extension, call.function.name)?;
            let mut present = vec![false; grid.len];
            for samples in &argument.series {
                evaluator.guard.check()?;
                for (seen, at) in present.iter_mut().zip(grid.instants()) {
                    let end = argument.shift.reference(at);
                    let part = samples.between(end.saturating_sub(argument.range_millis), end);
                    *seen |= !part.times.is_empty() || !part.histograms.is_empty();
                }
            }
            Ok(present)
        })?;
        Ok(super::call::absences(range, &present))
    }

    /// A range expression as the result of an instant query.
    pub(in crate::query) fn matrix(
        &mut self,
        expr: &Expr,
        grid: Grid,
    ) -> Result<Vec<model::vector::RangeSeries>> {
        self.with_range(expr, grid, |evaluator, argument| {
            let end = argument.shift.reference(grid.start);
            let start = end.saturating_sub(argument.range_millis);
            let (before, after) = argument.beyond(evaluator.lookback_millis);
            let mut result = Vec::new();
            for samples in &argument.series {
                let from = start.saturating_sub(before);
                let part = samples.between(from, end.saturating_add(after));
                evaluator.hold(part.times.len() + part.histograms.len())?;
                let series = super::matrix_of_range(
                    &samples.labels,
                    samples.drops_name,
                    &part,
                    (start, end),
                    argument.extension,
                );
                result.extend(series);
            }
            Ok(result)
        })
    }
}

/// Moves a window to the samples after `from` up to `to`.
fn forward<T>(
    samples: &[T],
    window: &mut (usize, usize),
    at: impl Fn(&T) -> i64,
    from: i64,
    to: i64,
) {
    while samples.get(window.1).is_some_and(|sample| at(sample) <= to) {
        window.1 += 1;
    }
    while window.0 < window.1
        && samples
            .get(window.0)
            .is_some_and(|sample| at(sample) <= from)
    {
        window.0 += 1;
    }
}

/// Whether the function makes sense of samples beyond its range.
fn check_extension(extension: Extension, function: &str) -> Result<()> {
    let (word, allowed): (&str, &[&str]) = match extension {
        Extension::None => return Ok(()),
        Extension::Anchored => ("anchored", &ANCHORED),
        Extension::Smoothed => ("smoothed", &SMOOTHED),
    };
    if allowed.contains(&function) {
        return Ok(());
    }
    let allowed = allowed.join(", ");
    Err(EvalError::Message(format!(
        "{word} modifier can only be used with: {allowed} - not with {function}"
    )))
}
