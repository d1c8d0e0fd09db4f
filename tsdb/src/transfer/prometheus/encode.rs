//! Samples to chunks of Prometheus' encodings, for readers that want them so.
//!
//! A chunk has at most 120 samples of one kind; histograms of a chunk have one layout, and none of them
//! but the first was reset. What the chunks of a series hold is read back in a test with the decoders that
//! read Prometheus' blocks.
//!
//! - [`bits`]: the bit stream.
//! - [`histograms`]: a chunk of histograms with floats for counts, which can say all of them.

mod bits;
mod histograms;

use std::sync::Arc;

use model::histogram::Histogram;
use model::time::Timestamp;
use model::wire::remote_read::Chunk;

use self::bits::{BitWriter, XorWriter};

/// As many as Prometheus puts into one.
const SAMPLES_MAX: usize = 120;
/// Floats by XOR, on the wire.
const XOR: i32 = 1;
/// Histograms with floats for counts, on the wire.
const FLOAT_HISTOGRAM: i32 = 3;

/// The chunks of a series whose floats and histograms are each in the order of time; so are the chunks,
/// and none reaches into another.
pub(crate) fn chunks(
    timestamps: &[i64],
    values: &[f64],
    histograms: &[(Timestamp, Arc<Histogram>)],
    mut take: impl FnMut(Chunk),
) {
    let (mut floats, mut others) = (timestamps, histograms);
    let mut values = values;
    while !floats.is_empty() || !others.is_empty() {
        // Floats up to the next histogram, or histograms up to the next float.
        let before = |at: &i64| others.first().is_none_or(|(other, _)| *at < other.0);
        let count = floats.partition_point(before).min(SAMPLES_MAX);
        if count > 0 {
            let (at, rest) = floats.split_at_checked(count).unwrap_or_default();
            let (own, rest_of_values) = values.split_at_checked(count).unwrap_or_default();
            (floats, values) = (rest, rest_of_values);
            take(chunk(at, XOR, encode_floats(at, own)));
            continue;
        }
        let before = |(at, _): &(Timestamp, Arc<Histogram>)| {
            floats.first().is_none_or(|float| at.0 < *float)
        };
        let count = others.partition_point(before).clamp(1, SAMPLES_MAX);
        let (run, _) = others.split_at_checked(count).unwrap_or_default();
        let count = histograms::fitting(run);
        let (own, rest) = others.split_at_checked(count).unwrap_or_default();
        others = rest;
        let at: Vec<i64> = own.iter().map(|(at, _)| at.0).collect();
        take(chunk(&at, FLOAT_HISTOGRAM, histograms::encode(own)));
    }
}

fn chunk(timestamps: &[i64], encoding: i32, data: Vec<u8>) -> Chunk {
    Chunk {
        min_time_ms: timestamps.first().copied().unwrap_or_default(),
        max_time_ms: timestamps.last().copied().unwrap_or_default(),
        encoding,
        data,
    }
}

/// The inverse of [`super::xor::decode`].
fn encode_floats(timestamps: &[i64], values: &[f64]) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.bits(timestamps.len() as u64, 16);
    let (mut before, mut delta) = (0_i64, 0_i64);
    let mut floats = XorWriter::default();
    for (number, (at, value)) in timestamps.iter().zip(values).enumerate() {
        let step = at.wrapping_sub(before);
        match number {
            0 => bits.varint(*at),
            1 => bits.uvarint(step as u64),
            _ => bits.varbit_ts(step.wrapping_sub(delta)),
        }
        if number > 0 {
            delta = step;
        }
        before = *at;
        floats.put(*value, &mut bits);
    }
    bits.finish()
}

#[cfg(test)]
mod tests {
    use model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Span};
    use model::sample::{STALE_NAN_BITS, stale_nan};

    use super::super::histograms::{Counts, Header, decode};
    use super::super::xor;
    use super::*;

    /// Instant and value of every sample, as texts that tell every bit.
    fn decoded(chunks: &[Chunk]) -> Vec<String> {
        let mut samples = Vec::new();
        let mut last = None;
        for chunk in chunks {
            assert!(last < Some(chunk.min_time_ms), "chunks follow each other");
            last = Some(chunk.max_time_ms);
            if chunk.encoding == XOR {
                for sample in xor::decode(&chunk.data).expect("floats") {
                    samples.push(format!(
                        "{} {:x}",
                        sample.timestamp.0,
                        sample.value.to_bits()
                    ));
                }
            } else {
                let found = decode(&chunk.data, Counts::Floats, Header::Plain);
                for sample in found.expect("histograms") {
                    samples.push(told(sample.timestamp, &sample.histogram));
                }
            }
        }
        samples
    }

    /// What is said of resets is left out: the place in a chunk says it.
    fn told(at: Timestamp, histogram: &Histogram) -> String {
        let mut histogram = histogram.clone();
        let stale = histogram.sum.to_bits() == STALE_NAN_BITS;
        if stale || histogram.counter_reset_hint != CounterResetHint::Gauge {
            histogram.counter_reset_hint = CounterResetHint::Unknown;
        }
        if stale {
            return format!("{} stale", at.0);
        }
        format!("{} {histogram:?}", at.0)
    }

    fn check(floats: &[(i64, f64)], histograms: &[(i64, Histogram)], expected_chunks: usize) {
        let (timestamps, values): (Vec<i64>, Vec<f64>) = floats.iter().copied().unzip();
        let held: Vec<(Timestamp, Arc<Histogram>)> = histograms
            .iter()
            .map(|(at, histogram)| (Timestamp(*at), Arc::new(histogram.clone())))
            .collect();
        let mut found = Vec::new();
        chunks(&timestamps, &values, &held, |chunk| found.push(chunk));
        let mut expected: Vec<(i64, String)> = floats
            .iter()
            .map(|(at, value)| (*at, format!("{at} {:x}", value.to_bits())))
            .collect();
        for (at, histogram) in &held {
            expected.push((at.0, told(*at, histogram)));
        }
        expected.sort();
        let expected: Vec<String> = expected.into_iter().map(|(_, text)| text).collect();
        assert_eq!(decoded(&found), expected);
        assert_eq!(found.len(), expected_chunks);
    }

    #[test]
    fn floats_come_back_bit_by_bit() {
        check(&[], &[], 0);
        check(&[(-5, 1.5)], &[], 1);
        let odd = [
            stale_nan(),
            -0.0,
            0.0,
            f64::INFINITY,
            1e300,
            f64::from_bits(1),
            f64::from_bits(1 << 63 | 1),
            12.0,
            12.5,
        ];
        let gaps = [0, 15_000, 15_001, 8192 + 15_000, 1 << 40, 3, 4_000_000_000];
        let mut at = -77;
        let floats: Vec<(i64, f64)> = (0..500_usize)
            .map(|n| {
                at += 1 + gaps[n % gaps.len()];
                (at, odd[n % odd.len()])
            })
            .collect();
        check(&floats, &[], 5);
        check(&[(i64::MIN, 1.0), (0, 2.0), (i64::MAX, 3.0)], &[], 1);
    }

    fn grown(factor: f64, spans: &[(i32, u32)]) -> Histogram {
        let buckets: u32 = spans.iter().map(|(_, length)| length).sum();
        let span = |(offset, length): &(i32, u32)| Span {
            offset: *offset,
            length: *length,
        };
        Histogram {
            schema: 3,
            zero_threshold: 0.001,
            zero_count: factor,
            count: factor * (1 + buckets) as f64,
            sum: factor * 0.1,
            positive_spans: spans.iter().map(span).collect(),
            positive_buckets: vec![factor; buckets as usize],
            ..Histogram::default()
        }
    }

    #[test]
    fn a_chunk_of_histograms_ends_where_the_next_does_not_fit() {
        let narrow = [(0, 2)];
        let wide = [(-1, 2), (3, 1)];
        let plain = |factor: u32| (i64::from(factor) * 10, grown(f64::from(factor), &narrow));
        check(&[], &[plain(1), plain(2), plain(3)], 1);
        check(&[], &[plain(1), (20, grown(2.0, &wide)), plain(3)], 3);
        // A reset that shows, and one that is said.
        check(&[], &[plain(5), (60, grown(4.0, &narrow)), plain(7)], 2);
        let mut said = plain(2);
        said.1.counter_reset_hint = CounterResetHint::Reset;
        check(&[], &[plain(1), said, plain(3)], 2);
        // Gauges go down.
        let gauge = |at: i64, factor: f64| {
            let counter_reset_hint = CounterResetHint::Gauge;
            let histogram = grown(factor, &narrow);
            (
                at,
                Histogram {
                    counter_reset_hint,
                    ..histogram
                },
            )
        };
        check(
            &[],
            &[gauge(1, 2.0), gauge(2, 1.0), (3, grown(9.0, &narrow))],
            2,
        );
        // The end of the series, floats between, custom bounds, a power of two, negative buckets.
        let stale = Histogram {
            sum: stale_nan(),
            ..Histogram::default()
        };
        check(
            &[(25, 1.0)],
            &[plain(1), plain(2), plain(3), (40, stale), plain(5)],
            5,
        );
        let custom = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            custom_values: vec![0.25, 1.0, 1e9],
            zero_threshold: 0.0,
            zero_count: 0.0,
            ..grown(1.0, &[(1, 3)])
        };
        let both = Histogram {
            zero_threshold: 2.0_f64.powi(-128),
            negative_spans: vec![Span {
                offset: -4,
                length: 1,
            }],
            negative_buckets: vec![0.5],
            ..grown(2.0, &[(0, 1)])
        };
        check(&[], &[(1, custom.clone()), (2, custom), (3, both)], 2);
        let many: Vec<(i64, Histogram)> = (1..=130).map(plain).collect();
        check(&[], &many, 2);
    }
}
