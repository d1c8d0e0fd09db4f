//! Floats, any 64 bits, by the smallest codec that gives the same bits back.
//!
//! ```text
//! 0  raw             64 bits each
//! 1  constant        64 bits once
//! 2  delta-constant  first ivarint, difference ivarint: integers below 2^53 at even distances
//! 3  xor             see `xor`
//! 4  decimal         see `decimal`; read, no longer written
//! 5  packed          see `integers`
//! 6  pco integers    see `integers`
//! 7  pco floats      see `pco`
//! 8  few             exponent u8, then the mantissas: ivarint each, the change against the one before
//! 9  runs            see `integers`
//! ```
//!
//! Which codec a block takes is decided by cheap statistics: trying all would cost more than
//! writing the block. What stays is tried with pco too, which must be smaller by some percent:
//! it is several times slower to read.

use storage::codec::{Cursor, Malformed, put_f64, put_ivarint};
use storage::table::Density;

use super::integers::{self, Integers};
use super::{decimal, exact_integer, pco, xor};

const RAW: u8 = 0;
const CONSTANT: u8 = 1;
const DELTA_CONSTANT: u8 = 2;
const XOR: u8 = 3;
const DECIMAL: u8 = 4;
const PACKED: u8 = 5;
const PCO_INTEGERS: u8 = 6;
const PCO_FLOATS: u8 = 7;
const FEW: u8 = 8;
const RUNS: u8 = 9;

/// Up to as many decimals are written one by one: a flush has a few samples of very many series.
const FEW_MAX: usize = 16;

/// Shorter blocks are not worth a chunk of pco's.
const PCO_SAMPLES_MIN: usize = 64;
/// Percent of the packed size that pco must stay below.
const PCO_PERCENT: usize = 96;
/// Percent of the packed size that XOR, which reads bit after bit, must stay below.
const XOR_PERCENT: usize = 85;

/// Appends a body that holds `values`.
pub fn encode(values: &[f64], density: Density, out: &mut Vec<u8>) {
    let body = smallest(values, density);
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
        PACKED => integers::unpack(&mut cursor, count, out)?,
        RUNS => integers::decode_runs(&mut cursor, count, out)?,
        PCO_INTEGERS => integers::decode_pco(&mut cursor, count, out)?,
        PCO_FLOATS => pco::decode_floats(&mut cursor, count, out)?,
        FEW => {
            let exponent = cursor.u8()?;
            let mut mantissa = 0i64;
            for _ in 0..count {
                mantissa = mantissa.wrapping_add(cursor.ivarint()?);
                let value = decimal::value_of(mantissa, exponent);
                out.push(value.ok_or_else(|| cursor.malformed("an exponent of at most 12"))?);
            }
        }
        _ => return Err(cursor.malformed("a value codec this program knows")),
    }
    Ok(())
}

fn smallest(values: &[f64], density: Density) -> Vec<u8> {
    if let Some(body) = constant(values).or_else(|| delta_constant(values)) {
        return body;
    }
    if values.len() <= FEW_MAX {
        return few(values).unwrap_or_else(|| raw(values));
    }
    let decimals = Integers::of_decimals(values);
    let are_decimals = decimals.is_some();
    let integers = decimals.unwrap_or_else(|| Integers::of_bits(values));
    let mut best = vec![PACKED];
    integers.pack(&mut best);
    if !are_decimals {
        let mut other = vec![XOR];
        xor::encode(values, &mut other);
        keep_if_within(&mut best, other, XOR_PERCENT);
    }
    let mut other = vec![RUNS];
    if integers.runs(&mut other).is_some() {
        keep_if_within(&mut best, other, 100);
    }
    if density == Density::Settled && values.len() >= PCO_SAMPLES_MIN {
        let packed = best.len();
        let mut other = vec![PCO_INTEGERS];
        if integers.pco(&mut other).is_some() {
            keep_if_within(&mut best, other, PCO_PERCENT);
        }
        let mut other = vec![PCO_FLOATS];
        if !are_decimals && pco::encode_floats(values, &mut other).is_some() {
            let percent = if best.len() < packed {
                100
            } else {
                PCO_PERCENT
            };
            keep_if_within(&mut best, other, percent);
        }
    }
    if best.len() > values.len() * 8 {
        return raw(values);
    }
    best
}

/// Takes `other` if it stays below `percent` of the best.
fn keep_if_within(best: &mut Vec<u8>, other: Vec<u8>, percent: usize) {
    if other.len() * 100 < best.len() * percent {
        *best = other;
    }
}

fn few(values: &[f64]) -> Option<Vec<u8>> {
    let (exponent, mantissas) = decimal::mantissas(values)?;
    let mut body = vec![FEW, exponent];
    let mut before = 0;
    for mantissa in mantissas {
        put_ivarint(&mut body, mantissa - before);
        before = mantissa;
    }
    (body.len() <= size_of_val(values)).then_some(body)
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
    let step = exact_integer(*values.get(1)?)?.wrapping_sub(first);
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
