//! The parameters of the HTTP API: any bytes as the query of a URL and as a posted form, sent to the router of a small store. The
//! first byte says where they go. Whatever they are, there is an answer, it is not an internal error, and it is JSON where it says so.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use libfuzzer_sys::fuzz_target;
use model::histogram::{Histogram, Span};
use model::labels::Labels;
use model::sample::{HistogramSample, Metadata, MetricType, Sample, SeriesSamples};
use model::time::Timestamp;
use serde::de::IgnoredAny;
use storage::clock::ManualClock;
use storage::disk::sim::SimDisk;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;
use tsdb::{Tsdb, TsdbOptions};

/// The present instant, in milliseconds.
const NOW: i64 = 1_700_000_000_000;
const FORM: &str = "application/x-www-form-urlencoded";

const PATHS: [&str; 13] = [
    "/api/v1/query",
    "/api/v1/query_range",
    "/api/v1/format_query",
    "/api/v1/parse_query",
    "/api/v1/query_exemplars",
    "/api/v1/labels",
    "/api/v1/label/job/values",
    "/api/v1/series",
    "/federate",
    "/api/v1/export",
    "/api/v1/metadata",
    "/api/v1/status/tsdb",
    "/api/v1/read",
];

struct Server {
    runtime: Runtime,
    router: Router,
    /// Keeps the store.
    _tsdb: Tsdb,
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let mut options = TsdbOptions::default();
    options.query.samples_max = 100_000;
    options.query.memory_bytes_max = 64 << 20;
    options.query.timeout = Duration::from_secs(2);
    let clock = Arc::new(ManualClock::new(Timestamp(NOW)));
    let disk = Arc::new(SimDisk::new(0));
    let (tsdb, _) = Tsdb::open(disk, clock, Path::new("/data"), options).expect("opens");
    tsdb.append(&series()).expect("stores");
    let metadata = Metadata {
        family: "hits_total".to_owned(),
        metric_type: MetricType::Counter,
        help: "Hits.".to_owned(),
        unit: String::new(),
    };
    tsdb.record_metadata(&[metadata]).expect("stores");
    Server {
        runtime: Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime"),
        router: tsdb.router(),
        _tsdb: tsdb,
    }
});

fn series() -> Vec<SeriesSamples> {
    let at = |minute: i64| Timestamp(NOW - 60_000 * minute);
    let mut all = Vec::new();
    for (name, le) in [
        ("hits_total", ""),
        ("http_bucket", "1"),
        ("http_bucket", "+Inf"),
        ("up", ""),
    ] {
        for job in ["a", "b"] {
            let samples = (0..20).rev().map(|minute| Sample {
                timestamp: at(minute),
                value: (20 - minute) as f64,
            });
            all.push(SeriesSamples {
                labels: Labels::from_pairs([("__name__", name), ("job", job), ("le", le)]),
                samples: samples.collect(),
                ..SeriesSamples::default()
            });
        }
    }
    let histograms = (0..20).rev().map(|minute| HistogramSample {
        timestamp: at(minute),
        histogram: Histogram {
            count: 3.0,
            sum: 2.5,
            zero_count: 1.0,
            positive_spans: vec![Span {
                offset: 1,
                length: 1,
            }],
            positive_buckets: vec![2.0],
            ..Histogram::default()
        },
    });
    all.push(SeriesSamples {
        labels: Labels::from_pairs([("__name__", "native"), ("job", "a")]),
        histograms: histograms.collect(),
        ..SeriesSamples::default()
    });
    all
}

fn ask(request: Request<Body>) {
    let server = &*SERVER;
    let (head, body) = server.runtime.block_on(async {
        let answer = server.router.clone().oneshot(request).await;
        let (head, body) = answer.expect("infallible").into_parts();
        (head, to_bytes(body, usize::MAX).await)
    });
    assert_ne!(head.status, StatusCode::INTERNAL_SERVER_ERROR, "{body:?}");
    let is_json = |kind: &header::HeaderValue| kind == "application/json";
    if head.headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
        let body = body.expect("it is whole");
        let json = serde_json::from_slice::<IgnoredAny>(&body);
        json.unwrap_or_else(|error| panic!("{error}: {body:?}"));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    let Some(path) = PATHS.get(usize::from(*kind) % PATHS.len()) else {
        return;
    };
    let post = Request::post(*path);
    if path.ends_with("/read") {
        let packed = snap::raw::Encoder::new()
            .compress_vec(bytes)
            .expect("it is short");
        ask(post.body(packed.into()).expect("a request"));
        return;
    }
    let form = post.header(header::CONTENT_TYPE, FORM);
    ask(form.body(bytes.to_vec().into()).expect("a request"));
    // Not every text is a part of a URL.
    if let Ok(query) = str::from_utf8(bytes)
        && let Ok(request) = Request::get(format!("{path}?{query}")).body(Body::empty())
    {
        ask(request);
    }
});
