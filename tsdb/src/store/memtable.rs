//! Samples that are only in memory and in the log: an index and the columns of each series.
//!
//! The same [`Memtable::apply`] runs when a record is written and when it is replayed, so both
//! lead to the same state. A series has two numbers: its place in the index, and the number the log
//! knows it by. They are equal unless a record that named a series was lost, which leaves a gap.

use std::collections::{BTreeSet, HashMap};

use model::histogram::Histogram;
use model::labels::Labels;
use model::sample::SeriesSamples;
use model::time::{TimeRange, Timestamp};
use storage::codec::Malformed;
use storage::index::SeriesRef;
use storage::index::memory::MemoryIndex;
use storage::table::{Memtable, Partition, Shard};

use super::columns::Columns;
use super::record::{self, Record, SeriesNumber};

/// What a float takes in memory.
const FLOAT_BYTES: usize = 16;

/// Samples in memory.
#[derive(Debug, Default)]
pub struct MetricsMemtable {
    index: MemoryIndex,
    /// By place in the index.
    series: Vec<MemorySeries>,
    /// Places of the series whose number is not their place.
    displaced: HashMap<SeriesNumber, SeriesRef>,
    /// Above every number in use.
    next_number: SeriesNumber,
    rows: u64,
    bytes: usize,
}

#[derive(Debug, Default)]
struct MemorySeries {
    number: SeriesNumber,
    columns: Columns,
}

impl MetricsMemtable {
    /// Labels to series.
    pub const fn index(&self) -> &MemoryIndex {
        &self.index
    }

    /// The samples of a series.
    pub fn columns(&self, series: SeriesRef) -> Option<&Columns> {
        self.series
            .get(series as usize)
            .map(|series| &series.columns)
    }

    /// The number the log knows the series by.
    fn number_of(&self, labels: &Labels) -> Option<SeriesNumber> {
        let series = self.index.get(labels)?;
        self.series.get(series as usize).map(|series| series.number)
    }

    fn place_of(&self, number: SeriesNumber) -> Option<SeriesRef> {
        let in_place = self.series.get(number as usize);
        if in_place.is_some_and(|series| series.number == number) {
            return Some(number);
        }
        self.displaced.get(&number).copied()
    }

    fn name(&mut self, number: SeriesNumber, labels: &Labels) {
        let place = self.index.get_or_insert(labels);
        if self.series.len() <= place as usize {
            self.series.push(MemorySeries {
                number,
                columns: Columns::default(),
            });
            self.bytes += size_of::<MemorySeries>();
        }
        if self.place_of(number) != Some(place) {
            self.displaced.insert(number, place);
        }
        self.next_number = self.next_number.max(number.saturating_add(1));
    }

    /// Writes rows of a series, which take `bytes` each. Returns whether the series is known.
    fn write(
        &mut self,
        number: SeriesNumber,
        bytes: usize,
        write: impl FnOnce(&mut Columns),
    ) -> bool {
        let place = self.place_of(number);
        let Some(series) = place.and_then(|place| self.series.get_mut(place as usize)) else {
            return false;
        };
        let before = series.columns.len();
        write(&mut series.columns);
        let added = series.columns.len().saturating_sub(before);
        self.rows += added as u64;
        self.bytes += added * bytes;
        true
    }
}

impl Memtable for MetricsMemtable {
    type Batch = [SeriesSamples];

    fn encode(&self, batch: &[SeriesSamples], shard: Shard, out: &mut Vec<u8>) {
        debug_assert_eq!(shard, Shard::WHOLE, "samples have one shard");
        let mut record = Record::default();
        let mut next = self.next_number;
        let mut named: HashMap<&Labels, SeriesNumber> = HashMap::new();
        for series in batch {
            if series.samples.is_empty() && series.histograms.is_empty() {
                continue;
            }
            let known = self
                .number_of(&series.labels)
                .or_else(|| named.get(&series.labels).copied());
            let number = known.unwrap_or_else(|| {
                let number = next;
                next = next.saturating_add(1);
                named.insert(&series.labels, number);
                record.series.push((number, &series.labels));
                number
            });
            let floats = series.samples.iter();
            record
                .floats
                .push(number, floats.map(|s| (s.timestamp.0, s.value)));
            let histograms = series.histograms.iter();
            record
                .histograms
                .push(number, histograms.map(|s| (s.timestamp.0, &s.histogram)));
        }
        record.encode(out);
    }

    fn apply(&mut self, record: &[u8]) -> Result<(), Malformed> {
        let decoded = record::decode(record)?;
        for (number, labels) in &decoded.series {
            self.name(*number, labels);
        }
        let mut all_known = true;
        for (number, rows) in decoded.floats.into_runs() {
            all_known &= self.write(number, FLOAT_BYTES, |columns| columns.write_floats(rows));
        }
        for (number, rows) in decoded.histograms.into_runs() {
            let rows: Vec<_> = rows.into_iter().map(|(at, h)| (at, h, 0)).collect();
            let bytes: usize = rows.iter().map(|(_, h, _)| histogram_bytes(h)).sum();
            let bytes_each = bytes / rows.len().max(1);
            all_known &= self.write(number, bytes_each, |columns| columns.write_histograms(rows));
        }
        if all_known {
            return Ok(());
        }
        Err(Malformed {
            offset: 0,
            expected: "the number of a series that an earlier record named",
        })
    }

    fn bytes(&self) -> usize {
        self.bytes + self.index.bytes()
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn partitions(&self, width_ms: i64) -> BTreeSet<Partition> {
        let mut partitions = BTreeSet::new();
        let mut covered: Option<TimeRange> = None;
        for series in &self.series {
            let floats = series.columns.floats.timestamps.iter().copied();
            let histograms = series.columns.histograms.iter();
            for at in floats.chain(histograms.map(|sample| sample.timestamp.0)) {
                let at = Timestamp(at);
                if covered.is_some_and(|range| range.contains(at)) {
                    continue;
                }
                let partition = Partition::of(at, width_ms);
                covered = Some(partition.range(width_ms));
                partitions.insert(partition);
            }
        }
        partitions
    }
}

fn histogram_bytes(histogram: &Histogram) -> usize {
    let floats = histogram.positive_buckets.len()
        + histogram.negative_buckets.len()
        + histogram.positive_spans.len()
        + histogram.negative_spans.len()
        + histogram.custom_values.len();
    size_of::<Histogram>() + floats * 8
}
