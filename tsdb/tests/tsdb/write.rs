//! Remote write through the router: what is stored, what is refused, and with which status.

use ::model::sample::SeriesSamples;
use ::model::wire::remote_write::{LabelPair, TimeSeries, WireSample, WriteRequest};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use prost::Message as _;
use storage::disk::sim::{Fault, SimDisk};
use storage::store::StoreOptions;
use storage::wal::sync::FsyncPolicy;
use tsdb::ingest::limits::IngestLimits;
use tsdb::ingest::remote_write;
use tsdb::{Tsdb, TsdbOptions};

use crate::api::{NOW, ask, open, series};
use crate::support::read_all;

fn request(body: Vec<u8>, headers: &[(header::HeaderName, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(Method::POST).uri("/api/v1/write");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request.body(Body::from(body)).expect("a request")
}

async fn write(tsdb: &Tsdb, body: Vec<u8>) -> (StatusCode, String) {
    let headers = [
        (header::CONTENT_TYPE, "application/x-protobuf"),
        (header::CONTENT_ENCODING, "snappy"),
    ];
    ask(tsdb, request(body, &headers)).await
}

fn encoded(batch: &[SeriesSamples]) -> Vec<u8> {
    remote_write::encode(batch, &[]).expect("encodes")
}

fn up(samples: &[(i64, f64)]) -> SeriesSamples {
    series(&[("__name__", "up"), ("job", "x")], samples)
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_power_loss() {
    let disk = SimDisk::new(1);
    let options = TsdbOptions {
        store: StoreOptions {
            fsync: FsyncPolicy::Always,
            ..StoreOptions::default()
        },
        ..TsdbOptions::default()
    };
    let tsdb = open(&disk, options.clone());
    let body = encoded(&[up(&[(NOW, 1.0), (NOW + 15_000, 0.0)])]);
    assert_eq!(
        write(&tsdb, body).await,
        (StatusCode::NO_CONTENT, String::new())
    );
    drop(tsdb);
    let tsdb = open(&disk.after_power_loss(), options);
    assert_eq!(read_all(tsdb.store()).len(), 2);
}

#[tokio::test]
async fn a_write_is_taken_in_part_and_the_rest_is_named() {
    let tsdb = open(&SimDisk::new(1), TsdbOptions::default());
    let far = NOW + 3_600_000;
    let nameless = SeriesSamples {
        labels: ::model::labels::Labels::from_pairs([("job", "y")]),
        ..up(&[(NOW, 1.0)])
    };
    let mut request = WriteRequest {
        timeseries: [up(&[(NOW, 1.0), (far, 1.0)]), nameless]
            .iter()
            .map(TimeSeries::from)
            .collect(),
        metadata: Vec::new(),
    };
    let pair = |name: &str, value: &str| LabelPair {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    request.timeseries.push(TimeSeries {
        labels: vec![pair("__name__", "twice"), pair("a", "1"), pair("a", "2")],
        samples: vec![WireSample {
            value: Some(1.0),
            timestamp: NOW,
        }],
        ..TimeSeries::default()
    });
    let body = snap::raw::Encoder::new()
        .compress_vec(&request.encode_to_vec())
        .expect("compresses");
    let (status, text) = write(&tsdb, body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let expected = format!(
        "out of bounds: timestamp is too far in the future: series up{{job=\"x\"}}, timestamp {far}\n\
         invalid metric name or labels, got {{job=\"y\"}}\n\
         invalid labels for series, labels twice{{a=\"2\"}}, duplicated label a\n"
    );
    assert_eq!(text, expected);
    assert_eq!(read_all(tsdb.store()).len(), 1);
    let mut registry = Registry::default();
    tsdb.register(&mut registry);
    let mut exposition = String::new();
    encode(&mut exposition, &registry).expect("encodes");
    for line in [
        "taffrail_tsdb_samples_total 1",
        "taffrail_tsdb_refused_samples_total 3",
        "taffrail_tsdb_memtable_samples 1",
    ] {
        assert!(
            exposition.lines().any(|found| found == line),
            "{line}: {exposition}"
        );
    }
}

#[tokio::test]
async fn what_is_no_remote_write_is_refused() {
    let limits = IngestLimits {
        request_bytes_max: 2000,
        unpacked_bytes_max: 3000,
        series_max: 2,
        decoded_bytes_max: 10_000,
        ..IngestLimits::default()
    };
    let options = TsdbOptions {
        ingest: limits,
        ..TsdbOptions::default()
    };
    let tsdb = open(&SimDisk::new(1), options);
    let zeros = |bytes: usize| {
        let mut snappy = snap::raw::Encoder::new();
        snappy.compress_vec(&vec![0; bytes]).expect("compresses")
    };
    // Two bytes each on the wire.
    let heavy = encoded(&[SeriesSamples {
        exemplars: vec![
            ::model::sample::Exemplar {
                labels: ::model::labels::Labels::empty(),
                value: 0.0,
                timestamp: None,
            };
            400
        ],
        ..up(&[])
    }]);
    let three = encoded(&[up(&[(NOW, 1.0)]), up(&[]), up(&[])]);
    for (what, body, status, text) in [
        (
            "not snappy",
            b"\xff\xff\xff\xff\xff\xff".to_vec(),
            400,
            "snappy: ",
        ),
        ("not protobuf", zeros(10), 400, "protobuf: "),
        (
            "unpacks to much",
            zeros(4000),
            413,
            "the request unpacks to 4000 bytes",
        ),
        (
            "many series",
            three,
            413,
            "the request has 3 series and at most 2",
        ),
        ("takes much decoded", heavy, 413, "the request takes "),
        ("large", vec![0; 2001], 413, ""),
    ] {
        let (found, body) = write(&tsdb, body).await;
        assert_eq!(found.as_u16(), status, "{what}: {body}");
        assert!(body.starts_with(text), "{what}: {body}");
    }
    let body = || encoded(&[up(&[(NOW, 1.0)])]);
    for (headers, status) in [
        (vec![], 204),
        (
            vec![(
                header::CONTENT_TYPE,
                "application/x-protobuf;proto=prometheus.WriteRequest",
            )],
            204,
        ),
        (
            vec![(
                header::CONTENT_TYPE,
                "application/x-protobuf;proto=io.prometheus.write.v3.Request",
            )],
            415,
        ),
        (vec![(header::CONTENT_TYPE, "application/json")], 415),
        (vec![(header::CONTENT_ENCODING, "gzip")], 415),
    ] {
        let (found, body) = ask(&tsdb, request(body(), &headers)).await;
        assert_eq!(found.as_u16(), status, "{headers:?}: {body}");
    }
}

#[tokio::test]
async fn a_write_that_finds_no_place_to_wait_is_asked_to_come_back() {
    let mut options = TsdbOptions::default();
    options.api.writes_waiting_max = 0;
    let tsdb = open(&SimDisk::new(1), options);
    let (status, text) = write(&tsdb, encoded(&[up(&[(NOW, 1.0)])])).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(text, "too many writes are waiting; try again later\n");
    assert!(read_all(tsdb.store()).is_empty());
}

#[tokio::test]
async fn no_room_is_said_with_a_time_to_retry() {
    let options = TsdbOptions {
        store: StoreOptions {
            memory_bytes_max: 10_000,
            overload_wait_ms: 0,
            ..StoreOptions::default()
        },
        ..TsdbOptions::default()
    };
    let disk = SimDisk::new(1);
    let tsdb = open(&disk, options);
    let body = || encoded(&[up(&[(NOW, 1.0)])]);
    // A sample takes its eight bytes, so it cannot be many until there is no room.
    let mut acknowledged = 0;
    let (status, text) = loop {
        let (status, text) = write(&tsdb, body()).await;
        if status != StatusCode::NO_CONTENT {
            break (status, text);
        }
        acknowledged += 1;
        assert!(acknowledged < 1_250, "the budget is not kept");
    };
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!(acknowledged > 0);
    assert!(
        text.starts_with("too much is waiting to be flushed"),
        "{text}"
    );
    tsdb.store().flush().expect("flushes");
    disk.inject(Fault::Full(disk.operations()));
    let (status, text) = write(&tsdb, body()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.starts_with("disk full: "), "{text}");
    disk.heal();
    assert_eq!(write(&tsdb, body()).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_series_too_many_is_refused_by_name_and_the_known_go_on() {
    let options = TsdbOptions {
        ingest: IngestLimits {
            series_active_max: Some(4),
            series_per_target_max: Some(2),
            ..IngestLimits::default()
        },
        ..TsdbOptions::default()
    };
    let tsdb = open(&SimDisk::new(1), options);
    let of = |name: &str, job: &str, at: i64| {
        let labels = [("__name__", name), ("instance", "h:1"), ("job", job)];
        series(&labels, &[(at, 1.0)])
    };
    let body = encoded(&[of("a", "x", NOW), of("b", "x", NOW), of("a", "y", NOW)]);
    assert_eq!(write(&tsdb, body).await.0, StatusCode::NO_CONTENT);
    for (name, job, why) in [
        (
            "c",
            "x",
            r#"its target job="x", instance="h:1" has 2 series"#,
        ),
        ("b", "y", ""),
        ("a", "z", "there are 4 active series"),
    ] {
        let (status, text) =
            write(&tsdb, encoded(&[of("a", "x", NOW + 1), of(name, job, NOW)])).await;
        if why.is_empty() {
            assert_eq!(status, StatusCode::NO_CONTENT, "{text}");
        } else {
            assert_eq!(status, StatusCode::BAD_REQUEST);
            assert!(text.contains(why), "{text}");
        }
    }
    let mut registry = Registry::default();
    tsdb.register(&mut registry);
    let mut exposition = String::new();
    encode(&mut exposition, &registry).expect("encodes");
    for line in [
        "taffrail_tsdb_active_series 4",
        r#"taffrail_tsdb_series_refused_total{reason="series_max"} 1"#,
        r#"taffrail_tsdb_series_refused_total{reason="series_per_target_max"} 1"#,
        "taffrail_tsdb_refused_samples_total 2",
    ] {
        assert!(
            exposition.lines().any(|found| found == line),
            "{line}: {exposition}"
        );
    }
}

#[tokio::test]
async fn metadata_survives_a_restart_in_the_log_and_in_a_part() {
    let disk = SimDisk::new(1);
    let metadata = |family: &str| ::model::sample::Metadata {
        family: family.to_owned(),
        metric_type: ::model::sample::MetricType::Counter,
        help: format!("What {family} counts."),
        unit: "things".to_owned(),
    };
    let families = [metadata("a_total"), metadata("b_total")];
    let body = remote_write::encode(&[up(&[(NOW, 1.0)])], &families).expect("encodes");
    let mut tsdb = open(&disk, TsdbOptions::default());
    assert_eq!(write(&tsdb, body).await.0, StatusCode::NO_CONTENT);
    for flush in [false, true, false] {
        if flush {
            tsdb.store().flush().expect("flushes");
        }
        drop(tsdb);
        tsdb = open(&disk, TsdbOptions::default());
        for family in &families {
            let found = tsdb.metadata().of(&family.family);
            assert_eq!(found, std::slice::from_ref(family));
        }
    }
}

#[tokio::test]
async fn exemplars_are_kept_once_in_the_log_and_in_a_part() {
    let disk = SimDisk::new(1);
    let exemplar = |at: i64| ::model::sample::Exemplar {
        labels: ::model::labels::Labels::from_pairs([("trace_id", "t")]),
        value: 0.5,
        timestamp: Some(::model::time::Timestamp(at)),
    };
    let body = encoded(&[SeriesSamples {
        exemplars: vec![exemplar(NOW), exemplar(NOW + 1), exemplar(NOW)],
        ..up(&[(NOW, 1.0), (NOW + 2, 1.0)])
    }]);
    let mut tsdb = open(&disk, TsdbOptions::default());
    assert_eq!(write(&tsdb, body.clone()).await.0, StatusCode::NO_CONTENT);
    let expected = [(up(&[]).labels, vec![exemplar(NOW), exemplar(NOW + 1)])];
    let range = ::model::time::TimeRange::new(
        ::model::time::Timestamp(NOW),
        ::model::time::Timestamp(NOW + 10),
    );
    let matchers = [::model::matcher::Matcher::equal("job", "x")];
    for flush in [false, true, false] {
        if flush {
            tsdb.store().flush().expect("flushes");
            assert_eq!(write(&tsdb, body.clone()).await.0, StatusCode::NO_CONTENT);
        }
        drop(tsdb);
        tsdb = open(&disk, TsdbOptions::default());
        let found = tsdb
            .reader()
            .exemplars(&matchers, range, &crate::support::guard());
        assert!(
            found
                .expect("reads")
                .into_iter()
                .eq(expected.iter().cloned())
        );
    }
}
