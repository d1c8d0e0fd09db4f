//! A disk that fails and works again: what was acknowledged stays, what was refused may be retried,
//! and the store needs no restart.

use std::path::Path;

use ::model::matcher::Matcher;
use ::model::time::TimeRange;
use storage::disk::sim::{Fault, SimDisk};
use storage::store::{AppendError, OpenError, Recovered, Store, StoreOptions};
use storage::table::Erasure;
use storage::wal::sync::FsyncPolicy;

use crate::toy::{
    Rows, Toy, batch, is_between, is_erased, open, open_snapshot, open_with, options, read_all,
    state_after,
};

const BATCHES: u64 = 12;

/// Writes every batch, retrying a refused one once, with maintenance between that may fail.
fn stubborn_workload(disk: &SimDisk, shards: u32) -> bool {
    let Ok((store, _)) = open_shards(disk, shards) else {
        return false;
    };
    for number in 0..BATCHES {
        if store.append(&batch(number)).is_err() {
            store
                .append(&batch(number))
                .expect("the fault was a single one");
        }
        if number % 3 == 2 {
            let _ = store.flush();
            let _ = store.merge_once();
        }
    }
    assert_eq!(read_all(&store), state_after(BATCHES), "before the restart");
    true
}

fn open_shards(disk: &SimDisk, shards: u32) -> Result<(Store<Toy>, Recovered), OpenError> {
    let options = options(FsyncPolicy::Always);
    open_with(disk, StoreOptions { shards, ..options })
}

fn fault_everywhere(fault: fn(u64) -> Fault) {
    for shards in [1, 3] {
        fault_everywhere_in(shards, fault);
    }
}

fn fault_everywhere_in(shards: u32, fault: fn(u64) -> Fault) {
    let whole = SimDisk::new(0);
    assert!(stubborn_workload(&whole, shards));
    for at in 0..whole.operations() {
        let disk = SimDisk::new(at);
        disk.inject(fault(at));
        let ran = stubborn_workload(&disk, shards);
        for (after, disk) in [
            ("a kill", disk.after_kill()),
            ("a power loss", disk.after_power_loss()),
        ] {
            let what = format!("{:?}, {shards} shards, then {after}", fault(at));
            let (store, recovered) = open(&disk, FsyncPolicy::Always).expect(&what);
            assert!(recovered.quarantined.is_empty(), "{what}");
            assert!(
                recovered.damage.is_empty(),
                "{what}: {:?}",
                recovered.damage
            );
            if ran {
                assert_eq!(read_all(&store), state_after(BATCHES), "{what}");
            }
        }
    }
}

#[test]
fn a_short_write_anywhere_loses_nothing() {
    fault_everywhere(Fault::ShortWrite);
}

#[test]
fn a_failed_fsync_anywhere_loses_nothing() {
    fault_everywhere(Fault::SyncError);
}

#[test]
fn a_full_disk_refuses_clearly_and_recovers_by_itself() {
    for shards in [1, 3] {
        full_everywhere(shards);
    }
}

fn full_everywhere(shards: u32) {
    let whole = SimDisk::new(0);
    assert!(stubborn_workload(&whole, shards));
    for at in 0..whole.operations() {
        let disk = SimDisk::new(at);
        disk.inject(Fault::Full(at));
        let Ok((store, _)) = open_shards(&disk, shards) else {
            disk.heal();
            open_shards(&disk, shards).expect("opens when there is room");
            continue;
        };
        let mut written = 0;
        for number in 0..BATCHES {
            match store.append(&batch(number)) {
                Ok(()) => written = number + 1,
                Err(error) => {
                    assert!(matches!(error, AppendError::DiskFull { .. }), "{error}");
                    assert!(error.to_string().contains("/data/wal/"), "{error}");
                    break;
                }
            }
            if number % 3 == 2 {
                let _ = store.flush();
            }
        }
        // A shard that still had room has taken its rows of the refused batch.
        assert!(
            is_between(
                &read_all(&store),
                &[state_after(written), state_after(written + 1)]
            ),
            "reads go on, {shards} shards, full at {at}"
        );
        disk.heal();
        for number in written..BATCHES {
            store.append(&batch(number)).expect("room has returned");
        }
        store.flush().expect("room has returned");
        drop(store);
        let (store, _) = open(&disk.after_power_loss(), FsyncPolicy::Always).expect("opens");
        assert_eq!(read_all(&store), state_after(BATCHES), "full at {at}");
    }
}

#[test]
fn a_disk_that_stays_full_does_not_pile_up_memtables() {
    let disk = SimDisk::new(1);
    let (store, _) = open(&disk, FsyncPolicy::Always).expect("opens");
    store.append(&batch(0)).expect("there is room");
    disk.inject(Fault::Full(disk.operations() + 2));
    for _ in 0..20 {
        assert!(store.flush().is_err());
    }
    assert!(store.view().memtables.len() <= 2);
}

#[test]
fn a_folder_in_use_is_named() {
    let disk = SimDisk::new(1);
    let (_store, _) = open(&disk, FsyncPolicy::Always).expect("opens");
    let Err(error) = open(&disk, FsyncPolicy::Always) else {
        panic!("opened twice");
    };
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
}

/// Everything that writes, as far as it goes. What was acknowledged is in `expected` afterwards.
fn everything(store: &Store<Toy>, expected: &mut Rows, snapshot: &Path) -> bool {
    let mut all = true;
    for number in 0..6 {
        if store.append(&batch(number)).is_ok() {
            expected.extend(batch(number));
        } else {
            all = false;
        }
        all &= store.flush().is_ok();
    }
    let erasure = Erasure {
        matchers: vec![Matcher::equal("key", "4")],
        range: TimeRange::ALL,
    };
    let deleted = store.delete(erasure.clone()).is_ok();
    if deleted {
        expected.retain(|row, _| !is_erased(*row, &erasure));
    }
    let maintained = [
        store.merge_once().is_ok(),
        store.snapshot(snapshot).is_ok(),
        store.expire().is_ok(),
        store.merge_all().is_ok(),
    ];
    all && deleted && maintained.into_iter().all(|done| done)
}

#[test]
fn a_disk_that_takes_nothing_costs_no_row_and_everything_goes_on_when_it_does() {
    // A write whose fsync fails is refused and there; by interval it is one or the other.
    let fsync = FsyncPolicy::Interval(100);
    let first = Path::new("/snapshots/first");
    let second = Path::new("/snapshots/second");
    let whole = SimDisk::new(0);
    let (store, _) = open(&whole, fsync).expect("opens");
    let opened = whole.operations();
    assert!(everything(&store, &mut Rows::new(), first));
    for at in opened..whole.operations() {
        for fault in [Fault::Full(at), Fault::ReadOnly(at)] {
            let disk = SimDisk::new(at);
            let (store, _) = open(&disk, fsync).expect("opens");
            disk.inject(fault);
            let mut expected = Rows::new();
            everything(&store, &mut expected, first);
            assert_eq!(read_all(&store), expected, "reads go on, {fault:?}");
            disk.heal();
            assert!(
                everything(&store, &mut expected, second),
                "goes on by itself, {fault:?}"
            );
            assert_eq!(read_all(&store), expected, "{fault:?}");
            let snapshot = open_snapshot(&disk, second).expect("opens");
            assert_eq!(read_all(&snapshot), expected, "snapshot, {fault:?}");
            drop(store);
            let (store, _) = open(&disk.after_power_loss(), fsync).expect("opens");
            assert_eq!(read_all(&store), expected, "after a restart, {fault:?}");
        }
    }
}

#[test]
fn a_store_opens_on_a_disk_that_takes_nothing_and_goes_on_when_it_does() {
    // A write whose fsync fails is refused and there; by interval it is one or the other.
    let fsync = FsyncPolicy::Interval(100);
    let first = Path::new("/snapshots/first");
    for stop in [0, 3] {
        let disk = SimDisk::new(stop);
        let (store, _) = open(&disk, fsync).expect("opens");
        let mut before = Rows::new();
        for number in 0..=stop {
            store.append(&batch(number)).expect("appends");
            before.extend(batch(number));
            if number % 2 == 0 {
                store.flush().expect("flushes");
            }
        }
        drop(store);
        let opens_within = 12;
        for at in 0..opens_within {
            for fault in [Fault::Full, Fault::ReadOnly] {
                let disk = disk.after_kill();
                disk.inject(fault(disk.operations() + at));
                let (store, _) = open(&disk, fsync).expect("opens");
                assert_eq!(read_all(&store), before, "what is there is served");
                let mut expected = before.clone();
                everything(&store, &mut expected, first);
                assert_eq!(read_all(&store), expected, "reads go on");
                disk.heal();
                let again = Path::new("/snapshots/second");
                assert!(everything(&store, &mut expected, again), "writes go on");
                assert_eq!(read_all(&store), expected);
                drop(store);
                let (store, _) = open(&disk.after_power_loss(), fsync).expect("opens");
                assert_eq!(read_all(&store), expected, "after a restart");
            }
        }
    }
}

#[test]
fn a_read_only_disk_is_named_and_says_what_to_do() {
    let disk = SimDisk::new(1);
    let (store, _) = open(&disk, FsyncPolicy::Always).expect("opens");
    store.append(&batch(0)).expect("writes");
    disk.inject(Fault::ReadOnly(disk.operations()));
    let error = store.append(&batch(1)).expect_err("read-only").to_string();
    assert!(error.starts_with("/data/wal/"), "{error}");
    assert!(error.contains("make it writable again"), "{error}");
    let error = store
        .snapshot(Path::new("/snapshots/first"))
        .expect_err("read-only");
    assert!(error.to_string().starts_with("/data/"), "{error}");
}
