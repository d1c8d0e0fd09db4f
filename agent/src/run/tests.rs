//! The whole agent over a machine made of files, with a sink that records.

use std::fs;

use futures_util::future::BoxFuture;
use model::entry::StreamEntries;
use model::sample::{Metadata, SeriesSamples, is_stale_nan};
use parking_lot::Mutex;

use super::*;
use crate::ship::ShipError;

/// Records everything, or refuses to answer.
#[derive(Default)]
struct Recorder {
    series: Mutex<Vec<SeriesSamples>>,
    metadata: Mutex<Vec<Metadata>>,
    lines: Mutex<Vec<String>>,
    down: bool,
    arrived: tokio::sync::Notify,
}

impl Recorder {
    fn answer(&self) -> BoxFuture<'_, Result<(), ShipError>> {
        self.arrived.notify_one();
        let answer = if self.down {
            Err(ShipError::retryable("down"))
        } else {
            Ok(())
        };
        Box::pin(async { answer })
    }
}

impl Sink for Recorder {
    fn write_series(
        &self,
        series: Vec<SeriesSamples>,
        metadata: Vec<Metadata>,
    ) -> BoxFuture<'_, Result<(), ShipError>> {
        self.series.lock().extend(series);
        self.metadata.lock().extend(metadata);
        self.answer()
    }

    fn write_streams(&self, streams: Vec<StreamEntries>) -> BoxFuture<'_, Result<(), ShipError>> {
        let entries = streams.into_iter().flat_map(|stream| stream.entries);
        self.lines.lock().extend(entries.map(|entry| entry.line));
        self.answer()
    }
}

fn machine() -> (tempfile::TempDir, AgentConfig) {
    // Another test of this process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    for (name, text) in [
        ("proc/stat", "cpu  200 0 100 700 0 0 50 0 0 0\ncpu0 1 2 3\n"),
        ("proc/sys/kernel/hostname", "node-a\n"),
        ("log/a.log", "one\ntwo\n"),
    ] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    let mut config = AgentConfig::default();
    config.roots.proc = root.join("proc");
    config.roots.sys = root.join("sys");
    config.roots.var_log = root.join("log");
    config.roots.rootfs = root.to_owned();
    config.tail.globs = vec![format!("{}/log/*.log", root.display())];
    config.tail.checkpoint = root.join("state/tail.json");
    (folder, config)
}

#[tokio::test]
async fn both_flows_reach_the_sink_and_end() {
    let (_folder, config) = machine();
    let sink = Arc::new(Recorder::default());
    let mut registry = Registry::default();
    let own: Exposer = Arc::new(|| Ok("# TYPE x counter\nx_total 1\n# EOF\n".to_owned()));
    let handle =
        Agent::start(config, Arc::clone(&sink) as _, Some(own), &mut registry).expect("started");
    let wanted = [
        r#"container_cpu_usage_seconds_total{cpu="total", id="/", instance="node-a", job="kubelet", metrics_path="/metrics/cadvisor", node="node-a"}"#,
        r#"node_cpu_seconds_total{cpu="0", instance="node-a", job="node-exporter", mode="user"}"#,
        r#"x_total{instance="node-a", job="taffrail"}"#,
        r#"up{instance="node-a", job="taffrail"}"#,
    ];
    let has = |labels: &str| {
        let series = sink.series.lock();
        series
            .iter()
            .any(|series| series.labels.to_string() == labels)
    };
    while sink.lines.lock().len() < 2 || !wanted.iter().all(|labels| has(labels)) {
        sink.arrived.notified().await;
    }
    assert!(handle.shutdown(Duration::from_secs(30)).await, "drained");
    assert_eq!(*sink.lines.lock(), ["one", "two"]);
    assert!(
        sink.metadata
            .lock()
            .iter()
            .any(|metadata| metadata.family == "x")
    );
    let series = sink.series.lock();
    for labels in wanted {
        let last = series
            .iter()
            .rfind(|series| series.labels.to_string() == labels);
        let value = last.expect("a sample").samples[0].value;
        assert!(is_stale_nan(value), "{labels} does not end: {value}");
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("encoded");
    assert!(text.contains("taffrail_agent_tail_lines_total 2"), "{text}");
    assert!(
        text.contains("taffrail_agent_ship_streams_writes_total{outcome=\"acknowledged\"} 1"),
        "{text}"
    );
}

#[tokio::test]
async fn a_sink_that_is_down_does_not_hold_a_shutdown_beyond_its_deadline() {
    let (_folder, config) = machine();
    let sink = Arc::new(Recorder {
        down: true,
        ..Recorder::default()
    });
    let mut registry = Registry::default();
    let handle =
        Agent::start(config, Arc::clone(&sink) as _, None, &mut registry).expect("started");
    sink.arrived.notified().await;
    assert!(
        !handle.shutdown(Duration::from_millis(50)).await,
        "not drained"
    );
}

#[tokio::test]
async fn a_wrong_configuration_starts_nothing() {
    let (_folder, mut config) = machine();
    config.scrape.timeout = Duration::ZERO;
    let sink: Arc<dyn Sink> = Arc::new(Recorder::default());
    let started = Agent::start(config, sink, None, &mut Registry::default());
    assert!(matches!(started, Err(StartError::Config(_))));
}
