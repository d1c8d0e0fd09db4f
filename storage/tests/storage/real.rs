//! The same store on the machine's own file system, with its threads running.

use std::path::Path;
use std::sync::Arc;

use storage::clock::SystemClock;
use storage::disk::Disk as _;
use storage::disk::real::RealDisk;
use storage::store::background::Background;
use storage::store::{OpenError, Store};
use storage::wal::sync::FsyncPolicy;

use crate::toy::{Toy, batch, options, read_all, state_after};

fn open(dir: &Path) -> Result<Store<Toy>, OpenError> {
    let options = options(FsyncPolicy::Interval(1));
    let opened = Store::open(Arc::new(RealDisk), Arc::new(SystemClock), dir, options);
    opened.map(|(store, _)| store)
}

#[test]
fn rows_survive_on_a_real_disk_with_and_without_a_clean_stop() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let store = Arc::new(open(dir.path()).expect("opens"));
    let background = Background::start(Arc::clone(&store)).expect("threads");
    for number in 0..10 {
        store.append(&batch(number)).expect("writes");
    }
    store.flush().expect("flushes");
    for number in 10..20 {
        store.append(&batch(number)).expect("writes");
    }
    background.stop().expect("stops");
    assert!(store.append(&batch(20)).is_err(), "a closed store refuses");
    drop(store);

    let store = open(dir.path()).expect("opens");
    assert_eq!(read_all(&store), state_after(20));
    for number in 20..25 {
        store.append(&batch(number)).expect("writes");
    }
    drop(store); // as a killed process would: nothing is flushed

    let store = open(dir.path()).expect("opens");
    assert_eq!(read_all(&store), state_after(25));
    let Err(error) = open(dir.path()) else {
        panic!("opened twice");
    };
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
}

#[test]
fn a_file_that_was_cut_is_appended_to_at_its_new_end() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("file");
    let file = RealDisk.create(&path).expect("creates");
    file.append(b"whole, torn").expect("writes");
    file.truncate(7).expect("cuts");
    file.append(b"mended").expect("writes");
    assert_eq!(RealDisk.read(&path).expect("reads"), b"whole, mended");
}
