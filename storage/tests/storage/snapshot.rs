//! Snapshots: consistent, whole or not to be opened, whatever goes on meanwhile.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use ::model::matcher::Matcher;
use ::model::time::TimeRange;
use storage::disk::Disk as _;
use storage::disk::sim::{Fault, SimDisk};
use storage::store::{MaintainError, Store};
use storage::table::Erasure;
use storage::wal::sync::FsyncPolicy;

use crate::toy::{Rows, Toy, batch, is_erased, open, open_snapshot, read_all, state_after};

fn filled(disk: &SimDisk) -> Option<Store<Toy>> {
    let (store, _) = open(disk, FsyncPolicy::Always).ok()?;
    for number in 0..7 {
        store.append(&batch(number)).ok()?;
        if number % 3 == 2 {
            store.flush().ok()?;
        }
    }
    store.delete(erasure()).ok()?;
    store.append(&batch(7)).ok()?;
    Some(store)
}

fn erasure() -> Erasure {
    Erasure {
        matchers: vec![
            Matcher::equal("key", "1000000"),
            Matcher::equal("kind", "toy"),
        ],
        range: TimeRange::ALL,
    }
}

fn expected() -> Rows {
    let mut rows = state_after(7);
    rows.retain(|row, _| !is_erased(*row, &erasure()));
    rows.extend(batch(7));
    rows
}

#[test]
fn a_snapshot_opens_as_a_store_and_stays_what_it_was() {
    let disk = SimDisk::new(1);
    let store = filled(&disk).expect("writes");
    let to = Path::new("/snapshots/first");
    let report = store.snapshot(to).expect("makes");
    assert_eq!(report.parts, store.view().parts.len());
    assert!(report.rows > 0 && report.bytes > 0);

    store.append(&batch(8)).expect("writes");
    store.merge_all().expect("merges");
    let snapshot = open_snapshot(&disk, to).expect("opens");
    assert_eq!(read_all(&snapshot), expected());
    snapshot.append(&batch(9)).expect("writes");
    snapshot.merge_all().expect("merges");
    assert!(!read_all(&store).contains_key(&(27, 9)), "apart");

    let error = store.snapshot(to).expect_err("is there");
    assert!(
        matches!(error, MaintainError::SnapshotExists { .. }),
        "{error}"
    );
    assert!(
        error.to_string().starts_with("/snapshots/first: "),
        "{error}"
    );
}

#[test]
fn a_crash_while_a_snapshot_is_made_leaves_it_whole_or_closed() {
    let to = Path::new("/snapshots/first");
    let whole = SimDisk::new(0);
    let store = filled(&whole).expect("writes");
    let first = whole.operations();
    store.snapshot(to).expect("makes");
    for at in first..whole.operations() {
        let disk = SimDisk::new(at);
        let store = filled(&disk).expect("writes");
        disk.inject(Fault::Crash(at));
        assert!(store.snapshot(to).is_err(), "crashed at {at}");
        for (after, disk) in [
            ("kill", disk.after_kill()),
            ("power loss", disk.after_power_loss()),
        ] {
            let what = format!("{after} at {at}");
            let (store, _) = open(&disk, FsyncPolicy::Always).expect(&what);
            assert_eq!(read_all(&store), expected(), "{what}");
            let begun = disk.files().iter().any(|(path, _)| path.starts_with(to));
            if begun && let Ok(snapshot) = open_snapshot(&disk, to) {
                let named = disk.open(&to.join("MANIFEST")).is_ok();
                assert!(named, "{what}: opened without a manifest");
                let rows = read_all(&snapshot);
                assert!(rows == expected() || rows.is_empty(), "{what}");
            }
        }
    }
}

#[test]
fn a_snapshot_is_of_one_moment_whatever_is_written_and_merged_meanwhile() {
    let disk = SimDisk::new(1);
    let (store, _) = open(&disk, FsyncPolicy::Interval(100)).expect("opens");
    let (written, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                store.append(&batch(number)).expect("writes");
                written.store(number + 1, Ordering::Release);
                store.flush().expect("flushes");
                store.merge_once().expect("merges");
            }
        });
        for number in 0..10 {
            let to = PathBuf::from(format!("/snapshots/{number}"));
            let least = written.load(Ordering::Acquire);
            store.snapshot(&to).expect("makes");
            let most = written.load(Ordering::Acquire) + 1;
            let rows = read_all(&open_snapshot(&disk, &to).expect("opens"));
            let states = (least..=most).map(state_after);
            assert!(
                states.into_iter().any(|state| state == rows),
                "{least} to {most}"
            );
        }
        stop.store(true, Ordering::Release);
    });
}
