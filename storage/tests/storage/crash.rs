//! A crash at every disk operation of a workload in turn, then a look at what is there.

use storage::crash::{self, Subject, workload};
use storage::disk::sim::{Fault, SimDisk};
use storage::store::Store;
use storage::wal::sync::FsyncPolicy;

use crate::toy::{Toy, batch, count_all, open, read_all, state_after};

struct ToyStore(Store<Toy>);

impl Subject for ToyStore {
    type Table = Toy;
    const BATCHES: u64 = 24;

    fn open(disk: &SimDisk, fsync: FsyncPolicy) -> Result<Self, String> {
        let opened = open(disk, fsync).map_err(|error| error.to_string());
        opened.map(|(store, _)| Self(store))
    }

    fn store(&self) -> &Store<Toy> {
        &self.0
    }

    fn write(&self, number: u64) -> bool {
        self.0.append(&batch(number)).is_ok()
    }

    fn holds(&self, count: u64) -> bool {
        read_all(&self.0) == state_after(count)
    }
}

#[test]
fn nothing_acknowledged_is_lost_with_fsync_always() {
    let operations = crash::everywhere::<ToyStore>(FsyncPolicy::Always);
    assert!(operations > 100, "the workload is too small: {operations}");
    println!("crash: {operations} operations, each killed and powered off, fsync always");
}

#[test]
fn nothing_acknowledged_is_lost_with_fsync_by_interval() {
    let operations = crash::everywhere::<ToyStore>(FsyncPolicy::Interval(100));
    assert!(operations > 100, "the workload is too small: {operations}");
    println!("crash: {operations} operations, each killed and powered off, fsync by interval");
}

#[test]
fn a_crash_while_recovering_loses_nothing_either() {
    let whole = SimDisk::new(0);
    workload::<ToyStore>(&whole, FsyncPolicy::Always);
    for at in (0..whole.operations()).step_by(7) {
        let disk = SimDisk::new(at);
        disk.inject(Fault::Crash(at));
        let outcome = workload::<ToyStore>(&disk, FsyncPolicy::Always);
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
            let (disk, least) = (disk.after_kill(), outcome.acknowledged);
            crash::reopen::<ToyStore>(&disk, FsyncPolicy::Always, least, &what);
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
