//! The sink against a server that records what it is sent and answers as it is told.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response as Answer};
use model::entry::Entry;
use model::labels::Labels;
use model::sample::Sample;
use model::time::{Timestamp, TimestampNs};
use model::wire::loki_push::PushRequest;
use model::wire::remote_write::WriteRequest;
use parking_lot::Mutex;
use prost::Message as _;

use super::*;

type Requests = Arc<Mutex<Vec<(String, HeaderMap, Vec<u8>)>>>;

/// A server that gives the answers in turn, then 204.
async fn server(answers: Vec<(u16, &'static str)>) -> (HttpSink, Requests) {
    // Another test of this process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let requests = Requests::default();
    let seen = Arc::clone(&requests);
    let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
    let app = axum::Router::new().fallback(
        move |uri: Uri, headers: HeaderMap, body: Bytes| async move {
            let body = snap::raw::Decoder::new()
                .decompress_vec(&body)
                .expect("a snappy block");
            seen.lock().push((uri.path().to_owned(), headers, body));
            let answer = answers.lock().pop_front();
            answer.map_or_else(
                || StatusCode::NO_CONTENT.into_response(),
                |(status, text)| {
                    let status = StatusCode::from_u16(status).expect("a status");
                    (status, [(RETRY_AFTER, "3")], text).into_response()
                },
            ) as Answer
        },
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    let url = Url::parse(&format!("http://{address}/base")).expect("an address");
    let config = HttpConfig {
        request_samples_max: 2,
        request_line_bytes_max: 8,
        ..HttpConfig::new(url)
    };
    (HttpSink::new(config).expect("a sink"), requests)
}

fn series(count: usize) -> Vec<SeriesSamples> {
    (0..count)
        .map(|number| SeriesSamples {
            labels: Labels::from_pairs([("__name__", format!("m{number}"))]),
            samples: vec![Sample {
                timestamp: Timestamp(5),
                value: 1.5,
            }],
            ..SeriesSamples::default()
        })
        .collect()
}

#[tokio::test]
async fn samples_arrive_in_requests_of_bounded_size() {
    let (sink, requests) = server(vec![]).await;
    let metadata = vec![Metadata {
        family: "m0".to_owned(),
        ..Metadata::default()
    }];
    sink.write_series(series(5), metadata)
        .await
        .expect("accepted");
    let requests = requests.lock();
    let sizes: Vec<_> = requests
        .iter()
        .map(|(path, headers, body)| {
            assert_eq!(path, "/base/api/v1/write");
            assert_eq!(headers["x-prometheus-remote-write-version"], "0.1.0");
            let write = WriteRequest::decode(body.as_slice()).expect("a write");
            (write.timeseries.len(), write.metadata.len())
        })
        .collect();
    assert_eq!(sizes, [(2, 1), (2, 0), (1, 0)]);
}

#[tokio::test]
async fn lines_arrive_in_requests_of_bounded_size() {
    let (sink, requests) = server(vec![]).await;
    let entry = |line: &str| Entry {
        timestamp: TimestampNs(1_500_000_000),
        line: line.to_owned(),
        metadata: Labels::from_pairs([("line_part", "1")]),
    };
    let streams = vec![
        StreamEntries {
            labels: Labels::from_pairs([("a", "q\"\n\\")]),
            entries: vec![entry("12345"), entry("67890")],
        },
        StreamEntries {
            labels: Labels::from_pairs([("b", "1")]),
            entries: vec![entry("abc")],
        },
    ];
    sink.write_streams(streams).await.expect("accepted");
    let got: Vec<Vec<(String, Vec<String>)>> = requests
        .lock()
        .iter()
        .map(|(path, _, body)| {
            assert_eq!(path, "/base/loki/api/v1/push");
            let push = PushRequest::decode(body.as_slice()).expect("a push");
            push.streams
                .into_iter()
                .map(|stream| {
                    let lines = stream.entries.into_iter().map(|entry| entry.line);
                    (stream.labels, lines.collect())
                })
                .collect()
        })
        .collect();
    let quoted = r#"{a="q\"\n\\"}"#.to_owned();
    assert_eq!(
        got,
        [
            vec![(quoted.clone(), vec!["12345".to_owned()])],
            vec![
                (quoted, vec!["67890".to_owned()]),
                (r#"{b="1"}"#.to_owned(), vec!["abc".to_owned()])
            ],
        ]
    );
}

#[tokio::test]
async fn the_answer_says_whether_to_try_again() {
    for (status, retryable) in [
        (400, false),
        (401, true),
        (403, true),
        (404, false),
        (302, false),
        (429, true),
        (500, true),
        (503, true),
    ] {
        let (sink, _) = server(vec![(status, "the reason")]).await;
        let error = sink
            .write_series(series(1), vec![])
            .await
            .expect_err("an error");
        assert!(error.to_string().contains("the reason"), "{error}");
        match error {
            ShipError::Retryable { after, .. } => {
                assert!(retryable, "{status}");
                assert_eq!(after, Some(Duration::from_secs(3)));
            }
            ShipError::Refused { .. } => assert!(!retryable, "{status}"),
        }
    }
}

#[tokio::test]
async fn the_token_is_read_for_every_request() {
    let (mut sink, requests) = server(vec![]).await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    sink.config.access.bearer_token_file = Some(file.path().to_owned());
    for token in ["one", "two"] {
        std::fs::write(file.path(), format!("{token}\n")).expect("written");
        sink.write_series(series(1), vec![])
            .await
            .expect("accepted");
    }
    let tokens: Vec<_> = requests
        .lock()
        .iter()
        .map(|(_, headers, _)| headers["authorization"].clone())
        .collect();
    assert_eq!(tokens, ["Bearer one", "Bearer two"]);
    std::fs::remove_file(file.path()).expect("removed");
    let error = sink.write_series(series(1), vec![]).await;
    assert!(
        matches!(error, Err(ShipError::Retryable { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_away_may_come_back() {
    let (sink, _) = server(vec![]).await;
    let gone = HttpConfig::new(Url::parse("http://127.0.0.1:1").expect("an address"));
    drop(sink);
    let sink = HttpSink::new(gone).expect("a sink");
    let error = sink.write_series(series(1), vec![]).await;
    assert!(
        matches!(error, Err(ShipError::Retryable { .. })),
        "{error:?}"
    );
}
