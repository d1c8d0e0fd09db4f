//! Exemplars, trees, federation and other origins, through the router.

use ::model::labels::Labels;
use ::model::matcher::Matcher;
use ::model::sample::{Exemplar, HistogramSample, SeriesSamples, stale_nan};
use ::model::time::{TimeRange, Timestamp};
use axum::body::Body;
use axum::http::{Method, Request, header};
use http_body_util::BodyExt as _;
use storage::disk::sim::SimDisk;
use tower::ServiceExt as _;
use tsdb::api::cors::Origins;
use tsdb::{Tsdb, TsdbOptions};

use crate::api::{NOW, check, error, get, open, post, series, success};
use crate::support::histogram;

fn with_exemplars(job: &str, exemplars: &[(&str, f64, i64)]) -> SeriesSamples {
    let exemplars = exemplars.iter().map(|(trace, value, age)| Exemplar {
        labels: Labels::from_pairs([("trace_id", *trace)]),
        value: *value,
        timestamp: Some(Timestamp(NOW - age)),
    });
    SeriesSamples {
        exemplars: exemplars.collect(),
        ..series(&[("__name__", "hits_total"), ("job", job)], &[(NOW, 1.0)])
    }
}

#[tokio::test]
async fn exemplars_are_those_of_every_selector() {
    let tsdb = open(&SimDisk::new(1), TsdbOptions::default());
    let batch = [
        with_exemplars("b", &[("x", 0.5, 10), ("y", f64::INFINITY, 1000)]),
        with_exemplars("a", &[("z", 2.0, 2000)]),
        with_exemplars("c", &[]),
    ];
    tsdb.append(&batch).expect("stores");
    let z = r#"{"seriesLabels":{"__name__":"hits_total","job":"a"},"exemplars":[{"labels":{"trace_id":"z"},"value":"2","timestamp":1699999998}]}"#;
    let xy = r#"{"seriesLabels":{"__name__":"hits_total","job":"b"},"exemplars":[{"labels":{"trace_id":"y"},"value":"+Inf","timestamp":1699999999},{"labels":{"trace_id":"x"},"value":"0.5","timestamp":1699999999.990}]}"#;
    let uri = "/api/v1/query_exemplars";
    for (query, data) in [
        ("query=hits_total", success(&format!("[{z},{xy}]"))),
        (
            "query=rate(hits_total%7Bjob%3D%22b%22%7D%5B5m%5D)%2Bon(job)hits_total%7Bjob%3D%22a%22%7D",
            success(&format!("[{z},{xy}]")),
        ),
        (
            "query=hits_total&end=1699999998.5",
            success(&format!("[{z}]")),
        ),
        ("query=nothing", success("[]")),
    ] {
        check(&tsdb, &format!("{uri}?{query}"), 200, &data).await;
        assert_eq!(post(&tsdb, uri, query).await, (200, data), "{query}");
    }
    // What is deleted is gone before a merge leaves it out.
    let matchers = vec![Matcher::equal("job", "a")];
    tsdb.delete(matchers, TimeRange::ALL).expect("deletes");
    let data = success(&format!("[{xy}]"));
    check(&tsdb, &format!("{uri}?query=hits_total"), 200, &data).await;
    // No selector, no data.
    let uri_of_none = format!("{uri}?query=1");
    check(&tsdb, &uri_of_none, 204, "").await;
    let reason = "end timestamp must not be before start timestamp";
    let uri = format!("{uri}?query=x&start=2&end=1");
    check(&tsdb, &uri, 400, &error("bad_data", reason)).await;
}

#[tokio::test]
async fn a_tree_has_upstreams_fields() {
    let tsdb = open(&SimDisk::new(1), TsdbOptions::default());
    let selector = |name: &str, more: &str| {
        format!(
            r#"{{"anchored":false,"matchers":[{{"name":"__name__","type":"=","value":"{name}"}}],"name":"{name}","offset":0,{more}"smoothed":false,"startOrEnd":null,"timestamp":null,"type""#
        )
    };
    let up = format!(r#"{}:"vectorSelector"}}"#, selector("up", ""));
    let range = format!(
        r#"{}:"matrixSelector"}}"#,
        selector("up", r#""range":300000,"#)
    );
    let rate = format!(
        r#"{{"args":[{range}],"func":{{"argTypes":["matrix"],"name":"rate","returnType":"vector","variadic":0}},"type":"call"}}"#
    );
    let no_fill = r#""fillValues":{"lhs":null,"rhs":null}"#;
    for (query, data) in [
        ("1e3", r#"{"type":"numberLiteral","val":"1000"}"#.to_owned()),
        ("'x'", r#"{"type":"stringLiteral","val":"x"}"#.to_owned()),
        ("up", up.clone()),
        ("(-up)", format!(r#"{{"expr":{{"expr":{up},"op":"-","type":"unaryExpr"}},"type":"parenExpr"}}"#)),
        (
            "sum without(a)(rate(up[5m]))",
            format!(
                r#"{{"expr":{rate},"grouping":["a"],"op":"sum","param":null,"type":"aggregation","without":true}}"#
            ),
        ),
        (
            "up>bool on(a)group_left(b)up",
            format!(
                r#"{{"bool":true,"lhs":{up},"matching":{{"card":"many-to-one",{no_fill},"include":["b"],"labels":["a"],"on":true}},"op":">","rhs":{up},"type":"binaryExpr"}}"#
            ),
        ),
        (
            "up[1h:5m]@end()offset-1m",
            format!(
                r#"{{"expr":{up},"offset":-60000,"range":3600000,"startOrEnd":"end","step":300000,"timestamp":null,"type":"subquery"}}"#
            ),
        ),
        (
            "x{a!~'b'}@1.5",
            r#"{"anchored":false,"matchers":[{"name":"a","type":"!~","value":"b"},{"name":"__name__","type":"=","value":"x"}],"name":"x","offset":0,"smoothed":false,"startOrEnd":null,"timestamp":1500,"type":"vectorSelector"}"#.to_owned(),
        ),
    ] {
        let (status, text) = post(&tsdb, "/api/v1/parse_query", &format!("query={}", encoded(query))).await;
        assert_eq!((status, text), (200, success(&data)), "{query}");
    }
    let (status, text) = get(&tsdb, "/api/v1/parse_query?query=").await;
    assert_eq!(status, 400);
    assert!(
        text.contains(r#""errorType":"bad_data","error":"invalid parameter \"query\": "#),
        "{text}"
    );
}

/// A text in a form.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            (byte as char).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(byte).collect()
}

/// Status, the headers asked for, body.
async fn ask(
    tsdb: &Tsdb,
    method: Method,
    uri: &str,
    given: &[(header::HeaderName, &str)],
    wanted: &[header::HeaderName],
) -> (u16, Vec<String>, String) {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in given {
        request = request.header(name, *value);
    }
    let request = request.body(Body::empty()).expect("a request");
    let response = tsdb.router().oneshot(request).await.expect("infallible");
    let status = response.status().as_u16();
    let found = wanted.iter().map(|name| {
        let value = response.headers().get(name);
        value.map_or(String::new(), |value| {
            value.to_str().expect("a text").to_owned()
        })
    });
    let found = found.collect();
    let body = response.into_body().collect().await.expect("in memory");
    let text = String::from_utf8(body.to_bytes().to_vec()).expect("UTF-8");
    (status, found, text)
}

#[tokio::test]
async fn federation_has_the_newest_sample_of_what_lives() {
    let tsdb = open(&SimDisk::new(1), TsdbOptions::default());
    let mut both = series(&[("__name__", "b"), ("n", "1")], &[(NOW - 20, 1.0)]);
    both.histograms.push(HistogramSample {
        timestamp: Timestamp(NOW - 10),
        histogram: histogram(3.0, 0),
    });
    let batch = [
        series(
            &[("__name__", "b"), ("instance", "i"), ("text", "q\"\\\n")],
            &[(NOW - 9, 1.0), (NOW - 3, 1.5e9)],
        ),
        series(&[("__name__", "b"), ("A", "upper")], &[(NOW, f64::NAN)]),
        series(
            &[("__name__", "a.b"), ("l.m", "x")],
            &[(NOW - 1, f64::NEG_INFINITY)],
        ),
        series(
            &[("__name__", "ended")],
            &[(NOW - 2, 1.0), (NOW - 1, stale_nan())],
        ),
        series(&[("__name__", "old")], &[(NOW - 300_001, 1.0)]),
        both,
    ];
    tsdb.append(&batch).expect("stores");
    let b = format!(
        "# TYPE b untyped\n\
         b{{A=\"upper\",instance=\"\"}} NaN {NOW}\n\
         b{{instance=\"i\",text=\"q\\\"\\\\\\n\"}} 1.5e+09 {}\n",
        NOW - 3
    );
    let dotted = |first: &str, head: &str, label: &str| {
        format!(
            "# TYPE {first} untyped\n{head}{label}=\"x\",instance=\"\"}} -Inf {}\n",
            NOW - 1
        )
    };
    let all = "/federate?match%5B%5D=%7B__name__%3D~%22.%2B%22%7D&match%5B%5D=b";
    let wanted = [header::CONTENT_TYPE];
    let (status, kind, text) = ask(&tsdb, Method::GET, all, &[], &wanted).await;
    assert_eq!((status, text), (200, dotted("a_b", "a_b{", "l_m") + &b));
    assert_eq!(
        kind,
        ["text/plain; version=0.0.4; charset=utf-8; escaping=underscores"]
    );
    let accept = [(
        header::ACCEPT,
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5",
    )];
    let (_, kind, text) = ask(&tsdb, Method::GET, all, &accept, &wanted).await;
    assert_eq!(text, dotted("\"a.b\"", "{\"a.b\",", "\"l.m\"") + &b);
    assert_eq!(
        kind,
        ["text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8"]
    );
    let (status, _, text) = ask(&tsdb, Method::GET, "/federate", &[], &[]).await;
    assert_eq!((status, text.as_str()), (200, ""));
    let (status, _, text) = ask(&tsdb, Method::GET, "/federate?match[]=%7B", &[], &[]).await;
    assert_eq!(status, 400, "{text}");
}

#[tokio::test]
async fn pages_of_other_origins_are_told_whether_they_may_read() {
    let wanted = [
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::ACCESS_CONTROL_ALLOW_METHODS,
        header::VARY,
    ];
    let origin = [(header::ORIGIN, "https://grafana.example")];
    let methods = "GET, POST, OPTIONS";
    let said = |origin: &str| [origin, methods, "Origin"].map(str::to_owned).to_vec();
    let nothing = || vec![String::new(); 3];
    for (pattern, given, expected) in [
        (None, &origin[..], said("*")),
        (None, &[], nothing()),
        (Some(".*"), &origin, said("*")),
        (
            Some("https://.*[.]example"),
            &origin,
            said("https://grafana.example"),
        ),
        (Some("grafana"), &origin, nothing()),
    ] {
        let mut options = TsdbOptions::default();
        options.api.cors_origin = pattern.map(|pattern| Origins::new(pattern).expect("valid"));
        let tsdb = open(&SimDisk::new(1), options);
        for (method, status) in [(Method::GET, 200), (Method::OPTIONS, 204)] {
            let uri = "/api/v1/query?query=1";
            let (found, headers, _) = ask(&tsdb, method, uri, given, &wanted).await;
            assert_eq!((found, &headers), (status, &expected), "{pattern:?}");
        }
    }
}
