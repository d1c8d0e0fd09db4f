//! What a scan reads and what it leaves out: pages by time, by needle and by their summaries.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ::model::entry::StreamEntries;
use ::model::time::TimestampNs;
use logs::Logs;
use logs::query::{
    Batch, Direction, Engine, EngineOptions, Hints, LineNeed, PageSummary, QueryError, QueryResult,
    Scan, Selection, Source, SummaryVerdict, Visitor,
};

use crate::support::{entry, fresh, labels, read_all};

/// Enough lines of 100 bytes for several pages.
const LINES: i64 = 10_000;

fn filled() -> Logs {
    let logs = fresh();
    let lines = (0..LINES).map(|at| entry(at, &format!("{at:0>100}"), "info"));
    let entries = lines.collect();
    let stream = StreamEntries {
        labels: labels("a"),
        entries,
    };
    logs.push(vec![stream]).expect("writes");
    logs.store().flush().expect("flushes");
    logs
}

#[derive(Default)]
struct Counting {
    take_summaries: bool,
    summarized: u64,
    delivered: u64,
    empty_lines: u64,
    stop_after: Option<u64>,
}

impl Visitor for Counting {
    fn entries(&mut self, batch: &Batch<'_>) -> Scan {
        self.delivered += batch.entries.len() as u64;
        let empty = batch.entries.iter().filter(|entry| entry.line.is_empty());
        self.empty_lines += empty.count() as u64;
        match self.stop_after {
            Some(most) if self.delivered >= most => Scan::SkipStream,
            _ => Scan::Continue,
        }
    }

    fn summary(&mut self, page: &PageSummary<'_>) -> SummaryVerdict {
        if !self.take_summaries {
            return SummaryVerdict::Decode;
        }
        self.summarized += page.entries;
        assert_eq!(page.bytes, page.entries * 100);
        assert_eq!(page.last.0 - page.first.0 + 1, page.entries as i64);
        SummaryVerdict::Taken
    }
}

fn count(logs: &Logs, range: (i64, i64), line_need: LineNeed, mut visitor: Counting) -> Counting {
    let selection = Selection {
        matchers: &[],
        start: TimestampNs(range.0),
        end: TimestampNs(range.1),
        direction: Direction::Backward,
        hints: &Hints::default(),
        line_need,
    };
    logs.snapshot()
        .scan(&selection, &mut visitor)
        .expect("reads");
    visitor
}

#[test]
fn whole_pages_are_offered_and_cut_ones_are_read() {
    let logs = filled();
    let counting = || Counting {
        take_summaries: true,
        ..Counting::default()
    };
    let all = count(&logs, (0, LINES), LineNeed::Nothing, counting());
    assert_eq!((all.summarized, all.delivered), (LINES as u64, 0));
    let some = count(&logs, (1, LINES), LineNeed::Nothing, counting());
    assert_eq!(some.summarized + some.delivered, LINES as u64 - 1);
    assert!(some.summarized > 0 && some.delivered > 0);
    assert_eq!(some.empty_lines, some.delivered, "no line was unpacked");
    let read = count(&logs, (5, 14), LineNeed::Text, Counting::default());
    assert_eq!((read.delivered, read.empty_lines), (10, 0));
}

#[test]
fn a_page_that_another_place_overlaps_is_not_offered() {
    let logs = filled();
    // The same line once more, and one behind all pages.
    let again = vec![
        entry(0, &format!("{:0>100}", 0), "info"),
        entry(LINES, &"x".repeat(100), "info"),
    ];
    let stream = StreamEntries {
        labels: labels("a"),
        entries: again,
    };
    logs.push(vec![stream]).expect("writes");
    let counting = Counting {
        take_summaries: true,
        ..Counting::default()
    };
    let all = count(&logs, (0, LINES), LineNeed::Text, counting);
    assert_eq!(
        all.summarized + all.delivered,
        LINES as u64 + 1,
        "the repeated line counts once"
    );
}

#[test]
fn a_scan_stops_where_the_visitor_has_enough() {
    let logs = filled();
    let few = Counting {
        stop_after: Some(1),
        ..Counting::default()
    };
    let few = count(&logs, (0, LINES), LineNeed::Text, few);
    assert!(
        few.delivered < LINES as u64 / 4,
        "{} were delivered",
        few.delivered
    );
}

#[test]
fn a_needle_is_found_without_judging_every_line() {
    let logs = filled();
    let engine = Engine::new(EngineOptions::default());
    let check = |query: &str, expected: usize, scanned_max: u64| {
        let (start, end) = (TimestampNs(0), TimestampNs(LINES));
        let step = std::time::Duration::from_secs(1);
        let output = engine
            .range(
                &logs.snapshot(),
                query,
                start,
                end,
                step,
                100,
                Direction::Forward,
            )
            .expect("answers");
        let QueryResult::Streams(streams) = &output.value else {
            panic!("{query} asks for lines");
        };
        let found = streams
            .iter()
            .map(|stream| stream.entries.len())
            .sum::<usize>();
        assert_eq!(found, expected, "{query}");
        assert!(
            output.stats.entries_scanned <= scanned_max,
            "{query}: {:?}",
            output.stats
        );
    };
    check(r#"{app="a"} |= "07777""#, 1, 10);
    check(r#"{app="a"} |= "07777" |= "0""#, 1, 10);
    check(r#"{app="a"} |= "nowhere""#, 0, 0);
    check(r#"{app="a"} |~ "0777[67]$""#, 2, 100);
    check(r#"{app="a"} != "0""#, 0, LINES as u64);
}

#[test]
fn a_search_that_finds_nothing_notices_that_nobody_waits() {
    let logs = filled();
    let gone = Arc::new(AtomicBool::new(true));
    let engine = Engine::new(EngineOptions::default()).cancelled_by(gone);
    let (start, end) = (TimestampNs(0), TimestampNs(LINES));
    let step = std::time::Duration::from_secs(1);
    let snapshot = logs.snapshot();
    let query = r#"{app="a"} |= "nowhere""#;
    let answer = engine.range(&snapshot, query, start, end, step, 100, Direction::Forward);
    assert!(matches!(answer, Err(QueryError::Canceled)), "{answer:?}");
}

#[test]
fn lines_of_many_streams_share_pages() {
    let logs = fresh();
    let streams: Vec<StreamEntries> = (0..500)
        .map(|number| StreamEntries {
            labels: labels(&format!("app-{number:03}")),
            entries: vec![entry(number, &format!("line of {number}"), "info")],
        })
        .collect();
    logs.push(streams.clone()).expect("writes");
    logs.store().flush().expect("flushes");
    assert_eq!(
        read_all(&logs).expect("reads"),
        crate::support::expected(&streams)
    );
    let bytes = logs.store().view().parts[0].record.bytes;
    assert!(bytes < 60_000, "{bytes} bytes for 500 short lines");
}
