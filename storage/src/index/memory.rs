//! The index of a memtable.
//!
//! Inserting a series must cost little, because every new series of a scrape waits for it; asking
//! may cost a sort. So a label is found by its hash, in the form it has in the series' own text, and
//! what it needs beside its postings is a place in that text: no string is copied. The order of a
//! label's values is made when a query asks for it, and what was sorted once is only merged with what
//! came since.
//!
//! Series are numbered as they come, so postings only ever grow at their end.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use model::labels::{Labels, decode_pair, encode_pair};
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::runs::Runs;
use super::{LabelIndex, SeriesRef, VisitValue};
use crate::part::PartError;

/// The number of a label (a name and a value) within its index.
type PairRef = u32;

/// Labels to series, growing.
#[derive(Debug)]
pub struct MemoryIndex {
    series: Vec<Labels>,
    by_labels: HashTable<SeriesRef>,
    pairs: Vec<Pair>,
    by_pair: HashTable<PairRef>,
    names: BTreeMap<String, Values>,
    /// The pairs of the series that came last: the next one has most of them too.
    previous: Vec<PairRef>,
    /// Of the hashes: who writes series must not be able to choose them.
    seed: u64,
    /// What is allocated for each: texts and postings.
    allocated_bytes: usize,
}

/// A label that some series has.
#[derive(Debug)]
struct Pair {
    /// The first series that has it.
    first: SeriesRef,
    /// Where the pair is in that series' text.
    start: u32,
    end: u32,
    postings: Runs,
}

/// The values of a label name.
#[derive(Debug, Default)]
struct Values {
    /// In order of arrival.
    pairs: Vec<PairRef>,
    /// Those that were there when a query last asked, in the order of their texts.
    ordered: Mutex<Arc<Vec<PairRef>>>,
}

/// What a name takes beside its text, roughly.
const NAME_BYTES: usize = 128;
/// What an entry of a hash table takes: its number, its tag, and the room that is kept free.
const HASHED_BYTES: usize = 8;

impl Default for MemoryIndex {
    fn default() -> Self {
        Self {
            series: Vec::new(),
            by_labels: HashTable::new(),
            pairs: Vec::new(),
            by_pair: HashTable::new(),
            names: BTreeMap::new(),
            previous: Vec::new(),
            seed: RandomState::new().hash_one(0_u8),
            allocated_bytes: 0,
        }
    }
}

impl MemoryIndex {
    /// The number of a series, if it is known.
    pub fn get(&self, labels: &Labels) -> Option<SeriesRef> {
        let hash = hash(self.seed, labels.as_encoded());
        let is_it = |series: &SeriesRef| self.labels(*series) == Some(labels);
        self.by_labels.find(hash, is_it).copied()
    }

    /// The number of a series, given now if it is new.
    pub fn get_or_insert(&mut self, labels: &Labels) -> SeriesRef {
        let (all, seed) = (&self.series, self.seed);
        let of = |series: SeriesRef| all.get(series as usize);
        let entry = self.by_labels.entry(
            hash(seed, labels.as_encoded()),
            |series| of(*series) == Some(labels),
            |series| hash(seed, of(*series).map_or("", Labels::as_encoded)),
        );
        let series = self.series.len() as SeriesRef;
        match entry {
            Entry::Occupied(known) => return *known.get(),
            Entry::Vacant(vacant) => {
                vacant.insert(series);
            }
        }
        self.series.push(labels.clone());
        self.allocated_bytes += labels.as_encoded().len() + 2 * size_of::<usize>();
        let mut start = 0;
        for (place, text) in labels.encoded_pairs().enumerate() {
            let end = start + text.len() as u32;
            self.insert_pair(place, text, start, end, series);
            start = end;
        }
        series
    }

    /// Adds a series to a pair of its, the one at `place` and `start..end` of its text.
    fn insert_pair(&mut self, place: usize, text: &str, start: u32, end: u32, series: SeriesRef) {
        let before = self.previous.get(place).copied();
        let number = before
            .filter(|number| self.pair_text(*number) == text)
            .unwrap_or_else(|| self.intern(text, start, end, series));
        if let Some(pair) = self.pairs.get_mut(number as usize) {
            self.allocated_bytes += pair.postings.push(series);
        }
        match self.previous.get_mut(place) {
            Some(previous) => *previous = number,
            None => self.previous.push(number),
        }
    }

    /// The number of a pair, given now if it is new.
    fn intern(&mut self, text: &str, start: u32, end: u32, series: SeriesRef) -> PairRef {
        let (all, pairs, seed) = (&self.series, &self.pairs, self.seed);
        let text_of = |number: PairRef| {
            let pair = pairs.get(number as usize);
            pair.map_or("", |pair| pair_text(all, pair))
        };
        let entry = self.by_pair.entry(
            hash(seed, text),
            |number| text_of(*number) == text,
            |number| hash(seed, text_of(*number)),
        );
        let number = self.pairs.len() as PairRef;
        match entry {
            Entry::Occupied(known) => return *known.get(),
            Entry::Vacant(vacant) => {
                vacant.insert(number);
            }
        }
        self.pairs.push(Pair {
            first: series,
            start,
            end,
            postings: Runs::default(),
        });
        let name = decode_pair(text).map_or("", |(name, _)| name);
        if let Some(values) = self.names.get_mut(name) {
            values.pairs.push(number);
        } else {
            self.allocated_bytes += name.len() + NAME_BYTES;
            let values = self.names.entry(name.to_owned()).or_default();
            values.pairs.push(number);
        }
        number
    }

    /// The labels of a series.
    pub fn labels(&self, series: SeriesRef) -> Option<&Labels> {
        self.series.get(series as usize)
    }

    /// Every series in the order of its number.
    pub fn series(&self) -> &[Labels] {
        &self.series
    }

    /// What the index takes in memory, roughly, in bytes. Label sets count whole, also where
    /// somebody else holds them too.
    pub const fn bytes(&self) -> usize {
        let series = size_of::<Labels>() + HASHED_BYTES;
        // A pair is in the list of its name, and after a query in its ordered list.
        let pair = size_of::<Pair>() + HASHED_BYTES + 2 * size_of::<PairRef>();
        self.allocated_bytes + self.series.len() * series + self.pairs.len() * pair
    }

    fn pair(&self, number: PairRef) -> Option<&Pair> {
        self.pairs.get(number as usize)
    }

    fn pair_text(&self, number: PairRef) -> &str {
        let pair = self.pair(number);
        pair.map_or("", |pair| pair_text(&self.series, pair))
    }

    /// The value of a pair.
    fn value(&self, number: PairRef) -> &str {
        decode_pair(self.pair_text(number)).map_or("", |(_, value)| value)
    }

    /// The values of a name in the order of their texts.
    fn ordered(&self, values: &Values) -> Arc<Vec<PairRef>> {
        let mut ordered = values.ordered.lock();
        if ordered.len() < values.pairs.len() {
            let mut all = Vec::with_capacity(values.pairs.len());
            all.extend_from_slice(&ordered);
            // Numbers of one name only grow, so what is new comes behind what was there.
            all.extend(values.pairs.iter().skip(ordered.len()));
            // Finds the part that is in order already, and merges.
            all.sort_by(|a, b| self.value(*a).cmp(self.value(*b)));
            *ordered = Arc::new(all);
        }
        Arc::clone(&ordered)
    }
}

/// A pair in its durable form.
fn pair_text<'a>(series: &'a [Labels], pair: &Pair) -> &'a str {
    let labels = series.get(pair.first as usize);
    labels
        .and_then(|labels| {
            let range = pair.start as usize..pair.end as usize;
            labels.as_encoded().get(range)
        })
        .unwrap_or_default()
}

fn hash(seed: u64, text: &str) -> u64 {
    xxh3_64_with_seed(text.as_bytes(), seed)
}

impl LabelIndex for MemoryIndex {
    fn len(&self) -> u32 {
        self.series.len() as u32
    }

    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, PartError> {
        let text = encode_pair(name, value);
        let is_it = |number: &PairRef| self.pair_text(*number) == text;
        let found = self.by_pair.find(hash(self.seed, &text), is_it);
        let pair = found.and_then(|number| self.pair(*number));
        Ok(pair.map_or_else(RoaringBitmap::new, |pair| pair.postings.to_bitmap()))
    }

    fn each_value(
        &self,
        name: &str,
        prefix: &str,
        visit: &mut VisitValue<'_>,
    ) -> Result<(), PartError> {
        let Some(values) = self.names.get(name) else {
            return Ok(());
        };
        let ordered = self.ordered(values);
        let start = ordered.partition_point(|number| self.value(*number) < prefix);
        for number in ordered.iter().skip(start) {
            let value = self.value(*number);
            if !value.starts_with(prefix) {
                break;
            }
            visit(value, &mut || {
                let pair = self.pair(*number);
                Ok(pair.map_or_else(RoaringBitmap::new, |pair| pair.postings.to_bitmap()))
            })?;
        }
        Ok(())
    }

    fn label_names(&self) -> Result<Vec<String>, PartError> {
        Ok(self.names.keys().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The values of `pod` that start with `prefix`, each with its series.
    fn pods(index: &MemoryIndex, prefix: &str) -> Vec<(String, Vec<SeriesRef>)> {
        let mut pods = Vec::new();
        index
            .each_value("pod", prefix, &mut |value, postings| {
                pods.push((value.to_owned(), postings()?.iter().collect()));
                Ok(())
            })
            .expect("in memory");
        pods
    }

    #[test]
    fn values_are_in_order_however_they_came_and_whenever_one_asks() {
        let mut index = MemoryIndex::default();
        let mut expected: BTreeMap<String, Vec<SeriesRef>> = BTreeMap::new();
        for number in 0..2_000_u32 {
            let pod = format!("pod-{}", number.wrapping_mul(2_654_435_761) % 700);
            let labels = Labels::from_pairs([
                ("__name__", format!("m{number}").as_str()),
                ("pod", pod.as_str()),
            ]);
            assert_eq!(index.get(&labels), None);
            assert_eq!(index.get_or_insert(&labels), number);
            assert_eq!(index.get_or_insert(&labels), number);
            expected.entry(pod).or_default().push(number);
            if number % 300 == 7 {
                let expected: Vec<_> = expected.clone().into_iter().collect();
                assert_eq!(pods(&index, ""), expected);
            }
        }
        let nines: BTreeSet<_> = expected.keys().filter(|k| k.starts_with("pod-9")).collect();
        assert_eq!(pods(&index, "pod-9").len(), nines.len());
        assert_eq!(pods(&index, "q"), []);
        for (pod, series) in expected {
            let found = index.postings("pod", &pod).expect("in memory");
            assert_eq!(found.iter().collect::<Vec<_>>(), series);
        }
        assert!(index.postings("pod", "").expect("in memory").is_empty());
        assert_eq!(index.label_names().expect("in memory"), ["__name__", "pod"]);
    }
}
