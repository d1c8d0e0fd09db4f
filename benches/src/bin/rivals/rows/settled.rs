//! What each system does with its data, left alone long enough, before bytes are counted.
//!
//! Taffrail is stopped, which flushes, and merges what its server merges by itself when the partition has
//! ended. VictoriaMetrics is told to flush and to merge. Prometheus compacts while it is loaded, and a
//! snapshot makes a block of what its head still holds. What is counted: our parts, the folders `data` and
//! `indexdb`, the snapshot's blocks; logs and caches of nobody.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::offline;
use crate::system::{Bench, Server, System, folder_bytes};

/// A server with its data at rest.
pub(super) struct Settled {
    pub(super) server: Server,
    /// Bytes of samples and index.
    pub(super) bytes: u64,
    /// Bytes of the index alone.
    pub(super) index_bytes: u64,
    /// What is worth saying about it.
    pub(super) note: String,
}

const IDLE: Duration = Duration::from_secs(2);
const IDLE_PATIENCE: Duration = Duration::from_mins(3);

/// Waits until the server does next to nothing.
pub(super) async fn idle(server: &Server) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut before = server.process.cpu_seconds()?;
    loop {
        tokio::time::sleep(IDLE).await;
        let now = server.process.cpu_seconds()?;
        if now - before < 0.05 || began.elapsed() > IDLE_PATIENCE {
            return Ok(());
        }
        before = now;
    }
}

/// Brings the data of a loaded server to rest; the server runs afterwards.
pub(super) async fn settle(
    bench: &Bench<'_>,
    server: Server,
    dir: &TempDir,
    range: (i64, i64),
) -> anyhow::Result<Settled> {
    match server.system {
        System::Taffrail => {
            server.process.terminate()?;
            offline::settle(dir.path())?;
            let (bytes, parts) = offline::part_bytes(dir.path(), range)?;
            Ok(Settled {
                bytes,
                index_bytes: offline::index_bytes(dir.path(), range)?,
                server: bench.start(System::Taffrail, dir.path()).await?,
                note: format!("taffrail has {parts} parts"),
            })
        }
        System::Prometheus => {
            idle(&server).await?;
            let path = "/api/v1/admin/tsdb/snapshot";
            let answer: Value = serde_json::from_str(&server.client.post(path).await?)?;
            let name = answer.pointer("/data/name").and_then(Value::as_str);
            let name = name.context("the snapshot has no name")?;
            let snapshot = dir.path().join("data").join("snapshots").join(name);
            let blocks: Vec<PathBuf> = entries(&snapshot)?;
            let mut index_bytes = 0;
            for block in &blocks {
                index_bytes += fs::metadata(block.join("index"))?.len();
            }
            Ok(Settled {
                bytes: folder_bytes(&snapshot)?,
                index_bytes,
                server,
                note: format!("prometheus has {} blocks", blocks.len()),
            })
        }
        System::VictoriaMetrics => {
            server.client.get("/internal/force_flush", &[]).await?;
            server.client.get("/internal/force_merge", &[]).await?;
            idle(&server).await?;
            let data = dir.path().join("data");
            let index_bytes = folder_bytes(&data.join("indexdb"))?;
            Ok(Settled {
                bytes: folder_bytes(&data.join("data"))? + index_bytes,
                index_bytes,
                server,
                note: "victoria-metrics was flushed and merged by force".to_owned(),
            })
        }
    }
}

fn entries(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    Ok(entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?)
}
