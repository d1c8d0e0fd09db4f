//! What native histograms rose by in a range.

use model::histogram::{CounterResetHint, Histogram};

use super::rate::{Quantity, started_between, starts_overlap};
use super::window::Window;
use crate::query::annotations::{Annotations, HistogramOperation};

/// The sum of two histograms, with what there is to say of it.
pub fn add_reconciled(
    a: &Histogram,
    b: &Histogram,
    window: &Window<'_>,
    annotations: &mut Annotations,
) -> Option<Histogram> {
    let Ok((sum, settled)) = a.plus(b) else {
        annotations.mixed_schemas(window.span, window.metric);
        return None;
    };
    if settled.bounds_reconciled {
        annotations.reconciled_buckets(window.span, HistogramOperation::Addition);
    }
    Some(sum)
}

/// The difference of two histograms, with what there is to say of it.
pub fn subtract_reconciled(
    a: &Histogram,
    b: &Histogram,
    window: &Window<'_>,
    annotations: &mut Annotations,
) -> Option<Histogram> {
    let Ok((difference, settled)) = a.minus(b) else {
        annotations.mixed_schemas(window.span, window.metric);
        return None;
    };
    if settled.bounds_reconciled {
        annotations.reconciled_buckets(window.span, HistogramOperation::Subtraction);
    }
    Some(difference)
}

/// What at least two histograms rose by, resets of counters made up for.
pub fn rise(
    window: &Window<'_>,
    annotations: &mut Annotations,
    quantity: Quantity,
) -> Option<Histogram> {
    let counter = quantity == Quantity::Counter;
    let (first_at, first) = window.histograms.first()?;
    let (_, last) = window.histograms.last()?;
    let gauge = |h: &Histogram| h.counter_reset_hint == CounterResetHint::Gauge;
    if counter && window.histograms.iter().any(|(_, h)| gauge(h)) {
        annotations.histogram_not_counter(window.span, window.metric);
    }
    let gauges = gauge(first) && gauge(last);
    if !counter && !gauges {
        annotations.histogram_not_gauge(window.span, window.metric);
    }
    // After a reset at once, the first sample's layout does not matter.
    let mut previous = Histogram::clone(first);
    if counter && let Some((at, second)) = window.histograms.get(1) {
        let started = reset_by_start(window, 1, first_at.millis(), at.millis());
        if started || second.is_reset_after(first) {
            previous = Histogram {
                schema: second.schema,
                custom_values: second.custom_values.clone(),
                ..Histogram::default()
            };
        }
    }
    let inner = || window.histograms.iter().skip(1);
    let custom = previous.uses_custom_buckets();
    let unlike = |h: &Histogram| h.uses_custom_buckets() != custom;
    if unlike(last) || (counter && inner().any(|(_, h)| unlike(h))) {
        annotations.mixed_schemas(window.span, window.metric);
        return None;
    }
    let schema = if counter {
        inner().map(|(_, h)| h.schema).min()
    } else {
        Some(last.schema)
    };
    let schema = schema.unwrap_or(last.schema).min(previous.schema);
    let mut rise = subtract_reconciled(&last.at_schema(schema), &previous, window, annotations)?;
    if counter {
        let mut before = first_at.millis();
        for (index, (at, histogram)) in window.histograms.iter().enumerate().skip(1) {
            warn_of_overlap(window, annotations, index, before);
            let started = reset_by_start(window, index, before, at.millis());
            if started || histogram.is_reset_after(&previous) {
                rise = add_reconciled(&rise, &previous, window, annotations)?;
            }
            previous = Histogram::clone(histogram);
            before = at.millis();
        }
    }
    rise.counter_reset_hint = CounterResetHint::Gauge;
    Some(rise.compacted())
}

/// Start times of a histogram and the one before it.
fn starts_at(window: &Window<'_>, index: usize) -> Option<(i64, i64)> {
    let start = *window.histogram_starts.get(index)?;
    let previous = *window.histogram_starts.get(index.checked_sub(1)?)?;
    Some((previous, start))
}

fn reset_by_start(window: &Window<'_>, index: usize, before: i64, at: i64) -> bool {
    starts_at(window, index)
        .is_some_and(|(previous, start)| started_between(previous, before, start, at))
}

fn warn_of_overlap(window: &Window<'_>, annotations: &mut Annotations, index: usize, before: i64) {
    if let Some((previous, start)) = starts_at(window, index)
        && starts_overlap(previous, before, start)
    {
        annotations.start_time_overlap(window.span, window.metric);
    }
}
