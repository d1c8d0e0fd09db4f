//! A part of samples: any bytes are opened, and where they open every series is read.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use model::time::TimeRange;
use storage::disk::Disk as _;
use storage::disk::sim::SimDisk;
use storage::index::LabelIndex as _;
use storage::part::reader::PartFile;
use storage::table::Table as _;
use tsdb::store::Metrics;

/// Series that are read of a part that claims to have very many.
const SERIES_MAX: u32 = 200;

fuzz_target!(|bytes: &[u8]| {
    let disk = SimDisk::new(0);
    let path = Path::new("/0.part");
    let file = disk.create(path).expect("a file");
    file.append(bytes).expect("room");
    let Ok(part) = PartFile::open(&disk, path).and_then(Metrics::open) else {
        return;
    };
    let mut scan = part.scan();
    for series in 0..part.index().len().min(SERIES_MAX) {
        let _ = scan.chunks(series);
        let _ = scan.read(series, TimeRange::ALL);
    }
});
