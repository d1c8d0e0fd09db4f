//! A batch to a record: which number each series has, and which of them the record must name.
//!
//! A series that the batch found in this memtable's own registry is its number. One that it found in
//! another registry, because a flush began a new one since, is its labels again.

use hashbrown::HashTable;
use model::labels::Labels;
use storage::index::SeriesRef;
use storage::table::Shard;

use super::super::record::{RecordWriter, SeriesNumber};
use super::super::registry::Registry;
use super::MetricsMemtable;
use crate::ingest::batch::{Batch, BatchSeries, Identity};
use crate::ingest::census::Applicants;
use crate::ingest::refusal::Refused;

/// Appends the record that makes the rows of `batch` that belong to `shard` durable.
pub(super) fn encode(memtable: &MetricsMemtable, batch: &Batch, shard: Shard, out: &mut Vec<u8>) {
    let registry = memtable.shared.read();
    let is_here = batch.registries().has(shard, &memtable.shared);
    let mut record = RecordWriter::default();
    let mut named = Named::default();
    let mut next = registry.len();
    let mut guess: SeriesNumber = 0;
    let mut applicants = Applicants::default();
    let mut refused = Refused::default();
    for series in batch.iter() {
        if !shard.holds(series.hash) || series.is_empty() {
            continue;
        }
        let recalled: Labels;
        let (known, labels) = match series.identity {
            Identity::Known(number) if is_here => (Some(number), ""),
            Identity::Labels(labels) => (find(&registry, guess, series.hash, labels), labels),
            Identity::Known(_) => {
                recalled = batch.labels_of(&series).unwrap_or_default();
                let labels = recalled.as_encoded();
                (find(&registry, guess, series.hash, labels), labels)
            }
        };
        let is_named = known.filter(|number| memtable.is_named(*number));
        let number = if let Some(number) = is_named {
            number
        } else if let Some(number) = named.get(known, series.hash, labels) {
            number
        } else if let Some(number) = known {
            record
                .names
                .push(number, named.insert_known(number, &registry));
            number
        } else {
            if let Some(census) = batch.census()
                && let Err(refusal) = census.admit(labels, &mut applicants)
            {
                refused.add(series.samples(), || refusal);
                refused.histograms += series.histograms.len() as u64;
                refused.exemplars += series.exemplars.len() as u64;
                continue;
            }
            let number = next;
            next = next.saturating_add(1);
            named.insert_new(number, series.hash, labels);
            record.names.push(number, labels);
            number
        };
        guess = number.wrapping_add(1);
        push_rows(&mut record, number, &series);
    }
    if shard.number == 0 {
        record.families = batch.metadata();
    }
    if !refused.is_empty() {
        batch.refuse(shard.number, refused, applicants.turned_away);
    }
    record.finish(out);
}

/// The number of the series with these labels, in their durable form. A scrape comes in the order of
/// the one before, so `guess` is looked at first.
fn find(registry: &Registry, guess: SeriesRef, hash: u64, labels: &str) -> Option<SeriesRef> {
    if registry.is(guess, hash, labels) {
        return Some(guess);
    }
    registry.find(hash, labels)
}

fn push_rows<'a>(record: &mut RecordWriter<'a>, number: SeriesNumber, series: &BatchSeries<'a>) {
    record.floats.push(number, series.floats);
    let histograms = series.histograms.iter();
    let histograms = histograms.map(|s| (s.timestamp.0, &s.histogram));
    record.histograms.push(number, histograms);
    let starts = series.starts.iter();
    let starts = starts.map(|(_, of)| (of.at, of.start));
    record.starts.push(number, starts);
    let exemplars = series.exemplars.iter().filter(|e| e.timestamp.is_some());
    record.exemplars.extend(exemplars.map(|e| (number, e)));
}

/// A hash of a number: a table wants its high bits to differ too.
fn spread(number: SeriesNumber) -> u64 {
    u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What a record names.
#[derive(Default)]
struct Named {
    /// Series that the registry knows.
    known: HashTable<SeriesNumber>,
    /// Others, by the fingerprint of their labels.
    new: HashTable<New>,
    /// The labels of the new ones, one behind another.
    text: String,
    /// The labels of the known one that was named last.
    labels: String,
}

struct New {
    hash: u64,
    number: SeriesNumber,
    text: std::ops::Range<usize>,
}

impl Named {
    fn get(&self, known: Option<SeriesNumber>, hash: u64, labels: &str) -> Option<SeriesNumber> {
        if let Some(number) = known {
            let found = self.known.find(spread(number), |it| *it == number);
            return found.copied();
        }
        let is_it = |new: &New| new.hash == hash && self.text.get(new.text.clone()) == Some(labels);
        self.new.find(hash, is_it).map(|new| new.number)
    }

    /// Notes that a series of the registry is named; gives its labels.
    fn insert_known(&mut self, number: SeriesNumber, registry: &Registry) -> &str {
        self.known
            .insert_unique(spread(number), number, |number| spread(*number));
        registry.write_labels(number, &mut self.labels);
        &self.labels
    }

    fn insert_new(&mut self, number: SeriesNumber, hash: u64, labels: &str) {
        let start = self.text.len();
        self.text.push_str(labels);
        let text = start..self.text.len();
        let new = New { hash, number, text };
        self.new.insert_unique(hash, new, |new| new.hash);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use model::sample::{Sample, SeriesSamples};
    use model::time::{TimeRange, Timestamp};
    use storage::table::Memtable as _;

    use super::*;
    use crate::ingest::limits::IngestLimits;
    use crate::ingest::remote_write::{self, Room, Version};
    use crate::store::registry::ActiveRegistries;

    fn series(numbers: &[u32], at: i64) -> Vec<SeriesSamples> {
        let one = |number: &u32| SeriesSamples {
            labels: Labels::from_pairs([("__name__", format!("m{number}"))]),
            samples: vec![Sample {
                timestamp: Timestamp(at),
                value: f64::from(*number),
            }],
            ..SeriesSamples::default()
        };
        numbers.iter().map(one).collect()
    }

    fn write(memtable: &mut MetricsMemtable, batch: &Batch) {
        let mut record = Vec::new();
        memtable.encode(batch, Shard::WHOLE, &mut record);
        memtable.apply(&record).expect("own record");
    }

    /// The values by label set.
    fn values(memtable: &MetricsMemtable) -> BTreeMap<Labels, Vec<f64>> {
        let all = memtable.ordered();
        all.map(|series| {
            let labels = memtable.labels(series).expect("has labels");
            let columns = memtable.columns(series).expect("has rows");
            (labels, columns.floats.values)
        })
        .collect()
    }

    #[test]
    fn a_number_of_a_registry_that_is_gone_is_its_labels() {
        let mut old = MetricsMemtable::default();
        write(&mut old, &Batch::of(&series(&[1, 2, 3, 4], 1)));
        let registries = ActiveRegistries::new(std::iter::once(Arc::clone(&old.shared)));
        let body = remote_write::encode(&series(&[4, 5, 2, 4], 2), &[]).expect("encodes");
        let (limits, mut room) = (IngestLimits::default(), Room::default());
        let decoded = remote_write::decode(
            Version::One,
            &body,
            &limits,
            TimeRange::ALL,
            &registries,
            &mut room,
        );
        let (batch, _) = decoded.expect("own encoding");
        let known = batch.iter().map(|series| series.identity);
        let known: Vec<bool> = known.map(|id| matches!(id, Identity::Known(_))).collect();
        assert_eq!(known, [true, false, true, true]);
        // In the second the numbers belong to other series.
        let mut others = MetricsMemtable::default();
        write(&mut others, &Batch::of(&series(&[9, 5, 8, 7, 4], 1)));
        let mut successor = old.successor();
        for memtable in [
            &mut old,
            &mut MetricsMemtable::default(),
            &mut others,
            &mut successor,
        ] {
            let mut expected = values(memtable);
            for number in [4, 5, 2] {
                let labels = Labels::from_pairs([("__name__", format!("m{number}"))]);
                expected.entry(labels).or_default().push(f64::from(number));
            }
            write(memtable, &batch);
            assert_eq!(values(memtable), expected);
        }
    }
}
