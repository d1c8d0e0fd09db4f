//! The part of a distribution below or above a value: PromQL's `</` and `>/`.
//!
//! A bucket the value cuts is split as `histogram_quantile` would interpolate in it: linearly with
//! custom bounds and around zero, else on the exponential scale. A bucket that reaches to infinity
//! has no inside to interpolate, and is kept or dropped as a whole.
//!
//! Once anything was cut off, the sum of what remains is no longer known. It is estimated from the
//! middle of each surviving interval.

use super::Histogram;
use super::buckets::{Bucket, spans_of};

/// Which part remains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Observations below the value.
    Below,
    /// Observations above the value.
    Above,
}

/// What remains of a bucket, and where its middle lies.
#[derive(Clone, Copy)]
struct Remainder {
    count: f64,
    middle: f64,
}

const NOTHING: Remainder = Remainder {
    count: 0.0,
    middle: 0.0,
};

impl Histogram {
    /// The part of the distribution on one side of `at`.
    #[must_use]
    pub fn trimmed(&self, at: f64, keep: Keep) -> Self {
        let linear = self.uses_custom_buckets();
        let mut changed = false;
        let (mut count, mut sum) = (0.0, 0.0);
        let mut survive = |bucket: Bucket, side: Side| {
            if bucket.count == 0.0 {
                return 0.0;
            }
            let rest = remainder(bucket, at, keep, side);
            changed |= rest.count != bucket.count;
            count += rest.count;
            sum += rest.middle * rest.count;
            rest.count
        };
        let side = if linear { Side::Linear } else { Side::Positive };
        let positive: Vec<_> = self
            .positive()
            .map(|(i, c)| (i, survive(self.positive_bucket(i, c), side)))
            .collect();
        let negative: Vec<_> = self
            .negative()
            .map(|(i, c)| (i, survive(self.negative_bucket(i, c), Side::Negative)))
            .collect();
        let populated = |mut buckets: Box<dyn Iterator<Item = (i32, f64)> + '_>| {
            buckets.any(|(_, count)| count != 0.0)
        };
        let mut zero = self.zero_bucket();
        let has_positive = populated(Box::new(self.positive()));
        let has_negative = populated(Box::new(self.negative()));
        if has_negative && !has_positive {
            zero.upper = 0.0;
        } else if has_positive && !has_negative {
            zero.lower = 0.0;
        }
        let zero_count = if self.zero_count > 0.0 {
            survive(zero, Side::Linear)
        } else {
            self.zero_count
        };
        if !changed {
            return self.clone();
        }
        let (positive_spans, positive_buckets) = spans_of(positive);
        let (negative_spans, negative_buckets) = spans_of(negative);
        Self {
            zero_count,
            count,
            sum,
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            ..self.clone()
        }
        .compacted()
    }
}

/// How positions inside a bucket are interpolated.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Linear,
    Positive,
    Negative,
}

fn remainder(bucket: Bucket, at: f64, keep: Keep, side: Side) -> Remainder {
    let (whole, part) = match keep {
        Keep::Below => (bucket.upper <= at, bucket.lower < at),
        Keep::Above => (bucket.lower >= at, bucket.upper > at),
    };
    if whole {
        return Remainder {
            count: bucket.count,
            middle: middle(bucket.lower, bucket.upper, side),
        };
    }
    if !part {
        return NOTHING;
    }
    if bucket.lower.is_infinite() || bucket.upper.is_infinite() {
        return unbounded(bucket, at, keep);
    }
    let below = bucket.count * fraction_below(bucket, at, side);
    match keep {
        Keep::Below => Remainder {
            count: below,
            middle: middle(bucket.lower, at, side),
        },
        Keep::Above => Remainder {
            count: bucket.count - below,
            middle: middle(at, bucket.upper, side),
        },
    }
}

/// A bucket with an infinite bound. One from −∞ to a positive bound counts as one from zero.
fn unbounded(bucket: Bucket, at: f64, keep: Keep) -> Remainder {
    let Bucket {
        lower,
        upper,
        count,
        ..
    } = bucket;
    let from_zero = lower.is_infinite() && upper.is_finite() && upper > 0.0;
    match keep {
        Keep::Below if from_zero && at > 0.0 => Remainder {
            count: count * at / upper,
            middle: at / 2.0,
        },
        Keep::Below if lower.is_infinite() && upper <= 0.0 => Remainder { count, middle: at },
        Keep::Above if from_zero && at >= 0.0 => Remainder {
            count: count * (1.0 - at / upper),
            middle: f64::midpoint(at, upper),
        },
        Keep::Above if lower.is_finite() && at >= lower => Remainder { count, middle: at },
        Keep::Above if at == f64::NEG_INFINITY => Remainder {
            count,
            middle: middle(lower, upper, Side::Linear),
        },
        _ => NOTHING,
    }
}

/// The share of a bounded bucket below `at`, which lies inside it.
fn fraction_below(bucket: Bucket, at: f64, side: Side) -> f64 {
    if side == Side::Linear {
        return (at - bucket.lower) / (bucket.upper - bucket.lower);
    }
    let lower = bucket.lower.abs().log2();
    let upper = bucket.upper.abs().log2();
    (at.abs().log2() - lower) / (upper - lower)
}

fn middle(lower: f64, upper: f64, side: Side) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) if upper > 0.0 => upper / 2.0,
        (true, false) => upper,
        (false, true) => lower,
        (false, false) => match side {
            Side::Linear => f64::midpoint(lower, upper),
            Side::Positive => (lower * upper).abs().sqrt(),
            Side::Negative => -(lower * upper).abs().sqrt(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};

    fn custom(bounds: &[f64], counts: &[f64]) -> Histogram {
        Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: counts.iter().sum(),
            sum: 1000.0,
            custom_values: bounds.to_vec(),
            positive_spans: vec![Span {
                offset: 0,
                length: counts.len() as u32,
            }],
            positive_buckets: counts.to_vec(),
            ..Histogram::default()
        }
    }

    #[test]
    fn a_cut_bucket_is_split_linearly() {
        let histogram = custom(&[0.0, 10.0], &[0.0, 10.0]);
        let below = histogram.trimmed(4.0, Keep::Below);
        assert_eq!((below.count, below.sum), (4.0, 8.0));
        let above = histogram.trimmed(4.0, Keep::Above);
        assert_eq!((above.count, above.sum), (6.0, 42.0));
    }

    #[test]
    fn an_untouched_histogram_keeps_its_sum() {
        let histogram = custom(&[0.0, 10.0], &[0.0, 10.0]);
        assert_eq!(histogram.trimmed(f64::INFINITY, Keep::Below), histogram);
        assert_eq!(histogram.trimmed(0.0, Keep::Above).sum, 1000.0);
    }

    #[test]
    fn an_unbounded_bucket_goes_as_a_whole() {
        let histogram = custom(&[5.0], &[1.0, 10.0]);
        assert_eq!(histogram.trimmed(7.0, Keep::Below).count, 1.0);
        assert_eq!(histogram.trimmed(7.0, Keep::Above).sum, 70.0);
    }
}
