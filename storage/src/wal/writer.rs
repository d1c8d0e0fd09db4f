//! Appending to the log.
//!
//! Invariant: between two appends the open segment holds whole frames only. A write that fails
//! half-way is cut off again; where even that fails the segment is *poisoned*, and the store seals
//! its memtable and goes on in a new segment before it takes another write. A store that is opened while the
//! disk takes nothing begins so: with a segment that was never there.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sync::Syncer;
use super::{
    FRAME_MAGIC, PAYLOAD_BYTES_MAX, SEGMENT_HEADER_BYTES, SEGMENT_MAGIC, SegmentId, frame_checksum,
};
use crate::disk::{Disk, WriteFile};

/// How far the log has come: the count of appended bytes since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// A segment that is on the disk and that nothing was appended to yet.
pub struct NewSegment {
    id: SegmentId,
    file: Arc<dyn WriteFile>,
}

/// The file of a segment that could not be made. Nothing is appended to it, for its writer is poisoned.
struct NoSegment;

impl WriteFile for NoSegment {
    fn append(&self, _bytes: &[u8]) -> io::Result<()> {
        Err(io::Error::other("the log has no segment yet"))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, _length: u64) -> io::Result<()> {
        Ok(())
    }
}

/// The end of a log: the open segment of one shard.
pub struct WalWriter {
    dir: PathBuf,
    segment: SegmentId,
    file: Arc<dyn WriteFile>,
    /// Length of the whole frames in the open segment.
    length: u64,
    position: Position,
    poisoned: bool,
    syncer: Arc<Syncer>,
    frame: Vec<u8>,
}

impl WalWriter {
    /// Appends to `segment`, which lies in `dir`.
    pub fn new(dir: &Path, segment: NewSegment) -> Self {
        let syncer = Arc::new(Syncer::new(Arc::clone(&segment.file)));
        Self {
            dir: dir.to_owned(),
            segment: segment.id,
            file: segment.file,
            length: SEGMENT_HEADER_BYTES as u64,
            position: Position::default(),
            poisoned: false,
            syncer,
            frame: Vec::new(),
        }
    }

    /// Stands for the segment `id`, which could not be made: poisoned from the start.
    pub fn without_segment(dir: &Path, id: SegmentId) -> Self {
        let file = Arc::new(NoSegment);
        let writer = Self::new(dir, NewSegment { id, file });
        Self {
            poisoned: true,
            ..writer
        }
    }

    /// The segment that is being appended to.
    pub const fn segment(&self) -> SegmentId {
        self.segment
    }

    /// The path of the segment that is being appended to.
    pub fn path(&self) -> PathBuf {
        self.dir.join(self.segment.file_name())
    }

    /// Whether the segment must not be appended to any more.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned || self.syncer.has_failed()
    }

    /// Who makes the log durable.
    pub fn syncer(&self) -> Arc<Syncer> {
        Arc::clone(&self.syncer)
    }

    /// Appends a frame. When this returns the kernel has it.
    pub fn append(&mut self, payload: &[u8]) -> io::Result<Position> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "a record of {} bytes is over the limit of {PAYLOAD_BYTES_MAX}; send smaller batches",
                    payload.len()
                ),
            ));
        }
        self.frame.clear();
        self.frame.extend_from_slice(&FRAME_MAGIC);
        self.frame
            .extend_from_slice(&(payload.len() as u32).to_le_bytes());
        self.frame
            .extend_from_slice(&frame_checksum(self.segment, payload).to_le_bytes());
        self.frame.extend_from_slice(payload);
        if let Err(error) = self.file.append(&self.frame) {
            self.poisoned = self.file.truncate(self.length).is_err();
            return Err(error);
        }
        self.length += self.frame.len() as u64;
        self.position.0 += self.frame.len() as u64;
        self.syncer.advance(self.position);
        Ok(self.position)
    }

    /// Makes the open segment durable and goes on in `next`.
    ///
    /// A failed sync is not an error here: the memtable that the old segment belongs to is about to become a
    /// part.
    pub fn go_on_in(&mut self, next: NewSegment) {
        if let Err(error) = self.syncer.sync_to(self.position) {
            tracing::warn!(segment = %self.path().display(), %error, "the log's segment could not be synced; its rows are flushed to a part");
        }
        self.segment = next.id;
        self.file = Arc::clone(&next.file);
        self.length = SEGMENT_HEADER_BYTES as u64;
        self.poisoned = false;
        self.syncer.switch(next.file);
    }
}

/// Makes `count` segments in `dir`, from `first` on. Either all are there for good, or it is an error and
/// what there is of them is made anew by the next try.
pub fn create_segments(
    disk: &dyn Disk,
    dir: &Path,
    first: SegmentId,
    count: u32,
) -> io::Result<Vec<NewSegment>> {
    let mut segments = Vec::with_capacity(count as usize);
    let mut id = first;
    for _ in 0..count {
        let file = disk.create(&dir.join(id.file_name()))?;
        let mut header = SEGMENT_MAGIC.to_vec();
        header.extend_from_slice(&id.0.to_le_bytes());
        file.append(&header)?;
        segments.push(NewSegment { id, file });
        id = id.next();
    }
    disk.sync_dir(dir)?;
    Ok(segments)
}

/// Removes the segments before `floor` from `dir`.
pub fn remove_before(disk: &dyn Disk, dir: &Path, floor: SegmentId) -> io::Result<()> {
    for name in disk.list(dir)? {
        if SegmentId::from_file_name(&name).is_some_and(|segment| segment < floor) {
            disk.remove(&dir.join(name))?;
        }
    }
    Ok(())
}
