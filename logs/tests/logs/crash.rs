//! A crash at every disk operation of a workload in turn: acknowledged lines are there, once each and byte
//! for byte.

use logs::Logs;
use logs::store::LogTable;
use storage::crash::{self, Subject};
use storage::disk::sim::SimDisk;
use storage::store::Store;
use storage::wal::sync::FsyncPolicy;

use crate::support::{batch, open, read_all, state_after};

struct Lines(Logs);

impl Subject for Lines {
    type Table = LogTable;
    const BATCHES: u64 = 16;

    fn open(disk: &SimDisk, fsync: FsyncPolicy) -> Result<Self, String> {
        let (logs, recovered) = open(disk, fsync).map_err(|error| error.to_string())?;
        if recovered.damage.is_empty() && recovered.quarantined.is_empty() {
            Ok(Self(logs))
        } else {
            Err(format!("a crash is no damage: {recovered:?}"))
        }
    }

    fn store(&self) -> &Store<LogTable> {
        self.0.store()
    }

    fn write(&self, number: u64) -> bool {
        self.0.push(batch(number)).is_ok()
    }

    fn holds(&self, count: u64) -> bool {
        read_all(&self.0).expect("readable") == state_after(count)
    }
}

#[test]
fn no_acknowledged_line_is_lost_or_repeated_with_fsync_always() {
    let operations = crash::everywhere::<Lines>(FsyncPolicy::Always);
    println!("logs crash: {operations} operations, each killed and powered off, fsync always");
}

#[test]
fn no_acknowledged_line_is_lost_or_repeated_with_fsync_by_interval() {
    let operations = crash::everywhere::<Lines>(FsyncPolicy::Interval(100));
    println!("logs crash: {operations} operations, each killed and powered off, fsync by interval");
}
