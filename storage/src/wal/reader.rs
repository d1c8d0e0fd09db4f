//! Reading the log back after a start.
//!
//! The reader gives every frame that checks out, in order, and never panics whatever the bytes
//! are. What does not check out is either the torn end of a segment, which a crash leaves and
//! which was never acknowledged, or damage, which it reports with file and offset before it goes on
//! behind it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{
    FRAME_HEADER_BYTES, FRAME_MAGIC, PAYLOAD_BYTES_MAX, SEGMENT_HEADER_BYTES, SEGMENT_MAGIC,
    SegmentId, frame_checksum,
};
use crate::disk::{Disk, ReadFile};

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

/// How much of a segment is in memory at a time; a longer frame is as a whole.
const WINDOW_BYTES: usize = if cfg!(test) { 64 } else { 1 << 20 };

/// The stretch of a segment that is in memory; it goes along with the reading.
struct Window {
    file: Arc<dyn ReadFile>,
    /// Length of the segment.
    length: u64,
    /// Where the bytes at hand begin.
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open(path)?;
        Ok(Self {
            length: file.len()?,
            file,
            start: 0,
            bytes: Vec::new(),
        })
    }

    /// The bytes from `offset` on: as many as `count`, or more, or all there are.
    fn at(&mut self, offset: u64, count: usize) -> io::Result<&[u8]> {
        let skip = offset.checked_sub(self.start);
        let skip = skip.and_then(|skip| usize::try_from(skip).ok());
        let skip = skip.unwrap_or(usize::MAX).min(self.bytes.len());
        let (known, left) = (self.bytes.len() - skip, self.length.saturating_sub(offset));
        if known >= count || known as u64 >= left {
            return Ok(self.bytes.get(skip..).unwrap_or_default());
        }
        self.bytes.drain(..skip);
        self.start = offset;
        let wanted = left.min(count.max(WINDOW_BYTES) as u64) as usize;
        self.bytes.resize(wanted, 0);
        if let Some(new) = self.bytes.get_mut(known..) {
            self.file.read_exact_at(new, offset + known as u64)?;
        }
        Ok(&self.bytes)
    }
}

/// Gives the payload of every frame of a segment to `visit`.
pub fn replay(
    disk: &dyn Disk,
    dir: &Path,
    segment: SegmentId,
    mut visit: impl FnMut(u64, &[u8]),
) -> io::Result<Replayed> {
    let path = dir.join(segment.file_name());
    let mut window = Window::open(disk, &path)?;
    let mut replayed = Replayed::default();
    // A header that is damaged or torn is treated as any other damage: frames carry the
    // segment's number in their checksum, so they prove themselves.
    let mut offset = match header(window.at(0, SEGMENT_HEADER_BYTES)?) {
        Some(found) if found == segment => SEGMENT_HEADER_BYTES as u64,
        _ => 0,
    };
    while offset < window.length {
        if let Some(payload) = frame_at(&mut window, offset, segment)? {
            visit(offset, payload);
            replayed.frames += 1;
            offset += (FRAME_HEADER_BYTES + payload.len()) as u64;
            continue;
        }
        let next = next_frame(&mut window, offset + 1, segment)?;
        let skipped = next.unwrap_or(window.length) - offset;
        if let Some(next) = next {
            replayed.damage.push(Damage {
                path: path.clone(),
                offset,
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

/// What stands before a payload: its length, and its checksum.
fn frame_header(bytes: &[u8]) -> Option<(usize, u32)> {
    let rest = bytes.strip_prefix(&FRAME_MAGIC)?;
    let length = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?) as usize;
    let checksum = u32::from_le_bytes(rest.get(4..8)?.try_into().ok()?);
    (length <= PAYLOAD_BYTES_MAX).then_some((length, checksum))
}

/// The payload of the frame at `offset`, if a whole one stands there.
fn frame_at(window: &mut Window, offset: u64, segment: SegmentId) -> io::Result<Option<&[u8]>> {
    let left = window.length.saturating_sub(offset);
    let header = frame_header(window.at(offset, FRAME_HEADER_BYTES)?);
    let Some((length, checksum)) = header else {
        return Ok(None);
    };
    let end = FRAME_HEADER_BYTES + length;
    if end as u64 > left {
        return Ok(None);
    }
    let payload = window.at(offset, end)?.get(FRAME_HEADER_BYTES..end);
    // As in a part, a fuzzer gets past checksums.
    let proves = |payload: &&[u8]| frame_checksum(segment, payload) == checksum || cfg!(fuzzing);
    Ok(payload.filter(proves))
}

/// Where the next whole frame from `from` on starts.
fn next_frame(window: &mut Window, from: u64, segment: SegmentId) -> io::Result<Option<u64>> {
    let mut from = from;
    loop {
        let bytes = window.at(from, FRAME_MAGIC.len())?;
        if bytes.len() < FRAME_MAGIC.len() {
            return Ok(None);
        }
        let mut places = bytes.windows(FRAME_MAGIC.len());
        let Some(found) = places.position(|window| window == FRAME_MAGIC) else {
            // It may begin at the end of what is at hand.
            from += (bytes.len() - FRAME_MAGIC.len() + 1) as u64;
            continue;
        };
        let at = from + found as u64;
        if frame_at(window, at, segment)?.is_some() {
            return Ok(Some(at));
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::SimDisk;

    const SEGMENT: SegmentId = SegmentId(3);

    /// A segment with these payloads, and where their frames begin.
    fn segment(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = SEGMENT_MAGIC.to_vec();
        bytes.extend_from_slice(&SEGMENT.0.to_le_bytes());
        let mut starts = Vec::new();
        for payload in payloads {
            starts.push(bytes.len());
            bytes.extend_from_slice(&FRAME_MAGIC);
            bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&frame_checksum(SEGMENT, payload).to_le_bytes());
            bytes.extend_from_slice(payload);
        }
        (bytes, starts)
    }

    fn read(bytes: &[u8]) -> (Vec<(u64, Vec<u8>)>, Replayed) {
        let (disk, dir) = (SimDisk::new(1), Path::new("/wal"));
        disk.create_dir_all(dir).expect("creates");
        let file = disk
            .create(&dir.join(SEGMENT.file_name()))
            .expect("creates");
        file.append(bytes).expect("writes");
        let mut frames = Vec::new();
        let visit = |offset, payload: &[u8]| frames.push((offset, payload.to_vec()));
        let replayed = replay(&disk, dir, SEGMENT, visit).expect("reads");
        (frames, replayed)
    }

    #[test]
    fn every_frame_is_found_whatever_is_damaged_and_however_long_it_is() {
        // Longer and shorter than what is in memory at a time; one looks like the head of a frame.
        let lengths = [5, WINDOW_BYTES * 3, 0, WINDOW_BYTES, 1, 700, 30];
        let mut payloads: Vec<Vec<u8>> = (1u8..)
            .zip(lengths)
            .map(|(byte, length)| vec![byte; length])
            .collect();
        payloads.push([&FRAME_MAGIC[..], &[0xff; 20]].concat());
        payloads.push([&FRAME_MAGIC[..], &[200, 0, 0, 0], &[7; 300]].concat());
        payloads.push(vec![9; 40]);
        let (whole, starts) = segment(&payloads);
        let all: Vec<_> = starts.iter().map(|at| *at as u64).zip(payloads).collect();
        assert_eq!(read(&whole).0, all);
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            let hit = starts.iter().rposition(|start| *start <= at);
            let mut expected = all.clone();
            if let Some(hit) = hit {
                expected.remove(hit);
            }
            let (frames, replayed) = read(&damaged);
            assert_eq!(frames, expected, "a bit at {at}");
            let is_last = hit == Some(all.len() - 1);
            assert_eq!(replayed.torn_bytes > 0, is_last, "a bit at {at}");
            assert_eq!(replayed.damage.is_empty(), is_last, "a bit at {at}");
            let (frames, replayed) = read(&whole[..at]);
            let ends = starts.iter().copied().skip(1).chain([whole.len()]);
            let complete = ends.take_while(|end| *end <= at).count();
            assert_eq!(frames, all[..complete], "cut at {at}");
            assert!(replayed.damage.is_empty());
        }
    }
}
