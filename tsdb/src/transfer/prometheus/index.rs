//! The index of a block: its symbols, which stay in memory, and its series, which are read one by one.
//!
//! ```text
//! magic 0xBAAAD700 | version 2 | symbols | series | label indices | postings | tables | contents
//! symbols:  length u32 | count u32 | count × (uvarint length | text) | CRC-32C u32
//! series:   at a multiple of 16: uvarint length | labels | chunks | CRC-32C u32
//!   labels: uvarint count | count × (uvarint name | uvarint value), numbers of symbols
//!   chunks: uvarint count | varint first | uvarint last − first | uvarint reference,
//!           then for each further one: uvarint first − last before | uvarint last − first | varint reference − the one before
//! contents: 6 × u64 offset: symbols, series, label indices, their table, postings, their table | CRC-32C u32
//! ```

use std::path::Path;
use std::sync::Arc;

use model::labels::{Builder, Labels};
use model::time::{TimeRange, Timestamp};
use storage::codec::{Cursor, Malformed};
use storage::disk::{Disk, ReadFile};

use super::chunk::uvarint;
use crate::transfer::InputError;

const FILE: &str = "index";
const MAGIC: u32 = 0xBAAA_D700;
const CONTENTS_BYTES: u64 = 6 * 8 + 4;
const ALIGNMENT: u64 = 16;
/// Series are read in windows of this size.
const WINDOW_BYTES: u64 = 1 << 20;
/// No series is near this; a length beyond it is damage.
const SERIES_BYTES_MAX: u64 = 64 << 20;

/// A chunk, as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkMeta {
    pub(super) range: TimeRange,
    pub(super) reference: u64,
}

/// A series of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexSeries {
    /// How tombstones refer to it.
    pub(super) reference: u64,
    pub(super) labels: Labels,
    pub(super) chunks: Vec<ChunkMeta>,
}

/// An index that is open.
pub(super) struct Index {
    file: Arc<dyn ReadFile>,
    symbols: Symbols,
    /// Of the next series.
    offset: u64,
    /// Behind the last series.
    end: u64,
    window: Vec<u8>,
    window_start: u64,
}

/// All texts of the index, one behind the other.
struct Symbols {
    text: String,
    ends: Vec<u32>,
}

impl Symbols {
    fn get(&self, number: u64) -> Option<&str> {
        let number = usize::try_from(number).ok()?;
        let start = match number.checked_sub(1) {
            None => 0,
            Some(before) => *self.ends.get(before)?,
        };
        self.text
            .get(start as usize..*self.ends.get(number)? as usize)
    }
}

impl Index {
    pub(super) fn open(disk: &dyn Disk, block: &Path) -> Result<Self, InputError> {
        let file = disk.open(&block.join(FILE))?;
        let length = file.len()?;
        let cut = || InputError::Unreadable(format!("{FILE}: cut short: {length} bytes"));
        let contents_start = length.checked_sub(CONTENTS_BYTES).filter(|at| *at >= 5);
        let contents_start = contents_start.ok_or_else(cut)?;
        let header = read(file.as_ref(), 0, 5)?;
        let [a, b, c, d, version] = header.try_into().map_err(|_| cut())?;
        if u32::from_be_bytes([a, b, c, d]) != MAGIC {
            return Err(InputError::Unreadable(format!(
                "{FILE}: not an index of Prometheus"
            )));
        }
        if version != 2 {
            return Err(InputError::Unreadable(format!(
                "{FILE}: of version {version}; version 2 is read, which Prometheus writes since 2.1"
            )));
        }
        let contents = read(file.as_ref(), contents_start, CONTENTS_BYTES)?;
        let contents = checked(&contents)
            .ok_or_else(|| InputError::Unreadable(format!("{FILE}: the checksum of its table of contents does not match; the file is damaged or cut short")))?;
        let sections: Vec<u64> = contents
            .chunks_exact(8)
            .filter_map(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)))
            .collect();
        let (symbols, series) = match sections.as_slice() {
            [symbols, series, ..] => (*symbols, *series),
            _ => return Err(cut()),
        };
        // The section behind the series: the first that is there.
        let behind = sections.iter().skip(2).copied();
        let end = behind
            .filter(|at| *at > series)
            .min()
            .unwrap_or(contents_start);
        Ok(Self {
            symbols: read_symbols(file.as_ref(), symbols, contents_start)?,
            file,
            offset: series,
            end: end.min(contents_start),
            window: Vec::new(),
            window_start: 0,
        })
    }

    /// Offset of the next series.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Behind the last series.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Goes on at a series that an earlier run had come to.
    pub(super) fn skip_to(&mut self, offset: u64) {
        self.offset = self.offset.max(offset);
    }

    /// The next series; nothing at the end. After an error it can be asked for the one behind, where
    /// the length of the wrong one can be read.
    pub(super) fn next(&mut self) -> Result<Option<IndexSeries>, InputError> {
        loop {
            self.offset = self.offset.next_multiple_of(ALIGNMENT);
            // Label indices follow, behind padding.
            if self.offset + 1 >= self.end {
                return Ok(None);
            }
            let offset = self.offset;
            let head = self.bytes(offset, 10.min(self.end - offset))?;
            let found = uvarint(head).filter(|(length, _)| *length <= SERIES_BYTES_MAX);
            let Some((length, width)) = found else {
                self.offset = self.end;
                return Err(InputError::bytes(
                    FILE,
                    offset,
                    "no length of a series; no series behind it can be found",
                ));
            };
            if length == 0 {
                // Padding.
                self.offset += ALIGNMENT;
                continue;
            }
            let start = offset + width;
            let end = start + length + 4;
            if end > self.end {
                self.offset = self.end;
                return Err(InputError::bytes(
                    FILE,
                    offset,
                    "the series reaches beyond its section",
                ));
            }
            self.offset = end;
            let bytes = self.bytes(start, end - start)?.to_vec();
            let bytes = checked(&bytes).ok_or_else(|| {
                InputError::bytes(
                    FILE,
                    offset,
                    "the series' checksum does not match its bytes",
                )
            })?;
            let series = self.parse(offset / ALIGNMENT, bytes);
            return series
                .map(Some)
                .map_err(|error| InputError::bytes(FILE, offset, error));
        }
    }

    fn parse(&self, reference: u64, bytes: &[u8]) -> Result<IndexSeries, Malformed> {
        let mut cursor = Cursor::new(bytes);
        let mut labels = Builder::new();
        for _ in 0..cursor.count(2)? {
            let (name, value) = (cursor.uvarint()?, cursor.uvarint()?);
            let symbol = |number| self.symbols.get(number);
            let (Some(name), Some(value)) = (symbol(name), symbol(value)) else {
                return Err(cursor.malformed("the number of a symbol"));
            };
            labels.set(name, value);
        }
        let count = cursor.count(3)?;
        let mut chunks = Vec::with_capacity(count);
        let mut last = 0_i64;
        let mut chunk = 0_u64;
        for number in 0..count {
            let first = if number == 0 {
                cursor.ivarint()?
            } else {
                last.wrapping_add(cursor.uvarint()? as i64)
            };
            last = first.wrapping_add(cursor.uvarint()? as i64);
            chunk = if number == 0 {
                cursor.uvarint()?
            } else {
                chunk.wrapping_add(cursor.ivarint()? as u64)
            };
            chunks.push(ChunkMeta {
                range: TimeRange::new(Timestamp(first), Timestamp(last)),
                reference: chunk,
            });
        }
        Ok(IndexSeries {
            reference,
            labels: labels.build(),
            chunks,
        })
    }

    fn bytes(&mut self, offset: u64, length: u64) -> Result<&[u8], InputError> {
        let is_there = offset >= self.window_start
            && offset + length <= self.window_start + self.window.len() as u64;
        if !is_there {
            let wanted = length.max(WINDOW_BYTES.min(self.end.saturating_sub(offset)));
            self.window = read(self.file.as_ref(), offset, wanted)?;
            self.window_start = offset;
        }
        let start = (offset - self.window_start) as usize;
        let bytes = self.window.get(start..start + length as usize);
        bytes.ok_or_else(|| InputError::bytes(FILE, offset, "the file ends before it"))
    }
}

fn read(file: &dyn ReadFile, offset: u64, length: u64) -> Result<Vec<u8>, InputError> {
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// What stands before a checksum, if it is that of it.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (covered, checksum) = bytes.split_last_chunk::<4>()?;
    // A fuzzer gets past checksums, to what lies behind them.
    let fits = crc32c::crc32c(covered) == u32::from_be_bytes(*checksum) || cfg!(fuzzing);
    fits.then_some(covered)
}

fn read_symbols(file: &dyn ReadFile, offset: u64, end: u64) -> Result<Symbols, InputError> {
    let wrong = |what: &dyn std::fmt::Display| {
        InputError::Unreadable(format!("{FILE}: symbols at offset {offset}: {what}"))
    };
    let room = end.checked_sub(offset).and_then(|room| room.checked_sub(8));
    let room = room.ok_or_else(|| wrong(&"the file ends before them"))?;
    let length = read(file, offset, 4)?;
    let length = u32::from_be_bytes(length.try_into().unwrap_or_default());
    if u64::from(length) > room {
        return Err(wrong(&"they reach beyond the end of the file"));
    }
    let bytes = read(file, offset + 4, u64::from(length) + 4)?;
    let bytes = checked(&bytes).ok_or_else(|| wrong(&"their checksum does not match"))?;
    let (count, rest) = bytes
        .split_first_chunk::<4>()
        .ok_or_else(|| wrong(&"cut short"))?;
    let count = u32::from_be_bytes(*count);
    let mut cursor = Cursor::new(rest);
    let mut symbols = Symbols {
        text: String::with_capacity(rest.len()),
        ends: Vec::with_capacity((count as usize).min(rest.len())),
    };
    for _ in 0..count {
        let text = cursor.text().map_err(|error| wrong(&error))?;
        symbols.text.push_str(text);
        symbols.ends.push(symbols.text.len() as u32);
    }
    Ok(symbols)
}
