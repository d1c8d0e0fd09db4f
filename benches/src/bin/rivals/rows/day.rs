//! The generated day: bytes a sample after all merges, and the CPU time of range queries over it.
//!
//! Every series has the metric name `m` and its own name in a label, so that one selector finds all of
//! them. A query is repeated until the kernel's clock ticks of its process are many; the figure is the best of a few
//! such batches, and the median is in the notes. VictoriaMetrics is told not to cache. Answers are held against
//! Taffrail's: Prometheus' must be equal but for the order of additions; VictoriaMetrics differs by
//! design where `rate` looks at the sample before the window and does not extrapolate, and where its
//! storage rounds.

use benches::day::{Day, START};

use crate::client::Load;
use crate::report::{Goal, Row, Unit, failed};
use crate::series::{self, Set};
use crate::system::{Bench, Server, System};

use super::answers::Answer;
use super::settled::settle;

const BATCHES: usize = 4;
/// A batch takes at least this much of the server's CPU.
const BATCH_CPU_SECONDS: f64 = 0.5;
/// A request carries this much of each series: what matters is what lies there afterwards.
const WINDOW_MS: i64 = 120_000;

/// What it is called, what is asked, and its step in seconds.
const QUERIES: [(&str, &str, u32); 5] = [
    (
        "scan: max(max_over_time(m[1h]))",
        "max(max_over_time(m[1h]))",
        300,
    ),
    (
        "scan: max(max_over_time(m[1h]))",
        "max(max_over_time(m[1h]))",
        60,
    ),
    (
        "sum by (namespace) (rate[5m])",
        "sum by (namespace) (rate(m{metric=~\".+_(total|bucket|sum)\"}[5m]))",
        60,
    ),
    (
        "topk(5, sum by (pod) (rate[5m]))",
        "topk(5, sum by (pod) (rate(m{metric=~\".+_(total|bucket|sum)\"}[5m])))",
        60,
    ),
    (
        "quantile(0.9, avg_over_time(m[30m]))",
        "quantile(0.9, avg_over_time(m[30m]))",
        60,
    ),
];

pub(super) async fn run(bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
    let day = Day {
        series: bench.arguments.size(1_000, 200),
        scrapes: bench.arguments.size(5_760, 480),
        ..Day::default()
    };
    let set = series::generated_under(&day, "m");
    let mut rows = vec![Row::new(
        "generated day, merged",
        Unit::BytesPerSample,
        Goal::AtMost(0.65),
    )];
    for (name, _, step) in QUERIES {
        let what = format!("{name}, step {step}s");
        rows.push(if name.starts_with("scan") {
            Row::new(what, Unit::SamplesPerCpuSecond, Goal::AtLeast(300.0))
        } else {
            Row::new(what, Unit::CpuMilliseconds, Goal::None)
        });
    }
    let mut ours = Vec::new();
    for system in bench.systems() {
        match measure(bench, system, &day, &set, &mut rows).await {
            Ok(answers) if system == System::Taffrail => ours = answers,
            Ok(answers) => {
                let pairs = ours.iter().zip(&answers);
                for ((ours, theirs), row) in pairs.zip(rows.iter_mut().skip(1)) {
                    let difference = ours.difference(theirs);
                    row.notes.push(format!(
                        "{}: {} points as ours within {:.1e}, {} points only one has",
                        system.name(),
                        difference.common,
                        difference.relative_max,
                        difference.missing
                    ));
                }
            }
            Err(error) => failed(&mut rows, system, &error),
        }
    }
    Ok(rows)
}

async fn measure(
    bench: &Bench<'_>,
    system: System,
    day: &Day,
    set: &Set,
    rows: &mut [Row],
) -> anyhow::Result<Vec<Answer>> {
    let dir = bench.folder()?;
    let server = bench.start(system, dir.path()).await?;
    let load = Load {
        connections: 4,
        window_ms: WINDOW_MS,
        lockstep: true,
        ..Load::default()
    };
    server.client.load(set, load).await?;
    let settled = settle(bench, server, &dir, series::range(set)).await?;
    let samples = series::samples(set) as f64;
    let Some((bytes, queries)) = rows.split_first_mut() else {
        return Ok(Vec::new());
    };
    bytes.set(system, settled.bytes as f64 / samples);
    bytes.notes.push(settled.note);
    let mut answers = Vec::new();
    for ((_, query, step), row) in QUERIES.iter().zip(queries) {
        let (answer, mut cpu_seconds) = ask(&settled.server, day, query, *step).await?;
        cpu_seconds.sort_by(f64::total_cmp);
        let figure = |seconds: f64| match row.unit {
            Unit::SamplesPerCpuSecond => samples / seconds / 1e6,
            _ => seconds * 1e3,
        };
        let best = cpu_seconds.first().copied().unwrap_or(f64::NAN);
        let median = cpu_seconds.get(cpu_seconds.len() / 2).copied();
        let median = figure(median.unwrap_or(f64::NAN));
        let best = figure(best);
        row.set(system, best);
        row.notes
            .push(format!("{}: median {median:.1}", system.name()));
        answers.push(answer);
    }
    Ok(answers)
}

/// The answer, and the CPU seconds of a query in each batch.
async fn ask(
    server: &Server,
    day: &Day,
    query: &str,
    step: u32,
) -> anyhow::Result<(Answer, Vec<f64>)> {
    let (start, end) = (START.millis() / 1000, day.end().millis() / 1000);
    let (start, end, step) = (start.to_string(), end.to_string(), format!("{step}s"));
    let parameters = [
        ("query", query),
        ("start", start.as_str()),
        ("end", end.as_str()),
        ("step", step.as_str()),
        ("nocache", "1"),
    ];
    let get = || server.client.get("/api/v1/query_range", &parameters);
    // The first one reads files and fills what the system keeps in memory by itself.
    let answer = Answer::parse(&get().await?)?;
    let mut batches = Vec::new();
    for _ in 0..BATCHES {
        let before = server.process.cpu_seconds()?;
        let (mut used, mut count) = (0.0, 0.0);
        while used < BATCH_CPU_SECONDS && count < 100.0 {
            get().await?;
            count += 1.0;
            used = server.process.cpu_seconds()? - before;
        }
        batches.push(used / count);
    }
    Ok((answer, batches))
}
