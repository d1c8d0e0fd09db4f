//! Values, limits and errors of whole queries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use model::labels::Labels;
use model::matcher::Matcher;
use model::time::{TimeRange, Timestamp};
use model::vector::QueryValue;

use super::{Engine, EngineOptions, QueryError, QueryOptions};
use crate::query::source::{
    Guard, HeldSeries, ReadSeries, Samples, SelectError, SelectedSeries, Selection, Source,
};

/// A counter that grows by one a second, and how often it was asked for.
#[derive(Default)]
struct Counter {
    selections: AtomicUsize,
    matches: bool,
}

impl Source for Counter {
    fn select(
        &self,
        range: TimeRange,
        _: &[Matcher],
        _: &Guard,
    ) -> Result<Arc<dyn Selection>, SelectError> {
        self.selections.fetch_add(1, Ordering::Relaxed);
        if !self.matches {
            return Ok(Arc::new(HeldSeries::default()));
        }
        let seconds = (0..1000).filter(|s| range.contains(Timestamp(s * 1000)));
        Ok(Arc::new(HeldSeries::new(vec![SelectedSeries {
            labels: Labels::from_pairs([("__name__", "c_total"), ("a", "1")]),
            timestamps: seconds.clone().map(|s| s * 1000).collect(),
            values: seconds.map(|s| s as f64).collect(),
            ..SelectedSeries::default()
        }])))
    }
}

fn counter() -> Counter {
    Counter {
        matches: true,
        ..Counter::default()
    }
}

fn json(engine: &Engine, query: &str) -> String {
    let at = Timestamp(500_000);
    let output = engine.instant(&counter(), query, at, &QueryOptions::default());
    let output = output.unwrap_or_else(|error| panic!("{query}: {error}"));
    let mut text = format!("{} ", output.value.type_name());
    output.value.write_json(&mut text);
    text
}

#[test]
fn values_are_those_of_the_api() {
    let engine = Engine::default();
    for (query, expected) in [
        ("1+1", r#"scalar [500,"2"]"#),
        ("\"a\"", r#"string [500,"a"]"#),
        (
            "vector(1)+vector(1)",
            r#"vector [{"metric":{},"value":[500,"2"]}]"#,
        ),
        (
            "c_total",
            r#"vector [{"metric":{"__name__":"c_total","a":"1"},"value":[500,"500"]}]"#,
        ),
        (
            "rate(c_total[1m])",
            r#"vector [{"metric":{"a":"1"},"value":[500,"1"]}]"#,
        ),
        (
            "c_total[2s]",
            r#"matrix [{"metric":{"__name__":"c_total","a":"1"},"values":[[499,"499"],[500,"500"]]}]"#,
        ),
        ("c_total > 500", "vector []"),
    ] {
        assert_eq!(json(&engine, query), expected, "{query}");
    }
}

#[test]
fn a_range_has_a_value_at_every_step() {
    let output = Engine::default().range(
        &counter(),
        "sum(c_total) by (a) * 2",
        Timestamp(10_000),
        Timestamp(20_000),
        Duration::from_secs(5),
        &QueryOptions::default(),
    );
    let QueryValue::Matrix(matrix) = output.expect("valid").value else {
        panic!("a range query yields a matrix");
    };
    let values: Vec<f64> = matrix[0].floats.iter().map(|(_, value)| *value).collect();
    assert_eq!(values, [20.0, 30.0, 40.0]);
}

#[test]
fn each_selection_is_made_once() {
    let source = counter();
    let query = "c_total + c_total / (c_total offset 1m) - (c_total offset 1m)";
    let at = Timestamp(500_000);
    let output = Engine::default().instant(&source, query, at, &QueryOptions::default());
    assert!(output.is_ok());
    assert_eq!(source.selections.load(Ordering::Relaxed), 2);
}

#[test]
fn names_go_early_or_late() {
    let query = r#"label_replace(rate(c_total[1m]), "n", "$1", "__name__", "(.*)")"#;
    let late = Engine::new(EngineOptions {
        delayed_name_removal: true,
        ..EngineOptions::default()
    });
    assert!(json(&late, query).contains(r#""n":"c_total""#));
    assert!(!json(&Engine::default(), query).contains("c_total"));
}

#[test]
fn refusals_name_their_kind_and_limit() {
    let at = Timestamp(500_000);
    let ask = |options: EngineOptions, query: &str, how: &QueryOptions| {
        Engine::new(options).instant(&counter(), query, at, how)
    };
    let plain = QueryOptions::default();
    let error = ask(EngineOptions::default(), "1 +", &plain).expect_err("no expression");
    assert_eq!(error.error_type(), "bad_data");

    let few = EngineOptions {
        samples_max: 10,
        ..EngineOptions::default()
    };
    let error = ask(few, "rate(c_total[1m])", &plain).expect_err("too much");
    assert_eq!(error.error_type(), "execution");
    assert!(error.to_string().contains("more than 10;"), "{error}");

    let hurried = QueryOptions {
        timeout: Some(Duration::ZERO),
        ..QueryOptions::default()
    };
    let error = ask(EngineOptions::default(), "c_total", &hurried).expect_err("no time");
    assert!(matches!(error, QueryError::Timeout(_)), "{error}");

    let canceled = QueryOptions {
        cancel: Some(Arc::new(AtomicBool::new(true))),
        ..QueryOptions::default()
    };
    let error = ask(EngineOptions::default(), "c_total", &canceled).expect_err("canceled");
    assert_eq!(error.error_type(), "canceled");

    let error = Engine::default()
        .range(
            &counter(),
            "c_total[5m]",
            at,
            at,
            Duration::from_secs(1),
            &plain,
        )
        .expect_err("a range of ranges");
    assert_eq!(
        error.to_string(),
        r#"invalid expression type "range vector" for range query, must be Scalar or instant Vector"#
    );
}

#[test]
fn annotations_tell_their_place() {
    let output = Engine::default().instant(
        &counter(),
        "1 +\n quantile(2, c_total)",
        Timestamp(500_000),
        &QueryOptions::default(),
    );
    assert_eq!(
        output.expect("valid").warnings,
        ["PromQL warning: quantile value should be between 0 and 1, got 2 (2:11)"]
    );
}

#[test]
fn the_highest_tree_fits_a_thread() {
    let depth = crate::query::parser::HEIGHT_MAX;
    let nested = "abs(".repeat(depth - 1) + "c_total" + &")".repeat(depth - 1);
    let chained = "c_total".to_owned() + &"+c_total".repeat(depth - 1);
    let windows = "sum_over_time(".repeat(50) + "c_total" + &"[2m:1m])".repeat(50);
    for query in [nested, chained, windows] {
        assert!(json(&Engine::default(), &query).starts_with("vector"));
    }
}

/// One long series whose reader's client goes away as soon as it was read.
#[derive(Default)]
struct Leaving {
    gone: Arc<AtomicBool>,
}

struct LeavingSelection {
    labels: Vec<Labels>,
    gone: Arc<AtomicBool>,
}

impl Source for Leaving {
    fn select(
        &self,
        _: TimeRange,
        _: &[Matcher],
        _: &Guard,
    ) -> Result<Arc<dyn Selection>, SelectError> {
        Ok(Arc::new(LeavingSelection {
            labels: vec![Labels::from_pairs([("__name__", "g")])],
            gone: Arc::clone(&self.gone),
        }))
    }
}

impl Selection for LeavingSelection {
    fn labels(&self) -> &[Labels] {
        &self.labels
    }

    fn reader(&self) -> Box<dyn ReadSeries + '_> {
        Box::new(LeavingReader(&self.gone))
    }
}

struct LeavingReader<'a>(&'a AtomicBool);

impl ReadSeries for LeavingReader<'_> {
    fn read(&mut self, _: usize, samples: &mut Samples) -> Result<(), SelectError> {
        samples.clear();
        let seconds = 0..20_000;
        samples.timestamps = seconds.clone().map(|s| s * 1000).collect::<Vec<_>>().into();
        samples.values = seconds.map(|s| s as f64).collect::<Vec<_>>().into();
        self.0.store(true, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn a_query_is_stopped_within_a_series() {
    let source = Leaving::default();
    let options = QueryOptions {
        cancel: Some(Arc::clone(&source.gone)),
        ..QueryOptions::default()
    };
    let (start, end) = (Timestamp(10_000_000), Timestamp(19_000_000));
    let step = Duration::from_mins(1);
    // Hours of samples in each of many windows, and no way to do them at once.
    let query = "predict_linear(g[2h], 3600)";
    let answer = Engine::default().range(&source, query, start, end, step, &options);
    assert!(matches!(answer, Err(QueryError::Canceled(_))), "{answer:?}");
}
