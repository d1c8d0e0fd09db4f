//! What was deleted of a block: for a series, ranges of time.
//!
//! ```text
//! magic 0x0130BA30 | version 1 | stones | CRC-32C u32 of the stones
//! stone: uvarint series | varint first | varint last
//! ```

use std::collections::HashMap;
use std::io;
use std::path::Path;

use model::time::{TimeRange, Timestamp};
use storage::codec::Cursor;
use storage::disk::Disk;

use crate::transfer::InputError;

const FILE: &str = "tombstones";
const MAGIC: u32 = 0x0130_BA30;

/// Deleted ranges by series.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    by_series: HashMap<u64, Vec<TimeRange>>,
}

impl Tombstones {
    /// Those of a block; none where it has no such file.
    pub(super) fn open(disk: &dyn Disk, block: &Path) -> Result<Self, InputError> {
        let bytes = match disk.read(&block.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            bytes => bytes?,
        };
        // What was deleted must not come back because a file is damaged.
        Self::parse(&bytes).ok_or_else(|| {
            InputError::Unreadable(format!(
                "{FILE}: damaged, so what was deleted is not known; remove the file to import all that the block holds"
            ))
        })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (version, rest) = rest.split_first()?;
        let (stones, checksum) = rest.split_last_chunk::<4>()?;
        let is_right = u32::from_be_bytes(*magic) == MAGIC
            && *version == 1
            && u32::from_be_bytes(*checksum) == crc32c::crc32c(stones);
        let mut cursor = Cursor::new(stones);
        let mut tombstones = Self::default();
        while is_right && !cursor.is_at_end() {
            let series = cursor.uvarint().ok()?;
            let range = TimeRange::new(
                Timestamp(cursor.ivarint().ok()?),
                Timestamp(cursor.ivarint().ok()?),
            );
            tombstones.by_series.entry(series).or_default().push(range);
        }
        is_right.then_some(tombstones)
    }

    /// The ranges of a series that were deleted.
    pub(super) fn of(&self, series: u64) -> &[TimeRange] {
        self.by_series.get(&series).map_or(&[], Vec::as_slice)
    }
}
