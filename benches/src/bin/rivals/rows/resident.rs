//! Memory of a million active series, and the start after kill -9.
//!
//! Four scrapes of every series are sent, and resident memory is read right after the last
//! acknowledgement. Some seconds later (VictoriaMetrics would lose what it was told last) the process is killed and
//! started on its data: the time runs from exec until the series of the pod sent last are counted
//! in an answer. Prometheus is given a tenth of the series, for it needs some 4 KB for each.

use std::time::Duration;

use anyhow::{Context as _, bail};
use benches::day::{Day, STEP_MS};
use model::sample::is_stale_nan;

use crate::client::Load;
use crate::report::{Goal, Row, Unit, failed};
use crate::series::{self, Series, Set};
use crate::system::{Bench, Fsync, System};

const SCRAPES: usize = 4;

pub(super) async fn run(bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
    let mebibytes = Unit::Mebibytes;
    let mut rows = vec![
        Row::new(
            "resident, a million series",
            Unit::BytesPerSeries,
            Goal::AtMost(500.0),
        ),
        Row::new("resident at the peak", Unit::BytesPerSeries, Goal::None),
        Row::new("start after kill -9", Unit::Seconds, Goal::AtMost(1.0)),
        Row::new("peak memory before the kill", mebibytes, Goal::None),
        Row::new("peak memory of the start", mebibytes, Goal::None),
        Row::new("peak of the start / before", Unit::Times, Goal::AtMost(1.0)),
    ];
    let many = bench.arguments.size(1_000_000, 20_000);
    for system in bench.systems() {
        let series = match system {
            System::Prometheus => many / 10,
            _ => many,
        };
        let day = Day {
            seed: 3,
            series,
            scrapes: SCRAPES,
        };
        let set = series::generated(&day);
        if let Err(error) = measure(bench, system, &set, &mut rows).await {
            failed(&mut rows, system, &error);
        }
        if let Some(row) = rows.first_mut() {
            row.notes
                .push(format!("{}: {series} series", system.name()));
        }
    }
    Ok(rows)
}

async fn measure(
    bench: &Bench<'_>,
    system: System,
    set: &Set,
    rows: &mut [Row],
) -> anyhow::Result<()> {
    let [resident, peak, start, before, after, ratio] = rows else {
        return Ok(());
    };
    let dir = bench.folder()?;
    let server = bench.start(system, dir.path()).await?;
    server.client.load(set, Load::default()).await?;
    let resident_bytes = server.process.resident_bytes()? as f64;
    bench.pause().await;
    let peak_bytes = server.process.peak_bytes()? as f64;
    let series = set.len() as f64;
    resident.set(system, resident_bytes / series);
    peak.set(system, peak_bytes / series);
    before.set(system, peak_bytes / f64::from(1 << 20));
    server.process.kill()?;

    let mut server = bench.exec(system, dir.path(), Fsync::Interval)?;
    let last_ms = series::range(set).1;
    let pod = set.last().and_then(|series| series.labels.get("pod"));
    let pod = pod.context("no series")?;
    let of_pod = active(
        set.iter()
            .filter(|series| series.labels.get("pod") == Some(pod)),
    );
    let query = format!("count({{pod=\"{pod}\"}})");
    loop {
        server.check()?;
        // Not yet listening, not yet ready and not yet all are the same to whoever waits.
        let count = server.client.value(&query, last_ms + STEP_MS).await;
        if matches!(count, Ok(Some(count)) if count as usize == of_pod) {
            break;
        }
        if server.began.elapsed() > Duration::from_mins(5) {
            bail!("after kill -9 {query} is {count:?}, not {of_pod}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    start.set(system, server.began.elapsed().as_secs_f64());
    let start_bytes = server.process.peak_bytes()? as f64;
    after.set(system, start_bytes / f64::from(1 << 20));
    ratio.set(system, start_bytes / peak_bytes);
    let all = server
        .client
        .value("count({cluster=\"bench\"})", last_ms + STEP_MS)
        .await;
    // Some ended with a staleness marker: they are no longer counted.
    let of_all = active(set.iter());
    start.notes.push(match all {
        Ok(count) => format!(
            "{}: {} of {of_all} series counted afterwards",
            system.name(),
            count.unwrap_or(0.0)
        ),
        Err(error) => format!("{}: counting all failed: {error:#}", system.name()),
    });
    Ok(())
}

/// How many series do not end in a staleness marker.
fn active<'a>(series: impl Iterator<Item = &'a Series>) -> usize {
    let last = series.filter_map(|series| series.values.last());
    last.filter(|value| !is_stale_nan(**value)).count()
}
