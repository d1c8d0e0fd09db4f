//! Random operations on the store and on a map, which must agree after each of them.

use proptest::prelude::*;
use storage::disk::sim::SimDisk;
use storage::wal::sync::FsyncPolicy;

use crate::toy::{Rows, open, read_all};

#[derive(Clone, Debug)]
enum Operation {
    Append(Vec<(u32, i64, u64)>),
    Flush,
    Merge,
    Restart,
    PowerLoss,
}

fn operation() -> impl Strategy<Value = Operation> {
    let row = (0..8u32, -150..450i64, 0..1000u64);
    prop_oneof![
        6 => prop::collection::vec(row, 1..8).prop_map(Operation::Append),
        2 => Just(Operation::Flush),
        2 => Just(Operation::Merge),
        1 => Just(Operation::Restart),
        1 => Just(Operation::PowerLoss),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_store_is_a_map(operations in prop::collection::vec(operation(), 1..60), seed: u64) {
        let fsync = FsyncPolicy::Always;
        let mut disk = SimDisk::new(seed);
        let mut store = Some(open(&disk, fsync).expect("opens").0);
        let mut expected = Rows::new();
        for operation in operations {
            let open_store = store.take().expect("open");
            let open_store = match operation {
                Operation::Append(rows) => {
                    let batch: Rows = rows.into_iter().map(|(key, at, value)| ((key, at), value)).collect();
                    open_store.append(&batch).expect("writes");
                    expected.extend(batch);
                    open_store
                }
                Operation::Flush => {
                    open_store.flush().expect("flushes");
                    open_store
                }
                Operation::Merge => {
                    open_store.merge_once().expect("merges");
                    open_store
                }
                Operation::Restart => {
                    drop(open_store);
                    open(&disk, fsync).expect("opens").0
                }
                Operation::PowerLoss => {
                    drop(open_store);
                    disk = disk.after_power_loss();
                    open(&disk, fsync).expect("opens").0
                }
            };
            prop_assert_eq!(&read_all(&open_store), &expected);
            store = Some(open_store);
        }
    }
}
