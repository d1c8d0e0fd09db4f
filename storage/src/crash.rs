//! The crash test, for any table: a crash at every disk operation of a workload in turn, then a look
//! at what is there.
//!
//! It lives here, and not in the tests of one member, because the promise is the store's and every
//! table must keep it: nothing acknowledged is lost or repeated, by kill or by power loss, whichever
//! operation was the last. Whoever describes rows with [`Table`] writes a [`Subject`] for them and
//! calls [`everywhere`] from a test. It asserts; nothing but a test calls it.

use std::ops::RangeInclusive;

use crate::disk::sim::{Fault, SimDisk};
use crate::store::Store;
use crate::table::Table;
use crate::wal::sync::FsyncPolicy;

/// A store under test, and the batches that are written to it, numbered from 0 on. A batch that was
/// acknowledged is there whole; of one that was not, each shard has its rows or none of them.
pub trait Subject: Sized {
    /// The kind of rows.
    type Table: Table;
    /// Batches that the workload writes.
    const BATCHES: u64;

    /// Opens the store on `disk`, or says why not.
    fn open(disk: &SimDisk, fsync: FsyncPolicy) -> Result<Self, String>;
    /// The store itself.
    fn store(&self) -> &Store<Self::Table>;
    /// Writes a batch; whether it was acknowledged.
    fn write(&self, number: u64) -> bool;
    /// Whether the store holds exactly the batches `0..count`, bit for bit and once.
    fn holds(&self, count: u64) -> bool;
    /// Whether each series on its own is as after some number of batches from `least` to `most`. With one
    /// shard that is the same number for all of them; several shards may each have lost another tail.
    fn holds_between(&self, least: u64, most: u64) -> bool {
        (least..=most).any(|count| self.holds(count))
    }
}

/// What the workload was told before the disk died.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Batches that were acknowledged.
    pub acknowledged: u64,
    /// Of those, how many a sync that succeeded came after.
    pub synced: u64,
}

/// Writes, flushes, merges and syncs until it is done or the disk is dead.
pub fn workload<S: Subject>(disk: &SimDisk, fsync: FsyncPolicy) -> Outcome {
    let mut outcome = Outcome::default();
    let Ok(subject) = S::open(disk, fsync) else {
        return outcome;
    };
    let store = subject.store();
    for number in 0..S::BATCHES {
        if !subject.write(number) {
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

/// Crashes at every operation of the workload and asserts that what must be there is there, and that the
/// store goes on. Returns how many operations there were.
pub fn everywhere<S: Subject>(fsync: FsyncPolicy) -> u64 {
    let whole = SimDisk::new(0);
    assert_eq!(workload::<S>(&whole, fsync).acknowledged, S::BATCHES);
    let operations = whole.operations();
    assert!(operations > 80, "the workload is too small: {operations}");
    for at in 0..operations {
        let disk = SimDisk::new(at);
        disk.inject(Fault::Crash(at));
        let outcome = workload::<S>(&disk, fsync);
        assert!(disk.has_crashed(), "operation {at} was not reached");

        let most = S::BATCHES.min(outcome.acknowledged + 1);
        let what = format!("killed at operation {at}, {fsync:?}");
        reopen::<S>(
            &disk.after_kill(),
            fsync,
            outcome.acknowledged..=most,
            &what,
        );

        let what = format!("power lost at operation {at}, {fsync:?}");
        reopen::<S>(
            &disk.after_power_loss(),
            fsync,
            outcome.synced..=most,
            &what,
        );
    }
    operations
}

/// Opens the store, asserts that it holds as many whole batches as `expected` says and nothing else,
/// writes again what may not be there whole, and the rest.
pub fn reopen<S: Subject>(
    disk: &SimDisk,
    fsync: FsyncPolicy,
    expected: RangeInclusive<u64>,
    what: &str,
) {
    let subject = S::open(disk, fsync);
    assert!(subject.is_ok(), "{what}: {:?}", subject.err());
    let Ok(subject) = subject else { return };
    let (least, most) = expected.into_inner();
    assert!(
        subject.holds_between(least, most),
        "{what}: not the state after {least} to {most} batches"
    );
    for number in least..S::BATCHES {
        assert!(subject.write(number), "{what}: batch {number} was refused");
    }
    let store = subject.store();
    assert!(store.flush().is_ok(), "{what}: cannot be flushed");
    loop {
        let merged = store.merge_once();
        assert!(
            merged.is_ok(),
            "{what}: cannot be merged: {:?}",
            merged.err()
        );
        if !merged.unwrap_or_default() {
            break;
        }
    }
    assert!(subject.holds(S::BATCHES), "{what}: the rest is not there");
}
