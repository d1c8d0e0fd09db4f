//! Native histograms, each against the one before.
//!
//! ```text
//! flags u8        1 same layout as the one before, 2 integer counts, bits 2 and 3 the reset hint
//! layout          unless the same: schema ivarint, zero threshold f64,
//!                 positive spans, negative spans (count uvarint, then offset ivarint, length uvarint),
//!                 positive buckets uvarint, negative buckets uvarint,
//!                 custom bounds (count uvarint, f64 each)
//! sum             f64
//! counts          all observations, zero bucket, positive buckets, negative buckets:
//!                 integer: ivarint, the change against the one before (against 0 with a new layout)
//!                 float: f64
//! ```
//!
//! Counts are integers where every one is a float's exact integer below 2^53 with the same bits, so
//! `-0` and NaN payloads travel as floats.

use model::histogram::{CounterResetHint, Histogram, Span};
use storage::codec::{Cursor, Malformed, put_f64, put_ivarint, put_uvarint};

use super::exact_integer;

const SAME_LAYOUT: u8 = 1;
const INTEGER: u8 = 2;
const HINT_SHIFT: u8 = 2;
const FLAGS_MAX: u8 = 0b1111;

/// Appends a histogram, given the one before it in the same body.
pub fn encode(histogram: &Histogram, previous: Option<&Histogram>, out: &mut Vec<u8>) {
    let previous = previous.filter(|previous| same_layout(histogram, previous));
    let integers: Option<Vec<i64>> = counts(histogram).map(exact_integer).collect();
    // Changes need integers on both sides.
    let base: Option<Vec<i64>> = match previous {
        Some(previous) => counts(previous).map(exact_integer).collect(),
        None => Some(vec![0; counts(histogram).count()]),
    };
    let integers = integers.zip(base);
    let mut flags = hint_number(histogram.counter_reset_hint) << HINT_SHIFT;
    if previous.is_some() {
        flags |= SAME_LAYOUT;
    }
    if integers.is_some() {
        flags |= INTEGER;
    }
    out.push(flags);
    if previous.is_none() {
        encode_layout(histogram, out);
    }
    put_f64(out, histogram.sum);
    match integers {
        Some((counts, base)) => {
            for (count, base) in counts.iter().zip(&base) {
                put_ivarint(out, count - base);
            }
        }
        None => counts(histogram).for_each(|count| put_f64(out, count)),
    }
}

/// Reads a histogram, given the one before it in the same body.
pub fn decode(
    cursor: &mut Cursor<'_>,
    previous: Option<&Histogram>,
) -> Result<Histogram, Malformed> {
    let flags = cursor.u8()?;
    if flags > FLAGS_MAX {
        return Err(cursor.malformed("flags this program knows"));
    }
    let base = if flags & SAME_LAYOUT != 0 {
        Some(previous.ok_or_else(|| cursor.malformed("a histogram before this one"))?)
    } else {
        None
    };
    let mut histogram = match base {
        Some(base) => base.clone(),
        None => decode_layout(cursor)?,
    };
    histogram.counter_reset_hint = hint(flags >> HINT_SHIFT);
    histogram.sum = cursor.f64()?;
    let is_integer = flags & INTEGER != 0;
    let mut read = |count: &mut f64| {
        *count = if is_integer {
            // The base is the count before with the same layout, and 0 with a new one.
            (*count as i64).wrapping_add(cursor.ivarint()?) as f64
        } else {
            cursor.f64()?
        };
        Ok(())
    };
    read(&mut histogram.count)?;
    read(&mut histogram.zero_count)?;
    histogram
        .positive_buckets
        .iter_mut()
        .try_for_each(&mut read)?;
    histogram
        .negative_buckets
        .iter_mut()
        .try_for_each(&mut read)?;
    Ok(histogram)
}

fn encode_layout(histogram: &Histogram, out: &mut Vec<u8>) {
    put_ivarint(out, i64::from(histogram.schema));
    put_f64(out, histogram.zero_threshold);
    for spans in [&histogram.positive_spans, &histogram.negative_spans] {
        put_uvarint(out, spans.len() as u64);
        for span in spans {
            put_ivarint(out, i64::from(span.offset));
            put_uvarint(out, u64::from(span.length));
        }
    }
    put_uvarint(out, histogram.positive_buckets.len() as u64);
    put_uvarint(out, histogram.negative_buckets.len() as u64);
    put_uvarint(out, histogram.custom_values.len() as u64);
    for bound in &histogram.custom_values {
        put_f64(out, *bound);
    }
}

/// The layout, with every count 0.
fn decode_layout(cursor: &mut Cursor<'_>) -> Result<Histogram, Malformed> {
    let schema =
        i32::try_from(cursor.ivarint()?).map_err(|_| cursor.malformed("a schema of 32 bits"))?;
    let zero_threshold = cursor.f64()?;
    let positive_spans = decode_spans(cursor)?;
    let negative_spans = decode_spans(cursor)?;
    // Each bucket takes at least a byte of the counts that follow.
    let positive_buckets = vec![0.0; cursor.count(1)?];
    let negative_buckets = vec![0.0; cursor.count(1)?];
    let bounds = cursor.count(8)?;
    let custom_values = (0..bounds)
        .map(|_| cursor.f64())
        .collect::<Result<_, _>>()?;
    Ok(Histogram {
        schema,
        zero_threshold,
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        custom_values,
        ..Histogram::default()
    })
}

fn decode_spans(cursor: &mut Cursor<'_>) -> Result<Vec<Span>, Malformed> {
    let count = cursor.count(2)?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let offset = i32::try_from(cursor.ivarint()?);
        let length = u32::try_from(cursor.uvarint()?);
        let (Ok(offset), Ok(length)) = (offset, length) else {
            return Err(cursor.malformed("a span of 32 bits"));
        };
        spans.push(Span { offset, length });
    }
    Ok(spans)
}

fn same_layout(a: &Histogram, b: &Histogram) -> bool {
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    a.schema == b.schema
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && a.positive_buckets.len() == b.positive_buckets.len()
        && a.negative_buckets.len() == b.negative_buckets.len()
        && bits(&a.custom_values) == bits(&b.custom_values)
}

fn counts(histogram: &Histogram) -> impl Iterator<Item = f64> + '_ {
    [histogram.count, histogram.zero_count]
        .into_iter()
        .chain(histogram.positive_buckets.iter().copied())
        .chain(histogram.negative_buckets.iter().copied())
}

const fn hint_number(hint: CounterResetHint) -> u8 {
    match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    }
}

const fn hint(number: u8) -> CounterResetHint {
    match number {
        1 => CounterResetHint::Reset,
        2 => CounterResetHint::NotReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}
