//! Quantiles and fractions of native histograms.
//!
//! Within an exponential bucket observations are taken to be spread evenly on the logarithmic
//! scale, around zero and within custom bounds evenly. A zero bucket beside only positive (or only
//! negative) buckets is taken to hold no negative (no positive) observations. NaN observations are
//! in the count of a histogram but in no bucket; the sum tells that there are some.

use model::histogram::Histogram;
use model::histogram::buckets::Bucket;

/// What there is to say of a quantile or fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// Nothing.
    None,
    /// It lies among the NaN observations.
    IsNan,
    /// There are NaN observations, which were left out or pushed the result up.
    HasNan,
}

/// The quantile `q`.
pub fn native_quantile(q: f64, histogram: &Histogram) -> (f64, Remark) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, Remark::None);
    }
    if q > 1.0 {
        return (f64::INFINITY, Remark::None);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return (f64::NAN, Remark::None);
    }
    // From the near end, for precision; from below where NaN observations make the far end unknown.
    let from_below = histogram.sum.is_nan() || q < 0.5;
    let mut buckets = histogram.all_buckets();
    let mut rank = q * histogram.count;
    if !from_below {
        buckets.reverse();
        rank = (1.0 - q) * histogram.count;
    }
    let mut count = 0.0;
    let mut found = buckets.len().saturating_sub(1);
    for (index, bucket) in buckets.iter().enumerate() {
        if bucket.count == 0.0 {
            continue;
        }
        count += bucket.count;
        if count >= rank {
            found = index;
            break;
        }
    }
    let Some(bucket) = buckets.get(found).copied() else {
        let remark = if histogram.sum.is_nan() {
            Remark::IsNan
        } else {
            Remark::None
        };
        return (f64::NAN, remark);
    };
    let mut bucket = if histogram.uses_custom_buckets() {
        bucket
    } else {
        narrowed(bucket, histogram)
    };
    if histogram.uses_custom_buckets() {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return (bucket.upper, Remark::None);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return (bucket.lower, Remark::None);
        }
    }
    let count = count.min(histogram.count);
    if count < rank {
        if histogram.sum.is_nan() {
            return (f64::NAN, Remark::IsNan);
        }
        return (bucket.upper, Remark::None);
    }
    let rank_in_bucket = if from_below {
        rank - (count - bucket.count)
    } else {
        count - rank
    };
    let mut remark = Remark::None;
    if histogram.sum.is_nan() {
        let observed: f64 = buckets.iter().map(|bucket| bucket.count).sum();
        if observed < histogram.count {
            remark = Remark::HasNan;
        }
    }
    let fraction = rank_in_bucket / bucket.count;
    let linear = histogram.uses_custom_buckets() || is_around_zero(&bucket);
    (position(&bucket, fraction, linear), remark)
}

const fn is_around_zero(bucket: &Bucket) -> bool {
    bucket.lower <= 0.0 && bucket.upper >= 0.0
}

/// The bucket around zero cut to the side the histogram lies on.
fn narrowed(mut bucket: Bucket, histogram: &Histogram) -> Bucket {
    if !is_around_zero(&bucket) {
        return bucket;
    }
    match (
        histogram.negative_buckets.is_empty(),
        histogram.positive_buckets.is_empty(),
    ) {
        (true, false) => bucket.lower = 0.0,
        (false, true) => bucket.upper = 0.0,
        _ => {}
    }
    bucket
}

/// The value below which a fraction of the bucket lies.
fn position(bucket: &Bucket, fraction: f64, linear: bool) -> f64 {
    if linear {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let lower = bucket.lower.abs().log2();
    let upper = bucket.upper.abs().log2();
    if bucket.lower > 0.0 {
        (lower + (upper - lower) * fraction).exp2()
    } else {
        -(upper + (lower - upper) * (1.0 - fraction)).exp2()
    }
}

/// The fraction of the bucket below a value in it: the inverse of [`position`].
fn fraction_below(bucket: &Bucket, value: f64, linear: bool) -> f64 {
    if linear {
        return (value - bucket.lower) / (bucket.upper - bucket.lower);
    }
    let lower = bucket.lower.abs().log2();
    let upper = bucket.upper.abs().log2();
    (value.abs().log2() - lower) / (upper - lower)
}

/// The share of observations between two bounds.
pub fn native_fraction(lower: f64, upper: f64, histogram: &Histogram) -> (f64, Remark) {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, Remark::None);
    }
    if lower >= upper {
        return (0.0, Remark::None);
    }
    let buckets = histogram.all_buckets();
    let observed: f64 = buckets.iter().map(|bucket| bucket.count).sum();
    let mut remark = Remark::None;
    let total = if histogram.sum.is_nan() {
        if observed < histogram.count {
            remark = Remark::HasNan;
        }
        observed
    } else {
        histogram.count
    };
    let below = rank_of(upper, histogram, &buckets, total);
    let above = rank_of(lower, histogram, &buckets, total);
    ((below - above) / histogram.count, remark)
}

/// How many observations lie below a value.
fn rank_of(value: f64, histogram: &Histogram, buckets: &[Bucket], total: f64) -> f64 {
    let mut rank = 0.0_f64;
    for bucket in buckets {
        let around_zero = is_around_zero(bucket);
        let bucket = narrowed(*bucket, histogram);
        if bucket.lower >= value {
            return rank.min(total);
        }
        if bucket.upper > value {
            let inside = if bucket.lower == f64::NEG_INFINITY {
                // Nothing is known of the inside, so it all counts.
                bucket.count
            } else {
                let linear = histogram.uses_custom_buckets() || around_zero;
                rank + bucket.count * fraction_below(&bucket, value, linear)
            };
            return inside.min(total);
        }
        rank += bucket.count;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::histogram::Span;

    #[test]
    fn quantiles_and_fractions_are_inverse() {
        let histogram = Histogram {
            count: 4.0,
            sum: 5.0,
            positive_spans: vec![Span {
                offset: 0,
                length: 3,
            }],
            positive_buckets: vec![1.0, 2.0, 1.0],
            ..Histogram::default()
        };
        let (median, _) = native_quantile(0.5, &histogram);
        assert!((median - 2_f64.sqrt()).abs() < 1e-12);
        let (half, _) = native_fraction(f64::NEG_INFINITY, median, &histogram);
        assert!((half - 0.5).abs() < 1e-12);
        assert_eq!(native_fraction(1.0, 2.0, &histogram).0, 0.5);
    }

    #[test]
    fn nan_observations_are_told() {
        let histogram = Histogram {
            count: 4.0,
            sum: f64::NAN,
            positive_spans: vec![Span {
                offset: 1,
                length: 1,
            }],
            positive_buckets: vec![2.0],
            ..Histogram::default()
        };
        assert_eq!(native_quantile(0.9, &histogram).1, Remark::IsNan);
        assert_eq!(native_quantile(0.2, &histogram).1, Remark::HasNan);
        assert_eq!(native_fraction(0.0, 9.0, &histogram), (0.5, Remark::HasNan));
    }
}
