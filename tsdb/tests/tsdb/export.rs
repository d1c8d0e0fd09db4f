//! Export over HTTP, and what was exported imported again.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use storage::disk::sim::SimDisk;
use tsdb::transfer::json_lines::reader::JsonLines;
use tsdb::transfer::{Position, Source as _};
use tsdb::{Tsdb, TsdbOptions};

use ::model::sample::{HistogramSample, STALE_NAN_BITS};
use ::model::time::Timestamp;

use crate::api::{NOW, ask, open, series};
use crate::support::histogram;

fn hard_to_say() -> Tsdb {
    let tsdb = open(&SimDisk::new(1), TsdbOptions::default());
    let floats = |n: i64| -> Vec<(i64, f64)> {
        let bits = [
            0,
            1 << 63,
            STALE_NAN_BITS,
            0x7ff8_dead_0000_beef,
            1,
            0x3fb9_9999_9999_999a,
        ];
        let bits = bits
            .iter()
            .chain(&[0x7ff0 << 48, 0xfff0 << 48, 0x7ff8_0000_0000_0001]);
        let values = bits.map(|bits: &u64| f64::from_bits(*bits)).cycle();
        values
            .take(9000)
            .enumerate()
            .map(|(i, value)| (NOW - 10_000_000 + i as i64 * 1000 + n, value))
            .collect()
    };
    let mut batch: Vec<_> = (0..3)
        .map(|n| {
            let job = n.to_string();
            series(
                &[
                    ("__name__", "floats"),
                    ("job", &job),
                    ("text", "a\"b\\\n\u{1}"),
                ],
                &floats(n),
            )
        })
        .collect();
    // One with the labels of another, and more.
    batch.push(series(
        &[
            ("__name__", "floats"),
            ("job", "0"),
            ("text", "a\"b\\\n\u{1}"),
            ("x", "y"),
        ],
        &[(NOW, 1.0)],
    ));
    let appended = tsdb.append(&batch).expect("stored");
    assert!(appended.refused.is_empty(), "{}", appended.refused);
    tsdb.store().flush().expect("flushed");
    let mut native = series(&[("__name__", "native")], &[(NOW, 1.5)]);
    for n in 0..300 {
        native.histograms.push(HistogramSample {
            timestamp: Timestamp(NOW - 1_000_000 + n),
            histogram: histogram((n + 1) as f64, 0),
        });
    }
    let appended = tsdb.append(&[native]).expect("stored");
    assert!(appended.refused.is_empty(), "{}", appended.refused);
    tsdb
}

async fn export(tsdb: &Tsdb, query: &str) -> (StatusCode, String) {
    let request = Request::get(format!("/api/v1/export?{query}"));
    ask(tsdb, request.body(Body::empty()).expect("a request")).await
}

const ALL: &str = "match[]=%7B__name__!=%22%22%7D";

#[tokio::test]
async fn what_is_exported_and_imported_is_exported_the_same() {
    let tsdb = hard_to_say();
    let (status, text) = export(&tsdb, ALL).await;
    assert_eq!(status, StatusCode::OK);
    // Three series of 9,000 floats, one of one, and one of a float and 300 histograms.
    assert_eq!(text.lines().count(), 3 * 2 + 1 + 1 + 2);
    let copy = open(&SimDisk::new(2), TsdbOptions::default());
    let mut source = JsonLines::new(text.as_bytes(), Position::default()).expect("a start");
    let mut samples = 0;
    while let Some(piece) = source.next().expect("own text") {
        let appended = copy.append(&piece.series).expect("stored");
        assert!(appended.refused.is_empty(), "{}", appended.refused);
        samples += appended.samples;
    }
    assert_eq!(samples, 27_000 + 1 + 301);
    assert_eq!(export(&copy, ALL).await.1, text);
    copy.store().flush().expect("flushed");
    assert_eq!(export(&copy, ALL).await.1, text);
}

#[tokio::test]
async fn a_series_is_exported_once_and_within_the_range() {
    let tsdb = hard_to_say();
    let sets = "match[]=floats%7Bjob=%220%22%7D&match[]=floats";
    let (_, text) = export(
        &tsdb,
        &format!(
            "{sets}&start={}&end={}",
            (NOW - 9_999_000) / 1000,
            (NOW - 9_997_500) as f64 / 1000.0
        ),
    )
    .await;
    assert_eq!(text.lines().count(), 3, "{text}");
    for line in text.lines() {
        assert_eq!(line.matches("16999900").count(), 2, "{line}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_export_is_said() {
    let tsdb = hard_to_say();
    for (query, expected) in [
        ("", "no match[] parameter provided"),
        (
            "match[]=%7B%7D",
            "must contain at least one non-empty matcher",
        ),
        ("match[]=up%7B", "invalid parameter \\\"match[]\\\""),
        (
            "match[]=up&start=x",
            "cannot parse \\\"x\\\" to a valid timestamp",
        ),
    ] {
        let (status, body) = export(&tsdb, query).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(body.contains(expected), "{query}: {body}");
    }
    let mut options = TsdbOptions::default();
    options.api.exports_max = 0;
    let (status, body) = export(&open(&SimDisk::new(1), options), ALL).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("too many exports are running"), "{body}");
}
