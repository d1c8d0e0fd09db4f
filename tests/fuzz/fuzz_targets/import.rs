//! What is imported: any bytes as JSON lines, OpenMetrics or Prometheus' text, and as the index and
//! the chunks of a block of Prometheus. The first byte says which.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use model::wire::exposition::Format;
use storage::disk::Disk as _;
use storage::disk::sim::SimDisk;
use tsdb::transfer::json_lines::reader::JsonLines;
use tsdb::transfer::open_metrics::reader::OpenMetrics;
use tsdb::transfer::prometheus::block::Block;
use tsdb::transfer::{Position, Source};

const META: &[u8] = br#"{"ulid":"01M7ZA8JMMD4CV0F2DZPCQ4795","minTime":0,"maxTime":1,"version":1,"stats":{}}"#;

fn drain(source: Option<impl Source>) {
    let Some(mut source) = source else { return };
    // What is wrong is told; how often is bounded, as a run that skips errors is by its input.
    for _ in 0..1000 {
        if let Ok(None) = source.next() {
            return;
        }
    }
}

fn block(bytes: &[u8]) {
    let [high, low, rest @ ..] = bytes else { return };
    let length = usize::from(*high) << 8 | usize::from(*low);
    let Some((index, chunks)) = rest.split_at_checked(length) else {
        return;
    };
    let disk = SimDisk::new(0);
    let dir = Path::new("/block");
    disk.create_dir_all(&dir.join("chunks")).expect("a folder");
    for (name, bytes) in [("meta.json", META), ("index", index), ("chunks/000001", chunks)] {
        let file = disk.create(&dir.join(name)).expect("a file");
        file.append(bytes).expect("room");
    }
    drain(Block::open(&disk, dir, Position::default()).ok());
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    let start = Position::default();
    match kind % 4 {
        0 => drain(JsonLines::new(bytes, start).ok()),
        1 => drain(OpenMetrics::new(bytes, Format::OpenMetrics, start).ok()),
        2 => drain(OpenMetrics::new(bytes, Format::Text, start).ok()),
        _ => block(bytes),
    }
});
