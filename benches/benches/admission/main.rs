//! Pod Security: what a review costs, from the bytes of its body to the bytes of its answer, in CPU time.
//!
//! CPU time of the thread and not the clock on the wall, for that is what a core has to give: its reciprocal is how many
//! reviews a core judges in a second, TLS and HTTP left out.

#![allow(missing_docs, clippy::expect_used)] // criterion's macros, and a bench may assert

mod cpu;

use std::sync::Arc;
use std::time::{Duration, Instant};

use admission::bundle::Bundle;
use admission::config::{Exemptions, FailMode};
use admission::evaluate::{DefaultsEverywhere, Evaluator};
use admission::pod_security::{Level, LevelVersion, Policy};
use admission::review::{Review, respond};
use benches::reviews;
use cpu::CpuTime;
use criterion::{Criterion, criterion_group, criterion_main};

fn evaluator(enforce: Level, others: Level) -> Evaluator {
    let defaults = Policy {
        enforce: LevelVersion::latest(enforce),
        audit: LevelVersion::latest(others),
        warn: LevelVersion::latest(others),
    };
    let namespaces = Arc::new(DefaultsEverywhere);
    Evaluator::new(
        defaults,
        Exemptions::default(),
        FailMode::Closed,
        namespaces,
    )
}

fn admission(c: &mut Criterion<CpuTime>) {
    // The rules are asked each time, as for pods of which no two are alike.
    let bundle = (Bundle::embedded().expect("policies of our own")).without_memory();
    let mut group = c.benchmark_group("pod security, a review");
    for (level, others, name) in [
        (
            Level::Restricted,
            Level::Restricted,
            "restricted in all modes",
        ),
        (Level::Baseline, Level::Baseline, "baseline in all modes"),
        (
            Level::Baseline,
            Level::Restricted,
            "baseline, restricted audited and warned of",
        ),
    ] {
        let evaluator = evaluator(level, others);
        for (pod, body, is_allowed) in [
            (
                "that follows it",
                reviews::body(&reviews::hardened("web")),
                true,
            ),
            (
                "that breaks it",
                reviews::body(&reviews::privileged("web")),
                false,
            ),
        ] {
            group.bench_function(format!("{name}, of a pod {pod}"), |b| {
                b.iter(|| {
                    let review = Review::read(&body).expect("a review");
                    let deadline = Instant::now() + Duration::from_secs(10);
                    let verdict = evaluator
                        .evaluate(&review, &bundle, deadline)
                        .expect("a verdict");
                    assert_eq!(verdict.allows(), is_allowed);
                    serde_json::to_vec(&respond(&review.uid, &verdict)).expect("an answer")
                });
            });
        }
    }
    let body = reviews::body(&reviews::hardened("web"));
    let bundle = Bundle::embedded().expect("policies of our own");
    let restricted = evaluator(Level::Restricted, Level::Restricted);
    group.bench_function("restricted in all modes, of a pod like one before", |b| {
        b.iter(|| {
            let review = Review::read(&body).expect("a review");
            let deadline = Instant::now() + Duration::from_secs(10);
            let verdict = (restricted.evaluate(&review, &bundle, deadline)).expect("a verdict");
            assert!(verdict.allows());
            serde_json::to_vec(&respond(&review.uid, &verdict)).expect("an answer")
        });
    });
    group.bench_function("reading alone", |b| {
        b.iter(|| Review::read(&body).expect("a review"));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = admission
}
criterion_main!(benches);
