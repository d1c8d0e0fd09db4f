//! Log queries, for which upstream's files have no case: order, limits, labels by origin.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use logs::query::{Direction, Engine, EngineOptions, Limits, QueryError, QueryOutput, QueryResult};
use model::entry::Entry;
use model::labels::Labels;
use model::time::TimestampNs;

use crate::memory_source::MemorySource;

fn entry(at: i64, line: &str, metadata: &[(&str, &str)]) -> Entry {
    Entry {
        timestamp: TimestampNs(at),
        line: line.to_owned(),
        metadata: Labels::from_pairs(metadata.iter().copied()),
    }
}

/// Two streams whose entries alternate in time: `a` at 0, 2, 4, …, `b` at 1, 3, 5, ….
fn source() -> MemorySource {
    let mut source = MemorySource::default();
    let mut entries = Vec::new();
    for at in 0..20 {
        let app = if at % 2 == 0 { "a" } else { "b" };
        let labels = Labels::from_pairs([("app", app)]);
        let line = format!("level=info at={at}");
        entries.push((labels, entry(at, &line, &[("trace", "t")])));
    }
    source.load(entries);
    source
}

fn ask(
    engine: &Engine,
    query: &str,
    (start, end): (i64, i64),
    limit: usize,
    direction: Direction,
) -> Result<QueryOutput, QueryError> {
    engine.range(
        &source(),
        query,
        TimestampNs(start),
        TimestampNs(end),
        Duration::from_nanos(1),
        limit,
        direction,
    )
}

/// The streams of an answer with the times of their entries.
fn check(query: &str, range: (i64, i64), limit: usize, direction: Direction, expected: &str) {
    let output = ask(&Engine::default(), query, range, limit, direction).expect(query);
    let QueryResult::Streams(streams) = output.value else {
        panic!("{query} is no log query");
    };
    let mut shown = String::new();
    for stream in streams {
        let _ = write!(shown, "{}", stream.labels);
        for entry in stream.entries {
            let _ = write!(shown, " {}", entry.timestamp.nanos());
        }
        shown.push('\n');
    }
    assert_eq!(shown.trim_end(), expected, "{query}");
}

#[test]
fn the_nearest_entries_of_all_streams_are_kept() {
    use Direction::{Backward, Forward};
    let all = r#"{app=~".+"} | keep app"#;
    check(
        all,
        (4, 9),
        100,
        Forward,
        "{app=\"a\"} 4 6 8\n{app=\"b\"} 5 7",
    );
    check(
        all,
        (4, 9),
        100,
        Backward,
        "{app=\"a\"} 8 6 4\n{app=\"b\"} 7 5",
    );
    check(all, (0, 20), 3, Forward, "{app=\"a\"} 0 2\n{app=\"b\"} 1");
    check(
        all,
        (0, 20),
        3,
        Backward,
        "{app=\"a\"} 18\n{app=\"b\"} 19 17",
    );
    check(all, (5, 5), 3, Backward, "");
    let late = r#"{app="a"} |= "at=18" | keep app"#;
    check(late, (0, 20), 1, Forward, "{app=\"a\"} 18");
}

#[test]
fn labels_are_known_by_their_origin() {
    let query = r#"{app="a"} | logfmt | line_format "{{.at}}!" | at = "4""#;
    let output = ask(&Engine::default(), query, (0, 20), 10, Direction::Forward).expect(query);
    assert_eq!(output.stats.entries_returned, 1);
    let QueryResult::Streams(streams) = output.value else {
        panic!("{query} is no log query");
    };
    let stream = streams.first().expect("one stream");
    assert_eq!(
        stream.labels.to_string(),
        r#"{app="a", at="4", level="info", trace="t"}"#
    );
    assert_eq!(stream.stream.to_string(), r#"{app="a"}"#);
    assert_eq!(stream.structured_metadata.to_string(), r#"{trace="t"}"#);
    assert_eq!(stream.parsed.to_string(), r#"{at="4", level="info"}"#);
    assert_eq!(stream.entries.first().expect("one entry").line, "4!");
}

#[test]
fn a_failed_stage_shows_in_the_labels() {
    check(
        r#"{app="a"} | json | keep app"#,
        (0, 1),
        1,
        Direction::Forward,
        r#"{__error__="JSONParserErr", __error_details__="expecting a json object, but the line is not", app="a"} 0"#,
    );
    check(
        r#"{app="a"} | json | drop __error__, __error_details__, trace"#,
        (0, 1),
        1,
        Direction::Forward,
        r#"{app="a"} 0"#,
    );
}

#[test]
fn every_limit_is_named() {
    let limited = |limits: Limits, query: &str| {
        let engine = Engine::new(EngineOptions { limits });
        ask(&engine, query, (0, 20), 10, Direction::Forward)
            .expect_err(query)
            .to_string()
    };
    let default = Limits::default;
    for (limits, query, part) in [
        (
            Limits {
                series_max: 3,
                ..default()
            },
            r#"count_over_time({app=~".+"} | logfmt [1m])"#,
            "maximum of series (3)",
        ),
        (
            Limits {
                points_max: 30,
                ..default()
            },
            r#"count_over_time({app=~".+"} [1m])"#,
            "maximum of points (30)",
        ),
        (
            Limits {
                samples_max: 5,
                ..default()
            },
            r#"sum_over_time({app=~".+"} | logfmt | unwrap at [1m])"#,
            "maximum of samples (5)",
        ),
        (
            Limits {
                steps_max: 10,
                ..default()
            },
            "vector(1)",
            "exceeded maximum resolution of 10 points",
        ),
        (
            Limits {
                entries_max: 5,
                ..default()
            },
            r#"{app="a"}"#,
            "(10 > 5)",
        ),
        (
            Limits {
                timeout: Some(Duration::ZERO),
                ..default()
            },
            "vector(1)",
            "query timed out after 0ns",
        ),
    ] {
        let error = limited(limits, query);
        assert!(error.contains(part), "{query}: {error}");
    }
}

#[test]
fn a_caller_may_give_up() {
    let engine = Engine::default().cancelled_by(Arc::new(AtomicBool::new(true)));
    let outcome = ask(&engine, "vector(1)", (0, 20), 10, Direction::Forward);
    assert!(matches!(outcome, Err(QueryError::Canceled)), "{outcome:?}");
}

#[test]
fn a_log_query_has_no_value_at_an_instant() {
    let outcome = Engine::default().instant(
        &source(),
        r#"{app="a"}"#,
        TimestampNs(10),
        10,
        Direction::Backward,
    );
    assert!(
        matches!(outcome, Err(QueryError::BadRequest(_))),
        "{outcome:?}"
    );
}

#[test]
fn unfiltered_counts_come_from_summaries() {
    let query = r#"sum by (app) (count_over_time({app=~".+"}[1m]))"#;
    let output = ask(
        &Engine::default(),
        query,
        (100, 100),
        10,
        Direction::Forward,
    )
    .expect(query);
    assert_eq!(output.stats.entries_summarized, 20);
    assert_eq!(output.stats.entries_scanned, 0);
    assert!(matches!(output.value, QueryResult::Metric(_)));
}
