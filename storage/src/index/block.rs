//! Blocks of an index: small, each readable alone, packed.
//!
//! ```text
//! 0  bytes                              as they are
//! 1  length uvarint, lz4 block          the length unpacked
//! ```

use std::any::Any;
use std::sync::Arc;

use crate::codec::{Cursor, Malformed, put_uvarint};
use crate::part::reader::PartFile;
use crate::part::writer::PartWriter;
use crate::part::{BlockHandle, PartError};

const PLAIN: u8 = 0;
const LZ4: u8 = 1;
/// The most an lz4 block can grow by.
const LZ4_RATIO_MAX: usize = 255;

/// A block is closed when what it unpacks to has grown to this.
pub(super) const BLOCK_BYTES: usize = 64 << 10;

/// Appends a block.
pub(super) fn put_block(writer: &mut PartWriter, raw: &[u8]) -> Result<BlockHandle, PartError> {
    writer.block(&pack(raw))
}

fn pack(raw: &[u8]) -> Vec<u8> {
    let mut packed = vec![LZ4];
    put_uvarint(&mut packed, raw.len() as u64);
    packed.extend_from_slice(&lz4_flex::compress(raw));
    if packed.len() > raw.len() {
        packed.clear();
        packed.push(PLAIN);
        packed.extend_from_slice(raw);
    }
    packed
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut cursor = Cursor::new(packed);
    let kind = cursor.u8()?;
    let bytes = match kind {
        LZ4 => cursor.uvarint()?,
        _ => cursor.remaining() as u64,
    };
    let body = cursor.take(cursor.remaining())?;
    match kind {
        PLAIN => Ok(body.to_vec()),
        LZ4 => {
            let most = body.len().saturating_mul(LZ4_RATIO_MAX);
            let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= most);
            let bytes = bytes.ok_or_else(|| cursor.malformed("a length that lz4 can have"))?;
            lz4_flex::decompress(body, bytes).map_err(|_| cursor.malformed("an lz4 block"))
        }
        _ => Err(cursor.malformed("a kind of block")),
    }
}

/// What `decode` makes of a block; it also says how many bytes that takes.
pub(super) fn read_block<T: Any + Send + Sync>(
    file: &PartFile,
    handle: BlockHandle,
    decode: impl FnOnce(Vec<u8>) -> Result<(T, usize), Malformed>,
) -> Result<Arc<T>, PartError> {
    file.cached(handle, |packed| {
        unpack(packed)
            .and_then(decode)
            .map_err(|malformed| file.corrupt(handle.offset, malformed.to_string()))
    })
}

/// Appends the place of a block.
pub(super) fn put_handle(out: &mut Vec<u8>, handle: BlockHandle) {
    put_uvarint(out, handle.offset);
    put_uvarint(out, u64::from(handle.length));
}

/// The place of a block.
pub(super) fn handle(cursor: &mut Cursor<'_>) -> Result<BlockHandle, Malformed> {
    Ok(BlockHandle {
        offset: cursor.uvarint()?,
        length: number(cursor)?,
    })
}

/// A number below 2^32.
pub(super) fn number(cursor: &mut Cursor<'_>) -> Result<u32, Malformed> {
    u32::try_from(cursor.uvarint()?).map_err(|_| cursor.malformed("a number below 2^32"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(byte: u8, bytes: Vec<u8>, repeated in 0_usize..500) {
            let mut raw = bytes;
            raw.resize(raw.len() + repeated, byte);
            prop_assert_eq!(unpack(&pack(&raw)), Ok(raw));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            if let Ok(raw) = unpack(&bytes) {
                prop_assert!(raw.len() <= bytes.len() * LZ4_RATIO_MAX);
            }
        }
    }
}
