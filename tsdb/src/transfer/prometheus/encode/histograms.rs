//! A chunk of native histograms with floats for counts.
//!
//! ```text
//! samples 16 bits; what the first says of a reset 2 bits, 6 bits of 0
//! layout  zero threshold (8 bits of 0; or 8 bits of exponent + 243; or 255, 64 bits), schema <varbit_int>,
//!         positive and negative spans (count, then length <varbit_uint>, offset <varbit_int> each),
//!         with custom buckets their bounds (count <varbit_uint>, then 0 and 64 bits each)
//! sample  instant <varbit_int>: itself, then its delta, then the delta of deltas;
//!         count, zero count, sum, buckets: the first of each 64 bits, then XOR
//! ```
//!
//! A staleness marker is a chunk of its own with an empty layout: nobody need guess what follows it.
//!
//! Source: Prometheus' `tsdb/docs/format/chunks.md`.

use std::sync::Arc;

use model::histogram::{CounterResetHint, Histogram, Span};
use model::time::Timestamp;

use super::bits::{BitWriter, XorWriter};

/// Exponents of the powers of two that a byte stands for.
const EXPONENTS: std::ops::RangeInclusive<i32> = -243..=10;

/// How many of the histograms one chunk can hold; at least one.
pub(super) fn fitting(histograms: &[(Timestamp, Arc<Histogram>)]) -> usize {
    let pairs = histograms.iter().zip(histograms.iter().skip(1));
    let fits = |((_, a), (_, b)): &(&(_, Arc<Histogram>), &(_, Arc<Histogram>))| {
        let is_gauge = |h: &Histogram| h.counter_reset_hint == CounterResetHint::Gauge;
        !a.is_stale()
            && !b.is_stale()
            && is_gauge(a) == is_gauge(b)
            && has_layout_of(a, b)
            && (is_gauge(a) || !b.is_reset_after(a))
    };
    1 + pairs.take_while(fits).count()
}

fn has_layout_of(a: &Histogram, b: &Histogram) -> bool {
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    a.schema == b.schema
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && bits(&a.custom_values) == bits(&b.custom_values)
}

/// The chunk of histograms that fit into one.
pub(super) fn encode(histograms: &[(Timestamp, Arc<Histogram>)]) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.bits(histograms.len() as u64, 16);
    let Some((_, first)) = histograms.first() else {
        return bits.finish();
    };
    let flags = match first.counter_reset_hint {
        CounterResetHint::Unknown => 0b00,
        CounterResetHint::NotReset => 0b01,
        CounterResetHint::Reset => 0b10,
        CounterResetHint::Gauge => 0b11,
    };
    bits.bits(flags << 6, 8);
    let end = Histogram {
        sum: first.sum,
        ..Histogram::default()
    };
    let first = if first.is_stale() { &end } else { first };
    write_layout(first, &mut bits);
    let (mut before, mut delta) = (0_i64, 0_i64);
    let mut heads = [XorWriter::default(); 3];
    let buckets = first.positive_buckets.len() + first.negative_buckets.len();
    let mut rows = vec![XorWriter::default(); buckets];
    for (number, (at, histogram)) in histograms.iter().enumerate() {
        let step = at.0.wrapping_sub(before);
        bits.varbit_int(if number < 2 {
            step
        } else {
            step.wrapping_sub(delta)
        });
        if number > 0 {
            delta = step;
        }
        before = at.0;
        let histogram = if histogram.is_stale() {
            first
        } else {
            histogram
        };
        let values = [histogram.count, histogram.zero_count, histogram.sum];
        for (head, value) in heads.iter_mut().zip(values) {
            head.put(value, &mut bits);
        }
        let counts = histogram.positive_buckets.iter();
        let counts = counts.chain(&histogram.negative_buckets);
        for (row, count) in rows.iter_mut().zip(counts) {
            row.put(*count, &mut bits);
        }
    }
    bits.finish()
}

fn write_layout(histogram: &Histogram, bits: &mut BitWriter) {
    let threshold = histogram.zero_threshold;
    let power = EXPONENTS
        .zip(1_u64..)
        .find(|(exponent, _)| threshold == 2.0_f64.powi(*exponent));
    match power {
        _ if threshold == 0.0 => bits.bits(0, 8),
        Some((_, byte)) => bits.bits(byte, 8),
        None => {
            bits.bits(255, 8);
            bits.float(threshold);
        }
    }
    bits.varbit_int(i64::from(histogram.schema));
    write_spans(&histogram.positive_spans, bits);
    write_spans(&histogram.negative_spans, bits);
    if histogram.uses_custom_buckets() {
        bits.varbit_uint(histogram.custom_values.len() as u64);
        for bound in &histogram.custom_values {
            bits.varbit_uint(0);
            bits.float(*bound);
        }
    }
}

fn write_spans(spans: &[Span], bits: &mut BitWriter) {
    bits.varbit_uint(spans.len() as u64);
    for span in spans {
        bits.varbit_uint(u64::from(span.length));
        bits.varbit_int(i64::from(span.offset));
    }
}
