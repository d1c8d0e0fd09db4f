//! Sums and means of all windows.
//!
//! PromQL sums with compensation, which depends on the order, so a window's sum is not the
//! difference of two others. Except where nothing is ever rounded: integers of which no window's
//! sum passes 2^53 add up exactly, compensation stays zero, and prefix sums give the same bits.
//! Counters, bytes and most gauges are such. All else is added up window by window.

use model::histogram::kahan::{Kahan, Mean};

use super::placed::Scratch;

/// Below this adding and subtracting [`INTEGER_MAGIC`] rounds to an integer.
const INTEGER_MAX: f64 = 2_251_799_813_685_248.0; // 2^51
/// 1.5 · 2^52: a float this large has no room for a fraction.
const INTEGER_MAGIC: f64 = 6_755_399_441_055_744.0;
/// Integers up to this are exact floats.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0; // 2^53

/// `sum_over_time`
pub(super) fn sums(values: &[f64], scratch: &mut Scratch) -> Vec<f64> {
    if let Some(sums) = exact(values, scratch, |sum, _| sum) {
        return sums;
    }
    scratch.each(|(low, high)| {
        let mut total = Kahan::default();
        for value in values.get(low..high).unwrap_or_default() {
            total.add(*value);
        }
        total.value()
    })
}

/// `avg_over_time`
pub(super) fn means(values: &[f64], scratch: &mut Scratch) -> Vec<f64> {
    if let Some(means) = exact(values, scratch, |sum, count| sum / count) {
        return means;
    }
    scratch.each(|(low, high)| {
        let mut mean = Mean::default();
        for value in values.get(low..high).unwrap_or_default() {
            mean.add(*value);
        }
        mean.value()
    })
}

/// What `of` makes of the sum and the count of each window, if all sums are exact.
fn exact(values: &[f64], scratch: &mut Scratch, of: impl Fn(f64, f64) -> f64) -> Option<Vec<f64>> {
    let longest = scratch.longest() as f64;
    let largest = (EXACT_MAX / longest.max(1.0)).min(INTEGER_MAX);
    let inexact = values.iter().fold(0_u64, |inexact, value| {
        let integer = (value + INTEGER_MAGIC) - INTEGER_MAGIC;
        // Of NaN neither is true.
        let is_integer = u64::from(integer == *value);
        inexact + (1 - (is_integer & u64::from(value.abs() < largest)))
    });
    if inexact > 0 {
        return None;
    }
    let mut prefix = std::mem::take(&mut scratch.prefix);
    prefix.clear();
    prefix.push(0);
    let mut total = 0_i64;
    for value in values {
        // Where the total of all wraps around, that of a window does not.
        total = total.wrapping_add(*value as i64);
        prefix.push(total);
    }
    let up_to = |index: usize| prefix.get(index).copied().unwrap_or_default();
    let column = scratch.each(|(low, high)| {
        let sum = up_to(high).wrapping_sub(up_to(low)) as f64;
        of(sum, (high - low) as f64)
    });
    scratch.prefix = prefix;
    Some(column)
}
