//! A remote part as a file that is read, through the cache.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use super::cache::{RANGE_BYTES, RANGES_AT_ONCE};
use super::{Tier, TierError, part_key};
use crate::disk::ReadFile;
use crate::manifest::PartId;

/// A part in the bucket.
pub(super) struct RemoteFile {
    tier: Arc<Tier>,
    part: PartId,
    /// Its length, as the manifest says: asking for it would be a request.
    bytes: u64,
    reader: Mutex<Reader>,
}

/// Where reading has come to, to tell a reader who goes on from one who jumps.
#[derive(Default)]
struct Reader {
    /// The range behind the last one that was read.
    next: u64,
    /// How many ranges are read ahead.
    ahead: u64,
}

impl Reader {
    /// Notes that `ranges` are read now; how many behind them will be wanted next. It doubles
    /// with each step onward and is nothing after a jump.
    fn read(&mut self, ranges: &Range<u64>) -> u64 {
        if ranges.start > self.next || ranges.end < self.next {
            self.ahead = 0;
        } else if ranges.end > self.next {
            self.ahead = (self.ahead * 2).clamp(1, RANGES_AT_ONCE);
        }
        self.next = ranges.end;
        self.ahead
    }
}

impl RemoteFile {
    pub(super) fn new(tier: Arc<Tier>, part: PartId, bytes: u64) -> Self {
        Self {
            tier,
            part,
            bytes,
            reader: Mutex::default(),
        }
    }

    /// Requests a run of ranges. Each gets memory of its own, so that the cache frees what it drops.
    fn fetch(&self, run: Range<u64>) -> Result<Vec<Arc<[u8]>>, TierError> {
        let start = run.start * RANGE_BYTES;
        let end = (run.end * RANGE_BYTES).min(self.bytes);
        let bytes = self
            .tier
            .bucket
            .get_range(&part_key(self.part), start..end)?;
        Ok(bytes
            .chunks(RANGE_BYTES as usize)
            .map(Arc::<[u8]>::from)
            .collect())
    }
}

impl ReadFile for RemoteFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes)
    }

    fn read_exact_at(&self, mut buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.saturating_add(buffer.len() as u64);
        if end > self.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if buffer.is_empty() {
            return Ok(());
        }
        let ranges = ranges_of(offset..end);
        let ahead = self.reader.lock().read(&ranges);
        let ahead = ahead.min(self.tier.cache.ahead_max());
        let last = self.bytes.div_ceil(RANGE_BYTES);
        let wanted = ranges.end.saturating_add(ahead).min(last);
        let mut skipped = (offset % RANGE_BYTES) as usize;
        for number in ranges {
            let cache = &self.tier.cache;
            let range = cache.range(self.part, number, wanted, |run| self.fetch(run));
            let range = range.map_err(TierError::into_part_io)?;
            let held = range.get(skipped..).unwrap_or_default();
            let (now, rest) = buffer.split_at_mut(held.len().min(buffer.len()));
            now.copy_from_slice(held.get(..now.len()).unwrap_or_default());
            buffer = rest;
            skipped = 0;
        }
        if buffer.is_empty() {
            return Ok(());
        }
        Err(io::Error::other(
            "the cache holds a range that is too short",
        ))
    }

    fn forget(&self, bytes: Range<u64>) -> bool {
        self.tier.cache.forget(self.part, ranges_of(bytes));
        true
    }
}

impl Drop for RemoteFile {
    fn drop(&mut self) {
        // Nobody reads the part any more.
        self.tier.cache.forget(self.part, ranges_of(0..self.bytes));
    }
}

fn ranges_of(bytes: Range<u64>) -> Range<u64> {
    bytes.start / RANGE_BYTES..bytes.end.div_ceil(RANGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_who_goes_on_is_read_ahead_for() {
        let mut reader = Reader::default();
        for (ranges, ahead) in [
            (0..1, 1),
            (0..1, 1),
            (1..2, 2),
            (1..4, 4),
            (4..5, 8),
            (5..6, 16),
            (6..7, 16),
            (90..91, 0),
            (90..91, 0),
            (91..92, 1),
            (3..4, 0),
        ] {
            assert_eq!(reader.read(&ranges), ahead, "{ranges:?}");
        }
    }
}
