//! What a part says of a block of samples without opening it.
//!
//! ```text
//! header   flags u8     1 histograms, 2 has a summary, 4 has an extension
//!          count uvarint, first instant ivarint, last less first uvarint
//!          place of the timestamps, place of the values: page uvarint, offset uvarint, length uvarint
//! summary  first f64, last f64, then kind u8 and where it says so an f64, for the least and for the
//!          greatest value: 0 equals the first, 1 equals the last, 2 written out
//! extension  length uvarint, bytes: for sums and resets; a reader skips what it does not know
//! ```
//!
//! The least and the greatest leave NaNs out; a block of floats without a number has no summary,
//! neither has a small one, which costs less to decode than to describe.

use model::time::{TimeRange, Timestamp};
use storage::codec::{Cursor, Malformed, put_f64, put_ivarint, put_uvarint};

use super::codec::BLOCK_SAMPLES_MAX;

const HISTOGRAMS: u8 = 1;
const SUMMARY: u8 = 2;
const EXTENSION: u8 = 4;
const EQUALS_FIRST: u8 = 0;
const EQUALS_LAST: u8 = 1;
const WRITTEN_OUT: u8 = 2;
/// Smaller blocks have no summary.
const SUMMARY_SAMPLES_MIN: usize = 64;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkKind {
    /// Floats.
    Floats,
    /// Native histograms.
    Histograms,
}

/// Where a body is: in which page, and where there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The number of the page.
    pub page: u32,
    /// Offset in the page.
    pub offset: u32,
    /// Length in bytes.
    pub length: u32,
}

/// The values of a block of floats, in brief.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The first value.
    pub first: f64,
    /// The last value.
    pub last: f64,
    /// The least number.
    pub min: f64,
    /// The greatest number.
    pub max: f64,
}

/// A block of samples of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChunkHeader {
    /// What it holds.
    pub kind: ChunkKind,
    /// How many samples.
    pub count: usize,
    /// The instants of the first and the last.
    pub range: TimeRange,
    /// Where the timestamps are.
    pub times: Place,
    /// Where the values are.
    pub values: Place,
    /// Its values in brief.
    pub summary: Option<Summary>,
}

impl Summary {
    /// The summary of a block that is worth one.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.len() < SUMMARY_SAMPLES_MIN {
            return None;
        }
        let numbers = || values.iter().copied().filter(|value| !value.is_nan());
        Some(Self {
            first: *values.first()?,
            last: *values.last()?,
            min: numbers().reduce(f64::min)?,
            max: numbers().reduce(f64::max)?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_f64(out, self.first);
        put_f64(out, self.last);
        for value in [self.min, self.max] {
            if value.to_bits() == self.first.to_bits() {
                out.push(EQUALS_FIRST);
            } else if value.to_bits() == self.last.to_bits() {
                out.push(EQUALS_LAST);
            } else {
                out.push(WRITTEN_OUT);
                put_f64(out, value);
            }
        }
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let (first, last) = (cursor.f64()?, cursor.f64()?);
        let mut extreme = || match cursor.u8()? {
            EQUALS_FIRST => Ok(first),
            EQUALS_LAST => Ok(last),
            WRITTEN_OUT => cursor.f64(),
            _ => Err(cursor.malformed("a kind of value in a summary")),
        };
        Ok(Self {
            first,
            last,
            min: extreme()?,
            max: extreme()?,
        })
    }
}

impl Place {
    fn encode(self, out: &mut Vec<u8>) {
        for number in [self.page, self.offset, self.length] {
            put_uvarint(out, u64::from(number));
        }
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let mut number =
            || u32::try_from(cursor.uvarint()?).map_err(|_| cursor.malformed("a place of 32 bits"));
        Ok(Self {
            page: number()?,
            offset: number()?,
            length: number()?,
        })
    }
}

impl ChunkHeader {
    /// Appends the header.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut flags = match self.kind {
            ChunkKind::Floats => 0,
            ChunkKind::Histograms => HISTOGRAMS,
        };
        if self.summary.is_some() {
            flags |= SUMMARY;
        }
        out.push(flags);
        put_uvarint(out, self.count as u64);
        let (start, end) = (self.range.start.0, self.range.end.0);
        put_ivarint(out, start);
        put_uvarint(out, end.wrapping_sub(start) as u64);
        self.times.encode(out);
        self.values.encode(out);
        if let Some(summary) = &self.summary {
            summary.encode(out);
        }
    }

    /// Reads a header.
    pub fn decode(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let flags = cursor.u8()?;
        if flags > HISTOGRAMS | SUMMARY | EXTENSION {
            return Err(cursor.malformed("flags of a block this program knows"));
        }
        let kind = if flags & HISTOGRAMS == 0 {
            ChunkKind::Floats
        } else {
            ChunkKind::Histograms
        };
        let count = usize::try_from(cursor.uvarint()?)
            .ok()
            .filter(|count| *count <= BLOCK_SAMPLES_MAX)
            .ok_or_else(|| cursor.malformed("at most 8192 samples"))?;
        let start = cursor.ivarint()?;
        let end = start.wrapping_add(cursor.uvarint()? as i64);
        let times = Place::decode(cursor)?;
        let values = Place::decode(cursor)?;
        let summary = if flags & SUMMARY == 0 {
            None
        } else {
            Some(Summary::decode(cursor)?)
        };
        if flags & EXTENSION != 0 {
            cursor.bytes()?;
        }
        Ok(Self {
            kind,
            count,
            range: TimeRange::new(Timestamp(start), Timestamp(end)),
            times,
            values,
            summary,
        })
    }
}
