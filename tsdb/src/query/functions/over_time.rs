//! The `*_over_time` family.

use std::sync::Arc;

use model::histogram::Histogram;
use model::histogram::kahan::{Kahan, Mean};
use model::histogram::{CounterResetHint, sum::HistogramSum, sum::IncompatibleSchemas};

use super::quantile::quantile_of;
use super::window::{Sample, Window};
use crate::query::annotations::{Annotations, HistogramOperation};

type Outcome = Result<Option<Sample>, String>;

/// A float as a range function yields it.
#[allow(clippy::unnecessary_wraps)] // it saves the wrapping at a dozen ends of functions
const fn float(value: f64) -> Outcome {
    Ok(Some(Sample::Float(value)))
}

/// `count_over_time`
pub fn count(window: &Window<'_>, _: &mut Annotations) -> Outcome {
    float((window.values.len() + window.histograms.len()) as f64)
}

/// `present_over_time`
pub fn present(_: &Window<'_>, _: &mut Annotations) -> Outcome {
    float(1.0)
}

/// `sum_over_time`
pub fn sum(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    if window.is_mixed(annotations) {
        return Ok(None);
    }
    if window.values.is_empty() {
        return Ok(histogram_total(window, annotations, sum_of));
    }
    let mut total = Kahan::default();
    for value in window.values {
        total.add(*value);
    }
    float(total.value())
}

/// `avg_over_time`
pub fn avg(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    if window.is_mixed(annotations) {
        return Ok(None);
    }
    if window.values.is_empty() {
        return Ok(histogram_total(window, annotations, mean_of));
    }
    let mut mean = Mean::default();
    for value in window.values {
        mean.add(*value);
    }
    float(mean.value())
}

/// Total of histograms, and whether bounds had to be reconciled on the way.
type Total = Result<(Histogram, bool), IncompatibleSchemas>;

fn histogram_total(
    window: &Window<'_>,
    annotations: &mut Annotations,
    total: fn(&mut dyn Iterator<Item = &Histogram>) -> Total,
) -> Option<Sample> {
    let mut histograms = window.histograms.iter().map(|(_, histogram)| &**histogram);
    match total(&mut histograms) {
        Err(IncompatibleSchemas) => {
            annotations.mixed_schemas(window.span, window.metric);
            None
        }
        Ok((histogram, reconciled)) => {
            let seen = |hint| {
                let mut all = window.histograms.iter();
                all.any(|(_, histogram)| histogram.counter_reset_hint == hint)
            };
            if seen(CounterResetHint::Reset) && seen(CounterResetHint::NotReset) {
                annotations.reset_collision(window.span, HistogramOperation::Aggregation);
            }
            if reconciled {
                annotations.reconciled_buckets(window.span, HistogramOperation::Aggregation);
            }
            Some(Sample::Histogram(Arc::new(histogram)))
        }
    }
}

/// The sum of histograms.
pub fn sum_of(histograms: &mut dyn Iterator<Item = &Histogram>) -> Total {
    let Some(first) = histograms.next() else {
        return Ok((Histogram::default(), false));
    };
    let mut total = HistogramSum::new(first);
    let mut reconciled = false;
    for histogram in histograms {
        reconciled |= total.add(histogram)?.bounds_reconciled;
    }
    Ok((total.finish(), reconciled))
}

/// The mean of histograms: directly while the sum holds, incrementally once it would overflow.
pub fn mean_of(histograms: &mut dyn Iterator<Item = &Histogram>) -> Total {
    let Some(first) = histograms.next() else {
        return Ok((Histogram::default(), false));
    };
    let mut total = HistogramSum::new(first);
    let mut count = 1.0;
    let mut incremental = false;
    let mut reconciled = false;
    for histogram in histograms {
        count += 1.0;
        if !incremental {
            let mut next = total.clone();
            let settled = next.add(histogram)?;
            if !next.has_overflowed() {
                reconciled |= settled.bounds_reconciled;
                total = next;
                continue;
            }
            incremental = true;
            total.for_each(|cell| cell.divided(count - 1.0));
        }
        let share = (count - 1.0) / count;
        total.for_each(|cell| cell.scaled(share));
        reconciled |= total
            .add(&histogram.clone().divided(count))?
            .bounds_reconciled;
    }
    if !incremental {
        total.for_each(|cell| cell.divided(count));
    }
    Ok((total.finish(), reconciled))
}

/// `first_over_time`
pub fn first(window: &Window<'_>, _: &mut Annotations) -> Outcome {
    let float = window.floats().next();
    let histogram = window.histograms.first();
    Ok(match (float, histogram) {
        (Some((at, value)), Some((other, _))) if at < other.millis() => Some(Sample::Float(value)),
        (_, Some((_, histogram))) => Some(Sample::Histogram(Arc::clone(histogram))),
        (Some((_, value)), None) => Some(Sample::Float(value)),
        (None, None) => None,
    })
}

/// `last_over_time`
pub fn last(window: &Window<'_>, _: &mut Annotations) -> Outcome {
    let float = window.floats().next_back();
    let histogram = window.histograms.last();
    Ok(match (float, histogram) {
        (Some((at, value)), Some((other, _))) if at > other.millis() => Some(Sample::Float(value)),
        (_, Some((_, histogram))) => Some(Sample::Histogram(Arc::clone(histogram))),
        (Some((_, value)), None) => Some(Sample::Float(value)),
        (None, None) => None,
    })
}

/// `ts_of_first_over_time`
pub fn ts_of_first(window: &Window<'_>, _: &mut Annotations) -> Outcome {
    let float = window.times.first().copied();
    let histogram = window.histograms.first().map(|(at, _)| at.millis());
    let at = [float, histogram].into_iter().flatten().min();
    Ok(at.map(|at| Sample::Float(at as f64 / 1000.0)))
}

/// `ts_of_last_over_time`
pub fn ts_of_last(window: &Window<'_>, _: &mut Annotations) -> Outcome {
    let float = window.times.last().copied();
    let histogram = window.histograms.last().map(|(at, _)| at.millis());
    let at = [float, histogram].into_iter().flatten().max();
    Ok(at.map(|at| Sample::Float(at as f64 / 1000.0)))
}

/// The first or last sample no other sample beats; a number beats NaN.
fn best(
    window: &Window<'_>,
    annotations: &mut Annotations,
    beats: fn(f64, f64) -> bool,
) -> Option<(i64, f64)> {
    window.ignore_histograms(annotations);
    let mut floats = window.floats();
    let first = floats.next()?;
    Some(floats.fold(first, |best, candidate| {
        if beats(candidate.1, best.1) || best.1.is_nan() {
            candidate
        } else {
            best
        }
    }))
}

/// `max_over_time`
pub fn max(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    let best = best(window, annotations, |new, best| new > best);
    Ok(best.map(|(_, value)| Sample::Float(value)))
}

/// `min_over_time`
pub fn min(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    let best = best(window, annotations, |new, best| new < best);
    Ok(best.map(|(_, value)| Sample::Float(value)))
}

/// `ts_of_max_over_time`
pub fn ts_of_max(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    let best = best(window, annotations, |new, best| new >= best);
    Ok(best.map(|(at, _)| Sample::Float(at as f64 / 1000.0)))
}

/// `ts_of_min_over_time`
pub fn ts_of_min(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    let best = best(window, annotations, |new, best| new <= best);
    Ok(best.map(|(at, _)| Sample::Float(at as f64 / 1000.0)))
}

/// `quantile_over_time`
pub fn quantile(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    if window.values.is_empty() {
        return Ok(None);
    }
    let q = window.scalar(0);
    if !(0.0..=1.0).contains(&q) {
        annotations.invalid_quantile(window.span, q);
    }
    window.ignore_histograms(annotations);
    float(quantile_of(q, &mut window.values.to_vec()))
}

/// `mad_over_time`: the median of the distances from the median.
pub fn mad(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    if window.values.is_empty() {
        return Ok(None);
    }
    window.ignore_histograms(annotations);
    if window.values.iter().any(|value| value.is_nan()) {
        return float(f64::NAN);
    }
    let median = quantile_of(0.5, &mut window.values.to_vec());
    let mut distances: Vec<f64> = window.values.iter().map(|v| (v - median).abs()).collect();
    float(quantile_of(0.5, &mut distances))
}

/// `stdvar_over_time`
pub fn stdvar(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    Ok(variance(window, annotations).map(Sample::Float))
}

/// `stddev_over_time`
pub fn stddev(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    Ok(variance(window, annotations).map(|variance| Sample::Float(variance.sqrt())))
}

/// Welford's variance, with compensated sums.
fn variance(window: &Window<'_>, annotations: &mut Annotations) -> Option<f64> {
    if window.values.is_empty() {
        return None;
    }
    window.ignore_histograms(annotations);
    let (mut mean, mut squares) = (Kahan::default(), Kahan::default());
    let mut count = 0.0;
    for value in window.values {
        count += 1.0;
        let delta = value - (mean.sum + mean.compensation);
        mean.add(delta / count);
        squares.add(delta * (value - (mean.sum + mean.compensation)));
    }
    Some((squares.sum + squares.compensation) / count)
}
