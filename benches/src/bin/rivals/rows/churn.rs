//! Bytes of index for a new series: a week in which 5 % of the pods are replaced each hour.
//!
//! A pod has a hundred series of ten labels, each with a sample an hour. Counted is what holds labels: our parts'
//! sections of the index with their blocks (a day's parts each have their own, so that a series that
//! lives over midnight is there twice); VictoriaMetrics' `indexdb`; the file `index` of Prometheus' blocks.

use std::sync::Arc;

use benches::day::{START, pod_labels};

use crate::client::Load;
use crate::report::{Goal, Row, Unit, failed};
use crate::series::{self, Series, Set};
use crate::system::{Bench, System};

use super::settled::settle;

const HOUR_MS: i64 = 3_600_000;
/// One pod of this many is replaced each hour.
const REPLACED_PER_HOUR: usize = 20;

pub(super) async fn run(bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
    let set = week(
        bench.arguments.size(100, 20),
        bench.arguments.size(168, 24) as i64,
    );
    let mut rows = vec![Row::new(
        "index, a new series under churn",
        Unit::BytesPerSeries,
        Goal::AtMost(60.0),
    )];
    for row in &mut rows {
        row.notes.push(format!("{} series in all", set.len()));
    }
    for system in bench.systems() {
        if let Err(error) = measure(bench, system, &set, &mut rows).await {
            failed(&mut rows, system, &error);
        }
    }
    Ok(rows)
}

/// `places` pods at a time; each hour one in twenty gives its place to a new one.
fn week(places: usize, hours: i64) -> Set {
    let mut set = Vec::new();
    let mut next_pod = places;
    let mut pods: Vec<(usize, i64)> = (0..places).map(|pod| (pod, 0)).collect();
    let mut end = |pod: usize, from: i64, to: i64| {
        let timestamps: Arc<[i64]> = (from..to)
            .map(|hour| START.millis() + hour * HOUR_MS + (pod % 600) as i64 * 1_000)
            .collect();
        for (number, labels) in pod_labels(pod).enumerate() {
            let values = (from..to).map(|hour| (hour * 100 + number as i64) as f64);
            set.push(Series::new(
                labels,
                Arc::clone(&timestamps),
                values.collect(),
            ));
        }
    };
    for hour in 1..hours {
        for (place, (pod, since)) in pods.iter_mut().enumerate() {
            if (place + hour as usize).is_multiple_of(REPLACED_PER_HOUR) {
                end(*pod, *since, hour);
                (*pod, *since) = (next_pod, hour);
                next_pod += 1;
            }
        }
    }
    for (pod, since) in pods {
        end(pod, since, hours);
    }
    Arc::new(set)
}

async fn measure(
    bench: &Bench<'_>,
    system: System,
    set: &Set,
    rows: &mut [Row],
) -> anyhow::Result<()> {
    let dir = bench.folder()?;
    let server = bench.start(system, dir.path()).await?;
    let load = Load {
        connections: 4,
        window_ms: HOUR_MS / 2,
        lockstep: true,
        ..Load::default()
    };
    server.client.load(set, load).await?;
    let settled = settle(bench, server, &dir, series::range(set)).await?;
    for row in rows {
        row.set(system, settled.index_bytes as f64 / set.len() as f64);
        row.notes.push(settled.note.clone());
    }
    Ok(())
}
