//! Bytes a sample of the recording after all merges, index included, and whether what comes back is
//! what was sent, bit for bit. The recording holds no NaN, so every sample can be asked for.

use crate::client::Load;
use crate::report::{Goal, Row, Unit, failed};
use crate::series::{self, Set};
use crate::system::{Bench, System};

use super::answers::Answer;
use super::settled::settle;

/// Scrapes that are sent in one request: few requests load what is measured only at rest.
const WINDOW_MS: i64 = 15_000;

pub(super) async fn run(bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
    let path = &bench.arguments.recording;
    let mut rows = vec![
        Row::new(
            "recording, merged",
            Unit::BytesPerSample,
            Goal::AtMost(0.40),
        ),
        Row::new(
            "recording, samples changed",
            Unit::Samples,
            Goal::AtMost(0.0),
        ),
    ];
    let Some(set) = series::recorded(path)? else {
        let note = format!("{} is absent: --recording FILE", path.display());
        for row in &mut rows {
            row.notes.push(note.clone());
        }
        return Ok(rows);
    };
    let sent = Answer::of(&set);
    for system in bench.systems() {
        if let Err(error) = measure(bench, system, &set, &sent, &mut rows).await {
            failed(&mut rows, system, &error);
        }
    }
    Ok(rows)
}

async fn measure(
    bench: &Bench<'_>,
    system: System,
    set: &Set,
    sent: &Answer,
    rows: &mut [Row],
) -> anyhow::Result<()> {
    let [bytes, changed] = rows else {
        return Ok(());
    };
    let dir = bench.folder()?;
    let server = bench.start(system, dir.path()).await?;
    let load = Load {
        window_ms: WINDOW_MS,
        lockstep: true,
        ..Load::default()
    };
    server.client.load(set, load).await?;
    let range = series::range(set);
    let settled = settle(bench, server, &dir, range).await?;
    bytes.set(system, settled.bytes as f64 / series::samples(set) as f64);
    bytes.notes.push(settled.note);

    let seconds = (range.1 - range.0) / 1000 + 60;
    let query = format!("{{__name__=~\".+\"}}[{seconds}s]");
    let at = (range.1 as f64 / 1000.0).to_string();
    let parameters = [
        ("query", query.as_str()),
        ("time", at.as_str()),
        ("nocache", "1"),
    ];
    let body = settled
        .server
        .client
        .get("/api/v1/query", &parameters)
        .await?;
    let difference = sent.difference(&Answer::parse(&body)?);
    changed.set(system, (difference.changed + difference.missing) as f64);
    if difference.changed + difference.missing > 0 {
        changed.notes.push(format!(
            "{}: {} changed, by up to {:.1e} of the value; {} missing",
            system.name(),
            difference.changed,
            difference.relative_max,
            difference.missing
        ));
    }
    Ok(())
}
