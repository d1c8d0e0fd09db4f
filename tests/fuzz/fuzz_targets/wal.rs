//! A segment of the log: any bytes are replayed into the memtables of samples and of lines.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use logs::store::LogMemtable;
use storage::disk::Disk as _;
use storage::disk::sim::SimDisk;
use storage::table::Memtable;
use storage::wal::{SegmentId, reader};
use tsdb::store::memtable::MetricsMemtable;

fn replay<M: Memtable>(bytes: &[u8]) {
    let disk = SimDisk::new(0);
    let (dir, segment) = (Path::new("/wal"), SegmentId(1));
    disk.create_dir_all(dir).expect("a folder");
    let file = disk.create(&dir.join(segment.file_name())).expect("a file");
    file.append(bytes).expect("room");
    let mut memtable = M::default();
    let replayed = reader::replay(&disk, dir, segment, |_, record| {
        let _ = memtable.apply(record);
    });
    replayed.expect("the disk is sound");
    let _ = (memtable.rows(), memtable.bytes());
}

fuzz_target!(|bytes: &[u8]| {
    replay::<MetricsMemtable>(bytes);
    replay::<LogMemtable>(bytes);
});
