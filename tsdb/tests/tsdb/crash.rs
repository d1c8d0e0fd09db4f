//! A crash at every disk operation of a workload in turn, then a look at what is there, bit by bit.

use std::sync::Arc;

use storage::disk::sim::{Fault, SimDisk};
use storage::wal::sync::FsyncPolicy;
use tsdb::store::MetricStore;

use crate::support::{batch, open, read_all, state_after};

/// Batches that the workload writes.
const BATCHES: u64 = 12;

#[derive(Default)]
struct Outcome {
    /// Batches that were acknowledged.
    acknowledged: u64,
    /// Of those, how many a sync that succeeded came after.
    synced: u64,
}

/// Writes, flushes, merges and syncs until it is done or the disk is dead.
fn workload(disk: &SimDisk, fsync: FsyncPolicy) -> Outcome {
    let mut outcome = Outcome::default();
    let Ok((store, _)) = open(disk, fsync) else {
        return outcome;
    };
    for number in 0..BATCHES {
        if store.append(&batch(number)).is_err() {
            return outcome;
        }
        outcome.acknowledged = number + 1;
        if fsync == FsyncPolicy::Always {
            outcome.synced = outcome.acknowledged;
        }
        let maintained = match number % 4 {
            1 => store.sync().is_ok(),
            3 => store.flush().is_ok(),
            _ => continue,
        };
        if !maintained {
            return outcome;
        }
        outcome.synced = outcome.acknowledged;
        if number % 8 == 7 && store.merge_once().is_err() {
            return outcome;
        }
    }
    if store.close().is_ok() {
        outcome.synced = outcome.acknowledged;
    }
    outcome
}

/// The number of whole batches the store holds; panics if it holds anything else.
fn whole_batches(store: &Arc<MetricStore>, from: u64, what: &str) -> u64 {
    let rows = read_all(store);
    (from..=BATCHES)
        .find(|count| *state_after(*count) == rows)
        .unwrap_or_else(|| {
            panic!("{what}: not the state after any number of batches from {from} on: {rows:?}")
        })
}

/// Goes on after the crash: the rest of the batches, merged into few parts, and all is there.
fn goes_on(store: &Arc<MetricStore>, from: u64, what: &str) {
    for number in from..BATCHES {
        store.append(&batch(number)).expect(what);
    }
    store.flush().expect(what);
    while store.merge_once().expect(what) {}
    assert_eq!(read_all(store), *state_after(BATCHES), "{what}");
}

fn crash_everywhere(fsync: FsyncPolicy) {
    let whole = SimDisk::new(0);
    assert_eq!(workload(&whole, fsync).acknowledged, BATCHES);
    let operations = whole.operations();
    assert!(operations > 80, "the workload is too small: {operations}");
    for at in 0..operations {
        let disk = SimDisk::new(at);
        disk.inject(Fault::Crash(at));
        let outcome = workload(&disk, fsync);
        assert!(disk.has_crashed(), "operation {at} was not reached");

        let what = format!("killed at operation {at}, {fsync:?}");
        let (store, recovered) = open(&disk.after_kill(), fsync).expect(&what);
        assert!(
            recovered.damage.is_empty() && recovered.quarantined.is_empty(),
            "{what}"
        );
        let found = whole_batches(&store, outcome.acknowledged, &what);
        assert!(found <= outcome.acknowledged + 1, "{what}: {found}");
        goes_on(&store, found, &what);

        let what = format!("power lost at operation {at}, {fsync:?}");
        let (store, _) = open(&disk.after_power_loss(), fsync).expect(&what);
        let found = whole_batches(&store, outcome.synced, &what);
        goes_on(&store, found, &what);
    }
    println!("metrics crash: {operations} operations, each killed and powered off, {fsync:?}");
}

#[test]
fn no_acknowledged_sample_is_lost_with_fsync_always() {
    crash_everywhere(FsyncPolicy::Always);
}

#[test]
fn no_acknowledged_sample_is_lost_with_fsync_by_interval() {
    crash_everywhere(FsyncPolicy::Interval(100));
}
