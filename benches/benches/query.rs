//! Questions to both stores over what is in parts: a dashboard's range queries, and a search.

#![allow(missing_docs, clippy::expect_used)] // criterion's macros, and a bench may assert

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use logs::query::Direction;
use logs::{Logs, LogsOptions};
use model::time::{Timestamp, TimestampNs};
use storage::clock::SystemClock;
use storage::disk::real::RealDisk;
use tsdb::query::QueryOptions;
use tsdb::{Tsdb, TsdbOptions};

const MINUTE: Duration = Duration::from_mins(1);
const SERIES: usize = 1_000;
const STEP_MS: i64 = 15_000;
const START_MS: i64 = 1_700_000_000_000;
const SCRAPES: i64 = 4 * 60 * 6;

fn filled_tsdb(dir: &Path) -> Tsdb {
    let options = TsdbOptions::default();
    let opened = Tsdb::open(Arc::new(RealDisk), Arc::new(SystemClock), dir, options);
    let tsdb = opened.expect("an empty folder").0;
    for scrape in 0..SCRAPES {
        let at = Timestamp(START_MS + scrape * STEP_MS);
        tsdb.append(&benches::small::scrape(SERIES, at))
            .expect("writes");
    }
    tsdb.store().flush().expect("flushes");
    tsdb
}

fn promql(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let tsdb = filled_tsdb(dir.path());
    let (start, end) = (Timestamp(START_MS), Timestamp(START_MS + SCRAPES * STEP_MS));
    let mut group = c.benchmark_group("promql, 6 h of 1,000 series");
    for query in [
        "sum by (namespace) (rate(bench_metric_0_total[5m]))",
        "topk(5, sum by (pod) (rate(bench_metric_2_total[5m])))",
        "max(max_over_time(bench_metric_1_total[1h]))",
        "quantile(0.9, avg_over_time(bench_metric_3_total[10m]))",
    ] {
        group.bench_function(query, |b| {
            b.iter(|| {
                let options = QueryOptions::default();
                let answer =
                    tsdb.engine()
                        .range(&tsdb.reader(), query, start, end, MINUTE, &options);
                answer.expect("a valid query")
            });
        });
    }
    group.finish();
}

fn logql(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let options = LogsOptions::default();
    let opened = Logs::open(
        Arc::new(RealDisk),
        Arc::new(SystemClock),
        dir.path(),
        options,
    );
    let logs = opened.expect("an empty folder").0;
    for stream in 0..16 {
        let at = TimestampNs(START_MS * 1_000_000);
        logs.push(benches::small::push(stream, 20_000, at))
            .expect("writes");
    }
    logs.store().flush().expect("flushes");
    let (start, end) = (
        TimestampNs(START_MS * 1_000_000),
        TimestampNs((START_MS + 60_000) * 1_000_000),
    );
    let mut group = c.benchmark_group("logql, 320,000 lines");
    for query in [
        r#"{namespace="shop"} |= "request_id=0000""#,
        r#"sum by (app) (count_over_time({namespace="shop"}[1m]))"#,
        r#"sum by (status) (count_over_time({namespace="shop"} | logfmt | status="500" [1m]))"#,
    ] {
        group.bench_function(query, |b| {
            b.iter(|| {
                let snapshot = logs.snapshot();
                let answer = logs.engine().range(
                    &snapshot,
                    query,
                    start,
                    end,
                    MINUTE,
                    100,
                    Direction::Backward,
                );
                answer.expect("a valid query")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, promql, logql);
criterion_main!(benches);
