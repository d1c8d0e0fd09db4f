//! A crash at every disk operation of a workload in turn, then a look at what is there.

use std::sync::LazyLock;

use ::model::matcher::{MatchOp, Matcher};
use ::model::time::{TimeRange, Timestamp};
use storage::crash::{self, Subject, workload};
use storage::disk::sim::{Fault, SimDisk};
use storage::store::{Store, StoreOptions};
use storage::table::Erasure;
use storage::wal::sync::FsyncPolicy;

use crate::toy::{
    Rows, Toy, WIDTH_MS, batch, count_all, is_between, is_erased, open, open_with, options,
    read_all, state_after,
};

struct ToyStore<const SHARDS: u32>(Store<Toy>);

impl<const SHARDS: u32> Subject for ToyStore<SHARDS> {
    type Table = Toy;
    const BATCHES: u64 = if SHARDS == 1 { 24 } else { 12 };

    fn open(disk: &SimDisk, fsync: FsyncPolicy) -> Result<Self, String> {
        let shards = SHARDS;
        let opened = open_with(
            disk,
            StoreOptions {
                shards,
                ..options(fsync)
            },
        );
        let (store, recovered) = opened.map_err(|error| error.to_string())?;
        if recovered.damage.is_empty() && recovered.quarantined.is_empty() {
            Ok(Self(store))
        } else {
            Err(format!("a crash is no damage: {recovered:?}"))
        }
    }

    fn store(&self) -> &Store<Toy> {
        &self.0
    }

    fn write(&self, number: u64) -> bool {
        match erasure(number) {
            Some(erasure) => self.0.delete(erasure).is_ok(),
            None => self.0.append(&batch(number)).is_ok(),
        }
    }

    fn holds(&self, count: u64) -> bool {
        read_all(&self.0) == after_steps(count)
    }

    fn holds_between(&self, least: u64, most: u64) -> bool {
        let states: Vec<Rows> = (least..=most).map(after_steps).collect();
        match SHARDS {
            1 => states.contains(&read_all(&self.0)),
            _ => is_between(&read_all(&self.0), &states),
        }
    }
}

/// What the workload deletes instead of writing a batch: some keys, and the row that every batch
/// overwrites.
fn erasure(number: u64) -> Option<Erasure> {
    // Compiled once: the states of the store are asked for after every crash.
    static ERASURE: LazyLock<Erasure> = LazyLock::new(|| Erasure {
        matchers: vec![Matcher::new(MatchOp::Regex, "key", ".*[37]|1000000").expect("a matcher")],
        range: TimeRange::new(Timestamp(3), Timestamp(WIDTH_MS + 50)),
    });
    (number % 5 == 4).then(|| ERASURE.clone())
}

/// What the store must hold after the first `count` steps of the workload.
fn after_steps(count: u64) -> Rows {
    let mut rows = Rows::new();
    for number in 0..count {
        match erasure(number) {
            Some(erasure) => rows.retain(|row, _| !is_erased(*row, &erasure)),
            None => rows.extend(batch(number)),
        }
    }
    rows
}

#[test]
fn nothing_acknowledged_is_lost_with_fsync_always() {
    let check = |operations: u64, shards: u32| {
        println!(
            "crash: {operations} operations, each killed and powered off, {shards} shards, fsync always"
        );
    };
    check(crash::everywhere::<ToyStore<1>>(FsyncPolicy::Always), 1);
    check(crash::everywhere::<ToyStore<3>>(FsyncPolicy::Always), 3);
}

#[test]
fn nothing_acknowledged_is_lost_with_fsync_by_interval() {
    let fsync = FsyncPolicy::Interval(100);
    let check = |operations: u64, shards: u32| {
        println!(
            "crash: {operations} operations, each killed and powered off, {shards} shards, fsync by interval"
        );
    };
    check(crash::everywhere::<ToyStore<1>>(fsync), 1);
    check(crash::everywhere::<ToyStore<3>>(fsync), 3);
}

#[test]
fn a_crash_while_recovering_loses_nothing_either() {
    crash_while_recovering::<1>(31);
    crash_while_recovering::<3>(61);
}

fn crash_while_recovering<const SHARDS: u32>(every: usize) {
    let fsync = FsyncPolicy::Always;
    let whole = SimDisk::new(0);
    workload::<ToyStore<SHARDS>>(&whole, fsync);
    for at in (0..whole.operations()).step_by(every) {
        let disk = SimDisk::new(at);
        disk.inject(Fault::Crash(at));
        let outcome = workload::<ToyStore<SHARDS>>(&disk, fsync);
        for again in 0.. {
            let disk = disk.after_kill();
            disk.inject(Fault::Crash(again));
            let opened = ToyStore::<SHARDS>::open(&disk, fsync);
            let flushed = opened.map(|subject| subject.0.flush().is_ok());
            if !disk.has_crashed() {
                assert_eq!(flushed, Ok(true));
                break;
            }
            let what = format!("killed at {at}, then at {again} while recovering");
            let most = ToyStore::<SHARDS>::BATCHES.min(outcome.acknowledged + 1);
            let expected = outcome.acknowledged..=most;
            crash::reopen::<ToyStore<SHARDS>>(&disk.after_kill(), fsync, expected, &what);
        }
    }
}

#[test]
fn a_store_may_be_opened_with_another_number_of_shards() {
    let disk = SimDisk::new(1);
    let mut written = 0;
    for shards in [1, 3, 2, 5, 1] {
        let options = StoreOptions {
            shards,
            ..options(FsyncPolicy::Always)
        };
        let (store, _) = open_with(&disk, options).expect("opens");
        assert_eq!(read_all(&store), state_after(written), "{shards} shards");
        for number in written..written + 5 {
            store.append(&batch(number)).expect("writes");
        }
        written += 5;
        assert_eq!(read_all(&store), state_after(written), "{shards} shards");
    }
    let (store, _) = open(&disk, FsyncPolicy::Always).expect("opens");
    assert_eq!(read_all(&store), state_after(written));
    store.flush().expect("flushes");
    assert_eq!(read_all(&store), state_after(written));
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
