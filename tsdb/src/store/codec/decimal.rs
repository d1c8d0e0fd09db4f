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
//!
//! Only the first version of the format wrote this body; today's is in [`integers`](super::integers).

use storage::codec::{Cursor, Malformed};

use super::INTEGER_MAX;
use super::bits::BitReader;

/// Differences that share a width.
const GROUP: usize = 128;
/// Powers of ten that are tried: more digits than this behind the point are no decimals people wrote.
pub(super) const POWERS: [f64; 13] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
];

/// The integer below 2^53 which over 10^`exponent` has the very bits of `value`.
pub(super) fn mantissa(value: f64, exponent: usize) -> Option<i64> {
    let power = *POWERS.get(exponent)?;
    let scaled = value * power;
    // Towards zero after a half: a rounding instruction is not on every machine. An integer is its own
    // mantissa, and at 2^52 a half is no longer exact. Through an integer, for that has no `-0`.
    let half = if exponent == 0 {
        0.0
    } else {
        0.5f64.copysign(scaled)
    };
    let mantissa = (scaled + half) as i64;
    let is_exact =
        scaled.abs() < INTEGER_MAX && (mantissa as f64 / power).to_bits() == value.to_bits();
    is_exact.then_some(mantissa)
}

/// The least exponent at which every value is an exact decimal, and the mantissas.
pub(in crate::store) fn mantissas(values: &[f64]) -> Option<(u8, Vec<i64>)> {
    let is_exact = |exponent: &usize| values.iter().all(|v| mantissa(*v, *exponent).is_some());
    let exponent = (0..POWERS.len()).find(is_exact)?;
    let mantissas = values.iter().filter_map(|v| mantissa(*v, exponent));
    Some((exponent as u8, mantissas.collect()))
}

/// The value of a mantissa; none for an exponent that is never used.
pub(in crate::store) fn value_of(mantissa: i64, exponent: u8) -> Option<f64> {
    POWERS
        .get(usize::from(exponent))
        .map(|power| mantissa as f64 / power)
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
