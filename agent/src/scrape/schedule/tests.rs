//! One target's scrapes, over HTTP and in this process.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use futures_util::future::BoxFuture;
use model::entry::StreamEntries;
use model::labels::Labels;
use model::sample::{Metadata, is_stale_nan};
use model::time::TimestampNs;
use model::wire::exposition::Format;
use parking_lot::Mutex;
use url::Url;

use super::*;
use crate::access::Access;
use crate::scrape::fetch::Fetcher;
use crate::scrape::target::{Conflicts, Exposer, Limits};
use crate::ship::{ShipError, Sink, outbox};

/// Records what is written.
#[derive(Default)]
struct Recorder(Mutex<Vec<SeriesSamples>>);

impl Sink for Recorder {
    fn write_series(
        &self,
        series: Vec<SeriesSamples>,
        _: Vec<Metadata>,
    ) -> BoxFuture<'_, Result<(), ShipError>> {
        self.0.lock().extend(series);
        Box::pin(async { Ok(()) })
    }

    fn write_streams(&self, _: Vec<StreamEntries>) -> BoxFuture<'_, Result<(), ShipError>> {
        Box::pin(async { Err(ShipError::refused("samples only")) })
    }
}

fn around(sink: &Arc<Recorder>) -> (Surroundings, impl Future<Output = ()> + Send + 'static) {
    // Another test of this process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let metrics = Arc::new(AgentMetrics::default());
    let sink: Arc<dyn Sink> = Arc::clone(sink) as _;
    let (outbox, shipping) = outbox(16, sink, Arc::clone(&metrics), CancellationToken::new());
    let around = Surroundings {
        fetcher: Fetcher::new(Access::default()).expect("a client"),
        clock: Clock::new(|| TimestampNs(1_000_000_000_000)),
        outbox,
        metrics,
    };
    (around, shipping)
}

fn target(source: Source) -> Target {
    Target {
        source,
        labels: Labels::from_pairs([("job", "j"), ("instance", "i")]),
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        limits: Limits {
            body_bytes_max: 64,
            samples_max: 0,
        },
        conflicts: Conflicts::Rename,
    }
}

fn in_process(body: &'static str) -> Target {
    let exposer: Exposer = Arc::new(move || Ok(body.to_owned()));
    target(Source::Process(exposer, Format::Text))
}

/// Name and value of each sample; the duration is left out.
fn render(series: &[SeriesSamples]) -> Vec<String> {
    series
        .iter()
        .filter(|series| series.labels.metric_name() != "scrape_duration_seconds")
        .map(|series| {
            let name = series.labels.metric_name();
            let value = series.samples[0].value;
            if is_stale_nan(value) {
                format!("{name} stale")
            } else {
                format!("{name} {value}")
            }
        })
        .collect()
}

#[tokio::test]
async fn a_scrape_reports_on_itself() {
    let (around, _) = around(&Arc::default());
    let mut scraper = Scraper::new(in_process("a 1\nb 2\n"));
    let batch = scraper.scrape(&around, Timestamp(5)).await;
    assert_eq!(
        render(&batch.series),
        [
            "a 1",
            "b 2",
            "up 1",
            "scrape_samples_scraped 2",
            "scrape_samples_post_metric_relabeling 2",
            "scrape_series_added 2"
        ]
    );
    assert_eq!(
        batch.series[2].labels.to_string(),
        r#"up{instance="i", job="j"}"#
    );
    let end = scraper.end(Timestamp(3));
    assert_eq!(end.series.len(), 2 + 5);
    for series in &end.series {
        assert!(is_stale_nan(series.samples[0].value));
        assert_eq!(
            series.samples[0].timestamp,
            Timestamp(6),
            "behind the last sample"
        );
    }
    assert_eq!(scraper.end(Timestamp(9)).series.len(), 0);
}

#[tokio::test]
async fn a_body_over_http_is_read_by_its_type() {
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let headers_seen = Arc::clone(&seen);
    let answers = Arc::new(Mutex::new(vec![
        (
            200,
            "text/plain",
            "0123456789 1\n0123456789 1\n0123456789 1\n0123456789 1\n0123456789 1\n",
        ),
        (500, "text/plain", "a 1\n"),
        (200, "text/plain", "a \u{0}1\n"),
        (200, "application/openmetrics-text; version=1.0.0", "a 1\n"),
        (
            200,
            "application/openmetrics-text; version=1.0.0",
            "a 1 2.5\n# EOF\n",
        ),
        (200, "text/plain; version=0.0.4", "a 1 2500\n"),
    ]));
    let app = axum::Router::new().fallback(move |headers: HeaderMap| async move {
        *headers_seen.lock() = headers;
        let (status, kind, body) = answers.lock().pop().expect("no scrape too many");
        let status = StatusCode::from_u16(status).expect("a status");
        (status, [("content-type", kind)], body).into_response()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    let url = Url::parse(&format!("http://{address}/metrics")).expect("a URL");
    let (around, _) = around(&Arc::default());
    let mut scraper = Scraper::new(target(Source::Http(url)));
    for _ in 0..2 {
        let batch = scraper.scrape(&around, Timestamp(5)).await;
        assert_eq!(render(&batch.series)[..2], ["a 1", "up 1"]);
        assert_eq!(batch.series[0].samples[0].timestamp, Timestamp(2500));
    }
    for _ in 0..4 {
        let batch = scraper.scrape(&around, Timestamp(5)).await;
        assert_eq!(render(&batch.series)[0], "up 0");
    }
    let headers = seen.lock();
    let accept = headers["accept"].to_str().expect("text");
    assert!(
        accept.starts_with("application/openmetrics-text;version=1.0.0"),
        "{accept}"
    );
    assert_eq!(headers["x-prometheus-scrape-timeout-seconds"], "5");
}

#[tokio::test]
async fn a_collector_that_fails_or_panics_is_down() {
    let (around, _) = around(&Arc::default());
    let failing: Exposer = Arc::new(|| Err("no files".to_owned()));
    let panicking: Exposer = Arc::new(|| panic!("for the test"));
    let long: Exposer = Arc::new(|| Ok("a 1\n".repeat(100)));
    for exposer in [failing, panicking, long] {
        let mut scraper = Scraper::new(target(Source::Process(exposer, Format::Text)));
        let batch = scraper.scrape(&around, Timestamp(5)).await;
        assert_eq!(render(&batch.series)[0], "up 0");
    }
}

#[tokio::test]
async fn a_stopped_target_ends_its_series() {
    let sink = Arc::new(Recorder::default());
    let (around, shipping) = around(&sink);
    let stop = CancellationToken::new();
    let exposed = Arc::new(tokio::sync::Notify::new());
    let told = Arc::clone(&exposed);
    let exposer: Exposer = Arc::new(move || {
        told.notify_one();
        Ok("a 1\n".to_owned())
    });
    let shipping = tokio::spawn(shipping);
    let scraper = Scraper::new(target(Source::Process(exposer, Format::Text)));
    let outbox = around.outbox.clone();
    let running = tokio::spawn(scraper.run(around, stop.clone()));
    exposed.notified().await;
    // The stop may cut the first scrape off; then nothing was handed on and nothing ends.
    while sink.0.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    running.await.expect("ended");
    drop(outbox);
    shipping.await.expect("ended");
    let rows = render(&sink.0.lock());
    assert_eq!(rows.len(), 10, "{rows:?}");
    assert_eq!(rows[..2], ["a 1", "up 1"]);
    assert!(
        rows[5..].iter().all(|row| row.ends_with(" stale")),
        "{rows:?}"
    );
}

#[test]
fn targets_keep_their_offset() {
    let url = |port: u16| {
        let url = Url::parse(&format!("http://localhost:{port}/metrics")).expect("a URL");
        Scraper::new(target(Source::Http(url)))
    };
    let (a, b) = (url(1), url(2));
    assert_ne!(a.target.offset(), b.target.offset());
    let due = a.first_due(Timestamp(1_000_000));
    assert!(due > Timestamp(1_000_000) && due <= Timestamp(1_010_000));
    assert_eq!(
        a.first_due(Timestamp(1_010_000)),
        due.saturating_add(10_000)
    );
    assert_eq!(align(Timestamp(1002), Timestamp(1000)), Timestamp(1000));
    assert_eq!(align(Timestamp(1003), Timestamp(1000)), Timestamp(1003));
}
