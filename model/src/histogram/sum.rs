//! Sums and differences of histograms whose layouts differ.
//!
//! Before counts can be added, both sides are brought to one layout: the coarser exponential
//! schema, a zero bucket that cuts no populated bucket of either, the custom bounds both share.
//! Exponential and custom buckets have no common layout: that is the one error.
//!
//! [`HistogramSum`] is the running sum, with compensation in every count; [`Histogram::plus`] and
//! [`Histogram::minus`] are one plain step.

use super::buckets::{bound, custom_bound, spans_of};
use super::kahan::Kahan;
use super::{CounterResetHint, Histogram};

/// One side has exponential buckets, the other custom ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot combine histograms with exponential and custom buckets; query them apart")]
pub struct IncompatibleSchemas;

/// What had to be settled to combine two histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// One said it was reset, the other that it was not.
    pub resets_collided: bool,
    /// Custom bounds differed, and those in common were used.
    pub bounds_reconciled: bool,
}

/// A running sum of histograms.
#[derive(Clone, Debug)]
pub struct HistogramSum {
    hint: CounterResetHint,
    schema: i32,
    zero_threshold: f64,
    zero_count: Kahan,
    count: Kahan,
    sum: Kahan,
    positive: Vec<(i32, Kahan)>,
    negative: Vec<(i32, Kahan)>,
    custom_values: Vec<f64>,
}

/// How a term enters a sum.
#[derive(Clone, Copy)]
enum Term {
    Plain,
    Negated,
    Compensated,
}

impl Term {
    fn enter(self, total: Kahan, value: f64) -> Kahan {
        match self {
            Self::Plain => Kahan::new(total.sum + value),
            Self::Negated => Kahan::new(total.sum - value),
            Self::Compensated => total.plus(value),
        }
    }
}

impl Histogram {
    /// This histogram and `other` together.
    pub fn plus(&self, other: &Self) -> Result<(Self, Settled), IncompatibleSchemas> {
        let mut sum = HistogramSum::new(self);
        let settled = sum.enter(other, Term::Plain)?;
        Ok((sum.finish(), settled))
    }

    /// This histogram without the observations of `other`.
    pub fn minus(&self, other: &Self) -> Result<(Self, Settled), IncompatibleSchemas> {
        let mut sum = HistogramSum::new(self);
        let settled = sum.enter(other, Term::Negated)?;
        Ok((sum.finish(), settled))
    }

    /// The histogram at a resolution that is not finer than its own.
    #[must_use]
    pub fn at_schema(&self, schema: i32) -> Self {
        if schema >= self.schema || self.uses_custom_buckets() {
            return self.clone();
        }
        let mut sum = HistogramSum::new(self);
        sum.reduce_to(schema);
        sum.finish()
    }
}

impl HistogramSum {
    /// A sum that starts with `first`.
    pub fn new(first: &Histogram) -> Self {
        let cells = |(index, count)| (index, Kahan::new(count));
        Self {
            hint: first.counter_reset_hint,
            schema: first.schema,
            zero_threshold: first.zero_threshold,
            zero_count: Kahan::new(first.zero_count),
            count: Kahan::new(first.count),
            sum: Kahan::new(first.sum),
            positive: first.positive().map(cells).collect(),
            negative: first.negative().map(cells).collect(),
            custom_values: first.custom_values.clone(),
        }
    }

    /// Adds a histogram, keeping what rounding takes away.
    pub fn add(&mut self, other: &Histogram) -> Result<Settled, IncompatibleSchemas> {
        self.enter(other, Term::Compensated)
    }

    /// Changes every count and the sum of observations.
    pub fn for_each(&mut self, change: impl Fn(Kahan) -> Kahan) {
        for cell in [&mut self.zero_count, &mut self.count, &mut self.sum] {
            *cell = change(*cell);
        }
        for (_, cell) in self.positive.iter_mut().chain(&mut self.negative) {
            *cell = change(*cell);
        }
    }

    /// Whether a count or the sum has become infinite.
    pub fn has_overflowed(&self) -> bool {
        [self.zero_count, self.count, self.sum]
            .iter()
            .chain(self.positive.iter().map(|(_, cell)| cell))
            .chain(self.negative.iter().map(|(_, cell)| cell))
            .any(|cell| cell.sum.is_infinite())
    }

    /// The sum as a histogram.
    pub fn finish(&self) -> Histogram {
        let counts = |(index, cell): &(i32, Kahan)| (*index, cell.value());
        let (positive_spans, positive_buckets) = spans_of(self.positive.iter().map(counts));
        let (negative_spans, negative_buckets) = spans_of(self.negative.iter().map(counts));
        Histogram {
            counter_reset_hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count.value(),
            count: self.count.value(),
            sum: self.sum.value(),
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            custom_values: self.custom_values.clone(),
        }
    }

    fn enter(&mut self, other: &Histogram, term: Term) -> Result<Settled, IncompatibleSchemas> {
        let custom = self.schema == super::CUSTOM_BUCKETS_SCHEMA;
        if custom != other.uses_custom_buckets() {
            return Err(IncompatibleSchemas);
        }
        let mut settled = Settled {
            resets_collided: self.settle_hint(other.counter_reset_hint),
            bounds_reconciled: false,
        };
        let mut other = Self::new(other);
        if custom {
            settled.bounds_reconciled = self.reconcile_bounds(&mut other);
        } else {
            let schema = self.schema.min(other.schema);
            self.reduce_to(schema);
            other.reduce_to(schema);
            self.reconcile_zero_buckets(&mut other);
        }
        self.zero_count = term.enter(self.zero_count, other.zero_count.sum);
        self.count = term.enter(self.count, other.count.sum);
        self.sum = term.enter(self.sum, other.sum.sum);
        self.positive = merged(&self.positive, &other.positive, term);
        self.negative = merged(&self.negative, &other.negative, term);
        Ok(settled)
    }

    /// Settles what is said of counter resets; true where the two contradict each other.
    fn settle_hint(&mut self, other: CounterResetHint) -> bool {
        use CounterResetHint::{Gauge, Unknown};
        match (self.hint, other) {
            (a, b) if a == b => false,
            (Gauge, _) | (Unknown, CounterResetHint::Reset | CounterResetHint::NotReset) => false,
            (_, Gauge) => {
                self.hint = Gauge;
                false
            }
            (_, other) => {
                self.hint = Unknown;
                other != Unknown
            }
        }
    }

    fn reduce_to(&mut self, schema: i32) {
        let steps = self.schema.saturating_sub(schema);
        if steps <= 0 {
            return;
        }
        for side in [&mut self.positive, &mut self.negative] {
            *side = remapped(side, |index| (index.saturating_sub(1) >> steps.min(31)) + 1);
        }
        self.schema = schema;
    }

    /// Brings both to the custom bounds they share; true where they differed.
    fn reconcile_bounds(&mut self, other: &mut Self) -> bool {
        let same = |a: &[f64], b: &[f64]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
        };
        if same(&self.custom_values, &other.custom_values) {
            return false;
        }
        let shared: Vec<f64> = self
            .custom_values
            .iter()
            .copied()
            .filter(|bound| other.custom_values.contains(bound))
            .collect();
        for histogram in [self, other] {
            let bounds = std::mem::replace(&mut histogram.custom_values, shared.clone());
            histogram.positive = remapped(&histogram.positive, |index| {
                let upper = custom_bound(&bounds, index);
                shared.partition_point(|bound| *bound < upper) as i32
            });
        }
        true
    }

    /// Widens the narrower zero bucket until both are equally wide.
    fn reconcile_zero_buckets(&mut self, other: &mut Self) {
        while self.zero_threshold != other.zero_threshold {
            let (narrow, wide) = if self.zero_threshold < other.zero_threshold {
                (&mut *self, other.zero_threshold)
            } else {
                (&mut *other, self.zero_threshold)
            };
            if wide.is_nan() || narrow.zero_threshold.is_nan() {
                return;
            }
            narrow.widen_zero_bucket(wide);
        }
    }

    fn widen_zero_bucket(&mut self, threshold: f64) {
        let (count, threshold) = self.zero_count_within(threshold);
        let schema = self.schema;
        for side in [&mut self.positive, &mut self.negative] {
            side.retain(|(index, _)| bound(*index, schema) > threshold);
        }
        self.zero_count = count;
        self.zero_threshold = threshold;
    }

    /// What the zero bucket would hold up to `threshold`, which moves to the far end of a populated
    /// bucket it would cut.
    pub(super) fn zero_count_within(&self, threshold: f64) -> (Kahan, f64) {
        let mut threshold = threshold;
        'widened: loop {
            let mut count = self.zero_count;
            for side in [&self.positive, &self.negative] {
                for (index, cell) in side {
                    if bound(index.saturating_sub(1), self.schema) >= threshold {
                        break;
                    }
                    let upper = bound(*index, self.schema);
                    if upper > threshold {
                        if cell.sum != 0.0 {
                            threshold = upper;
                            continue 'widened;
                        }
                        break;
                    }
                    count.add(cell.sum);
                    count.compensation += cell.compensation;
                }
            }
            return (count, threshold);
        }
    }
}

/// The buckets of two histograms with custom buckets, between the bounds both share.
pub(super) fn at_shared_bounds(a: &Histogram, b: &Histogram) -> [Vec<(i32, f64)>; 2] {
    let (mut a, mut b) = (HistogramSum::new(a), HistogramSum::new(b));
    a.reconcile_bounds(&mut b);
    [a, b].map(|histogram| {
        let counts = histogram.positive.iter();
        counts.map(|(index, cell)| (*index, cell.value())).collect()
    })
}

/// Two ascending lists as one.
fn merged(a: &[(i32, Kahan)], b: &[(i32, Kahan)], term: Term) -> Vec<(i32, Kahan)> {
    let mut result = Vec::with_capacity(a.len().max(b.len()));
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let index = match (a.peek(), b.peek()) {
            (None, None) => return result,
            (Some((i, _)), None) | (None, Some((i, _))) => *i,
            (Some((i, _)), Some((j, _))) => *i.min(j),
        };
        let total = a.next_if(|(i, _)| *i == index).map(|(_, cell)| *cell);
        let total = match b.next_if(|(i, _)| *i == index) {
            None => total.unwrap_or_default(),
            Some((_, value)) => term.enter(total.unwrap_or_default(), value.sum),
        };
        result.push((index, total));
    }
}

/// The list with new indexes, which keep the order; buckets that fall together are added up.
fn remapped(buckets: &[(i32, Kahan)], target: impl Fn(i32) -> i32) -> Vec<(i32, Kahan)> {
    let mut result: Vec<(i32, Kahan)> = Vec::with_capacity(buckets.len());
    for (index, cell) in buckets {
        let index = target(*index);
        match result.last_mut() {
            Some((last, total)) if *last == index => {
                total.add(cell.sum);
                total.compensation += cell.compensation;
            }
            _ => result.push((index, *cell)),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};

    fn exponential(schema: i32, offset: i32, counts: &[f64]) -> Histogram {
        Histogram {
            schema,
            count: counts.iter().sum(),
            positive_spans: vec![Span {
                offset,
                length: counts.len() as u32,
            }],
            positive_buckets: counts.to_vec(),
            ..Histogram::default()
        }
    }

    fn custom(bounds: &[f64], counts: &[f64]) -> Histogram {
        Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            custom_values: bounds.to_vec(),
            ..exponential(0, 0, counts)
        }
    }

    #[test]
    fn the_coarser_schema_wins() {
        let coarse = exponential(-1, 1, &[1.0]);
        let fine = exponential(0, 1, &[2.0, 2.0]);
        let (sum, settled) = coarse.plus(&fine).expect("both exponential");
        assert_eq!(settled, Settled::default());
        assert_eq!(sum.schema, -1);
        assert_eq!(sum.positive().collect::<Vec<_>>(), [(1, 5.0)]);
    }

    #[test]
    fn shared_bounds_remain() {
        let a = custom(&[1.0, 2.0, 3.0], &[1.0, 2.0, 4.0, 8.0]);
        let b = custom(&[2.0], &[16.0, 32.0]);
        let (sum, settled) = a.plus(&b).expect("both custom");
        assert!(settled.bounds_reconciled);
        assert_eq!(sum.custom_values, [2.0]);
        assert_eq!(sum.positive().collect::<Vec<_>>(), [(0, 19.0), (1, 44.0)]);
    }

    #[test]
    fn a_wider_zero_bucket_swallows_whole_buckets() {
        let wide = Histogram {
            zero_threshold: 0.75,
            zero_count: 1.0,
            ..Histogram::default()
        };
        let narrow = exponential(0, -1, &[2.0, 4.0, 8.0]);
        let (sum, _) = wide.plus(&narrow).expect("both exponential");
        // 0.75 lies in the populated bucket (0.5, 1], so the threshold moves to 1.
        assert_eq!(sum.zero_threshold, 1.0);
        assert_eq!(sum.zero_count, 7.0);
        assert_eq!(sum.positive().collect::<Vec<_>>(), [(1, 8.0)]);
    }

    #[test]
    fn unlike_schemas_are_refused() {
        let refused = exponential(0, 0, &[1.0]).minus(&custom(&[1.0], &[1.0]));
        assert_eq!(refused, Err(IncompatibleSchemas));
    }
}
