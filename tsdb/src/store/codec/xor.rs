//! Floats as the bits in which each differs from the one before.
//!
//! ```text
//! first    64 bits
//! then     0                                  the same bits
//!          1 0  significant bits              within the last window of significant bits
//!          1 1  leading zeros (5 bits), significant bits - 1 (6 bits), significant bits
//! ```
//!
//! Source: the Gorilla paper (Pelkonen et al., VLDB 2015), section 4.1.2.

use storage::codec::{Cursor, Malformed};

use super::bits::{BitReader, BitWriter};

/// The largest count of leading zeros that five bits hold.
const LEADING_MAX: u32 = 31;

/// Appends the floats.
pub(super) fn encode(values: &[f64], out: &mut Vec<u8>) {
    let mut bits = BitWriter::default();
    let mut previous: Option<u64> = None;
    // Leading and trailing zeros of the window in use.
    let mut window: Option<(u32, u32)> = None;
    for value in values {
        let value = value.to_bits();
        let Some(before) = previous.replace(value) else {
            bits.put(value, 64);
            continue;
        };
        let xor = before ^ value;
        if xor == 0 {
            bits.put(0, 1);
            continue;
        }
        let leading = xor.leading_zeros().min(LEADING_MAX);
        let trailing = xor.trailing_zeros();
        if let Some((window_leading, window_trailing)) = window
            && leading >= window_leading
            && trailing >= window_trailing
        {
            bits.put(0b10, 2);
            bits.put(
                xor >> window_trailing,
                64 - window_leading - window_trailing,
            );
            continue;
        }
        let significant = 64 - leading - trailing;
        bits.put(0b11, 2);
        bits.put(u64::from(leading), 5);
        bits.put(u64::from(significant - 1), 6);
        bits.put(xor >> trailing, significant);
        window = Some((leading, trailing));
    }
    out.extend_from_slice(&bits.finish());
}

/// Reads `count` floats.
pub(super) fn decode(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<f64>, Malformed> {
    let mut bits = BitReader::new(cursor);
    let mut values = Vec::with_capacity(count);
    let mut previous = 0;
    let mut window: Option<(u32, u32)> = None;
    for index in 0..count {
        if index == 0 {
            previous = bits.take(64)?;
        } else if bits.take(1)? == 1 {
            if bits.take(1)? == 1 {
                let leading = bits.take(5)? as u32;
                let significant = bits.take(6)? as u32 + 1;
                let trailing = 64u32
                    .checked_sub(leading + significant)
                    .ok_or_else(|| bits.malformed("at most 64 significant bits"))?;
                window = Some((leading, trailing));
            }
            let (leading, trailing) =
                window.ok_or_else(|| bits.malformed("a window of significant bits"))?;
            previous ^= bits.take(64 - leading - trailing)? << trailing;
        }
        values.push(f64::from_bits(previous));
    }
    Ok(values)
}
