use model::histogram::{CounterResetHint, Histogram, Span};
use model::labels::Labels;
use model::sample::{HistogramSample, Sample, SeriesSamples};
use model::time::Timestamp;
use proptest::prelude::*;

use super::reader::{JsonLines, parse_line};
use super::writer::{LINE_FLOATS, LINE_HISTOGRAMS, write_series};
use crate::transfer::{Position, Source};

fn write(series: &SeriesSamples) -> String {
    let mut out = String::new();
    let timestamps: Vec<i64> = series.samples.iter().map(|s| s.timestamp.0).collect();
    let values: Vec<f64> = series.samples.iter().map(|s| s.value).collect();
    let histograms = series
        .histograms
        .iter()
        .map(|h| (h.timestamp.0, &h.histogram));
    write_series(&mut out, &series.labels, &timestamps, &values, histograms);
    out
}

fn read(text: &str) -> SeriesSamples {
    let mut source = JsonLines::new(text.as_bytes(), Position::default()).expect("a start");
    let mut all = SeriesSamples::default();
    while let Some(piece) = source.next().expect("own text") {
        for series in piece.series {
            all.labels = series.labels;
            all.samples.extend(series.samples);
            all.histograms.extend(series.histograms);
        }
    }
    all
}

fn assert_same(a: &SeriesSamples, b: &SeriesSamples) {
    let floats = |series: &SeriesSamples| -> Vec<(i64, u64)> {
        let samples = series.samples.iter();
        samples
            .map(|s| (s.timestamp.0, s.value.to_bits()))
            .collect()
    };
    assert_eq!(a.labels, b.labels);
    assert_eq!(floats(a), floats(b));
    assert_eq!(a.histograms.len(), b.histograms.len());
    for (a, b) in a.histograms.iter().zip(&b.histograms) {
        assert_eq!(a.timestamp, b.timestamp);
        assert!(a.histogram.same_bits(&b.histogram), "{a:?} is not {b:?}");
    }
}

fn labels() -> Labels {
    Labels::from_pairs([("__name__", "m"), ("text", "ü\"\\\n\u{1}")])
}

#[test]
fn a_series_is_cut_into_lines_and_comes_back() {
    let floats = LINE_FLOATS * 2 + 1;
    let histograms = LINE_HISTOGRAMS + 1;
    let series = SeriesSamples {
        labels: labels(),
        samples: (0..floats)
            .map(|n| Sample {
                timestamp: Timestamp(n as i64 - 5),
                value: n as f64 / 7.0,
            })
            .collect(),
        histograms: (0..histograms)
            .map(|n| HistogramSample {
                timestamp: Timestamp(n as i64 + 1_000_000),
                histogram: Histogram {
                    count: n as f64,
                    sum: -0.0,
                    zero_count: -0.0,
                    ..Histogram::default()
                },
            })
            .collect(),
        exemplars: Vec::new(),
    };
    let text = write(&series);
    assert_eq!(text.lines().count(), 3 + 2);
    assert_same(&read(&text), &series);
}

#[test]
fn what_is_wrong_is_named() {
    for (line, expected) in [
        ("{", "column 1: EOF while parsing an object"),
        ("[]", "column 2: invalid length 0"),
        ("{}", "column 2: missing field `metric`"),
        (
            r#"{"metric":{"a":"1","a":"2"}}"#,
            r#"label "a" is there twice"#,
        ),
        (
            r#"{"metric":{"a":1}}"#,
            "invalid type: integer `1`, expected a string",
        ),
        (
            r#"{"metric":{},"values":[1],"timestamps":[]}"#,
            "has 1 values and 0 timestamps",
        ),
        (
            r#"{"metric":{},"histograms":[],"histogram_timestamps":[1]}"#,
            "has 0 histograms and 1 histogram_timestamps",
        ),
        (
            r#"{"metric":{},"values":["x"],"timestamps":[1]}"#,
            r#"invalid value: string "x", expected a number, null, "NaN""#,
        ),
        (
            r#"{"metric":{},"values":[1],"timestamps":[1.5]}"#,
            "invalid type: floating point `1.5`, expected i64",
        ),
        (r#"{"metric":{},"vales":[]}"#, "unknown field `vales`"),
        (
            r#"{"metric":{},"histograms":[{"count":1,"sum":1}],"histogram_timestamps":[1]}"#,
            "missing field `schema`",
        ),
    ] {
        let what = parse_line(line.as_bytes()).expect_err(line);
        assert!(what.contains(expected), "{line}: {what}");
    }
}

#[test]
fn a_wrong_line_costs_itself_and_is_named_by_its_number() {
    let text = "{\"metric\":{\"__name__\":\"a\"}}\n\nnonsense\n{\"metric\":{\"__name__\":\"b\"}}";
    let mut source = JsonLines::new(text.as_bytes(), Position::default()).expect("a start");
    let first = source.next().expect("right").expect("a piece");
    assert_eq!(first.series[0].labels.metric_name(), "a");
    let error = source.next().expect_err("nonsense");
    assert!(error.is_passable());
    assert!(error.to_string().starts_with("line 3: column "), "{error}");
    let last = source.next().expect("right").expect("a piece");
    assert_eq!(last.series[0].labels.metric_name(), "b");
    assert_eq!(last.position.offset, text.len() as u64);
    assert_eq!(source.next().expect("the end"), None);

    let mut rest = JsonLines::new(text.as_bytes(), first.position).expect("long enough");
    let error = rest.next().expect_err("nonsense");
    assert!(error.to_string().starts_with("line 3: column "), "{error}");
}

fn any_float() -> impl Strategy<Value = f64> {
    any::<u64>().prop_map(f64::from_bits)
}

fn any_histogram() -> impl Strategy<Value = Histogram> {
    let floats = || proptest::collection::vec(any_float(), 0..4);
    let spans = || {
        let span = any::<(i32, u32)>().prop_map(|(offset, length)| Span { offset, length });
        proptest::collection::vec(span, 0..3)
    };
    let hint = prop_oneof![
        Just(CounterResetHint::Unknown),
        Just(CounterResetHint::Reset),
        Just(CounterResetHint::NotReset),
        Just(CounterResetHint::Gauge),
    ];
    let numbers = (any_float(), any_float(), any_float(), any_float());
    let buckets = (spans(), floats(), spans(), floats(), floats());
    (hint, any::<i32>(), numbers, buckets).prop_map(|(hint, schema, numbers, buckets)| Histogram {
        counter_reset_hint: hint,
        schema,
        zero_threshold: numbers.0,
        zero_count: numbers.1,
        count: numbers.2,
        sum: numbers.3,
        positive_spans: buckets.0,
        positive_buckets: buckets.1,
        negative_spans: buckets.2,
        negative_buckets: buckets.3,
        custom_values: buckets.4,
    })
}

proptest! {
    #[test]
    fn any_series_comes_back_bit_for_bit(
        pairs in proptest::collection::btree_map(".{1,8}", ".{1,8}", 0..4),
        floats in proptest::collection::vec((any::<i64>(), any_float()), 0..20),
        histograms in proptest::collection::vec((any::<i64>(), any_histogram()), 0..4),
    ) {
        let samples = floats.into_iter();
        let histograms = histograms.into_iter();
        let series = SeriesSamples {
            labels: Labels::from_pairs(pairs),
            samples: samples.map(|(at, value)| Sample { timestamp: Timestamp(at), value }).collect(),
            histograms: histograms
                .map(|(at, histogram)| HistogramSample { timestamp: Timestamp(at), histogram })
                .collect(),
            exemplars: Vec::new(),
        };
        let text = write(&series);
        let back = read(&text);
        if !text.is_empty() {
            assert_same(&back, &series);
        }
        prop_assert_eq!(write(&back), text);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        let _ = parse_line(&bytes);
    }
}
