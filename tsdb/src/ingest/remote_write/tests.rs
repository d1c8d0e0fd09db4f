//! The reader against the generated decoder: the same batch from the same bytes, or an error from both.

use model::labels::{Labels, METRIC_NAME};
use model::time::{TimeRange, Timestamp};
use model::wire::remote_write::{
    BucketSpan, Count, LabelPair, MetricMetadata, WireExemplar, WireHistogram, WireSample,
    ZeroCount,
};
use proptest::prelude::*;

use super::*;

/// What the generated decoder makes of a message; `None` where a series would be refused.
fn oracle(message: &[u8]) -> Option<(Vec<SeriesSamples>, Vec<Metadata>)> {
    let request = WriteRequest::decode(message).ok()?;
    let series = request.timeseries.into_iter().map(SeriesSamples::from);
    let metadata = request.metadata.into_iter().map(Metadata::from).collect();
    Some((series.collect(), metadata))
}

fn limits() -> IngestLimits {
    IngestLimits {
        histogram_buckets_max: usize::MAX,
        ..IngestLimits::default()
    }
}

fn bits(series: &[SeriesSamples]) -> Vec<String> {
    // Floats print by their bits: NaN is not itself, and both zeros are equal.
    let float = |value: f64| format!("{:x}", value.to_bits());
    let floats = |values: &[f64]| values.iter().map(|v| float(*v)).collect::<Vec<_>>();
    let one = |series: &SeriesSamples| {
        let samples: Vec<_> = series
            .samples
            .iter()
            .map(|s| (s.timestamp.0, float(s.value)))
            .collect();
        let histograms: Vec<_> = series
            .histograms
            .iter()
            .map(|s| {
                let h = &s.histogram;
                (
                    (s.timestamp.0, h.schema, h.counter_reset_hint),
                    floats(&[h.count, h.sum, h.zero_count, h.zero_threshold]),
                    (&h.positive_spans, &h.negative_spans),
                    floats(&h.positive_buckets),
                    floats(&h.negative_buckets),
                    floats(&h.custom_values),
                )
            })
            .map(|parts| format!("{parts:?}"))
            .collect();
        let exemplars: Vec<_> = series
            .exemplars
            .iter()
            .map(|e| (e.timestamp, float(e.value), e.labels.to_string()))
            .collect();
        format!(
            "{:?} {samples:?} {histograms:?} {exemplars:?}",
            series.labels
        )
    };
    series.iter().map(one).collect()
}

/// Series that no rule stands against: the reader refuses others, which the oracle does not know of.
fn check(message: &[u8]) {
    let read = decode_unpacked(Version::One, message, &limits(), TimeRange::ALL);
    let expected = oracle(message);
    let (batch, refused) = match read {
        Ok(read) => read,
        Err(error) => {
            assert!(expected.is_none(), "{error}: {expected:?}");
            return;
        }
    };
    let (series, metadata) = expected.expect("what is read is a message");
    assert_eq!(batch.metadata(), metadata);
    if refused.is_empty() {
        assert_eq!(bits(&batch.to_series()), bits(&series));
    } else {
        assert!(batch.len() + refused.count as usize >= series.len());
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]{0,3}",
        1 => "[a-zü日]{0,200}",
    ]
}

fn any_label() -> impl Strategy<Value = LabelPair> {
    (any_text(), any_text()).prop_map(|(name, value)| LabelPair { name, value })
}

fn any_double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        Just(0.0),
        Just(-0.0),
        Just(1.0),
    ]
}

fn any_sample() -> impl Strategy<Value = WireSample> {
    (proptest::option::of(any_double()), any::<i64>())
        .prop_map(|(value, timestamp)| WireSample { value, timestamp })
}

fn any_histogram() -> impl Strategy<Value = WireHistogram> {
    let doubles = || prop::collection::vec(any_double(), 0..4);
    let deltas = || prop::collection::vec(any::<i64>(), 0..4);
    let spans = || {
        let span = (any::<i32>(), any::<u32>());
        prop::collection::vec(
            span.prop_map(|(offset, length)| BucketSpan { offset, length }),
            0..3,
        )
    };
    let counts = prop_oneof![
        any::<u64>().prop_map(|n| (Some(Count::Int(n)), Some(ZeroCount::Int(n / 2)))),
        any_double().prop_map(|n| (Some(Count::Float(n)), Some(ZeroCount::Float(n)))),
        Just((None, None)),
    ];
    let scalars = (
        any_double(),
        any_double(),
        any::<i32>(),
        any::<i32>(),
        any::<i64>(),
    );
    (
        counts,
        scalars,
        (spans(), spans()),
        (deltas(), deltas()),
        (doubles(), doubles()),
        doubles(),
    )
        .prop_map(
            |(counts, scalars, spans, deltas, floats, custom_values)| WireHistogram {
                count: counts.0,
                zero_count: counts.1,
                sum: scalars.0,
                zero_threshold: scalars.1,
                schema: scalars.2,
                reset_hint: scalars.3 % 5,
                timestamp: scalars.4,
                negative_spans: spans.0,
                positive_spans: spans.1,
                negative_deltas: deltas.0,
                positive_deltas: deltas.1,
                negative_counts: floats.0,
                positive_counts: floats.1,
                custom_values,
            },
        )
}

fn any_request() -> impl Strategy<Value = WriteRequest> {
    let exemplar = (
        prop::collection::vec(any_label(), 0..3),
        any_double(),
        any::<i64>(),
    );
    let exemplar = exemplar.prop_map(|(labels, value, timestamp)| WireExemplar {
        labels,
        value,
        timestamp,
    });
    let series = (
        prop::collection::vec(any_label(), 0..5),
        prop::collection::vec(any_sample(), 0..4),
        prop::collection::vec(exemplar, 0..2),
        prop::collection::vec(any_histogram(), 0..2),
        any::<bool>(),
    );
    let series = series.prop_map(|(mut labels, samples, exemplars, histograms, sorted)| {
        labels.push(LabelPair {
            name: METRIC_NAME.to_owned(),
            value: "m".to_owned(),
        });
        if sorted {
            labels.sort_by(|a, b| a.name.cmp(&b.name));
        }
        TimeSeries {
            labels,
            samples,
            exemplars,
            histograms,
        }
    });
    let metadata = (any::<i32>(), any_text(), any_text(), any_text());
    let metadata = metadata.prop_map(|(number, metric_family_name, help, unit)| MetricMetadata {
        metric_type: number % 9,
        metric_family_name,
        help,
        unit,
    });
    (
        prop::collection::vec(series, 0..4),
        prop::collection::vec(metadata, 0..3),
    )
        .prop_map(|(timeseries, metadata)| WriteRequest {
            timeseries,
            metadata,
        })
}

/// The fields of a message, each as its bytes.
fn fields(message: &[u8]) -> Vec<(u32, Value<'_>, &[u8])> {
    let mut wire = Wire::new(message);
    let mut fields = Vec::new();
    loop {
        let before = wire.as_bytes();
        let Some((number, value)) = wire.field().expect("own encoding") else {
            return fields;
        };
        let length = before.len() - wire.as_bytes().len();
        fields.push((number, value, &before[..length]));
    }
}

/// The same message as another encoder may write it: fields in another order, unknown ones among
/// them, some twice, packed numbers one by one. `depth` counts down through what is nested.
fn rewritten(message: &[u8], seed: u64, depth: u32) -> Vec<u8> {
    let mut seed = seed;
    let mut random = |of: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % of
    };
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for (number, value, bytes) in fields(message) {
        let nested = matches!((depth, number), (2, 1 | 3) | (1, 1..=4));
        if let (true, Value::Bytes(inner)) = (nested, value) {
            // A family holds no messages.
            let deeper = if number == 3 { 0 } else { depth - 1 };
            let inner = rewritten(inner.as_bytes(), random(1 << 31), deeper);
            let mut part = Vec::new();
            prost::encoding::encode_key(
                number,
                prost::encoding::WireType::LengthDelimited,
                &mut part,
            );
            prost::encoding::encode_varint(inner.len() as u64, &mut part);
            part.extend(inner);
            parts.push(part);
        } else {
            parts.push(bytes.to_vec());
        }
        if random(8) == 0 {
            let again = parts[parts.len() - 1].clone();
            parts.push(again);
        }
        if random(4) == 0 {
            let unknown: &[&[u8]] = &[
                b"\xa0\x06\x01",
                b"\xa2\x06\x02ab",
                b"\xa5\x06abcd",
                b"\xa1\x06abcdefgh",
            ];
            parts.push(unknown[random(4) as usize].to_vec());
        }
    }
    for position in (1..parts.len()).rev() {
        if random(3) == 0 {
            parts.swap(position, random(position as u64 + 1) as usize);
        }
    }
    parts.concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn requests_are_read_as_the_generated_decoder_reads_them(request in any_request(), seed: u64) {
        let message = request.encode_to_vec();
        check(&message);
        check(&rewritten(&message, seed, 2));
    }

    #[test]
    fn damaged_requests_are_read_alike_or_not_at_all(
        request in any_request(),
        seed: u64,
        at: prop::sample::Index,
        byte: u8,
        cut: prop::sample::Index,
    ) {
        let mut message = rewritten(&request.encode_to_vec(), seed, 2);
        if message.is_empty() {
            return Ok(());
        }
        let at = at.index(message.len());
        message[at] = byte;
        check_unless_groups(&message);
        message.truncate(cut.index(message.len()));
        check_unless_groups(&message);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        check_unless_groups(&bytes);
        let none_known = ActiveRegistries::default();
        let mut room = Room::default();
        let _ = decode(Version::One, &bytes, &limits(), TimeRange::ALL, &none_known, &mut room);
    }

    #[test]
    fn a_short_varint_is_a_varint(value: u64, tail: Vec<u8>) {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(value, &mut bytes);
        let expected = (bytes.len() < 10).then_some(value);
        prop_assert_eq!(short_varint(&bytes), expected);
        prop_assert_eq!(Wire::new(&bytes).varint(), Ok(value));
        bytes.extend(tail);
        let _ = short_varint(&bytes);
    }
}

/// Groups, and fields of another wire type than their message says, are where the two may differ:
/// this reader refuses what it does not know, always.
fn check_unless_groups(message: &[u8]) {
    if decode_unpacked(Version::One, message, &limits(), TimeRange::ALL).is_ok() {
        check(message);
    }
}

#[test]
fn a_request_that_grows_when_decoded_is_given_up() {
    let limits = IngestLimits {
        decoded_bytes_max: 10_000,
        ..IngestLimits::default()
    };
    let empty = |series: TimeSeries| WriteRequest {
        timeseries: vec![series],
        metadata: Vec::new(),
    };
    for (what, request) in [
        (
            "labels",
            empty(TimeSeries {
                labels: vec![LabelPair::default(); 400],
                ..TimeSeries::default()
            }),
        ),
        (
            "histograms",
            empty(TimeSeries {
                histograms: vec![WireHistogram::default(); 400],
                ..TimeSeries::default()
            }),
        ),
        (
            "exemplars",
            empty(TimeSeries {
                exemplars: vec![WireExemplar::default(); 400],
                ..TimeSeries::default()
            }),
        ),
        (
            "metadata",
            WriteRequest {
                metadata: vec![MetricMetadata::default(); 400],
                timeseries: Vec::new(),
            },
        ),
        (
            "series",
            WriteRequest {
                timeseries: vec![TimeSeries::default(); 400],
                metadata: Vec::new(),
            },
        ),
    ] {
        let message = request.encode_to_vec();
        assert!(message.len() < 2_000, "{what}");
        let read = decode_unpacked(Version::One, &message, &limits, TimeRange::ALL);
        assert!(
            matches!(read, Err(DecodeError::TooHeavy { limit: 10_000, .. })),
            "{what}: {read:?}"
        );
    }
    let samples = "\x12\x00".repeat(1000);
    let mut message = vec![0x0a];
    prost::encoding::encode_varint(samples.len() as u64, &mut message);
    message.extend(samples.as_bytes());
    let read = decode_unpacked(Version::One, &message, &limits, TimeRange::ALL);
    assert!(
        matches!(read, Err(DecodeError::TooHeavy { .. })),
        "{read:?}"
    );
}

#[test]
fn samples_before_their_labels_are_samples() {
    let series = TimeSeries {
        samples: vec![WireSample {
            value: Some(-0.0),
            timestamp: 5,
        }],
        ..TimeSeries::default()
    };
    let mut message = series.encode_to_vec();
    let labels = TimeSeries {
        labels: vec![LabelPair {
            name: METRIC_NAME.to_owned(),
            value: "m".to_owned(),
        }],
        ..TimeSeries::default()
    };
    message.extend(labels.encode_to_vec());
    let mut request = vec![0x0a, message.len() as u8];
    request.extend(message);
    let (batch, refused) =
        decode_unpacked(Version::One, &request, &limits(), TimeRange::ALL).expect("a request");
    assert!(refused.is_empty());
    let series = batch.iter().next().expect("a series");
    assert_eq!(
        batch.labels_of(&series),
        Some(Labels::from_pairs([(METRIC_NAME, "m")]))
    );
    assert_eq!(series.floats[0].timestamp, Timestamp(5));
    assert_eq!(series.floats[0].value.to_bits(), (-0.0f64).to_bits());
}
