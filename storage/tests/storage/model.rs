//! Random operations on the store and on a map, which must agree after each of them.

use ::model::matcher::Matcher;
use ::model::time::{TimeRange, Timestamp};
use proptest::prelude::*;
use storage::disk::sim::SimDisk;
use storage::store::StoreOptions;
use storage::table::Erasure;
use storage::wal::sync::FsyncPolicy;

use crate::toy::{Rows, is_erased, open_with, options, read_all};

#[derive(Clone, Debug)]
enum Operation {
    Append(Vec<(u32, i64, u64)>),
    Delete { digit: u32, from: i64, to: i64 },
    Flush,
    Merge,
    Restart,
    PowerLoss,
}

fn operation() -> impl Strategy<Value = Operation> {
    let row = (0..8u32, -150..450i64, 0..1000u64);
    prop_oneof![
        6 => prop::collection::vec(row, 1..8).prop_map(Operation::Append),
        2 => (0..8u32, -150..450i64, 0..300i64).prop_map(|(digit, from, width)| {
            Operation::Delete { digit, from, to: from + width }
        }),
        2 => Just(Operation::Flush),
        2 => Just(Operation::Merge),
        1 => Just(Operation::Restart),
        1 => Just(Operation::PowerLoss),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_store_is_a_map(operations in prop::collection::vec(operation(), 1..60), shards in 1..4u32, seed: u64) {
        let fsync = FsyncPolicy::Always;
        let mut disk = SimDisk::new(seed);
        let open = |disk: &SimDisk| {
            let options = StoreOptions { shards, ..options(fsync) };
            open_with(disk, options).expect("opens").0
        };
        let mut store = Some(open(&disk));
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
                Operation::Delete { digit, from, to } => {
                    let erasure = Erasure {
                        matchers: vec![Matcher::equal("key", digit.to_string())],
                        range: TimeRange::new(Timestamp(from), Timestamp(to)),
                    };
                    expected.retain(|row, _| !is_erased(*row, &erasure));
                    open_store.delete(erasure).expect("deletes");
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
                    open(&disk)
                }
                Operation::PowerLoss => {
                    drop(open_store);
                    disk = disk.after_power_loss();
                    open(&disk)
                }
            };
            prop_assert_eq!(&read_all(&open_store), &expected);
            store = Some(open_store);
        }
    }
}
