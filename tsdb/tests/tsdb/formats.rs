//! Parts that earlier versions wrote are read for ever.
//!
//! `fixtures/metrics-1.part` was written by the first version of the format. With
//! `TAFFRAIL_WRITE_FIXTURES` set the test writes what today's version makes of the same samples to
//! that path first: do that for a fixture of a new name, never for one that a release has read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::model::histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram, Span};
use ::model::sample::{HistogramSample, SeriesSamples};
use ::model::time::{TimeRange, Timestamp};
use roaring::RoaringBitmap;
use storage::clock::ManualClock;
use storage::disk::Disk as _;
use storage::disk::real::RealDisk;
use storage::disk::sim::SimDisk;
use storage::index::LabelIndex as _;
use storage::part::reader::PartFile;
use storage::store::StoreOptions;
use storage::wal::sync::FsyncPolicy;
use tsdb::ingest::batch::Batch;
use tsdb::store::MetricStore;
use tsdb::store::part_reader::MetricsPart;

use crate::support::{Bits, Rows, apply, batch, floats, histogram_bits, options};

/// Every codec of floats, every layout of timestamps, both kinds of buckets.
fn samples() -> Vec<SeriesSamples> {
    let kinds: [fn(i64) -> f64; 5] = [
        |_| 0.1,
        |i| i as f64 * 15.0,
        |i| (i * 7 % 100) as f64 / 100.0,
        |i| f64::from_bits((i as u64 % 5) << 40 | 0x4100_0000_0000_0000),
        |i| f64::from_bits((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    ];
    let mut all: Vec<SeriesSamples> = (0..)
        .zip(kinds)
        .map(|(number, kind)| {
            let jitter = |i: i64| if number == 4 { i % 3 } else { 0 };
            let pairs: Vec<_> = (0..200).map(|i| (i * 1000 + jitter(i), kind(i))).collect();
            floats(2000 + number, &pairs)
        })
        .collect();
    let mut native = floats(3000, &[]);
    for count in 1..5i64 {
        native.histograms.push(HistogramSample {
            timestamp: Timestamp(count * 1000),
            histogram: Histogram {
                schema: CUSTOM_BUCKETS_SCHEMA,
                count: count as f64 * 1.5,
                sum: -0.0,
                positive_spans: vec![Span {
                    offset: 0,
                    length: 2,
                }],
                positive_buckets: vec![count as f64, count as f64 / 2.0],
                custom_values: vec![0.5, 10.0],
                ..Histogram::default()
            },
        });
    }
    all.push(native);
    for number in 0..6 {
        all.extend(batch(number));
    }
    all
}

/// Has today's version write a part.
fn write_fixture(path: &Path) {
    let disk = SimDisk::new(1);
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    let options = StoreOptions {
        partition_ms: 1 << 40,
        ..options(FsyncPolicy::Always)
    };
    let shared = Arc::new(disk.clone());
    let (store, _) = MetricStore::open(shared, clock, Path::new("/data"), options).expect("opens");
    // Nothing before the epoch, which is another partition.
    let mut samples = samples();
    for series in &mut samples {
        series
            .samples
            .retain(|sample| sample.timestamp.millis() >= 0);
    }
    store.append(&Batch::of(&samples)).expect("writes");
    store.flush().expect("flushes");
    let part = disk
        .files()
        .into_iter()
        .find(|(path, _)| path.extension().is_some_and(|e| e == "part"));
    let (part, _) = part.expect("there is a part");
    std::fs::write(path, disk.read(&part).expect("reads")).expect("writes");
}

fn read_part(path: &Path) -> Rows {
    let file = PartFile::open(&RealDisk, path).expect("a part");
    let part = MetricsPart::open(file).expect("a part of metrics");
    let mut rows = Rows::new();
    let mut scan = part.scan();
    let every: RoaringBitmap = (0..part.index().len()).collect();
    let mut labels = Vec::new();
    part.index()
        .labels_of(&every, |number, of| labels.push((number, of)))
        .expect("labels");
    for (number, labels) in labels {
        let columns = scan.read(number, TimeRange::ALL).expect("samples");
        let floats = columns.floats.timestamps.iter().zip(&columns.floats.values);
        for (at, value) in floats {
            rows.insert((labels.clone(), *at), Bits::Float(value.to_bits()));
        }
        for sample in &columns.histograms {
            let at = sample.timestamp.millis();
            rows.insert((labels.clone(), at), histogram_bits(&sample.histogram));
        }
    }
    rows
}

#[test]
fn a_part_of_version_1_is_read_bit_for_bit() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tsdb/fixtures/metrics-1.part");
    if std::env::var_os("TAFFRAIL_WRITE_FIXTURES").is_some() {
        write_fixture(&path);
    }
    let mut expected = Rows::new();
    apply(&mut expected, &samples());
    expected.retain(|(_, at), _| *at >= 0);
    assert_eq!(read_part(&path), expected);
}
