//! A store on a simulated disk, what it holds as a map that compares bits, and batches to write.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use ::model::histogram::{CounterResetHint, Histogram, Span};
use ::model::labels::Labels;
use ::model::matcher::{MatchOp, Matcher};
use ::model::sample::{HistogramSample, STALE_NAN_BITS, Sample, SeriesSamples};
use ::model::time::{TimeRange, Timestamp};
use proptest::prelude::*;
use storage::clock::ManualClock;
use storage::disk::sim::SimDisk;
use storage::store::{OpenError, Recovered, StoreOptions};
use storage::wal::sync::FsyncPolicy;
use tsdb::query::{Guard, SelectError, Source as _};
use tsdb::store::MetricStore;
use tsdb::store::codec::histograms;
use tsdb::store::read::Reader;

/// Width of a partition in the tests' milliseconds.
pub(crate) const WIDTH_MS: i64 = 100;

/// A sample by its bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bits {
    Float(u64),
    /// Its durable form, which is bit-exact.
    Histogram(Vec<u8>),
}

/// What a store holds.
pub(crate) type Rows = BTreeMap<(Labels, i64), Bits>;

pub(crate) fn options(fsync: FsyncPolicy) -> StoreOptions {
    StoreOptions {
        partition_ms: WIDTH_MS,
        fsync,
        merge_fan_in: 3,
        ..StoreOptions::default()
    }
}

pub(crate) fn open(
    disk: &SimDisk,
    fsync: FsyncPolicy,
) -> Result<(Arc<MetricStore>, Recovered), OpenError> {
    // Early, so that no partition has ended.
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    let disk = Arc::new(disk.clone());
    MetricStore::open(disk, clock, Path::new("/data"), options(fsync))
        .map(|(store, recovered)| (Arc::new(store), recovered))
}

pub(crate) fn guard() -> Guard {
    Guard {
        samples_max: usize::MAX,
        ..Guard::default()
    }
}

pub(crate) fn try_read(
    store: &Arc<MetricStore>,
    range: TimeRange,
    matchers: &[Matcher],
) -> Result<Rows, SelectError> {
    let selected = Reader::new(Arc::clone(store)).select(range, matchers, &guard())?;
    let mut rows = Rows::new();
    for series in selected.read_all()? {
        let floats = series.timestamps.iter().zip(&series.values);
        let floats = floats.map(|(at, value)| (*at, Bits::Float(value.to_bits())));
        let histograms = series.histograms.iter();
        let histograms = histograms.map(|(at, h)| (at.millis(), histogram_bits(h)));
        for (at, bits) in floats.chain(histograms) {
            let twice = rows.insert((series.labels.clone(), at), bits);
            assert!(twice.is_none(), "{} at {at} twice", series.labels);
        }
    }
    Ok(rows)
}

/// Everything the store holds.
pub(crate) fn read_all(store: &Arc<MetricStore>) -> Rows {
    let any = Matcher::new(MatchOp::Regex, "__name__", ".*").expect("valid");
    try_read(store, TimeRange::ALL, &[any]).expect("nothing is damaged")
}

pub(crate) fn histogram_bits(histogram: &Histogram) -> Bits {
    let mut bytes = Vec::new();
    histograms::encode(histogram, None, &mut bytes);
    Bits::Histogram(bytes)
}

/// Writes a batch over what is there.
pub(crate) fn apply(rows: &mut Rows, batch: &[SeriesSamples]) {
    // As the log has it: the floats of the whole batch, then its histograms.
    for series in batch {
        for sample in &series.samples {
            let key = (series.labels.clone(), sample.timestamp.millis());
            rows.insert(key, Bits::Float(sample.value.to_bits()));
        }
    }
    for series in batch {
        for sample in &series.histograms {
            let key = (series.labels.clone(), sample.timestamp.millis());
            rows.insert(key, histogram_bits(&sample.histogram));
        }
    }
}

pub(crate) fn labels(number: u64) -> Labels {
    Labels::from_pairs([
        (
            "__name__",
            if number.is_multiple_of(2) {
                "even"
            } else {
                "odd"
            },
        ),
        ("series", number.to_string().as_str()),
    ])
}

pub(crate) fn floats(number: u64, pairs: &[(i64, f64)]) -> SeriesSamples {
    SeriesSamples {
        labels: labels(number),
        samples: pairs
            .iter()
            .map(|(at, value)| Sample {
                timestamp: Timestamp(*at),
                value: *value,
            })
            .collect(),
        ..SeriesSamples::default()
    }
}

pub(crate) fn histogram(count: f64, schema: i32) -> Histogram {
    Histogram {
        counter_reset_hint: CounterResetHint::NotReset,
        schema,
        zero_threshold: 1e-128,
        count,
        sum: count * 1.25,
        positive_spans: vec![Span {
            offset: -1,
            length: 2,
        }],
        positive_buckets: vec![count - 1.0, 1.0],
        ..Histogram::default()
    }
}

/// Batch `number`: a scrape of three series that every third batch has anew, a sample that every
/// batch overwrites, a late one, a staleness marker, and a histogram.
pub(crate) fn batch(number: u64) -> Vec<SeriesSamples> {
    let at = (number as i64 % 3) * WIDTH_MS + number as i64;
    let mut batch: Vec<SeriesSamples> = (0..3)
        .map(|series| floats(series + 3 * (number / 3), &[(at, number as f64 / 10.0)]))
        .collect();
    batch.push(floats(1000, &[(5, number as f64)]));
    batch.push(floats(
        1001,
        &[(at - 50, -0.0), (at, f64::from_bits(STALE_NAN_BITS))],
    ));
    let mut native = floats(1002, &[]);
    native.histograms.push(HistogramSample {
        timestamp: Timestamp(at),
        histogram: histogram(number as f64 + 1.0, 3),
    });
    batch.push(native);
    batch
}

/// Batches that tests write at most.
pub(crate) const BATCHES_MAX: u64 = 20;

/// What the store must hold after the batches `0..count`.
pub(crate) fn state_after(count: u64) -> &'static Rows {
    static STATES: LazyLock<Vec<Rows>> = LazyLock::new(|| {
        let mut states = vec![Rows::new()];
        for number in 0..BATCHES_MAX {
            let mut rows = states[number as usize].clone();
            apply(&mut rows, &batch(number));
            states.push(rows);
        }
        states
    });
    &STATES[count as usize]
}

/// Floats of all kinds: any bits, the kinds that codecs look for, and what breaks them.
pub(crate) fn any_float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (-1000i64..1000).prop_map(|v| v as f64),
        (-100_000i64..100_000).prop_map(|v| v as f64 / 100.0),
        prop::sample::select(vec![
            0.0,
            -0.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE / 4.0,
            9_007_199_254_740_993.0,
            f64::from_bits(STALE_NAN_BITS),
            f64::from_bits(0xfff8_0000_0000_1234),
            1e300,
        ]),
    ]
}

pub(crate) fn any_histogram() -> impl Strategy<Value = Histogram> {
    let buckets = || prop::collection::vec(any_float(), 0..5);
    let spans = || prop::collection::vec((any::<i32>(), 0..9u32), 0..3);
    let counts = (any_float(), any_float(), any_float(), any_float());
    (
        counts,
        -4..9i32,
        0..4u8,
        spans(),
        buckets(),
        buckets(),
        buckets(),
    )
        .prop_map(
            |(counts, schema, hint, spans, positive_buckets, negative_buckets, custom_values)| {
                let hints = [
                    CounterResetHint::Unknown,
                    CounterResetHint::Reset,
                    CounterResetHint::NotReset,
                    CounterResetHint::Gauge,
                ];
                let spans: Vec<Span> = spans
                    .into_iter()
                    .map(|(offset, length)| Span { offset, length })
                    .collect();
                Histogram {
                    counter_reset_hint: hints[usize::from(hint)],
                    schema,
                    zero_threshold: counts.0,
                    zero_count: counts.1,
                    count: counts.2,
                    sum: counts.3,
                    positive_spans: spans.clone(),
                    positive_buckets,
                    negative_spans: spans,
                    negative_buckets,
                    custom_values,
                }
            },
        )
}
