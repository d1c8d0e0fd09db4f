//! A long life of a store beside a map: every operation there is, in an order that only the seed knows.
//!
//! `TAFFRAIL_OPERATIONS` says how long (20,000 if it does not), `TAFFRAIL_SEED` which life.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use ::model::matcher::Matcher;
use ::model::time::{TimeRange, Timestamp};
use storage::disk::sim::SimDisk;
use storage::table::Erasure;
use storage::wal::sync::FsyncPolicy;
use tsdb::ingest::batch::Batch;
use tsdb::store::MetricStore;

use crate::support::{Bits, WIDTH_MS, floats, open, read_all, try_read};

const SERIES: u64 = 24;
/// Instants lie below this: forty partitions.
const INSTANTS: i64 = 40 * WIDTH_MS;
/// Everything is compared once in so many operations.
const COMPARE_EVERY: u64 = 20_000;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) % limit
    }

    fn value(&mut self) -> f64 {
        match self.below(8) {
            0 => f64::from_bits(::model::sample::STALE_NAN_BITS),
            1 => -0.0,
            2 => f64::from_bits(self.0),
            3 | 4 => self.below(100_000) as f64 / 100.0,
            _ => self.below(1000) as f64,
        }
    }
}

fn from_environment(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().expect("a number"))
}

/// What was written: for each series its samples by their bits.
type Expected = Vec<BTreeMap<i64, u64>>;

#[derive(Debug, Default)]
struct Counts {
    appended: u64,
    late: u64,
    deletions: u64,
    flushes: u64,
    merges: u64,
    reopened: u64,
    queries: u64,
}

fn append(store: &MetricStore, expected: &mut Expected, at: i64, random: &mut Random) {
    let batch: Vec<_> = (0..=random.below(6))
        .map(|_| floats(random.below(SERIES), &[(at, random.value())]))
        .collect();
    store.append(&Batch::of(&batch)).expect("writes");
    for series in &batch {
        let number: usize = series
            .labels
            .get("series")
            .and_then(|n| n.parse().ok())
            .expect("own label");
        expected[number].insert(at, series.samples[0].value.to_bits());
    }
}

fn some_range(random: &mut Random) -> TimeRange {
    let start = random.below(INSTANTS as u64) as i64;
    let width = random.below(3 * WIDTH_MS as u64) as i64;
    TimeRange::new(Timestamp(start), Timestamp(start + width))
}

fn matcher(series: u64) -> Matcher {
    Matcher::equal("series", series.to_string())
}

fn delete(store: &MetricStore, expected: &mut Expected, random: &mut Random) {
    let (series, range) = (random.below(SERIES), some_range(random));
    let erasure = Erasure {
        matchers: vec![matcher(series)],
        range,
    };
    store.delete(erasure).expect("deletes");
    expected[series as usize].retain(|at, _| !range.contains(Timestamp(*at)));
}

fn query(store: &Arc<MetricStore>, expected: &Expected, random: &mut Random) {
    let (series, range) = (random.below(SERIES), some_range(random));
    let found = try_read(store, range, &[matcher(series)]).expect("reads");
    let found: Vec<(i64, Bits)> = found
        .into_iter()
        .map(|((_, at), bits)| (at, bits))
        .collect();
    let bounds = (Bound::Included(range.start.0), Bound::Included(range.end.0));
    let kept = expected[series as usize].range(bounds);
    let kept: Vec<(i64, Bits)> = kept.map(|(at, bits)| (*at, Bits::Float(*bits))).collect();
    assert_eq!(found, kept, "series {series} in {range:?}");
}

fn compare(store: &Arc<MetricStore>, expected: &Expected) {
    let found = read_all(store);
    let samples: usize = expected.iter().map(BTreeMap::len).sum();
    assert_eq!(found.len(), samples);
    for ((labels, at), bits) in found {
        let number: usize = labels
            .get("series")
            .and_then(|n| n.parse().ok())
            .expect("own label");
        let kept = expected[number].get(&at).map(|bits| Bits::Float(*bits));
        assert_eq!(Some(bits), kept, "{labels} at {at}");
    }
}

#[test]
fn a_long_life_is_that_of_a_map() {
    let operations = from_environment("TAFFRAIL_OPERATIONS", 20_000);
    let seed = from_environment("TAFFRAIL_SEED", 1);
    let mut random = Random(seed.wrapping_mul(2).wrapping_add(1));
    let mut disk = SimDisk::new(seed);
    let mut store = open(&disk, FsyncPolicy::Always).expect("opens").0;
    let mut expected: Expected = vec![BTreeMap::new(); SERIES as usize];
    let mut counts = Counts::default();
    let mut next = 0;
    for operation in 1..=operations {
        match random.below(10_000) {
            0..6000 => {
                next = (next + 1 + random.below(3) as i64) % INSTANTS;
                append(&store, &mut expected, next, &mut random);
                counts.appended += 1;
            }
            6000..8500 => {
                let at = random.below(INSTANTS as u64) as i64;
                append(&store, &mut expected, at, &mut random);
                counts.late += 1;
            }
            8500..8520 => {
                delete(&store, &mut expected, &mut random);
                counts.deletions += 1;
            }
            8520..8560 => {
                store.flush().expect("flushes");
                counts.flushes += 1;
            }
            8560..8700 => counts.merges += u64::from(store.merge_once().expect("merges")),
            8700..8704 => {
                store.merge_all().expect("merges");
                counts.merges += 1;
            }
            8704..8710 => {
                drop(store);
                if random.below(2) == 0 {
                    disk = disk.after_power_loss();
                }
                store = open(&disk, FsyncPolicy::Always).expect("opens").0;
                counts.reopened += 1;
            }
            _ => {
                query(&store, &expected, &mut random);
                counts.queries += 1;
            }
        }
        if operation.is_multiple_of(COMPARE_EVERY) {
            compare(&store, &expected);
        }
    }
    compare(&store, &expected);
    println!("life {seed}: {operations} operations, {counts:?}");
    assert!(counts.merges > 0 && counts.reopened > 0 && counts.deletions > 0);
}
