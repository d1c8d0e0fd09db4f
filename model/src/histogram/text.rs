//! A histogram as people read it: `{count:3, sum:5, (1,2]:3}`.
//!
//! `count_values` puts this text into a label, so it is Prometheus' to the character.

use std::fmt;

use super::Histogram;
use crate::vector::format_general;

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = format_general(self.count);
        write!(f, "{{count:{count}, sum:{}", format_general(self.sum))?;
        for bucket in self.all_buckets() {
            if bucket.count == 0.0 {
                continue;
            }
            let (open, close) = match (bucket.lower_inclusive, bucket.upper_inclusive) {
                (false, false) => ('(', ')'),
                (false, true) => ('(', ']'),
                (true, false) => ('[', ')'),
                (true, true) => ('[', ']'),
            };
            let lower = format_general(bucket.lower);
            let upper = format_general(bucket.upper);
            let count = format_general(bucket.count);
            write!(f, ", {open}{lower},{upper}{close}:{count}")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use crate::histogram::{Histogram, Span};

    #[test]
    fn populated_buckets_are_shown() {
        let histogram = Histogram {
            count: 3.0,
            sum: 5.5,
            zero_count: 1.0,
            zero_threshold: 0.001,
            positive_spans: vec![Span {
                offset: 0,
                length: 2,
            }],
            positive_buckets: vec![0.0, 2.0],
            ..Histogram::default()
        };
        assert_eq!(
            histogram.to_string(),
            "{count:3, sum:5.5, [-0.001,0.001]:1, (1,2]:2}"
        );
    }
}
