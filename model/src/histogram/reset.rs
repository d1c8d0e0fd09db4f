//! Whether a counter histogram started again between two samples.
//!
//! What the sample itself says is believed. Where it says nothing, a reset shows in a count that
//! went down, a populated bucket that vanished, or a layout that a growing histogram cannot take:
//! a finer schema, a narrower zero bucket. Custom bounds may change without a reset; the buckets
//! between the bounds both share are compared.

use super::buckets::bound;
use super::kahan::Kahan;
use super::sum::{HistogramSum, at_shared_bounds};
use super::{CounterResetHint, Histogram};

impl Histogram {
    /// Whether there was a reset between `previous` and this sample.
    pub fn is_reset_after(&self, previous: &Self) -> bool {
        match self.counter_reset_hint {
            CounterResetHint::Reset => return true,
            CounterResetHint::NotReset => return false,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        if self.count < previous.count
            || self.uses_custom_buckets() != previous.uses_custom_buckets()
        {
            return true;
        }
        if self.uses_custom_buckets() {
            let [current, previous] = at_shared_bounds(self, previous);
            return shrank(current.into_iter(), previous.into_iter());
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let previous = previous.at_schema(self.schema);
        let (zero, threshold): (Kahan, f64) =
            HistogramSum::new(&previous).zero_count_within(self.zero_threshold);
        if threshold != self.zero_threshold || self.zero_count < zero.value() {
            return true;
        }
        let outside = |(index, _): &(i32, f64)| bound(*index, self.schema) > threshold;
        shrank(
            self.positive().filter(outside),
            previous.positive().filter(outside),
        ) || shrank(
            self.negative().filter(outside),
            previous.negative().filter(outside),
        )
    }
}

/// Whether a bucket of `previous` is smaller or missing in `current`.
fn shrank(
    current: impl Iterator<Item = (i32, f64)>,
    previous: impl Iterator<Item = (i32, f64)>,
) -> bool {
    let mut current = current.peekable();
    for (index, before) in previous {
        while current.next_if(|(i, _)| *i < index).is_some() {}
        match current.peek() {
            Some((i, now)) if *i == index => {
                if *now < before {
                    return true;
                }
            }
            _ => {
                if before != 0.0 {
                    return true;
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Span;

    fn histogram(counts: &[f64]) -> Histogram {
        Histogram {
            count: counts.iter().sum(),
            positive_spans: vec![Span {
                offset: 0,
                length: counts.len() as u32,
            }],
            positive_buckets: counts.to_vec(),
            ..Histogram::default()
        }
    }

    #[test]
    fn resets_are_seen() {
        let zero = |threshold| Histogram {
            zero_threshold: threshold,
            ..histogram(&[1.0])
        };
        for (current, previous, reset) in [
            (histogram(&[1.0, 2.0]), histogram(&[1.0, 1.0]), false),
            (histogram(&[1.0, 2.0]), histogram(&[2.0, 1.0]), true),
            (histogram(&[1.0]), histogram(&[1.0, 0.0]), false),
            (histogram(&[9.0]), histogram(&[1.0, 1.0]), true),
            (histogram(&[1.0]), histogram(&[2.0]), true),
            (zero(0.1), zero(0.2), true),
            (zero(0.2), zero(0.1), false),
        ] {
            assert_eq!(
                current.is_reset_after(&previous),
                reset,
                "{previous:?} → {current:?}"
            );
        }
        let told = Histogram {
            counter_reset_hint: CounterResetHint::NotReset,
            ..histogram(&[1.0])
        };
        assert!(!told.is_reset_after(&histogram(&[5.0])));
    }
}
