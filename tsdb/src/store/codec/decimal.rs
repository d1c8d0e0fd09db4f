//! Floats that are exact decimals: integers over a power of ten.
//!
//! ```text
//! exponent u8, first ivarint, then for each 128 differences:
//! least difference ivarint, width u8, each difference less the least in `width` bits
//! ```
//!
//! A value qualifies if some `m` below 2^53 gives `m / 10^exponent` with the value's very bits.
//! Integers and powers of ten up to 10^22 are exact floats and division rounds correctly, so a
//! value that qualifies at one exponent also does at a larger one as long as `m` stays below 2^53:
//! one pass finds the exponent of a block.

use storage::codec::{Cursor, Malformed, put_ivarint};

use super::INTEGER_MAX;
use super::bits::{BitReader, BitWriter};

/// Differences that share a width.
const GROUP: usize = 128;
/// Powers of ten that are tried: more digits than this behind the point are no decimals people wrote.
const POWERS: [f64; 13] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
];

/// Appends the floats, if each is an exact decimal. On `None` nothing was appended.
pub(super) fn encode(values: &[f64], out: &mut Vec<u8>) -> Option<()> {
    let exponent = exponent_of(values)?;
    let power = POWERS.get(exponent)?;
    let mantissas: Vec<i64> = values
        .iter()
        .map(|value| (value * power).round() as i64)
        .collect();
    out.push(exponent as u8);
    put_ivarint(out, mantissas.first().copied().unwrap_or_default());
    // Two mantissas below 2^53 differ by less than 2^54: nothing overflows.
    let deltas: Vec<i64> = mantissas
        .iter()
        .zip(mantissas.iter().skip(1))
        .map(|(a, b)| b - a)
        .collect();
    for group in deltas.chunks(GROUP) {
        let least = group.iter().min().copied().unwrap_or_default();
        let most = group.iter().max().copied().unwrap_or_default();
        let width = 64 - ((most - least) as u64).leading_zeros();
        put_ivarint(out, least);
        out.push(width as u8);
        let mut bits = BitWriter::default();
        for delta in group {
            bits.put((delta - least) as u64, width);
        }
        out.extend_from_slice(&bits.finish());
    }
    Some(())
}

/// The least exponent at which every value is an exact decimal, and the mantissas.
pub(in crate::store) fn mantissas(values: &[f64]) -> Option<(u8, Vec<i64>)> {
    let exponent = exponent_of(values)?;
    let power = POWERS.get(exponent)?;
    let mantissas = values.iter().map(|value| (value * power).round() as i64);
    Some((exponent as u8, mantissas.collect()))
}

/// The value of a mantissa; none for an exponent that is never used.
pub(in crate::store) fn value_of(mantissa: i64, exponent: u8) -> Option<f64> {
    POWERS
        .get(usize::from(exponent))
        .map(|power| mantissa as f64 / power)
}

/// The least exponent at which every value is an integer over a power of ten.
fn exponent_of(values: &[f64]) -> Option<usize> {
    let mut exponent = 0;
    for value in values {
        while !is_exact(*value, *POWERS.get(exponent)?) {
            exponent += 1;
        }
    }
    let power = *POWERS.get(exponent)?;
    // A later, larger exponent may have pushed an earlier value past 2^53.
    values
        .iter()
        .all(|value| is_exact(*value, power))
        .then_some(exponent)
}

fn is_exact(value: f64, power: f64) -> bool {
    let mantissa = (value * power).round();
    // Through an integer, as it is stored: it has no `-0`.
    mantissa.abs() < INTEGER_MAX && (mantissa as i64 as f64 / power).to_bits() == value.to_bits()
}

/// Reads `count` floats.
pub(super) fn decode(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<f64>, Malformed> {
    let exponent = usize::from(cursor.u8()?);
    let power = *POWERS
        .get(exponent)
        .ok_or_else(|| cursor.malformed("an exponent of at most 12"))?;
    let mut values = Vec::with_capacity(count);
    let mut mantissa = cursor.ivarint()?;
    if count > 0 {
        values.push(mantissa as f64 / power);
    }
    while values.len() < count {
        let least = cursor.ivarint()?;
        let width = u32::from(cursor.u8()?);
        if width > 64 {
            return Err(cursor.malformed("a width of at most 64 bits"));
        }
        let mut bits = BitReader::new(cursor);
        for _ in 0..GROUP.min(count - values.len()) {
            let delta = least.wrapping_add(bits.take(width)? as i64);
            mantissa = mantissa.wrapping_add(delta);
            values.push(mantissa as f64 / power);
        }
    }
    Ok(values)
}
