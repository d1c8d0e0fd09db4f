//! Expositions: what reading a scrape costs.

#![allow(missing_docs, clippy::expect_used)] // criterion's macros, and a bench may assert

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::wire::exposition::{Format, Parser};

fn parse(c: &mut Criterion) {
    let body = benches::small::exposition(20_000);
    let mut group = c.benchmark_group("scrape");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("parse 20k series", |b| {
        b.iter(|| {
            let mut items = 0;
            let mut parser = Parser::new(&body, Format::Text);
            while let Some(item) = parser.next().expect("an exposition of our own") {
                std::hint::black_box(&item);
                items += 1;
            }
            items
        });
    });
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
