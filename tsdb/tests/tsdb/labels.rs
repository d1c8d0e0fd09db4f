//! Label calls against a plain set of label sets: random series and matchers, in parts and memtables,
//! with limits and deletions.

use std::collections::BTreeSet;
use std::sync::Arc;

use ::model::labels::Labels;
use ::model::matcher::{MatchOp, Matcher};
use ::model::sample::{Sample, SeriesSamples};
use ::model::time::{TimeRange, Timestamp};
use proptest::prelude::*;
use storage::disk::sim::SimDisk;
use storage::table::Erasure;
use storage::wal::sync::FsyncPolicy;
use tsdb::ingest::batch::Batch;
use tsdb::store::MetricStore;
use tsdb::store::read::Reader;
use tsdb::store::read::labels::LabelQuery;

use crate::support::{guard, open};

const NAMES: [&str; 5] = ["A", "__name__", "pod", "zone", "absent"];
const VALUES: [&str; 6] = ["", "a", "ab", "b", "b-1", "c"];
const PATTERNS: [&str; 9] = ["", "a", "a|b", "a|none", ".*", ".+", "a.*", ".*b.*", "|b.*"];

#[derive(Clone, Debug)]
enum Operation {
    Append(Vec<(Labels, i64)>),
    Flush,
    Merge,
    Delete(Vec<Matcher>),
}

fn label_set() -> impl Strategy<Value = Labels> {
    let value = || prop::sample::select(VALUES.to_vec());
    let name = prop::sample::select(VALUES[1..].to_vec());
    (value(), name, value(), value()).prop_map(|(first, name, pod, zone)| {
        Labels::from_pairs(NAMES.into_iter().zip([first, name, pod, zone]))
    })
}

fn matcher() -> impl Strategy<Value = Matcher> {
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    let asked = prop_oneof![
        (
            prop::sample::select(vec![Equal, NotEqual]),
            prop::sample::select(VALUES.to_vec()),
        ),
        (
            prop::sample::select(vec![Regex, NotRegex]),
            prop::sample::select(PATTERNS.to_vec()),
        ),
    ];
    (prop::sample::select(NAMES.to_vec()), asked)
        .prop_map(|(name, (op, value))| Matcher::new(op, name, value).expect("valid"))
}

fn matchers() -> impl Strategy<Value = Vec<Matcher>> {
    prop::collection::vec(matcher(), 1..4)
}

fn operation() -> impl Strategy<Value = Operation> {
    let rows = prop::collection::vec((label_set(), 0..500_i64), 1..12);
    prop_oneof![
        6 => rows.prop_map(Operation::Append),
        4 => Just(Operation::Flush),
        1 => Just(Operation::Merge),
        2 => matchers().prop_map(Operation::Delete),
    ]
}

fn append(store: &MetricStore, rows: &[(Labels, i64)]) {
    let batch: Vec<SeriesSamples> = rows
        .iter()
        .map(|(labels, at)| SeriesSamples {
            labels: labels.clone(),
            samples: vec![Sample {
                timestamp: Timestamp(*at),
                value: 1.0,
            }],
            ..SeriesSamples::default()
        })
        .collect();
    store.append(&Batch::of(&batch)).expect("writes");
}

/// Asks everything of the series that pass one of the sets, and looks at the series themselves.
fn check(store: &Arc<MetricStore>, series: &BTreeSet<Labels>, sets: &[Vec<Matcher>]) {
    let (reader, guard) = (Reader::new(Arc::clone(store)), guard());
    let query = LabelQuery {
        matchers: sets,
        range: TimeRange::ALL,
    };
    let passes = |labels: &&Labels| {
        let mut sets = sets.iter().peekable();
        sets.peek().is_none() || sets.any(|set| set.iter().all(|m| m.matches_labels(labels)))
    };
    let passing: Vec<&Labels> = series.iter().filter(passes).collect();
    let names: BTreeSet<&str> = passing
        .iter()
        .flat_map(|l| l.iter())
        .map(|(n, _)| n)
        .collect();
    let found = reader.label_names(query, &guard).expect("reads");
    assert!(found.iter().eq(names), "names {found:?} of {sets:?}");
    for limit in [None, Some(0), Some(2), Some(100)] {
        let most = limit.map_or(usize::MAX, |limit: usize| limit + 1);
        for name in NAMES {
            let values: BTreeSet<&str> = passing.iter().filter_map(|l| l.get(name)).collect();
            let found = reader.label_values(name, query, limit, &guard);
            let found = found.expect("reads");
            assert!(
                found.iter().eq(values.into_iter().take(most)),
                "{name}: {found:?} of {sets:?}, at most {limit:?}"
            );
        }
        if !sets.is_empty() {
            let found = reader.series(query, limit, &guard).expect("reads");
            assert!(
                found.iter().eq(passing.iter().copied().take(most)),
                "{found:?} of {sets:?}, at most {limit:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn label_calls_agree_with_looking_at_every_series(
        operations in prop::collection::vec(operation(), 1..30),
        sets in prop::collection::vec(matchers(), 0..3),
        seed: u64,
    ) {
        let (disk, fsync) = (SimDisk::new(seed), FsyncPolicy::Always);
        let mut store = open(&disk, fsync).expect("opens").0;
        let mut series = BTreeSet::new();
        for operation in operations {
            match operation {
                Operation::Append(rows) => {
                    append(&store, &rows);
                    series.extend(rows.into_iter().map(|(labels, _)| labels));
                }
                Operation::Flush => store.flush().expect("flushes"),
                Operation::Merge => {
                    store.merge_once().expect("merges");
                }
                Operation::Delete(matchers) => {
                    series.retain(|labels| !matchers.iter().all(|m| m.matches_labels(labels)));
                    let range = TimeRange::ALL;
                    store.delete(Erasure { matchers, range }).expect("deletes");
                    // Memtables know the series that are idle; those of a store that was just opened
                    // know none.
                    drop(store);
                    store = open(&disk, fsync).expect("opens").0;
                }
            }
            check(&store, &series, &sets);
        }
        check(&store, &series, &[]);
    }
}

#[test]
fn a_series_is_gone_where_nothing_of_it_can_be_left() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk, FsyncPolicy::Always).expect("opens").0;
    let labels = |pod: &str| Labels::from_pairs([("__name__", "up"), ("pod", pod)]);
    let all = [labels("a"), labels("b"), labels("c")];
    for at in [10, 20] {
        let rows: Vec<(Labels, i64)> = all.iter().map(|labels| (labels.clone(), at)).collect();
        append(&store, &rows);
    }
    store.flush().expect("flushes");
    for (pod, end) in [("a", 20), ("b", 19)] {
        let erasure = Erasure {
            matchers: vec![Matcher::equal("pod", pod)],
            range: TimeRange::new(Timestamp(10), Timestamp(end)),
        };
        store.delete(erasure).expect("deletes");
    }
    drop(store);
    store = open(&disk, FsyncPolicy::Always).expect("opens").0;
    let left = all.into_iter().skip(1).collect();
    assert!(
        !store.view().parts[0].erasures.is_empty(),
        "no merge came by"
    );
    let up = vec![vec![Matcher::equal("__name__", "up")]];
    for sets in [&[][..], &up] {
        check(&store, &left, sets);
    }
}
