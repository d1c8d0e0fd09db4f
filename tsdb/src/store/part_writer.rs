//! Writing a part: series in the order of their labels, each cut into blocks.
//!
//! Bodies of blocks are gathered into pages, so that the thousands of short blocks of a fresh part
//! cost neither a checksum nor a read each. Series of one scrape share their timestamps, see
//! [`times`](super::times). The bytes are described in `FORMAT.md`.

use std::collections::BTreeMap;

use model::labels::Labels;
use model::sample::{Exemplar, HistogramSample, Metadata};
use model::time::{TimeRange, Timestamp};
use storage::codec::put_uvarint;
use storage::index::writer::IndexWriter;
use storage::part::writer::PartWriter;
use storage::part::{BlockHandle, PartError};
use storage::table::{Density, PartSummary};

use super::chunk::{ChunkHeader, ChunkKind, Place, Summary, TimesSpan};
use super::codec::{BLOCK_SAMPLES_MAX, exemplars, histograms, starts, timestamps, values};
use super::columns::{Columns, Floats};
use super::directory::{self, BlockWriter, Entry};
use super::families;
use super::part_reader::PartScan;
use super::times::{Shared, SharedTimes};

/// A page is written out when it has grown to this.
const PAGE_BYTES: usize = 64 << 10;
/// A block of histograms is closed when its values have grown to this.
const HISTOGRAM_BODY_BYTES: usize = 256 << 10;
/// What a part says of its density.
const HOT: u8 = 0;
/// As [`HOT`].
pub(super) const SETTLED: u8 = 1;
/// Name of the section with the places of the pages.
pub(super) const PAGES_SECTION: &str = "pages";
/// Name of the section with the places of the directory's blocks.
pub(super) const DIRECTORY_SECTION: &str = "directory";
/// Name of the section with the places of the bodies of timestamps.
pub(super) const TIMES_SECTION: &str = "times";
/// Name of the section with the metric families.
pub(super) const FAMILIES_SECTION: &str = "families";

/// A part of metrics that is being written.
pub(super) struct SeriesWriter<'a> {
    writer: &'a mut PartWriter,
    density: Density,
    page: Vec<u8>,
    pages: Vec<BlockHandle>,
    directory: Vec<BlockHandle>,
    /// The directory's block that is being gathered.
    headers: BlockWriter,
    /// Where each body of timestamps is.
    times: Vec<Place>,
    shared_times: SharedTimes,
    families: BTreeMap<String, Metadata>,
    index: IndexWriter,
    /// The series before.
    last: Option<Labels>,
    rows: u64,
    range: Option<TimeRange>,
}

impl<'a> SeriesWriter<'a> {
    pub(super) fn new(writer: &'a mut PartWriter, density: Density) -> Self {
        Self {
            writer,
            density,
            page: Vec::new(),
            pages: Vec::new(),
            directory: Vec::new(),
            headers: BlockWriter::default(),
            times: Vec::new(),
            shared_times: SharedTimes::default(),
            families: BTreeMap::new(),
            index: IndexWriter::default(),
            last: None,
            rows: 0,
            range: None,
        }
    }

    /// Says what is known of metric families; of what is said twice the later stays.
    pub(super) fn metadata(&mut self, families: impl IntoIterator<Item = Metadata>) {
        let named = families.into_iter().map(|of| (of.family.clone(), of));
        self.families.extend(named);
    }

    /// Appends a series; its labels come after those of the one before.
    pub(super) fn series(&mut self, labels: &Labels, columns: &Columns) -> Result<(), PartError> {
        let Some(range) = columns.range() else {
            return Ok(());
        };
        let mut entries = Vec::new();
        self.float_chunks(&columns.floats, &mut entries)?;
        let starts = &columns.histogram_starts;
        self.histogram_chunks(&columns.histograms, starts, &mut entries)?;
        self.exemplar_chunks(&columns.exemplars, &mut entries)?;
        self.end_series(labels, &entries, range)
    }

    /// Appends a series as another part has it, without decoding its values.
    pub(super) fn copy_series(
        &mut self,
        labels: &Labels,
        chunks: &[ChunkHeader],
        scan: &mut PartScan<'_>,
    ) -> Result<(), PartError> {
        let mut entries = Vec::with_capacity(chunks.len());
        let mut range: Option<TimeRange> = None;
        for chunk in chunks {
            let mut shared = Shared::default();
            if chunk.kind != ChunkKind::Exemplars {
                let times = scan.times(chunk)?;
                shared = self.put_times(&times)?;
                range = Some(range.map_or(chunk.range, |all| all.union(&chunk.range)));
            }
            let values = self.put(scan.body(chunk.values)?)?;
            let starts = match chunk.starts {
                Some(starts) => Some(self.put(scan.body(starts)?)?),
                None => None,
            };
            let times = TimesSpan {
                body: Place::default(),
                skip: shared.skip,
            };
            entries.push(Entry {
                header: ChunkHeader {
                    times,
                    values,
                    starts,
                    ..*chunk
                },
                times_body: shared.body,
            });
        }
        // Of exemplars alone there is nothing to say but when they were.
        let all = chunks.iter().map(|chunk| chunk.range);
        let Some(range) = range.or_else(|| all.reduce(|a, b| a.union(&b))) else {
            return Ok(());
        };
        self.end_series(labels, &entries, range)
    }

    fn end_series(
        &mut self,
        labels: &Labels,
        entries: &[Entry],
        range: TimeRange,
    ) -> Result<(), PartError> {
        debug_assert!(self.last.as_ref().is_none_or(|last| last < labels));
        self.last = Some(labels.clone());
        self.headers.push(entries);
        self.index.push(labels);
        let samples = entries.iter().map(|entry| &entry.header);
        let samples = samples.filter(|header| header.kind != ChunkKind::Exemplars);
        self.rows += samples.map(|header| header.count as u64).sum::<u64>();
        self.range = Some(self.range.map_or(range, |all| all.union(&range)));
        if self.headers.is_full() {
            self.end_directory_block()?;
        }
        Ok(())
    }

    /// Ends the part with its directory and its index; `None` where there is no series.
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
            .section(TIMES_SECTION, &directory::encode_places(&self.times))?;
        self.writer
            .section(DIRECTORY_SECTION, &self.encode_directory())?;
        if !self.families.is_empty() {
            let families = families::encode(&self.families);
            self.writer.section(FAMILIES_SECTION, &families)?;
        }
        self.index.finish(self.writer)?;
        Ok(Some(PartSummary {
            rows: self.rows,
            range,
        }))
    }

    fn float_chunks(&mut self, floats: &Floats, entries: &mut Vec<Entry>) -> Result<(), PartError> {
        let (mut times, mut values) = (floats.timestamps.as_slice(), floats.values.as_slice());
        let mut starts = floats.starts.as_slice();
        while !times.is_empty() {
            let shared = self.put_times(times)?;
            let block = take(&mut times, shared.count);
            let values = take(&mut values, shared.count);
            let starts = take(&mut starts, shared.count);
            let mut body = Vec::new();
            values::encode(values, self.density, &mut body);
            let header = ChunkHeader {
                values: self.put(&body)?,
                starts: self.put_starts(starts, block)?,
                summary: values::is_worth_a_summary(&body)
                    .then(|| Summary::of(values))
                    .flatten(),
                ..timed(ChunkKind::Floats, block, shared)
            };
            entries.push(Entry {
                header,
                times_body: shared.body,
            });
        }
        Ok(())
    }

    fn histogram_chunks(
        &mut self,
        mut samples: &[HistogramSample],
        mut starts: &[i64],
        entries: &mut Vec<Entry>,
    ) -> Result<(), PartError> {
        while !samples.is_empty() {
            let block = samples.get(..BLOCK_SAMPLES_MAX).unwrap_or(samples);
            let mut body = Vec::new();
            let mut count = 0;
            let mut previous = None;
            for sample in block {
                histograms::encode(&sample.histogram, previous, &mut body);
                count += 1;
                previous = Some(&sample.histogram);
                if body.len() >= HISTOGRAM_BODY_BYTES {
                    break;
                }
            }
            let block = take(&mut samples, count);
            let starts = take(&mut starts, count);
            let times: Vec<i64> = block.iter().map(|sample| sample.timestamp.0).collect();
            let shared = self.put_times(&times)?;
            let header = ChunkHeader {
                values: self.put(&body)?,
                starts: self.put_starts(starts, &times)?,
                ..timed(ChunkKind::Histograms, &times, shared)
            };
            entries.push(Entry {
                header,
                times_body: shared.body,
            });
        }
        Ok(())
    }

    fn exemplar_chunks(
        &mut self,
        all: &[Exemplar],
        entries: &mut Vec<Entry>,
    ) -> Result<(), PartError> {
        for block in all.chunks(BLOCK_SAMPLES_MAX) {
            let mut body = Vec::new();
            exemplars::encode(block, &mut body);
            let times: Vec<i64> = (block.iter())
                .filter_map(|exemplar| exemplar.timestamp.map(|at| at.0))
                .collect();
            let header = ChunkHeader {
                kind: ChunkKind::Exemplars,
                count: block.len(),
                range: range_of(&times),
                times: TimesSpan::default(),
                values: self.put(&body)?,
                starts: None,
                summary: None,
            };
            entries.push(Entry {
                header,
                times_body: 0,
            });
        }
        Ok(())
    }

    /// Makes the timestamps of the next block be there, and says how many of `times` it has.
    fn put_times(&mut self, times: &[i64]) -> Result<Shared, PartError> {
        if let Some(shared) = self.shared_times.find(times) {
            return Ok(shared);
        }
        let block = times.get(..BLOCK_SAMPLES_MAX).unwrap_or(times);
        let mut encoded = Vec::new();
        timestamps::encode(block, &mut encoded);
        let place = self.put(&encoded)?;
        self.times.push(place);
        let body = self.shared_times.push(block);
        debug_assert_eq!(body as usize + 1, self.times.len());
        Ok(Shared {
            body,
            skip: 0,
            count: block.len(),
        })
    }

    fn put_starts(&mut self, starts: &[i64], times: &[i64]) -> Result<Option<Place>, PartError> {
        if starts.iter().all(|start| *start == 0) {
            return Ok(None);
        }
        let mut body = Vec::new();
        starts::encode(starts, times, &mut body);
        self.put(&body).map(Some)
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
        let block = lz4_flex::compress_prepend_size(&self.headers.take());
        self.directory.push(self.writer.block(&block)?);
        Ok(())
    }

    fn encode_directory(&self) -> Vec<u8> {
        let mut out = vec![match self.density {
            Density::Hot => HOT,
            Density::Settled => SETTLED,
        }];
        out.append(&mut encode_handles(&self.directory));
        out
    }
}

/// What a header says of the timestamps of its block.
fn timed(kind: ChunkKind, times: &[i64], shared: Shared) -> ChunkHeader {
    ChunkHeader {
        kind,
        count: times.len(),
        range: range_of(times),
        times: TimesSpan {
            // An entry names the body by its number.
            body: Place::default(),
            skip: shared.skip,
        },
        values: Place::default(),
        starts: None,
        summary: None,
    }
}

/// The next `count` elements, or what there is of them.
fn take<'a, T>(rest: &mut &'a [T], count: usize) -> &'a [T] {
    let (taken, left) = rest.split_at_checked(count).unwrap_or((rest, &[]));
    *rest = left;
    taken
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use model::histogram::Histogram;
    use model::sample::MetricType;
    use storage::disk::Disk as _;
    use storage::disk::sim::SimDisk;
    use storage::part::reader::PartFile;
    use storage::table::{MergeInput, MergePlan, Table as _};

    use super::*;
    use crate::store::Metrics;
    use crate::store::chunk::ChunkKind;
    use crate::store::columns::FloatRow;
    use crate::store::part_reader::MetricsPart;

    fn part(write: impl FnOnce(&mut PartWriter)) -> Arc<MetricsPart> {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new("/")).expect("a folder");
        let path = Path::new("/1.part");
        let mut writer = PartWriter::create(&disk, path).expect("a file");
        write(&mut writer);
        writer.finish().expect("a part");
        let file = PartFile::open(&disk, path).expect("a part");
        Arc::new(MetricsPart::open(file).expect("a part of metrics"))
    }

    fn family(name: &str, help: &str) -> Metadata {
        Metadata {
            family: name.into(),
            metric_type: MetricType::Counter,
            help: help.into(),
            unit: "bytes".into(),
        }
    }

    fn exemplar(at: i64) -> Exemplar {
        Exemplar {
            labels: Labels::from_pairs([("trace_id", at.to_string().as_str())]),
            value: at as f64,
            timestamp: Some(Timestamp(at)),
        }
    }

    /// Samples from `from` on, with starts, exemplars and two families.
    fn write(from: i64, help: &str, writer: &mut PartWriter) {
        let mut out = SeriesWriter::new(writer, Density::Hot);
        out.metadata([family("a", help), family(help, help)]);
        for series in ["x", "y"] {
            let mut columns = Columns::default();
            let rows = (from..from + 100).map(|at| FloatRow {
                at,
                value: at as f64 * 1.5,
                start: at / 50,
            });
            columns.write_float_rows(rows.collect());
            let histograms =
                (1000 + from..1010 + from).map(|at| (at, Histogram::default(), at - 1));
            columns.write_histograms(histograms.collect());
            columns.write_exemplars(vec![exemplar(from), exemplar(50)]);
            let labels = Labels::from_pairs([("s", series)]);
            out.series(&labels, &columns).expect("written");
        }
        out.finish().expect("written").expect("not empty");
    }

    #[test]
    fn a_merge_keeps_starts_exemplars_and_families_by_the_last_write() {
        let inputs = [(0, "older"), (50, "newer")].map(|(from, help)| MergeInput {
            part: part(|writer| write(from, help, writer)),
            erasures: Arc::default(),
        });
        let plan = MergePlan {
            inputs: inputs.into(),
            density: Density::Settled,
        };
        let merged = part(|writer| {
            let summary = Metrics::merge(&plan, writer).expect("written");
            assert_eq!(summary.expect("not empty").rows, 2 * (150 + 20));
        });
        let families = merged.metadata().expect("read");
        let expected = [("a", "newer"), ("newer", "newer"), ("older", "older")];
        assert_eq!(families, expected.map(|(name, help)| family(name, help)));
        let mut scan = merged.scan();
        for series in 0..2 {
            let columns = scan.read(series, TimeRange::ALL).expect("read");
            let starts: Vec<i64> = (0..150).map(|at| at / 50).collect();
            assert_eq!(columns.floats.starts, starts);
            let starts: Vec<i64> = (999..1009).chain(1049..1059).collect();
            assert_eq!(columns.histogram_starts, starts);
            assert!(
                columns.exemplars.is_empty(),
                "a query of samples has no use for them"
            );
            let exemplars = scan.exemplars(series, TimeRange::ALL).expect("read");
            assert_eq!(exemplars, [exemplar(0), exemplar(50)]);
        }
    }

    #[test]
    fn series_of_a_scrape_share_timestamps_in_a_scan() {
        let part = part(|writer| write(0, "a", writer));
        let mut scan = part.scan();
        let [x, y] = [0, 1].map(|series| {
            let chunks = scan.chunks(series).expect("read");
            assert_eq!(chunks.len(), 3);
            assert_eq!(chunks[2].kind, ChunkKind::Exemplars);
            scan.times(&chunks[0]).expect("read")
        });
        assert!(Arc::ptr_eq(x.shared().0, y.shared().0));
        let mut values = vec![-1.0];
        let header = scan.chunks(0).expect("read")[0];
        scan.values(&header, &mut values).expect("read");
        assert_eq!(values.len(), 101, "appended");
        let summary = header.summary.expect("100 samples are worth one");
        assert_eq!((summary.first, summary.last), (values[1], values[100]));
        assert_eq!(summary.sum, values[1..].iter().sum::<f64>());
    }
}
