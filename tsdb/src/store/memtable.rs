//! Samples that are only in memory and in the log.
//!
//! The same [`Memtable::apply`] runs when a record is written and when it is replayed, so both
//! lead to the same state. What a memtable has of its own are rows; the labels are in a registry
//! that it shares with the memtables before and after it (see [`super::registry`]), and a series is
//! known by its number there.
//!
//! Nearly everything in memory is floats, and a series has few of them until the next flush, so they
//! have a form of their own (`memtable/rows.rs`). Whatever else a series may have is kept aside, and
//! costs those that have it not a byte.
//!
//! Queries may meet series here that have no sample: the registry knows them from before.

mod encode;
mod numbering;
mod rows;
mod starts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;
use model::histogram::Histogram;
use model::labels::Labels;
use model::sample::{Exemplar, HistogramSample, Metadata};
use model::time::{TimeRange, Timestamp};
use storage::codec::Malformed;
use storage::index::SeriesRef;
use storage::store::view::View;
use storage::table::{Memtable, Partition, Shard};
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

use super::Metrics;
use super::columns::{Columns, FloatRow};
use super::record::{
    self, FloatRows, NameReader, RecordReader, Rows as RecordRows, Section, SeriesNumber,
};
use super::registry::{ActiveRegistries, PairNumber, Registry, RegistryIndex, Shared};
use crate::ingest::batch::Batch;
use crate::query::{Guard, Interrupted};
use numbering::Numbering;
use rows::Rows;
use starts::Starts;

/// Memtables that a series may be missing from before it counts as idle.
const IDLE_MEMTABLES: u32 = 4;
/// Exemplars of a memtable; those beyond are dropped.
const EXEMPLARS_MAX: usize = 50_000;
/// Metric families of a memtable; those beyond are dropped.
const FAMILIES_MAX: usize = 100_000;

/// What a byte of a record that is not a float's may take in memory.
const NAMED_BYTES_PER_BYTE: usize = 4;

/// Samples in memory.
#[derive(Debug, Default)]
pub struct MetricsMemtable {
    shared: Arc<Shared>,
    numbering: Numbering,
    floats: Rows,
    others: HashMap<SeriesRef, Others, Xxh3DefaultBuilder>,
    exemplars: usize,
    exemplars_dropped: u64,
    families: BTreeMap<String, Metadata>,
    rows: u64,
    oldest: Option<Timestamp>,
    /// What histograms, exemplars and families take.
    other_bytes: usize,
    /// What the registry took when this memtable was begun, and when it was last added to.
    registry_bytes: (usize, usize),
}

/// What a series has beside floats.
#[derive(Debug, Default)]
struct Others {
    /// In the order of writing, each with the number of floats that were written before it.
    histograms: Vec<(u32, HistogramSample)>,
    starts: Starts,
    exemplars: Vec<Exemplar>,
}

impl MetricsMemtable {
    /// Labels to series. While it is held no new series is taken in.
    ///
    /// Who asks first after many new series have come has them put in order, and may give up on it.
    pub fn index(&self, guard: &Guard) -> Result<RegistryIndex<'_>, Interrupted> {
        self.shared.index(guard)
    }

    /// Whether there is anything of a series here.
    pub fn holds(&self, series: SeriesRef) -> bool {
        self.floats.len_of(series) > 0 || self.others.contains_key(&series)
    }

    /// What there is of a series; `None` where that is nothing.
    pub fn columns(&self, series: SeriesRef) -> Option<Columns> {
        if !self.holds(series) {
            return None;
        }
        let mut columns = Columns::default();
        let Some(others) = self.others.get(&series) else {
            self.floats.columns_of(series, &mut columns);
            return Some(columns);
        };
        let mut starts = others.starts.floats();
        let floats = (0..).zip(self.floats.of(series));
        let floats: Vec<FloatRow> = floats
            .map(|(row, (at, value))| FloatRow {
                at,
                value,
                start: starts.of(row),
            })
            .collect();
        let mut starts = others.starts.histograms();
        let mut rows = (0..).zip(&others.histograms).peekable();
        let mut written = 0;
        while let Some((_, (before, _))) = rows.peek() {
            let before = *before as usize;
            let between = floats.get(written..before).unwrap_or_default();
            columns.write_float_rows(between.to_vec());
            let mut together = Vec::new();
            while let Some((row, (_, sample))) =
                rows.next_if(|(_, (floats, _))| *floats as usize == before)
            {
                let start = starts.of(row);
                together.push((sample.timestamp.0, sample.histogram.clone(), start));
            }
            columns.write_histograms(together);
            written = before;
        }
        columns.write_float_rows(floats.get(written..).unwrap_or_default().to_vec());
        columns.write_exemplars(others.exemplars.clone());
        Some(columns)
    }

    /// The exemplars of a series in `range`, in the order of writing.
    pub fn exemplars(&self, series: SeriesRef, range: TimeRange) -> Vec<Exemplar> {
        let exemplars = self.others.get(&series).map(|others| &others.exemplars);
        let lies_in =
            |exemplar: &&Exemplar| exemplar.timestamp.is_some_and(|at| range.contains(at));
        let exemplars = exemplars.into_iter().flatten();
        exemplars.filter(lies_in).cloned().collect()
    }

    /// The instant of the oldest row.
    pub const fn oldest(&self) -> Option<Timestamp> {
        self.oldest
    }

    fn saw(&mut self, at: i64) {
        let at = Timestamp(at);
        self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
    }

    /// What is known of metric families.
    pub fn families(&self) -> impl Iterator<Item = &Metadata> {
        self.families.values()
    }

    /// Exemplars that found no room, here and in the memtables before.
    pub const fn exemplars_dropped(&self) -> u64 {
        self.exemplars_dropped
    }

    /// The series that there is something of, in the order of their labels.
    pub(super) fn ordered(&self) -> impl Iterator<Item = SeriesRef> {
        let order = self.shared.ordered();
        let series = (0..order.len()).filter_map(move |place| order.get(place).copied());
        series.filter(|series| self.holds(*series))
    }

    /// The labels of a series.
    pub(super) fn labels(&self, series: SeriesRef) -> Option<Labels> {
        self.shared.read().labels(series)
    }

    /// Whether the log's segment has named a series.
    fn is_named(&self, series: SeriesRef) -> bool {
        self.floats.len_of(series) > 0 || self.numbering.place_of(series) == Some(series)
    }

    fn apply_names(&mut self, mut names: NameReader<'_>) -> Result<(), Malformed> {
        let numbering = &mut self.numbering;
        let mut free = true;
        let read = self.shared.write(|registry| {
            let mut pairs: Vec<PairNumber> = Vec::new();
            while let Some(number) = names.next()? {
                let place = register(registry, &names, &mut pairs);
                free &= place.is_some_and(|place| numbering.name(number, place));
            }
            self.registry_bytes.1 = registry.bytes();
            Ok(())
        });
        read?;
        known(free)
    }

    fn apply_floats(&mut self, floats: &FloatRows<'_>) -> Result<(), Malformed> {
        let mut all_known = true;
        let mut last = None;
        floats.each(|number, at, value| {
            // Mostly the instant of the row before.
            if last != Some(at) {
                self.saw(at);
                last = Some(at);
            }
            all_known &= self.write_float(number, at, value);
        });
        known(all_known)
    }

    /// Writes a float; false where its series is not known.
    #[inline]
    fn write_float(&mut self, number: SeriesNumber, at: i64, value: f64) -> bool {
        let place = self.numbering.place_of(number);
        let written = place.and_then(|place| {
            let at = self.floats.at(at)?;
            self.floats.push(place, at, value)
        });
        self.rows += u64::from(written.is_some());
        written.is_some()
    }

    fn apply_runs(&mut self, floats: RecordRows<f64>) -> Result<(), Malformed> {
        let mut all_known = true;
        for (number, rows) in floats.into_runs() {
            for (at, value) in rows {
                self.saw(at);
                all_known &= self.write_float(number, at, value);
            }
        }
        known(all_known)
    }

    fn apply_histograms(&mut self, histograms: RecordRows<Histogram>) -> Result<(), Malformed> {
        let mut all_known = true;
        for (number, rows) in histograms.into_runs() {
            let Some(place) = self.numbering.place_of(number) else {
                all_known = false;
                continue;
            };
            let floats = self.floats.len_of(place);
            for (at, _) in &rows {
                self.saw(*at);
            }
            let others = self.others.entry(place).or_default();
            for (at, histogram) in rows {
                let timestamp = Timestamp(at);
                self.rows += 1;
                self.other_bytes += histogram_bytes(&histogram);
                let sample = HistogramSample {
                    timestamp,
                    histogram,
                };
                others.histograms.push((floats, sample));
            }
        }
        known(all_known)
    }

    fn apply_starts(&mut self, starts: RecordRows<i64>) -> Result<(), Malformed> {
        let mut all_known = true;
        for (number, rows) in starts.into_runs() {
            let Some(place) = self.numbering.place_of(number) else {
                all_known = false;
                continue;
            };
            let others = self.others.entry(place).or_default();
            let before = others.starts.bytes();
            let floats = self.floats.of(place).map(|(at, _)| at);
            let histograms = &others.histograms;
            let histograms = histograms
                .iter()
                .map(|(before, s)| (*before, s.timestamp.0));
            others.starts.write(&rows, floats, histograms);
            self.other_bytes += others.starts.bytes().saturating_sub(before);
        }
        known(all_known)
    }

    fn apply_exemplars(
        &mut self,
        exemplars: Vec<(SeriesNumber, Exemplar)>,
    ) -> Result<(), Malformed> {
        let mut all_known = true;
        for (number, exemplar) in exemplars {
            let Some(place) = self.numbering.place_of(number) else {
                all_known = false;
                continue;
            };
            if self.exemplars >= EXEMPLARS_MAX {
                self.exemplars_dropped += 1;
            } else {
                self.exemplars += 1;
                self.other_bytes += size_of::<Exemplar>() + exemplar.labels.as_encoded().len();
                self.others
                    .entry(place)
                    .or_default()
                    .exemplars
                    .push(exemplar);
            }
        }
        known(all_known)
    }

    fn apply_families(&mut self, families: Vec<Metadata>) {
        for family in families {
            if self.families.len() < FAMILIES_MAX || self.families.contains_key(&family.family) {
                self.other_bytes += size_of::<(String, Metadata)>()
                    + 2 * family.family.len()
                    + family.help.len()
                    + family.unit.len();
                self.families.insert(family.family.clone(), family);
            }
        }
    }
}

/// The registries of the memtables that are written to.
pub(crate) fn active_registries(view: &View<Metrics>) -> ActiveRegistries {
    let active = view.active().iter();
    ActiveRegistries::new(active.map(|memory| Arc::clone(&memory.table.read().shared)))
}

/// Registers the series at hand. `pairs` are those of the series before it, and become its own.
fn register(
    registry: &mut Registry,
    names: &NameReader<'_>,
    pairs: &mut Vec<PairNumber>,
) -> Option<SeriesRef> {
    let mut count = 0;
    for (pair, is_same) in names.labels() {
        let known = pairs.get_mut(count);
        match known {
            Some(_) if is_same => {}
            Some(known) => *known = registry.intern(pair)?,
            None => pairs.push(registry.intern(pair)?),
        }
        count += 1;
    }
    pairs.truncate(count);
    registry.register(pairs)
}

fn known(all_known: bool) -> Result<(), Malformed> {
    if all_known {
        return Ok(());
    }
    Err(Malformed {
        offset: 0,
        expected: "the number of a series that an earlier record named",
    })
}

impl Memtable for MetricsMemtable {
    type Batch = Batch;

    fn successor(&self) -> Self {
        let is_busy = self.shared.write(|registry| {
            for series in 0..registry.len() {
                if self.holds(series)
                    && let Some(last) = registry.last_written.get_mut(series)
                {
                    *last = registry.generation;
                }
            }
            registry.generation = registry.generation.wrapping_add(1);
            let oldest = registry.generation.saturating_sub(IDLE_MEMTABLES);
            let written = registry.last_written.iter().filter(|last| **last >= oldest);
            let is_busy = written.count() * 2 >= registry.len() as usize;
            if !is_busy {
                registry.retire();
            }
            is_busy
        });
        let exemplars_dropped = self.exemplars_dropped;
        if !is_busy {
            return Self {
                exemplars_dropped,
                ..Self::default()
            };
        }
        Self {
            exemplars_dropped,
            shared: Arc::clone(&self.shared),
            registry_bytes: (self.registry_bytes.1, self.registry_bytes.1),
            ..Self::default()
        }
    }

    fn encode(&self, batch: &Batch, shard: Shard, out: &mut Vec<u8>) {
        if let Some(census) = batch.census()
            && !self.shared.read().is_enrolled()
        {
            self.shared.write(|registry| registry.enrol(census));
        }
        encode::encode(self, batch, shard, out);
    }

    fn growth(&self, record: &[u8]) -> usize {
        let rows = record::float_series(record).map_or(0, |series| {
            let bytes = series.map(|(series, rows)| Rows::bytes_of(series, rows));
            bytes.fold(0usize, usize::saturating_add)
        });
        rows.saturating_add(record.len().saturating_mul(NAMED_BYTES_PER_BYTE))
    }

    fn apply(&mut self, record: &[u8]) -> Result<(), Malformed> {
        if record.is_empty() {
            return Ok(());
        }
        let mut reader = RecordReader::new(record)?;
        let mut result = Ok(());
        while let Some(section) = reader.next()? {
            // What a lost record named is missing here; the rest is applied all the same.
            result = result.and(match section {
                Section::Names(names) => self.apply_names(names),
                Section::Floats(floats) => self.apply_floats(&floats),
                Section::FloatsByRun(floats) => self.apply_runs(floats),
                Section::Histograms(histograms) => self.apply_histograms(histograms),
                Section::Starts(starts) => self.apply_starts(starts),
                Section::Exemplars(exemplars) => self.apply_exemplars(exemplars),
                Section::Families(families) => {
                    self.apply_families(families);
                    Ok(())
                }
            });
        }
        result
    }

    /// Rows, and what the registry has grown by for them. What it had before is not this memtable's:
    /// a flush does not free it.
    fn bytes(&self) -> usize {
        let (before, after) = self.registry_bytes;
        self.floats.bytes()
            + self.other_bytes
            + self.others.allocation_size()
            + self.numbering.bytes()
            + after.saturating_sub(before)
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn partitions(&self, width_ms: i64) -> BTreeSet<Partition> {
        let mut partitions = BTreeSet::new();
        let mut covered: Option<TimeRange> = None;
        let mut cover = |at: Timestamp| {
            if covered.is_none_or(|range| !range.contains(at)) {
                let partition = Partition::of(at, width_ms);
                covered = Some(partition.range(width_ms));
                partitions.insert(partition);
            }
        };
        for at in self.floats.instants() {
            cover(Timestamp(at));
        }
        for others in self.others.values() {
            for (_, sample) in &others.histograms {
                cover(sample.timestamp);
            }
            others
                .exemplars
                .iter()
                .filter_map(|exemplar| exemplar.timestamp)
                .for_each(&mut cover);
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
    size_of::<(u32, HistogramSample)>() + floats * 8
}
