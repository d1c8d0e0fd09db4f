//! How many series there are, and what makes them so many.
//!
//! The report is of the newest partition and of memory, each series once however many parts and
//! memtables it is in; churn looks at the partition before it too, so that a series that only goes on
//! is not taken for a new one. Label sets are read, and the directory of blocks for their times; no
//! sample is. In memory are a fingerprint per series and the labels that are counted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use model::labels::{Labels, METRIC_NAME, decode_pair};
use model::matcher::Matcher;
use model::time::{TimeRange, Timestamp};
use roaring::RoaringBitmap;
use storage::index::LabelIndex as _;
use storage::index::select::select;

use super::Reader;
use crate::query::{Guard, Interrupted, SelectError};

const HOUR_MS: i64 = 3_600_000;
/// How far back churn is counted, in hours.
const CHURN_HOURS: i64 = 24;
/// How many series are read between two looks at the guard.
const SERIES_PER_CHECK: u32 = 16 << 10;

/// A number of something that has a name.
pub type Count = (String, u64);

/// What the series are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// Series.
    pub series: u64,
    /// Different labels.
    pub label_pairs: u64,
    /// Blocks in parts, and one for each series of a memtable.
    pub chunks: u64,
    /// From the first to the last sample, if there is one.
    pub range: Option<TimeRange>,
    /// The metric names with the most series.
    pub series_by_metric: Vec<Count>,
    /// The label names with the most values.
    pub values_by_label: Vec<Count>,
    /// The label names whose values take the most bytes, in all series together.
    pub bytes_by_label: Vec<Count>,
    /// The labels, as `name=value`, that the most series have.
    pub series_by_pair: Vec<Count>,
    /// Series that were first seen in an hour, by the hour's start; of the last day.
    pub new_series_by_hour: Vec<(Timestamp, u64)>,
    /// Series in the parts of a partition, by its start. One that is in several parts counts in each.
    pub series_by_partition: Vec<(Timestamp, u64)>,
}

/// What is counted while series are read.
#[derive(Default)]
struct Counting {
    seen: HashSet<u64>,
    pairs: HashMap<String, u64>,
    chunks: u64,
    range: Option<TimeRange>,
    first_seen: HashMap<u64, i64>,
}

impl Counting {
    fn add(&mut self, labels: &Labels, is_reported: bool, chunks: u64, range: Option<TimeRange>) {
        let series = labels.fingerprint();
        if let Some(range) = range {
            let first = self.first_seen.entry(series).or_insert(i64::MAX);
            *first = (*first).min(range.start.millis());
        }
        if !is_reported {
            return;
        }
        self.chunks += chunks;
        if let Some(range) = range {
            self.range = Some(self.range.map_or(range, |all| all.union(&range)));
        }
        if !self.seen.insert(series) {
            return;
        }
        for pair in labels.encoded_pairs() {
            if let Some(count) = self.pairs.get_mut(pair) {
                *count += 1;
            } else {
                self.pairs.insert(pair.to_owned(), 1);
            }
        }
    }

    /// The first samples of series by hour, of the last day.
    fn churn(&self) -> Vec<(Timestamp, u64)> {
        let Some(range) = self.range else {
            return Vec::new();
        };
        let last = range.end.millis().div_euclid(HOUR_MS);
        let mut hours: BTreeMap<i64, u64> = (last - CHURN_HOURS + 1..=last)
            .map(|hour| (hour, 0))
            .collect();
        for first in self.first_seen.values() {
            if let Some(count) = hours.get_mut(&first.div_euclid(HOUR_MS)) {
                *count += 1;
            }
        }
        let start = |hour: i64| Timestamp(hour.saturating_mul(HOUR_MS));
        hours
            .into_iter()
            .map(|(hour, n)| (start(hour), n))
            .collect()
    }

    fn report(mut self, limit: usize, guard: &Guard) -> Result<Cardinality, Interrupted> {
        let mut metrics = Largest::new(limit);
        let mut pairs = Largest::new(limit);
        let mut labels: HashMap<String, (u64, u64)> = HashMap::new();
        let label_pairs = self.pairs.len() as u64;
        for (at, (pair, count)) in std::mem::take(&mut self.pairs).into_iter().enumerate() {
            guard.check_at(at)?;
            let Some((name, value)) = decode_pair(&pair) else {
                continue;
            };
            if !labels.contains_key(name) {
                labels.insert(name.to_owned(), (0, 0));
            }
            if let Some((values, bytes)) = labels.get_mut(name) {
                *values += 1;
                *bytes += value.len() as u64 * count;
            }
            if name == METRIC_NAME {
                metrics.offer(value, count);
            }
            pairs.offer(&format!("{name}={value}"), count);
        }
        let of_labels = |count: fn(&(u64, u64)) -> u64| {
            let mut all = Largest::new(limit);
            for (name, counts) in &labels {
                all.offer(name, count(counts));
            }
            all.into_counts()
        };
        Ok(Cardinality {
            series: self.seen.len() as u64,
            label_pairs,
            chunks: self.chunks,
            range: self.range,
            series_by_metric: metrics.into_counts(),
            values_by_label: of_labels(|(values, _)| *values),
            bytes_by_label: of_labels(|(_, bytes)| *bytes),
            series_by_pair: pairs.into_counts(),
            new_series_by_hour: self.churn(),
            series_by_partition: Vec::new(),
        })
    }
}

/// The largest counts so far, from the largest on; equal ones by name.
struct Largest {
    limit: usize,
    counts: BTreeSet<(Reverse<u64>, String)>,
}

impl Largest {
    const fn new(limit: usize) -> Self {
        Self {
            limit,
            counts: BTreeSet::new(),
        }
    }

    fn offer(&mut self, name: &str, count: u64) {
        if self.counts.len() >= self.limit {
            let is_larger = |(Reverse(least), last): &(Reverse<u64>, String)| {
                count > *least || (count == *least && name < last.as_str())
            };
            if !self.counts.last().is_some_and(is_larger) {
                return;
            }
            self.counts.pop_last();
        }
        self.counts.insert((Reverse(count), name.to_owned()));
    }

    fn into_counts(self) -> Vec<Count> {
        let counts = self.counts.into_iter();
        counts.map(|(Reverse(count), name)| (name, count)).collect()
    }
}

impl Reader {
    /// Counts the series that pass one of the sets of matchers (all where there is none); each list
    /// has at most `limit` entries.
    pub fn cardinality(
        &self,
        sets: &[Vec<Matcher>],
        limit: usize,
        guard: &Guard,
    ) -> Result<Cardinality, SelectError> {
        let everything = [Vec::new()];
        let sets = if sets.is_empty() { &everything } else { sets };
        let view = self.store.view();
        let width_ms = self.store.options().partition_ms;
        let newest = view.parts.last().map(|part| part.record.partition);
        let patience = guard.patience();
        let mut counting = Counting::default();
        let mut by_partition: BTreeMap<i64, u64> = BTreeMap::new();
        for part in &view.parts {
            let partition = part.record.partition;
            let failed = |error| self.failed(Some(part.record.id), &error);
            let open = part.part().map_err(failed)?;
            let start = partition.range(width_ms).start.millis();
            *by_partition.entry(start).or_default() += u64::from(open.index().len());
            let age = newest.map_or(0, |newest| newest.0.saturating_sub(partition.0));
            if age > 1 {
                continue;
            }
            let index = open.index().patient(&patience);
            let mut selected = RoaringBitmap::new();
            for matchers in sets {
                selected |= select(&index, matchers).map_err(failed)?;
            }
            let mut scan = open.scan();
            while let Some(first) = selected.min() {
                guard.check()?;
                let end = first.saturating_add(SERIES_PER_CHECK);
                let mut now = RoaringBitmap::new();
                now.insert_range(first..end);
                now &= &selected;
                selected.remove_range(..end);
                let mut series = Vec::new();
                let read = index.labels_of(&now, |number, labels| series.push((number, labels)));
                read.map_err(failed)?;
                for (at, (number, labels)) in series.into_iter().enumerate() {
                    guard.check_at(at)?;
                    let chunks = scan.chunks(number).map_err(failed)?;
                    let ranges = chunks.iter().map(|header| header.range);
                    let range = ranges.reduce(|all, range| all.union(&range));
                    counting.add(&labels, age == 0, chunks.iter().count() as u64, range);
                }
            }
        }
        for memory in &view.memtables {
            guard.check()?;
            let table = memory.table.read();
            let index = table.index(guard)?;
            let mut selected = RoaringBitmap::new();
            for matchers in sets {
                let found = select(&index, matchers);
                selected |= found.map_err(|error| self.failed(None, &error))?;
            }
            for (at, number) in selected.iter().enumerate() {
                guard.check_at(at)?;
                if let (Some(labels), Some(columns)) = (index.labels(number), table.columns(number))
                {
                    counting.add(&labels, true, 1, columns.range());
                }
            }
        }
        let mut report = counting.report(limit, guard)?;
        let by_partition = by_partition.into_iter();
        report.series_by_partition = by_partition.map(|(at, n)| (Timestamp(at), n)).collect();
        Ok(report)
    }
}
