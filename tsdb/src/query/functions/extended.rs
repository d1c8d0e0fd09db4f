//! `rate`, `increase` and `delta` of ranges that samples outside serve.
//!
//! Anchored, the last sample at or before the range stands for its start, and the last sample in
//! the range for its end. Smoothed, both ends are interpolated between the samples around them; a
//! reset between those two makes the counter start at zero at the earlier one.

use std::sync::Arc;

use model::histogram::{CounterResetHint, Histogram};
use model::time::Timestamp;

use super::histogram_rate::{add_reconciled, subtract_reconciled};
use super::rate::{Per, Quantity};
use super::window::{Sample, Window};
use crate::query::annotations::Annotations;
use crate::query::ast::Extension;

/// The value at `at` on the line between two points.
pub fn interpolate(before: (i64, f64), after: (i64, f64), at: i64, quantity: Quantity) -> f64 {
    let base = if quantity == Quantity::Counter && after.1 < before.1 {
        0.0
    } else {
        before.1
    };
    base + (after.1 - base) * at.saturating_sub(before.0) as f64
        / after.0.saturating_sub(before.0) as f64
}

/// Which samples stand for the ends: indices of the first and last one that matter.
fn ends(times: &[i64], window: &Window<'_>) -> Option<(usize, usize)> {
    let smoothed = window.extension == Extension::Smoothed;
    let last = times.len().checked_sub(1)?;
    let inner = times.get(..last).unwrap_or_default();
    let first = inner
        .partition_point(|at| *at <= window.start)
        .saturating_sub(1);
    let last = if smoothed {
        inner.partition_point(|at| *at < window.end)
    } else {
        last
    };
    let last_is_outside = *times.get(last)? <= window.start;
    let first_is_outside = smoothed && *times.get(first)? > window.end;
    (!last_is_outside && !first_is_outside).then_some((first, last))
}

/// What floats or histograms changed by.
pub fn change(
    window: &Window<'_>,
    annotations: &mut Annotations,
    quantity: Quantity,
    per: Per,
) -> Option<Sample> {
    if window.histograms.is_empty() {
        float_change(window, quantity, per).map(Sample::Float)
    } else {
        let changed = histogram_change(window, annotations, quantity, per)?;
        Some(Sample::Histogram(Arc::new(changed)))
    }
}

fn float_change(window: &Window<'_>, quantity: Quantity, per: Per) -> Option<f64> {
    let (mut first, mut last) = ends(window.times, window)?;
    let smoothed = window.extension == Extension::Smoothed;
    let point = |index: usize| Some((*window.times.get(index)?, *window.values.get(index)?));
    let left = match point(first)? {
        before if smoothed && before.0 < window.start => {
            interpolate(before, point(first + 1)?, window.start, quantity)
        }
        (_, value) => value,
    };
    let right = match point(last)? {
        after if smoothed && last > 0 && after.0 > window.end => {
            interpolate(point(last - 1)?, after, window.end, quantity)
        }
        (_, value) => value,
    };
    let mut change = right - left;
    if quantity == Quantity::Counter {
        // The ends have made up for their own resets.
        if point(first)?.0 <= window.start {
            first += 1;
        }
        if point(last)?.0 >= window.end {
            last = last.checked_sub(1)?;
        }
        let inner = window.values.get(first..last + 1).unwrap_or_default();
        let mut previous = left;
        for value in inner.iter().chain([&right]) {
            if *value < previous {
                change += previous;
            }
            previous = *value;
        }
    }
    Some(match per {
        Per::Second => change / window.range_seconds,
        Per::Range => change,
    })
}

type Point = (Timestamp, Arc<Histogram>);

/// The histogram at `at` between two points; none where the two do not fit together.
pub fn interpolate_histograms(
    before: &Point,
    after: &Point,
    at: i64,
    quantity: Quantity,
    mut combine: impl FnMut(&Histogram, &Histogram, Combination) -> Option<Histogram>,
) -> Option<Histogram> {
    let (from, to) = (before.0.millis(), after.0.millis());
    if at == from {
        return Some(Histogram::clone(&before.1));
    }
    if at == to {
        return Some(Histogram::clone(&after.1));
    }
    let fraction = at.saturating_sub(from) as f64 / to.saturating_sub(from) as f64;
    if quantity == Quantity::Counter && after.1.is_reset_after(&before.1) {
        return Some(Histogram::clone(&after.1).scaled(fraction));
    }
    let rise = combine(&after.1, &before.1, Combination::Difference)?;
    combine(&rise.scaled(fraction), &before.1, Combination::Sum)
}

/// How two histograms are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combination {
    /// `+`
    Sum,
    /// `-`
    Difference,
}

fn histogram_change(
    window: &Window<'_>,
    annotations: &mut Annotations,
    quantity: Quantity,
    per: Per,
) -> Option<Histogram> {
    let times: Vec<i64> = window
        .histograms
        .iter()
        .map(|(at, _)| at.millis())
        .collect();
    let (first, last) = ends(&times, window)?;
    let counter = quantity == Quantity::Counter;
    let gauge = |h: &Histogram| h.counter_reset_hint == CounterResetHint::Gauge;
    let used = window.histograms.get(first..=last)?;
    let custom = used.first()?.1.uses_custom_buckets();
    for (_, histogram) in used {
        if histogram.uses_custom_buckets() != custom {
            annotations.mixed_schemas(window.span, window.metric);
            return None;
        }
        if counter && gauge(histogram) {
            annotations.histogram_not_counter(window.span, window.metric);
        }
    }
    let smoothed = window.extension == Extension::Smoothed;
    let point = |index: usize| window.histograms.get(index);
    let mut between = |a: &Point, b: &Point, at: i64| {
        interpolate_histograms(a, b, at, quantity, |a, b, how| match how {
            Combination::Sum => add_reconciled(a, b, window, annotations),
            Combination::Difference => subtract_reconciled(a, b, window, annotations),
        })
    };
    let before = point(first)?;
    let left = if smoothed && before.0.millis() < window.start {
        between(before, point(first + 1)?, window.start)?
    } else {
        Histogram::clone(&before.1)
    };
    let after = point(last)?;
    let right = if smoothed && last > 0 && after.0.millis() > window.end {
        between(point(last - 1)?, after, window.end)?
    } else {
        Histogram::clone(&after.1)
    };
    let gauges = gauge(&left) && gauge(&right);
    if !counter && !gauges {
        annotations.histogram_not_gauge(window.span, window.metric);
    }
    let mut change = subtract_reconciled(&right, &left, window, annotations)?;
    if counter {
        for lost in resets(window, (first, last), &left, &right)? {
            change = add_reconciled(&change, &lost, window, annotations)?;
        }
    }
    if per == Per::Second {
        change = change.divided(window.range_seconds);
    }
    change.counter_reset_hint = CounterResetHint::Gauge;
    Some(change.compacted())
}

/// What was lost by resets between the ends.
fn resets(
    window: &Window<'_>,
    (first, last): (usize, usize),
    left: &Histogram,
    right: &Histogram,
) -> Option<Vec<Histogram>> {
    let smoothed = window.extension == Extension::Smoothed;
    let (at, histogram) = window.histograms.get(first)?;
    let mut next = first + 1;
    let mut previous = left;
    if smoothed
        && at.millis() < window.start
        && let Some((_, after)) = window.histograms.get(next)
        && after.is_reset_after(histogram)
    {
        // The left end was interpolated across this reset and has made up for it.
        previous = &**after;
        next += 1;
    }
    if next > last {
        return Some(Vec::new());
    }
    let mut lost = Vec::new();
    // The last sample is what the right end was made of; it cannot tell a reset against itself.
    for (_, histogram) in window.histograms.get(next..last).unwrap_or_default() {
        if histogram.is_reset_after(previous) {
            lost.push(previous.clone());
        }
        previous = &**histogram;
    }
    if right.is_reset_after(previous) {
        lost.push(previous.clone());
    }
    Some(lost)
}
