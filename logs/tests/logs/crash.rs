//! A crash at every disk operation of a workload in turn: acknowledged lines are there, once each and byte
//! for byte.

use logs::Logs;
use storage::disk::sim::{Fault, SimDisk};
use storage::wal::sync::FsyncPolicy;

use crate::support::{batch, open, read_all, state_after};

/// Pushes that the workload makes.
const PUSHES: u64 = 16;

#[derive(Default)]
struct Outcome {
    /// Pushes that were acknowledged.
    acknowledged: u64,
    /// Of those, how many a sync that succeeded came after.
    synced: u64,
}

/// Pushes, flushes, merges and syncs until it is done or the disk is dead.
fn workload(disk: &SimDisk, fsync: FsyncPolicy) -> Outcome {
    let mut outcome = Outcome::default();
    let Ok((logs, _)) = open(disk, fsync) else {
        return outcome;
    };
    for number in 0..PUSHES {
        if logs.push(batch(number)).is_err() {
            return outcome;
        }
        outcome.acknowledged = number + 1;
        if fsync == FsyncPolicy::Always {
            outcome.synced = outcome.acknowledged;
        }
        let maintained = match number % 4 {
            1 => logs.store().sync().is_ok(),
            3 => logs.store().flush().is_ok(),
            _ => continue,
        };
        if !maintained {
            return outcome;
        }
        outcome.synced = outcome.acknowledged;
        if number % 8 == 7 && logs.store().merge_once().is_err() {
            return outcome;
        }
    }
    if logs.store().close().is_ok() {
        outcome.synced = outcome.acknowledged;
    }
    outcome
}

/// The number of whole pushes there are; panics where there is anything else.
fn whole_pushes(logs: &Logs, from: u64, what: &str) -> u64 {
    let lines = read_all(logs).unwrap_or_else(|error| panic!("{what}: {error}"));
    (from..=PUSHES)
        .find(|count| state_after(*count) == lines)
        .unwrap_or_else(|| panic!("{what}: not the state after {from} or more pushes: {lines:?}"))
}

/// Goes on after the crash: the rest of the pushes, a flush, every merge, and everything is there.
fn goes_on(logs: &Logs, from: u64, what: &str) {
    for number in from..PUSHES {
        logs.push(batch(number)).expect(what);
    }
    logs.store().flush().expect(what);
    while logs.store().merge_once().expect(what) {}
    assert_eq!(read_all(logs).expect(what), state_after(PUSHES), "{what}");
}

fn crash_everywhere(fsync: FsyncPolicy) {
    let whole = SimDisk::new(0);
    assert_eq!(workload(&whole, fsync).acknowledged, PUSHES);
    let operations = whole.operations();
    assert!(operations > 80, "the workload is too small: {operations}");
    for at in 0..operations {
        let disk = SimDisk::new(at);
        disk.inject(Fault::Crash(at));
        let outcome = workload(&disk, fsync);
        assert!(disk.has_crashed(), "operation {at} was not reached");

        let what = format!("killed at operation {at}, {fsync:?}");
        let (logs, recovered) = open(&disk.after_kill(), fsync).expect(&what);
        assert!(recovered.damage.is_empty(), "{what}: {recovered:?}");
        let found = whole_pushes(&logs, outcome.acknowledged, &what);
        assert!(found <= outcome.acknowledged + 1, "{what}: {found}");
        goes_on(&logs, found, &what);

        let what = format!("power lost at operation {at}, {fsync:?}");
        let (logs, _) = open(&disk.after_power_loss(), fsync).expect(&what);
        let found = whole_pushes(&logs, outcome.synced, &what);
        goes_on(&logs, found, &what);
    }
    println!("crash: {operations} operations, each killed and powered off, {fsync:?}");
}

#[test]
fn no_acknowledged_line_is_lost_or_repeated_with_fsync_always() {
    crash_everywhere(FsyncPolicy::Always);
}

#[test]
fn no_acknowledged_line_is_lost_or_repeated_with_fsync_by_interval() {
    crash_everywhere(FsyncPolicy::Interval(100));
}
