//! A chunk of floats of the newer encoding: as [`super::xor`], but from the third sample on one prefix
//! says both how the timestamp and whether the value changed, and the staleness marker takes no value.

use model::sample::{Sample, is_stale_nan, stale_nan};
use model::time::Timestamp;

use super::bits::{Bits, BitsError, Starts, XorFloat};

/// The floats of a chunk.
pub(super) fn decode(data: &[u8]) -> Result<Vec<Sample>, BitsError> {
    let mut bits = Bits::new(data);
    let count = bits.bits(16)? as usize;
    let starts = Starts::read(&mut bits)?;
    let mut samples = Vec::with_capacity(count.min(data.len() * 8));
    let mut row = Row::default();
    for number in 0..count {
        let value = row.read(&mut bits, number)?;
        starts.skip(&mut bits, number)?;
        samples.push(Sample {
            timestamp: Timestamp(row.at),
            value,
        });
    }
    Ok(samples)
}

#[derive(Default)]
struct Row {
    at: i64,
    delta: i64,
    /// The last float that was no staleness marker.
    float: XorFloat,
}

impl Row {
    fn read(&mut self, bits: &mut Bits<'_>, number: usize) -> Result<f64, BitsError> {
        match number {
            0 => {
                self.at = bits.varint()?;
                let value = bits.float()?;
                // What follows is the difference from the last float that is no marker.
                self.float = XorFloat::first(if is_stale_nan(value) { 0.0 } else { value });
                return Ok(value);
            }
            1 => {
                self.delta = bits.uvarint()? as i64;
                self.at = self.at.wrapping_add(self.delta);
                return self.read_value(bits);
            }
            _ => {}
        }
        let step = match bits.ones(5)? {
            0 => {
                self.step(0);
                return Ok(self.float.value);
            }
            1 => {
                self.step(0);
                let is_new = bits.bit()?;
                self.float.read_changed(bits, is_new)?;
                return Ok(self.float.value);
            }
            2 => bits.twos_complement(13)?,
            3 => bits.twos_complement(20)?,
            4 => bits.bits(64)? as i64,
            _ => {
                self.step(0);
                return Ok(stale_nan());
            }
        };
        self.step(step);
        self.read_value(bits)
    }

    const fn step(&mut self, step: i64) {
        self.delta = self.delta.wrapping_add(step);
        self.at = self.at.wrapping_add(self.delta);
    }

    fn read_value(&mut self, bits: &mut Bits<'_>) -> Result<f64, BitsError> {
        match bits.ones(3)? {
            0 => Ok(self.float.value),
            3 => Ok(stale_nan()),
            windows => {
                self.float.read_changed(bits, windows == 2)?;
                Ok(self.float.value)
            }
        }
    }
}
