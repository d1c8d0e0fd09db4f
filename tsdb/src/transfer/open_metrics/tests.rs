use std::fmt::Write as _;

use model::labels::Labels;
use model::sample::{MetricType, NORMAL_NAN_BITS, SeriesSamples, stale_nan};
use model::wire::exposition::Format;
use proptest::prelude::*;

use super::reader::OpenMetrics;
use super::writer::{END, LeftOut, write_series};
use crate::transfer::{InputError, Piece, Position, Source};

fn read_from(text: &str, format: Format, start: Position) -> (Vec<Piece>, Vec<String>) {
    let mut source = OpenMetrics::new(text.as_bytes(), format, start).expect("long enough");
    let (mut pieces, mut errors) = (Vec::new(), Vec::new());
    loop {
        match source.next() {
            Ok(Some(piece)) => pieces.push(piece),
            Ok(None) => return (pieces, errors),
            Err(error) => {
                assert!(matches!(error, InputError::Line { .. }), "{error}");
                errors.push(error.to_string());
            }
        }
    }
}

fn read(text: &str, format: Format) -> (Vec<SeriesSamples>, Vec<String>) {
    let (pieces, errors) = read_from(text, format, Position::default());
    let series = pieces.into_iter().flat_map(|piece| piece.series);
    (series.collect(), errors)
}

fn instants(series: &SeriesSamples) -> Vec<(i64, f64)> {
    let samples = series.samples.iter();
    samples.map(|s| (s.timestamp.0, s.value)).collect()
}

#[test]
fn both_formats_are_read_with_their_own_unit_of_time() {
    let text = "# TYPE a counter\n# free words\n\na{x=\"1\"} 2 1700000000123\na{x=\"1\"} 3 1700000001000\nb 1 -5\n";
    let (series, errors) = read(text, Format::Text);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(series[0].labels.to_string(), "a{x=\"1\"}");
    assert_eq!(
        instants(&series[0]),
        [(1_700_000_000_123, 2.0), (1_700_000_001_000, 3.0)]
    );
    assert_eq!(instants(&series[1]), [(-5, 1.0)]);

    let text =
        "# TYPE a counter\n# HELP a What it is.\na_total 2 1700000000.123 # {t=\"1\"} 0.5\n# EOF\n";
    let (pieces, errors) = read_from(text, Format::OpenMetrics, Position::default());
    assert!(errors.is_empty(), "{errors:?}");
    let [piece] = pieces.as_slice() else {
        panic!("{pieces:?}");
    };
    assert_eq!(instants(&piece.series[0]), [(1_700_000_000_123, 2.0)]);
    assert_eq!(piece.series[0].exemplars.len(), 1);
    assert_eq!(piece.metadata[0].metric_type, MetricType::Counter);
    assert_eq!(piece.metadata[0].help, "What it is.");
}

#[test]
fn a_wrong_line_costs_itself_and_is_named() {
    let check = |text: &str, format, series: usize, expected: &[&str]| {
        let (found, errors) = read(text, format);
        assert_eq!(found.len(), series, "{text}");
        assert_eq!(errors.len(), expected.len(), "{errors:?}");
        for (error, expected) in errors.iter().zip(expected) {
            assert!(error.starts_with(expected), "{error}");
        }
    };
    check(
        "a 1 5\nb\nc 1 5\n",
        Format::Text,
        2,
        &["line 2: expected a value"],
    );
    check(
        "a 1\nb 2 5\n",
        Format::Text,
        1,
        &["line 1: a has no timestamp"],
    );
    check(
        "a{x=\"1\",x=\"2\"} 1 5\n",
        Format::Text,
        0,
        &["line 1: label \"x\" is there twice"],
    );
    check(
        "a 1 5\n",
        Format::OpenMetrics,
        1,
        &["line 2: the text ends without \"# EOF\""],
    );
    check(
        "a 1 5\n# EOF\nb 1 5\n",
        Format::OpenMetrics,
        1,
        &["line 3: unexpected data after # EOF"],
    );
    let (_, errors) = read_from("a 1 5\n", Format::OpenMetrics, Position::default());
    assert_eq!(errors.len(), 1);
}

#[test]
fn a_reader_goes_on_where_another_stopped() {
    let lines = 25_000;
    let mut text = String::new();
    for n in 0..lines {
        let at = 1_700_000_000_000_i64 + n;
        let _ = writeln!(text, "m{{n=\"{}\"}} {n} {at}", n % 7);
    }
    let (pieces, _) = read_from(&text, Format::Text, Position::default());
    assert_eq!(pieces.len(), 3);
    let samples: usize = pieces.iter().map(Piece::samples).sum();
    assert_eq!(samples, lines as usize);
    let (rest, _) = read_from(&text, Format::Text, pieces[0].position);
    assert_eq!(rest, pieces[1..]);
    assert_eq!(pieces[0].position.items, 10_000);
}

#[test]
fn what_cannot_be_said_is_counted() {
    let labels = Labels::from_pairs([("__name__", "m")]);
    let payload = f64::from_bits(NORMAL_NAN_BITS + 1);
    let mut out = String::new();
    let values = [1.0, stale_nan(), payload, f64::INFINITY];
    let left_out = write_series(&mut out, &labels, &[1, 2, 3, 4500], &values, 2);
    assert_eq!(out, "m 1 0.001\nm NaN 0.003\nm +Inf 4.500\n");
    let expected = LeftOut {
        histograms: 2,
        stale_markers: 1,
        nan_payloads: 1,
    };
    assert_eq!(left_out, expected);
}

proptest! {
    #[test]
    fn what_can_be_said_comes_back(
        name in "[a-z:]{1,5}|[a-zü .\"\\\\\n]{1,8}",
        pairs in proptest::collection::btree_map("[a-z]{1,3}|[a-zü .\"\\\\\n]{1,4}", ".{1,6}|[\"\\\\\n]{1,4}", 0..4),
        floats in proptest::collection::vec((-1_000_000_000_000_000_i64..1_000_000_000_000_000, any::<u64>()), 1..10),
    ) {
        let mut builder = Labels::from_pairs(pairs).to_builder();
        let labels = builder.set("__name__", &name).build();
        let timestamps: Vec<i64> = floats.iter().map(|(at, _)| *at).collect();
        let values: Vec<f64> = floats.iter().map(|(_, bits)| f64::from_bits(*bits)).collect();
        let mut text = String::new();
        let left_out = write_series(&mut text, &labels, &timestamps, &values, 0);
        text.push_str(END);
        let (series, errors) = read(&text, Format::OpenMetrics);
        prop_assert!(errors.is_empty(), "{:?} in {}", errors, text);
        if left_out.is_nothing() {
            let bits = |series: &SeriesSamples| -> Vec<(i64, u64)> {
                series.samples.iter().map(|s| (s.timestamp.0, s.value.to_bits())).collect()
            };
            prop_assert_eq!(&series[0].labels, &labels);
            let expected: Vec<(i64, u64)> = floats;
            prop_assert_eq!(bits(&series[0]), expected);
        }
    }
}
