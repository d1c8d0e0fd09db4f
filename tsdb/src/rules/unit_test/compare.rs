//! What an expression gave against what was expected.

use model::histogram::{CounterResetHint, Histogram};
use model::vector::{InstantSample, SampleValue, format_general};

use super::file::ExpectedSample;

/// How alike floats have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Floats {
    /// The same.
    Exact,
    /// The same but for the last bit.
    Fuzzy,
}

impl Floats {
    fn agree(self, a: f64, b: f64) -> bool {
        let neighbours = a.next_down() == b || a.next_up() == b;
        a == b || (a.is_nan() && b.is_nan()) || (self == Self::Fuzzy && neighbours)
    }

    fn all_agree(self, a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.agree(*a, *b))
    }
}

fn histograms_agree(expected: &Histogram, got: &Histogram, floats: Floats) -> bool {
    let (expected, got) = (expected.clone().compacted(), got.clone().compacted());
    let hint = expected.counter_reset_hint;
    let numbers = [
        (expected.count, got.count),
        (expected.sum, got.sum),
        (expected.zero_count, got.zero_count),
    ];
    (hint == CounterResetHint::Unknown || hint == got.counter_reset_hint)
        && expected.schema == got.schema
        && (expected.zero_threshold == 0.0 || expected.zero_threshold == got.zero_threshold)
        && expected.positive_spans == got.positive_spans
        && expected.negative_spans == got.negative_spans
        && expected.custom_values == got.custom_values
        && numbers.iter().all(|(a, b)| floats.agree(*a, *b))
        && floats.all_agree(&expected.positive_buckets, &got.positive_buckets)
        && floats.all_agree(&expected.negative_buckets, &got.negative_buckets)
}

/// Whether the samples are those that were expected, in whatever order.
pub(super) fn samples_agree(
    expected: &[ExpectedSample],
    got: &[InstantSample],
    floats: Floats,
) -> bool {
    let mut expected: Vec<&ExpectedSample> = expected.iter().collect();
    let mut got: Vec<&InstantSample> = got.iter().collect();
    expected.sort_by(|a, b| a.labels.cmp(&b.labels));
    got.sort_by(|a, b| a.labels.cmp(&b.labels));
    expected.len() == got.len()
        && expected.iter().zip(got).all(|(expected, got)| {
            let same = match (&expected.histogram, &got.value) {
                (None, SampleValue::Float(value)) => floats.agree(expected.value, *value),
                (Some(histogram), SampleValue::Histogram(got)) => {
                    histograms_agree(histogram, got, floats)
                }
                _ => false,
            };
            same && expected.labels == got.labels
        })
}

/// Both as promtool shows them.
pub(super) fn samples_text(expected: &[ExpectedSample], got: &[InstantSample]) -> (String, String) {
    let mut expected: Vec<String> = expected
        .iter()
        .map(|sample| {
            let value = match &sample.histogram {
                Some(histogram) => histogram.to_string(),
                None => exponential(sample.value),
            };
            format!("{} {value}", sample.labels)
        })
        .collect();
    let mut got: Vec<String> = got
        .iter()
        .map(|sample| {
            let value = match &sample.value {
                SampleValue::Histogram(histogram) => histogram.to_string(),
                SampleValue::Float(value) => exponential(*value),
            };
            format!("{} {value}", sample.labels)
        })
        .collect();
    let join = |texts: &mut Vec<String>| {
        texts.sort();
        if texts.is_empty() {
            "nil".to_owned()
        } else {
            texts.join(", ")
        }
    };
    (join(&mut expected), join(&mut got))
}

/// A float as Go's `%E` writes it: `1.5E+00`.
fn exponential(value: f64) -> String {
    if !value.is_finite() {
        return format_general(value);
    }
    let text = format!("{value:E}");
    let Some((mantissa, exponent)) = text.split_once('E') else {
        return text;
    };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}E{sign}{digits:0>2}")
}
