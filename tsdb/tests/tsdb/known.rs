//! Series that a write names with bytes that are known are stored as if their labels had been read.

use ::model::labels::Labels;
use ::model::sample::{Exemplar, HistogramSample, SeriesSamples};
use ::model::time::{TimeRange, Timestamp};
use ::model::wire::remote_write::{LabelPair, TimeSeries};
use proptest::prelude::*;
use prost::Message as _;
use prost::encoding::encode_varint;
use storage::disk::sim::SimDisk;
use storage::index::LabelIndex as _;
use storage::store::StoreOptions;
use tsdb::ingest::limits::IngestLimits;
use tsdb::{Tsdb, TsdbOptions};

use crate::api::{NOW, open, series};
use crate::support::{guard, histogram, read_all};

/// How a sender writes a series.
#[derive(Clone, Copy, Debug)]
enum Form {
    Plain,
    /// Its labels in the opposite order.
    Reversed,
    /// With a label that has no value.
    WithEmpty,
    /// Its samples before its labels.
    SamplesFirst,
    /// Its samples between its labels.
    SamplesBetween,
}

#[derive(Clone, Copy, Debug)]
enum Samples {
    Float,
    TwoFloats,
    /// One of which is too far in the future.
    RefusedFloat,
    Histogram,
    RefusedHistogram,
    FloatWithExemplar,
    None,
}

#[derive(Clone, Debug)]
enum Operation {
    Write(Vec<(u64, Form, Samples)>),
    Flush,
    /// As often as it takes for series to become idle.
    FlushOften,
}

fn operation() -> impl Strategy<Value = Operation> {
    use Form::{Plain, Reversed, SamplesBetween, SamplesFirst, WithEmpty};
    let form = prop::sample::select(vec![
        Plain,
        Plain,
        Plain,
        Plain,
        Reversed,
        WithEmpty,
        SamplesFirst,
        SamplesBetween,
    ]);
    let samples = prop::sample::select(vec![
        Samples::Float,
        Samples::Float,
        Samples::Float,
        Samples::TwoFloats,
        Samples::RefusedFloat,
        Samples::Histogram,
        Samples::RefusedHistogram,
        Samples::FloatWithExemplar,
        Samples::None,
    ]);
    prop_oneof![
        6 => prop::collection::vec((0..12u64, form, samples), 1..12).prop_map(Operation::Write),
        1 => Just(Operation::Flush),
        1 => Just(Operation::FlushOften),
    ]
}

/// Some labels are short, some take lengths of two bytes, some break a rule.
fn labels(number: u64) -> Labels {
    let length = [0, 3, 124, 125, 130, 300, 900, 1500, 17_000];
    let long = "x".repeat(length[number as usize % length.len()]);
    let number = number.to_string();
    Labels::from_pairs([
        ("__name__", "m"),
        ("instance", long.as_str()),
        ("job", if number == "11" { "" } else { "j" }),
        ("series", number.as_str()),
    ])
}

fn written(number: u64, samples: Samples, at: i64) -> SeriesSamples {
    let mut written = series(&[], &[]);
    written.labels = labels(number);
    let mut floats = |pairs| written.samples = series(&[], pairs).samples;
    let value = at as f64 + number as f64 / 100.0;
    let histogram_sample = |count| HistogramSample {
        timestamp: Timestamp(at),
        histogram: histogram(count, 3),
    };
    match samples {
        Samples::Float => floats(&[(at, value)]),
        Samples::TwoFloats => floats(&[(at, value), (at - 5, -0.0)]),
        Samples::RefusedFloat => floats(&[(at, value), (at + 3_600_000, value)]),
        Samples::Histogram => written.histograms.push(histogram_sample(5.0)),
        // A bucket with less than nothing in it.
        Samples::RefusedHistogram => written.histograms.push(histogram_sample(0.0)),
        Samples::FloatWithExemplar => {
            floats(&[(at, value)]);
            written.exemplars.push(Exemplar {
                labels: Labels::from_pairs([("trace_id", "a")]),
                value,
                timestamp: Some(Timestamp(at)),
            });
        }
        Samples::None => {}
    }
    written
}

/// The message of a series.
fn message(series: &SeriesSamples, form: Form) -> Vec<u8> {
    let mut rest = TimeSeries::from(series);
    let mut labels = std::mem::take(&mut rest.labels);
    let of = |labels: &[LabelPair]| {
        let series = TimeSeries {
            labels: labels.to_vec(),
            ..TimeSeries::default()
        };
        series.encode_to_vec()
    };
    let rest = rest.encode_to_vec();
    match form {
        Form::Plain => [of(&labels), rest].concat(),
        Form::Reversed => {
            labels.reverse();
            [of(&labels), rest].concat()
        }
        Form::WithEmpty => {
            labels.push(LabelPair {
                name: "zone".to_owned(),
                value: String::new(),
            });
            [of(&labels), rest].concat()
        }
        Form::SamplesFirst => [rest, of(&labels)].concat(),
        Form::SamplesBetween => {
            let (first, last) = labels.split_at(labels.len() - 1);
            [of(first), rest, of(last)].concat()
        }
    }
}

fn body(series: &[(SeriesSamples, Form)]) -> Vec<u8> {
    let mut request = Vec::new();
    for (series, form) in series {
        let message = message(series, *form);
        request.push(0x0a);
        encode_varint(message.len() as u64, &mut request);
        request.extend(message);
    }
    let mut encoder = snap::raw::Encoder::new();
    encoder.compress_vec(&request).expect("compresses")
}

fn exemplars(tsdb: &Tsdb) -> Vec<String> {
    let view = tsdb.store().view();
    let mut found = Vec::new();
    for memory in &view.memtables {
        let table = memory.table.read();
        for number in 0..table.index(&guard()).expect("nobody interrupts").len() {
            let exemplars = table.exemplars(number, TimeRange::ALL);
            let labels = table
                .index(&guard())
                .expect("nobody interrupts")
                .labels(number);
            found.extend(exemplars.iter().map(|one| format!("{labels:?} {one:?}")));
        }
    }
    found.sort();
    found
}

fn options(shards: u32) -> TsdbOptions {
    TsdbOptions {
        store: StoreOptions {
            shards,
            ..StoreOptions::default()
        },
        ..TsdbOptions::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn known_series_are_stored_as_new_ones_are(
        operations in prop::collection::vec(operation(), 1..20),
        shards in 1..4u32,
    ) {
        // One is written to as senders do, the other is given label sets, which it looks up by themselves.
        let disks = [SimDisk::new(1), SimDisk::new(2)];
        let [sent, given] = disks.each_ref().map(|disk| open(disk, options(shards)));
        for (step, operation) in (0..).zip(operations) {
            let at = NOW + step * 10;
            match operation {
                Operation::Write(all) => {
                    let all: Vec<_> = all
                        .into_iter()
                        .map(|(number, form, samples)| (written(number, samples, at), form))
                        .collect();
                    let one = sent.write(&body(&all)).expect("stores");
                    let sets: Vec<_> = all.into_iter().map(|(series, _)| series).collect();
                    let other = given.append(&sets).expect("stores");
                    prop_assert_eq!(one.samples, other.samples);
                    prop_assert_eq!(one.refused.count, other.refused.count);
                    prop_assert_eq!(one.refused.to_string(), other.refused.to_string());
                }
                Operation::Flush => {
                    for tsdb in [&sent, &given] {
                        tsdb.store().flush().expect("flushes");
                    }
                }
                Operation::FlushOften => {
                    for (tsdb, round) in [&sent, &given].into_iter().flat_map(|t| (0..6).map(move |r| (t, r))) {
                        tsdb.append(&[written(0, Samples::Float, at + round)]).expect("stores");
                        tsdb.store().flush().expect("flushes");
                    }
                }
            }
            prop_assert_eq!(sent.census().active(), given.census().active());
        }
        let rows = read_all(given.store());
        prop_assert_eq!(&read_all(sent.store()), &rows);
        prop_assert_eq!(exemplars(&sent), exemplars(&given));
        drop((sent, given));
        let replayed = open(&disks[0], options(shards));
        prop_assert_eq!(&read_all(replayed.store()), &rows);
    }
}

#[test]
fn a_series_that_was_taken_under_other_limits_is_refused() {
    let disk = SimDisk::new(1);
    let write = |tsdb: &Tsdb, value: &str, at: i64| {
        let up = series(&[("__name__", "up"), ("job", value)], &[(at, 1.0)]);
        tsdb.write(&body(&[(up, Form::Plain)])).expect("stores")
    };
    let tsdb = open(&disk, options(1));
    for at in [NOW, NOW + 1] {
        assert_eq!(write(&tsdb, "a-long-value", at).samples, 1);
        assert_eq!(write(&tsdb, "short", at).samples, 1);
    }
    drop(tsdb);
    let options = TsdbOptions {
        ingest: IngestLimits {
            label_value_bytes_max: 10,
            ..IngestLimits::default()
        },
        ..options(1)
    };
    let tsdb = open(&disk, options);
    let refused = write(&tsdb, "a-long-value", NOW + 2).refused.to_string();
    assert!(
        refused.contains("label job of metric up has 12 bytes"),
        "{refused}"
    );
    assert_eq!(write(&tsdb, "short", NOW + 2).samples, 1);
}
