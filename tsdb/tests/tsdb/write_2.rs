//! Remote write 2.0 through the router: what is stored, counted and refused, and that starts are kept.

use ::model::time::TimeRange;
use ::model::wire::remote_write::{BucketSpan, WireHistogram};
use axum::body::Body;
use axum::http::{Method, Request, header};
use http_body_util::BodyExt as _;
use prost::Message as _;
use storage::disk::sim::SimDisk;
use tower::ServiceExt as _;
use tsdb::query::{Guard, Source as _};
use tsdb::{Tsdb, TsdbOptions};

use crate::api::{NOW, open};

const CONTENT_TYPE: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

#[derive(Clone, PartialEq, prost::Message)]
struct WriteRequest {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TimeSeries {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    histograms: Vec<Histogram>,
    #[prost(message, repeated, tag = "4")]
    exemplars: Vec<Exemplar>,
    #[prost(message, optional, tag = "5")]
    metadata: Option<Metadata>,
    #[prost(int64, tag = "6")]
    created_timestamp: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
    #[prost(int64, tag = "3")]
    start_timestamp: i64,
}

/// The fields that differ from version 1 are appended to its bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct Histogram {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(message, repeated, tag = "11")]
    positive_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "12")]
    positive_deltas: Vec<i64>,
    #[prost(int64, tag = "15")]
    timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    custom_values: Vec<f64>,
    #[prost(int64, tag = "17")]
    start_timestamp: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Exemplar {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint32, tag = "3")]
    help_ref: u32,
    #[prost(uint32, tag = "4")]
    unit_ref: u32,
}

const SYMBOLS: [&str; 9] = [
    "",
    "__name__",
    "hits_total",
    "job",
    "a",
    "Hits.",
    "latency",
    "trace_id",
    "x1",
];

fn sample(age: i64, value: f64, start_age: Option<i64>) -> Sample {
    Sample {
        value,
        timestamp: NOW - age,
        start_timestamp: start_age.map_or(0, |age| NOW - age),
    }
}

fn request(timeseries: Vec<TimeSeries>) -> WriteRequest {
    WriteRequest {
        symbols: SYMBOLS.map(str::to_owned).to_vec(),
        timeseries,
    }
}

fn counter(samples: Vec<Sample>) -> TimeSeries {
    TimeSeries {
        labels_refs: vec![1, 2, 3, 4],
        samples,
        metadata: Some(Metadata {
            kind: 1,
            help_ref: 5,
            unit_ref: 0,
        }),
        ..TimeSeries::default()
    }
}

fn native() -> TimeSeries {
    TimeSeries {
        labels_refs: vec![1, 6],
        histograms: vec![Histogram {
            count: 3,
            sum: 2.5,
            schema: -53,
            positive_spans: vec![BucketSpan {
                offset: 0,
                length: 2,
            }],
            positive_deltas: vec![1, 1],
            timestamp: NOW - 10,
            custom_values: vec![0.5, 1.0],
            start_timestamp: NOW - 5_000,
        }],
        exemplars: vec![Exemplar {
            labels_refs: vec![7, 8],
            value: 0.4,
            timestamp: NOW - 11,
        }],
        ..TimeSeries::default()
    }
}

/// Status, the three counts, the text.
async fn write(tsdb: &Tsdb, request: &WriteRequest) -> (u16, [u64; 3], String) {
    let body = snap::raw::Encoder::new()
        .compress_vec(&request.encode_to_vec())
        .expect("compresses");
    write_as(tsdb, body, CONTENT_TYPE).await
}

async fn write_as(tsdb: &Tsdb, body: Vec<u8>, kind: &str) -> (u16, [u64; 3], String) {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/api/v1/write")
        .header(header::CONTENT_TYPE, kind)
        .header(header::CONTENT_ENCODING, "snappy")
        .body(Body::from(body))
        .expect("a request");
    let response = tsdb.router().oneshot(request).await.expect("infallible");
    let counts = ["samples", "histograms", "exemplars"].map(|kind| {
        let name = format!("x-prometheus-remote-write-{kind}-written");
        let value = response.headers().get(name);
        value.map_or(u64::MAX, |value| {
            value.to_str().expect("a text").parse().expect("a number")
        })
    });
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("in memory");
    let text = String::from_utf8(body.to_bytes().to_vec()).expect("UTF-8");
    (status, counts, text)
}

/// What is stored: series, then instant and start of each sample, as ages.
fn stored(tsdb: &Tsdb) -> Vec<String> {
    let any = ::model::matcher::Matcher::new(::model::matcher::MatchOp::Regex, "__name__", ".+");
    let reader = tsdb.reader();
    let selected = reader.select(TimeRange::ALL, &[any.expect("valid")], &Guard::default());
    let selected = selected.expect("nothing is damaged");
    let mut reader = selected.reader();
    let mut samples = tsdb::query::Samples::default();
    let mut found = Vec::new();
    let age = |at: &i64| if *at == 0 { None } else { Some(NOW - at) };
    for (place, labels) in selected.labels().iter().enumerate() {
        reader.read(place, &mut samples).expect("reads");
        let ages: Vec<_> = samples.timestamps.iter().map(|at| NOW - at).collect();
        let starts: Vec<_> = samples.start_timestamps.iter().map(age).collect();
        let of_histograms = samples.histogram_start_timestamps.iter().map(age);
        let of_histograms: Vec<_> = of_histograms.collect();
        found.push(format!("{labels} {ages:?} {starts:?} {of_histograms:?}"));
    }
    found
}

#[tokio::test]
async fn what_is_written_is_counted_and_starts_are_kept() {
    let disk = SimDisk::new(1);
    let tsdb = open(&disk, TsdbOptions::default());
    let samples = vec![
        sample(200, 1.0, Some(900)),
        sample(100, 2.0, None),
        sample(0, 3.0, Some(50)),
    ];
    let answer = write(&tsdb, &request(vec![counter(samples), native()])).await;
    assert_eq!(answer, (204, [3, 1, 1], String::new()));
    let expected = vec![
        "hits_total{job=\"a\"} [200, 100, 0] [Some(900), None, Some(50)] []".to_owned(),
        "latency [] [] [Some(5000)]".to_owned(),
    ];
    assert_eq!(stored(&tsdb), expected, "in memory");
    drop(tsdb);
    let tsdb = open(&disk, TsdbOptions::default());
    assert_eq!(stored(&tsdb), expected, "from the log");
    tsdb.store().flush().expect("flushes");
    assert_eq!(stored(&tsdb), expected, "in a part");
    let known = tsdb.metadata().of("hits_total");
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].help, "Hits.");
    // A draft of the specification has one start for the whole series; and a sample that is written
    // over takes its start with it.
    let created = TimeSeries {
        created_timestamp: NOW - 700,
        metadata: None,
        ..counter(vec![sample(200, 5.0, None)])
    };
    let over = counter(vec![sample(0, 4.0, None)]);
    let answer = write(&tsdb, &request(vec![created, over])).await;
    assert_eq!(answer, (204, [2, 0, 0], String::new()));
    assert_eq!(
        stored(&tsdb)[0],
        "hits_total{job=\"a\"} [200, 100, 0] [Some(700), None, None] []"
    );
}

#[tokio::test]
async fn a_write_is_taken_in_part_and_the_counts_say_of_what() {
    let tsdb = open(&SimDisk::new(1), TsdbOptions::default());
    let series = |labels_refs: &[u32], samples: Vec<Sample>| TimeSeries {
        labels_refs: labels_refs.to_vec(),
        samples,
        ..TimeSeries::default()
    };
    let one = || vec![sample(0, 1.0, None)];
    let mut lost = native();
    lost.exemplars[0].labels_refs = vec![7, 99];
    let request = request(vec![
        series(&[1, 2, 3], one()),
        series(&[1, 2, 3, 99], one()),
        series(&[3, 4], one()),
        series(&[1, 2, 3, 4], Vec::new()),
        lost,
        counter(one()),
    ]);
    let (status, counts, text) = write(&tsdb, &request).await;
    assert_eq!((status, counts), (400, [1, 1, 0]));
    assert_eq!(
        text,
        "parsing labels for series [1, 2, 3]: invalid labelRefs length 3\n\
         parsing labels for series [1, 2, 3, 99]: labelRefs 3 (name) = 99 (value) outside of symbols table (size 9)\n\
         invalid metric name or labels, got {job=\"a\"}\n\
         TimeSeries must contain at least one sample or histogram for series hits_total{job=\"a\"}\n\
         parsing labels for series [7, 99]: of an exemplar: labelRefs 7 (name) = 99 (value) outside of symbols table (size 9)\n"
    );
    assert_eq!(stored(&tsdb).len(), 2);
}

#[tokio::test]
async fn the_content_type_names_the_message() {
    let tsdb = open(&SimDisk::new(1), TsdbOptions::default());
    let one = request(vec![counter(vec![sample(0, 1.0, None)])]);
    let body = snap::raw::Encoder::new()
        .compress_vec(&one.encode_to_vec())
        .expect("compresses");
    let none = [u64::MAX; 3];
    for (kind, status, counts) in [
        (CONTENT_TYPE, 204, [1, 0, 0]),
        (
            "application/x-protobuf; proto=io.prometheus.write.v2.Request",
            204,
            [1, 0, 0],
        ),
        // The fields of version 2 are none of version 1.
        ("application/x-protobuf", 204, none),
        (
            "application/x-protobuf;proto=io.prometheus.write.v3.Request",
            415,
            none,
        ),
        ("application/x-protobuf;proto", 415, none),
        ("application/json", 415, none),
    ] {
        let (found, written, text) = write_as(&tsdb, body.clone(), kind).await;
        assert_eq!((found, written), (status, counts), "{kind}: {text}");
    }
    let (status, counts, _) = write_as(&tsdb, b"\xff\xff".to_vec(), CONTENT_TYPE).await;
    assert_eq!((status, counts), (400, [0, 0, 0]));
}

#[test]
fn a_histogram_is_that_of_version_1_and_a_start() {
    let wire = native().histograms.remove(0).encode_to_vec();
    let version_1 = WireHistogram::decode(wire.as_slice()).expect("the same fields");
    assert_eq!(version_1.custom_values, [0.5, 1.0]);
}
