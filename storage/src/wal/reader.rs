//! Reading the log back after a start.
//!
//! The reader gives every frame that checks out, in order, and never panics whatever the bytes
//! are. What does not check out is either the torn end of a segment, which a crash leaves and
//! which was never acknowledged, or damage, which it reports with file and offset before it goes on
//! behind it.

use std::io;
use std::path::{Path, PathBuf};

use super::{
    FRAME_HEADER_BYTES, FRAME_MAGIC, PAYLOAD_BYTES_MAX, SEGMENT_HEADER_BYTES, SEGMENT_MAGIC,
    SegmentId, frame_checksum,
};
use crate::disk::Disk;

/// Bytes of a segment that were skipped because they do not check out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {bytes} damaged bytes at offset {offset} were skipped", path.display())]
pub struct Damage {
    /// The segment's file.
    pub path: PathBuf,
    /// Where the damage starts.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
}

/// What reading a segment found.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Frames that were given.
    pub frames: u64,
    /// Bytes at the end that a torn write left.
    pub torn_bytes: u64,
    /// Damage in the middle.
    pub damage: Vec<Damage>,
}

/// The segments in `dir` from `floor` on, in order.
pub fn segments(disk: &dyn Disk, dir: &Path, floor: SegmentId) -> io::Result<Vec<SegmentId>> {
    let mut segments: Vec<SegmentId> = disk
        .list(dir)?
        .iter()
        .filter_map(|name| SegmentId::from_file_name(name))
        .filter(|segment| *segment >= floor)
        .collect();
    segments.sort();
    Ok(segments)
}

/// Gives the payload of every frame of a segment to `visit`.
pub fn replay(
    disk: &dyn Disk,
    dir: &Path,
    segment: SegmentId,
    mut visit: impl FnMut(u64, &[u8]),
) -> io::Result<Replayed> {
    let path = dir.join(segment.file_name());
    let bytes = disk.read(&path)?;
    let mut replayed = Replayed::default();
    // A header that is damaged or torn is treated as any other damage: frames carry the
    // segment's number in their checksum, so they prove themselves.
    let mut offset = match header(&bytes) {
        Some(found) if found == segment => SEGMENT_HEADER_BYTES,
        _ => 0,
    };
    while offset < bytes.len() {
        if let Some(payload) = frame_at(&bytes, offset, segment) {
            visit(offset as u64, payload);
            replayed.frames += 1;
            offset += FRAME_HEADER_BYTES + payload.len();
            continue;
        }
        let next = next_frame(&bytes, offset + 1, segment);
        let skipped = (next.unwrap_or(bytes.len()) - offset) as u64;
        if let Some(next) = next {
            replayed.damage.push(Damage {
                path: path.clone(),
                offset: offset as u64,
                bytes: skipped,
            });
            offset = next;
        } else {
            replayed.torn_bytes = skipped;
            break;
        }
    }
    Ok(replayed)
}

fn header(bytes: &[u8]) -> Option<SegmentId> {
    let rest = bytes.strip_prefix(&SEGMENT_MAGIC)?;
    let id = rest.get(..8)?.try_into().ok()?;
    Some(SegmentId(u64::from_le_bytes(id)))
}

/// The payload of the frame at `offset`, if a whole one stands there.
fn frame_at(bytes: &[u8], offset: usize, segment: SegmentId) -> Option<&[u8]> {
    let rest = bytes.get(offset..)?.strip_prefix(&FRAME_MAGIC)?;
    let length = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?) as usize;
    let checksum = u32::from_le_bytes(rest.get(4..8)?.try_into().ok()?);
    if length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let payload = rest.get(8..8 + length)?;
    // As in a part, a fuzzer gets past checksums.
    (frame_checksum(segment, payload) == checksum || cfg!(fuzzing)).then_some(payload)
}

/// Where the next whole frame from `from` on starts.
fn next_frame(bytes: &[u8], from: usize, segment: SegmentId) -> Option<usize> {
    let mut from = from;
    loop {
        let found = bytes
            .get(from..)?
            .windows(FRAME_MAGIC.len())
            .position(|window| window == FRAME_MAGIC)?;
        let at = from + found;
        if frame_at(bytes, at, segment).is_some() {
            return Some(at);
        }
        from = at + 1;
    }
}
