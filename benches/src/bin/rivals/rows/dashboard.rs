//! What dashboards ask, of two clusters: one looked at for a day, with thirty days of recording rules
//! behind it (`dashboard`), and a crowd of 100,000 series, looked at for half an hour (`crowd`).
//!
//! A query is repeated until the kernel's clock ticks of its process are many; the figure is the median of
//! a few such batches. All systems run side by side, idle but for the one that is asked, and take turns batch by
//! batch: a machine that is slower for a while is so for all of them. What is asked for is half of what VictoriaMetrics needs, which is told not to cache. Then
//! eight clients ask all queries at once, each beginning with another one, for as long as each other.
//!
//! Answers are held against Prometheus': every point must be there and equal within 1e-9. Version 2.42
//! closes its windows on both sides, which makes no difference here as nothing is scraped at a whole
//! second. VictoriaMetrics' rates differ by design; how far is noted.
//!
//! - [`queries`]: what is asked.
//! - [`clients`]: eight of them at once.

mod clients;
mod queries;

use std::sync::Arc;

use benches::cluster::{Cluster, ClusterSeries};
use benches::day::START;
use tempfile::TempDir;

use crate::client::{Client, Load};
use crate::report::{Goal, Row, Unit, failed};
use crate::series::{self, Series, Set};
use crate::system::{Bench, Server, System};

use super::answers::{Answer, TOLERANCE};
use super::settled::settle;
use queries::{HISTORY, Over, Query, SCRAPED};

const BATCHES: usize = 5;
/// A batch takes at least this much of the server's CPU.
const BATCH_CPU_SECONDS: f64 = 0.2;
const BATCH_QUERIES_MAX: f64 = 200.0;
/// A request carries this much of each series: what matters is what lies there afterwards.
const WINDOW_MS: i64 = 120_000;
/// Prometheus refuses what is an hour older than its newest sample.
const HISTORY_WINDOW_MS: i64 = 1_800_000;

/// A cluster, and how it is looked at.
struct Scene {
    name: &'static str,
    /// What is sent first, if anything.
    history: Set,
    scraped: Set,
    queries: Vec<Query>,
    end_seconds: i64,
    /// How far back "hours" and "a day" reach, and their steps, in seconds.
    hours: (i64, i64),
    day: (i64, i64),
}

/// A query as it goes over the wire.
pub(super) struct Asked {
    path: &'static str,
    parameters: Vec<(&'static str, String)>,
}

pub(super) async fn run_day(bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
    let cluster = Cluster {
        seed: 3,
        pods: bench.arguments.size(20, 8),
        pods_per_node: 10,
        scrapes: bench.arguments.size(5_760, 480),
        step_ms: 15_000,
    };
    let seconds = cluster.scrapes as i64 * 15;
    // All that is older than the day goes first; what is of the day goes with it, in the order of time.
    let (before, within) = split(cluster.history(), START.millis());
    let scraped = cluster.series().into_iter().chain(within);
    let scene = Scene {
        name: "dashboard",
        history: set(before),
        scraped: set(scraped.collect()),
        queries: SCRAPED.into_iter().chain(HISTORY).collect(),
        end_seconds: START.millis() / 1_000 + seconds,
        hours: ((6 * 3_600).min(seconds), 30),
        day: (seconds, 300),
    };
    run(bench, &scene).await
}

pub(super) async fn run_crowd(bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
    let cluster = Cluster {
        seed: 4,
        pods: bench.arguments.size(1_200, 50),
        pods_per_node: 30,
        scrapes: 60,
        step_ms: 30_000,
    };
    let scene = Scene {
        name: "crowd",
        history: set(Vec::new()),
        scraped: set(cluster.series()),
        queries: SCRAPED.to_vec(),
        end_seconds: START.millis() / 1_000 + 1_800,
        hours: (1_440, 30),
        day: (1_440, 60),
    };
    run(bench, &scene).await
}

fn set(series: Vec<ClusterSeries>) -> Set {
    let series = series.into_iter();
    let series = series.map(|one| Series::new(one.labels, one.timestamps, one.values));
    Arc::new(series.collect())
}

/// What lies before an instant, and what does not.
fn split(all: Vec<ClusterSeries>, at_ms: i64) -> (Vec<ClusterSeries>, Vec<ClusterSeries>) {
    let halves = all.into_iter().map(|one| {
        let middle = one.timestamps.partition_point(|at| *at < at_ms);
        let (times_before, times_after) = one.timestamps.split_at(middle);
        let (before, after) = one.values.split_at(middle);
        let half = |timestamps: &[i64], values: &[f64]| ClusterSeries {
            labels: one.labels.clone(),
            timestamps: timestamps.into(),
            values: values.to_vec(),
        };
        (half(times_before, before), half(times_after, after))
    });
    halves.unzip()
}

async fn run(bench: &Bench<'_>, scene: &Scene) -> anyhow::Result<Vec<Row>> {
    let row = |query: &Query| {
        let what = format!("{}: {}", scene.name, query.name);
        Row::new(what, Unit::CpuMilliseconds, Goal::None)
    };
    let mut rows: Vec<Row> = scene.queries.iter().map(row).collect();
    let mut together = clients::rows(scene.name);
    let mut agree = Row::new(
        format!("{}: answers equal to prometheus'", scene.name),
        Unit::Queries,
        Goal::AtLeast(scene.queries.len() as f64),
    );
    let mut standing = Vec::new();
    for system in bench.systems() {
        match load(bench, system, scene).await {
            Ok(loaded) => standing.push(loaded),
            Err(error) => {
                failed(&mut rows, system, &error);
                failed(&mut together, system, &error);
            }
        }
    }
    let asked: Arc<[Asked]> = scene.queries.iter().map(|query| scene.ask(query)).collect();
    let mut equal = 0.0;
    for (asked, row) in asked.iter().zip(&mut rows) {
        let answers = in_turns(&standing, asked, row).await;
        equal += compare(&answers, row);
    }
    if bench.systems().any(|system| system == System::Prometheus) {
        agree.set(System::Taffrail, equal);
    }
    for loaded in &standing {
        let server = &loaded.server;
        let measured = clients::measure(bench, server, Arc::clone(&asked), &mut together).await;
        if let Err(error) = measured {
            failed(&mut together, server.system, &error);
        }
    }
    for row in &mut rows {
        if let Some(theirs) = row.get(System::VictoriaMetrics) {
            row.goal = Goal::AtMost(theirs / 2.0);
        }
    }
    rows.push(agree);
    rows.extend(together);
    Ok(rows)
}

/// Notes how the rivals' answers differ from ours. Returns 1 if Prometheus' does not, else 0.
fn compare(answers: &[(System, Answer)], row: &mut Row) -> f64 {
    let Some(((System::Taffrail, ours), rivals)) = answers.split_first() else {
        return 0.0;
    };
    let mut equal = 0.0;
    for (system, theirs) in rivals {
        let difference = ours.difference(theirs);
        let is_equal = difference.missing == 0 && difference.relative_max <= TOLERANCE;
        if is_equal && *system == System::Prometheus {
            equal = 1.0;
        }
        row.notes.push(format!(
            "{}: {} points as ours within {:.1e}, {} points only one has",
            system.name(),
            difference.common,
            difference.relative_max,
            difference.missing
        ));
    }
    equal
}

/// A server that holds the scene.
struct Loaded {
    server: Server,
    /// Its data, which goes with it.
    _dir: TempDir,
}

async fn load(bench: &Bench<'_>, system: System, scene: &Scene) -> anyhow::Result<Loaded> {
    let dir = bench.folder()?;
    let server = bench.start(system, dir.path()).await?;
    let mut load = Load {
        connections: 4,
        window_ms: HISTORY_WINDOW_MS,
        lockstep: true,
        ..Load::default()
    };
    if !scene.history.is_empty() {
        server.client.load(&scene.history, load).await?;
    }
    load.window_ms = WINDOW_MS;
    server.client.load(&scene.scraped, load).await?;
    let settled = settle(bench, server, &dir, series::range(&scene.scraped)).await?;
    Ok(Loaded {
        server: settled.server,
        _dir: dir,
    })
}

/// Asks each system in turn, a batch at a time, and writes down the median of its batches. Returns the answers.
async fn in_turns(standing: &[Loaded], asked: &Asked, row: &mut Row) -> Vec<(System, Answer)> {
    let mut answers = Vec::new();
    let mut turns = Vec::new();
    for Loaded { server, .. } in standing {
        // The first one reads files and fills what the system keeps in memory by itself.
        match asked.answer(server).await {
            Ok(answer) => {
                answers.push((server.system, answer));
                turns.push((server, Vec::new()));
            }
            Err(error) => failed(std::slice::from_mut(row), server.system, &error),
        }
    }
    for _ in 0..BATCHES {
        for (server, cpu_seconds) in &mut turns {
            match batch(server, asked).await {
                Ok(used) => cpu_seconds.push(used),
                Err(error) => failed(std::slice::from_mut(row), server.system, &error),
            }
        }
    }
    for (server, mut cpu_seconds) in turns {
        cpu_seconds.sort_by(f64::total_cmp);
        if let Some(median) = cpu_seconds.get(cpu_seconds.len() / 2) {
            row.set(server.system, median * 1e3);
        }
    }
    answers
}

/// The CPU seconds of a query.
async fn batch(server: &Server, asked: &Asked) -> anyhow::Result<f64> {
    let before = server.process.cpu_seconds()?;
    let (mut used, mut count) = (0.0, 0.0);
    while used < BATCH_CPU_SECONDS && count < BATCH_QUERIES_MAX {
        asked.get(&server.client).await?;
        count += 1.0;
        used = server.process.cpu_seconds()? - before;
    }
    Ok(used / count)
}

impl Scene {
    fn ask(&self, query: &Query) -> Asked {
        let text = ("query", query.text.to_owned());
        let no_cache = ("nocache", "1".to_owned());
        let end = self.end_seconds;
        let (back, step) = match query.over {
            Over::Instant => {
                return Asked {
                    path: "/api/v1/query",
                    parameters: vec![text, ("time", end.to_string()), no_cache],
                };
            }
            Over::Hours => self.hours,
            Over::Day => self.day,
            Over::Month => (30 * 86_400, 3_600),
        };
        Asked {
            path: "/api/v1/query_range",
            parameters: vec![
                text,
                ("start", (end - back).to_string()),
                ("end", end.to_string()),
                ("step", format!("{step}s")),
                no_cache,
            ],
        }
    }
}

impl Asked {
    async fn get(&self, client: &Client) -> anyhow::Result<String> {
        let parameters = self.parameters.iter();
        let parameters: Vec<(&str, &str)> = parameters.map(|(k, v)| (*k, v.as_str())).collect();
        client.get(self.path, &parameters).await
    }

    async fn answer(&self, server: &Server) -> anyhow::Result<Answer> {
        Answer::parse(&self.get(&server.client).await?)
    }
}
