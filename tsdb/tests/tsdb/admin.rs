//! Snapshots and deletions over HTTP.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use storage::disk::sim::SimDisk;
use tower::ServiceExt as _;
use tsdb::api::admin::{AdminApi, Snapshots};
use tsdb::{Tsdb, TsdbOptions};

use crate::api::{NOW, ask as ask_api, open, series};

/// Remembers nothing, and refuses when told to.
struct Fake(bool);

impl Snapshots for Fake {
    fn make(&self, name: &str) -> Result<(), String> {
        assert!(name.starts_with("20231114T221320Z-"), "{name}");
        if self.0 {
            Ok(())
        } else {
            Err("disk full".to_owned())
        }
    }
}

async fn ask(tsdb: &Tsdb, admin: AdminApi, path: &str) -> (StatusCode, String) {
    let request = Request::post(format!("/api/v1/admin/tsdb/{path}"));
    let request = request.body(Body::empty()).expect("a request");
    let response = tsdb
        .router_with(admin)
        .oneshot(request)
        .await
        .expect("infallible");
    let status = response.status();
    let body = response.into_body().collect().await.expect("in memory");
    (
        status,
        String::from_utf8(body.to_bytes().to_vec()).expect("UTF-8"),
    )
}

fn enabled() -> AdminApi {
    AdminApi::Enabled(Arc::new(Fake(true)))
}

fn filled() -> Tsdb {
    let tsdb = open(&SimDisk::new(1), TsdbOptions::default());
    let samples = [(NOW - 2000, 1.0), (NOW - 1000, 2.0)];
    let batch: Vec<_> = ["a", "b"]
        .map(|job| series(&[("__name__", "up"), ("job", job)], &samples))
        .to_vec();
    tsdb.append(&batch).expect("stored");
    tsdb
}

/// What is left, as JSON lines.
async fn left(tsdb: &Tsdb) -> String {
    let request = Request::get("/api/v1/export?match[]=up");
    ask_api(tsdb, request.body(Body::empty()).expect("a request"))
        .await
        .1
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_the_rest_stays() {
    let tsdb = filled();
    let before = NOW as f64 / 1000.0 - 1.5;
    let path = format!("delete_series?match[]=up%7Bjob=%22a%22%7D&end={before}");
    let (status, body) = ask(&tsdb, enabled(), &path).await;
    assert_eq!((status, body.as_str()), (StatusCode::NO_CONTENT, ""));
    let (status, _) = ask(&tsdb, enabled(), "clean_tombstones").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let text = left(&tsdb).await;
    assert!(text.contains(r#""job":"a"},"values":[2],"#), "{text}");
    assert!(text.contains(r#""job":"b"},"values":[1,2],"#), "{text}");
    let rows: u64 = tsdb
        .store()
        .view()
        .parts
        .iter()
        .map(|part| part.record.rows)
        .sum();
    assert_eq!(rows, 3, "a merge has left out what was deleted");
}

#[tokio::test]
async fn what_is_asked_wrongly_or_not_allowed_is_refused() {
    let tsdb = filled();
    let (status, body) = ask(&tsdb, enabled(), "delete_series").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.contains("no match[] parameter provided"), "{body}");
    for path in ["snapshot", "delete_series?match[]=up", "clean_tombstones"] {
        let (status, body) = ask(&tsdb, AdminApi::Disabled, path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(
            body.contains("admin APIs disabled; set metrics.admin_api: true"),
            "{body}"
        );
    }
    assert_eq!(left(&tsdb).await.lines().count(), 2);
}

#[tokio::test]
async fn a_snapshot_answers_its_name() {
    let tsdb = filled();
    let (status, body) = ask(&tsdb, enabled(), "snapshot").await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        body.starts_with(r#"{"status":"success","data":{"name":"20231114T221320Z-"#),
        "{body}"
    );
    let (_, another) = ask(&tsdb, enabled(), "snapshot").await;
    assert_ne!(
        another, body,
        "two snapshots in one millisecond have two names"
    );
    let refusing = AdminApi::Enabled(Arc::new(Fake(false)));
    let (status, body) = ask(&tsdb, refusing, "snapshot").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(body.contains("create snapshot: disk full"), "{body}");
}
