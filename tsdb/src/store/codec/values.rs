//! Floats, any 64 bits, by the smallest codec that gives the same bits back.
//!
//! ```text
//! 0  raw             64 bits each
//! 1  constant        64 bits once
//! 2  delta-constant  first ivarint, difference ivarint: integers below 2^53 at even distances
//! 3  xor             see `xor`
//! 4  decimal         see `decimal`
//! ```

use storage::codec::{Cursor, Malformed, put_f64, put_ivarint};
use storage::table::Density;

use super::{decimal, exact_integer, xor};

const RAW: u8 = 0;
const CONSTANT: u8 = 1;
const DELTA_CONSTANT: u8 = 2;
const XOR: u8 = 3;
const DECIMAL: u8 = 4;

/// Appends a body that holds `values`.
pub fn encode(values: &[f64], _density: Density, out: &mut Vec<u8>) {
    let body = smallest(values);
    // The guarantee of this store does not rest on the codecs being right.
    let mut back = Vec::with_capacity(values.len());
    let comes_back = decode(&body, values.len(), &mut back).is_ok() && same_bits(&back, values);
    debug_assert!(comes_back, "a codec changed bits");
    if comes_back {
        out.extend_from_slice(&body);
    } else {
        out.extend_from_slice(&raw(values));
    }
}

/// Whether the values of a body are worth a summary: where they are evenly spaced or all the same,
/// decoding it is no work.
pub fn is_worth_a_summary(body: &[u8]) -> bool {
    !matches!(body.first(), Some(&(CONSTANT | DELTA_CONSTANT)))
}

/// Appends the `count` floats of a body to `out`.
pub fn decode(bytes: &[u8], count: usize, out: &mut Vec<f64>) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(bytes);
    match cursor.u8()? {
        RAW => {
            for _ in 0..count {
                out.push(cursor.f64()?);
            }
        }
        CONSTANT => out.extend(std::iter::repeat_n(cursor.f64()?, count)),
        DELTA_CONSTANT => {
            let (mut value, step) = (cursor.ivarint()?, cursor.ivarint()?);
            out.extend((0..count).map(|_| {
                let present = value as f64;
                value = value.wrapping_add(step);
                present
            }));
        }
        XOR => out.append(&mut xor::decode(&mut cursor, count)?),
        DECIMAL => out.append(&mut decimal::decode(&mut cursor, count)?),
        _ => return Err(cursor.malformed("a value codec this program knows")),
    }
    Ok(())
}

fn smallest(values: &[f64]) -> Vec<u8> {
    if let Some(body) = constant(values).or_else(|| delta_constant(values)) {
        return body;
    }
    let mut best = vec![XOR];
    xor::encode(values, &mut best);
    let mut other = vec![DECIMAL];
    if decimal::encode(values, &mut other).is_some() && other.len() < best.len() {
        best = other;
    }
    if best.len() > values.len() * 8 {
        return raw(values);
    }
    best
}

fn raw(values: &[f64]) -> Vec<u8> {
    let mut body = vec![RAW];
    for value in values {
        put_f64(&mut body, *value);
    }
    body
}

fn constant(values: &[f64]) -> Option<Vec<u8>> {
    let first = values.first()?;
    let is_constant = values
        .iter()
        .all(|value| value.to_bits() == first.to_bits());
    is_constant.then(|| {
        let mut body = vec![CONSTANT];
        put_f64(&mut body, *first);
        body
    })
}

fn delta_constant(values: &[f64]) -> Option<Vec<u8>> {
    let first = exact_integer(*values.first()?)?;
    let step = exact_integer(*values.get(1)?)? - first;
    let mut expected = first;
    for value in values {
        if exact_integer(*value)? != expected {
            return None;
        }
        expected += step;
    }
    let mut body = vec![DELTA_CONSTANT];
    put_ivarint(&mut body, first);
    put_ivarint(&mut body, step);
    Some(body)
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}
