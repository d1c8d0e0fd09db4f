//! A chunk of native histograms of one layout, with integers or floats for counts.
//!
//! Integers are read as differences of differences, floats by XOR; both become floats here, integers
//! exactly up to 2⁵³. A staleness marker has no counts: the chunk holds its sum and nothing behind it.

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, Span};
use model::sample::{HistogramSample, is_stale_nan};
use model::time::Timestamp;

use super::bits::{Bits, BitsError, Starts, XorFloat};

/// What counts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    Integers,
    Floats,
}

/// Why a chunk of histograms is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HistogramsError {
    #[error(transparent)]
    Bits(#[from] BitsError),
    #[error("a layout of more buckets than the chunk could hold")]
    Layout,
}

/// What stands before the layout, in three bytes either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// 16 bits count the samples, two of eight are flags.
    Plain,
    /// Two bits are flags, 14 count the samples, eight say which of them carry start timestamps.
    WithStarts,
}

/// The histograms of a chunk.
pub(super) fn decode(
    data: &[u8],
    counts: Counts,
    header: Header,
) -> Result<Vec<HistogramSample>, HistogramsError> {
    let mut bits = Bits::new(data);
    let (count, flags, starts) = match header {
        Header::Plain => (bits.bits(16)?, bits.bits(8)? >> 6, Starts::default()),
        Header::WithStarts => {
            let flags = bits.bits(2)?;
            (bits.bits(14)?, flags, Starts::read(&mut bits)?)
        }
    };
    let count = count as usize;
    // 11 is a gauge; the others speak of the chunk before, which may not be there.
    let is_gauge = flags == 0b11;
    let layout = Layout::read(&mut bits, data.len() * 8)?;
    let mut samples = Vec::with_capacity(count.min(data.len()));
    let mut at = 0_i64;
    let mut delta = 0_i64;
    let mut row = match counts {
        Counts::Integers => Row::Integers(Integers::default()),
        Counts::Floats => Row::Floats(Floats::default()),
    };
    for number in 0..count {
        let step = bits.varbit_int()?;
        match number {
            0 => at = step,
            1 => delta = step,
            _ => delta = delta.wrapping_add(step),
        }
        at = at.wrapping_add(delta);
        let mut histogram = row.read(&mut bits, &layout, number)?;
        starts.skip(&mut bits, number)?;
        if !is_stale_nan(histogram.sum) {
            histogram.counter_reset_hint = match (is_gauge, number) {
                (true, _) => CounterResetHint::Gauge,
                // Whether the first was reset against a chunk that may not be there, nobody knows.
                (false, 0) => CounterResetHint::Unknown,
                (false, _) => CounterResetHint::NotReset,
            };
        }
        samples.push(HistogramSample {
            timestamp: Timestamp(at),
            histogram,
        });
    }
    Ok(samples)
}

/// What all histograms of a chunk have in common.
struct Layout {
    zero_threshold: f64,
    schema: i32,
    positive_spans: Vec<Span>,
    negative_spans: Vec<Span>,
    custom_values: Vec<f64>,
    positive_buckets: usize,
    negative_buckets: usize,
}

impl Layout {
    /// A bucket takes a bit in each sample, so there are at most `buckets_max`.
    fn read(bits: &mut Bits<'_>, buckets_max: usize) -> Result<Self, HistogramsError> {
        let zero_threshold = match bits.bits(8)? as i32 {
            0 => 0.0,
            255 => bits.float()?,
            // Powers of two from 2^-243 on.
            exponent => 2.0_f64.powi(exponent - 244),
        };
        let schema = bits.varbit_int()? as i32;
        let (positive_spans, positive_buckets) = read_spans(bits, buckets_max)?;
        let (negative_spans, negative_buckets) = read_spans(bits, buckets_max)?;
        let mut custom_values = Vec::new();
        if schema == CUSTOM_BUCKETS_SCHEMA {
            for _ in 0..bits.varbit_uint()? {
                custom_values.push(match bits.varbit_uint()? {
                    0 => bits.float()?,
                    // Thousandths, plus one.
                    thousandths => (thousandths - 1) as f64 / 1000.0,
                });
            }
        }
        Ok(Self {
            zero_threshold,
            schema,
            positive_spans,
            negative_spans,
            custom_values,
            positive_buckets,
            negative_buckets,
        })
    }

    fn histogram(&self, zero_count: f64, count: f64, sum: f64, buckets: Vec<f64>) -> Histogram {
        let mut positive_buckets = buckets;
        let split = self.positive_buckets.min(positive_buckets.len());
        let negative_buckets = positive_buckets.split_off(split);
        Histogram {
            counter_reset_hint: CounterResetHint::Unknown,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count,
            count,
            sum,
            positive_spans: self.positive_spans.clone(),
            positive_buckets,
            negative_spans: self.negative_spans.clone(),
            negative_buckets,
            custom_values: self.custom_values.clone(),
        }
    }

    const fn buckets(&self) -> usize {
        self.positive_buckets + self.negative_buckets
    }
}

fn read_spans(
    bits: &mut Bits<'_>,
    buckets_max: usize,
) -> Result<(Vec<Span>, usize), HistogramsError> {
    let mut spans = Vec::new();
    let mut buckets = 0_usize;
    for _ in 0..bits.varbit_uint()? {
        let length = u32::try_from(bits.varbit_uint()?).map_err(|_| HistogramsError::Layout)?;
        let offset = bits.varbit_int()? as i32;
        buckets += length as usize;
        if buckets > buckets_max {
            return Err(HistogramsError::Layout);
        }
        spans.push(Span { offset, length });
    }
    Ok((spans, buckets))
}

/// A sample that marks the end of a series: nothing but its sum.
fn stale(sum: f64) -> Histogram {
    Histogram {
        sum,
        ..Histogram::default()
    }
}

/// The state that one sample hands to the next.
enum Row {
    Integers(Integers),
    Floats(Floats),
}

impl Row {
    fn read(
        &mut self,
        bits: &mut Bits<'_>,
        layout: &Layout,
        number: usize,
    ) -> Result<Histogram, BitsError> {
        match self {
            Self::Integers(row) => row.read(bits, layout, number),
            Self::Floats(row) => row.read(bits, layout, number),
        }
    }
}

/// An integer that is written as the delta of deltas.
#[derive(Clone, Copy, Debug, Default)]
struct Integer {
    value: i64,
    delta: i64,
}

impl Integer {
    fn read(&mut self, bits: &mut Bits<'_>, number: usize) -> Result<(), BitsError> {
        let step = bits.varbit_int()?;
        self.delta = match number {
            1 => step,
            _ => self.delta.wrapping_add(step),
        };
        self.value = self.value.wrapping_add(self.delta);
        Ok(())
    }
}

#[derive(Default)]
struct Integers {
    count: Integer,
    zero_count: Integer,
    sum: XorFloat,
    /// As differences from the bucket before.
    buckets: Vec<Integer>,
}

impl Integers {
    fn read(
        &mut self,
        bits: &mut Bits<'_>,
        layout: &Layout,
        number: usize,
    ) -> Result<Histogram, BitsError> {
        if number == 0 {
            self.count.value = bits.varbit_uint()? as i64;
            self.zero_count.value = bits.varbit_uint()? as i64;
            self.sum = XorFloat::first(bits.float()?);
            for _ in 0..layout.buckets() {
                let value = bits.varbit_int()?;
                self.buckets.push(Integer { value, delta: 0 });
            }
        } else {
            self.count.read(bits, number)?;
            self.zero_count.read(bits, number)?;
            self.sum.read(bits)?;
        }
        let sum = self.sum.value;
        if is_stale_nan(sum) {
            return Ok(stale(sum));
        }
        if number > 0 {
            for bucket in &mut self.buckets {
                bucket.read(bits, number)?;
            }
        }
        let count = |integer: Integer| integer.value as u64 as f64;
        let buckets = self.absolute_buckets(layout.positive_buckets);
        Ok(layout.histogram(count(self.zero_count), count(self.count), sum, buckets))
    }

    /// Each half begins with an absolute count.
    fn absolute_buckets(&self, positive: usize) -> Vec<f64> {
        let mut count = 0_i64;
        let absolute = |(number, bucket): (usize, &Integer)| {
            if number == positive {
                count = 0;
            }
            count = count.wrapping_add(bucket.value);
            count as f64
        };
        self.buckets.iter().enumerate().map(absolute).collect()
    }
}

#[derive(Default)]
struct Floats {
    count: XorFloat,
    zero_count: XorFloat,
    sum: XorFloat,
    buckets: Vec<XorFloat>,
}

impl Floats {
    fn read(
        &mut self,
        bits: &mut Bits<'_>,
        layout: &Layout,
        number: usize,
    ) -> Result<Histogram, BitsError> {
        if number == 0 {
            self.count = XorFloat::first(bits.float()?);
            self.zero_count = XorFloat::first(bits.float()?);
            self.sum = XorFloat::first(bits.float()?);
            for _ in 0..layout.buckets() {
                self.buckets.push(XorFloat::first(bits.float()?));
            }
        } else {
            self.count.read(bits)?;
            self.zero_count.read(bits)?;
            self.sum.read(bits)?;
        }
        let sum = self.sum.value;
        if is_stale_nan(sum) {
            return Ok(stale(sum));
        }
        if number > 0 {
            for bucket in &mut self.buckets {
                bucket.read(bits)?;
            }
        }
        let buckets = self.buckets.iter().map(|bucket| bucket.value).collect();
        Ok(layout.histogram(self.zero_count.value, self.count.value, sum, buckets))
    }
}
