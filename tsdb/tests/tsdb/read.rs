//! Remote read through the router: both kinds of answer, and what is refused.

use ::model::sample::HistogramSample;
use ::model::time::Timestamp;
use ::model::wire::remote_read::{
    ChunkedReadResponse, LabelMatcher, Query, ReadRequest, ReadResponse,
};
use ::model::wire::remote_write::LabelPair;
use axum::body::Body;
use axum::http::{Method, Request, header};
use http_body_util::BodyExt as _;
use prost::Message as _;
use storage::disk::sim::SimDisk;
use tower::ServiceExt as _;
use tsdb::{Tsdb, TsdbOptions};

use crate::api::{NOW, open, series};
use crate::support::histogram;

fn filled(options: TsdbOptions) -> Tsdb {
    let tsdb = open(&SimDisk::new(1), options);
    let floats: Vec<(i64, f64)> = (0..300).map(|n| (NOW - n * 1000, n as f64)).collect();
    let mut both = series(&[("__name__", "up"), ("job", "b")], &[(NOW - 5, 1.0)]);
    both.histograms.push(HistogramSample {
        timestamp: Timestamp(NOW - 4),
        histogram: histogram(3.0, 0),
    });
    let batch = [
        both,
        series(&[("__name__", "up"), ("job", "a")], &floats),
        series(&[("__name__", "down")], &[(NOW, 0.0)]),
    ];
    tsdb.append(&batch).expect("stores");
    tsdb
}

fn query(from: i64, kind: i32, name: &str, value: &str) -> Query {
    Query {
        start_timestamp_ms: NOW - from,
        end_timestamp_ms: NOW,
        matchers: vec![LabelMatcher {
            kind,
            name: name.to_owned(),
            value: value.to_owned(),
        }],
    }
}

/// Status, content type, body.
async fn read_packed(tsdb: &Tsdb, body: Vec<u8>) -> (u16, String, Vec<u8>) {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/api/v1/read")
        .body(Body::from(body))
        .expect("a request");
    let response = tsdb.router().oneshot(request).await.expect("infallible");
    let status = response.status().as_u16();
    let kind = response.headers()[header::CONTENT_TYPE].to_str();
    let kind = kind.expect("a text").to_owned();
    let body = response.into_body().collect().await.expect("in memory");
    (status, kind, body.to_bytes().to_vec())
}

async fn read(tsdb: &Tsdb, queries: Vec<Query>, types: &[i32]) -> (u16, String, Vec<u8>) {
    let request = ReadRequest {
        queries,
        accepted_response_types: types.to_vec(),
    };
    let body = snap::raw::Encoder::new()
        .compress_vec(&request.encode_to_vec())
        .expect("compresses");
    read_packed(tsdb, body).await
}

fn named(labels: &[LabelPair]) -> String {
    let pairs = labels
        .iter()
        .map(|pair| format!("{}={}", pair.name, pair.value));
    pairs.collect::<Vec<_>>().join(",")
}

#[tokio::test]
async fn samples_are_one_message() {
    let tsdb = filled(TsdbOptions::default());
    let queries = vec![
        query(10_000, 0, "__name__", "up"),
        query(0, 2, "__name__", "d.*"),
    ];
    for types in [[].as_slice(), &[0], &[7, 0, 1]] {
        let (status, kind, body) = read(&tsdb, queries.clone(), types).await;
        assert_eq!((status, kind.as_str()), (200, "application/x-protobuf"));
        let unpacked = snap::raw::Decoder::new().decompress_vec(&body);
        let response = ReadResponse::decode(unpacked.expect("snappy").as_slice());
        let found: Vec<Vec<String>> = response
            .expect("the message")
            .results
            .iter()
            .map(|result| {
                let series = result.timeseries.iter().map(|series| {
                    let (floats, histograms) = (&series.samples, &series.histograms);
                    let last = floats.last().and_then(|sample| sample.value);
                    let name = named(&series.labels);
                    format!("{name} {} {} {last:?}", floats.len(), histograms.len())
                });
                series.collect()
            })
            .collect();
        let up = [
            "__name__=up,job=a 11 0 Some(0.0)",
            "__name__=up,job=b 1 1 Some(1.0)",
        ];
        assert_eq!(found, [up.to_vec(), vec!["__name__=down 1 0 Some(0.0)"]]);
    }
}

#[tokio::test]
async fn chunks_are_frames_with_checksums() {
    let tsdb = filled(TsdbOptions::default());
    let queries = vec![
        query(600_000, 0, "__name__", "up"),
        query(0, 0, "__name__", "none"),
        query(0, 3, "__name__", "up"),
    ];
    let (status, kind, body) = read(&tsdb, queries, &[1, 0]).await;
    assert_eq!(status, 200);
    assert_eq!(
        kind,
        "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
    );
    let mut rest = body.as_slice();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let length = prost::encoding::decode_varint(&mut rest).expect("a length") as usize;
        let (head, message) = rest.split_at(4);
        let (message, behind) = message.split_at(length);
        rest = behind;
        assert_eq!(head, crc32c::crc32c(message).to_be_bytes());
        let frame = ChunkedReadResponse::decode(message).expect("the message");
        for series in &frame.chunked_series {
            for chunk in &series.chunks {
                let samples = u16::from_be_bytes([chunk.data[0], chunk.data[1]]);
                found.push(format!(
                    "{} {} {}..{} {} {samples}",
                    frame.query_index,
                    named(&series.labels),
                    NOW - chunk.min_time_ms,
                    NOW - chunk.max_time_ms,
                    chunk.encoding,
                ));
            }
        }
    }
    assert_eq!(
        found,
        [
            "0 __name__=up,job=a 299000..180000 1 120",
            "0 __name__=up,job=a 179000..60000 1 120",
            "0 __name__=up,job=a 59000..0 1 60",
            "0 __name__=up,job=b 5..5 1 1",
            "0 __name__=up,job=b 4..4 3 1",
            "2 __name__=down 0..0 1 1",
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_said() {
    let mut options = TsdbOptions::default();
    options.api.read_samples_max = 100;
    let tsdb = filled(options);
    let up = |kind| vec![query(600_000, kind, "__name__", "up")];
    for (queries, types, status, text) in [
        (up(0), &[0][..], 400, "exceeded sample limit (100); "),
        (
            up(0),
            &[9],
            400,
            "server does not support any of the requested response types: [9]",
        ),
        (up(4), &[], 400, "invalid matcher type"),
        (vec![query(0, 2, "a", "(")], &[], 400, ""),
    ] {
        let (found, _, body) = read(&tsdb, queries, types).await;
        let body = String::from_utf8(body).expect("a text");
        assert_eq!(found, status, "{body}");
        assert!(body.starts_with(text), "{body}");
    }
    for body in [b"\xff\xff".to_vec(), vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0]] {
        assert_eq!(read_packed(&tsdb, body).await.0, 400);
    }
}
