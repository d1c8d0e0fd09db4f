//! Writes to both stores on a real disk: what a write costs until it may be acknowledged.

#![allow(missing_docs, clippy::expect_used)] // criterion's macros, and a bench may assert

use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use logs::{Logs, LogsOptions};
use model::time::{Timestamp, TimestampNs};
use storage::clock::SystemClock;
use storage::disk::real::RealDisk;
use tsdb::{Tsdb, TsdbOptions};

const SERIES: usize = 10_000;
const LINES: usize = 5_000;

fn open_tsdb(dir: &Path) -> Tsdb {
    let options = TsdbOptions::default();
    let opened = Tsdb::open(Arc::new(RealDisk), Arc::new(SystemClock), dir, options);
    opened.expect("an empty folder").0
}

fn open_logs(dir: &Path) -> Logs {
    let options = LogsOptions::default();
    let opened = Logs::open(Arc::new(RealDisk), Arc::new(SystemClock), dir, options);
    opened.expect("an empty folder").0
}

fn samples(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let tsdb = open_tsdb(dir.path());
    let _background = tsdb.background().expect("threads");
    let mut at = 1_700_000_000_000;
    let mut group = c.benchmark_group("ingest");
    group.throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("samples, a scrape of 10k series", |b| {
        b.iter_batched(
            || {
                at += 15_000;
                benches::small::scrape(SERIES, Timestamp(at))
            },
            |scrape| {
                // Refused only while the flush is behind; that wait is part of what it costs.
                while tsdb.append(&scrape).is_err() {
                    std::thread::yield_now();
                }
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn lines(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let logs = open_logs(dir.path());
    let _background = logs.start_background().expect("threads");
    let mut at = 1_700_000_000_000_000_000;
    let bytes: usize = benches::small::push(0, LINES, TimestampNs(at))
        .iter()
        .flat_map(|stream| &stream.entries)
        .map(|entry| entry.line.len())
        .sum();
    let mut group = c.benchmark_group("ingest");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("lines, a push of 5k", |b| {
        b.iter_batched(
            || {
                at += 1_000_000_000;
                benches::small::push(1, LINES, TimestampNs(at))
            },
            |push| {
                while logs.push(push.clone()).is_err() {
                    std::thread::yield_now();
                }
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, samples, lines);
criterion_main!(benches);
