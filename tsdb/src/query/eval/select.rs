//! Selectors: the latest sample at or before each instant.
//!
//! Instants and samples are both ascending, so one pass of two indices finds them all. A sample
//! counts for the lookback after it, and ends where a staleness marker stands.

use std::sync::Arc;

use model::histogram::{CounterResetHint, Histogram};
use model::sample::is_stale_nan;
use model::time::Timestamp;

use super::range::windows::Part;
use super::{Evaluator, Grid, Purpose, Result, Sample, Series, Value};
use crate::query::annotations::Annotations;
use crate::query::ast::{Extension, Span, TimeShift, VectorSelector};
use crate::query::functions::extended::{Combination, interpolate, interpolate_histograms};
use crate::query::functions::rate::Quantity;
use crate::query::source::Samples;

/// A sample found for an instant.
pub(super) struct Found {
    pub at: i64,
    /// When its counter started; 0 where that is not known.
    pub start: i64,
    pub sample: Sample,
}

/// How far two indices have come through a series.
#[derive(Default)]
pub(super) struct Cursor {
    floats: usize,
    histograms: usize,
}

impl Cursor {
    /// Moves on to the samples at or before `at`, which never goes back.
    fn advance(&mut self, series: &Samples, at: i64) {
        while series.timestamps.get(self.floats).is_some_and(|t| *t <= at) {
            self.floats += 1;
        }
        let histogram_at = |index: usize| series.histograms.get(index).map(|(t, _)| t.millis());
        while histogram_at(self.histograms).is_some_and(|t| t <= at) {
            self.histograms += 1;
        }
    }

    /// The latest sample at or before `at` and after `at - lookback`.
    pub(super) fn latest(&mut self, series: &Samples, at: i64, lookback: i64) -> Option<Found> {
        self.advance(series, at);
        let oldest = at.saturating_sub(lookback);
        let float = self.floats.checked_sub(1).and_then(|index| {
            let time = *series.timestamps.get(index)?;
            (time > oldest).then_some((time, index))
        });
        let histogram = self.histograms.checked_sub(1).and_then(|index| {
            let time = series.histograms.get(index)?.0.millis();
            (time > oldest).then_some((time, index))
        });
        let start = |starts: &[i64], index: usize| starts.get(index).copied().unwrap_or_default();
        match (float, histogram) {
            (Some((float_at, _)), Some((at, index))) if at >= float_at => {
                found_histogram(series, at, index)
            }
            (None, Some((at, index))) => found_histogram(series, at, index),
            (Some((at, index)), _) => {
                let value = *series.values.get(index)?;
                (!is_stale_nan(value)).then(|| Found {
                    at,
                    start: start(&series.start_timestamps, index),
                    sample: Sample::Float(value),
                })
            }
            (None, None) => None,
        }
    }
}

fn found_histogram(series: &Samples, at: i64, index: usize) -> Option<Found> {
    let (_, histogram) = series.histograms.get(index)?;
    let starts = &series.histogram_start_timestamps;
    (!histogram.is_stale()).then(|| Found {
        at,
        start: starts.get(index).copied().unwrap_or_default(),
        sample: Sample::Histogram(Arc::clone(histogram)),
    })
}

impl Evaluator<'_> {
    pub(super) fn select_instants(
        &mut self,
        selector: &VectorSelector,
        grid: Grid,
    ) -> Result<Value> {
        if selector.extension == Extension::Smoothed {
            return self.select_smoothed(selector, grid);
        }
        let purpose = self.purpose(None, &selector.shift, grid, 0);
        self.select_found(selector, grid, purpose, |found| found.sample)
    }

    /// What `of` makes of the sample found for each instant.
    pub(super) fn select_found(
        &mut self,
        selector: &VectorSelector,
        grid: Grid,
        purpose: Purpose,
        of: impl Fn(Found) -> Sample + Sync,
    ) -> Result<Value> {
        let lookback = self.lookback_millis;
        let range = Self::reach(&selector.shift, grid, lookback, 0);
        let statistics = selector.histogram_statistics;
        let origin = self.selected(&selector.matchers, range, purpose, statistics)?;
        let series = self.each_series(&origin, |worker, series| {
            worker.read(series)?;
            let mut cursor = Cursor::default();
            let mut column = worker.column(grid.len)?;
            for (index, at) in grid.instants().enumerate() {
                let at = selector.shift.reference(at);
                if let Some(found) = cursor.latest(&worker.samples, at, lookback) {
                    column.set(index, of(found));
                }
            }
            if column.is_empty() {
                return Ok(None);
            }
            worker.hold(column.budget_size())?;
            Ok(Some(Series::new(origin.labels(series).0, column)))
        })?;
        Ok(Value::Vector(series))
    }

    /// Values on the line between the samples around each instant.
    fn select_smoothed(&mut self, selector: &VectorSelector, grid: Grid) -> Result<Value> {
        let lookback = self.lookback_millis;
        let range = Self::reach(&selector.shift, grid, lookback, lookback);
        let origin = self.selected(&selector.matchers, range, Purpose::default(), false)?;
        let series = self.each_series(&origin, |worker, series| {
            worker.read_present(series)?;
            let (labels, _) = origin.labels(series);
            let mut column = worker.column(grid.len)?;
            let (samples, annotations) = (&worker.samples, &mut worker.annotations);
            for (index, at) in grid.instants().enumerate() {
                let at = selector.shift.reference(at);
                let near = (at.saturating_sub(lookback), at.saturating_add(lookback));
                let metric = (labels.metric_name(), selector.span);
                if let Some(sample) = smoothed_at(samples, at, near, metric, annotations) {
                    column.set(index, sample);
                }
            }
            if column.is_empty() {
                return Ok(None);
            }
            worker.hold(column.budget_size())?;
            Ok(Some(Series::new(labels, column)))
        })?;
        Ok(Value::Vector(series))
    }

    /// The instants `expr`'s first selector looks at, for each instant of the grid.
    pub(super) fn shifted(shifts: &[&TimeShift], grid: Grid) -> Vec<i64> {
        grid.instants()
            .map(|at| shifts.iter().fold(at, |at, shift| shift.reference(at)))
            .collect()
    }
}

fn smoothed_at(
    samples: &Samples,
    at: i64,
    near: (i64, i64),
    (metric, span): (&str, Span),
    annotations: &mut Annotations,
) -> Option<Sample> {
    let window = Part::between(samples, near.0, near.1);
    match (window.times.is_empty(), window.histograms.is_empty()) {
        (true, true) => None,
        (false, false) => {
            annotations.mixed_floats_and_histograms(span, metric);
            None
        }
        (false, true) => smoothed_float(window.times, window.values, at).map(Sample::Float),
        (true, false) => smoothed_histogram(window.histograms, at, metric, span, annotations),
    }
}

fn smoothed_histogram(
    points: &[(Timestamp, Arc<Histogram>)],
    at: i64,
    metric: &str,
    span: Span,
    annotations: &mut Annotations,
) -> Option<Sample> {
    let next = points.partition_point(|(time, _)| time.millis() < at);
    let before = next.checked_sub(1).and_then(|index| points.get(index));
    let (before, after) = match (before, points.get(next)) {
        (_, Some((time, histogram))) if time.millis() == at => {
            return Some(Sample::Histogram(Arc::clone(histogram)));
        }
        (Some(before), Some(after)) => (before, after),
        (Some((_, histogram)), None) => {
            return Some(Sample::Histogram(Arc::clone(histogram)));
        }
        (None, _) => return None,
    };
    if before.1.uses_custom_buckets() != after.1.uses_custom_buckets() {
        annotations.mixed_schemas(span, metric);
        return None;
    }
    let quantity = if before.1.counter_reset_hint == CounterResetHint::Gauge {
        Quantity::Gauge
    } else {
        Quantity::Counter
    };
    let between = interpolate_histograms(before, after, at, quantity, |a, b, how| {
        let combined = match how {
            Combination::Sum => a.plus(b),
            Combination::Difference => a.minus(b),
        };
        combined.ok().map(|(histogram, _)| histogram)
    })?;
    Some(Sample::Histogram(Arc::new(between)))
}

/// The float on the line between the samples around `at`; the last one where none follows.
fn smoothed_float(times: &[i64], values: &[f64], at: i64) -> Option<f64> {
    let next = times.partition_point(|time| *time < at);
    let point = |index: usize| Some((*times.get(index)?, *values.get(index)?));
    match (next.checked_sub(1).and_then(point), point(next)) {
        (_, Some((time, value))) if time == at => Some(value),
        (Some(before), Some(after)) => Some(interpolate(before, after, at, Quantity::Gauge)),
        (Some((_, value)), None) => Some(value),
        (None, _) => None,
    }
}
