//! Where samples are kept: the `metrics` table of a [`storage::store::Store`].
//!
//! The storage core brings the log, the manifest, the merges and the invariants; this module says
//! what a record, a memtable and a part of samples are. What it adds to the invariants:
//!
//! 1. **Bit-exact.** Every float comes back with its 64 bits: NaN payloads, the staleness marker,
//!    both zeros. A block is decoded and compared when it is encoded.
//! 2. **One sample at an instant.** Of samples of one series at one instant the last written stays,
//!    be it a float or a histogram, in a memtable, across parts, and in what a query reads.
//! 3. A part lists its series in the order of their labels, so that parts merge side by side with one
//!    series in memory.
//! 4. A block of at most 8,192 samples can be located, and skipped by time, without reading it.
//!
//! Modules, in the order data flows:
//!
//! - [`columns`]: the samples of a series in memory; the rule that the last write stays.
//! - [`record`]: a record of the log.
//! - [`registry`]: the series that are active, as successive memtables share them.
//! - [`memtable`]: samples not in a part yet.
//! - [`codec`]: columns of a block to bytes, bit for bit.
//! - [`chunk`]: what is known of a block without reading it.
//! - [`directory`]: which blocks each series has.
//! - [`times`]: timestamps that series share.
//! - [`families`]: what is known of metric families.
//! - [`part_writer`], [`part_reader`]: a part; its bytes are described in `store/FORMAT.md`.
//! - [`merge`]: many parts become one.
//! - [`read`]: samples and labels over everything a view holds.

pub mod chunk;
pub mod codec;
pub mod columns;
pub mod directory;
mod families;
pub mod memtable;
mod merge;
pub mod part_reader;
mod part_writer;
pub mod read;
mod record;
pub mod registry;
mod times;

use model::matcher::Matcher;
use model::time::TimeRange;
use storage::index::select::select;
use storage::part::PartError;
use storage::part::reader::PartFile;
use storage::part::writer::PartWriter;
use storage::store::Store;
use storage::table::{Density, MergePlan, PartSummary, Table};

use memtable::MetricsMemtable;
use part_reader::MetricsPart;
use part_writer::SeriesWriter;

/// Samples as a kind of rows.
#[derive(Debug)]
pub struct Metrics;

/// A store of samples.
pub type MetricStore = Store<Metrics>;

impl Table for Metrics {
    const NAME: &'static str = "metrics";
    type Memtable = MetricsMemtable;
    type Part = MetricsPart;

    fn open(file: PartFile) -> Result<MetricsPart, PartError> {
        MetricsPart::open(file)
    }

    fn may_hold(part: &MetricsPart, matchers: &[Matcher]) -> Result<bool, PartError> {
        Ok(!select(part.index(), matchers)?.is_empty())
    }

    fn flush(
        memtables: &[&MetricsMemtable],
        range: TimeRange,
        writer: &mut PartWriter,
    ) -> Result<PartSummary, PartError> {
        // The shards side by side, each in the order of labels: one series at a time is in memory.
        let mut walks: Vec<_> = memtables
            .iter()
            .map(|memtable| {
                let labelled = memtable
                    .ordered()
                    .filter_map(|series| Some((memtable.labels(series)?, series, *memtable)));
                labelled.peekable()
            })
            .collect();
        let mut out = SeriesWriter::new(writer, Density::Hot);
        for memtable in memtables {
            out.metadata(memtable.families().cloned());
        }
        loop {
            let ahead = walks
                .iter_mut()
                .filter_map(|walk| Some((walk.peek()?.0.clone(), walk)));
            let Some((_, walk)) = ahead.min_by(|(a, _), (b, _)| a.cmp(b)) else {
                break;
            };
            let Some((labels, series, memtable)) = walk.next() else {
                break;
            };
            if let Some(mut columns) = memtable.columns(series) {
                columns.restrict(range);
                out.series(&labels, &columns)?;
            }
        }
        let summary = out.finish()?;
        summary.ok_or_else(|| writer.unexpected(&"there is no sample to write"))
    }

    fn merge(
        plan: &MergePlan<MetricsPart>,
        writer: &mut PartWriter,
    ) -> Result<Option<PartSummary>, PartError> {
        merge::merge(plan, writer)
    }
}
