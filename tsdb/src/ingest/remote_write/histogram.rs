//! A native histogram on the wire to the model's: counts are widened, deltas summed up.

use model::histogram::{CounterResetHint, Histogram, Span};
use model::sample::HistogramSample;
use model::time::Timestamp;
use storage::codec::Malformed;

use super::super::protobuf::{Value, Wire, unfold};

/// What a histogram takes in memory at most: a packed delta of one byte becomes a float of eight,
/// beside itself.
pub(super) fn weight(message: Wire<'_>) -> usize {
    size_of::<HistogramSample>() + message.as_bytes().len().saturating_mul(16)
}

/// Counts of one side: deltas where the histogram is an integer one.
#[derive(Default)]
struct Buckets {
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

impl Buckets {
    fn absolute(self) -> Vec<f64> {
        if !self.counts.is_empty() {
            return self.counts;
        }
        let sums = self.deltas.iter().scan(0i64, |count, delta| {
            *count = count.saturating_add(*delta);
            Some(*count as f64)
        });
        sums.collect()
    }
}

/// Reads a histogram.
pub(super) fn read(mut message: Wire<'_>) -> Result<HistogramSample, Malformed> {
    let mut histogram = Histogram::default();
    let mut at = 0;
    let (mut positive, mut negative) = (Buckets::default(), Buckets::default());
    while let Some((number, value)) = message.field()? {
        match number {
            1 => histogram.count = value.varint(&message)? as f64,
            2 => histogram.count = value.double(&message)?,
            3 => histogram.sum = value.double(&message)?,
            4 => histogram.schema = folded_i32(value.varint(&message)?),
            5 => histogram.zero_threshold = value.double(&message)?,
            6 => histogram.zero_count = value.varint(&message)? as f64,
            7 => histogram.zero_count = value.double(&message)?,
            8 => histogram
                .negative_spans
                .push(read_span(value.bytes(&message)?)?),
            9 => read_deltas(value, &message, &mut negative.deltas)?,
            10 => read_doubles(value, &message, &mut negative.counts)?,
            11 => histogram
                .positive_spans
                .push(read_span(value.bytes(&message)?)?),
            12 => read_deltas(value, &message, &mut positive.deltas)?,
            13 => read_doubles(value, &message, &mut positive.counts)?,
            14 => {
                histogram.counter_reset_hint = match value.varint(&message)? as i32 {
                    1 => CounterResetHint::Reset,
                    2 => CounterResetHint::NotReset,
                    3 => CounterResetHint::Gauge,
                    _ => CounterResetHint::Unknown,
                }
            }
            15 => at = value.varint(&message)? as i64,
            16 => read_doubles(value, &message, &mut histogram.custom_values)?,
            _ => {}
        }
    }
    histogram.positive_buckets = positive.absolute();
    histogram.negative_buckets = negative.absolute();
    Ok(HistogramSample {
        timestamp: Timestamp(at),
        histogram,
    })
}

const fn folded_i32(value: u64) -> i32 {
    unfold(value as u32 as u64) as i32
}

fn read_span(mut message: Wire<'_>) -> Result<Span, Malformed> {
    let mut span = Span::default();
    while let Some((number, value)) = message.field()? {
        match number {
            1 => span.offset = folded_i32(value.varint(&message)?),
            2 => span.length = value.varint(&message)? as u32,
            _ => {}
        }
    }
    Ok(span)
}

/// Deltas, packed or one by one.
fn read_deltas(value: Value<'_>, of: &Wire<'_>, deltas: &mut Vec<i64>) -> Result<(), Malformed> {
    let mut packed = match value {
        Value::Bytes(packed) => packed,
        one => {
            deltas.push(unfold(one.varint(of)?));
            return Ok(());
        }
    };
    while !packed.is_empty() {
        deltas.push(unfold(packed.varint()?));
    }
    Ok(())
}

/// Floats, packed or one by one.
fn read_doubles(value: Value<'_>, of: &Wire<'_>, doubles: &mut Vec<f64>) -> Result<(), Malformed> {
    let mut packed = match value {
        Value::Bytes(packed) => packed,
        one => {
            doubles.push(one.double(of)?);
            return Ok(());
        }
    };
    while !packed.is_empty() {
        doubles.push(f64::from_bits(packed.fixed64()?));
    }
    Ok(())
}
