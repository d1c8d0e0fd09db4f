//! Lines that are only in memory and in the log.
//!
//! A push becomes one record, and a record becomes one run of rows per stream; nothing is sorted
//! until somebody reads. A reader takes the runs of a stream (a counter each) and lets go of
//! the lock before it looks at a single line, so a long query never keeps a push waiting.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use model::entry::StreamEntries;
use model::labels::Labels;
use model::time::Timestamp;
use storage::codec::Malformed;
use storage::index::SeriesRef;
use storage::index::memory::MemoryIndex;
use storage::table::{Memtable, Partition, Shard};

use super::record::{self, Naming, RecordRow, RecordStream, StreamNumber};
use super::rows::{MemoryRows, Run, RunText, Span};

/// What a run costs beside its rows, roughly.
const RUN_BYTES: usize = 96;

/// The lines of a segment of the log.
#[derive(Debug, Default)]
pub struct LogMemtable {
    index: MemoryIndex,
    /// The runs of each stream of the index.
    streams: Vec<Vec<Run>>,
    /// The number in the log of each stream of the index.
    numbers: Vec<StreamNumber>,
    by_number: HashMap<StreamNumber, SeriesRef>,
    /// Greater than every number so far.
    next_number: u64,
    /// From the first to the last row.
    span: Option<Span>,
    rows: u64,
    bytes: usize,
}

impl LogMemtable {
    /// The index of the streams.
    pub(super) const fn index(&self) -> &MemoryIndex {
        &self.index
    }

    /// The runs of a stream, in order of arrival.
    pub(super) fn runs(&self, stream: SeriesRef) -> &[Run] {
        self.streams.get(stream as usize).map_or(&[], Vec::as_slice)
    }

    /// Whether there may be rows in `range`.
    pub(super) fn overlaps(&self, range: Span) -> bool {
        self.span.is_some_and(|span| span.overlaps(&range))
    }

    /// The rows of a stream in a range.
    pub(super) fn rows_of(&self, stream: SeriesRef, range: Span) -> MemoryRows {
        MemoryRows::new(self.runs(stream).iter(), range)
    }

    /// Gives a stream its runs; says which stream the number means.
    fn stream_of(&mut self, stream: &RecordStream) -> Option<SeriesRef> {
        self.next_number = self.next_number.max(stream.number.0.saturating_add(1));
        let Some(labels) = &stream.labels else {
            return self.by_number.get(&stream.number).copied();
        };
        let series = self.index.get_or_insert(labels);
        if series as usize == self.streams.len() {
            self.streams.push(Vec::new());
            self.numbers.push(stream.number);
        }
        self.by_number.insert(stream.number, series);
        Some(series)
    }

    fn push_run(&mut self, series: SeriesRef, text: &Arc<RunText>, rows: Vec<RecordRow>) {
        let Some(run) = Run::new(text, rows) else {
            return;
        };
        let count = run.timestamps().count();
        let span = self.span.get_or_insert(run.span());
        span.start = span.start.min(run.span().start);
        span.end = span.end.max(run.span().end);
        self.rows += count as u64;
        self.bytes += RUN_BYTES + count * size_of::<RecordRow>();
        if let Some(runs) = self.streams.get_mut(series as usize) {
            runs.push(run);
        }
    }
}

impl Memtable for LogMemtable {
    type Batch = [StreamEntries];

    fn encode(&self, batch: &[StreamEntries], shard: Shard, record: &mut Vec<u8>) {
        debug_assert_eq!(shard, Shard::WHOLE, "lines have one shard");
        let mut next = self.next_number;
        let mut new: HashMap<Labels, StreamNumber> = HashMap::new();
        let name = |labels: &Labels| {
            let known = self.index.get(labels);
            if let Some(number) = known.and_then(|series| self.numbers.get(series as usize)) {
                return Naming::Known(*number);
            }
            if let Some(number) = new.get(labels) {
                return Naming::Known(*number);
            }
            let number = StreamNumber(next);
            next += 1;
            new.insert(labels.clone(), number);
            Naming::New(number)
        };
        record::encode(batch, name, record);
    }

    fn apply(&mut self, record: &[u8]) -> Result<(), Malformed> {
        let (record, mut result) = record::decode(record);
        self.bytes += record.text.len();
        self.bytes += record
            .sets
            .iter()
            .map(|set| set.as_encoded().len() + 16)
            .sum::<usize>();
        let text = Arc::new(RunText {
            lines: record.text,
            sets: record.sets,
            no_metadata: Labels::empty(),
        });
        for stream in record.streams {
            match self.stream_of(&stream) {
                Some(series) => self.push_run(series, &text, stream.rows),
                None => {
                    // The record that named it is lost; the others' lines are not.
                    result = result.and(Err(Malformed {
                        offset: 0,
                        expected: "the number of a stream that was named before",
                    }));
                }
            }
        }
        result
    }

    fn bytes(&self) -> usize {
        self.bytes + self.index.bytes()
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn partitions(&self, width_ms: i64) -> BTreeSet<Partition> {
        let partition = |at: Timestamp| Partition::of(at, width_ms);
        let mut partitions = BTreeSet::new();
        for run in self.streams.iter().flatten() {
            let Span { start, end } = run.span();
            let (first, last) = (
                partition(start.floor_millis()),
                partition(end.floor_millis()),
            );
            partitions.insert(first);
            partitions.insert(last);
            if last.0.saturating_sub(first.0) > 1 {
                let times = run.timestamps().map(|at| partition(at.floor_millis()));
                partitions.extend(times);
            }
        }
        partitions
    }
}
