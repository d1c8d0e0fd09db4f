//! What a function makes of all windows of a series.
//!
//! Any function can be run window by window, on slices that both ends of move forward. Most series
//! are floats alone and most functions of those need not look at every sample of every window:
//! where [`sliding`](crate::query::functions::sliding) knows a way that yields the same bits, the
//! column is computed at once.

use std::sync::Arc;

use model::histogram::Histogram;
use model::time::Timestamp;

use super::RangeArgument;
use crate::query::ast::Span;
use crate::query::eval::pass::Worker;
use crate::query::eval::{Column, EvalError, Grid, Result};
use crate::query::functions::sliding::{Ranges, Sliding};
use crate::query::functions::window::{RangeFunction, Window};
use crate::query::source::Samples;

/// Samples of windows that are looked at before it is asked whether anybody still waits: some
/// milliseconds of work.
const UNASKED_SAMPLES_MAX: usize = 1 << 16;

/// As many floats as a histogram takes to look at.
const HISTOGRAM_SAMPLES: usize = 16;

/// The samples of a series between two instants.
pub(in crate::query::eval) struct Part<'a> {
    pub times: &'a [i64],
    pub values: &'a [f64],
    pub starts: &'a [i64],
    pub histograms: &'a [(Timestamp, Arc<Histogram>)],
    pub histogram_starts: &'a [i64],
}

impl<'a> Part<'a> {
    /// Samples after `from` up to `to`.
    pub(in crate::query::eval) fn between(samples: &'a Samples, from: i64, to: i64) -> Self {
        let low = samples.timestamps.partition_point(|at| *at <= from);
        let high = samples.timestamps.partition_point(|at| *at <= to);
        let histograms = &samples.histograms;
        let histogram_low = histograms.partition_point(|(at, _)| at.millis() <= from);
        let histogram_high = histograms.partition_point(|(at, _)| at.millis() <= to);
        Self::of(samples, (low, high), (histogram_low, histogram_high))
    }

    fn of(samples: &'a Samples, floats: (usize, usize), histograms: (usize, usize)) -> Self {
        let starts = &samples.histogram_start_timestamps;
        let points = &samples.histograms;
        Self {
            times: samples
                .timestamps
                .get(floats.0..floats.1)
                .unwrap_or_default(),
            values: samples.values.get(floats.0..floats.1).unwrap_or_default(),
            starts: samples
                .start_timestamps
                .get(floats.0..floats.1)
                .unwrap_or_default(),
            histograms: points.get(histograms.0..histograms.1).unwrap_or_default(),
            histogram_starts: starts.get(histograms.0..histograms.1).unwrap_or_default(),
        }
    }

    /// How many samples there are.
    pub(in crate::query::eval) const fn len(&self) -> usize {
        self.times.len() + self.histograms.len()
    }

    pub(in crate::query::eval) const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A function and where its windows lie.
pub(super) struct Windows<'w, 'a> {
    pub argument: &'w RangeArgument<'a>,
    /// How far beyond the range samples are wanted: before and after it.
    pub beyond: (i64, i64),
    pub run: RangeFunction,
    /// The way to compute columns of floats at once, if there is one.
    pub sliding: Option<Sliding>,
    pub scalars: &'w [Vec<f64>],
    pub span: Span,
    pub grid: Grid,
}

impl Windows<'_, '_> {
    /// The values of the series the worker has read.
    pub(super) fn column(&self, worker: &mut Worker<'_>, metric: &str) -> Result<Column> {
        let samples = &worker.samples;
        if let Some(sliding) = self.sliding
            && samples.histograms.is_empty()
            && samples.start_timestamps.is_empty()
        {
            let ranges = Ranges {
                ends: (0..self.grid.len).map(|index| self.argument.range_at(self.grid.at(index)).1),
                range_millis: self.argument.range_millis,
            };
            worker.scratch.place(&samples.timestamps, ranges);
            worker.allow(worker.scratch.longest())?;
            let values = sliding.column(&worker.samples.values, &mut worker.scratch);
            return Ok(Column::of_floats(values));
        }
        self.one_by_one(worker, metric)
    }

    fn one_by_one(&self, worker: &mut Worker<'_>, metric: &str) -> Result<Column> {
        let mut column = Column::absent(self.grid.len);
        let mut floats = (0, 0);
        let mut histograms = (0, 0);
        let mut arguments = vec![f64::NAN; self.scalars.len()];
        let mut unasked = 0;
        for (index, evaluated_at) in self.grid.instants().enumerate() {
            let (start, end) = self.argument.range_at(evaluated_at);
            let from = start.saturating_sub(self.beyond.0);
            let to = end.saturating_add(self.beyond.1);
            let samples = &worker.samples;
            forward(&samples.timestamps, &mut floats, |at| *at, from, to);
            let histogram_at = |(at, _): &(Timestamp, Arc<Histogram>)| at.millis();
            forward(&samples.histograms, &mut histograms, histogram_at, from, to);
            let part = Part::of(samples, floats, histograms);
            if part.is_empty() {
                continue;
            }
            worker.allow(part.len())?;
            unasked += part.times.len() + HISTOGRAM_SAMPLES * part.histograms.len();
            if unasked >= UNASKED_SAMPLES_MAX {
                unasked = 0;
                worker.check()?;
            }
            for (argument, values) in arguments.iter_mut().zip(self.scalars) {
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
                range_seconds: self.argument.range_millis as f64 / 1000.0,
                extension: self.argument.extension,
                scalars: &arguments,
                metric,
                span: self.span,
            };
            match (self.run)(&window, &mut worker.annotations) {
                Ok(Some(sample)) => column.set(index, sample),
                Ok(None) => {}
                Err(message) => return Err(EvalError::Message(message)),
            }
        }
        Ok(column)
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
