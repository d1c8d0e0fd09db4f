//! That a query stops where it is told to, wherever that is; and, measured, how soon.
//!
//! A guard is looked at many times in the course of a query. Here the query is cancelled at one look after
//! another, from the first to the last, and none may be followed by another one.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use model::labels::Labels;
use model::time::Timestamp;

use super::{Engine, EngineOptions, QueryError, QueryOptions, QueryOutput};
use crate::query::source::{SelectedSeries, TOUCHED};
use crate::query::tests::Fixed;
use crate::query::watched::{canceled, measure, measured_series, watched};

/// So many series of ten samples, one a minute; each tenth begins a group.
fn source(count: usize) -> Fixed {
    let series = (0..count).map(|number| SelectedSeries {
        labels: Labels::from_pairs([
            ("__name__", "x".to_owned()),
            ("le", (number % 10).to_string()),
            ("group", (number / 10).to_string()),
        ]),
        timestamps: (0..10).map(|minute| minute * 60_000).collect(),
        values: (0..10)
            .map(|minute| f64::from(minute + number as i32 % 1000))
            .collect(),
        ..SelectedSeries::default()
    });
    Fixed::new(series.collect())
}

/// One of each kind that holds many series at once.
const QUERIES: [&str; 61] = [
    "x",
    "x @ 540",
    "x offset 1m",
    "sort(x)",
    "sort_desc(x)",
    r#"sort_by_label(x, "group", "le")"#,
    r#"sort_by_label_desc(x, "le")"#,
    "topk(1000000, x)",
    "bottomk(3, x)",
    "topk by (group) (2, x)",
    "limitk(1000, x)",
    "limit_ratio(0.5, x)",
    "limit_ratio(-0.5, x)",
    "quantile(0.9, x)",
    "quantile by (group) (0.9, x)",
    "sum without (le) (x)",
    "sum(x) + count(x) + group(x)",
    "avg by (group) (x) > min by (group) (x)",
    "stddev(x) + stdvar(x) + max(x)",
    r#"count_values("v", x)"#,
    "x * on (group, le) group_left () x",
    "x + x",
    "x == x",
    "x * on (group, le) group_right () x",
    "x + on (group, le) fill (0) x",
    "x and on (group) x",
    "x unless x",
    "x or on (le) x",
    "-x > 1",
    "x > bool 5",
    "2 ^ x",
    "scalar(x) + absent(x)",
    "absent(x > 1e9)",
    "x * 2 + x * 2",
    "clamp(abs(x), 1, 5)",
    "clamp_max(clamp_min(round(x, 5), 1), 5)",
    r#"label_replace(x, "new", "$1", "group", "(.*)")"#,
    r#"label_join(x, "new", "-", "group", "le")"#,
    "histogram_quantile(0.9, x)",
    "histogram_fraction(0, 1, x)",
    r#"histogram_quantiles(x, "q", 0.5, 0.9)"#,
    "histogram_quantile(0.9, sum by (le) (x))",
    "histogram_count(x) or x",
    "info(x)",
    "rate(x[5m])",
    "sum(rate(x[5m]))",
    "sum by (group) (increase(x[5m]))",
    "deriv(x[5m]) + delta(x[5m])",
    "max(max_over_time(x[5m]))",
    "min(min_over_time(x[5m]))",
    "max by (group) (last_over_time(x[5m]))",
    "quantile_over_time(0.5, x[5m])",
    "quantile_over_time(0.5, x[2m:1m])",
    "sum_over_time(sum by (group) (x)[2m:1m])",
    "absent_over_time(x[5m])",
    "count_over_time(x[5m])",
    "predict_linear(x[5m], 60)",
    "changes(x[5m]) + resets(x[5m])",
    "timestamp(x) + day_of_week(x)",
    "timestamp(x + 0)",
    "sum(x) / (sum(x) + sum(x) * 2)",
];

/// The program's allocator, so that what is measured of giving back is what the program takes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn engine() -> Engine {
    Engine::new(EngineOptions {
        memory_bytes_max: usize::MAX,
        // What is looked at is then looked at by this thread.
        workers: 1,
        ..EngineOptions::default()
    })
}

/// At an instant, or at some.
fn ask(
    source: &Fixed,
    query: &str,
    instants: u32,
    cancel: &Arc<AtomicBool>,
) -> Result<QueryOutput, QueryError> {
    let options = QueryOptions {
        cancel: Some(Arc::clone(cancel)),
        ..QueryOptions::default()
    };
    let end = Timestamp(540_000);
    if instants == 1 {
        return engine().instant(source, query, end, &options);
    }
    let start = Timestamp(540_000 - 1000 * i64::from(instants - 1));
    engine().range(source, query, start, end, Duration::from_secs(1), &options)
}

#[test]
fn a_query_that_is_cancelled_looks_at_nothing_more() {
    let source = source(300);
    for (query, instants) in QUERIES.iter().flat_map(|query| [(*query, 1), (*query, 5)]) {
        let asked = |cancel: &Arc<AtomicBool>| ask(&source, query, instants, cancel);
        let (answer, all) = watched(asked, |_, _| {});
        assert!(answer.is_ok(), "{query}: {answer:?}");
        // Each series is read, which is a look, and whatever is made of all of them has some of its own.
        assert!(all > 300, "{query}: {all}");
        let some = (all - 6..all).chain((0..6).map(|part| part * all / 6));
        for at in some {
            let (answer, looks) = canceled(asked, at);
            let is_canceled = matches!(answer, Err(QueryError::Canceled(_)));
            assert!(is_canceled, "{query} at {at} of {all}: {answer:?}");
            assert_eq!(looks, at + 1, "{query}: it went on after {at} of {all}");
        }
    }
}

/// What is done at the most between two looks: a little for each of as many series as are done without asking,
/// and for those that are dropped.
const TOUCHES_MAX: usize = 1500;

#[test]
fn no_query_does_something_with_every_series_without_a_look() {
    let source = source(2 * TOUCHES_MAX);
    let mut too_long = Vec::new();
    for (query, instants) in QUERIES.iter().flat_map(|query| [(*query, 1), (*query, 2)]) {
        let longest = Rc::new(Cell::new((0, 0)));
        let seen = Rc::clone(&longest);
        TOUCHED.set(0);
        let asked = |cancel: &Arc<AtomicBool>| ask(&source, query, instants, cancel);
        let (answer, all) = watched(asked, move |look, _| {
            seen.set(seen.get().max((TOUCHED.take(), look)));
        });
        assert!(answer.is_ok(), "{query}: {answer:?}");
        let (touches, look) = longest.get().max((TOUCHED.take(), all));
        if touches > TOUCHES_MAX {
            too_long.push(format!(
                "{query} at {instants} instants: {touches} times something was done with a series before look {look} of {all}"
            ));
        }
    }
    assert!(too_long.is_empty(), "{}", too_long.join("\n"));
}

/// `TAFFRAIL_SERIES=1000000 cargo test --release -p tsdb --lib how_soon -- --ignored --nocapture`
#[test]
#[ignore = "measures; fails only where a query goes on that was cancelled"]
fn how_soon_a_query_stops() {
    let source = source(measured_series());
    for query in QUERIES {
        let answered = measure(query, |cancel| ask(&source, query, 1, cancel));
        assert_eq!(answered, 0, "{query}");
    }
}
