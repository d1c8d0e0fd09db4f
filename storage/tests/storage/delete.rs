//! Deletion: gone at once for whoever reads, gone from the disk after merges, and nothing else is.

use std::path::Path;
use std::sync::atomic::Ordering;

use ::model::matcher::{MatchOp, Matcher};
use ::model::time::TimeRange;
use storage::disk::Disk as _;
use storage::disk::sim::{Fault, SimDisk};
use storage::manifest::Manifest;
use storage::manifest::erasure::{ErasureId, ErasureRecord};
use storage::store::{ERASURES_MAX, MaintainError, Store};
use storage::table::Erasure;
use storage::wal::sync::FsyncPolicy;

use crate::toy::{Rows, Toy, batch, is_erased, open, read_all, state_after};

const DATA: &str = "/data";

fn keys(pattern: &str) -> Erasure {
    Erasure {
        matchers: vec![Matcher::new(MatchOp::Regex, "key", pattern).expect("a matcher")],
        range: TimeRange::ALL,
    }
}

fn filled(disk: &SimDisk, batches: u64) -> Store<Toy> {
    let (store, _) = open(disk, FsyncPolicy::Always).expect("opens");
    for number in 0..batches {
        store.append(&batch(number)).expect("writes");
    }
    store
}

fn without(mut rows: Rows, erasure: &Erasure) -> Rows {
    rows.retain(|row, _| !is_erased(*row, erasure));
    rows
}

fn manifest(disk: &SimDisk) -> Manifest {
    let loaded = Manifest::load(disk, Path::new(DATA)).expect("loads");
    loaded.expect("there")
}

fn merge_all(store: &Store<Toy>) {
    while store.merge_once().expect("merges") {}
}

#[test]
fn deleted_rows_are_gone_at_once_and_from_the_disk_after_merges() {
    let disk = SimDisk::new(1);
    let store = filled(&disk, 2);
    let erasure = keys("[0-4]");
    let expected = without(state_after(2), &erasure);
    let deleted = store.delete(erasure).expect("deletes");
    assert_eq!(deleted.parts, 2);
    assert_eq!(read_all(&store), expected);
    assert_eq!(manifest(&disk).erasures.len(), 1);

    drop(store);
    let (store, _) = open(&disk.after_power_loss(), FsyncPolicy::Always).expect("opens");
    assert_eq!(read_all(&store), expected, "after a restart");
    let rows = || {
        store
            .view()
            .parts
            .iter()
            .map(|part| part.record.rows)
            .sum::<u64>()
    };
    let before = rows();
    merge_all(&store);
    assert_eq!(read_all(&store), expected, "after merges");
    assert_eq!(before - rows(), 5, "the rows themselves are gone");
    let view = store.view();
    assert!(view.parts.iter().all(|part| part.erasures.is_empty()));
    assert!(view.parts.iter().all(|part| part.record.erased.is_empty()));
}

#[test]
fn a_part_that_is_deleted_whole_disappears() {
    let disk = SimDisk::new(1);
    let store = filled(&disk, 3);
    store.delete(keys(".*")).expect("deletes");
    assert!(read_all(&store).is_empty());
    merge_all(&store);
    assert!(store.view().parts.is_empty());
    assert_eq!(disk.list(Path::new("/data/parts")).expect("lists").len(), 0);
    assert!(manifest(&disk).erasures.is_empty());
}

#[test]
fn what_is_written_afterwards_stays() {
    let disk = SimDisk::new(1);
    let store = filled(&disk, 3);
    store.delete(keys(".*")).expect("deletes");
    store.append(&batch(1)).expect("writes");
    assert_eq!(read_all(&store), batch(1));
    store.flush().expect("flushes");
    merge_all(&store);
    assert_eq!(read_all(&store), batch(1));
}

#[test]
fn parts_without_such_series_are_not_written_anew() {
    let disk = SimDisk::new(1);
    let store = filled(&disk, 2);
    assert_eq!(store.delete(keys("nothing")).expect("deletes").parts, 0);
    assert_eq!(store.delete(keys("0")).expect("deletes").parts, 1);
    merge_all(&store);
    assert_eq!(store.counters().merges.load(Ordering::Relaxed), 1);
    assert!(manifest(&disk).erasures.is_empty());
}

#[test]
fn a_deletion_that_cannot_be_kept_is_refused() {
    let disk = SimDisk::new(1);
    let store = filled(&disk, 2);
    let nothing = Erasure {
        matchers: Vec::new(),
        range: TimeRange::ALL,
    };
    let error = store.delete(nothing).expect_err("of everything");
    assert!(matches!(error, MaintainError::NoMatchers), "{error}");
    store.flush().expect("flushes");
    drop(store);
    let mut many = manifest(&disk);
    for _ in 0..ERASURES_MAX {
        let id = ErasureId(many.next_part);
        let erasure = Erasure {
            matchers: vec![Matcher::equal("key", "0")],
            range: TimeRange::ALL,
        };
        many.erasures.push(ErasureRecord { id, erasure });
        many.next_part += 1;
    }
    many.store(&disk, Path::new(DATA)).expect("writes");
    let (store, _) = open(&disk, FsyncPolicy::Always).expect("opens");
    let error = store.delete(keys("[0-4]")).expect_err("too many");
    assert!(error.to_string().contains("1000 deletions wait"), "{error}");
    merge_all(&store);
    store.delete(keys("5")).expect("merges have caught up");

    disk.inject(Fault::Full(disk.operations()));
    let expected = read_all(&store);
    store.append(&batch(3)).expect_err("full");
    store.delete(keys("1000000")).expect_err("full");
    assert_eq!(read_all(&store), expected);
    disk.heal();
    store.delete(keys("1000000")).expect("room has returned");
    assert_eq!(read_all(&store), without(expected, &keys("1000000")));
}

#[test]
fn a_manifest_of_version_1_is_read() {
    let disk = SimDisk::new(1);
    let store = filled(&disk, 3);
    store.flush().expect("flushes");
    drop(store);
    let path = Path::new("/data/MANIFEST");
    let text = String::from_utf8(disk.read(path).expect("reads")).expect("text");
    assert!(
        !text.contains("eras") && !text.contains("density"),
        "{text}"
    );
    let (first, rest) = text.split_once('\n').expect("two lines");
    let first = first.replace("manifest 2", "manifest 1");
    disk.replace(path, format!("{first}\n{rest}").as_bytes())
        .expect("writes");
    let (store, _) = open(&disk, FsyncPolicy::Always).expect("opens");
    assert_eq!(read_all(&store), state_after(3));
}
