//! A crash at every disk operation of a workload in turn, then a look at what is there.

use storage::disk::sim::{Fault, SimDisk};
use storage::store::Store;
use storage::wal::sync::FsyncPolicy;

use crate::toy::{Toy, batch, count_all, open, read_all, state_after};

/// Batches that the workload writes.
const BATCHES: u64 = 24;

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
        let step = match number % 4 {
            1 => store.sync().is_ok(),
            3 => store.flush().is_ok(),
            _ => true,
        };
        if !step {
            return outcome;
        }
        if number % 2 == 1 {
            outcome.synced = outcome.acknowledged;
        }
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
fn whole_batches(store: &Store<Toy>, from: u64, what: &str) -> u64 {
    let rows = read_all(store);
    (from..=BATCHES)
        .find(|count| state_after(*count) == rows)
        .unwrap_or_else(|| {
            panic!("{what}: not the state after any number of batches from {from} on: {rows:?}")
        })
}

/// Goes on after the crash: the rest of the batches, a flush, and everything is there.
fn goes_on(store: &Store<Toy>, from: u64, what: &str) {
    for number in from..BATCHES {
        store
            .append(&batch(number))
            .unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    store
        .flush()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    while store
        .merge_once()
        .unwrap_or_else(|error| panic!("{what}: {error}"))
    {}
    assert_eq!(read_all(store), state_after(BATCHES), "{what}");
}

fn crash_everywhere(fsync: FsyncPolicy) {
    let whole = SimDisk::new(0);
    assert_eq!(workload(&whole, fsync).acknowledged, BATCHES);
    let operations = whole.operations();
    assert!(operations > 100, "the workload is too small: {operations}");
    for at in 0..operations {
        let disk = SimDisk::new(at);
        disk.inject(Fault::Crash(at));
        let outcome = workload(&disk, fsync);
        assert!(disk.has_crashed(), "operation {at} was not reached");

        let what = format!("killed at operation {at}, {fsync:?}");
        let (store, _) = open(&disk.after_kill(), fsync).expect(&what);
        let found = whole_batches(&store, outcome.acknowledged, &what);
        assert!(found <= outcome.acknowledged + 1, "{what}: {found}");
        goes_on(&store, found, &what);

        let what = format!("power lost at operation {at}, {fsync:?}");
        let (store, _) = open(&disk.after_power_loss(), fsync).expect(&what);
        let found = whole_batches(&store, outcome.synced, &what);
        goes_on(&store, found, &what);
    }
    println!("crash: {operations} operations, each killed and powered off, {fsync:?}");
}

#[test]
fn nothing_acknowledged_is_lost_with_fsync_always() {
    crash_everywhere(FsyncPolicy::Always);
}

#[test]
fn nothing_acknowledged_is_lost_with_fsync_by_interval() {
    crash_everywhere(FsyncPolicy::Interval(100));
}

#[test]
fn a_crash_while_recovering_loses_nothing_either() {
    let whole = SimDisk::new(0);
    workload(&whole, FsyncPolicy::Always);
    for at in (0..whole.operations()).step_by(7) {
        let disk = SimDisk::new(at);
        disk.inject(Fault::Crash(at));
        let outcome = workload(&disk, FsyncPolicy::Always);
        for again in 0.. {
            let disk = disk.after_kill();
            disk.inject(Fault::Crash(again));
            let opened = open(&disk, FsyncPolicy::Always);
            let flushed = opened.map(|(store, _)| store.flush().is_ok());
            if !disk.has_crashed() {
                assert!(flushed.is_ok());
                break;
            }
            let what = format!("killed at {at}, then at {again} while recovering");
            let (store, _) = open(&disk.after_kill(), FsyncPolicy::Always).expect(&what);
            whole_batches(&store, outcome.acknowledged, &what);
        }
    }
}

#[test]
fn a_row_is_in_one_place_after_a_crash_between_part_and_manifest() {
    // Distinct rows only, so that a row in two places shows in the count.
    let distinct = |number: u64| batch(number).into_iter().take(3).collect();
    let run = |disk: &SimDisk| {
        let Ok((store, _)) = open(disk, FsyncPolicy::Always) else {
            return;
        };
        for number in 0..3 {
            if store.append(&distinct(number)).is_err() {
                return;
            }
        }
        let _ = store.flush();
    };
    let whole = SimDisk::new(0);
    run(&whole);
    for at in 0..whole.operations() {
        let disk = SimDisk::new(at);
        disk.inject(Fault::Crash(at));
        run(&disk);
        let (store, _) = open(&disk.after_kill(), FsyncPolicy::Always).expect("opens");
        assert_eq!(count_all(&store), read_all(&store).len(), "killed at {at}");
    }
}
