//! The directory as the first version of the format wrote it: header after header.
//!
//! ```text
//! flags u8: 1 histograms, 2 has a summary, 4 has an extension; count uvarint, first instant ivarint,
//! last less first uvarint, places of the timestamps and of the values (page, offset, length uvarint);
//! summary: first f64, last f64, then for least and greatest a kind u8 and where it is 2 an f64;
//! extension: length uvarint, bytes
//! ```
//!
//! Its summaries lack what today's have and are left out: they save work, and nothing else.

use model::time::{TimeRange, Timestamp};
use storage::codec::{Cursor, Malformed};

use super::DirectoryBlock;
use crate::store::chunk::{ChunkHeader, ChunkKind, Place, TimesSpan};
use crate::store::codec::BLOCK_SAMPLES_MAX;

/// Name of the section with the places of the directory's blocks.
pub(in crate::store) const CHUNKS_SECTION: &str = "chunks";
const HISTOGRAMS: u8 = 1;
const SUMMARY: u8 = 2;
const EXTENSION: u8 = 4;
const WRITTEN_OUT: u8 = 2;

/// Reads a block.
pub(in crate::store) fn decode(bytes: &[u8]) -> Result<DirectoryBlock, Malformed> {
    let mut cursor = Cursor::new(bytes);
    let mut block = DirectoryBlock::default();
    while !cursor.is_at_end() {
        let count = cursor.count(10)?;
        let mut headers = Vec::with_capacity(count);
        for _ in 0..count {
            headers.push(header(&mut cursor)?);
        }
        block.push(headers);
    }
    Ok(block)
}

fn header(cursor: &mut Cursor<'_>) -> Result<ChunkHeader, Malformed> {
    let flags = cursor.u8()?;
    if flags > HISTOGRAMS | SUMMARY | EXTENSION {
        return Err(cursor.malformed("flags of a block this program knows"));
    }
    let kind = if flags & HISTOGRAMS == 0 {
        ChunkKind::Floats
    } else {
        ChunkKind::Histograms
    };
    let count = usize::try_from(cursor.uvarint()?)
        .ok()
        .filter(|count| *count <= BLOCK_SAMPLES_MAX)
        .ok_or_else(|| cursor.malformed("at most 8192 samples"))?;
    let start = cursor.ivarint()?;
    let end = start.wrapping_add(cursor.uvarint()? as i64);
    let times = TimesSpan {
        body: place(cursor)?,
        skip: 0,
    };
    let values = place(cursor)?;
    if flags & SUMMARY != 0 {
        cursor.take(16)?;
        for _ in 0..2 {
            if cursor.u8()? == WRITTEN_OUT {
                cursor.f64()?;
            }
        }
    }
    if flags & EXTENSION != 0 {
        cursor.bytes()?;
    }
    Ok(ChunkHeader {
        kind,
        count,
        range: TimeRange::new(Timestamp(start), Timestamp(end)),
        times,
        values,
        starts: None,
        summary: None,
    })
}

fn place(cursor: &mut Cursor<'_>) -> Result<Place, Malformed> {
    let mut number =
        || u32::try_from(cursor.uvarint()?).map_err(|_| cursor.malformed("a place of 32 bits"));
    Ok(Place {
        page: number()?,
        offset: number()?,
        length: number()?,
    })
}
