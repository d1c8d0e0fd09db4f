//! Reading a part.
//!
//! What stays in memory is the index' FST and where the pages, the directory's blocks and the bodies
//! of timestamps are: a dozen bytes for 64 KiB of samples. All else is read, and its checksum
//! verified, when asked for.
//!
//! A query asks a [`PartScan`] for the headers of a series, skips the blocks it does not need, and has
//! the values of the others decoded into a buffer of its own. Timestamps come as a part of a
//! shared body, which is decoded once for all series of a scrape. A scan keeps the page and the
//! directory block it read last, so that reading series in the order of their numbers touches each
//! once. Scans of one part are independent of each other.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use model::sample::{Exemplar, HistogramSample, Metadata};
use model::time::{TimeRange, Timestamp};
use storage::codec::{Cursor, Malformed};
use storage::index::reader::IndexReader;
use storage::index::{LabelIndex as _, SeriesRef};
use storage::part::reader::PartFile;
use storage::part::{BlockHandle, PartError};
use storage::table::Density;

use super::chunk::{ChunkHeader, ChunkKind, Place, TimesSpan};
use super::codec::{exemplars, histograms, starts, timestamps, values};
use super::columns::Columns;
use super::directory::version_1::CHUNKS_SECTION;
use super::directory::{self, DirectoryBlock, SERIES_PER_BLOCK, SeriesChunks};
use super::families;
use super::part_writer::{
    DIRECTORY_SECTION, FAMILIES_SECTION, PAGES_SECTION, SETTLED, TIMES_SECTION,
};

/// Pages a scan keeps: the one with values, and the one with the timestamps they share.
const PAGES_KEPT: usize = 2;
/// A block of the directory is at most as large: headers of 128 series, each of a few hundred chunks.
const DIRECTORY_BLOCK_BYTES_MAX: usize = 64 << 20;
/// Timestamps a scan keeps decoded.
const TIMESTAMPS_KEPT_MAX: usize = 1 << 20;

/// A part of metrics.
#[derive(Debug)]
pub struct MetricsPart {
    file: PartFile,
    index: IndexReader,
    pages: Vec<BlockHandle>,
    directory: Directory,
}

/// The places of the directory's blocks.
#[derive(Debug)]
enum Directory {
    /// As the first version wrote them.
    Version1(Vec<BlockHandle>),
    /// By column.
    Columns {
        blocks: Vec<BlockHandle>,
        /// The places of the bodies of timestamps.
        times: Vec<Place>,
        /// What the part was written for.
        density: Density,
    },
}

/// Timestamps of a block, which other blocks may share.
#[derive(Clone, Debug)]
pub struct Times {
    all: Arc<[i64]>,
    positions: Range<usize>,
}

impl Times {
    /// The body that has them, and where in it they are.
    pub const fn shared(&self) -> (&Arc<[i64]>, &Range<usize>) {
        (&self.all, &self.positions)
    }
}

impl std::ops::Deref for Times {
    type Target = [i64];

    fn deref(&self) -> &[i64] {
        self.all.get(self.positions.clone()).unwrap_or_default()
    }
}

impl MetricsPart {
    /// Reads what stays in memory.
    pub fn open(file: PartFile) -> Result<Self, PartError> {
        let index = IndexReader::open(&file)?;
        let handles = |name: &str| {
            decode_handles(&file.section(name)?)
                .map_err(|malformed| file.malformed(name, malformed))
        };
        let pages = handles(PAGES_SECTION)?;
        let directory = if file.has_section(DIRECTORY_SECTION) {
            let times = directory::decode_places(&file.section(TIMES_SECTION)?)
                .map_err(|malformed| file.malformed(TIMES_SECTION, malformed))?;
            let section = file.section(DIRECTORY_SECTION)?;
            let (density, blocks) = section.split_first().unwrap_or((&SETTLED, &[]));
            let blocks = decode_handles(blocks)
                .map_err(|malformed| file.malformed(DIRECTORY_SECTION, malformed))?;
            let density = if *density == SETTLED {
                Density::Settled
            } else {
                Density::Hot
            };
            Directory::Columns {
                blocks,
                times,
                density,
            }
        } else {
            Directory::Version1(handles(CHUNKS_SECTION)?)
        };
        let part = Self {
            file,
            index,
            pages,
            directory,
        };
        let (section, blocks) = part.directory_blocks();
        if blocks.len() != (part.index.len() as usize).div_ceil(SERIES_PER_BLOCK) {
            let reason = "it does not have a block for every 128 series";
            return Err(part.file.corrupt_section(section, reason));
        }
        Ok(part)
    }

    /// Labels to series.
    pub const fn index(&self) -> &IndexReader {
        &self.index
    }

    /// What is known of metric families, in the order of their names.
    pub fn metadata(&self) -> Result<Vec<Metadata>, PartError> {
        if !self.file.has_section(FAMILIES_SECTION) {
            return Ok(Vec::new());
        }
        families::decode(&self.file.section(FAMILIES_SECTION)?)
            .map_err(|malformed| self.file.malformed(FAMILIES_SECTION, malformed))
    }

    /// A reader of series, best asked in the order of their numbers.
    pub fn scan(&self) -> PartScan<'_> {
        self.scan_that(Keeping::Nothing)
    }

    /// The same, which leaves directories and timestamps for the next one or not.
    pub fn scan_that(&self, keeping: Keeping) -> PartScan<'_> {
        PartScan {
            part: self,
            keeping,
            directory: None,
            pages: Vec::new(),
            times: HashMap::new(),
            times_kept: 0,
        }
    }

    /// What the part was written for.
    pub(super) const fn density(&self) -> Density {
        match &self.directory {
            Directory::Version1(_) => Density::Hot,
            Directory::Columns { density, .. } => *density,
        }
    }

    fn directory_blocks(&self) -> (&'static str, &[BlockHandle]) {
        match &self.directory {
            Directory::Version1(blocks) => (CHUNKS_SECTION, blocks),
            Directory::Columns { blocks, .. } => (DIRECTORY_SECTION, blocks),
        }
    }

    fn directory_block(&self, number: usize) -> Result<DirectoryBlock, PartError> {
        let (_, blocks) = self.directory_blocks();
        let Some(handle) = blocks.get(number).copied() else {
            return Ok(DirectoryBlock::default());
        };
        let block = match &self.directory {
            Directory::Version1(_) => directory::version_1::decode(&self.file.block(handle)?),
            Directory::Columns { times, .. } => {
                let bytes = self.file.block_lz4(handle, DIRECTORY_BLOCK_BYTES_MAX)?;
                directory::decode(&bytes, times)
            }
        };
        block.map_err(|malformed| self.file.corrupt(handle.offset, malformed.to_string()))
    }

    fn directory_offset(&self, number: usize) -> Option<u64> {
        let (_, blocks) = self.directory_blocks();
        blocks.get(number).map(|handle| handle.offset)
    }

    /// Where a body begins in the file.
    fn offset_of(&self, place: Place) -> u64 {
        let page = self.pages.get(place.page as usize);
        page.map_or(0, |page| page.offset) + u64::from(place.offset)
    }

    fn corrupt_place(&self, place: Place, malformed: &Malformed) -> PartError {
        (self.file).corrupt(self.offset_of(place), malformed.to_string())
    }
}

/// Whether a scan leaves what it decodes in the store's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// It does not: it reads more than the cache has room for, and only once.
    Nothing,
    /// It does: directories and timestamps of a few series are asked for again with every refresh of a
    /// dashboard, and of a part of which a query needs one block they cost more than that.
    Directories,
}

/// Reads series of a part.
#[derive(Debug)]
pub struct PartScan<'a> {
    part: &'a MetricsPart,
    keeping: Keeping,
    directory: Option<(usize, Arc<DirectoryBlock>)>,
    /// Pages that were read, the latest last.
    pages: Vec<(u32, Vec<u8>)>,
    times: HashMap<Place, Arc<[i64]>>,
    times_kept: usize,
}

impl PartScan<'_> {
    /// The blocks of a series: floats, then histograms, then exemplars, each in the order of time.
    pub fn chunks(&mut self, series: SeriesRef) -> Result<SeriesChunks, PartError> {
        let number = series as usize / SERIES_PER_BLOCK;
        let held = self.directory.as_ref().filter(|(held, _)| *held == number);
        let block = if let Some((_, block)) = held {
            Arc::clone(block)
        } else {
            let block = match (self.keeping, self.part.directory_offset(number)) {
                (Keeping::Directories, Some(offset)) => {
                    self.part.file.remembered(offset, || {
                        let block = self.part.directory_block(number)?;
                        let bytes = block.bytes();
                        Ok((block, bytes))
                    })?
                }
                _ => Arc::new(self.part.directory_block(number)?),
            };
            self.directory = Some((number, Arc::clone(&block)));
            block
        };
        let found = block.series(series as usize % SERIES_PER_BLOCK);
        found.ok_or_else(|| {
            let (section, _) = self.part.directory_blocks();
            let reason = format!("series {series} is missing");
            self.part.file.corrupt_section(section, reason)
        })
    }

    /// The timestamps of a block of floats or histograms.
    pub fn times(&mut self, header: &ChunkHeader) -> Result<Times, PartError> {
        let TimesSpan { body, skip } = header.times;
        let all = if let Some(all) = self.times.get(&body) {
            Arc::clone(all)
        } else {
            let (part, pages) = (self.part, &mut self.pages);
            let mut decode = || {
                let bytes = body_of(part, pages, body)?;
                let all: Arc<[i64]> = timestamps::decode(bytes)
                    .map_err(|malformed| part.corrupt_place(body, &malformed))?
                    .into();
                let bytes = size_of_val(&*all);
                Ok((all, bytes))
            };
            let all = match self.keeping {
                Keeping::Nothing => decode()?.0,
                Keeping::Directories => {
                    Arc::clone(&*part.file.remembered(part.offset_of(body), decode)?)
                }
            };
            if self.times_kept + all.len() > TIMESTAMPS_KEPT_MAX {
                self.times.clear();
                self.times_kept = 0;
            }
            self.times_kept += all.len();
            self.times.insert(body, Arc::clone(&all));
            all
        };
        let positions = skip..skip.saturating_add(header.count);
        if positions.end <= all.len() {
            return Ok(Times { all, positions });
        }
        let malformed = Malformed {
            offset: 0,
            expected: "as many timestamps as the block has samples",
        };
        Err(self.part.corrupt_place(body, &malformed))
    }

    /// Appends the values of a block of floats to `out`.
    pub fn values(&mut self, header: &ChunkHeader, out: &mut Vec<f64>) -> Result<(), PartError> {
        let body = body_of(self.part, &mut self.pages, header.values)?;
        values::decode(body, header.count, out)
            .map_err(|malformed| self.part.corrupt_place(header.values, &malformed))
    }

    /// Appends the samples of a block of histograms to `out`.
    pub fn histograms(
        &mut self,
        header: &ChunkHeader,
        out: &mut Vec<HistogramSample>,
    ) -> Result<(), PartError> {
        let times = self.times(header)?;
        let body = body_of(self.part, &mut self.pages, header.values)?;
        let mut cursor = Cursor::new(body);
        let first = out.len();
        for at in times.iter() {
            let before = out.get(first..).and_then(<[_]>::last);
            let before = before.map(|sample: &HistogramSample| &sample.histogram);
            let histogram = histograms::decode(&mut cursor, before)
                .map_err(|malformed| self.part.corrupt_place(header.values, &malformed))?;
            out.push(HistogramSample {
                timestamp: Timestamp(*at),
                histogram,
            });
        }
        Ok(())
    }

    /// Appends when the counter behind each sample of a block started, 0 where that is not known;
    /// nothing where it is known of none. `times` are the timestamps of the block.
    pub fn starts(
        &mut self,
        header: &ChunkHeader,
        times: &[i64],
        out: &mut Vec<i64>,
    ) -> Result<(), PartError> {
        let Some(place) = header.starts else {
            return Ok(());
        };
        let body = body_of(self.part, &mut self.pages, place)?;
        starts::decode(body, times, out)
            .map_err(|malformed| self.part.corrupt_place(place, &malformed))
    }

    /// The samples of a series in `range`, without exemplars.
    pub fn read(&mut self, series: SeriesRef, range: TimeRange) -> Result<Columns, PartError> {
        let mut columns = Columns::default();
        for header in self.chunks(series)?.iter() {
            if header.kind != ChunkKind::Exemplars && header.range.overlaps(&range) {
                self.read_chunk(header, &mut columns)?;
            }
        }
        columns.restrict(range);
        Ok(columns)
    }

    /// The exemplars of a series in `range`, in the order of time.
    pub fn exemplars(
        &mut self,
        series: SeriesRef,
        range: TimeRange,
    ) -> Result<Vec<Exemplar>, PartError> {
        let mut columns = Columns::default();
        for header in self.chunks(series)?.iter() {
            if header.kind == ChunkKind::Exemplars && header.range.overlaps(&range) {
                self.read_chunk(header, &mut columns)?;
            }
        }
        columns.restrict(range);
        Ok(columns.exemplars)
    }

    /// The bytes of a body.
    pub(super) fn body(&mut self, place: Place) -> Result<&[u8], PartError> {
        body_of(self.part, &mut self.pages, place)
    }

    /// Appends what a block holds.
    pub(super) fn read_chunk(
        &mut self,
        header: &ChunkHeader,
        columns: &mut Columns,
    ) -> Result<(), PartError> {
        match header.kind {
            ChunkKind::Floats => {
                let times = self.times(header)?;
                let floats = &mut columns.floats;
                if header.starts.is_some() {
                    floats.starts.resize(floats.timestamps.len(), 0);
                    self.starts(header, &times, &mut floats.starts)?;
                }
                floats.timestamps.extend_from_slice(&times);
                self.values(header, &mut floats.values)?;
                if !floats.starts.is_empty() {
                    floats.starts.resize(floats.timestamps.len(), 0);
                }
            }
            ChunkKind::Histograms => {
                let starts = &mut columns.histogram_starts;
                if header.starts.is_some() {
                    let times = self.times(header)?;
                    starts.resize(columns.histograms.len(), 0);
                    self.starts(header, &times, starts)?;
                }
                self.histograms(header, &mut columns.histograms)?;
                if !starts.is_empty() {
                    starts.resize(columns.histograms.len(), 0);
                }
            }
            ChunkKind::Exemplars => {
                let body = body_of(self.part, &mut self.pages, header.values)?;
                let mut exemplars = exemplars::decode(body, header.count)
                    .map_err(|malformed| self.part.corrupt_place(header.values, &malformed))?;
                columns.exemplars.append(&mut exemplars);
            }
        }
        Ok(())
    }
}

/// The bytes at `place`; of the pages that were read the last ones are kept in `pages`.
fn body_of<'a>(
    part: &MetricsPart,
    pages: &'a mut Vec<(u32, Vec<u8>)>,
    place: Place,
) -> Result<&'a [u8], PartError> {
    let missing = || {
        let reason = format!("{place:?} is in no page");
        part.file.corrupt_section(PAGES_SECTION, reason)
    };
    let held = pages.iter().position(|(page, _)| *page == place.page);
    let held = if let Some(held) = held {
        held
    } else {
        let handle = *part.pages.get(place.page as usize).ok_or_else(missing)?;
        if pages.len() >= PAGES_KEPT {
            pages.remove(0);
        }
        pages.push((place.page, part.file.block(handle)?));
        pages.len() - 1
    };
    let start = place.offset as usize;
    let end = start.saturating_add(place.length as usize);
    let page = pages.get(held).map(|(_, page)| page);
    page.and_then(|page| page.get(start..end))
        .ok_or_else(missing)
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
