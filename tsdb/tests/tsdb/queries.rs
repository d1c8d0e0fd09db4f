//! Answers over a store in any state, on several workers and with all ways to save work, against
//! the same samples evaluated one window at a time by one worker.

use std::sync::Arc;
use std::time::Duration;

use ::model::matcher::{MatchOp, Matcher};
use ::model::sample::SeriesSamples;
use ::model::time::{TimeRange, Timestamp};
use ::model::vector::QueryValue;
use proptest::prelude::*;
use storage::disk::sim::SimDisk;
use storage::table::Erasure;
use storage::wal::sync::FsyncPolicy;
use tsdb::ingest::batch::Batch;
use tsdb::query::functions::{Body, FUNCTIONS};
use tsdb::query::{
    Engine, EngineOptions, Guard, HeldSeries, QueryOptions, SelectError, Selection, Source,
};
use tsdb::store::MetricStore;
use tsdb::store::read::{ReadCaches, Reader};

use crate::support::{any_float, floats, guard, histogram_bits, open};

#[derive(Clone, Debug)]
enum Operation {
    Append(Vec<SeriesSamples>),
    Flush,
    Merge,
}

fn series() -> impl Strategy<Value = SeriesSamples> {
    let start = -150..450i64;
    let runs = prop_oneof![
        // A scrape's run: the same instants for all.
        (0..4i64, prop::collection::vec(any_float(), 1..40)).prop_map(|(run, values)| {
            let at = |index: i64| run * 100 + index * 3;
            (0..).map(at).zip(values).collect::<Vec<_>>()
        }),
        prop::collection::vec((start, any_float()), 0..12),
    ];
    (0..160u64, runs).prop_map(|(number, samples)| floats(number, &samples))
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        5 => prop::collection::vec(series(), 1..80).prop_map(Operation::Append),
        2 => Just(Operation::Flush),
        1 => Just(Operation::Merge),
    ]
}

/// Whatever is selected, as the store gives it all at once. That starts are given, though none is
/// known, has every window evaluated by itself.
struct Plain(Reader);

impl Source for Plain {
    fn select(
        &self,
        range: TimeRange,
        matchers: &[Matcher],
        guard: &Guard,
    ) -> Result<Arc<dyn Selection>, SelectError> {
        let mut all = self.0.select(range, matchers, guard)?.read_all()?;
        for series in &mut all {
            series.start_timestamps = vec![0; series.timestamps.len()];
        }
        Ok(Arc::new(HeldSeries::new(all)))
    }
}

/// Everything in an answer, by its bits.
fn bits(engine: &Engine, source: &dyn Source, query: &str, step: u64) -> Vec<String> {
    let (start, end) = (Timestamp(-150), Timestamp(500));
    let step = Duration::from_millis(step);
    let output = engine.range(source, query, start, end, step, &QueryOptions::default());
    let output = match output {
        Ok(output) => output,
        Err(error) => return vec![error.to_string()],
    };
    let mut bits = [output.warnings, output.infos].concat();
    let QueryValue::Matrix(matrix) = output.value else {
        panic!("a range query yields a matrix");
    };
    for series in matrix {
        bits.push(series.labels.to_string());
        let floats = series.floats.iter();
        bits.extend(floats.map(|(at, value)| format!("{at:?} {:x}", value.to_bits())));
        let histograms = series.histograms.iter();
        bits.extend(histograms.map(|(at, h)| format!("{at:?} {:?}", histogram_bits(h))));
    }
    bits
}

fn queries(range: u64) -> Vec<String> {
    let range_functions = FUNCTIONS
        .iter()
        .filter(|function| matches!(function.body, Body::Range(_)) && function.arguments_min() == 1)
        .map(|function| format!("{}({{__name__=~\"even|odd\"}}[{range}ms])", function.name));
    let mut queries: Vec<String> = range_functions.collect();
    queries.extend([
        format!("max(max_over_time(even[{range}ms]))"),
        format!("min(min_over_time(even[{range}ms]))"),
        format!("quantile_over_time(0.3, even[{range}ms])"),
        format!("sum(rate(odd[{range}ms])) / count(odd)"),
        "odd - odd offset 7ms".to_owned(),
    ]);
    queries
}

fn reader(store: &Arc<MetricStore>) -> Reader {
    Reader::new(Arc::clone(store))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_way_to_save_work_gives_the_same_bits(
        operations in prop::collection::vec(operation(), 1..12),
        range in 1..400u64,
        step in 5..120u64,
    ) {
        let disk = SimDisk::new(1);
        let (store, _) = open(&disk, FsyncPolicy::Always).expect("opens");
        for operation in operations {
            match operation {
                Operation::Append(batch) => {
                    store.append(&Batch::of(&batch)).expect("appends");
                },
                Operation::Flush => store.flush().expect("flushes"),
                Operation::Merge => {
                    let _ = store.merge_once().expect("merges");
                }
            }
        }
        let any = Matcher::new(MatchOp::Regex, "__name__", ".*").expect("valid");
        let cached = reader(&store).with_caches(Arc::new(ReadCaches::new(1 << 20)));
        let engine = |workers| Engine::new(EngineOptions { workers, ..EngineOptions::default() });
        for query in queries(range) {
            let expected = bits(&engine(1), &Plain(reader(&store)), &query, step);
            prop_assert_eq!(&bits(&engine(3), &cached, &query, step), &expected, "{}", query);
        }
        // By now everything that may be is in the cache.
        let read = |reader: &Reader| {
            let all = reader.select(TimeRange::ALL, std::slice::from_ref(&any), &guard()).expect("selects");
            let all = all.read_all().expect("reads");
            let bits = all.into_iter().map(|series| {
                let values: Vec<u64> = series.values.iter().map(|value| value.to_bits()).collect();
                (series.labels, series.timestamps, values)
            });
            bits.collect::<Vec<_>>()
        };
        prop_assert_eq!(read(&cached), read(&reader(&store)));
    }
}

/// A series on a level of its own, for a part of the time: few of very many reach what others do.
fn level() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let value = prop_oneof![2000 => (-3..4i32).prop_map(f64::from), 1 => any_float()];
    let level = (0..12i32).prop_map(|level| f64::from(level - 6) * 4.0);
    let start = prop_oneof![Just(0i64), -150..450i64];
    let values = prop::collection::vec(value, 1..80);
    (start, level, values).prop_map(|(start, level, values)| {
        let values = values.into_iter().map(|value| value + level);
        (0..).map(|index| start + index * 7).zip(values).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn series_that_cannot_be_the_extreme_are_not_missed(
        levels in prop::collection::vec(level(), 64..100),
        range in 1..400u64,
        step in 5..120u64,
    ) {
        let disk = SimDisk::new(1);
        let (store, _) = open(&disk, FsyncPolicy::Always).expect("opens");
        let even = (0..).step_by(2).zip(&levels);
        let batch: Vec<SeriesSamples> = even.map(|(number, level)| floats(number, level)).collect();
        store.append(&Batch::of(&batch)).expect("appends");
        let engine = Engine::new(EngineOptions::default());
        // From memory, then from a part.
        for _ in 0..2 {
            for query in ["max(max_over_time", "min(min_over_time"] {
                let query = format!("{query}(even[{range}ms]))");
                let expected = bits(&engine, &Plain(reader(&store)), &query, step);
                let got = bits(&engine, &reader(&store), &query, step);
                prop_assert_eq!(&got, &expected, "{}", query);
            }
            store.flush().expect("flushes");
        }
    }
}

#[test]
fn deleted_rows_are_not_read_and_later_ones_are() {
    let disk = SimDisk::new(1);
    let (store, _) = open(&disk, FsyncPolicy::Always).expect("opens");
    let write = |pairs: &[(i64, f64)]| {
        let batch = [floats(1, pairs), floats(2, pairs)];
        store.append(&Batch::of(&batch)).expect("appends");
    };
    write(&[(1, 1.0), (2, 2.0), (3, 3.0)]);
    let erasure = Erasure {
        matchers: vec![Matcher::equal("series", "1")],
        range: TimeRange::new(Timestamp(2), Timestamp(3)),
    };
    store.delete(erasure).expect("deletes");
    write(&[(3, 30.0)]);
    let any = Matcher::new(MatchOp::Regex, "__name__", ".*").expect("valid");
    // What is kept of one state of the store must not be taken for another.
    let cached = reader(&store).with_caches(Arc::new(ReadCaches::new(1 << 20)));
    let read = || {
        let all = cached.select(TimeRange::ALL, std::slice::from_ref(&any), &guard());
        let all = all.expect("selects").read_all().expect("reads");
        let values = all
            .into_iter()
            .map(|series| (series.timestamps, series.values));
        values.collect::<Vec<_>>()
    };
    let expected = [
        (vec![1, 2, 3], vec![1.0, 2.0, 30.0]),
        (vec![1, 3], vec![1.0, 30.0]),
    ];
    assert_eq!(read(), expected);
    store.flush().expect("flushes");
    for _ in 0..2 {
        assert_eq!(read(), expected);
    }
    write(&[(4, 4.0)]);
    let expected = expected.map(|(mut at, mut values)| {
        at.push(4);
        values.push(4.0);
        (at, values)
    });
    assert_eq!(read(), expected);
    store.flush().expect("flushes");
    assert_eq!(read(), expected);
    store.merge_once().expect("merges");
    for _ in 0..2 {
        assert_eq!(read(), expected);
    }
}
