//! What is old goes: by age, by size, and for some series earlier than for others.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ::model::matcher::Matcher;
use ::model::time::Timestamp;
use storage::clock::ManualClock;
use storage::disk::sim::SimDisk;
use storage::store::{RetentionRule, Store, StoreOptions};
use storage::wal::sync::FsyncPolicy;

use crate::toy::{Rows, Toy, WIDTH_MS, open_at, options, read_all};

/// Long after the first partitions have ended.
const LATER: Timestamp = Timestamp(10 * 3_600_000);

fn open(disk: &SimDisk, options: StoreOptions, now: Timestamp) -> Store<Toy> {
    let clock = Arc::new(ManualClock::new(now));
    open_at(disk, options, clock).expect("opens").0
}

/// Rows of four keys in a partition.
fn rows(partition: i64) -> Rows {
    let at = partition * WIDTH_MS;
    (0..4).map(|key| ((key, at + i64::from(key)), 1)).collect()
}

fn fill(store: &Store<Toy>, partitions: &[i64]) {
    for partition in partitions {
        store.append(&rows(*partition)).expect("writes");
        store.flush().expect("flushes");
    }
}

fn merge_all(store: &Store<Toy>) {
    while store.merge_once().expect("merges") {}
}

fn rule(key: &str, keep_ms: i64) -> RetentionRule {
    RetentionRule {
        matchers: vec![Matcher::equal("key", key)],
        keep_ms,
    }
}

#[test]
fn parts_whose_every_row_is_too_old_are_dropped() {
    let options = StoreOptions {
        retention_ms: Some(250),
        ..options(FsyncPolicy::Always)
    };
    let store = open(&SimDisk::new(1), options, Timestamp(500));
    fill(&store, &[1, 2, 3]);
    assert_eq!(store.expire().expect("expires"), 2);
    assert_eq!(read_all(&store), rows(3));
    assert_eq!(store.counters().expired.load(Ordering::Relaxed), 2);
}

#[test]
fn the_oldest_partitions_are_dropped_where_all_take_too_much() {
    let disk = SimDisk::new(1);
    let store = open(&disk, options(FsyncPolicy::Always), Timestamp(0));
    fill(&store, &[3, 1, 2]);
    let one = store.view().parts[0].record.bytes;
    assert_eq!(store.expire().expect("expires"), 0, "no limit");
    drop(store);
    let options = StoreOptions {
        retention_bytes: Some(2 * one + one / 2),
        ..options(FsyncPolicy::Always)
    };
    let store = open(&disk, options, Timestamp(0));
    assert_eq!(store.expire().expect("expires"), 1);
    let expected: Rows = rows(2).into_iter().chain(rows(3)).collect();
    assert_eq!(read_all(&store), expected);
    fill(&store, &[4, 4]);
    assert_eq!(store.expire().expect("expires"), 2);
    assert_eq!(read_all(&store), rows(4));
}

#[test]
fn a_rule_takes_its_series_once_the_partition_is_older() {
    let disk = SimDisk::new(1);
    let (two_hours, twenty_hours) = (7_200_000, 72_000_000);
    let with = |retention_rules: Vec<RetentionRule>| StoreOptions {
        retention_rules,
        ..options(FsyncPolicy::Always)
    };
    let without = |keys: &[u32]| -> Rows {
        let all = rows(1).into_iter().chain(rows(2));
        all.filter(|((key, _), _)| !keys.contains(key)).collect()
    };
    let merges = |store: &Store<Toy>| store.counters().merges.load(Ordering::Relaxed);

    let rules = vec![rule("1", two_hours), rule("2", twenty_hours)];
    let store = open(&disk, with(rules.clone()), LATER);
    fill(&store, &[1, 2]);
    merge_all(&store);
    assert_eq!(read_all(&store), without(&[1]));
    // A part that comes late has its turn, and nothing else is written anew.
    fill(&store, &[1]);
    let before = merges(&store);
    merge_all(&store);
    assert_eq!(read_all(&store), without(&[1]));
    assert_eq!(merges(&store), before + 1);
    drop(store);

    let store = open(&disk, with(rules), LATER);
    merge_all(&store);
    assert_eq!(merges(&store), 0, "what was applied is remembered");
    drop(store);

    let rules = vec![rule("1", two_hours), rule("2", two_hours), rule("9", 0)];
    let store = open(&disk, with(rules), LATER);
    merge_all(&store);
    assert_eq!(
        read_all(&store),
        without(&[1, 2]),
        "a changed rule applies anew"
    );
    assert_eq!(merges(&store), 2);
}

#[test]
fn a_rule_that_concerns_no_series_writes_nothing_anew() {
    let disk = SimDisk::new(1);
    let store = open(&disk, options(FsyncPolicy::Always), LATER);
    fill(&store, &[1, 2]);
    merge_all(&store);
    drop(store);
    let options = StoreOptions {
        retention_rules: vec![rule("9", 0)],
        ..options(FsyncPolicy::Always)
    };
    let store = open(&disk, options, LATER);
    assert!(store.merge_once().expect("remembers"), "both at once");
    assert!(!store.merge_once().expect("nothing to do"));
    assert_eq!(store.counters().merges.load(Ordering::Relaxed), 0);
    assert_eq!(store.view().parts.len(), 2);
}
