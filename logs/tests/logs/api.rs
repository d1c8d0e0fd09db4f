//! Loki's HTTP API over an engine, request by request.

use ::model::wire::loki_push::{LabelPair, ProtoTimestamp, PushEntry, PushRequest, Stream};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use prost::Message as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use storage::disk::sim::SimDisk;
use storage::wal::sync::FsyncPolicy;

use crate::support::{fresh, open, open_with, options};

struct Client {
    router: Router,
}

impl Client {
    fn new() -> Self {
        Self {
            router: fresh().router(),
        }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, String, Response<()>) {
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        (parts.status, text, Response::from_parts(parts, ()))
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let uri = format!("/loki/api/v1/{path}");
        let request = Request::get(uri).body(Body::empty()).expect("a request");
        let (status, text, _) = self.send(request).await;
        (status, text)
    }

    async fn json(&self, path: &str) -> Value {
        let (status, text) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    async fn push_json(&self, body: &Value) -> (StatusCode, String) {
        let request = Request::post("/loki/api/v1/push")
            .header("content-type", "application/json; charset=utf-8")
            .body(Body::from(body.to_string()))
            .expect("a request");
        let (status, text, _) = self.send(request).await;
        (status, text)
    }
}

/// Three lines of two streams.
async fn filled() -> Client {
    let client = Client::new();
    let (status, text) = client
        .push_json(&json!({"streams": [
            {"stream": {"app": "a", "env": "x"}, "values": [
                ["100000000", "level=info first"],
                ["200000000", "level=warn second", {"trace": "t1"}],
            ]},
            {"stream": {"app": "b", "env": "x"}, "values": [["150000000", "{\"level\":\"error\",\"n\":7}"]]},
        ]}))
        .await;
    assert_eq!((status, text.as_str()), (StatusCode::NO_CONTENT, ""));
    client
}

const RANGE: &str = "start=0&end=1";

#[tokio::test]
async fn the_health_check_of_grafana_passes() {
    let client = Client::new();
    let answer = client
        .json("query?query=vector(1)%2Bvector(1)&time=4000000000")
        .await;
    assert_eq!(answer["status"], "success");
    assert_eq!(answer["data"]["resultType"], "vector");
    assert_eq!(
        answer["data"]["result"],
        json!([{"metric": {}, "value": [4_000_000_000_i64, "2"]}])
    );
    assert!(answer["data"]["stats"]["summary"]["execTime"].is_number());
}

#[tokio::test]
async fn lines_come_back_in_both_directions() {
    let client = filled().await;
    let path = format!("query_range?query=%7Benv%3D%22x%22%7D%20%7C%3D%20%22level%3D%22&{RANGE}");
    let answer = client.json(&format!("{path}&direction=forward")).await;
    assert_eq!(answer["data"]["resultType"], "streams");
    let result = answer["data"]["result"].as_array().expect("streams");
    assert_eq!(result.len(), 2, "the levels differ: {answer}");
    let first = result
        .iter()
        .find(|stream| stream["stream"]["detected_level"] == "info");
    assert_eq!(
        first.expect("the info line"),
        &json!({
            "stream": {"app": "a", "env": "x", "service_name": "a", "detected_level": "info"},
            "values": [["100000000", "level=info first"]],
        })
    );
    let one = client.json(&format!("{path}&limit=1")).await;
    assert_eq!(
        one["data"]["result"][0]["values"],
        json!([["200000000", "level=warn second"]])
    );
    assert_eq!(one["data"]["result"][0]["stream"]["trace"], "t1");
    let thinned = client
        .json(&format!("{path}&direction=forward&interval=0.2"))
        .await;
    assert_eq!(thinned["data"]["result"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn labels_are_categorized_where_the_client_asks_for_it() {
    let client = filled().await;
    let request = Request::post("/loki/api/v1/query_range")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-loki-response-encoding-flags", "other, categorize-labels")
        .body(Body::from(format!(
            "query=%7Bapp%3D%22a%22%7D%20%7C%20logfmt&{RANGE}&direction=forward"
        )))
        .expect("a request");
    let (status, text, response) = client.send(request).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    assert_eq!(
        response.headers()["content-type"],
        "application/json; charset=UTF-8"
    );
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        answer["data"]["encodingFlags"],
        json!(["categorize-labels"])
    );
    let result = answer["data"]["result"].as_array().expect("streams");
    assert_eq!(result.len(), 1, "{answer}");
    assert_eq!(
        result[0]["stream"],
        json!({"app": "a", "env": "x", "service_name": "a"})
    );
    let values = result[0]["values"].as_array().expect("values");
    assert_eq!(values[0][0], "100000000");
    assert_eq!(
        values[0][2]["structuredMetadata"],
        json!({"detected_level": "info"})
    );
    assert_eq!(values[0][2]["parsed"]["level"], "info");
    assert_eq!(
        values[1][2]["structuredMetadata"],
        json!({"detected_level": "warn", "trace": "t1"})
    );
}

#[tokio::test]
async fn metric_queries_answer_matrices_and_vectors() {
    let client = filled().await;
    let query = "query=sum%20by%20(app)%20(count_over_time(%7Benv%3D%22x%22%7D%5B1s%5D))";
    let matrix = client
        .json(&format!("query_range?{query}&start=0&end=2&step=1"))
        .await;
    assert_eq!(matrix["data"]["resultType"], "matrix");
    assert_eq!(
        matrix["data"]["result"],
        json!([
            {"metric": {"app": "a"}, "values": [[1, "2"]]},
            {"metric": {"app": "b"}, "values": [[1, "1"]]},
        ])
    );
    let vector = client.json(&format!("query?{query}&time=1")).await;
    assert_eq!(vector["data"]["result"][0]["value"], json!([1, "2"]));
}

#[tokio::test]
async fn labels_series_and_volumes_are_listed() {
    let client = filled().await;
    let labels = client.json(&format!("labels?{RANGE}")).await;
    assert_eq!(
        labels,
        json!({"status": "success", "data": ["app", "env", "service_name"]})
    );
    let values = client.json(&format!("label/app/values?{RANGE}")).await;
    assert_eq!(values["data"], json!(["a", "b"]));
    let values = client
        .json(&format!(
            "label/app/values?{RANGE}&query=%7Bservice_name%3D%22b%22%7D"
        ))
        .await;
    assert_eq!(values["data"], json!(["b"]));
    let later = client.json("label/app/values?start=1&end=2").await;
    assert_eq!(later["data"], json!([]));
    let series = client
        .json(&format!("series?{RANGE}&match[]=%7Bapp%3D~%22a%7Cz%22%7D"))
        .await;
    assert_eq!(
        series["data"],
        json!([{"app": "a", "env": "x", "service_name": "a"}])
    );
    let stats = client
        .json(&format!("index/stats?{RANGE}&query=%7Benv%3D%22x%22%7D"))
        .await;
    assert_eq!(
        stats,
        json!({"streams": 2, "chunks": 2, "bytes": 56, "entries": 3})
    );
    let volume = client
        .json(&format!(
            "index/volume?{RANGE}&query=%7Benv%3D%22x%22%7D&targetLabels=app"
        ))
        .await;
    assert_eq!(
        volume["data"]["result"],
        json!([
            {"metric": {"app": "a"}, "value": [1, "33"]},
            {"metric": {"app": "b"}, "value": [1, "23"]},
        ])
    );
    let detected = client.json(&format!("detected_labels?{RANGE}")).await;
    assert_eq!(
        detected["detectedLabels"][0],
        json!({"label": "app", "cardinality": 2})
    );
    let formatted = client
        .json("format_query?query=%7Ba%3D%22b%22%7D%7C%3D%22x%22")
        .await;
    assert_eq!(formatted["data"], r#"{a="b"} |= "x""#);
    assert!(client.json("status/buildinfo").await["version"].is_string());
}

#[tokio::test]
async fn protobuf_is_pushed() {
    let client = Client::new();
    let request = PushRequest {
        streams: vec![Stream {
            labels: "{app=\"p\"}".to_owned(),
            entries: vec![PushEntry {
                timestamp: Some(ProtoTimestamp {
                    seconds: 0,
                    nanos: 7,
                }),
                line: "packed".to_owned(),
                structured_metadata: vec![LabelPair {
                    name: "trace".to_owned(),
                    value: "t".to_owned(),
                }],
            }],
        }],
    };
    let body = snap::raw::Encoder::new()
        .compress_vec(&request.encode_to_vec())
        .expect("packs");
    let request = Request::post("/loki/api/v1/push")
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", "snappy")
        .body(Body::from(body))
        .expect("a request");
    let (status, text, _) = client.send(request).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{text}");
    let answer = client
        .json(&format!("query_range?query=%7Bapp%3D%22p%22%7D&{RANGE}"))
        .await;
    assert_eq!(
        answer["data"]["result"][0]["values"],
        json!([["7", "packed"]])
    );
    assert_eq!(answer["data"]["result"][0]["stream"]["trace"], "t");
}

#[tokio::test]
async fn what_is_wrong_is_said_in_plain_text() {
    let client = filled().await;
    for (path, expected) in [
        ("query_range?query=%7Bapp%3D%22a%22", "parse error"),
        (
            "query_range?query=%7Bapp%3D%22a%22%7D&start=2&end=1",
            "end timestamp must not be before",
        ),
        (
            "query_range?query=%7Bapp%3D%22a%22%7D&limit=0",
            "limit must be a positive value",
        ),
        (
            "query_range?query=%7Bapp%3D%22a%22%7D&limit=99999",
            "max entries limit per query exceeded",
        ),
        (
            "query_range?query=%7Bapp%3D%22a%22%7D&direction=up",
            "invalid direction 'up'",
        ),
        (
            "query_range?query=%7Bapp%3D%22a%22%7D&step=0",
            "zero or negative query resolution step",
        ),
        (
            "query_range?query=%7Bapp%3D%22a%22%7D&start=soon",
            "could not parse 'start' parameter",
        ),
        (
            "query?query=%7Bapp%3D%22a%22%7D",
            "log queries are not supported as an instant query type",
        ),
        ("series?match[]=nonsense", "parse error"),
        ("format_query?query=", "parse error"),
    ] {
        let (status, text) = client.get(path).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {text}");
        assert!(text.contains(expected), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_store_that_is_behind_asks_for_patience() {
    let mut options = options(FsyncPolicy::Always);
    options.store.memory_bytes_max = 300;
    options.store.overload_wait_ms = 0;
    let logs = open_with(&SimDisk::new(0), options).expect("opens").0;
    let client = Client {
        router: logs.router(),
    };
    let line = "x".repeat(200);
    let push = json!({"streams": [{"stream": {"app": "a"}, "values": [["1", line]]}]});
    let (status, text) = client.push_json(&push).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{text}");
    let (status, text) = client.push_json(&push).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{text}");
    logs.store().flush().expect("flushes");
    let (status, text) = client.push_json(&push).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{text}");
    logs.store().close().expect("closes");
    let (status, text) = client.push_json(&push).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
}

#[tokio::test]
async fn a_corrupt_part_fails_one_query_and_no_more() {
    let disk = SimDisk::new(0);
    let logs = open(&disk, FsyncPolicy::Always).expect("opens").0;
    let client = Client {
        router: logs.router(),
    };
    let push = json!({"streams": [{"stream": {"app": "a"}, "values": [["1", "x"]]}]});
    client.push_json(&push).await;
    logs.store().flush().expect("flushes");
    let mut files = disk.files().into_iter();
    let part = files.find(|(path, _)| path.extension().is_some_and(|ending| ending == "part"));
    assert!(disk.flip_bit(&part.expect("a part").0, 8 * 12));
    let path = format!("query_range?query=%7Bapp%3D%22a%22%7D&{RANGE}");
    let (status, text) = client.get(&path).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{text}");
    assert!(text.contains("corrupt at offset"), "{text}");
    let answer = client.json(&path).await;
    assert_eq!(answer["data"]["result"], json!([]));
}

#[tokio::test]
async fn a_push_is_kept_as_far_as_it_may_be() {
    let client = Client::new();
    let (status, text) = client
        .push_json(&json!({"streams": [
            {"stream": {}, "values": [["1", "nobody's"]]},
            {"stream": {"app": "a"}, "values": [["2", "kept"], ["9000000000000000000", "of the future"]]},
        ]}))
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        text.contains("error at least one label pair is required per stream"),
        "{text}"
    );
    assert!(text.contains("has timestamp too new"), "{text}");
    let answer = client
        .json(&format!("query_range?query=%7Bapp%3D%22a%22%7D&{RANGE}"))
        .await;
    assert_eq!(
        answer["data"]["result"][0]["values"],
        json!([["2", "kept"]])
    );
    let (status, text) = client.push_json(&json!({"streams": 1})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
    let request = Request::post("/loki/api/v1/push")
        .header("content-type", "text/csv")
        .body(Body::from("a"))
        .expect("a request");
    let (status, text, _) = client.send(request).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{text}");
}
