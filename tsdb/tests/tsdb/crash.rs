//! A crash at every disk operation of a workload in turn, then a look at what is there, bit by bit.

use std::sync::Arc;

use storage::crash::{self, Subject};
use storage::disk::sim::SimDisk;
use storage::store::Store;
use storage::wal::sync::FsyncPolicy;
use tsdb::ingest::batch::Batch;
use tsdb::store::{MetricStore, Metrics};

use crate::support::{batch, open, read_all, state_after};

struct Samples(Arc<MetricStore>);

impl Subject for Samples {
    type Table = Metrics;
    const BATCHES: u64 = 12;

    fn open(disk: &SimDisk, fsync: FsyncPolicy) -> Result<Self, String> {
        let (store, recovered) = open(disk, fsync).map_err(|error| error.to_string())?;
        if recovered.damage.is_empty() && recovered.quarantined.is_empty() {
            Ok(Self(store))
        } else {
            Err(format!("a crash is no damage: {recovered:?}"))
        }
    }

    fn store(&self) -> &Store<Metrics> {
        &self.0
    }

    fn write(&self, number: u64) -> bool {
        self.0.append(&Batch::of(&batch(number))).is_ok()
    }

    fn holds(&self, count: u64) -> bool {
        read_all(&self.0) == *state_after(count)
    }
}

#[test]
fn no_acknowledged_sample_is_lost_with_fsync_always() {
    let operations = crash::everywhere::<Samples>(FsyncPolicy::Always);
    println!("metrics crash: {operations} operations, each killed and powered off, fsync always");
}

#[test]
fn no_acknowledged_sample_is_lost_with_fsync_by_interval() {
    let operations = crash::everywhere::<Samples>(FsyncPolicy::Interval(100));
    println!(
        "metrics crash: {operations} operations, each killed and powered off, fsync by interval"
    );
}
