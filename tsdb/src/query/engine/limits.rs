//! Every limit, with queries that would exceed it, and that memory is given back.

use std::sync::Arc;
use std::time::Duration;

use model::labels::Labels;
use model::matcher::Matcher;
use model::time::{TimeRange, Timestamp};

use super::{Engine, EngineOptions, QueryError, QueryOptions, QueryOutput};
use crate::query::source::{Guard, HeldSeries, SelectError, SelectedSeries, Selection, Source};

/// So many series of one sample a minute.
struct Wide(usize);

impl Source for Wide {
    fn select(
        &self,
        _: TimeRange,
        _: &[Matcher],
        guard: &Guard,
    ) -> Result<Arc<dyn Selection>, SelectError> {
        let series = (0..self.0).map(|number| {
            let number = number.to_string();
            SelectedSeries {
                labels: Labels::from_pairs([("__name__", "x"), ("n", &number)]),
                timestamps: (0..10).map(|minute| minute * 60_000).collect(),
                values: (0..10).map(f64::from).collect(),
                ..SelectedSeries::default()
            }
        });
        guard.memory.take(self.0 * 100)?;
        Ok(Arc::new(HeldSeries::new(series.collect())))
    }
}

const MEMORY: &str = "raise query.memory_bytes_max (now 1000000)";
const SAMPLES: &str = "raise query.samples_max (now 100000)";
const SERIES: &str = "raise query.series_max (now 2000)";

fn engine() -> Engine {
    Engine::new(EngineOptions {
        memory_bytes_max: 1_000_000,
        samples_max: 100_000,
        series_max: 2000,
        ..EngineOptions::default()
    })
}

fn instant(engine: &Engine, source: &Wide, query: &str) -> Result<QueryOutput, QueryError> {
    engine.instant(source, query, Timestamp(540_000), &QueryOptions::default())
}

fn range(engine: &Engine, source: &Wide, query: &str) -> Result<QueryOutput, QueryError> {
    let (start, end) = (Timestamp(0), Timestamp(540_000));
    let step = Duration::from_millis(500);
    engine.range(source, query, start, end, step, &QueryOptions::default())
}

fn refused(answer: Result<QueryOutput, QueryError>, expected: &str, query: &str) {
    let error = answer.expect_err(query);
    assert_eq!(error.error_type(), "execution", "{query}: {error}");
    assert!(error.to_string().contains(expected), "{query}: {error}");
}

#[test]
fn a_query_that_would_exceed_a_limit_is_refused_and_holds_nothing() {
    let engine = engine();
    for (series, query, expected) in [
        (3000, "x", SERIES),
        (3000, "count(x)", SERIES),
        (2000, "x - x", MEMORY),
        (
            1000,
            r#"label_replace(x, "a", "$1$1$1$1$1$1$1$1$1$1", "n", "(.*)") * on (n) group_left (a) label_replace(label_replace(x, "a", "abcdefghijklmnopqrstuvwxyz$1", "n", "(.*)"), "b", "$1$1$1$1$1$1$1$1$1$1$1$1$1", "a", "(.*)")"#,
            MEMORY,
        ),
        (
            1,
            r#"label_replace(label_replace(label_replace(label_replace(x, "a", "0123456789012345678901234567890123456789012345678901234567890123456789", "n", ".*"), "a", "$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1", "a", "(.*)"), "a", "$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1", "a", "(.*)"), "a", "$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1", "a", "(.*)")"#,
            MEMORY,
        ),
        (1, "sum_over_time(x[10y:1s])", SAMPLES),
        (1, "sum_over_time(x[1d:1s])", MEMORY),
        (1, "absent_over_time(x[1d:1s])", MEMORY),
        (1, "rate(x[50y:100ms])", SAMPLES),
    ] {
        refused(instant(&engine, &Wide(series), query), expected, query);
        assert_eq!(engine.memory().bytes_taken(), 0, "{query}");
    }
    // A thousand points of each series.
    for (series, query) in [
        (500, "x"),
        (500, "absent(x)"),
        (500, "rate(x[5m])"),
        (500, "max(max_over_time(x[5m]))"),
        (500, "topk(1, x)"),
        (60, "sum by (n) (x)"),
        (60, "quantile by (n) (0.5, x)"),
        (60, "stddev without () (x)"),
        (60, r#"count_values("v", x)"#),
        (60, "x * on () group_left () scalar(x) or x + x"),
        (60, "x + on (n) group_right () x"),
        (60, "x unless on (n) (x > 100)"),
    ] {
        refused(range(&engine, &Wide(series), query), "query.", query);
        assert_eq!(engine.memory().bytes_taken(), 0, "{query}");
    }
}

#[test]
fn an_answer_holds_its_memory_until_it_is_dropped_and_one_query_refuses_no_other() {
    let engine = engine();
    let answers = ["count(x)", "sum(rate(x[5m]))", "topk(3, x)", "x"].map(|query| {
        let answer = instant(&engine, &Wide(100), query);
        answer.unwrap_or_else(|error| panic!("{query}: {error}"))
    });
    let held: usize = answers.iter().map(|answer| answer.value.bytes()).sum();
    assert_eq!(engine.memory().bytes_taken(), held);
    refused(instant(&engine, &Wide(2000), "x - x"), MEMORY, "x - x");
    assert!(range(&engine, &Wide(5), "x").is_ok());
    drop(answers);
    assert_eq!(engine.memory().bytes_taken(), 0);
}
