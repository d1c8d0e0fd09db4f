//! Range functions over all windows of a series at once, where the series is floats alone.
//!
//! Neighbouring windows share most of their samples, and what a function makes of the shared ones
//! need not be computed again. Here are the functions for which that is possible *and* yields the
//! very bits that running the function on each window by itself does, which is what the functions
//! in [`over_time`](super::over_time), [`rate`](super::rate) and [`transitions`](super::transitions)
//! define; everything else is run window by window.
//!
//! - [`placed`]: where the windows lie among the timestamps, once for all series that share them.
//! - [`extremes`]: the greatest and the least, from the best of pieces.
//! - [`change`]: rates, whose resets are found once.
//! - [`sums`]: sums and means, from prefix sums where those are exact.

mod change;
mod extremes;
mod placed;
mod sums;

use model::sample::stale_nan;

pub use placed::{Ranges, Scratch};

use super::rate::{Per, Quantity};

/// A function that can be computed for all windows at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sliding {
    /// `count_over_time`
    Count,
    /// `present_over_time`
    Present,
    /// `first_over_time`
    First,
    /// `last_over_time`
    Last,
    /// `ts_of_first_over_time`
    TimeOfFirst,
    /// `ts_of_last_over_time`
    TimeOfLast,
    /// `max_over_time`
    Max,
    /// `min_over_time`
    Min,
    /// `changes`
    Changes,
    /// `resets`
    Resets,
    /// `sum_over_time`
    Sum,
    /// `avg_over_time`
    Avg,
    /// `rate`, `increase`, `delta`
    Change(Quantity, Per),
    /// `irate`, `idelta`
    Instant(Quantity),
}

impl Sliding {
    /// The function with this name, if it is one of these.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "count_over_time" => Self::Count,
            "present_over_time" => Self::Present,
            "first_over_time" => Self::First,
            "last_over_time" => Self::Last,
            "ts_of_first_over_time" => Self::TimeOfFirst,
            "ts_of_last_over_time" => Self::TimeOfLast,
            "max_over_time" => Self::Max,
            "min_over_time" => Self::Min,
            "changes" => Self::Changes,
            "resets" => Self::Resets,
            "sum_over_time" => Self::Sum,
            "avg_over_time" => Self::Avg,
            "rate" => Self::Change(Quantity::Counter, Per::Second),
            "increase" => Self::Change(Quantity::Counter, Per::Range),
            "delta" => Self::Change(Quantity::Gauge, Per::Range),
            "irate" => Self::Instant(Quantity::Counter),
            "idelta" => Self::Instant(Quantity::Gauge),
            _ => return None,
        })
    }

    /// A value for each window that [`Scratch::place`] placed, the staleness marker where there is
    /// none. `values` are as many as the timestamps that were placed.
    pub fn column(self, values: &[f64], scratch: &mut Scratch) -> Vec<f64> {
        match self {
            Self::Count => scratch.each(|(low, high)| (high - low) as f64),
            Self::Present => scratch.each(|_| 1.0),
            Self::First => scratch.each(|(low, _)| at(values, low)),
            Self::Last => scratch.each(|(_, high)| at(values, high - 1)),
            Self::TimeOfFirst => scratch.each_time(|(low, _)| low),
            Self::TimeOfLast => scratch.each_time(|(_, high)| high - 1),
            Self::Max => {
                extremes::column(values, scratch, |new, best| new > best, f64::NEG_INFINITY)
            }
            Self::Min => extremes::column(values, scratch, |new, best| new < best, f64::INFINITY),
            Self::Changes => changes(values, scratch, |before, now| {
                before != now && !(before.is_nan() && now.is_nan())
            }),
            Self::Resets => changes(values, scratch, |before, now| now < before),
            Self::Sum => sums::sums(values, scratch),
            Self::Avg => sums::means(values, scratch),
            Self::Change(quantity, per) => change::column(values, scratch, quantity, per),
            Self::Instant(quantity) => change::instant(values, scratch, quantity),
        }
    }
}

fn at(values: &[f64], index: usize) -> f64 {
    values.get(index).copied().unwrap_or(stale_nan())
}

/// How often something happened between neighbours of each window, from how often it happened up
/// to each sample.
fn changes(values: &[f64], scratch: &Scratch, happened: impl Fn(f64, f64) -> bool) -> Vec<f64> {
    let mut count = 0_u32;
    // Up to each sample, from the first on, which has none before it.
    let mut up_to = Vec::with_capacity(values.len());
    let mut previous = values.first().copied();
    for value in values {
        count += u32::from(previous.is_some_and(|previous| happened(previous, *value)));
        previous = Some(*value);
        up_to.push(count);
    }
    let up_to = |index: usize| up_to.get(index).copied().unwrap_or_default();
    // The first sample may differ from itself (NaN never does): it is on both sides.
    scratch.each(|(low, high)| f64::from(up_to(high - 1) - up_to(low)))
}

#[cfg(test)]
mod tests;
