//! The six codecs of the reference, in their plainest form: bytes of the values of a block.
//!
//! Nothing here is shared with the store, so that a day fitted to these is not fitted to the store. A
//! staleness marker is no value to any of them: it is left out and counted as ten bytes. Floats that are no
//! decimals of at most twelve digits behind the point go by XOR where integers are wanted, and by
//! pco's floats where pco is.

use anyhow::Context as _;
use pco::data_types::Number;
use pco::wrapped::FileCompressor;
use pco::{ChunkConfig, ModeSpec};

/// A codec of the reference, in the order of its table.
pub(crate) const NAMES: [&str; 6] = [
    "XOR",
    "exact-decimal + delta + varint + zstd-3",
    "exact-decimal + delta + bitpack(128)",
    "pco on f64",
    "pco on exact-decimal i64",
    "best of the last four per block",
];

const MARKER_BYTES: usize = 10;
/// Whole numbers up to here are exact floats.
const INTEGER_MAX: f64 = 9_007_199_254_740_992.0;
const EXPONENT_MAX: i32 = 12;
const PACKED_TOGETHER: usize = 128;

/// Bytes that each codec makes of a block.
pub(crate) fn bytes(block: &[f64]) -> anyhow::Result<[usize; NAMES.len()]> {
    let values: Vec<f64> = block.iter().copied().filter(|v| !v.is_nan()).collect();
    let markers = (block.len() - values.len()) * MARKER_BYTES;
    let by_xor = xor(&values);
    let floats = pco_bytes(&values, ModeSpec::default())?;
    let four = match mantissas(&values) {
        Some(integers) => [
            varint_zstd(&integers)?,
            bitpacked(&integers),
            floats,
            pco_bytes(&integers, ModeSpec::Classic)?,
        ],
        None => [by_xor, by_xor, floats, floats],
    };
    let [zstd, packed, floats, integers] = four;
    let best = zstd.min(packed).min(floats).min(integers);
    Ok([by_xor, zstd, packed, floats, integers, best].map(|bytes| bytes + markers))
}

/// The values times the least power of ten that makes whole numbers of all, which divided by it are the
/// very same floats.
fn mantissas(values: &[f64]) -> Option<Vec<i64>> {
    (0..=EXPONENT_MAX).find_map(|exponent| {
        let power = 10f64.powi(exponent);
        let exact = values.iter().map(|value| {
            let mantissa = (value * power).round();
            let is_exact = mantissa.abs() < INTEGER_MAX
                && (mantissa as i64 as f64 / power).to_bits() == value.to_bits();
            is_exact.then_some(mantissa as i64)
        });
        exact.collect()
    })
}

/// A mantissa as it is, then differences.
fn zigzag_changes(integers: &[i64]) -> impl Iterator<Item = u64> {
    let mut before = 0i64;
    integers.iter().map(move |integer| {
        let change = integer.wrapping_sub(before);
        before = *integer;
        (change << 1 ^ change >> 63) as u64
    })
}

fn varint_zstd(integers: &[i64]) -> anyhow::Result<usize> {
    let mut bytes = Vec::new();
    for mut change in zigzag_changes(integers) {
        while change > 0x7f {
            bytes.push(change as u8 | 0x80);
            change >>= 7;
        }
        bytes.push(change as u8);
    }
    let compressed = zstd::bulk::compress(&bytes, 3).context("cannot compress")?;
    // A block that does not compress is stored.
    Ok(2 + compressed.len().min(bytes.len()))
}

/// Exponent and first value, then per group a width and as many bits for each.
fn bitpacked(integers: &[i64]) -> usize {
    let changes: Vec<u64> = zigzag_changes(integers).skip(1).collect();
    let groups = changes.chunks(PACKED_TOGETHER).map(|group| {
        let widest = group.iter().copied().max().unwrap_or_default();
        let width = u64::BITS - widest.leading_zeros();
        1 + (width as usize * group.len()).div_ceil(8)
    });
    9 + groups.sum::<usize>()
}

/// Without the frame of a file of its own, which a block in a store has no use for.
fn pco_bytes<T: Number>(numbers: &[T], mode: ModeSpec) -> anyhow::Result<usize> {
    let config = ChunkConfig::default().with_mode_spec(mode);
    let file = FileCompressor::default();
    let mut bytes = Vec::new();
    file.write_header(&mut bytes)?;
    let mut chunk = file.chunk_compressor(numbers, &config)?;
    chunk.write_meta(&mut bytes)?;
    chunk.write_page(0, &mut bytes)?;
    Ok(bytes.len())
}

/// Bytes of Gorilla's floats, without its timestamps.
fn xor(values: &[f64]) -> usize {
    let mut bits = 64usize;
    let mut window: Option<(u32, u32)> = None;
    for pair in values.array_windows::<2>() {
        let [before, value] = pair.map(f64::to_bits);
        let changed = before ^ value;
        bits += 1;
        if changed == 0 {
            continue;
        }
        let (leading, trailing) = (changed.leading_zeros().min(31), changed.trailing_zeros());
        bits += 1;
        match window {
            Some((left, right)) if leading >= left && trailing >= right => {
                bits += (64 - left - right) as usize;
            }
            _ => {
                bits += (5 + 6 + 64 - leading - trailing) as usize;
                window = Some((leading, trailing));
            }
        }
    }
    bits.div_ceil(8)
}
