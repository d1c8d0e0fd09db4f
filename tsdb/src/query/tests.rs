//! Whatever is sent, and whatever the store holds, a query ends with an answer or an error.

use std::sync::Arc;
use std::time::Duration;

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, Span};
use model::labels::Labels;
use model::matcher::Matcher;
use model::time::{TimeRange, Timestamp};
use proptest::prelude::*;

use super::format::pretty::pretty;
use super::parser::{HEIGHT_MAX, STACK_BYTES};
use super::{
    Engine, EngineOptions, Guard, HeldSeries, QueryOptions, SelectError, SelectedSeries, Selection,
    Source, parse,
};

/// Answers every selection with the same series.
pub(super) struct Fixed(Arc<dyn Selection>);

impl Fixed {
    pub(super) fn new(series: Vec<SelectedSeries>) -> Self {
        Self(Arc::new(HeldSeries::new(series)))
    }
}

impl Source for Fixed {
    fn select(
        &self,
        _: TimeRange,
        _: &[Matcher],
        _: &Guard,
    ) -> Result<Arc<dyn Selection>, SelectError> {
        Ok(Arc::clone(&self.0))
    }
}

/// What the API would answer, over ten minutes from the epoch on.
fn answer(query: &str) -> String {
    let series = |name: &str, instance: &str| SelectedSeries {
        labels: Labels::from_pairs([("__name__", name), ("instance", instance)]),
        timestamps: (0..20).map(|at| at * 30_000).collect(),
        values: (0..20).map(|at| f64::from(at) * 1.5).collect(),
        ..SelectedSeries::default()
    };
    let source = Fixed::new(vec![series("a_total", "x"), series("a_total", "y")]);
    let (start, end) = (Timestamp(0), Timestamp(600_000));
    let step = Duration::from_mins(1);
    let options = QueryOptions::default();
    let output = Engine::default().range(&source, query, start, end, step, &options);
    let mut json = String::new();
    output.expect("makes sense").value.write_json(&mut json);
    json
}

#[test]
fn a_part_that_is_kept_has_the_values_of_one_that_is_evaluated_again() {
    for (shared, apart) in [
        (
            "rate(a[5m]) + rate(a[5m])",
            "rate(a[5m]) + rate(a[5m] offset 0s)",
        ),
        (
            "sum(a) / (sum(a) + sum(a) * 2)",
            "sum(a) / (sum(a + 0) + sum(a * 1) * 2)",
        ),
        ("a - (a > 5 or a)", "a - (a * 1 > 5 or a + 0)"),
    ] {
        assert_eq!(answer(shared), answer(apart), "{shared}");
    }
}

#[test]
fn names_go_also_behind_an_aggregation_that_nobody_evaluated() {
    // The subquery has no instants: its step does not fit into its range.
    let query = "rate(a[5m]) or max_over_time(sum by (instance) (rate(a[5m]))[1s:7m])";
    assert!(!answer(query).contains("a_total"));
    let query = "max_over_time(sum by (instance) (rate(a[5m]))[1s:7m]) or rate(a[5m])";
    assert!(!answer(query).contains("a_total"), "{}", answer(query));
}

/// Pieces that queries are made of.
const PIECES: &[&str] = &[
    "a",
    "b{x=\"1\"}",
    "{le=~\".+\"}",
    "1",
    "-",
    "+",
    "*",
    "/",
    "%",
    "^",
    "==",
    "> bool",
    "and",
    "or on (x)",
    "unless",
    "</",
    ">/",
    "(",
    ")",
    "(",
    ")",
    "[5m]",
    "[10m:1m]",
    "[1m:]",
    "offset 1m",
    "offset -5m",
    "@ 0",
    "@ end()",
    "smoothed",
    "anchored",
    "sum by (x)",
    "topk(1,",
    "quantile(0.5,",
    "count_values(\"v\",",
    "limit_ratio(0.5,",
    "rate(",
    "increase(",
    "delta(",
    "irate(",
    "resets(",
    "changes(",
    "deriv(",
    "avg_over_time(",
    "sum_over_time(",
    "histogram_quantile(0.9,",
    "histogram_fraction(0, 1,",
    "histogram_stddev(",
    "absent(",
    "timestamp(",
    "info(",
    "scalar(",
    "predict_linear(",
    ", 1)",
    "* on (x) group_left (y)",
    "+ fill (0)",
    "\"t\"",
    "5m",
    "step()",
];

fn queries() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 1..9).prop_map(|pieces| pieces.join(" "))
}

/// Calls that parse, around selectors.
fn calls() -> impl Strategy<Value = String> {
    let functions: Vec<&str> = super::functions::FUNCTIONS.iter().map(|f| f.name).collect();
    let args = prop::sample::select(vec![
        "a",
        "a[5m]",
        "a[5m] smoothed",
        "a[5m] anchored",
        "a[10m:1m]",
        "0.5, a[5m]",
        "0.5, a",
        "a[5m], 1",
        "a[5m], 0.5, 0.5",
        "0, 1, a",
        "a, \"q\", 0.1, 0.9",
        "a, 0, 1",
        "",
        "1, 2",
    ]);
    (prop::sample::select(functions), args).prop_map(|(name, args)| format!("{name}({args})"))
}

fn histograms() -> impl Strategy<Value = Histogram> {
    let count = prop_oneof![
        Just(0.0),
        Just(1.0),
        Just(f64::NAN),
        Just(1e308),
        -5.0..50.0
    ];
    let schema = prop_oneof![
        Just(CUSTOM_BUCKETS_SCHEMA),
        -4..9,
        Just(i32::MIN),
        Just(i32::MAX)
    ];
    let spans = prop::collection::vec((any::<i32>(), 0_u32..4), 0..3);
    (
        schema,
        spans,
        prop::collection::vec(count.clone(), 0..6),
        count.clone(),
        count,
        0_u8..4,
    )
        .prop_map(|(schema, spans, counts, total, zero, hint)| {
            let span = |(offset, length)| Span { offset, length };
            let spans: Vec<Span> = spans.into_iter().map(span).collect();
            Histogram {
                counter_reset_hint: [
                    CounterResetHint::Unknown,
                    CounterResetHint::Reset,
                    CounterResetHint::NotReset,
                    CounterResetHint::Gauge,
                ][usize::from(hint)],
                schema,
                zero_threshold: zero,
                zero_count: zero,
                count: total,
                sum: total,
                positive_spans: spans.clone(),
                positive_buckets: counts.clone(),
                negative_spans: spans,
                negative_buckets: counts,
                custom_values: vec![-1.0, 0.0, 2.0],
            }
        })
}

fn series() -> impl Strategy<Value = SelectedSeries> {
    let value = prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(model::sample::stale_nan()),
        -1e3..1e3
    ];
    let time = prop_oneof![-600_000_i64..600_000, Just(i64::MIN), Just(i64::MAX)];
    (
        prop::collection::btree_map(time.clone(), value, 0..6),
        prop::collection::btree_map(time, histograms(), 0..4),
        "[01]",
    )
        .prop_map(|(floats, histograms, x)| SelectedSeries {
            labels: Labels::from_pairs([("__name__", "a"), ("x", x.as_str()), ("le", "1")]),
            start_timestamps: floats.keys().map(|at| at.saturating_sub(1)).collect(),
            timestamps: floats.keys().copied().collect(),
            values: floats.into_values().collect(),
            histogram_start_timestamps: Vec::new(),
            histograms: histograms
                .into_iter()
                .map(|(at, histogram)| (Timestamp(at), Arc::new(histogram)))
                .collect(),
        })
}

/// Asks in both ways; only that it ends matters.
fn ask(query: &str, source: &Fixed, at: i64) {
    let engine = Engine::new(EngineOptions {
        samples_max: 100_000,
        delayed_name_removal: at % 2 == 0,
        ..EngineOptions::default()
    });
    let options = QueryOptions::default();
    let _ = engine.instant(source, query, Timestamp(at), &options);
    let end = Timestamp(at.saturating_add(120_000));
    let step = Duration::from_secs(30);
    let _ = engine.range(source, query, Timestamp(at), end, step, &options);
}

proptest! {
    #[test]
    fn any_text_parses_or_is_refused(text in "\\PC{0,40}") {
        let _ = parse(&text);
    }

    #[test]
    fn what_parses_survives_formatting(query in queries()) {
        if let Ok(tree) = parse(&query) {
            let text = tree.to_string();
            let again = parse(&text).map(|tree| tree.to_string());
            prop_assert_eq!(again, Ok(text), "{}", query);
        }
    }

    #[test]
    fn any_query_ends(
        query in prop_oneof![queries(), calls()],
        series in prop::collection::vec(series(), 0..4),
        at in prop_oneof![-600_000_i64..600_000, Just(i64::MIN), Just(i64::MAX)],
    ) {
        ask(&query, &Fixed::new(series), at);
    }
}

/// Runs what may need much stack where there is as much as the program has.
fn on_a_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let ended = thread.spawn(work).expect("a thread").join();
    assert!(ended.is_ok(), "the work says why");
}

#[test]
fn the_deepest_trees_fit_the_stack() {
    on_a_stack(|| {
        for (open, inner, close) in [
            ("(", "a", ")"),
            ("-", "a", ""),
            ("abs(", "a", ")"),
            ("sum(", "a", ")"),
            ("sum by (x) (", "a", ")"),
            ("quantile(scalar(", "a", "), b)"),
            ("max_over_time(", "a", "[2m:1m])"),
            ("1 + (", "a", ")"),
            ("a ^ ", "a", ""),
            ("label_replace(", "a", r#", "x", "$1", "y", "(.*)")"#),
            ("a and on (x) (", "a", ") or b"),
        ] {
            let nested = |depth: usize| {
                let text = [&open.repeat(depth), inner, &close.repeat(depth)].concat();
                parse(&text).map(|tree| (text, tree))
            };
            assert!(nested(100_000).is_err(), "{open}");
            let highest = (1..=HEIGHT_MAX).rev().find_map(|depth| nested(depth).ok());
            let (text, tree) = highest.expect("one fits");
            assert_eq!(parse(&pretty(&tree)).as_ref(), Ok(&tree), "{open}");
            assert_eq!(tree.clone().to_string(), tree.to_string());
            let source = Fixed::new(Vec::new());
            let options = QueryOptions::default();
            let answer = Engine::default().instant(&source, &text, Timestamp(0), &options);
            assert!(answer.is_ok(), "{open}: {answer:?}");
        }
    });
}
