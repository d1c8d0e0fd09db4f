//! Reading a part.
//!
//! What stays in memory is the index' FST and where the pages and the directory's blocks are: a
//! dozen bytes for 64 KiB of samples. All else is read, and its checksum verified, when asked for.
//! A [`PartScan`] keeps the page, the directory block and the timestamps it read last, so that
//! reading series in the order of their numbers touches each page once.

use model::sample::HistogramSample;
use model::time::{TimeRange, Timestamp};
use storage::codec::{Cursor, Malformed};
use storage::index::reader::IndexReader;
use storage::index::{LabelIndex as _, SeriesRef};
use storage::part::reader::PartFile;
use storage::part::{BlockHandle, PartError};

use super::chunk::{ChunkHeader, ChunkKind, Place};
use super::codec::{histograms, timestamps, values};
use super::columns::{Columns, Floats};
use super::part_writer::{CHUNKS_SECTION, PAGES_SECTION, SERIES_PER_BLOCK};

/// Pages a scan keeps: the one with values, and the one with the timestamps they share.
const PAGES_KEPT: usize = 2;

/// A part of metrics.
#[derive(Debug)]
pub struct MetricsPart {
    file: PartFile,
    index: IndexReader,
    pages: Vec<BlockHandle>,
    directory: Vec<BlockHandle>,
}

impl MetricsPart {
    /// Reads what stays in memory.
    pub fn open(file: PartFile) -> Result<Self, PartError> {
        let index = IndexReader::open(&file)?;
        let handles = |name: &str| {
            decode_handles(&file.section(name)?)
                .map_err(|malformed| file.malformed(name, malformed))
        };
        let (pages, directory) = (handles(PAGES_SECTION)?, handles(CHUNKS_SECTION)?);
        if directory.len() != (index.len() as usize).div_ceil(SERIES_PER_BLOCK) {
            let reason = "it does not have a block for every 128 series";
            return Err(file.corrupt_section(CHUNKS_SECTION, reason));
        }
        Ok(Self {
            file,
            index,
            pages,
            directory,
        })
    }

    /// Labels to series.
    pub const fn index(&self) -> &IndexReader {
        &self.index
    }

    /// A reader of series, best asked in the order of their numbers.
    pub const fn scan(&self) -> PartScan<'_> {
        PartScan {
            part: self,
            headers: None,
            pages: Vec::new(),
            times: None,
        }
    }
}

/// Reads series of a part.
#[derive(Debug)]
pub struct PartScan<'a> {
    part: &'a MetricsPart,
    headers: Option<(usize, Vec<Vec<ChunkHeader>>)>,
    pages: Vec<(u32, Vec<u8>)>,
    times: Option<(Place, Vec<i64>)>,
}

impl PartScan<'_> {
    /// The blocks of a series, floats before histograms, each in the order of time.
    pub fn headers(&mut self, series: SeriesRef) -> Result<Vec<ChunkHeader>, PartError> {
        let block = series as usize / SERIES_PER_BLOCK;
        if self
            .headers
            .as_ref()
            .is_none_or(|(index, _)| *index != block)
        {
            self.headers = Some((block, self.directory_block(block)?));
        }
        let headers = self
            .headers
            .as_ref()
            .and_then(|(_, headers)| headers.get(series as usize % SERIES_PER_BLOCK));
        headers.cloned().ok_or_else(|| {
            let reason = format!("series {series} is missing");
            self.part.file.corrupt_section(CHUNKS_SECTION, reason)
        })
    }

    /// The samples of a series in `range`.
    pub fn read(&mut self, series: SeriesRef, range: TimeRange) -> Result<Columns, PartError> {
        let mut columns = Columns::default();
        for header in self.headers(series)? {
            if header.range.overlaps(&range) {
                self.read_chunk(&header, &mut columns)?;
            }
        }
        columns.restrict(range);
        Ok(columns)
    }

    /// Appends the samples of a block.
    fn read_chunk(&mut self, header: &ChunkHeader, columns: &mut Columns) -> Result<(), PartError> {
        self.load_times(header)?;
        let body = self.body(header.values)?.to_vec();
        let times = self.times.as_ref().map(|(_, times)| times.as_slice());
        let times = times.unwrap_or_default();
        let malformed = |malformed: Malformed| self.part.corrupt_place(header.values, &malformed);
        match header.kind {
            ChunkKind::Floats => {
                let values = values::decode(&body, header.count).map_err(malformed)?;
                append_floats(&mut columns.floats, times, values);
            }
            ChunkKind::Histograms => {
                let mut cursor = Cursor::new(&body);
                let first = columns.histograms.len();
                for at in times {
                    let before = columns.histograms.get(first..).and_then(<[_]>::last);
                    let before = before.map(|sample: &HistogramSample| &sample.histogram);
                    let histogram = histograms::decode(&mut cursor, before).map_err(malformed)?;
                    columns.histograms.push(HistogramSample {
                        timestamp: Timestamp(*at),
                        histogram,
                    });
                }
            }
        }
        Ok(())
    }

    fn load_times(&mut self, header: &ChunkHeader) -> Result<(), PartError> {
        let place = header.times;
        if self.times.as_ref().is_none_or(|(held, _)| *held != place) {
            let times = timestamps::decode(self.body(place)?);
            let times = times.map_err(|malformed| self.part.corrupt_place(place, &malformed))?;
            self.times = Some((place, times));
        }
        let count = self.times.as_ref().map_or(0, |(_, times)| times.len());
        if count == header.count {
            return Ok(());
        }
        let malformed = Malformed {
            offset: 0,
            expected: "as many timestamps as the block has samples",
        };
        Err(self.part.corrupt_place(place, &malformed))
    }

    fn body(&mut self, place: Place) -> Result<&[u8], PartError> {
        let part = self.part;
        let missing = || {
            let reason = format!("{place:?} is in no page");
            part.file.corrupt_section(PAGES_SECTION, reason)
        };
        let held = self.pages.iter().position(|(page, _)| *page == place.page);
        let held = if let Some(held) = held {
            held
        } else {
            let handle = *part.pages.get(place.page as usize).ok_or_else(missing)?;
            if self.pages.len() >= PAGES_KEPT {
                self.pages.remove(0);
            }
            self.pages.push((place.page, part.file.block(handle)?));
            self.pages.len() - 1
        };
        let start = place.offset as usize;
        let page = self.pages.get(held).map(|(_, page)| page);
        page.and_then(|page| page.get(start..start + place.length as usize))
            .ok_or_else(missing)
    }

    fn directory_block(&self, block: usize) -> Result<Vec<Vec<ChunkHeader>>, PartError> {
        let file = &self.part.file;
        let Some(handle) = self.part.directory.get(block).copied() else {
            return Ok(Vec::new());
        };
        decode_directory_block(&file.block(handle)?)
            .map_err(|malformed| file.corrupt(handle.offset, malformed.to_string()))
    }
}

impl MetricsPart {
    fn corrupt_place(&self, place: Place, malformed: &Malformed) -> PartError {
        let page = self.pages.get(place.page as usize);
        let offset = page.map_or(0, |page| page.offset) + u64::from(place.offset);
        self.file.corrupt(offset, malformed.to_string())
    }
}

fn append_floats(floats: &mut Floats, times: &[i64], values: Vec<f64>) {
    floats.timestamps.extend_from_slice(times);
    if floats.values.is_empty() {
        floats.values = values;
    } else {
        floats.values.extend_from_slice(&values);
    }
}

fn decode_handles(bytes: &[u8]) -> Result<Vec<BlockHandle>, Malformed> {
    let mut cursor = Cursor::new(bytes);
    let count = cursor.count(2)?;
    let mut handles = Vec::with_capacity(count);
    for _ in 0..count {
        handles.push(BlockHandle {
            offset: cursor.uvarint()?,
            length: u32::try_from(cursor.uvarint()?)
                .map_err(|_| cursor.malformed("a block length below 2^32"))?,
        });
    }
    Ok(handles)
}

fn decode_directory_block(bytes: &[u8]) -> Result<Vec<Vec<ChunkHeader>>, Malformed> {
    let mut cursor = Cursor::new(bytes);
    let mut series = Vec::with_capacity(SERIES_PER_BLOCK);
    while !cursor.is_at_end() {
        let count = cursor.count(10)?;
        let mut headers = Vec::with_capacity(count);
        for _ in 0..count {
            headers.push(ChunkHeader::decode(&mut cursor)?);
        }
        series.push(headers);
    }
    Ok(series)
}
