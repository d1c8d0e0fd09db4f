//! Random operations on the store and on a map, which must agree after each of them.

use std::sync::Arc;

use ::model::histogram::Histogram;
use ::model::matcher::{MatchOp, Matcher};
use ::model::sample::{HistogramSample, SeriesSamples};
use ::model::time::{TimeRange, Timestamp};
use proptest::prelude::*;
use storage::disk::sim::SimDisk;
use storage::wal::sync::FsyncPolicy;
use tsdb::ingest::batch::Batch;
use tsdb::store::MetricStore;

use crate::support::{Rows, any_float, any_histogram, apply, floats, open, read_all, try_read};

#[derive(Clone, Debug)]
enum Operation {
    Append(Vec<SeriesSamples>),
    Flush,
    Merge,
    Restart,
    PowerLoss,
    Query(i64, i64, u64),
}

fn series() -> impl Strategy<Value = SeriesSamples> {
    let samples = prop::collection::vec((-150..450i64, any_float()), 0..12);
    let histograms = prop::collection::vec((-150..450i64, any_histogram()), 0..3);
    (0..8u64, samples, histograms).prop_map(|(number, samples, histograms)| {
        let histogram = |(at, histogram): (i64, Histogram)| HistogramSample {
            timestamp: Timestamp(at),
            histogram,
        };
        SeriesSamples {
            histograms: histograms.into_iter().map(histogram).collect(),
            ..floats(number, &samples)
        }
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => prop::collection::vec(series(), 1..5).prop_map(Operation::Append),
        2 => Just(Operation::Flush),
        2 => Just(Operation::Merge),
        1 => Just(Operation::Restart),
        1 => Just(Operation::PowerLoss),
        3 => (-200..500i64, 0..300i64, 0..8u64)
            .prop_map(|(start, width, series)| Operation::Query(start, start + width, series)),
    ]
}

fn check_query(store: &Arc<MetricStore>, expected: &Rows, range: TimeRange, series: u64) {
    let series = series.to_string();
    for matcher in [
        Matcher::equal("series", series.as_str()),
        Matcher::new(MatchOp::NotEqual, "series", series.as_str()).expect("valid"),
        Matcher::new(MatchOp::Regex, "__name__", "e.*|x").expect("valid"),
    ] {
        let found = try_read(store, range, std::slice::from_ref(&matcher)).expect("reads");
        let expected: Rows = expected
            .iter()
            .filter(|((labels, at), _)| {
                range.contains(Timestamp(*at)) && matcher.matches_labels(labels)
            })
            .map(|(key, bits)| (key.clone(), bits.clone()))
            .collect();
        assert_eq!(found, expected, "{matcher} in {range:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn the_store_is_a_map(operations in prop::collection::vec(operation(), 1..40), seed: u64) {
        let fsync = FsyncPolicy::Always;
        let mut disk = SimDisk::new(seed);
        let mut store = Some(open(&disk, fsync).expect("opens").0);
        let mut expected = Rows::new();
        for operation in operations {
            let mut present = store.take().expect("open");
            match operation {
                Operation::Append(batch) => {
                    present.append(&Batch::of(&batch)).expect("writes");
                    apply(&mut expected, &batch);
                }
                Operation::Flush => present.flush().expect("flushes"),
                Operation::Merge => {
                    present.merge_once().expect("merges");
                }
                Operation::Restart => {
                    drop(present);
                    present = open(&disk, fsync).expect("opens").0;
                }
                Operation::PowerLoss => {
                    drop(present);
                    disk = disk.after_power_loss();
                    present = open(&disk, fsync).expect("opens").0;
                }
                Operation::Query(start, end, series) => {
                    let range = TimeRange::new(Timestamp(start), Timestamp(end));
                    check_query(&present, &expected, range, series);
                }
            }
            prop_assert_eq!(&read_all(&present), &expected);
            store = Some(present);
        }
    }
}

#[test]
fn long_series_are_cut_into_blocks_and_come_back() {
    let mut expected = Rows::new();
    // Two blocks are more than a partition of 100 ms holds: here it is a wide one.
    let disk = Arc::new(SimDisk::new(2));
    let clock = Arc::new(storage::clock::ManualClock::new(Timestamp(0)));
    let options = storage::store::StoreOptions {
        partition_ms: 1 << 40,
        ..crate::support::options(FsyncPolicy::Always)
    };
    let dir = std::path::Path::new("/data");
    let (store, _) = MetricStore::open(disk, clock, dir, options).expect("opens");
    let store = Arc::new(store);
    for part in 0..4i64 {
        let pairs: Vec<(i64, f64)> = (0..6000)
            .map(|i| ((part * 6000 + i) * 1000, (i % 17) as f64 * 0.01))
            .collect();
        let batch: Vec<SeriesSamples> = (0..200).step_by(100).map(|n| floats(n, &pairs)).collect();
        store.append(&Batch::of(&batch)).expect("writes");
        apply(&mut expected, &batch);
        store.flush().expect("flushes");
    }
    while store.merge_once().expect("merges") {}
    assert!(store.view().parts.len() < 4);
    assert_eq!(read_all(&store), expected);
    let range = TimeRange::new(Timestamp(8_191_000), Timestamp(8_193_000));
    check_query(&store, &expected, range, 100);
}
