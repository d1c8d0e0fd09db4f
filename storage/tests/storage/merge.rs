//! Merges give way, unless somebody waits for them; what a crash leaves of one is swept.

use std::path::Path;
use std::sync::Arc;

use ::model::time::Timestamp;
use storage::clock::{Clock as _, ManualClock};
use storage::disk::Disk as _;
use storage::disk::sim::SimDisk;
use storage::store::StoreOptions;
use storage::table::Density;
use storage::wal::sync::FsyncPolicy;

use crate::toy::{Rows, WIDTH_MS, open, open_at, options, read_all};

/// More rows than the pace lets pass unasked.
fn many(value: u64) -> Rows {
    let rows = (0..30_000).map(|key| ((key, 2 * WIDTH_MS + 1), value));
    rows.collect()
}

#[test]
fn a_merge_keeps_to_the_pace_and_gives_way_to_queries_unless_somebody_waits() {
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    let options = StoreOptions {
        merge_bytes_per_second: Some(100_000),
        ..options(FsyncPolicy::Interval(100))
    };
    let disk = SimDisk::new(1);
    let (store, _) = open_at(&disk, options, Arc::clone(&clock)).expect("opens");
    let fill = || {
        for value in 0..3 {
            store.append(&many(value)).expect("writes");
            store.flush().expect("flushes");
        }
        clock.set(Timestamp(0));
    };
    fill();
    assert_eq!(clock.now(), Timestamp(0));
    assert!(store.merge_once().expect("merges"));
    let paced = clock.now().millis();
    assert!(paced >= 500, "{paced} ms");

    fill();
    let query = store.reading();
    assert!(store.merge_once().expect("merges"));
    let given_way = clock.now().millis();
    assert!(
        given_way > paced,
        "{given_way} ms beside a query, {paced} ms without"
    );
    drop(query);

    fill();
    let _query = store.reading();
    store.merge_all().expect("merges");
    assert_eq!(clock.now(), Timestamp(0), "somebody waits");
    assert_eq!(store.view().parts.len(), 1);
    assert_eq!(read_all(&store), many(2));
}

#[test]
fn merging_all_leaves_one_settled_part_a_partition() {
    let (store, _) = open(&SimDisk::new(1), FsyncPolicy::Always).expect("opens");
    let row = |partition: i64, value| Rows::from([((1, partition * WIDTH_MS), value)]);
    for (partition, value) in [(0, 1), (0, 2), (1, 3), (2, 4), (2, 5), (2, 6)] {
        store.append(&row(partition, value)).expect("writes");
        if value != 6 {
            store.flush().expect("flushes");
        }
    }
    store.merge_all().expect("merges");
    let view = store.view();
    let parts: Vec<_> = view
        .parts
        .iter()
        .map(|part| (part.record.partition.0, part.record.density))
        .collect();
    let settled = |partition| (partition, Density::Settled);
    assert_eq!(parts, [settled(0), settled(1), settled(2)]);
    let expected = [row(0, 2), row(1, 3), row(2, 6)];
    assert_eq!(read_all(&store), expected.into_iter().flatten().collect());
    let merges = || {
        store
            .counters()
            .merges
            .load(std::sync::atomic::Ordering::Relaxed)
    };
    let before = merges();
    store.merge_all().expect("merges");
    assert_eq!(merges(), before, "what is settled is left alone");
}

#[test]
fn what_a_crash_leaves_of_a_merge_is_swept() {
    let disk = SimDisk::new(1);
    let (store, _) = open(&disk, FsyncPolicy::Always).expect("opens");
    store.append(&Rows::from([((1, 1), 1)])).expect("writes");
    store.flush().expect("flushes");
    drop(store);
    let parts = Path::new("/data/parts");
    let half_done = parts.join("00000000000000ff.part");
    disk.create(&half_done)
        .expect("creates")
        .append(b"half")
        .expect("writes");
    let (store, _) = open(&disk, FsyncPolicy::Always).expect("opens");
    assert_eq!(disk.list(parts).expect("lists").len(), 1);
    assert_eq!(read_all(&store), Rows::from([((1, 1), 1)]));
}
