//! Sums and means of all windows.
//!
//! PromQL sums with compensation, which depends on the order, so a window's sum is not the
//! difference of two others. Except where nothing is ever rounded: integers of which no window's
//! sum passes 2^53 add up exactly, compensation stays zero, and prefix sums give the same bits.
//! Counters, bytes and most gauges are such.
//!
//! All else is added up term by term, of a few neighbouring windows at once: each addition waits
//! for the one before it, but not for those of other windows.
//!
//! Where windows are long and share most of their samples, thirty days at every step of a day, that is
//! most of a query. There the sum of a window is the difference of two prefix sums again, of twice the
//! precision ([`Twofold`]). Such a sum is the exact one, rounded once; the compensated one is that too but
//! where the exact one lies within a hair of the middle between two floats. A mean may differ in its last
//! bit.
//! A long window alone, of an instant, is added up in quarters for the same reason and with the same result.

use model::histogram::kahan::{Kahan, Mean};
use model::sample::stale_nan;

use super::placed::Scratch;

/// Windows that are added up at once.
const LANES: usize = 4;
/// Samples of the longest window from which on prefix sums are tried.
const LONG: usize = 512;
/// How often each sample must be in a window, on average, for them.
const SHARED_MIN: usize = 8;
/// The least part of the largest prefix that a window's sum must be. Prefixes of thousands of samples are
/// right to some 90 bits, of which at most these 20 are lost.
const SHARE_MIN: f64 = 1.0 / 1_048_576.0; // 2^-20
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
    let alone = |window: &[f64]| {
        let total = window.iter().fold(Kahan::default(), |t, v| t.plus(*v));
        total.value()
    };
    if let Some(sums) = of_prefixes(values, scratch, |sum, _| sum, alone) {
        return sums;
    }
    in_lanes(
        values,
        scratch,
        |term| Kahan::default().plus(term),
        |total, _| total.value(),
        alone,
    )
}

/// `avg_over_time`
pub(super) fn means(values: &[f64], scratch: &mut Scratch) -> Vec<f64> {
    if let Some(means) = exact(values, scratch, |sum, count| sum / count) {
        return means;
    }
    let alone = |window: &[f64]| {
        let mut mean = Mean::default();
        for value in window {
            mean.add(*value);
        }
        mean.value()
    };
    if let Some(means) = of_prefixes(values, scratch, |sum, count| sum / count, alone) {
        return means;
    }
    in_lanes(
        values,
        scratch,
        Kahan::new,
        |total, count| total.sum / count + total.compensation / count,
        alone,
    )
}

/// What `of` makes of the total and the count of each window, whose first term is as `first` has it;
/// and `alone` of a window whose total is no number, for there compensation has rules of its own.
fn in_lanes(
    values: &[f64],
    scratch: &Scratch,
    first: impl Fn(f64) -> Kahan,
    of: impl Fn(Kahan, f64) -> f64,
    alone: impl Fn(&[f64]) -> f64,
) -> Vec<f64> {
    let all = scratch.windows();
    let mut column = Vec::with_capacity(all.len());
    for group in all.chunks(LANES) {
        let window = |(low, high): (u32, u32)| {
            let window = values.get(low as usize..high as usize);
            window.unwrap_or_default()
        };
        let together = <[(u32, u32); LANES]>::try_from(group).ok();
        let totals = together.and_then(|group| totals(group.map(window), &first));
        let mut totals = totals.into_iter().flatten();
        for place in group {
            let window = window(*place);
            let total = totals.next();
            let total = total.filter(|t| t.sum.is_finite() && t.compensation.is_finite());
            column.push(match total {
                _ if window.is_empty() => stale_nan(),
                Some(total) => of(total, window.len() as f64),
                None => match in_quarters(window, &first) {
                    Some(total) => of(total, window.len() as f64),
                    None => alone(window),
                },
            });
        }
    }
    column
}

/// The total of a long window, whose quarters are added up beside each other: the exact sum, rounded once.
/// None where it is no number.
fn in_quarters(window: &[f64], first: impl Fn(f64) -> Kahan) -> Option<Kahan> {
    if window.len() < LONG {
        return None;
    }
    let (left, right) = window.split_at(window.len() / 2);
    let (a, b) = left.split_at(left.len() / 2);
    let (c, d) = right.split_at(right.len() / 2);
    let add = |total: Twofold, quarter: Kahan| total.plus(quarter.sum).plus(quarter.compensation);
    let total = totals([a, b, c, d], first)?
        .into_iter()
        .fold(Twofold::default(), add);
    let is_number = total.high.is_finite() && total.low.is_finite();
    is_number.then_some(Kahan {
        sum: total.high,
        compensation: total.low,
    })
}

/// The totals of windows, none of which may be empty. What rounding took is found without asking which
/// of two terms is larger, which is exact as well unless something is infinite on the way.
fn totals(windows: [&[f64]; LANES], first: impl Fn(f64) -> Kahan) -> Option<[Kahan; LANES]> {
    let together = windows.iter().map(|window| window.len()).min()?;
    let split = windows.map(|window| window.split_at_checked(together).unwrap_or_default());
    let [a, b, c, d] = split.map(|(shared, _)| shared.split_first());
    let ((a, more_a), (b, more_b), (c, more_c), (d, more_d)) = (a?, b?, c?, d?);
    let started = [*a, *b, *c, *d].map(first);
    let mut sums = started.map(|total| total.sum);
    let mut compensations = started.map(|total| total.compensation);
    for (((a, b), c), d) in more_a.iter().zip(more_b).zip(more_c).zip(more_d) {
        let lanes = sums.iter_mut().zip(&mut compensations);
        for ((sum, compensation), term) in lanes.zip([*a, *b, *c, *d]) {
            let next = *sum + term;
            let added = next - *sum;
            *compensation += (*sum - (next - added)) + (term - added);
            *sum = next;
        }
    }
    let mut totals = [Kahan::default(); LANES];
    let lanes = sums.into_iter().zip(compensations).zip(split);
    for (total, ((sum, compensation), (_, rest))) in totals.iter_mut().zip(lanes) {
        let shared = Kahan { sum, compensation };
        *total = rest.iter().fold(shared, |total, term| total.plus(*term));
    }
    Some(totals)
}

/// A sum of twice the precision of a float: the rounded sum, and what is missing from it.
#[derive(Clone, Copy, Debug, Default)]
struct Twofold {
    high: f64,
    low: f64,
}

impl Twofold {
    /// The sum of two floats, which is exact.
    fn of(a: f64, b: f64) -> Self {
        let high = a + b;
        let added = high - a;
        let low = (a - (high - added)) + (b - added);
        Self { high, low }
    }

    fn plus(self, term: f64) -> Self {
        let sum = Self::of(self.high, term);
        Self::of(sum.high, sum.low + self.low)
    }

    /// What was added since `earlier`.
    fn since(self, earlier: Self) -> f64 {
        let difference = Self::of(self.high, -earlier.high);
        difference.high + (difference.low + (self.low - earlier.low))
    }
}

/// What `of` makes of the sum and the count of each window, from prefix sums of twice the precision, where
/// windows are long enough and share enough for these to pay. A window whose sum is so much smaller than
/// the prefixes that digits are lost is left to `alone`.
fn of_prefixes(
    values: &[f64],
    scratch: &Scratch,
    of: impl Fn(f64, f64) -> f64,
    alone: impl Fn(&[f64]) -> f64,
) -> Option<Vec<f64>> {
    let windows = scratch.windows();
    let terms = windows.iter().map(|(low, high)| (high - low) as usize);
    if scratch.longest() < LONG || terms.sum::<usize>() < SHARED_MIN * values.len() {
        return None;
    }
    let mut total = Twofold::default();
    let mut largest = 0.0_f64;
    let mut prefix = Vec::with_capacity(values.len() + 1);
    prefix.push(total);
    for value in values {
        total = total.plus(*value);
        largest = largest.max(total.high.abs());
        prefix.push(total);
    }
    // Once it is no number it stays none.
    if !total.high.is_finite() || !total.low.is_finite() {
        return None;
    }
    let least = largest * SHARE_MIN;
    let up_to = |index: usize| prefix.get(index).copied().unwrap_or_default();
    Some(scratch.each(|(low, high)| {
        let sum = up_to(high).since(up_to(low));
        if sum.abs() < least {
            return alone(values.get(low..high).unwrap_or_default());
        }
        of(sum, (high - low) as f64)
    }))
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
