//! The write-ahead log: where a write is durable before it is acknowledged.
//!
//! The log is a sequence of segments, `wal/<id>.wal`. A segment belongs to exactly one memtable:
//! when the memtable is sealed the log goes on in a new segment, and when the memtable's parts are in the
//! manifest the segment is removed. A record may therefore refer to what earlier records of its own
//! segment said (a dictionary of series, say), and never to another segment.
//!
//! ```text
//! segment   "TFWAL\0\0\1"  segment id u64        16 bytes
//! frame     "TFFR"  payload length u32  crc32c u32  payload
//! ```
//!
//! Integers are little-endian; a payload is one record of the table. The checksum is that of the segment
//! id (u64), the length (u32) and the payload in this order, so that a frame of another segment, or one
//! that a damaged length points at, is never taken for one of this place. Damage in the middle does not
//! cost what follows: the reader looks for the next frame that checks out and reports what it skipped.
//! At the end of a segment it is a torn write.
//!
//! Durability: `append` returns when the kernel has the bytes. [`sync::Syncer`] makes them durable,
//! for all waiting threads at once.

pub mod reader;
pub mod sync;
pub mod writer;

/// First bytes of a segment: the name and the format's version.
pub const SEGMENT_MAGIC: [u8; 8] = *b"TFWAL\0\0\x01";
/// First bytes of a frame.
pub const FRAME_MAGIC: [u8; 4] = *b"TFFR";
/// Bytes before a segment's first frame.
pub const SEGMENT_HEADER_BYTES: usize = 16;
/// Bytes before a frame's payload.
pub const FRAME_HEADER_BYTES: usize = 12;
/// The longest payload of a frame.
pub const PAYLOAD_BYTES_MAX: usize = 256 << 20;

/// The number of a segment; later segments have greater numbers.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct SegmentId(pub u64);

impl SegmentId {
    /// The segment after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Its file name.
    pub fn file_name(self) -> String {
        format!("{:016x}.wal", self.0)
    }

    /// The segment of a file name.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let digits = name.strip_suffix(".wal")?;
        u64::from_str_radix(digits, 16).ok().map(Self)
    }
}

/// The checksum of a frame.
fn frame_checksum(segment: SegmentId, payload: &[u8]) -> u32 {
    let checksum = crc32c::crc32c(&segment.0.to_le_bytes());
    let checksum = crc32c::crc32c_append(checksum, &(payload.len() as u32).to_le_bytes());
    crc32c::crc32c_append(checksum, payload)
}
