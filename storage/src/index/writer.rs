//! Writing the index of a part.
//!
//! ```text
//! block*             64 series each: their encoded labels, each behind its length, lz4 with its size
//! block*             roaring bitmaps of the values that more than one series has
//! section "series"   count uvarint, then per block of labels: offset uvarint, length uvarint
//! section "terms"    an FST: name 0xFF value → postings
//! ```
//!
//! 0xFF occurs in no UTF-8 text, so a name ends where it ends. Postings are one number: with the
//! highest bit set the one series that has the value, else `offset << 24 | length` of a block.

use std::collections::BTreeMap;

use model::labels::Labels;
use roaring::RoaringBitmap;

use super::SeriesRef;
use crate::codec::{put_bytes, put_uvarint};
use crate::part::writer::PartWriter;
use crate::part::{BlockHandle, PartError};

/// Series whose labels share a block.
pub(super) const SERIES_PER_BLOCK: usize = 64;
/// Ends a label name in a key of the FST.
pub(super) const NAME_END: u8 = 0xff;
/// Marks postings that are a series themselves.
pub(super) const SINGLE: u64 = 1 << 63;
/// Bits of a block's length in packed postings.
pub(super) const LENGTH_BITS: u32 = 24;
/// Name of the section with the places of the labels.
pub(super) const SERIES_SECTION: &str = "series";
/// Name of the section with the FST.
pub(super) const TERMS_SECTION: &str = "terms";

/// Writes the index of `series`, whose numbers are their positions.
pub fn write_index(series: &[Labels], writer: &mut PartWriter) -> Result<(), PartError> {
    let mut places = Vec::new();
    put_uvarint(&mut places, series.len() as u64);
    for block in series.chunks(SERIES_PER_BLOCK) {
        let mut raw = Vec::new();
        for labels in block {
            put_bytes(&mut raw, labels.as_encoded().as_bytes());
        }
        let handle = writer.block(&lz4_flex::compress_prepend_size(&raw))?;
        put_uvarint(&mut places, handle.offset);
        put_uvarint(&mut places, u64::from(handle.length));
    }
    writer.section(SERIES_SECTION, &places)?;

    let mut terms: BTreeMap<Vec<u8>, RoaringBitmap> = BTreeMap::new();
    for (number, labels) in series.iter().enumerate() {
        for (name, value) in labels {
            terms
                .entry(term(name, value))
                .or_default()
                .insert(number as SeriesRef);
        }
    }
    let mut map = fst::MapBuilder::memory();
    for (term, bitmap) in terms {
        let postings = write_postings(&bitmap, writer)?;
        map.insert(term, postings)
            .map_err(|error| writer.unexpected(&error))?;
    }
    let map = map
        .into_inner()
        .map_err(|error| writer.unexpected(&error))?;
    writer.section(TERMS_SECTION, &map)?;
    Ok(())
}

/// The FST key of a label.
pub(super) fn term(name: &str, value: &str) -> Vec<u8> {
    let mut term = Vec::with_capacity(name.len() + value.len() + 1);
    term.extend_from_slice(name.as_bytes());
    term.push(NAME_END);
    term.extend_from_slice(value.as_bytes());
    term
}

fn write_postings(bitmap: &RoaringBitmap, writer: &mut PartWriter) -> Result<u64, PartError> {
    if bitmap.len() == 1
        && let Some(series) = bitmap.min()
    {
        return Ok(SINGLE | u64::from(series));
    }
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    bitmap
        .serialize_into(&mut bytes)
        .map_err(|error| writer.unexpected(&error))?;
    let BlockHandle { offset, length } = writer.block(&bytes)?;
    if offset >= 1 << (63 - LENGTH_BITS) || length >= 1 << LENGTH_BITS {
        return Err(writer.unexpected(&"the part has grown past what its index can address"));
    }
    Ok(offset << LENGTH_BITS | u64::from(length))
}
