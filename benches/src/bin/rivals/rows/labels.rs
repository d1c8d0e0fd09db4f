//! Label values among ten million series in thirty partitions: the 99th percentile over HTTP of what a
//! dashboard's variables ask.
//!
//! Our store is written through the library and then served by the real program: sending ten million
//! series takes long. The rivals are sent them with `--full` only.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use benches::day::{POD_SERIES, START, pod_labels};
use model::labels::Labels;
use model::sample::{Sample, SeriesSamples};
use model::time::Timestamp;
use storage::store::StoreOptions;
use tsdb::TsdbOptions;

use crate::client::Load;
use crate::offline;
use crate::report::{Cell, Goal, Row, Unit, failed};
use crate::series::Series;
use crate::system::{Bench, Server, System};

use super::settled::idle;

const DAY_MS: i64 = 86_400_000;
const REPEATS: usize = 50;
const BATCH: usize = 10_000;

/// A label, and the matcher it is asked with.
const QUESTIONS: [(&str, Option<&str>); 5] = [
    ("namespace", None),
    ("__name__", None),
    ("node", Some("{namespace=\"namespace-3\"}")),
    (
        "pod",
        Some("http_requests_total{namespace=\"namespace-3\",code=\"code-0\"}"),
    ),
    ("instance", Some("{pod=~\"deployment-42-.*\"}")),
];

pub(super) async fn run(bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
    let shape = Shape {
        partitions: bench.arguments.size(30, 5) as i64,
        pods: bench.arguments.size(100_000, 500),
    };
    let mut rows = vec![
        Row::new("label_values, p99", Unit::Milliseconds, Goal::AtMost(50.0)),
        Row::new("label_values, median", Unit::Milliseconds, Goal::None),
    ];
    for system in bench.systems() {
        if system != System::Taffrail && !bench.arguments.full && !bench.arguments.quick {
            for row in &mut rows {
                row.cells.insert(system, Cell::Skipped("with --full"));
            }
            continue;
        }
        if let Err(error) = measure(bench, system, &shape, &mut rows).await {
            failed(&mut rows, system, &error);
        }
    }
    Ok(rows)
}

/// How many series there are, and over how many days.
struct Shape {
    partitions: i64,
    pods: usize,
}

impl Shape {
    /// The labels of a day's series, and when they have their one sample.
    fn partition(&self, number: i64) -> (impl Iterator<Item = Labels>, i64) {
        let share = |end: i64| self.pods * end as usize / self.partitions as usize;
        let pods = share(number)..share(number + 1);
        let at = START.millis() + number * DAY_MS + DAY_MS / 2;
        (pods.flat_map(pod_labels), at)
    }

    fn range(&self) -> (i64, i64) {
        let start = START.millis();
        (start, start + self.partitions * DAY_MS)
    }
}

async fn measure(
    bench: &Bench<'_>,
    system: System,
    shape: &Shape,
    rows: &mut [Row],
) -> anyhow::Result<()> {
    let [p99, median] = rows else {
        return Ok(());
    };
    let dir = bench.folder()?;
    let server = if system == System::Taffrail {
        let began = Instant::now();
        write_directly(&offline::store_dir(dir.path()), shape)?;
        p99.notes.push(format!(
            "taffrail: {} series written in {:.0} s",
            shape.pods * POD_SERIES,
            began.elapsed().as_secs_f64()
        ));
        bench.start(system, dir.path()).await?
    } else {
        let server = bench.start(system, dir.path()).await?;
        for number in 0..shape.partitions {
            let (labels, at) = shape.partition(number);
            let set = labels.map(|labels| Series::new(labels, [at].into(), vec![1.0]));
            server
                .client
                .load(&set.collect::<Vec<_>>().into(), Load::default())
                .await?;
        }
        idle(&server).await?;
        server
    };
    let mut times = Vec::new();
    for (label, matcher) in QUESTIONS {
        let (of_this, values) = ask(&server, shape, label, matcher).await?;
        let worst = of_this.iter().max().copied().unwrap_or_default();
        p99.notes.push(format!(
            "{}: {label} {}: {values} values, at most {:.1} ms",
            system.name(),
            matcher.unwrap_or_default(),
            worst.as_secs_f64() * 1e3
        ));
        times.extend(of_this);
    }
    times.sort();
    let at = |quantile: usize| {
        let time = times.get((times.len() * quantile / 100).min(times.len() - 1));
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    p99.set(system, at(99));
    median.set(system, at(50));
    Ok(())
}

async fn ask(
    server: &Server,
    shape: &Shape,
    label: &str,
    matcher: Option<&str>,
) -> anyhow::Result<(Vec<Duration>, usize)> {
    let (start, end) = shape.range();
    let (start, end) = ((start / 1000).to_string(), (end / 1000).to_string());
    let mut parameters = vec![("start", start.as_str()), ("end", end.as_str())];
    parameters.extend(matcher.map(|matcher| ("match[]", matcher)));
    let path = format!("/api/v1/label/{label}/values");
    let mut times = Vec::new();
    let mut values = 0;
    for _ in 0..REPEATS {
        let began = Instant::now();
        let body = server.client.get(&path, &parameters).await?;
        times.push(began.elapsed());
        let json: serde_json::Value = serde_json::from_str(&body)?;
        let found = json.get("data").and_then(serde_json::Value::as_array);
        values = found.context("no values")?.len();
    }
    Ok((times, values))
}

/// Writes each partition as one part.
fn write_directly(dir: &std::path::Path, shape: &Shape) -> anyhow::Result<()> {
    let options = TsdbOptions {
        store: StoreOptions {
            memory_bytes_max: 8 << 30,
            flush_bytes: 8 << 30,
            ..StoreOptions::default()
        },
        ..TsdbOptions::default()
    };
    let tsdb = offline::open(dir, options)?;
    for number in 0..shape.partitions {
        let (labels, at) = shape.partition(number);
        let mut batch = Vec::new();
        for labels in labels {
            batch.push(SeriesSamples {
                labels,
                samples: vec![Sample {
                    timestamp: Timestamp(at),
                    value: 1.0,
                }],
                ..SeriesSamples::default()
            });
            if batch.len() == BATCH {
                tsdb.append(&std::mem::take(&mut batch))?;
            }
        }
        tsdb.append(&batch)?;
        tsdb.store().flush()?;
    }
    tsdb.store().close()?;
    Ok(())
}
