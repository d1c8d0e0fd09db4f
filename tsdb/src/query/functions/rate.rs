//! How fast a series moves: `rate`, `increase`, `delta`, `irate`, `idelta`.
//!
//! Rates are extrapolated from the first and last sample to the ends of the range, unless the
//! series seems to begin or end inside: all the way where the gap is at most 1.1 times the mean
//! distance of samples, by half that distance where it is more, and for counters never below zero.
//! Where the first sample says when its counter started, inside the range, that start counts as a
//! sample of zero and nothing is extrapolated on that side.

use std::sync::Arc;

use model::histogram::{CounterResetHint, Histogram};

use super::extended;
use super::histogram_rate::{self, add_reconciled};
use super::window::{Sample, Window};
use crate::query::annotations::{Annotations, HistogramOperation};
use crate::query::ast::Extension;

type Outcome = Result<Option<Sample>, String>;

/// What a series of samples measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// It only grows, or starts again.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// What a difference is related to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// A second.
    Second,
    /// The whole range.
    Range,
}

/// `rate`
pub fn rate(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    Ok(change(window, annotations, Quantity::Counter, Per::Second))
}

/// `increase`
pub fn increase(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    Ok(change(window, annotations, Quantity::Counter, Per::Range))
}

/// `delta`
pub fn delta(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    Ok(change(window, annotations, Quantity::Gauge, Per::Range))
}

/// Whether a start time says that a counter was reset between two samples.
pub fn started_between(previous_start: i64, previous: i64, start: i64, at: i64) -> bool {
    if start == 0 || start >= at || start < previous {
        return false;
    }
    if start > previous {
        return true;
    }
    // It started when the previous sample was taken. So do deltas; but so does also a cumulative
    // counter whose start was unknown at that sample.
    previous_start != 0 && previous_start < previous
}

/// Whether a sample says it started before the previous one ended.
pub fn starts_overlap(previous_start: i64, previous: i64, start: i64) -> bool {
    start != 0 && start < previous && start != previous_start
}

/// Pairs of neighbouring start times; none where none is known.
fn start_pairs(starts: &[i64]) -> impl Iterator<Item = Option<(i64, i64)>> + '_ {
    let pairs = starts.iter().zip(starts.iter().skip(1));
    pairs
        .map(|(previous, start)| Some((*previous, *start)))
        .chain(std::iter::repeat(None))
}

fn change(
    window: &Window<'_>,
    annotations: &mut Annotations,
    quantity: Quantity,
    per: Per,
) -> Option<Sample> {
    if window.is_mixed(annotations) {
        return None;
    }
    if window.extension != Extension::None {
        return extended::change(window, annotations, quantity, per);
    }
    if window.histograms.is_empty() {
        let first = *window.values.first()?;
        let rise = float_rise(window, annotations, quantity);
        let span = Sampled::new(window, window.times, window.starts, quantity)?;
        let rise = if span.counts_from_start {
            rise + first
        } else {
            rise
        };
        let factor = span.factor(window, per, (first, rise), quantity);
        return Some(Sample::Float(rise * factor));
    }
    let times: Vec<i64> = window
        .histograms
        .iter()
        .map(|(at, _)| at.millis())
        .collect();
    let span = Sampled::new(window, &times, window.histogram_starts, quantity);
    let (_, first) = window.histograms.first()?;
    let rise = if window.histograms.len() > 1 {
        Some(histogram_rate::rise(window, annotations, quantity)?)
    } else {
        None
    };
    let span = span?;
    let rise = match rise {
        Some(rise) if span.counts_from_start => add_reconciled(&rise, first, window, annotations)?,
        Some(rise) => rise,
        None => Histogram::clone(first),
    };
    let factor = span.factor(window, per, (first.count, rise.count), quantity);
    Some(Sample::Histogram(Arc::new(rise.scaled(factor))))
}

/// What the floats rose by, resets of counters made up for.
fn float_rise(window: &Window<'_>, annotations: &mut Annotations, quantity: Quantity) -> f64 {
    let (Some(first), Some(last)) = (window.values.first(), window.values.last()) else {
        return f64::NAN;
    };
    let mut rise = last - first;
    if quantity == Quantity::Gauge {
        return rise;
    }
    let pairs = window.values.iter().zip(window.values.iter().skip(1));
    if window.starts.is_empty() {
        for (previous, value) in pairs {
            if value < previous {
                rise += previous;
            }
        }
        return rise;
    }
    let times = window.times.iter().zip(window.times.iter().skip(1));
    for (((previous, value), (before, at)), starts) in
        pairs.zip(times).zip(start_pairs(window.starts))
    {
        let started = starts.is_some_and(|(previous_start, start)| {
            if starts_overlap(previous_start, *before, start) {
                annotations.start_time_overlap(window.span, window.metric);
            }
            started_between(previous_start, *before, start, *at)
        });
        if value < previous || started {
            rise += previous;
        }
    }
    rise
}

/// The stretch that samples cover, in seconds.
struct Sampled {
    seconds: f64,
    mean_distance: f64,
    to_start: f64,
    to_end: f64,
    /// Whether the first sample's counter started inside the range.
    counts_from_start: bool,
}

impl Sampled {
    fn new(window: &Window<'_>, times: &[i64], starts: &[i64], quantity: Quantity) -> Option<Self> {
        let (first, last) = (*times.first()?, *times.last()?);
        let seconds = last.saturating_sub(first) as f64 / 1000.0;
        let distances = times.len() as f64 - 1.0;
        let started = starts.first().copied().unwrap_or_default();
        let counts_from_start = quantity == Quantity::Counter
            && started != 0
            && started > window.start
            && started < first;
        if distances == 0.0 && !counts_from_start {
            return None;
        }
        Some(Self {
            seconds: if counts_from_start {
                last.saturating_sub(started) as f64 / 1000.0
            } else {
                seconds
            },
            mean_distance: if distances > 0.0 {
                seconds / distances
            } else {
                0.0
            },
            to_start: if counts_from_start {
                0.0
            } else {
                first.saturating_sub(window.start) as f64 / 1000.0
            },
            to_end: window.end.saturating_sub(last) as f64 / 1000.0,
            counts_from_start,
        })
    }

    /// What the rise must be multiplied with.
    fn factor(
        &self,
        window: &Window<'_>,
        per: Per,
        (first, rise): (f64, f64),
        quantity: Quantity,
    ) -> f64 {
        let threshold = self.mean_distance * 1.1;
        let mut to_start = self.to_start;
        if !self.counts_from_start {
            if to_start >= threshold {
                to_start = self.mean_distance / 2.0;
            }
            if quantity == Quantity::Counter && rise > 0.0 && first >= 0.0 {
                to_start = to_start.min(self.seconds * (first / rise));
            }
        }
        let to_end = if self.to_end >= threshold {
            self.mean_distance / 2.0
        } else {
            self.to_end
        };
        let factor = if self.seconds == 0.0 {
            1.0
        } else {
            (self.seconds + to_start + to_end) / self.seconds
        };
        match per {
            Per::Second => factor / window.range_seconds,
            Per::Range => factor,
        }
    }
}

/// `irate`
pub fn irate(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    Ok(instant_change(window, annotations, Quantity::Counter))
}

/// `idelta`
pub fn idelta(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    Ok(instant_change(window, annotations, Quantity::Gauge))
}

/// One of the last two samples.
struct Last<'a> {
    at: i64,
    start: i64,
    value: Result<f64, &'a Histogram>,
}

/// The last two samples of either kind, the later one last.
fn last_two<'a>(window: &Window<'a>) -> Option<(Last<'a>, Last<'a>)> {
    let start = |starts: &[i64], index: usize| starts.get(index).copied().unwrap_or_default();
    let floats = window.floats().enumerate().rev().take(2);
    let floats = floats.map(|(index, (at, value))| Last {
        at,
        start: start(window.starts, index),
        value: Ok(value),
    });
    let histograms = window.histograms.iter().enumerate().rev().take(2);
    let histograms = histograms.map(|(index, (at, histogram))| Last {
        at: at.millis(),
        start: start(window.histogram_starts, index),
        value: Err(&**histogram),
    });
    let mut all: Vec<Last<'a>> = floats.chain(histograms).collect();
    all.sort_by_key(|last| last.at);
    let last = all.pop()?;
    Some((all.pop()?, last))
}

fn instant_change(
    window: &Window<'_>,
    annotations: &mut Annotations,
    quantity: Quantity,
) -> Option<Sample> {
    let (previous, last) = last_two(window)?;
    let seconds = last.at.saturating_sub(previous.at) as f64 / 1000.0;
    if seconds == 0.0 {
        return None;
    }
    let counter = quantity == Quantity::Counter;
    let started = counter && started_between(previous.start, previous.at, last.start, last.at);
    match (previous.value, last.value) {
        (Ok(before), Ok(value)) => {
            let rise = if counter && (value < before || started) {
                value
            } else {
                value - before
            };
            Some(Sample::Float(if counter { rise / seconds } else { rise }))
        }
        (Err(before), Err(histogram)) => {
            let gauge = |h: &Histogram| h.counter_reset_hint == CounterResetHint::Gauge;
            if counter && (gauge(before) || gauge(histogram)) {
                annotations.histogram_not_counter(window.span, window.metric);
            }
            let gauges = gauge(before) && gauge(histogram);
            if !counter && !gauges {
                annotations.histogram_not_gauge(window.span, window.metric);
            }
            let reset = counter && (started || histogram.is_reset_after(before));
            let mut rise = if reset {
                histogram.clone()
            } else {
                let Ok((rise, settled)) = histogram.minus(before) else {
                    annotations.mixed_schemas(window.span, window.metric);
                    return None;
                };
                if settled.bounds_reconciled {
                    annotations.reconciled_buckets(window.span, HistogramOperation::Subtraction);
                }
                rise
            };
            rise.counter_reset_hint = CounterResetHint::Gauge;
            let rise = rise.compacted();
            let rise = if counter { rise.divided(seconds) } else { rise };
            Some(Sample::Histogram(Arc::new(rise)))
        }
        _ => {
            annotations.mixed_floats_and_histograms(window.span, window.metric);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::started_between;

    #[test]
    fn start_times_tell_resets() {
        for (previous_start, previous, start, at, reset) in [
            (0, 100, 0, 200, false),   // unknown
            (50, 100, 150, 200, true), // started between
            (50, 100, 100, 200, true), // a delta
            (0, 100, 100, 200, false), // cumulative, first start unknown
            (100, 100, 100, 200, false),
            (50, 100, 50, 200, false), // cumulative
            (50, 100, 200, 200, false),
            (150, 100, 100, 200, false), // the previous start makes no sense
        ] {
            assert_eq!(
                started_between(previous_start, previous, start, at),
                reset,
                "{previous_start} {previous} {start} {at}"
            );
        }
    }
}
