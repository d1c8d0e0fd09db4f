//! Eight clients at once, each asking all queries over and over, beginning with another one.
//!
//! Latencies are on the wall clock and of all queries together: p99 is that of the heaviest ones, behind
//! seven others. Clients run on the same machine, whose cores they share with the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::report::{Goal, Row, Unit};
use crate::system::{Bench, Server};

use super::Asked;

const CLIENTS: usize = 8;

pub(super) fn rows(scene: &str) -> Vec<Row> {
    let row = |what: &str, unit| {
        Row::new(
            format!("{scene}: {CLIENTS} clients, {what}"),
            unit,
            Goal::None,
        )
    };
    vec![
        row("p50", Unit::Milliseconds),
        row("p99", Unit::Milliseconds),
        row("rate", Unit::QueriesPerSecond),
        row("CPU of a query", Unit::CpuMilliseconds),
    ]
}

pub(super) async fn measure(
    bench: &Bench<'_>,
    server: &Server,
    asked: Arc<[Asked]>,
    rows: &mut [Row],
) -> anyhow::Result<()> {
    let long = Duration::from_secs(bench.arguments.size(20, 1) as u64);
    let cpu_before = server.process.cpu_seconds()?;
    let began = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..CLIENTS {
        let (asked, client) = (Arc::clone(&asked), server.client.clone());
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            let first = asked.len() * number / CLIENTS;
            for one in asked.iter().cycle().skip(first) {
                let sent = Instant::now();
                if sent.duration_since(began) > long {
                    break;
                }
                one.get(&client).await?;
                latencies.push(sent.elapsed());
            }
            anyhow::Ok(latencies)
        }));
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu_seconds = server.process.cpu_seconds()? - cpu_before;
    latencies.sort();
    let quantile = |q: f64| {
        let place = (latencies.len() as f64 * q) as usize;
        let found = latencies.get(place).or(latencies.last());
        found.map_or(f64::NAN, Duration::as_secs_f64) * 1e3
    };
    let count = latencies.len() as f64;
    let figures = [
        quantile(0.5),
        quantile(0.99),
        count / seconds,
        cpu_seconds / count * 1e3,
    ];
    for (row, figure) in rows.iter_mut().zip(figures) {
        row.set(server.system, figure);
    }
    if let Some(row) = rows.first_mut() {
        let name = server.system.name();
        row.notes.push(format!("{name}: {count} queries"));
    }
    Ok(())
}
