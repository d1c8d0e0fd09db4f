//! Parts that earlier versions wrote are read for ever.
//!
//! `fixtures/metrics-1.part` was written by the first version of the format; `metrics-2-hot.part` and
//! `metrics-2-settled.part` by the one whose directory is written by column. With
//! `TAFFRAIL_WRITE_FIXTURES` set the test writes the fixtures that are missing: so a new layout gets
//! fixtures of a new name, and none that was read before is ever written again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::model::histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram, Span};
use ::model::labels::Labels;
use ::model::sample::{Exemplar, HistogramSample, SeriesSamples, stale_nan};
use ::model::time::{TimeRange, Timestamp};
use roaring::RoaringBitmap;
use storage::disk::real::RealDisk;
use storage::index::LabelIndex as _;
use storage::part::reader::PartFile;
use storage::part::writer::PartWriter;
use storage::table::{Density, Memtable as _, MergeInput, MergePlan, Shard, Table as _};
use tsdb::ingest::batch::Batch;
use tsdb::store::Metrics;
use tsdb::store::memtable::MetricsMemtable;
use tsdb::store::part_reader::MetricsPart;

use crate::support::{Bits, Rows, apply, batch, floats, histogram_bits};

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

/// As [`samples`], and enough of each kind for the codecs of long blocks.
fn more_samples() -> Vec<SeriesSamples> {
    let mixed = |i: i64| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let small = |i: i64| i64::from(mixed(i).leading_zeros()).pow(2);
    let stale = |i: i64, value: f64| if i == 700 { stale_nan() } else { value };
    let mut all = samples();
    let mut push = |number: u64, value: &dyn Fn(i64) -> f64| {
        let late = number as i64 % 4 * 100;
        let pairs: Vec<_> = (late..1200)
            .map(|i| (i * 1000 + i * i % 3, value(i)))
            .collect();
        all.push(floats(4000 + number, &pairs));
    };
    push(0, &|i| stale(i, small(i) as f64));
    push(1, &|i| (mixed(i) % 1000) as f64 / 100.0);
    push(2, &|i| stale(i, (mixed(i) % 64 * 4096) as f64));
    push(3, &|i| (1..i).map(|i| (small(i) as f64).sqrt() / 7.0).sum());
    push(4, &|i| (i * i) as f64 * 3.0);
    push(5, &|i| f64::from(1u32 << (i % 30)) * 0.1);
    push(6, &|i| (mixed(i) as f64).powi(3) * 1e-30);
    if let Some(last) = all.last_mut() {
        last.exemplars = exemplars();
    }
    all
}

fn exemplars() -> Vec<Exemplar> {
    let exemplar = |at: i64| Exemplar {
        labels: Labels::from_pairs([("trace_id", format!("{at:x}"))]),
        value: at as f64 / 3.0,
        timestamp: Some(Timestamp(at)),
    };
    (300_000..300_010).map(exemplar).collect()
}

/// Has today's version write a part of each density.
fn write_fixtures(hot: &Path, settled: &Path) {
    let mut memtable = MetricsMemtable::default();
    let mut record = Vec::new();
    let batch = Batch::of(&kept(more_samples()));
    memtable.encode(&batch, Shard::WHOLE, &mut record);
    memtable.apply(&record).expect("own record");
    let write = |path: &Path, rows: &dyn Fn(&mut PartWriter)| {
        let mut writer = PartWriter::create(&RealDisk, path).expect("a file");
        rows(&mut writer);
        writer.finish().expect("writes");
    };
    write(hot, &|writer| {
        Metrics::flush(&[&memtable], TimeRange::ALL, writer).expect("flushes");
    });
    let file = PartFile::open(&RealDisk, hot).expect("a part");
    let plan = MergePlan {
        inputs: vec![MergeInput {
            part: Arc::new(MetricsPart::open(file).expect("a part of metrics")),
            erasures: Arc::default(),
        }],
        density: Density::Settled,
    };
    write(settled, &|writer| {
        Metrics::merge(&plan, writer).expect("merges");
    });
}

/// Without what is before the epoch, which is another partition.
fn kept(mut samples: Vec<SeriesSamples>) -> Vec<SeriesSamples> {
    for series in &mut samples {
        series
            .samples
            .retain(|sample| sample.timestamp.millis() >= 0);
    }
    samples
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

fn fixture(name: &str) -> PathBuf {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tsdb/fixtures");
    fixtures.join(name)
}

#[test]
fn a_part_of_version_1_is_read_bit_for_bit() {
    let mut expected = Rows::new();
    apply(&mut expected, &kept(samples()));
    assert_eq!(read_part(&fixture("metrics-1.part")), expected);
}

#[test]
fn parts_of_version_2_are_read_bit_for_bit() {
    let (hot, settled) = (
        fixture("metrics-2-hot.part"),
        fixture("metrics-2-settled.part"),
    );
    if std::env::var_os("TAFFRAIL_WRITE_FIXTURES").is_some() && !hot.exists() {
        write_fixtures(&hot, &settled);
    }
    let mut expected = Rows::new();
    apply(&mut expected, &kept(more_samples()));
    for path in [hot, settled] {
        assert_eq!(read_part(&path), expected);
        let file = PartFile::open(&RealDisk, &path).expect("a part");
        let part = MetricsPart::open(file).expect("a part of metrics");
        let mut scan = part.scan();
        let found: Vec<Exemplar> = (0..part.index().len())
            .flat_map(|number| scan.exemplars(number, TimeRange::ALL).expect("read"))
            .collect();
        assert_eq!(found, exemplars());
    }
}
