//! What is told of the program and of what it scrapes, of what queries took, and the log of them.

use std::sync::Arc;
use std::time::Duration;

use ::model::labels::Labels;
use ::model::sample::{Metadata, MetricType};
use ::model::time::Timestamp;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use storage::disk::sim::SimDisk;
use tower::ServiceExt as _;
use tsdb::TsdbOptions;
use tsdb::api::program::Program;
use tsdb::api::targets::{ActiveTarget, TargetHealth, Targets};

use crate::api::{NOW, get, open, series};

struct Two;

impl Targets for Two {
    fn active(&self) -> Vec<ActiveTarget> {
        let target = |job: &str, error: &str| ActiveTarget {
            discovered: Labels::from_pairs([("__address__", "h:1")]),
            labels: Labels::from_pairs([("instance", "h:1"), ("job", job)]),
            url: "http://h:1/metrics".to_owned(),
            last_error: error.to_owned(),
            last_scrape: (job == "a").then_some(Timestamp(NOW)),
            last_duration: Duration::from_millis(250),
            health: if error.is_empty() {
                TargetHealth::Up
            } else {
                TargetHealth::Down
            },
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            metadata: Arc::new([Metadata {
                family: "up".to_owned(),
                metric_type: MetricType::Gauge,
                help: "H.".to_owned(),
                unit: String::new(),
            }]),
        };
        vec![target("b", "refused"), target("a", "")]
    }
}

/// The data of an answer, or its status and error.
async fn told(uri: &str) -> Result<Value, (u16, String)> {
    let tsdb = open(&SimDisk::new(1), TsdbOptions::default());
    let program = Program {
        config: "a: b\n".to_owned(),
        flags: [("http".to_owned(), "x".to_owned())].into(),
        storage_retention: "5d".to_owned(),
        started: Timestamp(NOW),
        ..Program::default()
    };
    let router = tsdb.surroundings_router(program, Arc::new(Two));
    let request = Request::builder().uri(uri).body(Body::empty());
    let response = router.oneshot(request.expect("a request")).await;
    let response = response.expect("infallible");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("in memory");
    let mut answer: Value = serde_json::from_slice(&body.to_bytes()).expect("JSON");
    if status != 200 {
        return Err((status, answer["error"].as_str().expect("a text").to_owned()));
    }
    Ok(answer["data"].take())
}

#[tokio::test]
async fn targets_have_upstreams_fields() {
    let target = |job: &str, error: &str, health: &str, last: &str| {
        json!({
            "discoveredLabels": {"__address__": "h:1"},
            "labels": {"instance": "h:1", "job": job},
            "scrapePool": job,
            "scrapeUrl": "http://h:1/metrics",
            "globalUrl": "http://h:1/metrics",
            "lastError": error,
            "lastScrape": last,
            "lastScrapeDuration": 0.25,
            "health": health,
            "scrapeInterval": "15s",
            "scrapeTimeout": "10s",
        })
    };
    let a = target("a", "", "up", "2023-11-14T22:13:20Z");
    let b = target("b", "refused", "down", "0001-01-01T00:00:00Z");
    let targets = |active: Value, counts: Value| json!({"activeTargets": active, "droppedTargets": [], "droppedTargetCounts": counts});
    let none = json!({"a": 0, "b": 0});
    let entry = |job: &str, name: Value| {
        let mut entry = json!({"target": {"instance": "h:1", "job": job}, "type": "gauge", "help": "H.", "unit": ""});
        if !name.is_null() {
            entry["metric"] = name;
        }
        entry
    };
    for (uri, data) in [
        ("targets", targets(json!([b, a]), none.clone())),
        (
            "targets?state=active&scrapePool=a",
            targets(json!([a]), Value::Null),
        ),
        ("targets?state=dropped", targets(json!([]), none)),
        ("scrape_pools", json!({"scrapePools": ["a", "b"]})),
        (
            "targets/metadata",
            json!([entry("b", json!("up")), entry("a", json!("up"))]),
        ),
        ("targets/metadata?limit=1", json!([entry("b", json!("up"))])),
        (
            "targets/metadata?metric=up&match_target=%7Bjob%3D%22a%22%7D",
            json!([entry("a", Value::Null)]),
        ),
        ("targets/metadata?metric=down", json!([])),
        ("status/config", json!({"yaml": "a: b\n"})),
        ("status/flags", json!({"http": "x"})),
        (
            "status/walreplay",
            json!({"min": 0, "max": 0, "current": 0}),
        ),
        ("notifications", json!([])),
    ] {
        assert_eq!(told(&format!("/api/v1/{uri}")).await, Ok(data), "{uri}");
    }
    let error = told("/api/v1/targets/metadata?limit=x").await;
    assert_eq!(error, Err((400, "limit must be a number".to_owned())));
    let runtime = told("/api/v1/status/runtimeinfo").await.expect("told");
    assert_eq!(runtime["storageRetention"], "5d");
    assert_eq!(runtime["startTime"], "2023-11-14T22:13:20Z");
    assert_eq!(runtime["serverTime"], "2023-11-14T22:13:20Z");
    let features = told("/api/v1/features").await.expect("told");
    for (group, name) in [
        ("promql_functions", "rate"),
        ("promql_operators", "unless"),
        ("promql_operators", "topk"),
    ] {
        assert_eq!(features[group][name], true, "{name}");
    }
}

#[tokio::test]
async fn every_query_is_noted_with_what_it_took() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("queries.log");
    let mut options = TsdbOptions::default();
    options.api.query_log_file = Some(path.clone());
    let tsdb = open(&SimDisk::new(1), options);
    tsdb.append(&[series(&[("__name__", "up")], &[(NOW, 1.0)])])
        .expect("stores");
    let (status, text) = get(&tsdb, "/api/v1/query?query=up&stats=all").await;
    assert_eq!(status, 200);
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    let stats = &answer["data"]["stats"];
    assert_eq!(stats["samples"]["totalQueryableSamples"], 1);
    for name in [
        "evalTotalTime",
        "resultSortTime",
        "queryPreparationTime",
        "innerEvalTime",
        "execQueueTime",
        "execTotalTime",
    ] {
        assert!(stats["timings"][name].is_f64(), "{name}: {stats}");
    }
    assert_eq!(
        stats["samples"]["totalQueryableSamplesPerStep"],
        json!([[NOW / 1000, 1]])
    );
    let (_, text) = get(&tsdb, "/api/v1/query?query=up&stats=1").await;
    assert!(
        !text.contains("PerStep") && text.contains("\"totalQueryableSamples\":1"),
        "{text}"
    );
    let (before, now) = (NOW / 1000 - 1, NOW / 1000);
    let query = "up%2Bon()count_over_time(up%5B1m%5D)";
    let uri =
        format!("/api/v1/query_range?query={query}&start={before}.5&end={now}&step=0.25&stats=all");
    let (_, text) = get(&tsdb, &uri).await;
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    let steps = &answer["data"]["stats"]["samples"]["totalQueryableSamplesPerStep"];
    let before = before as f64;
    assert_eq!(
        *steps,
        json!([[before + 0.5, 0], [before + 0.75, 0], [now, 2]])
    );
    get(
        &tsdb,
        "/api/v1/query_range?query=up%2Bon()up&start=1&end=5&step=2",
    )
    .await;
    get(&tsdb, "/api/v1/query?query=up%7B").await;
    let lines = std::fs::read_to_string(&path).expect("written");
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(
        lines[0]["params"],
        json!({"query": "up", "start": "2023-11-14T22:13:20Z", "end": "2023-11-14T22:13:20Z", "step": 0.0})
    );
    assert_eq!(
        lines[0]["httpRequest"],
        json!({"method": "GET", "path": "/api/v1/query"})
    );
    assert_eq!(lines[0]["error"], Value::Null);
    assert_eq!(lines[3]["params"]["step"], 2.0);
    assert_eq!(lines[3]["params"]["end"], "1970-01-01T00:00:05Z");
    assert!(
        lines[4]["error"]
            .as_str()
            .is_some_and(|error| error.contains("parse error")),
        "{}",
        lines[4]
    );
    // A file that cannot be written costs no query.
    std::fs::remove_file(&path).expect("removes");
    std::fs::create_dir(&path).expect("makes");
    assert_eq!(get(&tsdb, "/api/v1/query?query=1").await.0, 200);
}
