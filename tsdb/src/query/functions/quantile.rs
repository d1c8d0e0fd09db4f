//! Quantiles of values, and quantiles and fractions of classic histograms.
//!
//! A classic histogram is a set of floats, each the count of observations up to a bound. Within a
//! bucket observations are taken to be spread evenly; the first bucket begins at zero where its
//! bound is positive; the last must be `+Inf`, and has no inside.

use std::cmp::Ordering;

/// The quantile `q` of values, which are put into another order; NaN is the smallest.
pub fn quantile_of(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let last = values.len() - 1;
    let rank = q * last as f64;
    let lower = (rank.floor() as usize).min(last);
    let weight = rank - rank.floor();
    let (low, high) = neighbours(values, lower);
    low * (1.0 - weight) + high * weight
}

/// The values that would be at `lower` and behind it were they sorted; the last has none behind it
/// but itself.
fn neighbours(values: &mut [f64], lower: usize) -> (f64, f64) {
    if values.iter().any(|value| value.is_nan()) {
        // Which NaN is where is the sort's to say.
        values.sort_unstable_by(|a, b| match (a.is_nan(), b.is_nan()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => a.total_cmp(b),
        });
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        return (at(lower), at((lower + 1).min(values.len() - 1)));
    }
    let (_, low, above) = values.select_nth_unstable_by(lower, f64::total_cmp);
    let low = *low;
    let high = above.iter().copied().min_by(f64::total_cmp);
    (low, high.unwrap_or(low))
}

/// A bucket of a classic histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassicBucket {
    /// The bound in `le`.
    pub upper: f64,
    /// Observations up to the bound.
    pub count: f64,
}

/// A quantile, and whether counts had to be made to grow with the bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassicQuantile {
    /// The quantile.
    pub value: f64,
    /// Whether a count was smaller than one of a lower bound.
    pub forced_monotonicity: bool,
}

/// Counts this close to each other, relatively, are the same: sums of rates are not exact.
const TOLERANCE: f64 = 1e-12;

fn nearly_equal(a: f64, b: f64) -> bool {
    if a == b {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

/// Sorts by bound and merges equal bounds. None where the last bound is not `+Inf`.
fn ordered(buckets: &mut Vec<ClassicBucket>) -> Option<()> {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    (buckets.last()?.upper == f64::INFINITY).then_some(())
}

/// Makes counts grow with the bounds; true where one shrank by more than rounding explains.
fn make_monotonic(buckets: &mut [ClassicBucket]) -> bool {
    let mut forced = false;
    let mut previous: Option<f64> = None;
    for bucket in buckets {
        match previous {
            Some(count) if nearly_equal(count, bucket.count) => bucket.count = count,
            Some(count) if bucket.count < count => {
                bucket.count = count;
                forced = true;
            }
            _ => previous = Some(bucket.count),
        }
    }
    forced
}

/// The quantile `q` of a classic histogram, which is put in order.
pub fn classic_quantile(q: f64, buckets: &mut Vec<ClassicBucket>) -> ClassicQuantile {
    let plain = |value| ClassicQuantile {
        value,
        forced_monotonicity: false,
    };
    if q.is_nan() {
        return plain(f64::NAN);
    }
    if q < 0.0 {
        return plain(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return plain(f64::INFINITY);
    }
    if ordered(buckets).is_none() {
        return plain(f64::NAN);
    }
    let forced_monotonicity = make_monotonic(buckets);
    ClassicQuantile {
        value: quantile_in(q, buckets).unwrap_or(f64::NAN),
        forced_monotonicity,
    }
}

fn quantile_in(q: f64, buckets: &[ClassicBucket]) -> Option<f64> {
    let (last, finite) = buckets.split_last()?;
    let highest = finite.last()?;
    if last.count == 0.0 {
        return None;
    }
    let rank = q * last.count;
    let at = finite.partition_point(|bucket| bucket.count.is_nan() || bucket.count < rank);
    let Some(bucket) = finite.get(at) else {
        return Some(highest.upper);
    };
    let before = at.checked_sub(1).and_then(|at| finite.get(at));
    if before.is_none() && bucket.upper <= 0.0 {
        return Some(bucket.upper);
    }
    let (lower, below) = before.map_or((0.0, 0.0), |before| (before.upper, before.count));
    Some(lower + (bucket.upper - lower) * ((rank - below) / (bucket.count - below)))
}

/// The share of observations between two bounds, of a classic histogram, which is put in order.
pub fn classic_fraction(lower: f64, upper: f64, buckets: &mut Vec<ClassicBucket>) -> f64 {
    if ordered(buckets).is_none() {
        return f64::NAN;
    }
    let total = buckets.last().map_or(f64::NAN, |bucket| bucket.count);
    if total == 0.0 || total.is_nan() || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets, total) - rank_of(lower, buckets, total)) / total
}

/// How many observations lie below a value.
fn rank_of(value: f64, buckets: &[ClassicBucket], total: f64) -> f64 {
    let mut below = 0.0_f64;
    let mut lower = match buckets.first() {
        Some(first) if first.upper <= 0.0 => f64::NEG_INFINITY,
        _ => 0.0,
    };
    for bucket in buckets {
        if lower >= value {
            return below.min(total);
        }
        if bucket.upper > value {
            let inside = if lower == f64::NEG_INFINITY {
                bucket.count
            } else {
                below + (bucket.count - below) * (value - lower) / (bucket.upper - lower)
            };
            return inside.min(total);
        }
        below = bucket.count;
        lower = bucket.upper;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<ClassicBucket> {
        let bucket = |&(upper, count)| ClassicBucket { upper, count };
        pairs.iter().map(bucket).collect()
    }

    #[test]
    fn quantiles_lie_between_values() {
        let mut values = [4.0, 1.0, f64::NAN, 3.0, 2.0];
        assert_eq!(quantile_of(1.0, &mut values), 4.0);
        assert_eq!(quantile_of(0.5, &mut [1.0, 2.0, 4.0, 8.0]), 3.0);
        assert_eq!(quantile_of(2.0, &mut [1.0]), f64::INFINITY);
        assert!(quantile_of(0.5, &mut []).is_nan());
    }

    #[test]
    fn buckets_are_interpolated() {
        let histogram = [(f64::INFINITY, 10.0), (1.0, 4.0), (2.0, 8.0)];
        for (q, expected) in [(0.2, 0.5), (0.6, 1.5), (0.9, 2.0), (1.0, 2.0)] {
            assert_eq!(
                classic_quantile(q, &mut buckets(&histogram)).value,
                expected
            );
        }
        assert!(
            classic_quantile(0.5, &mut buckets(&[(1.0, 1.0)]))
                .value
                .is_nan()
        );
    }

    #[test]
    fn shrinking_counts_are_lifted_and_told() {
        let histogram = [(1.0, 4.0), (2.0, 2.0), (f64::INFINITY, 8.0)];
        let quantile = classic_quantile(0.25, &mut buckets(&histogram));
        assert!(quantile.forced_monotonicity);
        assert_eq!(quantile.value, 0.5);
        let rounded = [(1.0, 1.0), (2.0, 1.0 - 1e-15), (f64::INFINITY, 1.0)];
        assert!(!classic_quantile(0.25, &mut buckets(&rounded)).forced_monotonicity);
    }

    #[test]
    fn fractions_are_inverse_quantiles() {
        let histogram = [(1.0, 4.0), (2.0, 8.0), (f64::INFINITY, 10.0)];
        assert_eq!(classic_fraction(0.0, 1.5, &mut buckets(&histogram)), 0.6);
        assert_eq!(classic_fraction(5.0, 1.0, &mut buckets(&histogram)), 0.0);
    }
}
