//! Numbers by pco: bins of equal bits behind an entropy coder.
//!
//! ```text
//! header, metadata of one chunk, one page: as pco's wrapped format has them
//! ```
//!
//! Pco comes close to the entropy of what is not even, and costs ten times the work of packed groups to
//! write and several times to read: it is for blocks that stay. Source of the format:
//! <https://github.com/pcodec/pcodec>, `docs/format.md`.

use ::pco::data_types::Number;
use ::pco::wrapped::{FileCompressor, FileDecompressor};
use ::pco::{ChunkConfig, ModeSpec};
use storage::codec::{Cursor, Malformed};

/// Appends integers without a common divisor.
pub(super) fn encode_integers(integers: &[i64], out: &mut Vec<u8>) -> Option<()> {
    encode(
        integers,
        &ChunkConfig::default().with_mode_spec(ModeSpec::Classic),
        out,
    )
}

/// Appends floats.
pub(super) fn encode_floats(values: &[f64], out: &mut Vec<u8>) -> Option<()> {
    encode(values, &ChunkConfig::default(), out)
}

fn encode<T: Number>(numbers: &[T], config: &ChunkConfig, out: &mut Vec<u8>) -> Option<()> {
    let file = FileCompressor::default();
    file.write_header(&mut *out).ok()?;
    let mut chunk = file.chunk_compressor(numbers, config).ok()?;
    chunk.write_meta(&mut *out).ok()?;
    chunk.write_page(0, out).ok()?;
    Some(())
}

/// Reads `count` integers from the rest of `cursor`.
pub(super) fn decode_integers(
    cursor: &mut Cursor<'_>,
    count: usize,
) -> Result<Vec<i64>, Malformed> {
    let mut integers = vec![0; count];
    decode(cursor, &mut integers)?;
    Ok(integers)
}

/// Appends `count` floats from the rest of `cursor` to `out`.
pub(super) fn decode_floats(
    cursor: &mut Cursor<'_>,
    count: usize,
    out: &mut Vec<f64>,
) -> Result<(), Malformed> {
    let before = out.len();
    out.resize(before + count, 0.0);
    decode(cursor, out.get_mut(before..).unwrap_or_default())
}

fn decode<T: Number>(cursor: &mut Cursor<'_>, out: &mut [T]) -> Result<(), Malformed> {
    let malformed = cursor.malformed("numbers as pco writes them");
    let rest = cursor.take(cursor.remaining())?;
    let mut read = || -> ::pco::errors::PcoResult<bool> {
        let (file, rest) = FileDecompressor::new(rest)?;
        let (mut chunk, rest) = file.chunk_decompressor::<T, _>(rest)?;
        let progress = chunk.page_decompressor(rest, out.len())?.read(out)?;
        Ok(progress.n_processed == out.len())
    };
    match read() {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(malformed),
    }
}
