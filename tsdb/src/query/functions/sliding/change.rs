//! `rate`, `increase` and `delta` of all windows; `irate` and `idelta` too.
//!
//! What a counter lost in resets is added up window by window, in the order of time, since floats
//! added in another order are other floats. But most windows have no reset, so the resets of the
//! series are found once, in one pass almost without branches.

use model::sample::stale_nan;

use super::super::rate::{Per, Quantity};
use super::placed::{Scratch, Stretch};

/// Samples that are asked at once whether there is a reset among them.
const AT_ONCE: usize = 64;

pub(super) fn column(
    values: &[f64],
    scratch: &mut Scratch,
    quantity: Quantity,
    per: Per,
) -> Vec<f64> {
    let mut resets = std::mem::take(&mut scratch.positions);
    resets.clear();
    if quantity == Quantity::Counter {
        find_resets(values, &mut resets);
    }
    let mut ahead = resets.as_slice();
    let Some(placement) = scratch.placed() else {
        return Vec::new();
    };
    let windows = placement.windows.iter();
    let mut column = Vec::with_capacity(windows.len());
    for ((low, high), stretch) in windows.zip(&placement.stretches) {
        if high - low < 2 {
            column.push(stale_nan());
            continue;
        }
        let ends = (values.get(*low as usize), values.get(*high as usize - 1));
        let (Some(first), Some(last)) = ends else {
            column.push(stale_nan());
            continue;
        };
        let mut rise = last - first;
        while ahead.first().is_some_and(|reset| reset <= low) {
            ahead = ahead.get(1..).unwrap_or_default();
        }
        for reset in ahead.iter().take_while(|reset| *reset < high) {
            rise += values.get(*reset as usize - 1).copied().unwrap_or_default();
        }
        let factor = factor(stretch, *first, rise, quantity);
        let factor = match per {
            Per::Second => factor / placement.range_seconds,
            Per::Range => factor,
        };
        column.push(rise * factor);
    }
    scratch.positions = resets;
    column
}

/// `irate` and `idelta`: how the last two samples of each window differ.
pub(super) fn instant(values: &[f64], scratch: &Scratch, quantity: Quantity) -> Vec<f64> {
    let times = scratch.times();
    scratch.each(|(low, high)| {
        let last = high.saturating_sub(1);
        let (Some(before), Some(value)) = (values.get(last.wrapping_sub(1)), values.get(last))
        else {
            return stale_nan();
        };
        let at = |index: usize| times.get(index).copied().unwrap_or_default();
        if high - low < 2 {
            return stale_nan();
        }
        let seconds = at(last).saturating_sub(at(last - 1)) as f64 / 1000.0;
        if seconds == 0.0 {
            return stale_nan();
        }
        match quantity {
            Quantity::Counter if value < before => value / seconds,
            Quantity::Counter => (value - before) / seconds,
            Quantity::Gauge => value - before,
        }
    })
}

fn factor(stretch: &Stretch, first: f64, rise: f64, quantity: Quantity) -> f64 {
    if stretch.covered == 0.0 {
        return 1.0;
    }
    let mut to_start = stretch.to_start;
    if quantity == Quantity::Counter && rise > 0.0 && first >= 0.0 {
        to_start = to_start.min(stretch.covered * (first / rise));
    }
    (stretch.covered + to_start + stretch.to_end) / stretch.covered
}

/// The places of the values that are less than the one before.
fn find_resets(values: &[f64], resets: &mut Vec<u32>) {
    let mut start = 1;
    while start < values.len() {
        let end = values.len().min(start + AT_ONCE);
        let now = values.get(start..end).unwrap_or_default();
        let before = values.get(start - 1..end - 1).unwrap_or_default();
        let pairs = || before.iter().zip(now);
        // Counted, not asked for the first one: that is what becomes wide.
        let fell = pairs().fold(0, |fell, (before, now)| fell + u64::from(now < before));
        if fell > 0 {
            let places = (start as u32..).zip(pairs());
            let fell = places.filter(|(_, (before, now))| now < before);
            resets.extend(fell.map(|(place, _)| place));
        }
        start = end;
    }
}
