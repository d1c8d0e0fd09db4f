//! Milliseconds, strictly ascending.
//!
//! ```text
//! 0  steady   count uvarint, first ivarint, step uvarint (where count > 1)
//! 1  deltas   count uvarint, first ivarint, first delta uvarint, then the change of each delta ivarint
//! 2  packed   count uvarint, first ivarint, groups of the deltas (see `groups`)
//! ```
//!
//! Differences wrap around, so that any two instants of 64 bits may follow each other. A scrape
//! that is on time to the millisecond costs a dozen bytes a block, one that jitters a few bits a sample.

use storage::codec::{Cursor, Malformed, put_ivarint, put_uvarint};

use super::groups::Group;
use super::{BLOCK_SAMPLES_MAX, groups};

const STEADY: u8 = 0;
const DELTAS: u8 = 1;
const PACKED: u8 = 2;

/// Appends a body that holds `timestamps`, which ascend strictly.
pub fn encode(timestamps: &[i64], out: &mut Vec<u8>) {
    let deltas: Vec<u64> = timestamps
        .iter()
        .zip(timestamps.iter().skip(1))
        .map(|(a, b)| b.wrapping_sub(*a) as u64)
        .collect();
    let first = timestamps.first().copied().unwrap_or_default();
    let step = deltas.first().copied();
    let is_steady = deltas.iter().all(|delta| Some(*delta) == step);
    let mut body = Vec::new();
    if is_steady {
        put_head(STEADY, timestamps.len(), first, &mut body);
        if let Some(step) = step {
            put_uvarint(&mut body, step);
        }
    } else {
        put_head(DELTAS, timestamps.len(), first, &mut body);
        put_uvarint(&mut body, step.unwrap_or_default());
        for (a, b) in deltas.iter().zip(deltas.iter().skip(1)) {
            put_ivarint(&mut body, b.wrapping_sub(*a) as i64);
        }
        let mut packed = Vec::new();
        put_head(PACKED, timestamps.len(), first, &mut packed);
        let deltas: Vec<i64> = deltas.iter().map(|delta| *delta as i64).collect();
        groups::encode(&deltas, &mut packed);
        if packed.len() < body.len() {
            body = packed;
        }
    }
    out.extend_from_slice(&body);
}

fn put_head(tag: u8, count: usize, first: i64, out: &mut Vec<u8>) {
    out.push(tag);
    put_uvarint(out, count as u64);
    put_ivarint(out, first);
}

/// Reads a body.
pub fn decode(bytes: &[u8]) -> Result<Vec<i64>, Malformed> {
    let mut cursor = Cursor::new(bytes);
    let tag = cursor.u8()?;
    if tag > PACKED {
        return Err(cursor.malformed("a timestamp codec this program knows"));
    }
    let count = usize::try_from(cursor.uvarint()?)
        .ok()
        .filter(|count| *count <= BLOCK_SAMPLES_MAX)
        .ok_or_else(|| cursor.malformed("at most 8192 timestamps"))?;
    let mut at = cursor.ivarint()?;
    let mut timestamps = Vec::with_capacity(count);
    if count > 0 {
        timestamps.push(at);
    }
    if tag == PACKED {
        let mut ascends = true;
        groups::decode(&mut cursor, count.saturating_sub(1), |group| {
            let Group::Integers(deltas) = group else {
                ascends = false;
                return;
            };
            for delta in deltas {
                let next = at.wrapping_add(*delta);
                ascends &= next > at;
                timestamps.push(next);
                at = next;
            }
        })?;
        return if ascends {
            Ok(timestamps)
        } else {
            Err(cursor.malformed("ascending timestamps"))
        };
    }
    let mut delta = if count > 1 { cursor.uvarint()? } else { 0 };
    for index in 1..count {
        if tag == DELTAS && index > 1 {
            delta = delta.wrapping_add(cursor.ivarint()? as u64);
        }
        let next = at.wrapping_add(delta as i64);
        if next <= at {
            return Err(cursor.malformed("ascending timestamps"));
        }
        timestamps.push(next);
        at = next;
    }
    Ok(timestamps)
}
