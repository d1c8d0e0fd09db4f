//! A chunk of floats: `<uint16>` samples, then each timestamp as the delta of deltas, each value as
//! the XOR with the one before.

use model::sample::Sample;
use model::time::Timestamp;

use super::bits::{Bits, BitsError, XorFloat};

/// The floats of a chunk.
pub(super) fn decode(data: &[u8]) -> Result<Vec<Sample>, BitsError> {
    let mut bits = Bits::new(data);
    let count = bits.bits(16)? as usize;
    // A sample takes two bits at least.
    let mut samples = Vec::with_capacity(count.min(data.len() * 4));
    let mut at = 0_i64;
    let mut delta = 0_i64;
    let mut value = XorFloat::default();
    for number in 0..count {
        match number {
            0 => {
                at = bits.varint()?;
                value = XorFloat::first(bits.float()?);
            }
            1 => {
                delta = bits.uvarint()? as i64;
                at = at.wrapping_add(delta);
                value.read(&mut bits)?;
            }
            _ => {
                delta = delta.wrapping_add(bits.varbit_ts()?);
                at = at.wrapping_add(delta);
                value.read(&mut bits)?;
            }
        }
        samples.push(Sample {
            timestamp: Timestamp(at),
            value: value.value,
        });
    }
    Ok(samples)
}
