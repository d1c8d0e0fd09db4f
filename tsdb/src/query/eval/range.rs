//! Functions of ranges: the samples of a window move through a series with the grid.
//!
//! A range comes from a selector, or from a subquery, whose inner expression is evaluated once over
//! a grid that covers all windows. Either way it is a list of samples, and both ends of a window
//! only ever move forward.
//!
//! - [`windows`]: what a function makes of all windows of a series.

use parking_lot::Mutex;

use super::column::{SERIES_BYTES, histogram_bytes};
use super::pass::{Origin, Worker};
use super::{Column, EvalError, Evaluator, Grid, Purpose, Result, Series, Value, drop_name};
use crate::query::ast::{Call, Expr, Extension, Span, Subquery, TimeShift};
use crate::query::functions::sliding::Sliding;
use crate::query::functions::window::RangeFunction;

pub(super) mod windows;

use windows::{Part, Windows};

/// Functions that make sense of samples before the range.
const ANCHORED: [&str; 5] = ["changes", "delta", "increase", "rate", "resets"];
/// Functions that make sense of interpolated ends.
const SMOOTHED: [&str; 3] = ["delta", "increase", "rate"];

/// What a worker keeps of the window of an instant.
const WINDOW_BYTES: usize = 32;

/// A range argument: its series, and where windows lie.
pub(super) struct RangeArgument<'a> {
    pub origin: Origin,
    range_millis: i64,
    shift: &'a TimeShift,
    extension: Extension,
}

impl RangeArgument<'_> {
    /// Where a range evaluated at an instant begins and ends.
    pub(super) fn range_at(&self, evaluated_at: i64) -> (i64, i64) {
        let end = self.shift.reference(evaluated_at);
        (end.saturating_sub(self.range_millis), end)
    }
}

/// How far beyond the range samples are wanted: before and after it.
const fn beyond(extension: Extension, lookback: i64) -> (i64, i64) {
    match extension {
        Extension::None => (0, 0),
        Extension::Anchored => (lookback, 0),
        Extension::Smoothed => (lookback, lookback),
    }
}

/// A call of a range function, ready to run on series.
pub(super) struct RangeCall<'a> {
    call: &'a Call,
    run: RangeFunction,
    argument: RangeArgument<'a>,
    scalars: Vec<Vec<f64>>,
    grid: Grid,
    lookback: i64,
}

impl Evaluator<'_> {
    /// The series of a range expression.
    pub(super) fn range_argument<'x>(
        &mut self,
        expr: &'x Expr,
        function: Option<&'static str>,
        grid: Grid,
    ) -> Result<RangeArgument<'x>> {
        match expr.unwrapped() {
            Expr::Range(node) => {
                let selector = &node.selector;
                let range_millis = node.range.millis();
                let (before, after) = beyond(selector.extension, self.lookback_millis);
                let back = range_millis.saturating_add(before);
                let reach = Self::reach(&selector.shift, grid, back, after);
                let statistics = selector.histogram_statistics;
                let purpose = match (function, selector.extension) {
                    (Some(_), Extension::None) => {
                        self.purpose(function, &selector.shift, grid, range_millis)
                    }
                    _ => Purpose::default(),
                };
                Ok(RangeArgument {
                    origin: self.selected(&selector.matchers, reach, purpose, statistics)?,
                    range_millis,
                    shift: &selector.shift,
                    extension: selector.extension,
                })
            }
            Expr::Subquery(node) => {
                let (series, grid) = self.subquery(node, grid)?;
                Ok(RangeArgument {
                    origin: Origin::Subquery { series, grid },
                    range_millis: node.range.millis(),
                    shift: &node.shift,
                    extension: Extension::None,
                })
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

    /// Evaluates the arguments of a range function.
    pub(super) fn range_call<'x>(
        &mut self,
        call: &'x Call,
        run: RangeFunction,
        grid: Grid,
    ) -> Result<RangeCall<'x>> {
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
        let argument = self.range_argument(range, Some(name), grid)?;
        check_extension(argument.extension, name)?;
        // Each worker lays the windows of all instants out.
        let windows = grid.len.saturating_mul(WINDOW_BYTES);
        self.room(windows.saturating_mul(self.options.workers))?;
        Ok(RangeCall {
            call,
            run,
            argument,
            scalars,
            grid,
            lookback: self.lookback_millis,
        })
    }

    pub(super) fn range_function(
        &mut self,
        call: &Call,
        run: RangeFunction,
        grid: Grid,
    ) -> Result<Value> {
        let unseen = std::mem::take(&mut self.names_unseen);
        let ready = self.range_call(call, run, grid)?;
        let options = self.options;
        // Series of one name are as many without it, and need not be held against each other.
        let alike = call.function.keeps_name() || ready.argument.origin.has_one_name(self.guard)?;
        let keeps_name = call.function.keeps_name() || (unseen && alike);
        let series = self.each_series(&ready.argument.origin, |worker, series| {
            let Some(column) = ready.column(worker, series)? else {
                return Ok(None);
            };
            let (labels, drops_name) = ready.argument.origin.labels(series);
            let mut result = Series::new(labels, column);
            result.drops_name = drops_name;
            if !keeps_name {
                drop_name(options, &mut result);
            }
            Ok(Some(result))
        })?;
        ready.argument.origin.let_go(self.guard)?;
        if alike {
            return Ok(Value::Vector(series));
        }
        Ok(Value::Vector(self.apart(series)?))
    }

    /// `absent_over_time`: 1 where no series has a sample in its window.
    pub(super) fn absent_over_time(&mut self, call: &Call, grid: Grid) -> Result<Value> {
        let Some(range) = call.args.first() else {
            return Ok(Value::Vector(Vec::new()));
        };
        let argument = self.range_argument(range, None, grid)?;
        check_extension(argument.extension, call.function.name)?;
        let present = Mutex::new(vec![false; grid.len]);
        self.each_series(&argument.origin, |worker, series| {
            worker.read_present(series)?;
            let seen = grid.instants().map(|at| {
                let (start, end) = argument.range_at(at);
                !Part::between(&worker.samples, start, end).is_empty()
            });
            let seen: Vec<bool> = seen.collect();
            for (present, seen) in present.lock().iter_mut().zip(seen) {
                *present |= seen;
            }
            Ok(None::<()>)
        })?;
        argument.origin.let_go(self.guard)?;
        let present = present.into_inner();
        Ok(super::call::absences(range, &present))
    }

    /// A range expression as the result of an instant query.
    pub(in crate::query) fn matrix(
        &mut self,
        expr: &Expr,
        grid: Grid,
    ) -> Result<Vec<model::vector::RangeSeries>> {
        let argument = self.range_argument(expr, None, grid)?;
        let (start, end) = argument.range_at(grid.start);
        let (before, after) = beyond(argument.extension, self.lookback_millis);
        let matrix = self.each_series(&argument.origin, |worker, series| {
            worker.read_present(series)?;
            let (from, to) = (start.saturating_sub(before), end.saturating_add(after));
            let part = Part::between(&worker.samples, from, to);
            worker.hold(part.len())?;
            let histograms = part.histograms.iter().map(|(_, histogram)| &**histogram);
            let histograms = histogram_bytes(histograms);
            // Once as pairs, once as points.
            let points = 2 * part.times.len() * size_of::<(i64, f64)>();
            worker.room(SERIES_BYTES + points + histograms)?;
            let (labels, drops_name) = argument.origin.labels(series);
            let extension = argument.extension;
            Ok(super::matrix_of_range(
                &labels,
                drops_name,
                &part,
                (start, end),
                extension,
            ))
        })?;
        argument.origin.let_go(self.guard)?;
        Ok(matrix)
    }
}

impl<'a> RangeCall<'a> {
    /// The series the function runs on.
    pub(super) const fn origin(&self) -> &Origin {
        &self.argument.origin
    }

    /// Where the range of an instant of the grid begins and ends.
    pub(super) fn range_at(&self, index: usize) -> (i64, i64) {
        self.argument.range_at(self.grid.at(index))
    }

    /// What the function makes of a series; nothing where that is no value.
    pub(super) fn column(&self, worker: &mut Worker<'_>, series: usize) -> Result<Option<Column>> {
        worker.read_present(series)?;
        let (labels, _) = self.argument.origin.labels(series);
        let metric = labels.metric_name();
        // Taken before it is made, with or without values.
        worker.room(SERIES_BYTES + self.grid.len.saturating_mul(size_of::<f64>()))?;
        let column = self.windows().column(worker, metric)?;
        if column.is_empty() {
            return Ok(None);
        }
        worker.hold(column.budget_size())?;
        if matches!(self.call.function.name, "rate" | "increase")
            && !metric.is_empty()
            && column.floats().next().is_some()
            && !["_total", "_sum", "_count", "_bucket"]
                .iter()
                .any(|suffix| metric.ends_with(suffix))
        {
            worker.annotations.possibly_no_counter(self.span(), metric);
        }
        Ok(Some(column))
    }

    fn span(&self) -> Span {
        let first = self.call.args.first();
        first.map_or(self.call.span, Expr::span)
    }

    fn windows(&self) -> Windows<'_, 'a> {
        let plain = self.argument.extension == Extension::None;
        Windows {
            argument: &self.argument,
            beyond: beyond(self.argument.extension, self.lookback),
            run: self.run,
            sliding: plain
                .then(|| Sliding::of(self.call.function.name))
                .flatten(),
            scalars: &self.scalars,
            span: self.span(),
            grid: self.grid,
        }
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
