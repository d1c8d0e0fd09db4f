//! Remote write: 40 scrapes of 100,000 series over eight connections, 2,000 samples a request.
//!
//! CPU time is the server's, from before the first request until it has been stopped cleanly some
//! seconds after the last acknowledgement: whoever defers work to a flush pays for it here.
//! What "acknowledged" means differs, and is not levelled: Taffrail has the samples in its log, synced within
//! 100 ms or, in the second row, before the answer; Prometheus has them in its log, synced at the end of a
//! segment; VictoriaMetrics has them in memory.

use benches::day::Day;

use crate::client::Load;
use crate::report::{Goal, Row, Unit, failed};
use crate::series::{self, Set};
use crate::system::{Bench, Fsync, System};

pub(super) async fn run(bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
    let day = Day {
        seed: 2,
        series: bench.arguments.size(100_000, 5_000),
        scrapes: bench.arguments.size(40, 10),
    };
    let set = series::generated(&day);
    let rate = Unit::SamplesPerCpuSecond;
    let mut rows = vec![
        Row::new("remote write", rate, Goal::AtLeast(1.0)),
        Row::new(
            "remote write, wall clock",
            Unit::SamplesPerSecond,
            Goal::None,
        ),
        Row::new("remote write, peak memory", Unit::Mebibytes, Goal::None),
    ];
    for system in bench.systems() {
        if let Err(error) = measure(bench, system, Fsync::Interval, &set, &mut rows).await {
            failed(&mut rows, system, &error);
        }
    }
    let mut times = Row::new(
        "remote write, times victoria-metrics",
        Unit::Times,
        Goal::AtLeast(4.0),
    );
    let rates = rows
        .first()
        .map(|row| (row.get(System::Taffrail), row.get(System::VictoriaMetrics)));
    if let Some((Some(ours), Some(theirs))) = rates {
        times.set(System::Taffrail, ours / theirs);
    }
    let mut always = vec![
        Row::new("remote write, fsync always", rate, Goal::AtLeast(1.0)),
        Row::new(
            "remote write, fsync always, wall clock",
            Unit::SamplesPerSecond,
            Goal::None,
        ),
        Row::new(
            "remote write, fsync always, peak memory",
            Unit::Mebibytes,
            Goal::None,
        ),
    ];
    if bench.arguments.wants(System::Taffrail)
        && let Err(error) = measure(bench, System::Taffrail, Fsync::Always, &set, &mut always).await
    {
        failed(&mut always, System::Taffrail, &error);
    }
    rows.push(times);
    rows.extend(always);
    Ok(rows)
}

async fn measure(
    bench: &Bench<'_>,
    system: System,
    fsync: Fsync,
    set: &Set,
    rows: &mut [Row],
) -> anyhow::Result<()> {
    let [per_cpu, wall, peak] = rows else {
        return Ok(());
    };
    let dir = bench.folder()?;
    let server = bench.start_with(system, dir.path(), fsync).await?;
    let cpu_before = server.process.cpu_seconds()?;
    let loaded = server.client.load(set, Load::default()).await?;
    bench.pause().await;
    let peak_bytes = server.process.peak_bytes()?;
    let cpu_seconds = server.process.terminate()? - cpu_before;
    let samples = loaded.samples as f64 / 1e6;
    per_cpu.set(system, samples / cpu_seconds);
    per_cpu.notes.push(format!(
        "{}: {cpu_seconds:.2} CPU seconds for {:.2} M samples, {} requests sent again",
        system.name(),
        samples,
        loaded.repeated
    ));
    wall.set(system, samples / loaded.seconds);
    peak.set(system, peak_bytes as f64 / f64::from(1 << 20));
    Ok(())
}
