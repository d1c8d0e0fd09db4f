//! Chunks in the files of a block: `<uvarint>` length of the data, encoding, data, CRC-32C of both.

use std::path::Path;
use std::sync::Arc;

use model::sample::{HistogramSample, Sample};
use storage::disk::{Disk, ReadFile};

use super::bits::BitsError;
use super::histograms::{self, Counts, Header};
use super::{xor, xor2};
use crate::transfer::InputError;

const MAGIC: u32 = 0x85BD_40DD;
const HEADER_BYTES: u64 = 8;
/// Chunks of a series lie side by side, and often those of the next series behind them.
const WINDOW_BYTES: u64 = 256 << 10;
/// No chunk is near this; a length beyond it is damage.
const CHUNK_BYTES_MAX: u64 = 64 << 20;

/// The samples of a chunk.
#[derive(Clone, Debug, PartialEq)]
pub enum Chunk {
    /// Floats.
    Floats(Vec<Sample>),
    /// Native histograms.
    Histograms(Vec<HistogramSample>),
}

/// The files of a block's `chunks` folder.
pub(super) struct ChunkFiles {
    files: Vec<ChunkFile>,
}

struct ChunkFile {
    /// Within the block, for messages.
    name: String,
    file: Arc<dyn ReadFile>,
    length: u64,
    /// Bytes of the file that were read last, and where they begin.
    window: Vec<u8>,
    window_start: u64,
}

impl ChunkFiles {
    pub(super) fn open(disk: &dyn Disk, block: &Path) -> Result<Self, InputError> {
        let dir = block.join("chunks");
        let mut files = Vec::new();
        for name in disk.list(&dir)? {
            let file = disk.open(&dir.join(&name))?;
            let name = format!("chunks/{name}");
            let length = file.len()?;
            let mut header = [0; HEADER_BYTES as usize];
            if length < HEADER_BYTES {
                return Err(InputError::Unreadable(format!(
                    "{name}: too short to hold chunks"
                )));
            }
            file.read_exact_at(&mut header, 0)?;
            let [a, b, c, d, version, ..] = header;
            if u32::from_be_bytes([a, b, c, d]) != MAGIC || version != 1 {
                return Err(InputError::Unreadable(format!(
                    "{name}: not a file of chunks of version 1; it begins with {header:02x?}"
                )));
            }
            files.push(ChunkFile {
                name,
                file,
                length,
                window: Vec::new(),
                window_start: 0,
            });
        }
        Ok(Self { files })
    }

    /// The chunk that the index refers to: the file's number in the upper half, the offset in the lower.
    pub(super) fn read(&mut self, reference: u64) -> Result<Chunk, InputError> {
        let number = (reference >> 32) as usize;
        let offset = reference & 0xffff_ffff;
        let count = self.files.len();
        let file = self.files.get_mut(number).ok_or_else(|| {
            let what = format!(
                "refers to file {} of chunks and there are {count}",
                number + 1
            );
            InputError::bytes("index", 0, what)
        })?;
        file.chunk(offset)
    }
}

impl ChunkFile {
    fn chunk(&mut self, offset: u64) -> Result<Chunk, InputError> {
        let name = self.name.clone();
        let wrong = |what: &dyn std::fmt::Display| InputError::bytes(&name, offset, what);
        let head = self.bytes(offset, 10.min(self.length.saturating_sub(offset)))?;
        let (length, width) = uvarint(head).ok_or_else(|| wrong(&"no length of a chunk"))?;
        if length > CHUNK_BYTES_MAX {
            return Err(wrong(&format_args!("a chunk of {length} bytes")));
        }
        let start = offset + width;
        let end = start + 1 + length + 4;
        if end > self.length {
            return Err(wrong(&"the chunk reaches beyond the end of the file"));
        }
        let bytes = self.bytes(start, end - start)?;
        let (covered, checksum) = bytes
            .split_last_chunk::<4>()
            .ok_or_else(|| wrong(&"too short"))?;
        if crc32c::crc32c(covered) != u32::from_be_bytes(*checksum) && !cfg!(fuzzing) {
            return Err(wrong(&"the chunk's checksum does not match its bytes"));
        }
        let (encoding, data) = covered.split_first().ok_or_else(|| wrong(&"too short"))?;
        decode(*encoding, data).map_err(|what| wrong(&what))
    }

    /// Bytes of the file, which must be there.
    fn bytes(&mut self, offset: u64, length: u64) -> Result<&[u8], InputError> {
        let end = offset + length;
        let is_there =
            offset >= self.window_start && end <= self.window_start + self.window.len() as u64;
        if !is_there {
            let available = self.length.saturating_sub(offset);
            let wanted = available.min(length.max(WINDOW_BYTES));
            self.window.resize(wanted as usize, 0);
            self.window_start = offset;
            self.file.read_exact_at(&mut self.window, offset)?;
        }
        let start = (offset - self.window_start) as usize;
        let bytes = self.window.get(start..start + length as usize);
        bytes.ok_or_else(|| InputError::bytes(&self.name, offset, "the file ends before it"))
    }
}

/// A chunk by the number of its encoding; the error says what is wrong with it.
pub(super) fn decode(encoding: u8, data: &[u8]) -> Result<Chunk, String> {
    let floats =
        |floats: Result<_, BitsError>| floats.map(Chunk::Floats).map_err(|e| e.to_string());
    let histograms = |counts, header| {
        let histograms = histograms::decode(data, counts, header).map(Chunk::Histograms);
        histograms.map_err(|error| error.to_string())
    };
    match encoding {
        1 => floats(xor::decode(data)),
        2 => histograms(Counts::Integers, Header::Plain),
        3 => histograms(Counts::Floats, Header::Plain),
        4 => floats(xor2::decode(data)),
        5 => histograms(Counts::Integers, Header::WithStarts),
        6 => histograms(Counts::Floats, Header::WithStarts),
        _ => Err(format!(
            "the chunk's encoding {encoding} is none of XOR (1), histogram (2), float histogram (3), XOR2 (4), histogram ST (5) and float histogram ST (6); a newer Prometheus wrote it"
        )),
    }
}

/// A varint at the start of `bytes`, and its width.
pub(super) fn uvarint(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut value = 0_u64;
    for (width, byte) in (1..=10).zip(bytes) {
        value |= u64::from(byte & 0x7f).checked_shl(7 * (width - 1))?;
        if byte & 0x80 == 0 {
            return Some((value, u64::from(width)));
        }
    }
    None
}
