//! When the counter behind each sample started.
//!
//! ```text
//! 0  runs    per run: change of the start against the run before (against the first sample) ivarint,
//!            samples uvarint
//! 1  ages    per sample: change of (instant less start) against the sample before ivarint
//! ```
//!
//! A process starts once in many samples, so runs cost a few bytes a block; delta temporality moves the
//! start along with each sample, and then the ages are alike.

use storage::codec::{Cursor, Malformed, put_ivarint, put_uvarint};

const RUNS: u8 = 0;
const AGES: u8 = 1;

/// Appends a body that holds the starts of the samples at `timestamps`.
pub fn encode(starts: &[i64], timestamps: &[i64], out: &mut Vec<u8>) {
    let mut runs = vec![RUNS];
    let mut before = timestamps.first().copied().unwrap_or_default();
    for run in starts.chunk_by(|a, b| a == b) {
        let start = run.first().copied().unwrap_or_default();
        put_ivarint(&mut runs, start.wrapping_sub(before));
        put_uvarint(&mut runs, run.len() as u64);
        before = start;
    }
    let mut ages = vec![AGES];
    let mut before = 0i64;
    for (start, at) in starts.iter().zip(timestamps) {
        let age = at.wrapping_sub(*start);
        put_ivarint(&mut ages, age.wrapping_sub(before));
        before = age;
    }
    out.extend_from_slice(if ages.len() < runs.len() {
        &ages
    } else {
        &runs
    });
}

/// Appends the starts of the samples at `timestamps` to `out`.
pub fn decode(bytes: &[u8], timestamps: &[i64], out: &mut Vec<i64>) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(bytes);
    match cursor.u8()? {
        RUNS => {
            let mut start = timestamps.first().copied().unwrap_or_default();
            let mut left = timestamps.len();
            while left > 0 {
                start = start.wrapping_add(cursor.ivarint()?);
                let count = usize::try_from(cursor.uvarint()?)
                    .ok()
                    .filter(|count| (1..=left).contains(count))
                    .ok_or_else(|| cursor.malformed("a run within the block"))?;
                out.extend(std::iter::repeat_n(start, count));
                left -= count;
            }
        }
        AGES => {
            let mut age = 0i64;
            for at in timestamps {
                age = age.wrapping_add(cursor.ivarint()?);
                out.push(at.wrapping_sub(age));
            }
        }
        _ => return Err(cursor.malformed("a codec of starts this program knows")),
    }
    Ok(())
}
