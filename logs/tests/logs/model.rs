//! Random operations on the engine and on a list of what was pushed, which must agree after each of them,
//! in both directions and in any range.

use ::model::entry::StreamEntries;
use ::model::matcher::Matcher;
use ::model::time::TimestampNs;
use ::model::vector::{QueryValue, SampleValue};
use logs::Logs;
use logs::query::{Direction, QueryResult};
use proptest::prelude::*;
use storage::disk::sim::SimDisk;
use storage::wal::sync::FsyncPolicy;

use crate::support::{Lines, entry, expected, labels, open, scan};

#[derive(Clone, Debug)]
enum Operation {
    Push(Vec<StreamEntries>),
    Flush,
    Merge,
    Restart,
    PowerLoss,
}

fn operation() -> impl Strategy<Value = Operation> {
    // Few instants and few lines, so that many meet; from before 1970 to behind three partitions.
    let instant = prop_oneof![
        -3..3i64,
        (0..4i64).prop_map(|day| day * 100_000_000),
        -1_000_000..400_000_000i64
    ];
    let line = prop_oneof!["[ab]{0,2}", "\\PC{0,8}"];
    let level = prop_oneof![Just("info"), Just("warn")];
    let entry = (instant, line, level).prop_map(|(at, line, level)| entry(at, &line, level));
    let entries = prop::collection::vec(entry, 1..8);
    let stream = ("[a-c]", entries).prop_map(|(app, entries)| StreamEntries {
        labels: labels(&app),
        entries,
    });
    prop_oneof![
        6 => prop::collection::vec(stream, 1..4).prop_map(Operation::Push),
        2 => Just(Operation::Flush),
        2 => Just(Operation::Merge),
        1 => Just(Operation::Restart),
        1 => Just(Operation::PowerLoss),
    ]
}

/// What a range of the expected lines is, in a direction.
fn cut(lines: &Lines, app: Option<&str>, range: (i64, i64), direction: Direction) -> Lines {
    let mut cut = lines.clone();
    cut.retain(|stream, lines| {
        lines.retain(|(at, _, _)| (range.0..=range.1).contains(at));
        if direction == Direction::Backward {
            lines.reverse();
        }
        !lines.is_empty() && app.is_none_or(|app| stream.get("app") == Some(app))
    });
    cut
}

/// What a metric query answers, as one number.
fn number(logs: &Logs, query: &str) -> f64 {
    let second = TimestampNs(1_000_000_000);
    let engine = logs.engine();
    let output = engine
        .instant(&logs.snapshot(), query, second, 100, Direction::Forward)
        .expect("answers");
    let QueryResult::Metric(QueryValue::Vector(samples)) = output.value else {
        panic!("{query} is a metric query");
    };
    match samples.first().map(|sample| &sample.value) {
        Some(SampleValue::Float(value)) => *value,
        _ => 0.0,
    }
}

/// Counts and bytes agree with the lines, whether pages were opened for them or not.
fn counts_agree(logs: &Logs, truth: &Lines) {
    let lines = || truth.values().flatten().map(|(_, line, _)| line);
    let check = |query: &str, expected: usize| {
        assert_eq!(number(logs, query), expected as f64, "{query}");
    };
    check(r#"sum(count_over_time({app=~".+"}[1h]))"#, lines().count());
    check(
        r#"sum(bytes_over_time({app=~".+"}[1h]))"#,
        lines().map(String::len).sum(),
    );
    let needles = lines().filter(|line| line.contains("ab")).count();
    check(r#"sum(count_over_time({app=~".+"} |= "ab" [1h]))"#, needles);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_engine_is_a_list_of_what_was_pushed(
        operations in prop::collection::vec(operation(), 1..30),
        seed: u64,
        ends in (-1_000_000..400_000_000i64, -1_000_000..400_000_000i64),
    ) {
        let fsync = FsyncPolicy::Always;
        let mut disk = SimDisk::new(seed);
        let mut logs = open(&disk, fsync).expect("opens").0;
        let mut pushed: Vec<StreamEntries> = Vec::new();
        let matcher = Matcher::equal("app", "b");
        for operation in operations {
            match operation {
                Operation::Push(streams) => {
                    logs.push(streams.clone()).expect("writes");
                    pushed.extend(streams);
                }
                Operation::Flush => logs.store().flush().expect("flushes"),
                Operation::Merge => {
                    logs.store().merge_once().expect("merges");
                }
                Operation::Restart | Operation::PowerLoss => {
                    drop(logs);
                    if matches!(operation, Operation::PowerLoss) {
                        disk = disk.after_power_loss();
                    }
                    logs = open(&disk, fsync).expect("opens").0;
                }
            }
            let truth = expected(&pushed);
            counts_agree(&logs, &truth);
            let all = (i64::MIN, i64::MAX);
            let some = (ends.0.min(ends.1), ends.0.max(ends.1));
            for direction in [Direction::Forward, Direction::Backward] {
                let got = scan(&logs, &[], all, direction).expect("reads");
                prop_assert_eq!(got, cut(&truth, None, all, direction));
                let got = scan(&logs, std::slice::from_ref(&matcher), some, direction).expect("reads");
                prop_assert_eq!(got, cut(&truth, Some("b"), some, direction));
            }
        }
    }
}
