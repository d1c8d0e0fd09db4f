//! What is kept of a push, and what the client is told of the rest.

use std::io::Write as _;

use model::wire::loki_push::{PushRequest, Stream};
use prost::Message as _;

use super::body::{BodyEncoding, BodyError, BodyFormat, read};
use super::*;

const WINDOW: Window = Window {
    oldest: Timestamp(1_000),
    now: Timestamp(2_000),
};

fn limits() -> IngestLimits {
    IngestLimits {
        line_bytes_max: 10,
        labels_max: 3,
        label_name_bytes_max: 8,
        label_value_bytes_max: 8,
        metadata_max: 2,
        metadata_bytes_max: 12,
        ahead_ms_max: 500,
        push_bytes_max: 1000,
        push_items_max: 4,
    }
}

fn stream(labels: &[(&str, &str)], entries: &[(i64, &str)]) -> StreamEntries {
    StreamEntries {
        labels: Labels::from_pairs(labels.iter().copied()),
        entries: entries
            .iter()
            .map(|(at_ms, line)| Entry {
                timestamp: TimestampNs(at_ms * 1_000_000),
                line: (*line).to_owned(),
                metadata: Labels::empty(),
            })
            .collect(),
    }
}

#[test]
fn the_good_entries_are_kept_and_the_bad_ones_named() {
    let check = |stream: StreamEntries, kept: usize, complaint: Option<&str>| {
        let what = format!("{stream:?}");
        let prepared = prepare(vec![stream].into(), &limits(), WINDOW);
        let accepted = prepared.accepted.iter().map(|stream| stream.entries.len());
        assert_eq!(accepted.sum::<usize>(), kept, "{what}");
        match (prepared.complaint(), complaint) {
            (None, None) => {}
            (Some(got), Some(expected)) => assert!(got.contains(expected), "{what}: {got}"),
            (got, _) => panic!("{what}: {got:?}"),
        }
    };
    let app = &[("app", "a")];
    check(stream(app, &[(1500, "x"), (1500, "0123456789")]), 2, None);
    check(stream(app, &[]), 0, None);
    check(
        stream(&[], &[(1500, "x")]),
        0,
        Some("at least one label pair"),
    );
    let four = [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")];
    check(
        stream(&four, &[(1500, "x")]),
        0,
        Some("has 4 label names; limit 3"),
    );
    check(
        stream(&[("a-b", "1")], &[(1500, "x")]),
        0,
        Some("invalid label name: 'a-b'"),
    );
    check(
        stream(&[("ninechars", "1")], &[(1500, "x")]),
        0,
        Some("label name too long"),
    );
    check(
        stream(&[("a", "123456789")], &[(1500, "x")]),
        0,
        Some("label value too long"),
    );
    let long = "01234567890";
    check(
        stream(app, &[(1500, "x"), (1500, long)]),
        1,
        Some(
            "Max entry size '10' bytes exceeded for stream '{app=\"a\"}' while adding an entry with length '11' bytes",
        ),
    );
    check(
        stream(app, &[(999, "x"), (1000, "y")]),
        1,
        Some("timestamp too old: 1970-01-01T00:00:00.999Z"),
    );
    check(
        stream(app, &[(2501, "x"), (2500, "y")]),
        1,
        Some("timestamp too new: 1970-01-01T00:00:02.501Z"),
    );
    check(
        stream(app, &[(1, "x"), (2, "y")]),
        0,
        Some("total ignored: 2"),
    );
    let mut heavy = stream(app, &[(1500, "x")]);
    heavy.entries[0].metadata = Labels::from_pairs([("a", "b"), ("c", "d"), ("e", "f")]);
    check(
        heavy.clone(),
        0,
        Some("too many structured metadata labels: '3', limit: '2'"),
    );
    heavy.entries[0].metadata = Labels::from_pairs([("a", "0123456789ab")]);
    check(
        heavy,
        0,
        Some("structured metadata too large: '13' bytes, limit: '12' bytes"),
    );
}

#[test]
fn what_is_kept_has_service_and_level() {
    let push = vec![stream(&[("app", "a")], &[(1500, "warning")])];
    let prepared = prepare(push.into(), &limits(), WINDOW);
    let [kept] = prepared.accepted.as_slice() else {
        panic!("{prepared:?}");
    };
    assert_eq!(kept.labels.get(service::SERVICE_NAME), Some("a"));
    assert_eq!(
        kept.entries[0].metadata.get(level::DETECTED_LEVEL),
        Some("warn")
    );
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

#[test]
fn json_bodies_are_read() {
    let body = br#"{"streams":[{"stream":{"app":"a","none":""},"values":[["1500000000","one"],["1500000001","two",{"trace":"t"}]]}]}"#;
    for (bytes, encoding) in [
        (body.to_vec(), BodyEncoding::Identity),
        (gzip(body), BodyEncoding::Gzip),
    ] {
        let push = read(&bytes, BodyFormat::Json, encoding, &limits()).expect("a push");
        let [stream] = push.streams.as_slice() else {
            panic!("{push:?}");
        };
        assert_eq!(stream.labels, Labels::from_pairs([("app", "a")]));
        assert_eq!(stream.entries[1].timestamp, TimestampNs(1_500_000_001));
        assert_eq!(
            stream.entries[1].metadata,
            Labels::from_pairs([("trace", "t")])
        );
    }
}

#[test]
fn a_body_that_is_no_push_is_refused() {
    let check = |body: &[u8], format, encoding, expected: &str| {
        let error = read(body, format, encoding, &limits())
            .expect_err("no push")
            .to_string();
        assert!(error.contains(expected), "{error}");
    };
    use BodyEncoding::{Gzip, Identity};
    use BodyFormat::{Json, Protobuf};
    check(b"{", Json, Identity, "cannot be read");
    check(
        br#"{"streams":[{"stream":{},"values":[[1,"x"]]}]}"#,
        Json,
        Identity,
        "expected a string",
    );
    check(
        br#"{"streams":[{"stream":{},"values":[["soon","x"]]}]}"#,
        Json,
        Identity,
        "\"soon\" is not a time",
    );
    check(b"not gzip", Json, Gzip, "cannot be unpacked");
    check(
        &gzip(&[b' '; 1001]),
        Json,
        Gzip,
        "unpacks to more than 1000 bytes",
    );
    check(b"\xff\xff\xff", Protobuf, Identity, "cannot be unpacked");
    let large = snap::raw::Encoder::new()
        .compress_vec(&[0; 1001])
        .expect("packs");
    check(
        &large,
        Protobuf,
        Identity,
        "unpacks to more than 1000 bytes",
    );
    let many = br#"{"streams":[{"stream":{},"values":[["1",""],["1","",{"a":"b"}],["1",""]]}]}"#;
    check(
        many,
        Json,
        Identity,
        "holds 5 streams, entries and pairs of metadata, more than 4",
    );
    let streams = vec![Stream::default(); 5];
    let many = PushRequest { streams }.encode_to_vec();
    let many = snap::raw::Encoder::new()
        .compress_vec(&many)
        .expect("packs");
    check(
        &many,
        Protobuf,
        Identity,
        "holds 5 streams, entries and pairs of metadata, more than 4",
    );
    let error = read(&gzip(b"{}"), Json, Gzip, &limits()).expect_err("no streams");
    assert!(matches!(error, BodyError::Malformed(_)), "{error}");
}

#[test]
fn a_stream_whose_labels_cannot_be_read_does_not_cost_the_others() {
    let stream = |labels: &str| Stream {
        labels: labels.to_owned(),
        entries: vec![model::wire::loki_push::PushEntry::default()],
    };
    let request = PushRequest {
        streams: vec![stream("{a=\"1\"}"), stream("{a=")],
    };
    let body = snap::raw::Encoder::new()
        .compress_vec(&request.encode_to_vec())
        .expect("packs");
    let push = read(
        &body,
        BodyFormat::Protobuf,
        BodyEncoding::Identity,
        &limits(),
    )
    .expect("a push");
    assert_eq!(push.streams.len(), 1);
    let window = Window {
        oldest: Timestamp::MIN,
        ..WINDOW
    };
    let prepared = prepare(push, &limits(), window);
    assert_eq!((prepared.accepted.len(), prepared.refused), (1, 1));
    let complaint = prepared.complaint().expect("one is refused");
    assert!(
        complaint.contains("error parsing labels '{a='"),
        "{complaint}"
    );
}
