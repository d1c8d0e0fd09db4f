//! The container of an immutable part.
//!
//! A part is one file of checksummed blocks. What the blocks mean is the table's business; the
//! container makes sure that whatever is read is what was written.
//!
//! ```text
//! header     "TFPART\0\1"                                             8 bytes
//! block*     bytes  crc32c u32
//! directory  count uvarint, then per section: name behind its length uvarint, offset uvarint,
//!            length uvarint
//! trailer    directory offset u64  directory length u32  crc32c of the directory and then of
//!            the two numbers u32  "TFPE"                              20 bytes
//! ```
//!
//! Integers are little-endian. A section is a block with a name; where the others are stands in
//! sections and in other blocks. A block's length is that of its bytes, without the checksum, and the
//! checksum is that of its offset (u64) and then its bytes, so that a block that strayed is not taken for
//! the one asked for.
//!
//! Invariants: a part is written whole and synced before the manifest names it, and nothing in it
//! changes afterwards; every byte that is read is covered by a checksum that was verified.

pub mod cache;
pub mod reader;
pub mod writer;

use std::io;
use std::path::{Path, PathBuf};

use crate::patience::GivenUp;

/// First bytes of a part: the name and the format's version.
pub const PART_MAGIC: [u8; 8] = *b"TFPART\0\x01";
/// Last bytes of a part.
pub const TRAILER_MAGIC: [u8; 4] = *b"TFPE";
/// Bytes of the trailer.
pub const TRAILER_BYTES: usize = 20;
/// Bytes of a block's checksum.
pub const CHECKSUM_BYTES: usize = 4;

/// Where a block is: offset of its first byte, length without its checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockHandle {
    /// Offset in the file.
    pub offset: u64,
    /// Length in bytes.
    pub length: u32,
}

/// Why a part cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The part's file.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// What is there is not what was written.
    #[error("{}: corrupt at offset {offset}: {reason}", path.display())]
    Corrupt {
        /// The part's file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// What should be written does not fit the format.
    #[error("{}: cannot be written: {reason}", path.display())]
    Unexpected {
        /// The part's file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Whoever asked waits no longer.
    #[error(transparent)]
    GivenUp(GivenUp),
}

impl PartError {
    /// Whether the bytes are wrong, as opposed to unreadable for now.
    pub fn is_corruption(&self) -> bool {
        match self {
            Self::Corrupt { .. } => true,
            Self::Io { source, .. } => source.kind() == io::ErrorKind::UnexpectedEof,
            Self::Unexpected { .. } | Self::GivenUp(_) => false,
        }
    }

    /// The part's file; no path where the error is about none.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. } | Self::Corrupt { path, .. } | Self::Unexpected { path, .. } => {
                path
            }
            Self::GivenUp(_) => Path::new(""),
        }
    }
}

fn block_checksum(offset: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&offset.to_le_bytes()), bytes)
}
