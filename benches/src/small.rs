//! Scrapes, pushes and expositions, each a function of its number: what criterion measures on.

use std::fmt::Write as _;

use model::entry::{Entry, StreamEntries};
use model::labels::Labels;
use model::sample::{Sample, SeriesSamples};
use model::time::{Timestamp, TimestampNs};

/// A scrape of `series` series at `at`: counters and gauges of as many pods as that makes.
pub fn scrape(series: usize, at: Timestamp) -> Vec<SeriesSamples> {
    (0..series)
        .map(|number| SeriesSamples {
            labels: series_labels(number),
            samples: vec![Sample {
                timestamp: at,
                value: value_at(number, at),
            }],
            ..SeriesSamples::default()
        })
        .collect()
}

fn series_labels(number: usize) -> Labels {
    let (name, pod) = (number % 10, number / 10);
    Labels::from_pairs([
        ("__name__", format!("bench_metric_{name}_total")),
        ("namespace", format!("namespace-{}", pod % 17)),
        (
            "pod",
            format!("deployment-{}-5f7d9c6b8-{pod:05}", pod % 101),
        ),
        ("container", "app".to_owned()),
        ("instance", format!("10.0.{}.{}:9100", pod / 250, pod % 250)),
    ])
}

/// Half counters that grow at their own pace, half gauges that wander in whole steps.
fn value_at(number: usize, at: Timestamp) -> f64 {
    let seconds = at.millis() as f64 / 1000.0;
    if number.is_multiple_of(2) {
        (seconds * (number % 97) as f64 / 10.0).floor()
    } else {
        ((seconds / 60.0 + number as f64).sin() * 100.0).round()
    }
}

/// A push of `lines` lines of one stream from `at` on, a microsecond apart, like a web server's.
pub fn push(stream: usize, lines: usize, at: TimestampNs) -> Vec<StreamEntries> {
    let entries = (0..lines as i64).map(|number| Entry {
        timestamp: TimestampNs(at.nanos() + number * 1000),
        line: line(stream as i64 * 1_000_003 + number),
        metadata: Labels::empty(),
    });
    vec![StreamEntries {
        labels: Labels::from_pairs([
            ("app", format!("app-{stream}")),
            ("namespace", "shop".to_owned()),
        ]),
        entries: entries.collect(),
    }]
}

fn line(number: i64) -> String {
    let status = if number % 50 == 0 { 500 } else { 200 };
    format!(
        "level=info method=GET path=/api/orders/{} status={status} duration={}ms request_id={:016x}",
        number % 1000,
        number % 173,
        number.wrapping_mul(0x09e3_779b_97f4_a7c1),
    )
}

/// An exposition of `series` series as a kubelet writes them.
pub fn exposition(series: usize) -> String {
    let mut text = String::from("# TYPE container_cpu_usage_seconds_total counter\n");
    for number in 0..series {
        let _ = writeln!(
            text,
            "container_cpu_usage_seconds_total{{container=\"app\",id=\"/kubepods/pod{number:08x}\",image=\"registry.example/app:v{}\",namespace=\"namespace-{}\",pod=\"deployment-{number:05}\"}} {}.{:06} 1700000000000",
            number % 7,
            number % 17,
            number * 31 % 100_000,
            number * 7919 % 1_000_000,
        );
    }
    text
}
