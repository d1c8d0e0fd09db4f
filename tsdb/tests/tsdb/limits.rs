//! What is asked of the API is refused by name where it would exceed a limit of queries, and holds
//! nothing afterwards.

use std::time::Duration;

use ::model::matcher::Matcher;
use ::model::time::{TimeRange, Timestamp};
use ::model::wire::remote_read::{LabelMatcher, Query, ReadRequest, ResponseType};
use axum::body::Body;
use axum::http::Request;
use prost::Message as _;
use storage::disk::sim::SimDisk;
use tsdb::rules::evaluator::{Evaluator as _, Store as _};
use tsdb::{Tsdb, TsdbOptions};

use crate::api::{NOW, ask, get, open, series};

const SERIES: usize = 4000;
const MEMORY: &str = "raise query.memory_bytes_max (now 300000)";

/// A store with thousands of series, half of them in a part.
fn wide(change: impl FnOnce(&mut TsdbOptions)) -> Tsdb {
    let mut options = TsdbOptions::default();
    change(&mut options);
    let tsdb = open(&SimDisk::new(1), options);
    let all: Vec<_> = (0..SERIES)
        .map(|n| {
            series(
                &[("__name__", "wide"), ("n", &n.to_string())],
                &[(NOW, 1.0)],
            )
        })
        .collect();
    let (first, second) = all.split_at(SERIES / 2);
    tsdb.append(first).expect("stores");
    tsdb.store().flush().expect("flushes");
    tsdb.append(second).expect("stores");
    tsdb
}

const LISTS: [&str; 5] = [
    "/api/v1/query?query=wide",
    "/api/v1/series?match[]=wide",
    "/api/v1/label/n/values?match[]=wide",
    "/federate?match[]=wide",
    "/api/v1/export?match[]=wide",
];

#[tokio::test]
async fn a_list_that_does_not_fit_is_refused_and_its_memory_given_back() {
    let tsdb = wide(|options| options.query.memory_bytes_max = 300_000);
    for uri in LISTS {
        let (status, body) = get(&tsdb, uri).await;
        assert_eq!(status, 422, "{uri}: {body}");
        assert!(body.contains(MEMORY), "{uri}: {body}");
        assert_eq!(tsdb.engine().memory().bytes_taken(), 0, "{uri}");
    }
    for kind in [ResponseType::Samples, ResponseType::StreamedXorChunks] {
        let (status, body) = remote_read(&tsdb, kind).await;
        assert_eq!(status, 422, "{kind:?}: {body}");
        assert!(body.contains(MEMORY), "{kind:?}: {body}");
        assert_eq!(tsdb.engine().memory().bytes_taken(), 0, "{kind:?}");
    }
    let (status, body) = get(&tsdb, "/api/v1/label/n/values?limit=2").await;
    assert_eq!(
        (status, body.contains("\"0\",\"1\"")),
        (200, true),
        "{body}"
    );
}

#[tokio::test]
async fn an_answer_gives_its_memory_back_when_it_was_taken() {
    let tsdb = wide(|_| {});
    for uri in LISTS {
        let (status, body) = get(&tsdb, uri).await;
        assert_eq!(status, 200, "{uri}: {body}");
        assert!(body.len() > SERIES * 4, "{uri}: {}", body.len());
        assert_eq!(tsdb.engine().memory().bytes_taken(), 0, "{uri}");
    }
}

#[tokio::test]
async fn more_series_than_one_selection_may_have_are_refused() {
    let tsdb = wide(|options| options.query.series_max = 3000);
    for uri in LISTS
        .into_iter()
        .filter(|uri| !uri.contains("/values") && !uri.contains("export"))
    {
        let (status, body) = get(&tsdb, uri).await;
        assert_eq!(status, 422, "{uri}: {body}");
        let limit = "raise query.series_max (now 3000)";
        assert!(body.contains(limit), "{uri}: {body}");
    }
    let (status, body) = get(&tsdb, "/api/v1/series?match[]=wide&limit=3").await;
    assert_eq!(status, 200, "{body}");
}

#[test]
fn rules_are_evaluated_under_the_limits_of_queries() {
    let limited = wide(|options| options.query.memory_bytes_max = 300_000);
    let error = limited
        .instant("wide", Timestamp(NOW))
        .expect_err("it is wide");
    assert!(error.contains(MEMORY), "{error}");
    let everything = [Matcher::equal("__name__", "wide")];
    let error = limited
        .last(&everything, TimeRange::ALL)
        .expect_err("it is wide");
    assert!(error.contains(MEMORY), "{error}");
    assert_eq!(limited.engine().memory().bytes_taken(), 0);
    let limited = wide(|options| options.query.timeout = Duration::ZERO);
    for error in [
        limited
            .instant("wide", Timestamp(NOW))
            .expect_err("it is late"),
        limited
            .last(&everything, TimeRange::ALL)
            .expect_err("it is late"),
    ] {
        assert!(error.contains("raise query.timeout"), "{error}");
    }
    let unlimited = wide(|_| {});
    let last = unlimited.last(&everything, TimeRange::ALL).expect("reads");
    assert_eq!(last.len(), SERIES);
}

async fn remote_read(tsdb: &Tsdb, kind: ResponseType) -> (u16, String) {
    let request = ReadRequest {
        queries: vec![Query {
            start_timestamp_ms: 0,
            end_timestamp_ms: NOW,
            matchers: vec![LabelMatcher {
                kind: 0,
                name: "__name__".to_owned(),
                value: "wide".to_owned(),
            }],
        }],
        accepted_response_types: vec![kind as i32],
    };
    let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec());
    let request = Request::post("/api/v1/read").body(Body::from(body.expect("it is short")));
    let (status, text) = ask(tsdb, request.expect("a request")).await;
    (status.as_u16(), text)
}
