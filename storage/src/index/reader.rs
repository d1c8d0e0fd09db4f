//! Reading the index of a part.
//!
//! The FST and the places of the labels stay in memory; postings and labels are read, and their
//! checksums verified, when they are asked for.

use fst::{IntoStreamer, Map, Streamer};
use model::labels::Labels;
use roaring::RoaringBitmap;

use super::writer::{
    LENGTH_BITS, NAME_END, SERIES_PER_BLOCK, SERIES_SECTION, SINGLE, TERMS_SECTION, term,
};
use super::{LabelIndex, SeriesRef, VisitValue};
use crate::codec::{Cursor, Malformed};
use crate::part::reader::PartFile;
use crate::part::{BlockHandle, PartError};

/// Most bytes a block of labels may unpack to: 64 series of 2 MiB labels are no series.
const LABELS_BYTES_MAX: usize = 128 << 20;

/// The index of a part.
#[derive(Debug)]
pub struct IndexReader {
    file: PartFile,
    series_count: u32,
    label_blocks: Vec<BlockHandle>,
    terms: Map<Vec<u8>>,
}

impl IndexReader {
    /// Reads what stays in memory.
    pub fn open(file: &PartFile) -> Result<Self, PartError> {
        let places = file.section(SERIES_SECTION)?;
        let (series_count, label_blocks) =
            read_places(&places).map_err(|malformed| file.malformed(SERIES_SECTION, malformed))?;
        let terms = Map::new(file.section(TERMS_SECTION)?)
            .map_err(|error| file.corrupt_section(TERMS_SECTION, error.to_string()))?;
        Ok(Self {
            file: file.clone(),
            series_count,
            label_blocks,
            terms,
        })
    }

    /// The labels of the given series, in the order of their numbers.
    pub fn labels_of(
        &self,
        series: &RoaringBitmap,
        mut visit: impl FnMut(SeriesRef, Labels),
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
            if let Some(labels) = labels {
                visit(number, labels.clone());
            }
        }
        Ok(())
    }

    /// The labels of every series, in the order of their numbers.
    pub fn all_labels(&self) -> Result<Vec<Labels>, PartError> {
        let mut all = Vec::with_capacity(self.series_count as usize);
        for block in 0..self.label_blocks.len() {
            all.extend(self.label_block(block)?);
        }
        Ok(all)
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

impl LabelIndex for IndexReader {
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
        while let Some((key, postings)) = stream.next() {
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
