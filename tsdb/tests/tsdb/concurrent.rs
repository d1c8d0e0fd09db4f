//! Writes, flushes, merges and reads at once: a read sees everything acknowledged before it began,
//! wherever it has moved to meanwhile, and nothing twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use storage::disk::sim::SimDisk;
use storage::wal::sync::FsyncPolicy;
use tsdb::ingest::batch::Batch;

use crate::support::{Bits, floats, labels, open, read_all};

/// Samples that are written, one at a time.
const SAMPLES: u64 = 400;

#[test]
fn a_read_sees_what_was_acknowledged_while_it_moves_from_log_to_part_to_part() {
    let disk = SimDisk::new(1);
    let (store, _) = open(&disk, FsyncPolicy::Always).expect("opens");
    let acknowledged = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    let reads = AtomicU64::new(0);
    let read = || {
        let least = acknowledged.load(Ordering::SeqCst);
        // Reading panics where a sample is there twice.
        let rows = read_all(&store);
        assert!(rows.len() as u64 >= least, "{} of {least}", rows.len());
        for (expected, ((series, at), bits)) in (0i64..).zip(&rows) {
            assert_eq!((series, *at), (&labels(7), expected));
            assert_eq!(*bits, Bits::Float((expected as f64).to_bits()));
        }
        reads.fetch_add(1, Ordering::SeqCst);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                store.flush().expect("flushes");
                store.merge_once().expect("merges");
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                read();
            }
        });
        for number in 0..SAMPLES {
            let batch = [floats(7, &[(number as i64, number as f64)])];
            store.append(&Batch::of(&batch)).expect("writes");
            acknowledged.store(number + 1, Ordering::SeqCst);
        }
        done.store(true, Ordering::SeqCst);
    });
    read();
    assert_eq!(read_all(&store).len() as u64, SAMPLES);
    assert!(reads.load(Ordering::SeqCst) > 0);
}
