//! Memory is bounded: writes wait for room, then are refused, and never take more than there is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use storage::disk::sim::{Fault, SimDisk};
use storage::store::{AppendError, Store, StoreOptions};
use storage::wal::sync::FsyncPolicy;

use crate::toy::{ROW_BYTES, Rows, Toy, batch, open_with, options, read_all, state_after};

/// Room for two batches of four rows.
const BYTES_MAX: usize = 8 * ROW_BYTES;
const FOR_EVER_MS: u64 = u64::MAX;

fn store(disk: &SimDisk, shards: u32, overload_wait_ms: u64) -> Store<Toy> {
    let options = StoreOptions {
        shards,
        memory_bytes_max: BYTES_MAX,
        overload_wait_ms,
        ..options(FsyncPolicy::Interval(100))
    };
    open_with(disk, options).expect("opens").0
}

fn waited(store: &Store<Toy>) -> u64 {
    store.counters().waited.load(Ordering::Relaxed)
}

#[test]
fn without_room_a_write_is_refused_and_taken_after_a_flush() {
    let store = store(&SimDisk::new(1), 1, 0);
    for number in 0..2 {
        store.append(&batch(number)).expect("there is room");
    }
    let error = store.append(&batch(2)).expect_err("there is none");
    assert!(matches!(error, AppendError::Overloaded { .. }), "{error}");
    assert_eq!(read_all(&store), state_after(2));
    assert!(store.flush_is_due(), "somebody waits for room");
    store.flush().expect("flushes");
    store.append(&batch(2)).expect("there is room");
    assert_eq!(read_all(&store), state_after(3));
}

#[test]
fn a_write_waits_for_the_flush() {
    for shards in [1, 3] {
        let store = store(&SimDisk::new(1), shards, FOR_EVER_MS);
        for number in 0..2 {
            store.append(&batch(number)).expect("there is room");
        }
        thread::scope(|scope| {
            let waiting = scope.spawn(|| store.append(&batch(2)));
            while waited(&store) == 0 && !waiting.is_finished() {
                thread::yield_now();
            }
            store.flush().expect("flushes");
            waiting.join().expect("no panic").expect("waited");
        });
        assert_eq!(read_all(&store), state_after(3), "{shards} shards");
    }
}

#[test]
fn a_write_that_waits_learns_that_the_store_is_closed() {
    let disk = SimDisk::new(1);
    let store = store(&disk, 1, FOR_EVER_MS);
    for number in 0..2 {
        store.append(&batch(number)).expect("there is room");
    }
    disk.inject(Fault::Full(disk.operations()));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| store.append(&batch(2)));
        while waited(&store) == 0 && !waiting.is_finished() {
            thread::yield_now();
        }
        assert!(store.close().is_err(), "the disk is full");
        let refused = waiting.join().expect("no panic").expect_err("closed");
        assert!(matches!(refused, AppendError::Closed), "{refused}");
    });
}

#[test]
fn a_batch_that_never_fits_is_refused_for_good() {
    let store = store(&SimDisk::new(1), 1, FOR_EVER_MS);
    let large: Rows = (0..9).map(|key| ((key, 0), 0)).collect();
    let error = store.append(&large).expect_err("too large");
    assert!(matches!(error, AppendError::TooLarge(_)), "{error}");
    assert_eq!(store.memory_bytes(), 0);
}

#[test]
fn many_writers_together_never_take_more_than_there_is() {
    let store = store(&SimDisk::new(1), 3, FOR_EVER_MS);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (store, over) = (&store, &over);
                scope.spawn(move || {
                    for number in 0..50 {
                        store.append(&batch(4 * number + writer)).expect("waits");
                        over.fetch_or(store.memory_bytes() > BYTES_MAX, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        while !writers.iter().all(thread::ScopedJoinHandle::is_finished) {
            store.flush().expect("flushes");
        }
    });
    assert!(!over.load(Ordering::Relaxed));
    assert_eq!(read_all(&store).len(), state_after(200).len());
    store.flush().expect("flushes");
    assert_eq!(store.memory_bytes(), 0);
}
