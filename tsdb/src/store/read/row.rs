//! Pieces of a series that follow each other in time, put together without looking at each sample.
//!
//! Nearly every series is floats that lie in one block, or in blocks and memtables of which each
//! begins after the one before has ended. Nothing is written over anything then: values are decoded
//! into the reader's buffer, or come from the cache; timestamps and values that are one piece are not
//! even copied. Whatever is not like that is said to be not, and read in the general way.

use model::time::TimeRange;
use storage::index::SeriesRef;
use storage::manifest::PartId;
use storage::part::PartError;

use super::ReadCaches;
use super::cache::BlockCache;
use super::selection::ViewSelection;
use crate::query::Samples;
use crate::store::chunk::{ChunkHeader, ChunkKind};
use crate::store::columns::Columns;
use crate::store::part_reader::PartScan;

/// Blocks that take fewer bytes are described, not encoded: they are cheaper to decode than to
/// keep.
const CACHED_BYTES_MIN: u32 = 32;

/// Samples of a series as far as they have been put together.
pub(super) struct Row<'r> {
    samples: &'r mut Samples,
    range: TimeRange,
    cache: Option<&'r BlockCache>,
    /// The last instant so far.
    last: Option<i64>,
}

impl<'r> Row<'r> {
    pub(super) fn new(samples: &'r mut Samples, selection: &'r ViewSelection) -> Self {
        samples.clear();
        Self {
            samples,
            range: selection.range,
            cache: selection.reader.caches.as_deref().map(ReadCaches::blocks),
            last: None,
        }
    }

    /// Appends the blocks of a series in a part. None where they are not floats alone, or do not
    /// follow what is there.
    pub(super) fn append_chunks(
        &mut self,
        part: PartId,
        scan: &mut PartScan<'_>,
        series: SeriesRef,
    ) -> Result<Option<()>, PartError> {
        let chunks = scan.chunks(series)?;
        for header in chunks.iter() {
            if header.kind == ChunkKind::Exemplars || !header.range.overlaps(&self.range) {
                continue;
            }
            let follows = self.last.is_none_or(|last| last < header.range.start.0);
            if header.kind != ChunkKind::Floats || header.starts.is_some() || !follows {
                return Ok(None);
            }
            self.append_chunk(part, scan, header)?;
            self.last = Some(header.range.end.0);
        }
        Ok(Some(()))
    }

    fn append_chunk(
        &mut self,
        part: PartId,
        scan: &mut PartScan<'_>,
        header: &ChunkHeader,
    ) -> Result<(), PartError> {
        let times = scan.times(header)?;
        let low = times.partition_point(|at| *at < self.range.start.0);
        let high = times.partition_point(|at| *at <= self.range.end.0).max(low);
        let is_first = self.samples.timestamps.is_empty();
        let (all, positions) = times.shared();
        if is_first {
            let positions = positions.start + low..positions.start + high;
            self.samples.timestamps.share(all.clone(), positions);
        } else {
            let piece = times.get(low..high).unwrap_or_default();
            self.samples.timestamps.make_own().extend_from_slice(piece);
        }
        let cache = self
            .cache
            .filter(|_| header.values.length >= CACHED_BYTES_MIN);
        let Some(cache) = cache else {
            let values = self.samples.values.make_own();
            let before = values.len();
            scan.values(header, values)?;
            values.truncate(before + high);
            values.drain(before..before + low);
            return Ok(());
        };
        let block = if let Some(block) = cache.get(&(part, header.values)) {
            block
        } else {
            let mut values = Vec::with_capacity(header.count);
            scan.values(header, &mut values)?;
            let block = values.into();
            cache.insert(&(part, header.values), &block);
            block
        };
        if is_first {
            self.samples.values.share(block, low..high);
        } else {
            let piece = block.get(low..high).unwrap_or_default();
            self.samples.values.make_own().extend_from_slice(piece);
        }
        Ok(())
    }

    /// Appends what a memtable holds. None as in [`Row::append_chunks`].
    pub(super) fn append_columns(&mut self, columns: &Columns) -> Option<()> {
        if !columns.histograms.is_empty() || !columns.floats.starts.is_empty() {
            return None;
        }
        let floats = &columns.floats;
        let low = floats
            .timestamps
            .partition_point(|at| *at < self.range.start.0);
        let high = floats
            .timestamps
            .partition_point(|at| *at <= self.range.end.0);
        let times = floats.timestamps.get(low..high).unwrap_or_default();
        let (Some(first), Some(last)) = (times.first(), times.last()) else {
            return Some(());
        };
        if self.last.is_some_and(|last| last >= *first) {
            return None;
        }
        self.last = Some(*last);
        let values = floats.values.get(low..high).unwrap_or_default();
        self.samples.timestamps.make_own().extend_from_slice(times);
        self.samples.values.make_own().extend_from_slice(values);
        Some(())
    }
}
