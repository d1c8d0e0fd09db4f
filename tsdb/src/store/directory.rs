//! Which blocks each series has: headers of 128 series at a time, by column.
//!
//! Neighbours are alike, so each column is written as changes against the block before; what is
//! left is mostly zeros, which a settled part packs.
//!
//! The bytes are described in `FORMAT.md`; [`version_1`] reads the layout of the first version.

pub(super) mod version_1;

use std::ops::Range;
use std::sync::Arc;

use model::time::{TimeRange, Timestamp};
use storage::codec::{Cursor, Malformed, put_f64, put_ivarint, put_uvarint};

use super::chunk::{ChunkHeader, ChunkKind, Place, Summary, TimesSpan};
use super::codec::{BLOCK_SAMPLES_MAX, decimal};

/// Series whose headers share a block of the directory.
pub(super) const SERIES_PER_BLOCK: usize = 128;

const KIND: u8 = 0b11;
const SUMMARY: u8 = 4;
const STARTS: u8 = 8;
const FLAGS_MAX: u8 = KIND | SUMMARY | STARTS;
/// In place of an exponent: the floats of a summary are written out.
const NO_DECIMALS: u8 = 0xff;

/// The headers of up to 128 series.
#[derive(Debug, Default)]
pub(super) struct DirectoryBlock {
    chunks: Vec<ChunkHeader>,
    /// For each series, the end of its headers in `chunks`.
    ends: Vec<usize>,
}

/// The headers of one series: floats, then histograms, then exemplars, each in the order of time.
#[derive(Clone, Debug)]
pub struct SeriesChunks {
    block: Arc<DirectoryBlock>,
    positions: Range<usize>,
}

impl std::ops::Deref for SeriesChunks {
    type Target = [ChunkHeader];

    fn deref(&self) -> &[ChunkHeader] {
        let chunks = self.block.chunks.get(self.positions.clone());
        chunks.unwrap_or_default()
    }
}

impl DirectoryBlock {
    /// What it takes in memory, roughly.
    pub(super) const fn bytes(&self) -> usize {
        self.chunks.capacity() * size_of::<ChunkHeader>()
            + self.ends.capacity() * size_of::<usize>()
    }

    /// The headers of the series at `position` in the block.
    pub(super) fn series(self: &Arc<Self>, position: usize) -> Option<SeriesChunks> {
        let end = *self.ends.get(position)?;
        let before = position.checked_sub(1).and_then(|at| self.ends.get(at));
        Some(SeriesChunks {
            block: Arc::clone(self),
            positions: before.copied().unwrap_or_default()..end,
        })
    }

    /// Appends the next series.
    fn push(&mut self, chunks: impl IntoIterator<Item = ChunkHeader>) {
        self.chunks.extend(chunks);
        self.ends.push(self.chunks.len());
    }
}

/// A header on its way into a part: its timestamps by the number of their body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) header: ChunkHeader,
    pub(super) times_body: u32,
}

/// The headers of the series that are gathered for the next block of the directory.
#[derive(Debug, Default)]
pub(super) struct BlockWriter {
    entries: Vec<Entry>,
    counts: Vec<usize>,
}

impl BlockWriter {
    /// Appends the next series.
    pub(super) fn push(&mut self, entries: &[Entry]) {
        self.entries.extend_from_slice(entries);
        self.counts.push(entries.len());
    }

    /// Whether the block has all series it may have.
    pub(super) const fn is_full(&self) -> bool {
        self.counts.len() >= SERIES_PER_BLOCK
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The block, and an empty one in its place.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let (entries, counts) = (&self.entries, &self.counts);
        let mut out = Vec::new();
        put_uvarint(&mut out, counts.len() as u64);
        for count in counts {
            put_uvarint(&mut out, *count as u64);
        }
        let headers = || entries.iter().map(|entry| &entry.header);
        out.extend(headers().map(flags_of));
        headers().for_each(|header| put_uvarint(&mut out, header.count as u64));
        put_changes(&mut out, headers().map(|header| header.range.start.0));
        put_changes(&mut out, headers().map(length_of));
        let timed = || entries.iter().filter(|entry| has_times(entry.header.kind));
        put_changes(&mut out, timed().map(|entry| i64::from(entry.times_body)));
        put_changes(
            &mut out,
            timed().map(|entry| entry.header.times.skip as i64),
        );
        put_places(&mut out, headers().map(|header| header.values));
        put_places(&mut out, headers().filter_map(|header| header.starts));
        for header in headers() {
            if let Some(summary) = &header.summary {
                put_summary(&mut out, summary);
            }
        }
        self.entries.clear();
        self.counts.clear();
        out
    }
}

/// Reads a block. `times` are the places of the part's bodies of timestamps.
pub(super) fn decode(bytes: &[u8], times: &[Place]) -> Result<DirectoryBlock, Malformed> {
    let mut cursor = Cursor::new(bytes);
    let cursor = &mut cursor;
    let series = cursor.count(1)?;
    let mut counts = Vec::with_capacity(series);
    for _ in 0..series {
        counts.push(cursor.count(7)?);
    }
    let total: usize = counts.iter().sum();
    if total > cursor.remaining() / 7 {
        return Err(cursor.malformed("as many headers as blocks"));
    }
    let flags = cursor.take(total)?;
    if flags
        .iter()
        .any(|flags| *flags > FLAGS_MAX || *flags & KIND == KIND)
    {
        return Err(cursor.malformed("flags of a block this program knows"));
    }
    let kinds: Vec<ChunkKind> = flags.iter().map(|flags| kind_of(*flags)).collect();
    let mut samples = Vec::with_capacity(total);
    for _ in 0..total {
        samples.push(
            usize::try_from(cursor.uvarint()?)
                .ok()
                .filter(|count| *count <= BLOCK_SAMPLES_MAX)
                .ok_or_else(|| cursor.malformed("at most 8192 samples"))?,
        );
    }
    let firsts = changes(cursor, total)?;
    let lengths = changes(cursor, total)?;
    let timed = kinds.iter().filter(|kind| has_times(**kind)).count();
    let mut bodies = changes(cursor, timed)?.into_iter();
    let mut skips = changes(cursor, timed)?.into_iter();
    let mut values = places(cursor, total)?.into_iter();
    let with_starts = flags.iter().filter(|flags| **flags & STARTS != 0).count();
    let mut starts = places(cursor, with_starts)?.into_iter();
    let mut chunks = Vec::with_capacity(total);
    for ((flags, kind), ((count, first), length)) in flags
        .iter()
        .zip(kinds)
        .zip(samples.into_iter().zip(firsts).zip(lengths))
    {
        let times = if has_times(kind) {
            let body = bodies
                .next()
                .and_then(|body| times.get(usize::try_from(body).ok()?));
            let skip = skips.next().and_then(|skip| usize::try_from(skip).ok());
            let (body, skip) = body
                .zip(skip)
                .ok_or_else(|| cursor.malformed("the number of a body of timestamps"))?;
            TimesSpan { body: *body, skip }
        } else {
            TimesSpan::default()
        };
        chunks.push(ChunkHeader {
            kind,
            count,
            range: TimeRange::new(Timestamp(first), Timestamp(first.wrapping_add(length))),
            times,
            values: values.next().unwrap_or_default(),
            starts: if flags & STARTS == 0 {
                None
            } else {
                starts.next()
            },
            summary: if flags & SUMMARY == 0 {
                None
            } else {
                Some(summary(cursor)?)
            },
        });
    }
    let mut block = DirectoryBlock::default();
    let mut chunks = chunks.into_iter();
    for count in counts {
        block.push(chunks.by_ref().take(count));
    }
    Ok(block)
}

fn flags_of(header: &ChunkHeader) -> u8 {
    let kind = match header.kind {
        ChunkKind::Floats => 0,
        ChunkKind::Histograms => 1,
        ChunkKind::Exemplars => 2,
    };
    let summary = if header.summary.is_some() { SUMMARY } else { 0 };
    let starts = if header.starts.is_some() { STARTS } else { 0 };
    kind | summary | starts
}

const fn kind_of(flags: u8) -> ChunkKind {
    match flags & KIND {
        0 => ChunkKind::Floats,
        1 => ChunkKind::Histograms,
        _ => ChunkKind::Exemplars,
    }
}

const fn has_times(kind: ChunkKind) -> bool {
    !matches!(kind, ChunkKind::Exemplars)
}

const fn length_of(header: &ChunkHeader) -> i64 {
    header.range.end.0.wrapping_sub(header.range.start.0)
}

fn put_changes(out: &mut Vec<u8>, column: impl Iterator<Item = i64>) {
    let mut before = 0i64;
    for value in column {
        put_ivarint(out, value.wrapping_sub(before));
        before = value;
    }
}

fn changes(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<i64>, Malformed> {
    let mut column = Vec::with_capacity(count);
    let mut value = 0i64;
    for _ in 0..count {
        value = value.wrapping_add(cursor.ivarint()?);
        column.push(value);
    }
    Ok(column)
}

/// The section with the places of the bodies of timestamps.
pub(super) fn encode_places(places: &[Place]) -> Vec<u8> {
    let mut out = Vec::new();
    put_uvarint(&mut out, places.len() as u64);
    put_places(&mut out, places.iter().copied());
    out
}

/// Reads the section with the places of the bodies of timestamps.
pub(super) fn decode_places(bytes: &[u8]) -> Result<Vec<Place>, Malformed> {
    let mut cursor = Cursor::new(bytes);
    let count = cursor.count(3)?;
    places(&mut cursor, count)
}

/// Pages as changes, offsets against the end of the place before (or the page's start, where the page
/// is another), then lengths.
fn put_places(out: &mut Vec<u8>, places: impl Iterator<Item = Place> + Clone) {
    put_changes(out, places.clone().map(|place| i64::from(place.page)));
    let mut before = Place::default();
    for place in places.clone() {
        put_ivarint(
            out,
            i64::from(place.offset) - expected_offset(before, place.page),
        );
        before = place;
    }
    for place in places {
        put_uvarint(out, u64::from(place.length));
    }
}

fn places(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<Place>, Malformed> {
    let pages = changes(cursor, count)?;
    let mut offsets = Vec::with_capacity(count);
    for _ in 0..count {
        offsets.push(cursor.ivarint()?);
    }
    let mut places: Vec<Place> = Vec::with_capacity(count);
    for (page, offset) in pages.into_iter().zip(offsets) {
        let narrow = |number: i64| u32::try_from(number).ok();
        let length = narrow(cursor.uvarint()? as i64);
        let place = narrow(page).zip(length).and_then(|(page, length)| {
            let before = places.last().copied().unwrap_or_default();
            let offset = narrow(offset.checked_add(expected_offset(before, page))?)?;
            Some(Place {
                page,
                offset,
                length,
            })
        });
        places.push(place.ok_or_else(|| cursor.malformed("a place of 32 bits"))?);
    }
    Ok(places)
}

fn expected_offset(before: Place, page: u32) -> i64 {
    if before.page == page {
        i64::from(before.offset) + i64::from(before.length)
    } else {
        0
    }
}

/// The exponent at which all four values are exact decimals, the first mantissa, and how far from
/// it the others are; or the floats. Then the sum and the resets.
fn put_summary(out: &mut Vec<u8>, summary: &Summary) {
    let values = [summary.first, summary.last, summary.min, summary.max];
    if let Some((exponent, mantissas)) = decimal::mantissas(&values) {
        out.push(exponent);
        put_changes(out, mantissas.into_iter());
    } else {
        out.push(NO_DECIMALS);
        for value in values {
            put_f64(out, value);
        }
    }
    put_f64(out, summary.sum);
    put_uvarint(out, u64::from(summary.resets));
}

fn summary(cursor: &mut Cursor<'_>) -> Result<Summary, Malformed> {
    let exponent = cursor.u8()?;
    let mut mantissa = 0i64;
    let mut value = |cursor: &mut Cursor<'_>| {
        if exponent == NO_DECIMALS {
            return cursor.f64();
        }
        mantissa = mantissa.wrapping_add(cursor.ivarint()?);
        decimal::value_of(mantissa, exponent)
            .ok_or_else(|| cursor.malformed("an exponent of at most 12"))
    };
    Ok(Summary {
        first: value(cursor)?,
        last: value(cursor)?,
        min: value(cursor)?,
        max: value(cursor)?,
        sum: cursor.f64()?,
        resets: u32::try_from(cursor.uvarint()?)
            .map_err(|_| cursor.malformed("a number of resets"))?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(number: u32) -> Entry {
        let exemplars = number % 5 == 4;
        let kind = match number % 5 {
            4 => ChunkKind::Exemplars,
            3 => ChunkKind::Histograms,
            _ => ChunkKind::Floats,
        };
        let place = |offset| Place {
            page: number / 7,
            offset,
            length: 100 + number,
        };
        let values: Vec<f64> = (0..100).map(|i| f64::from(i * number) / 8.0).collect();
        let odd = [f64::MIN_POSITIVE, -0.0, f64::INFINITY].repeat(50);
        Entry {
            header: ChunkHeader {
                kind,
                count: number as usize,
                range: TimeRange::new(Timestamp(i64::from(number) * 1000), Timestamp(1 << 40)),
                times: TimesSpan {
                    body: if exemplars {
                        Place::default()
                    } else {
                        place(7)
                    },
                    skip: if exemplars { 0 } else { number as usize * 3 },
                },
                values: place(number * 50),
                starts: (number.is_multiple_of(3)).then(|| place(1 << 20)),
                summary: match number % 4 {
                    0 => None,
                    1 => Summary::of(&odd),
                    _ => Summary::of(&values),
                },
            },
            times_body: number,
        }
    }

    #[test]
    fn headers_come_back() {
        let entries: Vec<Entry> = (0..400).map(entry).collect();
        let places: Vec<Place> = entries
            .iter()
            .map(|entry| entry.header.times.body)
            .collect();
        let section = encode_places(&places);
        assert_eq!(decode_places(&section).expect("own encoding"), places);
        let mut writer = BlockWriter::default();
        let series: Vec<&[Entry]> = entries
            .chunk_by(|a, b| a.times_body / 9 == b.times_body / 9)
            .collect();
        for (number, entries) in series.iter().enumerate() {
            assert_eq!(writer.is_full(), number >= SERIES_PER_BLOCK);
            writer.push(entries);
        }
        writer.push(&[]);
        let block = Arc::new(decode(&writer.take(), &places).expect("own encoding"));
        assert!(writer.is_empty());
        for (number, entries) in series.iter().enumerate() {
            let expected: Vec<ChunkHeader> = entries.iter().map(|entry| entry.header).collect();
            assert_eq!(*block.series(number).expect("is there"), *expected);
        }
        assert!(block.series(series.len()).expect("is there").is_empty());
        assert!(block.series(series.len() + 1).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes: Vec<u8>, at: prop::sample::Index, byte: u8) {
            let places = [Place::default()];
            let _ = decode(&bytes, &places);
            let _ = decode_places(&bytes);
            let _ = version_1::decode(&bytes);
            let mut writer = BlockWriter::default();
            writer.push(&[entry(1), entry(3), entry(8)]);
            let mut damaged = writer.take();
            let at = at.index(damaged.len());
            damaged[at] = byte;
            let _ = decode(&damaged, &places);
        }
    }
}
