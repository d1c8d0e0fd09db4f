//! Writing a part: series in the order of their labels, each cut into blocks.
//!
//! Bodies of blocks are gathered into pages, so that the thousands of short blocks of a fresh part
//! cost neither a checksum nor a read each. A body of timestamps that was written lately is not
//! written again: series of one scrape share it. The bytes are described in `FORMAT.md`.

use std::collections::HashMap;

use model::labels::Labels;
use model::sample::HistogramSample;
use model::time::{TimeRange, Timestamp};
use storage::codec::put_uvarint;
use storage::index::writer::write_index;
use storage::part::writer::PartWriter;
use storage::part::{BlockHandle, PartError};
use storage::table::PartSummary;

use super::chunk::{ChunkHeader, ChunkKind, Place, Summary};
use super::codec::{BLOCK_SAMPLES_MAX, histograms, timestamps, values};
use super::columns::{Columns, Floats};

/// A page is written out when it has grown to this.
const PAGE_BYTES: usize = 64 << 10;
/// Series whose headers share a block of the directory.
pub(super) const SERIES_PER_BLOCK: usize = 128;
/// Bodies of timestamps that are remembered.
const SHARED_TIMES_MAX: usize = 4096;
/// A block of histograms is closed when its values have grown to this.
const HISTOGRAM_BODY_BYTES: usize = 256 << 10;
/// Name of the section with the places of the pages.
pub(super) const PAGES_SECTION: &str = "pages";
/// Name of the section with the places of the directory's blocks.
pub(super) const CHUNKS_SECTION: &str = "chunks";

/// A part of metrics that is being written.
pub(super) struct SeriesWriter<'a> {
    writer: &'a mut PartWriter,
    page: Vec<u8>,
    pages: Vec<BlockHandle>,
    directory: Vec<BlockHandle>,
    /// The directory's block that is being gathered.
    headers: Vec<u8>,
    shared_times: HashMap<Vec<u8>, Place>,
    series: Vec<Labels>,
    rows: u64,
    range: Option<TimeRange>,
}

impl<'a> SeriesWriter<'a> {
    pub(super) fn new(writer: &'a mut PartWriter) -> Self {
        Self {
            writer,
            page: Vec::new(),
            pages: Vec::new(),
            directory: Vec::new(),
            headers: Vec::new(),
            shared_times: HashMap::new(),
            series: Vec::new(),
            rows: 0,
            range: None,
        }
    }

    /// Appends a series; its labels come after those of the one before.
    pub(super) fn series(&mut self, labels: &Labels, columns: &Columns) -> Result<(), PartError> {
        let Some(range) = columns.range() else {
            return Ok(());
        };
        debug_assert!(self.series.last().is_none_or(|last| last < labels));
        let mut headers = Vec::new();
        self.float_chunks(&columns.floats, &mut headers)?;
        self.histogram_chunks(&columns.histograms, &mut headers)?;
        put_uvarint(&mut self.headers, headers.len() as u64);
        for header in &headers {
            header.encode(&mut self.headers);
        }
        self.series.push(labels.clone());
        self.rows += columns.len() as u64;
        self.range = Some(self.range.map_or(range, |all| all.union(&range)));
        if self.series.len().is_multiple_of(SERIES_PER_BLOCK) {
            self.end_directory_block()?;
        }
        Ok(())
    }

    /// Ends the part with its directory and its index; `None` where there is no sample.
    pub(super) fn finish(mut self) -> Result<Option<PartSummary>, PartError> {
        let Some(range) = self.range else {
            return Ok(None);
        };
        if !self.page.is_empty() {
            self.end_page()?;
        }
        if !self.headers.is_empty() {
            self.end_directory_block()?;
        }
        self.writer
            .section(PAGES_SECTION, &encode_handles(&self.pages))?;
        self.writer
            .section(CHUNKS_SECTION, &encode_handles(&self.directory))?;
        write_index(&self.series, self.writer)?;
        Ok(Some(PartSummary {
            rows: self.rows,
            range,
        }))
    }

    fn float_chunks(
        &mut self,
        floats: &Floats,
        headers: &mut Vec<ChunkHeader>,
    ) -> Result<(), PartError> {
        let times = floats.timestamps.chunks(BLOCK_SAMPLES_MAX);
        for (times, block) in times.zip(floats.values.chunks(BLOCK_SAMPLES_MAX)) {
            let mut body = Vec::new();
            values::encode(block, &mut body);
            headers.push(ChunkHeader {
                kind: ChunkKind::Floats,
                count: times.len(),
                range: range_of(times),
                times: self.put_times(times)?,
                values: self.put(&body)?,
                summary: Summary::of(block),
            });
        }
        Ok(())
    }

    fn histogram_chunks(
        &mut self,
        samples: &[HistogramSample],
        headers: &mut Vec<ChunkHeader>,
    ) -> Result<(), PartError> {
        let mut rest = samples;
        while !rest.is_empty() {
            let mut body = Vec::new();
            let mut times = Vec::new();
            let mut previous = None;
            for sample in rest.iter().take(BLOCK_SAMPLES_MAX) {
                histograms::encode(&sample.histogram, previous, &mut body);
                times.push(sample.timestamp.0);
                previous = Some(&sample.histogram);
                if body.len() >= HISTOGRAM_BODY_BYTES {
                    break;
                }
            }
            rest = rest.get(times.len()..).unwrap_or_default();
            headers.push(ChunkHeader {
                kind: ChunkKind::Histograms,
                count: times.len(),
                range: range_of(&times),
                times: self.put_times(&times)?,
                values: self.put(&body)?,
                summary: None,
            });
        }
        Ok(())
    }

    fn put_times(&mut self, times: &[i64]) -> Result<Place, PartError> {
        let mut body = Vec::new();
        timestamps::encode(times, &mut body);
        if let Some(place) = self.shared_times.get(&body) {
            return Ok(*place);
        }
        let place = self.put(&body)?;
        if self.shared_times.len() >= SHARED_TIMES_MAX {
            self.shared_times.clear();
        }
        self.shared_times.insert(body, place);
        Ok(place)
    }

    fn put(&mut self, body: &[u8]) -> Result<Place, PartError> {
        if self.page.len() + body.len() > PAGE_BYTES && !self.page.is_empty() {
            self.end_page()?;
        }
        let place = Place {
            page: self.pages.len() as u32,
            offset: self.page.len() as u32,
            length: body.len() as u32,
        };
        self.page.extend_from_slice(body);
        Ok(place)
    }

    fn end_page(&mut self) -> Result<(), PartError> {
        self.pages.push(self.writer.block(&self.page)?);
        self.page.clear();
        Ok(())
    }

    fn end_directory_block(&mut self) -> Result<(), PartError> {
        self.directory.push(self.writer.block(&self.headers)?);
        self.headers.clear();
        Ok(())
    }
}

fn range_of(times: &[i64]) -> TimeRange {
    let first = times.first().copied().unwrap_or_default();
    let last = times.last().copied().unwrap_or_default();
    TimeRange::new(Timestamp(first), Timestamp(last))
}

fn encode_handles(handles: &[BlockHandle]) -> Vec<u8> {
    let mut out = Vec::new();
    put_uvarint(&mut out, handles.len() as u64);
    for handle in handles {
        put_uvarint(&mut out, handle.offset);
        put_uvarint(&mut out, u64::from(handle.length));
    }
    out
}
