//! Bounds of buckets, and walks over the buckets of a histogram.
//!
//! A bucket is known by its index. In an exponential schema the bucket `i` of the positive side
//! holds `(bound(i-1), bound(i)]`, that of the negative side mirrors it; with custom bounds the
//! bucket `i` ends at the `i`-th bound, the first begins at −∞ and the last ends at +∞.
//!
//! Spans come from outside and may describe more buckets than there are counts, or fewer: walks
//! stop at the shorter of the two and never overflow.

use super::{Histogram, Span};

/// One bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Whether an observation of the lower bound belongs to it.
    pub lower_inclusive: bool,
    /// Whether an observation of the upper bound belongs to it.
    pub upper_inclusive: bool,
    /// Observations in it.
    pub count: f64,
}

impl Bucket {
    /// The API's number for which bounds belong to the bucket: 0 open left, 1 open right, 2 open
    /// both, 3 closed both.
    pub const fn boundary_rule(&self) -> u8 {
        match (self.lower_inclusive, self.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        }
    }
}

impl Histogram {
    /// Populated buckets of the positive side as (index, count), ascending.
    pub fn positive(&self) -> impl Iterator<Item = (i32, f64)> + '_ {
        indexed(&self.positive_spans, &self.positive_buckets)
    }

    /// Populated buckets of the negative side as (index, count), from zero downwards.
    pub fn negative(&self) -> impl Iterator<Item = (i32, f64)> + '_ {
        indexed(&self.negative_spans, &self.negative_buckets)
    }

    /// The bucket of the positive side with this index.
    pub fn positive_bucket(&self, index: i32, count: f64) -> Bucket {
        if self.uses_custom_buckets() {
            return Bucket {
                lower: custom_bound(&self.custom_values, index.saturating_sub(1)),
                upper: custom_bound(&self.custom_values, index),
                lower_inclusive: index == 0,
                upper_inclusive: true,
                count,
            };
        }
        Bucket {
            lower: bound(index.saturating_sub(1), self.schema),
            upper: bound(index, self.schema),
            lower_inclusive: false,
            upper_inclusive: true,
            count,
        }
    }

    /// The bucket of the negative side with this index.
    pub fn negative_bucket(&self, index: i32, count: f64) -> Bucket {
        Bucket {
            lower: -bound(index, self.schema),
            upper: -bound(index.saturating_sub(1), self.schema),
            lower_inclusive: true,
            upper_inclusive: false,
            count,
        }
    }

    /// The bucket around zero.
    pub const fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
        }
    }

    /// Every bucket in ascending order: negative, zero, positive. Where the zero bucket reaches
    /// into a bucket, that bucket is shown from the threshold on.
    pub fn all_buckets(&self) -> Vec<Bucket> {
        let mut all: Vec<Bucket> = self
            .negative()
            .map(|(index, count)| self.negative_bucket(index, count))
            .collect();
        all.reverse();
        if self.zero_count > 0.0 {
            all.push(self.zero_bucket());
        }
        all.extend(
            self.positive()
                .map(|(index, count)| self.positive_bucket(index, count)),
        );
        let threshold = self.zero_threshold;
        for bucket in &mut all {
            if bucket.upper < 0.0 && bucket.upper > -threshold {
                bucket.upper = -threshold;
            } else if bucket.lower > 0.0 && bucket.lower < threshold {
                bucket.lower = threshold;
            }
        }
        all
    }
}

/// The upper bound of bucket `index` in an exponential schema.
pub fn bound(index: i32, schema: i32) -> f64 {
    let per_doubling = i64::from(1_u32 << schema.clamp(0, 30));
    let scaled = i64::from(index) << schema.saturating_neg().clamp(0, 30);
    let exponent = scaled.div_euclid(per_doubling);
    let fraction = scaled.rem_euclid(per_doubling);
    if exponent == 1024 && fraction == 0 {
        // The bucket that ends at the largest float; only the one behind it reaches +Inf.
        return f64::MAX;
    }
    let fraction = (fraction as f64 / per_doubling as f64).exp2();
    // Two factors, since 2^-1074 is a float while its inverse is not.
    let exponent = exponent.clamp(-2200, 2200) as f64;
    fraction * (exponent / 2.0).floor().exp2() * (exponent / 2.0).ceil().exp2()
}

/// The upper bound of bucket `index` among custom bounds.
pub fn custom_bound(bounds: &[f64], index: i32) -> f64 {
    match usize::try_from(index) {
        Err(_) => f64::NEG_INFINITY,
        Ok(index) => bounds.get(index).copied().unwrap_or(f64::INFINITY),
    }
}

/// Walks spans and counts together.
pub fn indexed<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i32, f64)> + 'a {
    let mut next = 0_i32;
    spans
        .iter()
        .flat_map(move |span| {
            let start = next.saturating_add(span.offset);
            next = start.saturating_add_unsigned(span.length);
            start..next
        })
        .zip(counts.iter().copied())
}

/// Describes buckets, ascending in index, as spans and counts.
pub fn spans_of(buckets: impl IntoIterator<Item = (i32, f64)>) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut counts = Vec::new();
    let mut next = 0_i32;
    for (index, count) in buckets {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(Span {
                offset: index.saturating_sub(next),
                length: 1,
            }),
        }
        counts.push(count);
        next = index.saturating_add(1);
    }
    (spans, counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::CUSTOM_BUCKETS_SCHEMA;

    #[test]
    fn bounds_grow_by_the_schema() {
        for (index, schema, upper) in [
            (0, 0, 1.0),
            (1, 0, 2.0),
            (-1, 0, 0.5),
            (1, 1, 2_f64.sqrt()),
            (1, -1, 4.0),
            (-2, -1, 1.0 / 16.0),
            (1024, 0, f64::MAX),
            (1025, 0, f64::INFINITY),
            (-1074, 0, 5e-324),
        ] {
            assert_eq!(bound(index, schema), upper, "bucket {index} of {schema}");
        }
    }

    #[test]
    fn spans_survive_a_walk() {
        let buckets = vec![(-2, 1.0), (-1, 2.0), (3, 4.0), (7, 0.0)];
        let (spans, counts) = spans_of(buckets.clone());
        assert_eq!(spans.len(), 3);
        assert_eq!(indexed(&spans, &counts).collect::<Vec<_>>(), buckets);
    }

    #[test]
    fn damaged_spans_end_a_walk() {
        let spans = [Span {
            offset: i32::MAX,
            length: u32::MAX,
        }];
        assert!(indexed(&spans, &[1.0; 3]).count() <= 3);
        assert_eq!(indexed(&[], &[1.0]).count(), 0);
    }

    #[test]
    fn all_buckets_ascend_and_give_way_to_the_zero_bucket() {
        let histogram = Histogram {
            zero_threshold: 0.75,
            zero_count: 1.0,
            positive_spans: vec![Span {
                offset: 0,
                length: 2,
            }],
            positive_buckets: vec![2.0, 3.0],
            negative_spans: vec![Span {
                offset: 0,
                length: 1,
            }],
            negative_buckets: vec![4.0],
            ..Histogram::default()
        };
        let bounds: Vec<_> = histogram
            .all_buckets()
            .iter()
            .map(|b| (b.lower, b.upper, b.count))
            .collect();
        assert_eq!(
            bounds,
            [
                (-1.0, -0.75, 4.0),
                (-0.75, 0.75, 1.0),
                (0.75, 1.0, 2.0),
                (1.0, 2.0, 3.0)
            ]
        );
        let custom = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            custom_values: vec![5.0],
            ..Histogram::default()
        };
        assert_eq!(custom.positive_bucket(0, 1.0).lower, f64::NEG_INFINITY);
        assert_eq!(custom.positive_bucket(1, 1.0).upper, f64::INFINITY);
    }
}
