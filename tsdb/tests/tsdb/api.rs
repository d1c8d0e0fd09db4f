//! Shapes and errors of the HTTP API, through the router, without a socket.

use std::path::Path;
use std::sync::Arc;

use ::model::labels::Labels;
use ::model::sample::{HistogramSample, Metadata, MetricType, Sample, SeriesSamples};
use ::model::time::Timestamp;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use storage::clock::ManualClock;
use storage::disk::sim::SimDisk;
use tower::ServiceExt as _;
use tsdb::{Tsdb, TsdbOptions};

use crate::support::histogram;

/// The present instant of these tests, in milliseconds.
pub(crate) const NOW: i64 = 1_700_000_000_000;

pub(crate) fn series(pairs: &[(&str, &str)], samples: &[(i64, f64)]) -> SeriesSamples {
    SeriesSamples {
        labels: Labels::from_pairs(pairs.iter().copied()),
        samples: samples
            .iter()
            .map(|(at, value)| Sample {
                timestamp: Timestamp(*at),
                value: *value,
            })
            .collect(),
        ..SeriesSamples::default()
    }
}

pub(crate) fn open(disk: &SimDisk, options: TsdbOptions) -> Tsdb {
    let clock = Arc::new(ManualClock::new(Timestamp(NOW)));
    let disk = Arc::new(disk.clone());
    let (tsdb, _) = Tsdb::open(disk, clock, Path::new("/data"), options).expect("opens");
    tsdb
}

/// A store with a counter in a part, its later samples in memory, and a histogram.
fn filled() -> Tsdb {
    let tsdb = open(&SimDisk::new(1), TsdbOptions::default());
    let at = |age: i64| NOW - age * 1000;
    let jobs = [("a", 1.0), ("b", 2.0)];
    let batch = |from: i64, to: i64| -> Vec<SeriesSamples> {
        let ages = || (to + 15..=from).rev().step_by(15);
        jobs.iter()
            .map(|(job, per_second)| {
                let samples: Vec<(i64, f64)> = ages()
                    .map(|age| (at(age), (600 - age) as f64 * per_second))
                    .collect();
                series(&[("__name__", "hits_total"), ("job", job)], &samples)
            })
            .collect()
    };
    tsdb.append(&batch(600, 300)).expect("stores");
    tsdb.store().flush().expect("flushes");
    tsdb.append(&batch(300, 0)).expect("stores");
    let mut native = series(&[("__name__", "latency"), ("http.status", "200")], &[]);
    native.histograms.push(HistogramSample {
        timestamp: Timestamp(at(10)),
        histogram: histogram(3.0, 0),
    });
    tsdb.append(&[native]).expect("stores");
    tsdb.record_metadata(&[Metadata {
        family: "hits_total".to_owned(),
        metric_type: MetricType::Counter,
        help: "Hits.".to_owned(),
        unit: String::new(),
    }])
    .expect("stores");
    tsdb
}

pub(crate) async fn ask(tsdb: &Tsdb, request: Request<Body>) -> (StatusCode, String) {
    let response = tsdb.router().oneshot(request).await.expect("infallible");
    let status = response.status();
    let body = response.into_body().collect().await.expect("in memory");
    let text = String::from_utf8(body.to_bytes().to_vec()).expect("UTF-8");
    (status, text)
}

pub(crate) async fn get(tsdb: &Tsdb, uri: &str) -> (u16, String) {
    let request = Request::builder().uri(uri).body(Body::empty());
    let (status, text) = ask(tsdb, request.expect("a request")).await;
    (status.as_u16(), text)
}

pub(crate) async fn post(tsdb: &Tsdb, uri: &str, form: &str) -> (u16, String) {
    let request = Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form.to_owned()));
    let (status, text) = ask(tsdb, request.expect("a request")).await;
    (status.as_u16(), text)
}

pub(crate) async fn check(tsdb: &Tsdb, uri: &str, status: u16, expected: &str) {
    assert_eq!(get(tsdb, uri).await, (status, expected.to_owned()), "{uri}");
}

pub(crate) fn success(data: &str) -> String {
    format!("{{\"status\":\"success\",\"data\":{data}}}")
}

pub(crate) fn error(kind: &str, message: &str) -> String {
    let message = serde_json::to_string(message).expect("a text");
    format!("{{\"status\":\"error\",\"errorType\":\"{kind}\",\"error\":{message}}}")
}

#[tokio::test]
async fn queries_have_upstreams_shapes() {
    let tsdb = filled();
    for (uri, data) in [
        (
            "/api/v1/query?query=1%2B1",
            r#"{"resultType":"scalar","result":[1700000000,"2"]}"#,
        ),
        (
            "/api/v1/query?query=%22x%22&time=5.25",
            r#"{"resultType":"string","result":[5.250,"x"]}"#,
        ),
        (
            "/api/v1/query?query=hits_total%7Bjob%3D%22a%22%7D",
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"hits_total","job":"a"},"value":[1700000000,"585"]}]}"#,
        ),
        (
            "/api/v1/query?query=sum(rate(hits_total%5B5m%5D))&time=1700000000",
            r#"{"resultType":"vector","result":[{"metric":{},"value":[1700000000,"3"]}]}"#,
        ),
        (
            "/api/v1/query?query=nothing",
            r#"{"resultType":"vector","result":[]}"#,
        ),
        (
            "/api/v1/query_range?query=hits_total%7Bjob%3D%22b%22%7D&start=1699999700&end=1700000000&step=150",
            r#"{"resultType":"matrix","result":[{"metric":{"__name__":"hits_total","job":"b"},"values":[[1699999700,"600"],[1699999850,"900"],[1700000000,"1170"]]}]}"#,
        ),
        (
            "/api/v1/format_query?query=sum(x)by(a)",
            r#""sum by (a) (x)""#,
        ),
    ] {
        let (status, text) = get(&tsdb, uri).await;
        assert_eq!(
            (status, text.as_str()),
            (200, success(data).as_str()),
            "{uri}"
        );
    }
    let (status, text) = get(&tsdb, "/api/v1/query?query=latency").await;
    assert_eq!(status, 200);
    let expected = r#""histogram":[1700000000,{"count":"3","sum":"3.75","buckets":["#;
    assert!(text.contains(expected), "{text}");
}

#[tokio::test]
async fn a_posted_form_is_read_as_a_url_is() {
    let tsdb = filled();
    let expected = success(r#"{"resultType":"scalar","result":[7,"2"]}"#);
    let form = post(&tsdb, "/api/v1/query", "query=1%2B1&time=7").await;
    assert_eq!(form, (200, expected.clone()));
    let both = post(&tsdb, "/api/v1/query?query=3&time=7", "query=1%2B1").await;
    assert_eq!(both, (200, expected), "the form comes first");
    let names = post(&tsdb, "/api/v1/labels", "match[]=hits_total").await;
    assert_eq!(names, (200, success(r#"["__name__","job"]"#)));
}

#[tokio::test]
async fn labels_and_series_follow_matchers_limits_and_escapes() {
    let tsdb = filled();
    for (uri, data) in [
        ("/api/v1/labels", r#"["__name__","http.status","job"]"#),
        ("/api/v1/labels?match[]=hits_total", r#"["__name__","job"]"#),
        (
            "/api/v1/labels?match[]=hits_total&match[]=latency",
            r#"["__name__","http.status","job"]"#,
        ),
        ("/api/v1/label/job/values", r#"["a","b"]"#),
        (
            "/api/v1/label/job/values?match[]=%7Bjob!%3D%22a%22%7D&match[]=nothing",
            "",
        ),
        (
            "/api/v1/label/__name__/values",
            r#"["hits_total","latency"]"#,
        ),
        ("/api/v1/label/U__http_2e_status/values", r#"["200"]"#),
        ("/api/v1/label/missing/values", "[]"),
        (
            "/api/v1/series?match[]=hits_total",
            r#"[{"__name__":"hits_total","job":"a"},{"__name__":"hits_total","job":"b"}]"#,
        ),
        (
            "/api/v1/series?match[]=latency",
            r#"[{"__name__":"latency","http.status":"200"}]"#,
        ),
    ] {
        if data.is_empty() {
            let message = r#"invalid parameter "match[]": match[] must contain at least one non-empty matcher"#;
            check(&tsdb, uri, 400, &error("bad_data", message)).await;
        } else {
            check(&tsdb, uri, 200, &success(data)).await;
        }
    }
    let truncated =
        r#"{"status":"success","data":["a"],"warnings":["results truncated due to limit"]}"#;
    check(&tsdb, "/api/v1/label/job/values?limit=1", 200, truncated).await;
    let (status, text) = get(&tsdb, "/api/v1/series?match[]=hits_total&limit=1").await;
    assert_eq!(status, 200);
    assert!(
        text.ends_with(r#","warnings":["results truncated due to limit"]}"#),
        "{text}"
    );
    let (_, text) = get(&tsdb, "/api/v1/query?query=hits_total&limit=1").await;
    assert!(
        text.ends_with(r#","warnings":["results truncated due to limit"]}"#),
        "{text}"
    );
}

#[tokio::test]
async fn metadata_and_buildinfo_are_told() {
    let tsdb = filled();
    let known = r#"{"hits_total":[{"type":"counter","help":"Hits.","unit":""}]}"#;
    check(&tsdb, "/api/v1/metadata", 200, &success(known)).await;
    check(
        &tsdb,
        "/api/v1/metadata?metric=hits_total",
        200,
        &success(known),
    )
    .await;
    check(&tsdb, "/api/v1/metadata?metric=x", 200, &success("{}")).await;
    check(&tsdb, "/api/v1/metadata?limit=0", 200, &success("{}")).await;
    let message = "limit must be a number";
    check(
        &tsdb,
        "/api/v1/metadata?limit=x",
        400,
        &error("bad_data", message),
    )
    .await;
    let (status, text) = get(&tsdb, "/api/v1/status/buildinfo").await;
    assert_eq!(status, 200);
    assert!(
        text.starts_with(r#"{"status":"success","data":{"version":""#),
        "{text}"
    );
}

#[tokio::test]
async fn errors_are_upstreams() {
    let tsdb = filled();
    let range = "/api/v1/query_range?query=x&start=0&end=100000";
    for (uri, message) in [
        (
            "/api/v1/query?query=1%2B",
            r#"invalid parameter "query": 1:3: parse error: unexpected end of input"#,
        ),
        (
            "/api/v1/query?query=x&time=abc",
            r#"invalid parameter "time": Invalid time value for 'time': cannot parse "abc" to a valid timestamp"#,
        ),
        (
            "/api/v1/query?query=x&timeout=abc",
            r#"invalid parameter "timeout": cannot parse "abc" to a valid duration"#,
        ),
        (
            "/api/v1/query?query=x&limit=-1",
            r#"invalid parameter "limit": limit must be non-negative"#,
        ),
        (
            "/api/v1/query_range?query=x",
            r#"invalid parameter "start": cannot parse "" to a valid timestamp"#,
        ),
        (
            "/api/v1/query_range?query=x&start=2&end=1&step=1",
            r#"invalid parameter "end": end timestamp must not be before start time"#,
        ),
        (
            &format!("{range}&step=0"),
            r#"invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer"#,
        ),
        (
            &format!("{range}&step=1"),
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        (
            &format!("{range}&step=x"),
            r#"invalid parameter "step": cannot parse "x" to a valid duration"#,
        ),
        ("/api/v1/series", "no match[] parameter provided"),
        (
            "/api/v1/labels?start=x",
            r#"invalid parameter "start": Invalid time value for 'start': cannot parse "x" to a valid timestamp"#,
        ),
    ] {
        check(&tsdb, uri, 400, &error("bad_data", message)).await;
    }
    let many_to_many = "/api/v1/query?query=hits_total%2Bon()hits_total";
    let (status, text) = get(&tsdb, many_to_many).await;
    assert_eq!(status, 422, "{text}");
    assert!(
        text.starts_with(r#"{"status":"error","errorType":"execution","error":""#),
        "{text}"
    );
    let late = "/api/v1/query?query=hits_total&timeout=0";
    let (status, text) = get(&tsdb, late).await;
    assert_eq!(status, 503, "{text}");
    assert!(
        text.starts_with(r#"{"status":"error","errorType":"timeout","error":"query timed out in"#),
        "{text}"
    );
}

#[tokio::test]
async fn cardinality_counts_each_series_once() {
    let tsdb = filled();
    let (status, text) = get(&tsdb, "/api/v1/status/tsdb?match[]=hits_total&limit=1").await;
    assert_eq!(status, 200, "{text}");
    // They are in a part and in memory.
    assert!(
        text.contains(r#""numSeries":2,"numLabelPairs":3,"#),
        "{text}"
    );
    for list in [
        r#""seriesCountByMetricName":[{"name":"hits_total","value":2}]"#,
        r#""labelValueCountByLabelName":[{"name":"job","value":2}]"#,
        r#""memoryInBytesByLabelName":[{"name":"__name__","value":20}]"#,
        r#""seriesCountByLabelValuePair":[{"name":"__name__=hits_total","value":2}]"#,
    ] {
        assert!(text.contains(list), "{list} in {text}");
    }
    for (limit, message) in [
        ("0", "limit must be a positive number"),
        ("x", "limit must be a positive number"),
        ("10001", "limit must not exceed 10000"),
    ] {
        let uri = format!("/api/v1/status/tsdb?limit={limit}");
        check(&tsdb, &uri, 400, &error("bad_data", message)).await;
    }
}
