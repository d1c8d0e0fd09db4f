//! OTLP's metrics through the router: encodings, packing, and what is told of what was not taken.

use std::io::Write as _;

use ::model::wire::otlp::ExportMetricsServiceResponse;
use axum::body::Body;
use axum::http::{Method, Request, header};
use http_body_util::BodyExt as _;
use prost::Message as _;
use storage::disk::sim::SimDisk;
use tower::ServiceExt as _;
use tsdb::ingest::limits::IngestLimits;
use tsdb::{Tsdb, TsdbOptions};

use crate::api::{NOW, check, open, success};

const JSON: &str = "application/json";

/// A gauge with a point at each of these ages.
fn export(ages: &[i64]) -> String {
    let points: Vec<String> = ages
        .iter()
        .map(|age| {
            format!(
                r#"{{"timeUnixNano":"{}000000","asInt":"{age}"}}"#,
                NOW - age
            )
        })
        .collect();
    let points = points.join(",");
    format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},"scopeMetrics":[{{"metrics":[{{"name":"age","unit":"ms","gauge":{{"dataPoints":[{points}]}}}}]}}]}}]}}"#
    )
}

async fn send(tsdb: &Tsdb, body: Vec<u8>, kind: &str, packing: &str) -> (u16, Vec<u8>) {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/api/v1/otlp/v1/metrics")
        .header(header::CONTENT_TYPE, kind)
        .header(header::CONTENT_ENCODING, packing)
        .body(Body::from(body))
        .expect("a request");
    let response = tsdb.router().oneshot(request).await.expect("infallible");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("in memory");
    (status, body.to_bytes().to_vec())
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text).expect("in memory");
    packed.finish().expect("in memory")
}

#[tokio::test]
async fn what_was_exported_can_be_asked_for() {
    let tsdb = open(&SimDisk::new(1), TsdbOptions::default());
    let sent = send(
        &tsdb,
        gzip(export(&[7]).as_bytes()),
        "application/json; charset=utf-8",
        "gzip",
    );
    assert_eq!(sent.await, (200, b"{}".to_vec()));
    let data = r#"{"resultType":"vector","result":[{"metric":{"__name__":"age_milliseconds","job":"shop"},"value":[1700000000,"7"]}]}"#;
    check(
        &tsdb,
        "/api/v1/query?query=age_milliseconds",
        200,
        &success(data),
    )
    .await;
    let data = r#"{"age_milliseconds":[{"type":"gauge","help":"","unit":"ms"}]}"#;
    check(&tsdb, "/api/v1/metadata", 200, &success(data)).await;
    // An empty request is an empty message.
    let sent = send(&tsdb, Vec::new(), "application/x-protobuf", "");
    assert_eq!(sent.await, (200, Vec::new()));
}

#[tokio::test]
async fn what_was_not_taken_is_told() {
    let tsdb = open(&SimDisk::new(1), TsdbOptions::default());
    let far = -3_600_000;
    let reason = format!(
        "out of bounds: timestamp is too far in the future: series age_milliseconds{{job=\"shop\"}}, timestamp {}",
        NOW - far
    );
    let (status, body) = send(&tsdb, export(&[0, far]).into_bytes(), JSON, "").await;
    let body = String::from_utf8(body).expect("a text");
    let told = serde_json::to_string(&reason).expect("a text");
    let expected =
        format!(r#"{{"partialSuccess":{{"errorMessage":{told},"rejectedDataPoints":"1"}}}}"#);
    assert_eq!((status, body), (200, expected));
    let (status, body) = send(&tsdb, export(&[far]).into_bytes(), JSON, "").await;
    assert_eq!(
        (status, String::from_utf8(body).expect("a text")),
        (400, reason + "\n")
    );
    let message: ::model::wire::otlp::ExportMetricsServiceRequest =
        serde_json::from_str(&export(&[0, far])).expect("an export");
    let (status, body) = send(&tsdb, message.encode_to_vec(), "application/x-protobuf", "").await;
    let response = ExportMetricsServiceResponse::decode(body.as_slice()).expect("the message");
    let partial = response.partial_success.expect("in part");
    assert_eq!((status, partial.rejected_data_points), (200, 1));
}

#[tokio::test]
async fn what_is_no_export_is_refused() {
    let options = TsdbOptions {
        ingest: IngestLimits {
            unpacked_bytes_max: 10_000,
            decoded_bytes_max: 50_000,
            ..IngestLimits::default()
        },
        ..TsdbOptions::default()
    };
    let tsdb = open(&SimDisk::new(1), options);
    let export = export(&[0]).into_bytes();
    for (body, kind, packing, status, text) in [
        (
            export.clone(),
            "text/plain",
            "",
            400,
            "unsupported content type: text/plain, ",
        ),
        (
            export.clone(),
            JSON,
            "zstd",
            400,
            "unsupported compression: zstd.",
        ),
        (export.clone(), JSON, "gzip", 400, "gzip: "),
        (export, "application/x-protobuf", "", 400, "protobuf: "),
        (b"{".to_vec(), JSON, "", 400, "json: "),
        (
            gzip(&vec![b' '; 20_000]),
            JSON,
            "gzip",
            413,
            "the request unpacks to more than 10000 bytes",
        ),
        (vec![b'{'; 9_000], JSON, "", 413, "the request takes "),
    ] {
        let (found, body) = send(&tsdb, body, kind, packing).await;
        let body = String::from_utf8(body).expect("a text");
        assert_eq!(found, status, "{body}");
        assert!(body.starts_with(text), "{body}");
    }
}
