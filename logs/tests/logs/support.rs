//! A log engine on a simulated disk, the batches that tests write, and everything it holds.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ::model::entry::{Entry, StreamEntries};
use ::model::labels::Labels;
use ::model::matcher::Matcher;
use ::model::time::{Timestamp, TimestampNs};
use logs::query::{
    Batch, Direction, Hints, LineNeed, Scan, Selection, Source, SourceError, Visitor,
};
use logs::{Logs, LogsOptions};
use storage::clock::ManualClock;
use storage::disk::sim::SimDisk;
use storage::store::{OpenError, Recovered, StoreOptions};
use storage::wal::sync::FsyncPolicy;

/// Width of a partition in the tests' milliseconds.
pub(crate) const WIDTH_MS: i64 = 100;
/// When the tests take place.
pub(crate) const NOW: Timestamp = Timestamp(1_000);

/// Timestamp, line, metadata.
pub(crate) type Line = (i64, String, Labels);
/// Every line of every stream, in the order it was read.
pub(crate) type Lines = BTreeMap<Labels, Vec<Line>>;

pub(crate) fn options(fsync: FsyncPolicy) -> LogsOptions {
    LogsOptions {
        store: StoreOptions {
            partition_ms: WIDTH_MS,
            fsync,
            merge_fan_in: 3,
            ..StoreOptions::default()
        },
        ..LogsOptions::default()
    }
}

pub(crate) fn open(disk: &SimDisk, fsync: FsyncPolicy) -> Result<(Logs, Recovered), OpenError> {
    open_with(disk, options(fsync))
}

pub(crate) fn open_with(
    disk: &SimDisk,
    options: LogsOptions,
) -> Result<(Logs, Recovered), OpenError> {
    let clock = Arc::new(ManualClock::new(NOW));
    Logs::open(Arc::new(disk.clone()), clock, Path::new("/logs"), options)
}

/// An engine on a disk of its own.
pub(crate) fn fresh() -> Logs {
    open(&SimDisk::new(0), FsyncPolicy::Always)
        .expect("opens")
        .0
}

/// A stream that needs nothing derived.
pub(crate) fn labels(app: &str) -> Labels {
    Labels::from_pairs([("app", app), ("service_name", "test")])
}

/// An entry that needs nothing derived.
pub(crate) fn entry(at: i64, line: &str, level: &str) -> Entry {
    Entry {
        timestamp: TimestampNs(at),
        line: line.to_owned(),
        metadata: Labels::from_pairs([("detected_level", level)]),
    }
}

/// Takes everything it is given.
#[derive(Default)]
pub(crate) struct Everything {
    pub(crate) lines: Lines,
}

impl Visitor for Everything {
    fn entries(&mut self, batch: &Batch<'_>) -> Scan {
        let lines = self.lines.entry(batch.stream.clone()).or_default();
        lines.extend(batch.entries.iter().map(|entry| {
            let metadata = entry.metadata.clone();
            (entry.timestamp.nanos(), entry.line.to_owned(), metadata)
        }));
        Scan::Continue
    }
}

/// What a scan delivers.
pub(crate) fn scan(
    logs: &Logs,
    matchers: &[Matcher],
    range: (i64, i64),
    direction: Direction,
) -> Result<Lines, SourceError> {
    let mut everything = Everything::default();
    let selection = Selection {
        matchers,
        start: TimestampNs(range.0),
        end: TimestampNs(range.1),
        direction,
        hints: &Hints::default(),
        line_need: LineNeed::Text,
    };
    logs.snapshot().scan(&selection, &mut everything)?;
    Ok(everything.lines)
}

/// Everything there is, oldest first.
pub(crate) fn read_all(logs: &Logs) -> Result<Lines, SourceError> {
    scan(logs, &[], (i64::MIN, i64::MAX), Direction::Forward)
}

/// What an engine must hold after `pushes`: each stream in order of time, lines of one instant in
/// order of arrival, each once.
pub(crate) fn expected<'a>(pushes: impl IntoIterator<Item = &'a StreamEntries>) -> Lines {
    let mut lines = Lines::new();
    for push in pushes {
        let known = lines.entry(push.labels.clone()).or_default();
        for Entry {
            timestamp,
            line,
            metadata,
        } in &push.entries
        {
            let line = (timestamp.nanos(), line.clone(), metadata.clone());
            if !known.contains(&line) {
                known.push(line);
            }
        }
    }
    for known in lines.values_mut() {
        known.sort_by_key(|(at, _, _)| *at);
    }
    lines.retain(|_, known| !known.is_empty());
    lines
}

/// The push of a number: two streams, a late line, lines of one instant, and a line that every push
/// repeats.
pub(crate) fn batch(number: u64) -> Vec<StreamEntries> {
    let at = (number as i64 % 3) * WIDTH_MS * 1_000_000 + number as i64;
    let line = |what: &str| format!("{what} of push {number}\u{e4}\0");
    vec![
        StreamEntries {
            labels: labels("steady"),
            entries: vec![
                entry(at, &line("new"), "info"),
                entry(at, &line("same instant"), "warn"),
                entry(7, &line("late"), "info"),
                entry(7, "the same every time", "info"),
            ],
        },
        StreamEntries {
            labels: labels(&format!("churn-{number}")),
            entries: vec![entry(at, &line("only"), "info")],
        },
    ]
}

/// What must be there after the pushes `0..count`.
pub(crate) fn state_after(count: u64) -> Lines {
    let pushes: Vec<StreamEntries> = (0..count).flat_map(batch).collect();
    expected(&pushes)
}
