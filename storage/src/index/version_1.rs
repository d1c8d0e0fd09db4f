//! The index that parts of the first version have. It is read for ever, and written no more.
//!
//! ```text
//! block*             64 series each: length unpacked u32, then an LZ4 block: texts of `model::labels`,
//!                    each behind its length (uvarint)
//! block*             roaring bitmaps of the values that more than one series has
//! section "series"   how many series uvarint, then per block of labels: offset uvarint, length uvarint
//! section "terms"    an FST of the crate `fst`: name 0xFF value → postings
//! ```
//!
//! 0xFF occurs in no UTF-8 text, so a name ends where it ends. Postings are one number: with the
//! highest bit set the one series that has the value, else `offset << 24 | length` of a block. The FST
//! and the places of the labels stay in memory.

use std::ops::ControlFlow;
use std::sync::Arc;

use fst::{IntoStreamer, Map, Streamer};
use model::labels::Labels;
use roaring::RoaringBitmap;

use super::{LabelIndex, SeriesRef, VisitValue};
use crate::codec::{Cursor, Malformed};
use crate::part::reader::PartFile;
use crate::part::{BlockHandle, PartError};

/// Series whose labels share a block.
const SERIES_PER_BLOCK: usize = 64;
/// Ends a label name in a key of the FST.
const NAME_END: u8 = 0xff;
/// Marks postings that are a series themselves.
const SINGLE: u64 = 1 << 63;
/// Bits of a block's length in packed postings.
const LENGTH_BITS: u32 = 24;
/// Name of the section with the places of the labels.
const SERIES_SECTION: &str = "series";
/// Name of the section with the FST.
const TERMS_SECTION: &str = "terms";

/// Values that are walked before it is asked whether somebody still waits.
const VALUES_PER_CHECK: usize = 1024;

/// Most bytes a block of labels may unpack to: 64 series of 2 MiB labels are no series.
const LABELS_BYTES_MAX: usize = 128 << 20;

/// The index of a part of the first version.
#[derive(Clone, Debug)]
pub(super) struct Version1 {
    file: PartFile,
    series_count: u32,
    label_blocks: Arc<[BlockHandle]>,
    terms: Arc<Map<Vec<u8>>>,
}

impl Version1 {
    /// Reads what stays in memory.
    pub(super) fn open(file: &PartFile) -> Result<Self, PartError> {
        let places = file.section(SERIES_SECTION)?;
        let (series_count, label_blocks) =
            read_places(&places).map_err(|malformed| file.malformed(SERIES_SECTION, malformed))?;
        // Walking an FST that is none panics; its own checksum says that it is one.
        let terms = Map::new(file.section(TERMS_SECTION)?)
            .and_then(|terms| terms.as_fst().verify().map(|()| terms))
            .map_err(|error| file.corrupt_section(TERMS_SECTION, error.to_string()))?;
        Ok(Self {
            file: file.clone(),
            series_count,
            label_blocks: label_blocks.into(),
            terms: Arc::new(terms),
        })
    }

    pub(super) const fn file(&self) -> &PartFile {
        &self.file
    }

    pub(super) const fn file_mut(&mut self) -> &mut PartFile {
        &mut self.file
    }

    /// The labels of the given series, in the order of their numbers.
    pub(super) fn labels_of(
        &self,
        series: &RoaringBitmap,
        visit: &mut dyn FnMut(SeriesRef, Labels) -> ControlFlow<()>,
    ) -> Result<(), PartError> {
        let mut loaded: Option<(usize, Vec<Labels>)> = None;
        for number in series {
            let block = number as usize / SERIES_PER_BLOCK;
            if loaded.as_ref().is_none_or(|(index, _)| *index != block) {
                loaded = Some((block, self.label_block(block)?));
            }
            let labels = loaded
                .as_ref()
                .and_then(|(_, labels)| labels.get(number as usize % SERIES_PER_BLOCK));
            if let Some(labels) = labels
                && visit(number, labels.clone()).is_break()
            {
                break;
            }
        }
        Ok(())
    }

    fn label_block(&self, block: usize) -> Result<Vec<Labels>, PartError> {
        let Some(handle) = self.label_blocks.get(block).copied() else {
            return Ok(Vec::new());
        };
        let raw = self.file.block_lz4(handle, LABELS_BYTES_MAX)?;
        let mut cursor = Cursor::new(&raw);
        let mut all = Vec::with_capacity(SERIES_PER_BLOCK);
        while !cursor.is_at_end() {
            let labels = cursor
                .text()
                .and_then(|text| {
                    Labels::from_encoded(text).ok_or_else(|| cursor.malformed("a label set"))
                })
                .map_err(|malformed| self.file.corrupt(handle.offset, malformed.to_string()))?;
            all.push(labels);
        }
        Ok(all)
    }

    fn read_postings(&self, postings: u64) -> Result<RoaringBitmap, PartError> {
        if postings & SINGLE != 0 {
            return Ok(RoaringBitmap::from([(postings & !SINGLE) as SeriesRef]));
        }
        let handle = BlockHandle {
            offset: postings >> LENGTH_BITS,
            length: (postings & ((1 << LENGTH_BITS) - 1)) as u32,
        };
        let bytes = self.file.block(handle)?;
        RoaringBitmap::deserialize_from(bytes.as_slice())
            .map_err(|error| self.file.corrupt(handle.offset, error.to_string()))
    }
}

impl LabelIndex for Version1 {
    fn len(&self) -> u32 {
        self.series_count
    }

    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, PartError> {
        match self.terms.get(term(name, value)) {
            Some(postings) => self.read_postings(postings),
            None => Ok(RoaringBitmap::new()),
        }
    }

    fn each_value(
        &self,
        name: &str,
        prefix: &str,
        visit: &mut VisitValue<'_>,
    ) -> Result<(), PartError> {
        let start = term(name, prefix);
        let name_bytes = name.len() + 1;
        let mut stream = self.terms.range().ge(&start).into_stream();
        let mut walked = 0_usize;
        while let Some((key, postings)) = stream.next() {
            if walked.is_multiple_of(VALUES_PER_CHECK) {
                self.file.check_patience()?;
            }
            walked += 1;
            if !key.starts_with(&start) {
                break;
            }
            let value = key
                .get(name_bytes..)
                .and_then(|value| std::str::from_utf8(value).ok())
                .ok_or_else(|| {
                    self.file
                        .corrupt_section(TERMS_SECTION, "a value is not UTF-8")
                })?;
            visit(value, &mut || self.read_postings(postings))?;
        }
        Ok(())
    }

    fn label_names(&self) -> Result<Vec<String>, PartError> {
        let mut names = Vec::new();
        let mut from = Vec::new();
        loop {
            let mut stream = self.terms.range().ge(&from).into_stream();
            let Some((key, _)) = stream.next() else {
                return Ok(names);
            };
            let name = key
                .split(|byte| *byte == NAME_END)
                .next()
                .and_then(|name| std::str::from_utf8(name).ok())
                .ok_or_else(|| {
                    self.file
                        .corrupt_section(TERMS_SECTION, "a name is not UTF-8")
                })?;
            names.push(name.to_owned());
            // The next name's first term: behind every value of this one.
            from = name.as_bytes().to_vec();
            from.extend_from_slice(&[NAME_END, NAME_END]);
        }
    }
}

/// The FST key of a label.
fn term(name: &str, value: &str) -> Vec<u8> {
    let mut term = Vec::with_capacity(name.len() + value.len() + 1);
    term.extend_from_slice(name.as_bytes());
    term.push(NAME_END);
    term.extend_from_slice(value.as_bytes());
    term
}

fn read_places(bytes: &[u8]) -> Result<(u32, Vec<BlockHandle>), Malformed> {
    let mut cursor = Cursor::new(bytes);
    let count = u32::try_from(cursor.uvarint()?)
        .map_err(|_| cursor.malformed("a number of series below 2^32"))?;
    let mut blocks = Vec::new();
    while !cursor.is_at_end() {
        blocks.push(BlockHandle {
            offset: cursor.uvarint()?,
            length: u32::try_from(cursor.uvarint()?)
                .map_err(|_| cursor.malformed("a block length below 2^32"))?,
        });
    }
    if blocks.len() != (count as usize).div_ceil(SERIES_PER_BLOCK) {
        return Err(cursor.malformed("a block for every 64 series"));
    }
    Ok((count, blocks))
}

/// Writes what the first version wrote.
#[cfg(test)]
pub(super) fn write(
    series: &[Labels],
    writer: &mut crate::part::writer::PartWriter,
) -> Result<(), PartError> {
    use std::collections::BTreeMap;

    use crate::codec::{put_bytes, put_uvarint};

    let mut places = Vec::new();
    put_uvarint(&mut places, series.len() as u64);
    for block in series.chunks(SERIES_PER_BLOCK) {
        let mut raw = Vec::new();
        for labels in block {
            put_bytes(&mut raw, labels.as_encoded().as_bytes());
        }
        let handle = writer.block(&lz4_flex::compress_prepend_size(&raw))?;
        put_uvarint(&mut places, handle.offset);
        put_uvarint(&mut places, u64::from(handle.length));
    }
    writer.section(SERIES_SECTION, &places)?;
    let mut terms: BTreeMap<Vec<u8>, RoaringBitmap> = BTreeMap::new();
    for (number, labels) in (0..).zip(series) {
        for (name, value) in labels {
            terms.entry(term(name, value)).or_default().insert(number);
        }
    }
    let mut map = fst::MapBuilder::memory();
    for (term, bitmap) in terms {
        let single = bitmap.min().filter(|_| bitmap.len() == 1);
        let postings = if let Some(series) = single {
            SINGLE | u64::from(series)
        } else {
            let mut bytes = Vec::new();
            bitmap.serialize_into(&mut bytes).expect("in memory");
            let BlockHandle { offset, length } = writer.block(&bytes)?;
            offset << LENGTH_BITS | u64::from(length)
        };
        map.insert(term, postings).expect("in order");
    }
    writer.section(TERMS_SECTION, &map.into_inner().expect("in memory"))
}
